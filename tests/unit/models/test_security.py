"""A pickle that would run code, wherever a model has a file: nothing of it runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fairseq2.data.tokenizers import load_tokenizer
from fairseq2.models import load_model

from fairseq2_jest.models.errors import ModelError
from tests.hugging_face import make_folder


class Runs:
    """Unpickled, it calls what it was made of."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self.reduced = (call, args)

    def __reduce__(self) -> Any:
        return self.reduced


class SetsState:
    """Unpickled, it makes a file by its state."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __setstate__(self, state: dict[str, Path]) -> None:
        state["marker"].touch()


def touch(marker: Path) -> Runs:
    return Runs(os.system, f"touch {marker}")


def dumped(content: object, protocol: int = 2) -> bytes:
    return pickle.dumps(content, protocol=protocol)


def saved(content: object, *, zipped: bool = True) -> bytes:
    stream = io.BytesIO()

    torch.save(content, stream, _use_new_zipfile_serialization=zipped)

    return stream.getvalue()


PAYLOADS: dict[str, Callable[[Path], bytes]] = {
    "plain, protocol 0": lambda m: dumped(touch(m), 0),
    "plain, protocol 2": lambda m: dumped(touch(m), 2),
    "plain, protocol 5": lambda m: dumped(touch(m), 5),
    "in a dict": lambda m: dumped({"model": touch(m)}),
    "eval": lambda m: dumped(Runs(eval, f"open({str(m)!r}, 'w').close()")),
    "exec": lambda m: dumped(Runs(exec, f"open({str(m)!r}, 'w').close()")),
    "open": lambda m: dumped(Runs(open, str(m), "w")),
    "torch.save": lambda m: saved({"model": {"w": touch(m)}}),
    "torch.save of old": lambda m: saved({"model": {"w": touch(m)}}, zipped=False),
    "as a key": lambda m: saved([(touch(m), 1)]),
    "by its state": lambda m: saved({"model": SetsState(m)}),
    "in a Namespace": lambda m: saved({"model": {}, "args": Namespace(langs=touch(m))}),
    "in an array": lambda m: saved({"model": {"w": np.array([touch(m)], dtype=object)}}),
    "beside weights": lambda m: saved(
        {"model.shared.weight": torch.zeros(2, 2), "extra_state": Runs(os.mkdir, str(m))}
    ),
}

PLACES = (
    "pytorch_model.bin",
    "pytorch_model-00001-of-00001.bin",
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin.index.json",
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "sentencepiece.bpe.model",
    "model.pt",
    "dict.txt",
)

FORMS = [(payload, "pytorch_model.bin") for payload in PAYLOADS] + [
    (payload, place) for place in PLACES[1:] for payload in ("plain, protocol 2", "torch.save")
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory, resolver: object) -> Path:
    return make_folder(tmp_path_factory.mktemp("base"), "mbart50")


def prepare(base: Path, folder: Path, place: str, content: bytes) -> None:
    """A folder in which ``place`` is read, with that content."""
    shutil.copytree(base, folder)

    weights = folder / "model.safetensors"

    if place.startswith("pytorch_model") or place.endswith(".index.json"):
        weights.unlink()

    if place == "pytorch_model-00001-of-00001.bin":
        index = {"weight_map": {"model.shared.weight": place}}

        (folder / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    elif place == "sentencepiece.bpe.model":
        (folder / "tokenizer.json").unlink()
    elif place in ("model.pt", "dict.txt"):
        for file in folder.iterdir():
            if file.name != "sentencepiece.bpe.model":
                file.unlink()

        (folder / "dict.txt").write_text("a 1\n")
        (folder / "langs.txt").write_text("en_XX\nde_DE\n")

    (folder / place).write_bytes(content)


def use(folder: Path) -> None:
    load_tokenizer(str(folder))
    load_model(str(folder))


@pytest.mark.parametrize(("payload", "place"), FORMS, ids=str)
def test_nothing_runs(payload: str, place: str, base: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it ran".replace(" ", "_")

    prepare(base, tmp_path / "model", place, PAYLOADS[payload](marker))

    with pytest.raises(ModelError) as info:
        use(tmp_path / "model")

    assert not marker.exists()

    message = str(info.value)

    assert "\n" not in message and ": " in message and message.endswith(".")
    assert str(tmp_path) in message


@pytest.mark.parametrize("place", ["special_tokens_map.json", "generation_config.json", "x.pkl"])
def test_what_is_not_read_does_not_run(place: str, base: Path, tmp_path: Path) -> None:
    marker = tmp_path / "it_ran"

    prepare(base, tmp_path / "model", place, PAYLOADS["plain, protocol 2"](marker))

    use(tmp_path / "model")

    assert not marker.exists()


def test_the_payloads_would_run(tmp_path: Path) -> None:
    # Or the test above would show nothing.
    for number, (name, payload) in enumerate(PAYLOADS.items()):
        marker = tmp_path / str(number)

        content = payload(marker)

        if content[:2] in (b"PK",) or b"torch" in content[:400] or name == "torch.save of old":
            torch.load(io.BytesIO(content), weights_only=False)
        else:
            pickle.loads(content)

        assert marker.exists(), name


def test_code_in_a_folder_is_not_run(base: Path, tmp_path: Path) -> None:
    folder, marker = tmp_path / "model", tmp_path / "it_ran"

    shutil.copytree(base, folder)

    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\n")

    config = json.loads((folder / "tokenizer_config.json").read_text())

    for extra in (
        {"auto_map": {"AutoTokenizer": ["evil.Evil", "evil.Evil"]}},
        {"tokenizer_class": "Evil", "auto_map": {"AutoTokenizer": ["evil.Evil", None]}},
        {"tokenizer_class": "TransfoXLTokenizer"},
        {"tokenizer_class": "PreTrainedModel"},
    ):
        (folder / "tokenizer_config.json").write_text(json.dumps(config | extra))

        if "tokenizer_class" in extra:
            with pytest.raises(ModelError, match=r"tokenizer_class of .* is .*, which is not"):
                use(folder)
        else:
            use(folder)

        assert not marker.exists()


def test_an_index_cannot_name_a_file_elsewhere(base: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"

    shutil.copytree(base, folder)

    shutil.move(folder / "model.safetensors", tmp_path / "model.safetensors")

    index = {"weight_map": {"model.shared.weight": "../model.safetensors"}}

    (folder / "model.safetensors.index.json").write_text(json.dumps(index))

    with pytest.raises(ModelError, match="which is not a file beside it"):
        use(folder)
