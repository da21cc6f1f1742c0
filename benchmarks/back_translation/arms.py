"""The arms: what each trains on, and what of the model it trains."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.arms import Arm
from benchmarks.back_translation.setting import NO_BLEU, Setting
from benchmarks.back_translation.synthesis import synthesize
from benchmarks.demo import regime
from benchmarks.efficiency import slug

BATCH_SIZE: Final = 100

UNTUNED: Final = "untuned base"


@dataclass(frozen=True, kw_only=True)
class Training:
    """How an arm goes on from the base model."""

    genuine: str | None = "genuine"
    """The part of the text whose pairs it sees; ``None`` for none."""

    synthesis: str | None = None
    """How the synthetic pairs that it sees were made; ``None`` for none."""

    ratio: int = 1
    """Synthetic pairs for each genuine one, where it sees both."""

    joint: bool = False
    """Whether it chooses half of what it sees by the reference encoder."""

    rank: int | None = None
    """LoRA's; ``None`` to train all weights."""

    @property
    def preset(self) -> str:
        return "demo-jest" if self.joint else "demo-iid"

    @property
    def overrides(self) -> tuple[str, ...]:
        """What is set beside the preset, whatever the files."""
        overrides = list(NO_BLEU)

        if self.joint:
            overrides += [
                f"batch_selector.config.super_batch_size={2 * BATCH_SIZE}",
                "batch_selector.config.filter_ratio=0.5",
            ]
        else:
            overrides.append(f"batch_selector.config.batch_size={BATCH_SIZE}")

        if self.genuine and self.synthesis:
            overrides.append(f"dataset.synthetic_ratio={self.ratio}")

        if self.rank is None:
            overrides.append("optimizer.config.lr=0.001")
        else:
            # The scale is the same at every rank.
            config = f"{{rank: {self.rank}, alpha: {2 * self.rank}}}"

            overrides += ["adapter.name=lora", f"adapter.config={config}"]

        return tuple(overrides)


_both = partial(Training, synthesis="beam")


ARMS: Final[Mapping[str, Training]] = {
    "genuine only": Training(),
    "synthetic only": Training(genuine=None, synthesis="beam"),
    "both, 1:1": _both(),
    "both, 1:1, joint selection": _both(joint=True),
    "base's own pairs again": Training(genuine="trusted"),
    "both, 2:1": _both(ratio=2),
    "both, 5:1": _both(ratio=5),
    "both, 10:1": _both(ratio=10),
    "both, 1:1, LoRA rank 4": _both(rank=4),
    "both, 1:1, LoRA rank 8": _both(rank=8),
    "both, 1:1, LoRA rank 16": _both(rank=16),
    "both, 1:1, LoRA rank 32": _both(rank=32),
    "genuine only, LoRA rank 16": Training(rank=16),
    "synthetic only, LoRA rank 16": Training(genuine=None, synthesis="beam", rank=16),
    "both, 1:1, no filters": _both(synthesis="beam, no filters"),
    "both, 1:1, filtered by reference score": _both(synthesis="beam, reference score"),
    "both, 1:1, filtered by round trip": _both(synthesis="beam, round trip"),
    "both, 1:1, noised beam": _both(synthesis="noised beam"),
    "both, 1:1, sampling": _both(synthesis="sampling"),
    "both, 1:1, top 10": _both(synthesis="top 10"),
    "both, 5:1, joint selection": _both(ratio=5, joint=True),
}
"""In the order in which they are run. All weights are trained unless said otherwise."""

LEADING: Final = ("genuine only", "synthetic only", "both, 1:1", "both, 1:1, joint selection")
"""Those that are run with every seed."""


def arm(setting: Setting, name: str, seed: int, steps: int) -> Arm:
    """The run of an arm; makes the synthetic pairs that it needs."""
    training = ARMS[name]

    corpora: list[dict[str, object]] = []

    if training.genuine:
        corpora.append({"path": str(setting.file(training.genuine))})

    if training.synthesis:
        corpora.append({"path": str(synthesize(setting, training.synthesis)), "synthetic": True})

    key = f"{slug(name)}-{steps}-{seed}"

    return Arm(
        name=name,
        key=key,
        preset=training.preset,
        file=setting.config(key, corpora),
        overrides=(
            f"model.path={setting.base_model}",
            f"common.seed={seed}",
            *training.overrides,
            *regime(steps, 3),
        ),
    )
