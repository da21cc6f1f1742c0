"""Validation of one direction: loss, BLEU, chrF++ and COMET."""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass

# fairseq2.evaluator cannot be imported first.
import fairseq2.recipe.base  # noqa: F401
import torch
from fairseq2.data.tokenizers import Tokenizer
from fairseq2.datasets import Seq2SeqBatch
from fairseq2.evaluator import EvalUnit
from fairseq2.logging import log
from fairseq2.metrics import MetricBag
from fairseq2.metrics.common import (
    add_nll_loss_metric,
    add_seq2seq_batch_metrics,
    update_nll_loss_metric,
    update_seq2seq_batch_metrics,
)
from fairseq2.metrics.text import BleuMetric, ChrfMetric
from fairseq2.utils.validation import Validatable, ValidationResult
from sacrebleu.metrics.base import Metric
from sacrebleu.metrics.bleu import BLEU
from torch import Tensor
from torch.nn import Module
from typing_extensions import override

from fairseq2_jest.corpus.pair import Direction
from fairseq2_jest.embedding.translation_format import (
    AnyGenerator,
    EncoderDecoderTranslation,
    TranslationFormat,
)
from fairseq2_jest.evaluation.comet.config import CometConfig
from fairseq2_jest.evaluation.comet.gathered import GatheredComet
from fairseq2_jest.evaluation.metrics import (
    check_tokenizer_name,
    create_bleu_of,
    create_chrf,
    tokenizer_of,
)
from fairseq2_jest.training.errors import TrainingError
from fairseq2_jest.training.pair_loss import EncoderDecoderLoss, PairLoss
from fairseq2_jest.training.valid_reader import ValidationTexts


