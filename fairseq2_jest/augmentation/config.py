"""Which monolingual lines are translated, which pairs are kept, and what noise is added."""

from __future__ import annotations

from dataclasses import dataclass

from fairseq2.utils.validation import Validatable, ValidationResult


@dataclass(frozen=True, kw_only=True)
class MonolingualConfig(Validatable):
    """Which lines of monolingual text are rejected. Lengths are in characters."""

    min_chars: int = 1
    """A shorter line is rejected; an empty one always is."""

    max_chars: int = 1000
    """A longer line is rejected."""

    reject_duplicates: bool = True
    """Whether a line is rejected that came before, but for case."""

    min_language_likelihood: float | None = 0.2
    """A line is rejected if its language is less likely than that, as a share of the likeliest
    language's likelihood; ``None`` for no limit. A language that cannot be identified is not
    checked, which is said."""

    max_reject_share: float = 0.5
    """If a larger share of the lines is rejected, the run ends before a model loads."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if self.min_chars < 1:
            result.add_error(f"`min_chars` must be at least 1, but is {self.min_chars}.")
        if self.max_chars < self.min_chars:
            result.add_error(
                f"`max_chars` must be at least `min_chars` ({self.min_chars}), but is "
                f"{self.max_chars}."
            )

        _check_share(self.min_language_likelihood, "min_language_likelihood", result)
        _check_share(self.max_reject_share, "max_reject_share", result)

        return result


@dataclass(frozen=True, kw_only=True)
class FilterConfig(Validatable):
    """Which synthetic pairs are rejected. Shares are of the characters, or words, of a source."""

    max_length_ratio: float = 3.0
    """A pair is rejected if its longer text has more than ``max_length_ratio`` times the shorter
    one's length, plus ``length_slack``."""

    length_slack: int = 20
    """What short texts are forgiven, in characters."""

    max_copied_share: float | None = 0.8
    """A pair is rejected if more of the source's words, four of them at least, stand in the target,
    too; and if both are equal but for case. ``None`` for no limit."""

    max_loop_share: float | None = 0.3
    """A pair is rejected if one stretch of the source in which something comes four times or more
    in a row is a larger share of it, and of the target there is no such; ``None`` for no limit."""

    min_language_likelihood: float | None = 0.2
    """The same for the language of a source; ``None`` for no limit."""

    min_reference_score: float | None = None
    """A pair is rejected if the reference encoder gives it a lower cosine; ``None`` for no
    limit, and no reference."""

    min_round_trip_chrf: float | None = None
    """A pair is rejected if its source, translated forward again, has a lower chrF++ (0 to 100)
    against its target; ``None`` for no limit, and no forward model."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        if not self.max_length_ratio >= 1.0:
            result.add_error("`max_length_ratio` must be at least 1; `.inf` switches it off.")
        if self.length_slack < 0:
            result.add_error("`length_slack` must not be negative.")

        for name in ("max_copied_share", "max_loop_share", "min_language_likelihood"):
            _check_share(getattr(self, name), name, result)

        score = self.min_reference_score

        if score is not None and not -1.0 <= score <= 1.0:
            result.add_error(f"`min_reference_score` must be in [-1, 1], but is {score}.")

        chrf = self.min_round_trip_chrf

        if chrf is not None and not 0.0 <= chrf <= 100.0:
            result.add_error(f"`min_round_trip_chrf` must be in [0, 100], but is {chrf}.")

        return result


@dataclass(frozen=True, kw_only=True)
class NoiseConfig(Validatable):
    """What is done to the words of a synthetic source.

    With a beam search it makes "noised beam" of Edunov et al. 2018, "Understanding Back-Translation
    at Scale" (section 3), whose figures are the defaults.
    """

    drop_prob: float = 0.1
    """The probability that a word is deleted."""

    blank_prob: float = 0.1
    """The probability that a word that is left becomes ``filler``."""

    filler: str = "_"
    """What stands for a word; the vocabularies of NLLB and mBART have a token for ``_``."""

    max_shift: int = 3
    """How far a word may move: the order is that of a random permutation that moves no word
    further."""

    def validate(self) -> ValidationResult:
        result = ValidationResult()

        _check_share(self.drop_prob, "drop_prob", result)
        _check_share(self.blank_prob, "blank_prob", result)

        if not self.filler.strip() or len(self.filler.split()) > 1:
            result.add_error("`filler` must be one word.")
        if self.max_shift < 0:
            result.add_error(f"`max_shift` must not be negative, but is {self.max_shift}.")

        return result


def _check_share(value: float | None, name: str, result: ValidationResult) -> None:
    if value is not None and not 0.0 <= value <= 1.0:
        result.add_error(f"`{name}` must be between 0 and 1, but is {value}.")
