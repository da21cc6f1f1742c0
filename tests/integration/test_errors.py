"""What a user gets wrong is told in one sentence, the same by `mt finetune` and `mt check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.integration.forked import Finished, fork, run_program, start_program
from tests.integration.runs import TINY

DEMO = ("--preset", "demo-jest", "--config", *TINY, "regime.num_steps=1")

LOCAL = (
    "dataset.name=null",
    "dataset.config_overrides.corpora=["
    "{split: train, direction: eng_Latn-deu_Latn, path: pairs.tsv},"
    "{split: valid, direction: eng_Latn-deu_Latn, path: pairs.tsv}]",
)

NLLB = ("--preset", "jest", "--config", *LOCAL)

# A port that nothing listens at: without a network, and on a machine that has one.
UNREACHABLE = {
    **{f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https", "HTTP", "HTTPS")},
    "no_proxy": "",
    "NO_PROXY": "",
    "FAIRSEQ2_CACHE_DIR": "empty",
}

CANNOT_DOWNLOAD = (
    "cannot be downloaded (Connection refused); check the network, or fetch it where there is one "
    "and bring its cache folder (FAIRSEQ2_CACHE_DIR) here."
)

NO_REFERENCE = (
    "The reference model fairseq2-jest/no-such is not in the local Hugging Face cache and cannot "
    "be downloaded: check its name and the network, or set `model` to a folder that holds it."
)

CASES = {
    "a super-batch larger than the corpus": (
        (*DEMO, "batch_selector.config.super_batch_size=40000"),
        "batch_selector.config.super_batch_size is 40000, but there are 27000 pair(s) to train on: "
        "lower it, or train on them all with batch_selector.name=iid.",
    ),
    "a reducible loss without a reference model": (
        (*DEMO, "batch_selector.config.learner_view=reducible_loss"),
        "batch_selector.config.learner_view is reducible_loss, which needs a reference model: name "
        "one that was trained on pairs you trust in reference_model, such as a checkpoint of "
        "`fairseq2 mt finetune --preset iid`, or set learner_weight to 0.",
    ),
    "a typo in a config key": (
        (*DEMO, "regime.num_stepz=3"),
        "fairseq2: --config: regime.num_stepz is not a known config key; did you mean num_steps?",
    ),
    "a typo in a component's config": (
        (*DEMO, "batch_selector.config.filter_ration=0.5"),
        "batch_selector.config.filter_ration is not a known config key; did you mean filter_ratio?",
    ),
    "a typo in what a corpus is": (
        (*DEMO, "dataset.config_overrides.corpora=[{split: train, direction: a-b, pth: a.tsv}]"),
        "dataset.config_overrides.corpora[0].pth is not a known config key; did you mean path?",
    ),
    "a typo in what the model is": (
        (*DEMO, "model.config_overrides.model_dimm=64"),
        "model.config_overrides.model_dimm is not a known config key; did you mean model_dim?",
    ),
    "a corpus without a file": (
        (*DEMO, "dataset.config_overrides.corpora=[{split: train, direction: a-b, format: tsv}]"),
        "`dataset.config_overrides.corpora[0]` is not valid: `path` must be given, since the "
        "format is tsv.",
    ),
    "an unknown preset": (
        ("--preset", "demo-jset"),
        "fairseq2: demo-jset is not a preset of mt finetune; did you mean demo-jest or "
        "demo-reverse?",
    ),
    "an unknown selector": (
        (*DEMO, "batch_selector.name=independant"),
        "batch_selector.name is 'independant', which is not known; did you mean independent?",
    ),
    "an unknown reference encoder": (
        (*DEMO, "reference_encoder.name=sentence_transformers"),
        "reference_encoder.name is 'sentence_transformers', which is not known; did you mean "
        "sentence_transformer?",
    ),
    "an unknown language": (
        (*DEMO, LOCAL[0], LOCAL[1].replace("deu_Latn", "deu_Latin")),
        "The tokenizer does not know the language 'deu_Latin' of direction eng_Latn-deu_Latin: "
        "did you mean 'deu_Latn'?",
    ),
    "an unknown model": (
        (*DEMO, "model.name=nllb-200_dense_distil_600m"),
        "model.name is nllb-200_dense_distil_600m, which is not a known model; did you mean "
        "nllb-200_dense_distill_600m or nllb-200_dense_distill_1b or nllb-200-distilled-600M?",
    ),
    "an unknown data set": (
        (*DEMO, "dataset.name=builtin-edne"),
        "dataset.name is builtin-edne, which is not a known dataset; did you mean builtin-ende?",
    ),
    "a model that does not exist": (
        (*DEMO, "model.path=step_2/model"),
        "model.path is step_2/model, which does not exist; mend the path (relative paths start "
        "from {folder}).",
    ),
    "a tokenizer that does not exist": (
        (*DEMO, "tokenizer.family=nllb", "tokenizer.path=pieces.model"),
        "tokenizer.path is pieces.model, which does not exist; did you mean piece.model?",
    ),
    "a tokenizer that is none": (
        (*DEMO, "tokenizer.family=nllb", "tokenizer.path=piece.model"),
        "piece.model is not a valid SentencePiece model; mend tokenizer.path, or make that file "
        "anew.",
    ),
    "no data set at all": (
        ("--preset", "jest"),
        "The data set's configuration is not valid: `corpora` must list at least one corpus; a "
        "config names them in `dataset.config_overrides.corpora`.",
    ),
    "a corpus file that does not exist": (
        (*DEMO, LOCAL[0], LOCAL[1].replace("pairs.tsv", "pair.tsv")),
        "The corpus file pair.tsv does not exist; mend the path (relative paths start from "
        "{folder}).",
    ),
    "a reference that is no folder": (
        (
            *DEMO,
            "reference_encoder.name=sentence_transformer",
            "reference_encoder.config.model=./no",
        ),
        "The reference model ./no is not a folder: correct the path, or give the name of a model "
        "on the hub.",
    ),
    "a reference to filter by that is no folder": (
        (
            *("--preset", "demo-iid", "--config", "common.no_sweep_dir=true"),
            "dataset.min_reference_score=0.5",
            "reference_encoder.name=sentence_transformer",
            "reference_encoder.config.model=./no",
        ),
        "The reference model ./no is not a folder: correct the path, or give the name of a model "
        "on the hub.",
    ),
    "a reference that cannot be downloaded": (
        (
            *DEMO,
            "reference_encoder.name=sentence_transformer",
            "reference_encoder.config.model=fairseq2-jest/no-such",
        ),
        NO_REFERENCE,
    ),
    "more layers of the learner than there are": (
        (
            *DEMO,
            "batch_selector.config.learner_weight=0.2",
            "batch_selector.config.learner_view=similarity",
            "batch_selector.num_learner_layers=9",
        ),
        "batch_selector.num_learner_layers is 9, but the model has 2 layer(s) that can be run one "
        "by one; name as many as that, or set null.",
    ),
    "a tokenizer that cannot be downloaded": (
        NLLB,
        "tokenizer.name is nllb-200, and its file https://tinyurl.com/flores200sacrebleuspm "
        + CANNOT_DOWNLOAD,
    ),
    "a model that cannot be downloaded": (
        (
            *NLLB,
            "tokenizer.name=builtin-ende",
            "reference_encoder.name=builtin",
            "batch_selector.config.super_batch_size=50",
        ),
        "model.name is nllb-200_dense_distill_600m, and its file "
        "https://tinyurl.com/nllb200densedst600mcheckpoint " + CANNOT_DOWNLOAD,
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pairs = [f"this is number {i}\tdas ist Nummer {i}\n" for i in range(60)]

    (tmp_path / "pairs.tsv").write_text("".join(pairs), encoding="utf-8")
    (tmp_path / "piece.model").write_text("text", encoding="utf-8")

    return tmp_path


def check_told(result: Finished, sentence: str) -> None:
    lines = result.err.splitlines()

    assert "Traceback" not in result.err
    assert lines[-1].endswith(sentence), result.err[-2000:]
    assert result.err.count(sentence) == 1
    assert result.code == 2


@pytest.mark.parametrize("case", CASES)
def test_a_run_and_its_check_tell_in_the_same_sentence(case: str, folder: Path) -> None:
    args, sentence = CASES[case]

    sentence = sentence.format(folder=folder)

    commands = (("finetune", "out", "--no-rich"), ("check",))

    runs = [start_program("mt", *c, *args, folder=folder, env=UNREACHABLE) for c in commands]

    for run in runs:
        check_told(run.wait(), sentence)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "dataset.max_seq_len=1000",
            "dataset.max_seq_len is 1000, but the model takes at most 256 tokens; lower it.",
        ),
        (
            "dataset.max_seq_len=4",
            "No validation pair of eng_Latn-deu_Latn fits into dataset.max_seq_len (4); raise it, "
            "or set dataset.valid_split to null.",
        ),
    ],
    # The test's name is in the environment, which fairseq2 logs.
    ids=["model", "validation"],
)
def test_a_length_that_does_not_fit_is_told_before_training(
    override: str, sentence: str, folder: Path
) -> None:
    args = ("mt", "finetune", "out", "--no-rich", *DEMO, override)

    check_told(run_program(*args, folder=folder), sentence)


SMALL: dict[str, dict[str, Any]] = {
    "nllb": {
        **{"model_dim": 16, "ffn_inner_dim": 16, "num_encoder_layers": 1, "num_decoder_layers": 1},
        **{"num_encoder_attn_heads": 2, "num_decoder_attn_heads": 2},
        **{"vocab_size": 2000, "max_seq_len": 256},
    },
    "llama": {
        **{"model_dim": 16, "ffn_inner_dim": 16, "num_layers": 1, "num_attn_heads": 2},
        **{"num_key_value_heads": 2, "vocab_size": 2000, "max_seq_len": 256},
    },
}


def reference_model(folder: Path, family: str, **overrides: int) -> list[str]:
    """Saves a reference model with random weights, and says how a config names it."""
    import torch
    from fairseq2.models.llama import LLaMAConfig
    from fairseq2.models.llama.factory import create_llama_model
    from fairseq2.models.nllb import NllbConfig
    from fairseq2.models.nllb.factory import create_nllb_model

    config: dict[str, Any] = {**SMALL[family], **overrides}

    model = (
        create_nllb_model(NllbConfig(**config))
        if family == "nllb"
        else create_llama_model(LLaMAConfig(**config))
    )

    torch.save(model.state_dict(), folder / "reference.pt")

    values = ", ".join(f"{key}: {value}" for key, value in config.items())

    return [
        f"reference_model.family={family}",
        "reference_model.path=reference.pt",
        f"reference_model.config_overrides={{{values}}}",
    ]


@pytest.mark.parametrize(
    ("family", "overrides", "sentence"),
    [
        (
            "nllb",
            {"vocab_size": 300},
            "The tokenizer has 2000 tokens, but reference_model knows 300; name ones that belong "
            "together.",
        ),
        (
            "nllb",
            {"vocab_size": 2001},
            "The model has a vocabulary of 2,000 tokens, reference_model one of 2,001, so that "
            "their losses do not compare; name a fine-tune of the same base model.",
        ),
        (
            "nllb",
            {"max_seq_len": 64},
            "dataset.max_seq_len is 96, but reference_model takes at most 64 tokens; lower it.",
        ),
        (
            "llama",
            {},
            "reference_model must be a TransformerModel, but the one named is a TransformerLM; "
            "name another.",
        ),
    ],
    ids=["vocabulary", "units", "length", "decoder"],
)
def test_a_reference_model_that_does_not_fit_is_told_before_training(
    family: str, overrides: dict[str, int], sentence: str, folder: Path
) -> None:
    config = (
        *DEMO,
        *reference_model(folder, family, **overrides),
        "batch_selector.config.learner_view=reducible_loss",
    )

    for command in (("finetune", "out", "--no-rich"), ("check", "finetune")):
        check_told(run_program("mt", *command, *config, folder=folder), sentence)


def test_a_check_takes_a_reference_model_beside_an_adapter(folder: Path) -> None:
    config = (
        *DEMO,
        *reference_model(folder, "nllb"),
        "batch_selector.config.learner_view=reducible_loss",
        "adapter.name=lora",
    )

    result = run_program("mt", "check", *config, folder=folder)

    assert result.code == 0, result.err
    assert [line.partition(":")[0] for line in result.out.splitlines()[-2:]] == ["lora", "joint"]


def test_a_reference_model_that_nobody_asks_for_is_told(folder: Path) -> None:
    named = reference_model(folder, "nllb")

    result = run_program("mt", "finetune", "out", "--no-rich", *DEMO, *named, folder=folder)

    assert "reference_model is not used: batch_selector does not ask for its loss" in result.err
    assert result.code == 0


def test_a_hub_that_is_switched_off_is_told(folder: Path) -> None:
    def offline(*args: str) -> Callable[[], None]:
        def call() -> None:
            # What HF_HUB_OFFLINE=1 sets, which is read at the import.
            import huggingface_hub.constants

            from fairseq2_jest.cli.main import main

            huggingface_hub.constants.HF_HUB_OFFLINE = True

            main(args)

        return call

    args = CASES["a reference that cannot be downloaded"][0]

    for command in (("finetune", "out", "--no-rich"), ("check",)):
        check_told(fork(offline("mt", *command, *args), folder).wait(), NO_REFERENCE)


def test_a_damaged_history_of_early_stopping_is_told(folder: Path) -> None:
    (folder / "out").mkdir()

    file = folder / "out" / "early_stopping.json"

    file.write_text('{"1": -3.')

    args = ("finetune", "out", "--no-rich", *DEMO, "early_stopping.patience=1")

    check_told(
        run_program("mt", *args, folder=folder),
        f"{file} is damaged; restore it, or delete it to count early_stopping.patience from the "
        "next validation.",
    )


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("piece.model/out",), "The output directory piece.model/out"),
        (("out", "--checkpoint-dir", "piece.model"), "The checkpoint directory piece.model"),
    ],
)
def test_a_directory_that_cannot_be_written_is_told(
    options: tuple[str, ...], what: str, folder: Path
) -> None:
    result = run_program("mt", "finetune", *options, *DEMO, folder=folder)

    reason = "Not a directory" if "/" in what else "File exists"

    check_told(
        result,
        f"fairseq2: {what} cannot be written ({reason}); name another, or mend its permissions.",
    )


def test_a_model_of_another_shape_is_told(folder: Path) -> None:
    import torch

    torch.save({"weight": torch.zeros(2)}, folder / "model.pt")

    args = ("mt", "finetune", "out", *DEMO, "model.path=model.pt")

    # As a terminal shows it, where lines are wrapped.
    result = run_program(*args, folder=folder)

    assert (
        "Checkpoint at model.pt is not compatible with the nllb model; mend model.path, or make "
        "that file anew."
    ) in " ".join(result.err.split())
    assert "Traceback" not in result.err
    assert result.code == 2


def test_the_stack_trace_is_there_on_request(folder: Path) -> None:
    args = CASES["a tokenizer that is none"][0]

    options = ("--no-rich", "--no-exit-on-error")

    result = run_program("mt", "finetune", "out", *options, *args, folder=folder)

    assert result.code == 1
    assert "TokenizerModelError: piece.model is not a valid SentencePiece model." in result.err
