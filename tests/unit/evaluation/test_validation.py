from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.device import CPU
from fairseq2.generation import (
    GenerationCounters,
    Hypothesis,
    Seq2SeqGenerator,
    SequenceGeneratorOutput,
    StepHook,
)
from fairseq2.metrics import MetricBag
from fairseq2.metrics.text import BleuMetric
from fairseq2.models.seq2seq import Seq2SeqModel
from fairseq2.nn import BatchLayout
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.tokenizers import tokenizer_ja_mecab
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.utils.hooks import RemovableHandle
from typing_extensions import override

from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.embedding.tokens import TokenizedPairs
from fairseq2_jest.embedding.translation_format import EncoderDecoderTranslation
from fairseq2_jest.evaluation.errors import EvaluationError
from fairseq2_jest.evaluation.validation import (
    TranslationEvalUnit,
    ValidationConfig,
    check_tokenizers,
)
from fairseq2_jest.selection.batching import MicroBatcher
from fairseq2_jest.training.errors import TrainingError
from fairseq2_jest.training.valid_reader import ValidationTexts
from tests.sacrebleu_program import score_file, write_texts
from tests.unit.tiny import DEU, ENG, model, random_pairs, tokenizer

REFERENCES = [
    "die katze sieht den hund in dem garten .",
    "der hund sieht die katze nicht .",
    "die frau liest ein buch .",
    "das kind spielt mit dem hund , und die katze schläft .",
    "er kommt .",
]

GOOD = [
    "die katze sieht den hund in einem garten .",
    "der hund sieht die katze nicht .",
    "eine frau liest das buch .",
    "das kind spielt mit dem hund und die katze schläft",
    "",
]
"""Translations of which every n-gram order has a match."""

POOR = [
    "eine katze mag den hund im garten !",
    "ein hund sieht sie nicht .",
    "frau buch liest",
    "kind , spielt , hund , katze .",
    "kommt",
]
"""Translations without a match of four words, as at the beginning of a training."""


class Scripted(Seq2SeqGenerator):
    """Says what it is told to, one text after another, with a worse one behind each."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._texts = list(texts)
        self.sources: list[list[int]] = []
        self.prompts: list[list[int]] = []

    @override
    def __call__(
        self,
        source_seqs: Tensor,
        source_seqs_layout: BatchLayout,
        prompt_seqs: Tensor,
        prompt_seqs_layout: BatchLayout,
    ) -> SequenceGeneratorOutput:
        lengths = source_seqs_layout.seq_lens

        for seq, length in zip(source_seqs.tolist(), lengths, strict=True):
            self.sources.append(seq[:length])

        self.prompts += prompt_seqs.tolist()

        encode = tokenizer().create_encoder(lang=DEU, mode="target")

        hypotheses = []

        for _ in lengths:
            best = Hypothesis(encode(self._texts.pop(0)), torch.tensor(-1.0), None)
            worse = Hypothesis(encode("buch"), torch.tensor(-2.0), None)

            hypotheses.append([best, worse])

        return SequenceGeneratorOutput(hypotheses, GenerationCounters())

    @override
    def register_step_hook(self, hook: StepHook) -> RemovableHandle:
        raise AssertionError("No hook is expected.")

    @property
    @override
    def model(self) -> Seq2SeqModel:
        raise AssertionError("The model is not expected to be asked for.")


def english_pairs(num: int) -> TokenizedPairs:
    pairs = random_pairs(num)

    return TokenizedPairs(
        source=pairs.source,
        target=pairs.target,
        source_langs=[ENG] * num,
        target_langs=[DEU] * num,
    )


def batch_of(pairs: TokenizedPairs, references: list[str] | None = None) -> Seq2SeqBatch:
    texts = None

    if references is not None:
        rows = list(range(len(references)))

        texts = ValidationTexts(
            rows=rows, sources=[f"source {row}" for row in rows], references=references
        )

    return MicroBatcher(tokenizer(), max_num_tokens=10_000).collate(pairs, example=texts)


def unit_of(
    generator: Seq2SeqGenerator | None, config: ValidationConfig | None = None
) -> tuple[TranslationEvalUnit, MetricBag]:
    unit = TranslationEvalUnit(
        model().eval(), tokenizer(), Direction(ENG, DEU), config or ValidationConfig(), generator
    )

    bag = MetricBag(CPU)
    unit.prepare_metric_bag(bag)

    return unit, bag


def scores_of(translations: list[str], config: ValidationConfig | None = None) -> dict[str, float]:
    """What a validation in batches of two says."""
    unit, bag = unit_of(Scripted(translations), config)

    pairs = english_pairs(len(translations))

    for begin in range(0, len(translations), 2):
        places = list(range(len(translations)))[begin : begin + 2]

        unit.process_batch(batch_of(pairs.take(places), [REFERENCES[i] for i in places]), bag)

    return {
        name: float(bag.metrics[name].compute()) for name in ("bleu", "chrf") if name in bag.metrics
    }


def sacrebleu(folder: Path, translations: list[str], *options: str) -> list[dict[str, Any]]:
    """What sacrebleu's own program prints."""
    files = [write_texts(folder / "ref", REFERENCES)], write_texts(folder / "hyp", translations)

    return score_file(*files, *options)


