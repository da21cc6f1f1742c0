"""Puts a decoder-only model and its pairs where a peer with an environment of its own reads them.

The model is a folder as transformers saves it; pairs are rows of token ids and labels, where -100
is what is not predicted.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from fairseq2.data.tokenizers import Tokenizer

from benchmarks.influence.speed.sides import Job
from benchmarks.influence.speed.workload import Workload, open_workload
from fairseq2_jest.embedding.prompting import PromptFormat
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.files import write_json

_NOT_PREDICTED: Final = -100


def main() -> None:
    told, folder = sys.argv[1:]

    hand_over(open_workload(Job.parse(told)), Path(folder))


def hand_over(work: Workload, folder: Path) -> None:
    """Writes ``model``, ``pool.json``, ``seeds.json`` and ``layers.json`` into a new folder."""
    folder.mkdir(parents=True)

    inner: Any = work.inner

    inner.save_pretrained(folder / "model")

    _save_tokenizer(folder / "model")

    _, pool = work.data.read_pool(np.arange(len(work.data.pool)))

    for name, pairs in (("pool", pool), ("seeds", work.data.seeds)):
        write_json(folder / f"{name}.json", labelled_rows(work.data.tokenizer, pairs))

    # Peers look at the stack of layers alone.
    write_json(folder / "layers.json", work.layer_names(inner.base_model))


def labelled_rows(tokenizer: Tokenizer, pairs: TokenizedPairs) -> Sequence[dict[str, list[int]]]:
    """Each pair in one sequence, and what of it is to be predicted."""
    rows = []

    for sides in zip(*PromptFormat(tokenizer).sequences(pairs), strict=True):
        prompt, response = (side.tolist() for side in sides)

        labels = [_NOT_PREDICTED] * len(prompt) + response

        rows.append({"input_ids": prompt + response, "labels": labels})

    return rows


def _save_tokenizer(folder: Path) -> None:
    """Peers want one to be there, though there is nothing left to tokenize."""
    from tokenizers import Tokenizer as FastTokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    unused = FastTokenizer(WordLevel({"<unk>": 0}, unk_token="<unk>"))

    PreTrainedTokenizerFast(tokenizer_object=unused).save_pretrained(folder)


if __name__ == "__main__":
    main()
