from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from fairseq2_jest.models.hugging_face.tokenizer import TranslationTokenizer
from fairseq2_jest.translation.batched_search import BatchedBeamSearchGenerator
from tests.hugging_face import LANGS, MAX_SEQ_LEN, texts
from tests.unit.models.parity import logits, ours, translate, translate_in_transformers

NUM_SENTENCES = 200


def encoded(folder: Path, kind: str, num: int) -> tuple[list[Tensor], list[Tensor]]:
    """Sources, and what the decoder reads; cut to what the model takes."""
    _, tokenizer = ours(folder)

    source, target = LANGS[kind]

    encode_source = tokenizer.create_encoder(lang=source, mode="source")
    encode_target = tokenizer.create_encoder(lang=target, mode="target")

    lines = texts(2 * num)

    return (
        [encode_source(text)[:MAX_SEQ_LEN] for text in lines[0::2]],
        [encode_target(text)[:-1][:MAX_SEQ_LEN] for text in lines[1::2]],
    )


def test_logits_are_those_of_transformers(folder: tuple[str, Path]) -> None:
    kind, path = folder

    sources, targets = encoded(path, kind, 32)

    # Padding is there, and so are both ends of what a model takes.
    sources[0], targets[1] = sources[0][:1], targets[1][:1]
    sources[2] = sources[2].repeat(MAX_SEQ_LEN)[:MAX_SEQ_LEN]
    targets[3] = targets[3].repeat(MAX_SEQ_LEN)[:MAX_SEQ_LEN]

    assert len({len(s) for s in sources}) > 5

    actual, expected = logits(path, sources, targets)

    assert actual.dtype == torch.float32
    assert expected.std() > 0.5
    torch.testing.assert_close(actual, expected, rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("beam_size", [1, 4])
def test_translations_are_those_of_transformers(folder: tuple[str, Path], beam_size: int) -> None:
    kind, path = folder

    sources, _ = encoded(path, kind, NUM_SENTENCES)

    _, tokenizer = ours(path)

    assert isinstance(tokenizer, TranslationTokenizer)

    langs = sorted(tokenizer.languages)[:5]

    different: set[tuple[int, ...]] = set()

    for idx, lang in enumerate(langs):
        part = sources[idx :: len(langs)]

        actual = translate(path, part, lang, beam_size=beam_size, max_len=25)

        expected = translate_in_transformers(path, part, lang, beam_size=beam_size, max_len=25)

        assert actual == expected

        assert expected == translate(
            path,
            part,
            lang,
            beam_size=beam_size,
            max_len=25,
            kls=BatchedBeamSearchGenerator,
        )

        different |= {tuple(tokens) for tokens in actual}

    # Or there would be little to compare.
    assert len(different) >= 20