BOTH = ("-m", "bleu", "chrf", "--chrf-word-order", "2")


def test_scores_and_signatures_are_those_of_sacrebleus_program(tmp_path: Path) -> None:
    bleu, chrf = sacrebleu(tmp_path, GOOD, *BOTH)

    scores = scores_of(GOOD)

    assert scores["bleu"] == pytest.approx(bleu["score"], abs=1e-4)
    assert scores["chrf"] == pytest.approx(chrf["score"], abs=1e-4)
    # Neither 0 nor 100, which much could agree on.
    assert 20.0 < scores["bleu"] < 90.0

    unit, _ = unit_of(Scripted([]))

    assert unit.signatures() == [f"{score['name']}|{score['signature']}" for score in (bleu, chrf)]


def test_another_tokenizer_is_used_and_signed(tmp_path: Path) -> None:
    (bleu,) = sacrebleu(tmp_path, GOOD, "-m", "bleu", "-tok", "char")

    config = ValidationConfig(bleu_tokenizer="char", chrf=False)

    assert scores_of(GOOD, config) == {"bleu": pytest.approx(bleu["score"], abs=1e-4)}

    unit, _ = unit_of(Scripted([]), config)

    assert unit.signatures() == [f"{bleu['name']}|{bleu['signature']}"]


@pytest.mark.parametrize("lang", ["zho_Hans", "zh_CN"])
def test_the_target_language_chooses_the_tokenizer(lang: str) -> None:
    references = ["猫在花园里看见了那只狗。", "那个女人今天在家里读一本书。"]
    translations = ["猫在花园里看见了一只狗。", "那个女人今天在家里读这本书。"]

    bleu = BLEU(tokenize="zh")

    expected = bleu.corpus_score(translations, [references]).score

    # By sacrebleu's default each sentence is one word.
    assert BLEU().corpus_score(translations, [references]).score == 0.0 and expected > 50.0

    unit = TranslationEvalUnit(
        model().eval(),
        tokenizer(),
        Direction(ENG, lang),
        ValidationConfig(chrf=False),
        None,
        translation=EncoderDecoderTranslation(tokenizer(), Direction(ENG, DEU)),
    )

    bag = MetricBag(CPU)

    unit.prepare_metric_bag(bag)

    bag.get("bleu", BleuMetric).update(references, translations)

    assert float(bag.metrics["bleu"].compute()) == pytest.approx(expected, abs=1e-4)
    assert unit.signatures() == [f"BLEU|{bleu.get_signature()}"]


def test_a_tokenizer_that_is_missing_is_told_of_the_direction_that_needs_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokenizer_ja_mecab, "MeCab", None)

    directions = Direction(ENG, DEU), Direction(ENG, "jpn_Jpan")

    with pytest.raises(EvaluationError, match=r"validation\.bleu of jpn_Jpan .*'sacrebleu\[ja\]'"):
        check_tokenizers(ValidationConfig(), directions)

    check_tokenizers(ValidationConfig(), directions[:1])
    check_tokenizers(ValidationConfig(bleu=False), directions)
    check_tokenizers(ValidationConfig(bleu_tokenizer="char"), directions)


def test_bleu_without_a_match_of_four_words_is_sacrebleus(tmp_path: Path) -> None:
    (bleu,) = sacrebleu(tmp_path, POOR, "-m", "bleu")

    assert scores_of(POOR)["bleu"] == pytest.approx(bleu["score"], abs=1e-4)


