"""The losses of a frozen translation model: computed once, and never served for anything else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fairseq2.device import CPU
from fairseq2.models.nllb import NllbConfig
from fairseq2.models.nllb.factory import create_nllb_model
from fairseq2.models.transformer import TransformerModel

from fairseq2_jest.embedding.digest import digest_of_model
from fairseq2_jest.embedding.errors import EmbeddingError
from fairseq2_jest.embedding.forward_pass import ForwardPass
from fairseq2_jest.embedding.reference_loss import ReferenceLoss
from fairseq2_jest.embedding.translation_loss import TranslationLoss
from tests.unit.tiny import DEU, ENG, model, random_pairs, tokenizer

NUM_ROWS = 30

pytestmark = pytest.mark.usefixtures("one_thread")


def scorer_of(reference: TransformerModel) -> TranslationLoss:
    return TranslationLoss(ForwardPass(reference, device=CPU, max_num_tokens=90), tokenizer())


def open_losses(
    folder: Path, reference: TransformerModel, *, corpus_digest: str = "a corpus"
) -> ReferenceLoss:
    return ReferenceLoss.open(
        scorer_of(reference),
        model_digest=digest_of_model(reference),
        corpus_digest=corpus_digest,
        num_rows=NUM_ROWS,
        folder=folder,
    )


def test_a_loss_is_that_of_the_model_and_computed_once(tmp_path: Path) -> None:
    pairs, rows = random_pairs(NUM_ROWS), np.random.default_rng(1).permutation(NUM_ROWS)

    pairs_of_rows = pairs.take(rows.tolist())

    losses = open_losses(tmp_path, model())

    some, made = losses.score(rows[:12], pairs_of_rows.take(list(range(12))))

    assert made.tolist() == list(range(12))
    expected = scorer_of(model()).score(pairs_of_rows.take(list(range(12))))
    assert some.tolist() == expected.tolist()

    # Another process, that asks for more.
    all_of_them, made = open_losses(tmp_path, model()).score(rows, pairs_of_rows)

    assert made.tolist() == list(range(12, NUM_ROWS))
    assert all_of_them[:12].tolist() == some.tolist()
    np.testing.assert_allclose(
        all_of_them, scorer_of(model()).score(pairs_of_rows).numpy(), rtol=1e-5
    )

    again, made = open_losses(tmp_path, model()).score(rows, pairs_of_rows)

    assert len(made) == 0 and again.tolist() == all_of_them.tolist()


def test_another_model_corpus_or_token_is_never_served(tmp_path: Path) -> None:
    pairs, rows = random_pairs(NUM_ROWS), np.arange(NUM_ROWS)

    open_losses(tmp_path, model()).score(rows, pairs)

    for other in (
        open_losses(tmp_path, model(seed=1)),
        open_losses(tmp_path, model(), corpus_digest="another"),
    ):
        _, made = other.score(rows, pairs)

        assert len(made) == NUM_ROWS

    # One pair under another tokenizer: its loss is made anew, and kept in place of the old one.
    targets = list(pairs.target)
    targets[7] = torch.cat([targets[7], torch.tensor([9])])

    pairs = replace(pairs, target=targets)

    losses = open_losses(tmp_path, model())

    values, made = losses.score(rows, pairs)

    assert made.tolist() == [7]
    assert float(values[7]) == pytest.approx(float(scorer_of(model()).score(pairs.take([7]))))
    assert len(losses.score(rows, pairs)[1]) == 0


def test_another_language_token_is_never_served(tmp_path: Path) -> None:
    pairs, rows = random_pairs(NUM_ROWS), np.arange(NUM_ROWS)

    open_losses(tmp_path, model()).score(rows, pairs)

    swapped = {ENG: DEU, DEU: ENG}

    other = replace(pairs, target_langs=[swapped[lang] for lang in pairs.target_langs])

    values, made = open_losses(tmp_path, model()).score(rows, other)

    assert len(made) == NUM_ROWS
    np.testing.assert_allclose(values, scorer_of(model()).score(other).numpy(), rtol=1e-5)


def test_a_damaged_record_is_made_anew(tmp_path: Path) -> None:
    pairs, rows = random_pairs(NUM_ROWS), np.arange(NUM_ROWS)

    expected, _ = open_losses(tmp_path, model()).score(rows, pairs)

    (file,) = tmp_path.rglob("records.bin")

    content = bytearray(file.read_bytes())
    content[-8] ^= 1
    file.write_bytes(content)

    values, made = open_losses(tmp_path, model()).score(rows, pairs)

    assert made.tolist() == [NUM_ROWS - 1]
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_a_loss_that_is_not_finite_is_said_and_not_kept(tmp_path: Path) -> None:
    pairs, rows = random_pairs(NUM_ROWS), np.arange(NUM_ROWS)

    broken = model()

    with torch.no_grad():
        broken.final_proj.get_parameter("weight").fill_(float("nan"))

    for _ in range(2):
        with pytest.raises(EmbeddingError, match="not finite: check its checkpoint"):
            open_losses(tmp_path, broken).score(rows, pairs)


def test_the_digest_is_of_the_structure_too() -> None:
    config = NllbConfig(
        model_dim=16,
        max_seq_len=64,
        vocab_size=50,
        num_encoder_layers=1,
        num_decoder_layers=1,
        num_encoder_attn_heads=2,
        num_decoder_attn_heads=2,
        ffn_inner_dim=16,
    )

    first = create_nllb_model(config)
    second = create_nllb_model(replace(config, num_encoder_attn_heads=4))

    second.load_state_dict(first.state_dict())

    assert digest_of_model(first) != digest_of_model(second)


def test_the_digest_is_of_every_weight() -> None:
    digest = digest_of_model(model())

    assert digest == digest_of_model(model().eval())

    for name, parameter in model().named_parameters():
        other = model()

        with torch.no_grad():
            other.get_parameter(name).view(-1)[parameter.numel() // 2] += 1.0

        assert digest_of_model(other) != digest, name
