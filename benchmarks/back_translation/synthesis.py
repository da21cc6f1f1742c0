"""Synthetic pairs as `fairseq2 mt backtranslate` makes them, in several ways."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks import DIRECTION
from benchmarks.arms import run_folder, run_program
from benchmarks.back_translation.setting import BEAM, TRANSLATION, Setting
from benchmarks.efficiency import slug

NO_FILTERS: Final = (
    "filters.max_length_ratio=.inf",
    "filters.max_copied_share=null",
    "filters.max_loop_share=null",
    "filters.min_language_likelihood=null",
)


def _sampling(sampler: str) -> tuple[str, ...]:
    return (
        "seq2seq_generator.name=sampling",
        f"seq2seq_generator.config={{sampler: {sampler}, max_gen_len: 100}}",
    )


@dataclass(frozen=True, kw_only=True)
class Synthesis:
    """A way to make synthetic pairs."""

    folder: str = "beam"
    """Where lines are translated; ways that differ in filters and noise only share one."""

    decoding: tuple[str, ...] = BEAM

    overrides: tuple[str, ...] = ()

    min_round_trip_chrf: float | None = None
    """What the base model must find again of a target."""


SYNTHESES: Final[Mapping[str, Synthesis]] = {
    "beam": Synthesis(),
    "beam, no filters": Synthesis(overrides=NO_FILTERS),
    "beam, reference score": Synthesis(overrides=("filters.min_reference_score=0.5",)),
    "beam, round trip": Synthesis(min_round_trip_chrf=40.0),
    "noised beam": Synthesis(overrides=("noise={}",)),
    "sampling": Synthesis(folder="sampling", decoding=_sampling("{name: top_p, config: {p: 1.0}}")),
    "top 10": Synthesis(folder="top-10", decoding=_sampling("{name: top_k, config: {k: 10}}")),
}
"""Beam search of width 2 and the default filters, unless said otherwise."""


def synthesize(setting: Setting, name: str) -> Path:
    """The file of pairs that are made in the way ``name``, made if need be; counts beside it."""
    synthesis = SYNTHESES[name]

    counts = counts_file(setting, name)

    kept = counts.with_suffix(".parquet")

    if kept.exists():
        return kept

    out = setting.out / "backtranslated" / synthesis.folder

    print(f"Translating back: {name}", flush=True)

    run_program(
        [
            "backtranslate",
            out,
            "--config",
            *overrides(setting),
            *synthesis.decoding,
            *synthesis.overrides,
            *_round_trip(setting, synthesis.min_round_trip_chrf),
        ],
        setting.out / "backtranslated" / f"{slug(name)}.log",
        name,
    )

    kept.parent.mkdir(exist_ok=True)

    shutil.copyfile(out / "backtranslate.json", counts)

    scratch = kept.with_suffix(".tmp")

    shutil.copyfile(out / f"synthetic.{DIRECTION}.parquet", scratch)

    scratch.replace(kept)

    return kept


def _round_trip(setting: Setting, min_chrf: float | None) -> tuple[str, ...]:
    if min_chrf is None:
        return ()

    return (
        f"filters.min_round_trip_chrf={min_chrf}",
        f"forward.run.path={run_folder(setting.out, setting.base)}",
        *(f"forward.{item}" for item in BEAM),
    )


def overrides(setting: Setting) -> tuple[str, ...]:
    """What every way has in common."""
    return (
        f"direction={DIRECTION}",
        f"input.path={setting.out / 'monolingual.txt'}",
        f"run.path={run_folder(setting.out, setting.reverse)}",
        *TRANSLATION,
        "reference_encoder.name=sentence_transformer",
        f"reference_encoder.config={{model: {setting.out / 'reference'}, device: cpu}}",
    )


def counts_file(setting: Setting, name: str) -> Path:
    """The file of what `mt backtranslate` counted in the way ``name``, once it was gone."""
    return setting.out / "synthetic" / f"{slug(name)}.json"
