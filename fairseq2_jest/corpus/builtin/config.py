"""What to generate from the built-in grammar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, get_args

if TYPE_CHECKING:
    from fairseq2.utils.validation import ValidationResult

Part = Literal["pretrain", "trusted", "pool", "valid", "test"]

NOISE_KINDS: Final = ("misaligned", "copied_source", "truncated", "other_language", "scrambled")


@dataclass(frozen=True, kw_only=True)
class BuiltinConfig:
    """A part of the built-in English-German corpus, and what to spoil in it."""

    part: Part = "pool"
    """``pretrain`` covers the core of the grammar and lexicon, the others all of it."""

    size: int = 30_000
    """The number of rows, noise included."""

    seed: int = 1
    """Selects the sentences and their order; a part never shares a sentence with another."""

    noise_share: float = 0.0
    """The share of the rows, from 0 to 1, whose target is spoiled; ``pool`` only."""

    noise_kinds: Sequence[str] = NOISE_KINDS
    """The kinds of noise, used equally often; names of ``NOISE_KINDS``."""

    known_share: float = 0.0
    """The share of the clean rows taken from ``pretrain`` of the same seed; ``pool`` only."""

    duplicate_share: float = 0.0
    """The share of the clean rows that are near-duplicates of other clean rows; ``pool``
    only."""

    def errors(self) -> list[str]:
        """What is wrong with the fields, one sentence each; needs no import of fairseq2."""
        errors = []
        if self.part not in get_args(Part):
            errors.append(f"`part` must be one of {', '.join(get_args(Part))}, not '{self.part}'.")
        if isinstance(self.size, bool) or not isinstance(self.size, int) or self.size < 1:
            errors.append(f"`size` must be a positive integer, not {self.size!r}.")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            errors.append(f"`seed` must be an integer of at least 0, not {self.seed!r}.")
        shares = ("noise_share", "known_share", "duplicate_share")
        for name in shares:
            share = getattr(self, name)
            number = isinstance(share, (int, float)) and not isinstance(share, bool)
            if not number or not 0.0 <= share <= 1.0:
                errors.append(f"`{name}` must be a number from 0 to 1, not {share!r}.")
        if not errors and self.known_share + self.duplicate_share >= 1.0:
            errors.append("`known_share` and `duplicate_share` must add up to less than 1 in all.")
        spoiled = [n for n in shares if not errors and getattr(self, n) > 0 and self.part != "pool"]
        if spoiled:
            errors.append(f"`{spoiled[0]}` must be 0 unless `part` is 'pool'.")
        if isinstance(self.noise_kinds, str):
            errors.append("`noise_kinds` must be a list of names, not a string.")
            return errors
        unknown = [str(kind) for kind in self.noise_kinds if kind not in NOISE_KINDS]
        if unknown:
            errors.append(
                f"`noise_kinds` must be among {', '.join(NOISE_KINDS)}, not '{unknown[0]}'."
            )
        if len(set(self.noise_kinds)) < len(self.noise_kinds):
            errors.append("`noise_kinds` must not name a kind twice.")
        if not self.noise_kinds:
            errors.append("`noise_kinds` must name at least one kind.")
        return errors

    def validate(self) -> ValidationResult:
        """The errors as fairseq2 expects them of a configuration."""
        # fairseq2 takes seconds to import; generating needs none of it.
        from fairseq2.utils.validation import ValidationResult

        result = ValidationResult()
        for error in self.errors():
            result.add_error(error)
        return result
