from __future__ import annotations

from pathlib import Path

import pytest
from fairseq2.recipe.config import (
    BeamSearchConfig,
    GangSection,
    SamplingConfig,
    Seq2SeqGeneratorSection,
)
from fairseq2.recipe.internal.config import _is_train_config
from fairseq2.utils.validation import StandardObjectValidator, ValidationError

from fairseq2_jest.recipes.finished_run import RunSection
from fairseq2_jest.recipes.translate.config import TranslateConfig
from fairseq2_jest.translation.config import InputConfig, OutputConfig

EN_DE = "eng_Latn-deu_Latn"

SAMPLING = Seq2SeqGeneratorSection(name="sampling", config=SamplingConfig())


def beam(size: int) -> Seq2SeqGeneratorSection:
    return Seq2SeqGeneratorSection(config=BeamSearchConfig(beam_size=size))


@pytest.mark.parametrize(
    "config",
    [
        TranslateConfig(direction=EN_DE),
        TranslateConfig(direction=EN_DE, output=OutputConfig(num_hypotheses=5)),
        TranslateConfig(direction=EN_DE, run=RunSection(path=Path("a"), checkpoint_dir=Path("b"))),
        # What somebody registered is not known to have a beam.
        TranslateConfig(
            direction=EN_DE,
            output=OutputConfig(num_hypotheses=50),
            seq2seq_generator=Seq2SeqGeneratorSection(name="own", config=None),
        ),
        TranslateConfig(direction=EN_DE, seq2seq_generator=SAMPLING),
        TranslateConfig(
            direction=EN_DE,
            output=OutputConfig(format="tsv", scores=True),
            seq2seq_generator=Seq2SeqGeneratorSection(
                name="sampling", config=SamplingConfig(compute_scores=True)
            ),
        ),
        TranslateConfig(direction=EN_DE, output=OutputConfig(column="source", format="tsv")),
        # There the source is what it was.
        TranslateConfig(
            direction=EN_DE,
            input=InputConfig(path=Path("a.jsonl")),
            output=OutputConfig(column="source"),
        ),
    ],
)
def test_a_right_config_is_taken(config: TranslateConfig) -> None:
    StandardObjectValidator().validate(config)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (TranslateConfig(), "`direction` is wrong: '' is not a direction"),
        (TranslateConfig(direction="de"), "`direction` is wrong: 'de' is not a direction"),
        (
            TranslateConfig(direction=EN_DE, gang=GangSection(tensor_parallel_size=2)),
            "`gang.tensor_parallel_size` must be 1",
        ),
        (
            TranslateConfig(
                direction=EN_DE, output=OutputConfig(num_hypotheses=3), seq2seq_generator=beam(2)
            ),
            "`output.num_hypotheses` (3) must not exceed `seq2seq_generator.config.beam_size` (2)",
        ),
        (
            TranslateConfig(
                direction=EN_DE, output=OutputConfig(num_hypotheses=2), seq2seq_generator=SAMPLING
            ),
            "`output.num_hypotheses` is 2, but must be 1 where `seq2seq_generator.name` is sampli",
        ),
        (
            TranslateConfig(
                direction=EN_DE, output=OutputConfig(scores=True), seq2seq_generator=SAMPLING
            ),
            "`seq2seq_generator.config.compute_scores` must be true where `output.scores` is.",
        ),
        (
            TranslateConfig(direction=EN_DE, output=OutputConfig(column="source", format="jsonl")),
            "`output.column` must not be 'source', where the source goes: the input is text.",
        ),
        (
            TranslateConfig(direction=EN_DE, run=RunSection(checkpoint_dir=Path("b"))),
            "`path` must be given where `checkpoint_dir` is.",
        ),
    ],
)
def test_a_wrong_config_is_told(config: TranslateConfig, message: str) -> None:
    with pytest.raises(ValidationError) as ex:
        StandardObjectValidator().validate(config)

    assert message in str(ex.value)


def test_it_is_an_inference_recipe() -> None:
    """fairseq2 then runs all of it without gradients, and never makes a new model."""
    assert not _is_train_config(TranslateConfig)


def test_the_result_is_where_the_user_said() -> None:
    assert TranslateConfig().common.no_sweep_dir
