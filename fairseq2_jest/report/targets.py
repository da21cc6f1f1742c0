"""What each arm needs to be as good as a target, and how that compares to the baseline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from fairseq2_jest.report.arms import Arm
from fairseq2_jest.report.curves import Reached, finite, quality_curve, reach
from fairseq2_jest.report.measures import MEASURES, Measure
from fairseq2_jest.report.spent import Cost


@dataclass(frozen=True, kw_only=True)
class ArmReaching:
    """Whether and when an arm reached a target."""

    arm: Arm
    """The arm."""

    reached: Reached | None
    """When the average of its runs did; ``None`` if never."""

    runs: Sequence[Reached | None]
    """When each of its runs did."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A quality to be reached."""

    measure: Measure
    """What it is measured by."""

    value: float
    """How good that is."""

    given: bool
    """Whether the user named it; else it is what the baseline ends with."""

    arms: Sequence[ArmReaching]
    """When each arm reached it."""

    baseline: ArmReaching
    """When the baseline did."""

    def ratio(self, arm: ArmReaching, cost: Cost) -> float | None:
        """The cost of an arm as a multiple of the baseline's; ``None`` if either never got there.

        Where an arm was there at its first validation (``at_most``), its cost is an upper bound.
        """
        if arm.reached is None or self.baseline.reached is None:
            return None

        base = cost.of(self.baseline.reached.spent)

        return cost.of(arm.reached.spent) / base if base > 0.0 else None


def find_targets(
    arms: Sequence[Arm],
    baseline: Arm,
    directions: Sequence[str],
    given: Mapping[str, float],
) -> list[Target]:
    """The targets that are ``given`` by key of measure; else one for each measure of the baseline,
    which is what it ends with."""
    targets = []

    for measure in MEASURES:
        value = given.get(measure.key) if given else _final(baseline, measure, directions)

        if value is None or not math.isfinite(value):
            continue

        reachings = [_reaching(arm, measure, value, directions) for arm in arms]

        targets.append(
            Target(
                measure=measure,
                value=value,
                given=bool(given),
                arms=reachings,
                baseline=next(r for r in reachings if r.arm is baseline),
            )
        )

    return targets


def _final(arm: Arm, measure: Measure, directions: Sequence[str]) -> float | None:
    curve = finite(arm.quality(measure, directions))

    return curve[-1].value if curve else None


def _reaching(arm: Arm, measure: Measure, value: float, directions: Sequence[str]) -> ArmReaching:
    return ArmReaching(
        arm=arm,
        reached=reach(arm.quality(measure, directions), measure, value),
        runs=[reach(quality_curve(run, measure, directions), measure, value) for run in arm.runs],
    )