@dataclass(frozen=True, kw_only=True)
class ValidationConfig(Validatable):
    """Configures what a validation measures beside the loss."""

    bleu: bool = True
    """Whether to translate the validation set and compute BLEU."""

    chrf: bool = True
    """Whether to translate the validation set and compute chrF++."""

    comet: CometConfig | None = None
    """Which COMET model scores what was translated, by its name ``comet`` also as
    ``regime.score_metric``; ``None`` for none, ``{}`` for the usual one. It takes its memory beside
    the run's on the machine of the first rank, while the others wait for its scores, at most for
    ``gang.timeout``."""

    bleu_tokenizer: str | None = None
    """sacrebleu's tokenizer for BLEU: 13a, intl, zh, ja-mecab, ko-mecab, char, flores200, ...;
    ``None`` for that of the target language of each direction, as in ``mt evaluate``."""

    max_num_examples: int | None = 500
    """The most pairs to translate in each direction; the loss is taken over all."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.bleu_tokenizer is not None:
            check_tokenizer_name(self.bleu_tokenizer, result)

        if self.max_num_examples is not None and self.max_num_examples < 1:
            result.add_error(
                f"`max_num_examples` must be at least 1, but is {self.max_num_examples}."
            )

        return result

    @property
    def translates(self) -> bool:
        """Whether a generator is needed."""
        return self.bleu or self.chrf or self.comet is not None


# fairseq2 marks it as final, but leaves no other way to say the smoothing.
class SmoothedBleuMetric(BleuMetric):  # type: ignore[misc]
    """fairseq2's BLEU with sacrebleu's default smoothing, for the signature to be true.

    fairseq2 computes without smoothing: 0 where an n-gram order has no match, as early in training.
    """

    @override
    @torch.inference_mode()
    def compute(self) -> Tensor:
        score = BLEU.compute_bleu(
            self.valid_ngrams.tolist(),
            self.total_ngrams.tolist(),
            int(self.sys_len),
            int(self.ref_len),
            smooth_method="exp",
        )

        return torch.tensor(score.score, device=self.device)


class TranslationEvalUnit(EvalUnit[Seq2SeqBatch]):
    """Measures loss (without label smoothing), BLEU, chrF++ and COMET in one direction."""

    def __init__(
        self,
        model: Module,
        tokenizer: Tokenizer,
        direction: Direction,
        config: ValidationConfig,
        generator: AnyGenerator | None,
        comet: GatheredComet | None = None,
        *,
        loss: PairLoss | None = None,
        translation: TranslationFormat | None = None,
    ) -> None:
        """
        :param model: The data parallel model.
        :param generator: Needed where ``config`` asks for a score of translations.
        :param comet: Needed where ``config`` asks for COMET; the directions may share it.
        :param loss: By default that of encoder-decoder models.
        :param translation: How ``generator`` is used; by default as one of an encoder-decoder
            model.

        :raises EvaluationError: The tokenizer of BLEU is not here.
        """
        check_tokenizers(config, [direction])

        self._model = model
        self._loss = EncoderDecoderLoss() if loss is None else loss
        self._translation = translation or EncoderDecoderTranslation(tokenizer, direction)
        self._direction = direction
        self._config = config
        self._generator = generator
        self._comet = comet
        self._signatures_logged = False

    @property
    @override
    def name(self) -> str:
        return f"{self._direction.source}-{self._direction.target}"

    @override
    @torch.inference_mode()
    def prepare_metric_bag(self, metric_bag: MetricBag) -> None:
        add_nll_loss_metric(metric_bag)
        add_seq2seq_batch_metrics(metric_bag)

        if self._config.bleu:
            tokenizer = self._config.bleu_tokenizer or tokenizer_of(self._direction.target)

            metric_bag.add("bleu", SmoothedBleuMetric(tokenizer))
        if self._config.chrf:
            metric_bag.add("chrf", ChrfMetric())
        if self._comet is not None:
            self._comet.reset()

    @override
    def process_batch(self, batch: Seq2SeqBatch, metric_bag: MetricBag) -> None:
        result = self._loss(self._model, batch)

        update_nll_loss_metric(metric_bag, result.loss, num_targets=result.num_targets)
        update_seq2seq_batch_metrics(metric_bag, result.given)

        if isinstance(batch.example, ValidationTexts) and self._config.translates:
            self._translate(batch, batch.example, metric_bag)

    def _translate(
        self, batch: Seq2SeqBatch, texts: ValidationTexts, metric_bag: MetricBag
    ) -> None:
        if self._generator is None:
            raise TrainingError("Scores of translations need a sequence generator.")

        found = self._translation.search(self._generator, *batch.as_source_input())

        translations = [self._translation.decode(hypotheses[0].seq) for hypotheses in found]

        if self._config.bleu:
            metric_bag.get("bleu", BleuMetric).update(texts.references, translations)
        if self._config.chrf:
            metric_bag.get("chrf", ChrfMetric).update(texts.references, translations)
        if self._comet is not None:
            samples = zip(texts.rows, texts.sources, translations, texts.references, strict=True)

            self._comet.add(list(samples))

    @override
    def finalize(self, metric_bag: MetricBag) -> None:
        if self._comet is not None:
            self._comet.gather()

    @override
    def process_metric_values(self, values: MutableMapping[str, object]) -> None:
        # Only the first rank is asked.
        if self._comet is not None:
            values["comet"] = self._comet.score()

        if self._config.translates and not self._signatures_logged:
            for signature in self.signatures():
                log.info("Scores of {} are signed {}.", self.name, signature)

            self._signatures_logged = True

    def signatures(self) -> list[str]:
        """The signatures of the scores, chrF++'s with ``nw:2``; on the first rank."""
        config = self._config

        signatures = score_signatures(
            self._direction.target,
            bleu=config.bleu,
            chrf=config.chrf,
            bleu_tokenizer=config.bleu_tokenizer,
        )

        return signatures if self._comet is None else [*signatures, self._comet.signature]


def check_tokenizers(config: ValidationConfig, directions: Iterable[Direction]) -> None:
    """Checks that what BLEU needs in these directions is here.

    :raises EvaluationError: It is not.
    """
    for direction in directions if config.bleu else ():
        create_bleu_of(direction.target, config.bleu_tokenizer, "validation")


def score_signatures(
    target_lang: str, *, bleu: bool, chrf: bool, bleu_tokenizer: str | None
) -> list[str]:
    """sacrebleu's signatures of the scores of a validation.

    :raises EvaluationError: The tokenizer of BLEU is not here.
    """
    metrics: list[Metric] = []

    if bleu:
        metrics.append(create_bleu_of(target_lang, bleu_tokenizer, "validation"))
    if chrf:
        metrics.append(create_chrf())

    # There is no signature before a score.
    names = [metric.corpus_score(["a"], [["a"]]).name for metric in metrics]

    return [f"{name}|{m.get_signature()}" for name, m in zip(names, metrics, strict=True)]
