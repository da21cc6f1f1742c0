"""sacrebleu's metrics as they are set up here, and the tokenizer for a language."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from fairseq2.utils.validation import Validatable, ValidationResult
from sacrebleu.metrics.base import Metric, Score, Signature
from sacrebleu.metrics.bleu import BLEU, BLEUScore
from sacrebleu.metrics.chrf import CHRF
from sacrebleu.metrics.ter import TER
from sacrebleu.utils import SACREBLEU_DIR
from typing_extensions import override

from fairseq2_jest.corpus.languages import language_keys
from fairseq2_jest.evaluation.comet.config import CometConfig
from fairseq2_jest.evaluation.comet.scorer import CometScorer
from fairseq2_jest.evaluation.errors import EvaluationError

References = Sequence[Sequence[str]]
"""One or more references, each with a text for each line."""

_TOKENIZERS: Final = {"ja": "ja-mecab", "ko": "ko-mecab", "yue": "zh", "zh": "zh"}

_PACKAGES: Final = {"ja-mecab": "sacrebleu[ja]", "ko-mecab": "sacrebleu[ko]"}


@dataclass(frozen=True, kw_only=True)
class MetricsConfig(Validatable):
    """Which scores are computed."""

    bleu: bool = True
    """Whether to compute BLEU."""

    chrf: bool = True
    """Whether to compute chrF++."""

    ter: bool = True
    """Whether to compute TER; for Chinese and Japanese with sacrebleu's support for their
    characters."""

    spbleu: bool = False
    """Whether to compute spBLEU, BLEU over the pieces of FLORES-200's SentencePiece model, which
    sacrebleu downloads once."""

    comet: CometConfig | None = None
    """Which COMET model scores; ``None`` for none, ``{}`` for the usual one."""

    bleu_tokenizer: str | None = None
    """sacrebleu's tokenizer for BLEU; ``None`` for that of the target language: ``ja-mecab``,
    ``zh``, ``ko-mecab``, else ``13a``."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.bleu_tokenizer is not None:
            check_tokenizer_name(self.bleu_tokenizer, result)
        if not (self.bleu or self.chrf or self.ter or self.spbleu or self.comet):
            result.add_error(
                "One of `bleu`, `chrf`, `ter`, `spbleu` and `comet` must be asked for."
            )

        return result


def check_tokenizer_name(name: str, result: ValidationResult) -> None:
    """Adds an error if sacrebleu has no tokenizer for BLEU of this ``name``."""
    if name not in BLEU.TOKENIZERS:
        known = ", ".join(sorted(BLEU.TOKENIZERS))

        result.add_error(f"`bleu_tokenizer` must be one of {known}, but is {name}.")


def tokenizer_of(lang: str) -> str:
    """sacrebleu's tokenizer for the language ``lang``, in any scheme of codes."""
    found = (_TOKENIZERS[key] for key in language_keys(lang) if key in _TOKENIZERS)

    return next(found, BLEU.TOKENIZER_DEFAULT)


class SpBleu(BLEU):
    """BLEU over SentencePiece's pieces, by its own name (Goyal et al. 2022)."""

    @override
    def _aggregate_and_compute(self, stats: list[list[int]]) -> BLEUScore:
        return _renamed(super()._aggregate_and_compute(stats), "spBLEU")

    @override
    def _compute_score_from_stats(self, stats: list[int]) -> BLEUScore:
        return _renamed(super()._compute_score_from_stats(stats), "spBLEU")


def _renamed(score: BLEUScore, name: str) -> BLEUScore:
    score.name = name

    return score


def create_bleu(
    tokenizer: str, field: str, references: References | None = None, *, kls: type[BLEU] = BLEU
) -> BLEU:
    """sacrebleu's BLEU.

    :param field: What asks for it, for messages.

    :raises EvaluationError: The tokenizer needs a package or a file that is not here.
    """
    try:
        return kls(tokenize=tokenizer, references=references)
    except OSError as ex:
        raise EvaluationError(
            f"{field} needs the model of the tokenizer {tokenizer}, which is not in "
            f"{os.path.join(SACREBLEU_DIR, 'models')} and cannot be downloaded "
            f"({getattr(ex, 'reason', None) or ex}): start it once where there is a network and "
            f"bring that folder here (SACREBLEU names another), or do without."
        ) from ex
    except (ImportError, RuntimeError, AssertionError) as ex:
        package = _PACKAGES.get(tokenizer)

        if package is None:
            raise

        raise EvaluationError(
            f"{field} needs the tokenizer {tokenizer}, whose packages are not here or of another "
            f"kind: pip install '{package}', or name another tokenizer."
        ) from ex