def test_chrf_without_a_match_of_four_words_is_sacrebleus(tmp_path: Path) -> None:
    (chrf,) = sacrebleu(tmp_path, POOR, "-m", "chrf", "--chrf-word-order", "2")

    assert scores_of(POOR)["chrf"] == pytest.approx(chrf["score"], abs=1e-4)


def test_the_generator_is_given_the_source_and_the_targets_prompt() -> None:
    generator = Scripted(GOOD)

    unit, bag = unit_of(generator)

    pairs = english_pairs(5)

    unit.process_batch(batch_of(pairs, REFERENCES), bag)

    source = tokenizer().create_encoder(lang=ENG, mode="source")
    target = tokenizer().create_encoder(lang=DEU, mode="target")

    assert source.prefix_indices is not None and source.suffix_indices is not None
    assert target.prefix_indices is not None

    assert generator.prompts == [target.prefix_indices.tolist()] * 5
    assert generator.sources == [
        [*source.prefix_indices.tolist(), *body.tolist(), *source.suffix_indices.tolist()]
        for body in pairs.source
    ]


def test_what_carries_no_references_is_not_translated_but_has_a_loss() -> None:
    generator = Scripted([])

    unit, bag = unit_of(generator)

    unit.process_batch(batch_of(english_pairs(3)), bag)

    assert generator.prompts == []
    assert float(bag.metrics["nll_loss"].compute()) > 0.0


@pytest.mark.parametrize("name", ["bleu", "chrf"])
def test_a_score_can_be_left_out(name: str) -> None:
    config = ValidationConfig(bleu=name == "bleu", chrf=name == "chrf")

    assert scores_of(GOOD, config) == {name: pytest.approx(scores_of(GOOD)[name])}

    unit, _ = unit_of(Scripted([]), config)

    (signature,) = unit.signatures()

    assert signature.startswith("BLEU|" if name == "bleu" else "chrF2++|")


def test_without_scores_no_generator_is_needed() -> None:
    config = ValidationConfig(bleu=False, chrf=False)

    unit, bag = unit_of(None, config)

    unit.process_batch(batch_of(english_pairs(2), REFERENCES[:2]), bag)

    assert not config.translates
    assert unit.signatures() == []
    assert float(bag.metrics["nll_loss"].compute()) > 0.0


def test_scores_without_a_generator_are_refused() -> None:
    unit, bag = unit_of(None)

    with pytest.raises(TrainingError, match="need a sequence generator"):
        unit.process_batch(batch_of(english_pairs(2), REFERENCES[:2]), bag)


def test_the_loss_is_per_target_token_and_not_smoothed() -> None:
    unit, bag = unit_of(None)

    pairs = english_pairs(6)

    for places in ([0, 1, 2, 3], [4, 5]):
        unit.process_batch(batch_of(pairs.take(places)), bag)

    total, count = 0.0, 0

    learner = model().eval()

    with torch.no_grad():
        for index in range(6):
            batch = batch_of(pairs.take([index]))

            inputs, outputs = batch.target_seqs[:, :-1], batch.target_seqs[0, 1:]

            logits = learner(
                batch.source_seqs,
                BatchLayout.of(batch.source_seqs),
                inputs,
                BatchLayout.of(inputs),
            )

            total += float(cross_entropy(logits[0], outputs, reduction="sum"))
            count += len(outputs)

    assert float(bag.metrics["nll_loss"].compute()) == pytest.approx(total / count, rel=1e-5)


def test_a_unit_is_named_by_its_direction() -> None:
    assert unit_of(None)[0].name == "eng_Latn-deu_Latn"


@pytest.mark.parametrize(
    ("config", "field"),
    [
        (ValidationConfig(bleu_tokenizer="14a"), "bleu_tokenizer"),
        (ValidationConfig(max_num_examples=0), "max_num_examples"),
    ],
)
def test_configs_name_the_field_that_is_wrong(config: ValidationConfig, field: str) -> None:
    (error,) = config.validate().errors

    assert f"`{field}` must be" in str(error)


def test_usual_configs_are_fine() -> None:
    assert not ValidationConfig().validate().has_error()
    assert not ValidationConfig(max_num_examples=None, bleu_tokenizer="zh").validate().has_error()
