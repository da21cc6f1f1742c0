"""The process that runs COMET: requests come in and answers go out, each a line of JSON.

It is run by its file name with the interpreter of COMET's environment, in which this package need
not be: it imports nothing of it. Its standard error is a log for people.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import sys
import traceback
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

SUPPORTED = "2"
"""The major version of COMET whose interface is used here."""


class Fault(Exception):
    """What the user can mend, in words that can end a sentence."""


class Worker:
    """Answers requests; loads its model once."""

    def __init__(self) -> None:
        self._model: Any = None
        self._options: dict[str, Any] = {}

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """
        :raises Fault: It cannot be answered, and the user can mend it.
        """
        return self.load(request) if request["request"] == "load" else self.score(request)

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Loads the model that is named, and says what it is."""
        try:
            import comet
            import torch
            from comet import load_from_checkpoint
        except ImportError as ex:
            raise Fault(f"its interpreter {sys.executable} cannot import COMET ({ex})") from ex

        # The attribute is not always kept up to date with the package.
        version = importlib.metadata.version("unbabel-comet")

        if version.split(".")[0] != SUPPORTED:
            raise Fault(f"its interpreter {sys.executable} has COMET {version}, not {SUPPORTED}.x")

        device = self._device(request["device"], torch)

        file, revision = self._checkpoint(request["model"], request["revision"])

        # torch looks at these where it loads, whatever Lightning asks it for.
        trusted = request["trust_checkpoint"]
        variable = "NO_WEIGHTS_ONLY" if trusted else "WEIGHTS_ONLY"
        os.environ[f"TORCH_FORCE_{variable}_LOAD"] = "1"

        try:
            model = load_from_checkpoint(str(file))
        except UnpicklingError as ex:
            reason = " ".join(str(ex).split("Please file an issue")[0].split())[-300:]

            raise Fault(
                f"{file} is damaged or holds more than weights, which is not loaded unless "
                f"trust_checkpoint is true ({reason})"
            ) from ex

        model.eval()

        {"fp32": model.float, "fp16": model.half, "bf16": model.bfloat16}[request["precision"]]()

        # A source or reference is embedded once for all systems and all validations.
        model.set_embedding_cache()

        gpus = 0 if device == "cpu" else 1

        self._model = model
        self._options = {
            "batch_size": request["batch_size"],
            "gpus": gpus,
            "devices": [int(device.partition(":")[2])] if gpus else None,
            "progress_bar": False,
            "num_workers": 0,
        }

        return {
            "model": request["model"],
            "revision": revision,
            "version": version,
            "torch": str(torch.__version__),
            "module": comet.__file__,
            "precision": request["precision"],
            "device": device,
            "needs_references": bool(model.requires_references()),
        }

    def _device(self, name: str, torch: Any) -> str:
        if name == "auto":
            return "cuda:0" if torch.cuda.is_available() else "cpu"

        if name == "cpu":
            return name

        index = int(name.partition(":")[2] or 0)

        if index >= torch.cuda.device_count():
            raise Fault(f"it sees {torch.cuda.device_count()} GPU(s), and {name} is none of them")

        return f"cuda:{index}"

    def _checkpoint(self, model: str, revision: str | None) -> tuple[Path, str]:
        """The file of a model, and what tells it from others of its name."""
        path = Path(model).expanduser()

        if path.is_dir():
            path = path / "checkpoints" / "model.ckpt"

        if path.is_file():
            with path.open("rb") as stream:
                digest = hashlib.sha256()

                while block := stream.read(1 << 20):
                    digest.update(block)

            return path, f"sha256:{digest.hexdigest()}"

        from huggingface_hub import snapshot_download

        try:
            folder = snapshot_download(repo_id=model, revision=revision)
        except Exception as ex:
            reason = str(ex).strip().split("\n")[0].rstrip(".")

            raise Fault(
                f"{model} is neither a checkpoint here nor can it be downloaded ({reason})"
            ) from ex

        # The snapshot's folder is called by its commit.
        return Path(folder, "checkpoints", "model.ckpt"), Path(folder).name

    def score(self, request: dict[str, Any]) -> dict[str, Any]:
        """Scores samples, in their order."""
        prediction = self._model.predict(samples=request["samples"], **self._options)

        return {"scores": [float(score) for score in prediction["scores"]]}


def main() -> None:
    """Answers until standard input ends."""
    # What libraries print must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")

    os.dup2(2, 1)

    worker = Worker()

    for line in sys.stdin:
        try:
            answer = worker.answer(json.loads(line))
        except Fault as ex:
            answer = {"error": str(ex)}
        except Exception as ex:
            traceback.print_exc()

            answer = {"error": f"{type(ex).__name__}: {ex}"}

        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    # The folder of this file comes first on the path, and its modules are not to be found there.
    del sys.path[0]

    main()