def create_bleu_of(
    target_lang: str, tokenizer: str | None, field: str, references: References | None = None
) -> BLEU:
    """sacrebleu's BLEU for translations into ``target_lang``.

    :param tokenizer: ``None`` for that of the language.
    :param field: The section that asks for it, for messages.

    :raises EvaluationError: The tokenizer needs a package or a file that is not here.
    """
    tokenizer = tokenizer or tokenizer_of(target_lang)

    return create_bleu(tokenizer, f"{field}.bleu of {target_lang}", references)


def create_chrf(references: References | None = None) -> CHRF:
    """sacrebleu's chrF++ (Popović 2017)."""
    return CHRF(word_order=2, references=references)


def create_metrics(
    config: MetricsConfig, target_lang: str, references: References, field: str
) -> list[Metric]:
    """Those of sacrebleu's metrics that ``config`` asks for, with the references behind them.

    :param field: Where ``config`` stands, for messages.

    :raises EvaluationError: A tokenizer is not here.
    """
    metrics: list[Metric] = []

    if config.bleu:
        metrics.append(create_bleu_of(target_lang, config.bleu_tokenizer, field, references))
    if config.spbleu:
        metrics.append(create_bleu("flores200", f"{field}.spbleu", references, kls=SpBleu))
    if config.chrf:
        metrics.append(create_chrf(references))
    if config.ter:
        # Without words between spaces, an edit would be of a whole line.
        asian = tokenizer_of(target_lang) in ("zh", "ja-mecab")

        metrics.append(TER(normalized=asian, asian_support=asian, references=references))

    return metrics


class CometSignature(Signature):
    """What decides a COMET score."""

    @override
    def __init__(self, args: dict[str, Any]) -> None:
        super().__init__(args)

        self.info |= args["identity"]


class Comet(Metric):
    """COMET in sacrebleu's terms, for sacrebleu's tests of significance: a mean over lines."""

    _SIGNATURE_TYPE = CometSignature

    def __init__(self, scorer: CometScorer, sources: Sequence[str], references: References) -> None:
        """
        :param references: The first is what COMET is given.
        """
        # sacrebleu does not say that it returns nothing.
        super().__init__()  # type: ignore[no-untyped-call]

        self._scorer = scorer
        self._sources = sources
        self._reference = references[0]
        self._scores: dict[tuple[str, ...], list[float]] = {}
        self.num_refs = int(scorer.needs_references)
        self.identity = vars(scorer.identity)

    def line_scores(self, hypotheses: Sequence[str]) -> list[float]:
        """The score of each line, computed once."""
        key = tuple(hypotheses)

        if key not in self._scores:
            self._scores[key] = self._scorer.score(self._sources, hypotheses, self._reference)

        return self._scores[key]

    @override
    def _extract_corpus_statistics(
        self, hypotheses: Sequence[str], references: References | None
    ) -> list[list[float]]:
        return [[score, 1.0] for score in self.line_scores(hypotheses)]

    @override
    def _aggregate_and_compute(self, stats: Sequence[Sequence[float]]) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats, strict=True)])

    @override
    def _compute_score_from_stats(self, stats: Sequence[float]) -> Score:
        return Score("COMET", float(stats[0] / stats[1]))

    # sacrebleu asks these of every metric, but calls them only in what is overridden above.

    @override
    def _preprocess_segment(self, sent: str) -> str:
        raise NotImplementedError("COMET reads whole texts.")

    @override
    def _extract_reference_info(self, refs: Sequence[str]) -> dict[str, Any]:
        raise NotImplementedError("COMET reads whole texts.")

    @override
    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: dict[str, Any]) -> list[Any]:
        raise NotImplementedError("COMET reads whole texts.")
