"""Scores of systems, and whether they differ by more than chance: sacrebleu's own tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from fairseq2.utils.validation import Validatable, ValidationResult
from sacrebleu.metrics.base import Metric
from sacrebleu.significance import PairedTest, Result

TEST_NAMES: Final = {
    "bootstrap": "paired bootstrap resampling",
    "randomization": "paired approximate randomization",
}
"""What the tests are called in words."""

_SACREBLEU_NAMES: Final = {"bootstrap": "bs", "randomization": "ar"}


@dataclass(frozen=True, kw_only=True)
class SignificanceConfig(Validatable):
    """Configures the test of each system against the first one.

    The seed is sacrebleu's, 12345 or ``$SACREBLEU_SEED``, and in the signature of the test.
    """

    test: Literal["bootstrap", "randomization"] | None = "bootstrap"
    """Paired bootstrap resampling (Koehn 2004) or approximate randomization (Riezler and Maxwell
    2005); ``None`` for none."""

    num_samples: int | None = None
    """How many resamples or trials; ``None`` for sacrebleu's 1,000 or 10,000."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.num_samples is not None and self.num_samples < 1:
            result.add_error(f"`num_samples` must be at least 1, but is {self.num_samples}.")

        return result


@dataclass(frozen=True, kw_only=True)
class SystemScore:
    """What a metric says of a system."""

    score: float
    """Over all lines."""

    mean: float | None = None
    """The mean over the resamples of a bootstrap."""

    confidence: float | None = None
    """Half of the interval that holds 95 % of the resamples."""

    p_value: float | None = None
    """How probable a difference to the first system as large as this is by chance; ``None`` for
    the first system itself, and without a test."""


@dataclass(frozen=True, kw_only=True)
class MetricScores:
    """What a metric says of all systems."""

    name: str
    """As sacrebleu calls it, such as ``chrF2++``."""

    more_is_better: bool
    """Whether a higher score is better."""

    signature: str
    """What decides the scores."""

    test_signature: str | None
    """What decides the test, too; ``None`` without one."""

    systems: Mapping[str, SystemScore]
    """By the name of the system."""


def score_systems(
    metric: Metric, systems: Mapping[str, Sequence[str]], config: SignificanceConfig
) -> MetricScores:
    """Scores translations, and compares each system with the first one.

    :param metric: With the references behind it.
    :param systems: The translations of each system, by its name.
    """
    if config.test is None or len(systems) == 1:
        found = {name: metric.corpus_score(texts, None) for name, texts in systems.items()}

        scores = {name: SystemScore(score=float(score.score)) for name, score in found.items()}

        metric_name, test_signature = next(iter(found.values())).name, None
    else:
        test = PairedTest(
            list(systems.items()),
            {"": metric},
            references=None,
            test_type=_SACREBLEU_NAMES[config.test],
            n_samples=config.num_samples or 0,
        )

        signatures, columns = test()

        ((metric_name, signature),) = signatures.items()

        results = [result for result in columns[metric_name] if isinstance(result, Result)]

        scores = {
            name: SystemScore(
                score=float(result.score),
                mean=_float(result.mean),
                confidence=_float(result.ci),
                p_value=_float(result.p_value),
            )
            for name, result in zip(systems, results, strict=True)
        }

        test_signature = signature.format()

    return MetricScores(
        name=metric_name,
        more_is_better=metric_name != "TER",
        signature=metric.get_signature().format(),
        test_signature=test_signature,
        systems=scores,
    )


def _float(value: float | None) -> float | None:
    return None if value is None else float(value)
