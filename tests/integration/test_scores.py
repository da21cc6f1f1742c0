"""Scores and choices of `mt translate` and of validation are those of transformers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.generation import Seq2SeqGenerator
from fairseq2.recipe.run import run
from safetensors.torch import load_file, save_file

from fairseq2_jest.cli.config import ConfigSources, load_config
from fairseq2_jest.models.generation import ignore_prompt_scores
from fairseq2_jest.recipes import model_kinds
from fairseq2_jest.recipes.translate.recipe import TranslateRecipe
from tests.hugging_face import make_folder, texts
from tests.integration.runs import finetune
from tests.translating import write_lines
from tests.unit.models.parity import padded, theirs

MAX_LEN = 20

BEAM = 4

LINES = list(texts(60)[::2])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that does not believe in its target language, and ends where it likes."""
    folder = make_folder(tmp_path_factory.mktemp("model"), "mbart50", seed=2)

    file = folder / "model.safetensors"

    state = load_file(file)

    _, tokenizer = theirs(folder)

    state["final_logits_bias"][0, tokenizer.convert_tokens_to_ids("de_DE")] -= 40.0

    # Hypotheses of one sentence are to be of different lengths.
    state["final_logits_bias"][0, tokenizer.eos_token_id] += 4.0

    # A random model has little to say of its source, else.
    for name, weight in state.items():
        if "encoder_attn.out_proj.weight" in name:
            weight.mul_(3.0)

    save_file(state, file, metadata={"format": "pt"})

    theirs.cache_clear()

    return folder


def in_transformers(folder: Path) -> tuple[list[str], torch.Tensor]:
    model, tokenizer = theirs(folder)

    tokenizer.src_lang = "en_XX"

    sources = [torch.tensor(tokenizer(line)["input_ids"]) for line in LINES]

    source, _, mask = padded(sources, tokenizer.pad_token_id)

    def end_at_last(ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        # Of transformers' own cut no end is counted.
        if ids.size(1) < 1 + MAX_LEN:
            return scores

        others = torch.arange(scores.size(1)) != tokenizer.eos_token_id

        return scores.masked_fill(others, -torch.inf)

    output = model.generate(
        input_ids=source,
        attention_mask=mask.long(),
        forced_bos_token_id=tokenizer.convert_tokens_to_ids("de_DE"),
        forced_eos_token_id=None,
        bad_words_ids=[[tokenizer.pad_token_id]],
        num_beams=BEAM,
        do_sample=False,
        max_new_tokens=1 + MAX_LEN,
        early_stopping=True,
        logits_processor=[end_at_last],
        output_scores=True,
        return_dict_in_generate=True,
    )

    return tokenizer.batch_decode(output.sequences, skip_special_tokens=True), (
        output.sequences_scores
    )


def translate(out: Path, folder: Path) -> tuple[list[str], list[float]]:
    write_lines(out.with_suffix(".txt"), LINES)

    overrides = [
        "direction=en_XX-de_DE",
        f"input.path={out.with_suffix('.txt')}",
        f"model.name={folder}",
        f"tokenizer.name={folder}",
        "output.format=jsonl",
        "output.scores=true",
        "translation.max_source_len=40",
        f"seq2seq_generator.config.beam_size={BEAM}",
        f"seq2seq_generator.config.max_gen_len={MAX_LEN}",
        "common.torch.num_threads=1",
    ]

    with load_config(TranslateRecipe(), ConfigSources(overrides=[overrides])) as (config, _):
        pass

    run(TranslateRecipe(), config, out, no_rich=True, no_progress=True)

    lines = (out / "translations.jsonl").read_text(encoding="utf-8").splitlines()

    results = [json.loads(line) for line in lines]

    return [r["hypothesis"] for r in results], [r["score"] for r in results]


def normalized(translations: list[str]) -> list[str]:
    return [" ".join(text.split()) for text in translations]


def test_translations_and_scores_are_those_of_transformers(folder: Path, tmp_path: Path) -> None:
    expected, expected_scores = in_transformers(folder)

    actual, scores = translate(tmp_path / "out", folder)

    assert normalized(actual) == normalized(expected)
    assert len(set(actual)) > len(LINES) // 3

    torch.testing.assert_close(torch.tensor(scores), expected_scores, rtol=0.0, atol=1e-4)


def test_with_the_prompt_s_scores_others_win(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, expected_scores = in_transformers(folder)

    monkeypatch.setattr(model_kinds, "ignore_prompt_scores", lambda generator: None)

    actual, scores = translate(tmp_path / "out", folder)

    assert normalized(actual) != normalized(expected)
    assert not torch.allclose(torch.tensor(scores), expected_scores, atol=0.1)


def test_validation_ignores_them_too_with_one_hook_for_all_directions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooked: list[Seq2SeqGenerator] = []

    def hook(generator: Seq2SeqGenerator) -> Any:
        hooked.append(generator)

        return ignore_prompt_scores(generator)

    monkeypatch.setattr(model_kinds, "ignore_prompt_scores", hook)

    finetune(
        tmp_path,
        "regime.num_steps=1",
        "regime.validate_every_n_steps=1",
        "regime.checkpoint_every_n_steps=1",
        "regime.publish_metrics_every_n_steps=1",
    )

    assert len(hooked) == 1
