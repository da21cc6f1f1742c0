"""Reading a run: the output folder of ``fairseq2 mt finetune``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fairseq2_jest.report.audit import Audit, read_audits
from fairseq2_jest.report.errors import ReportError
from fairseq2_jest.report.measures import MEASURES
from fairseq2_jest.report.records import number, read_records
from fairseq2_jest.report.spent import NOTHING, Spent, spent_between
from fairseq2_jest.training.metric_names import MEANS

SERIES: Final = (*MEANS, "noise_share_selected", "noise_share_seen")
"""What the training records say of the selection, averaged since the record before."""


@dataclass(frozen=True, kw_only=True)
class TrainPoint:
    """A record of training."""

    step: int
    """The last step that it covers."""

    spent: Spent
    """What was spent by then."""

    loss: float
    """The training loss since the record before, in nats per token; with label smoothing."""

    series: Mapping[str, float]
    """Those of :data:`SERIES` that the run has."""


@dataclass(frozen=True, kw_only=True)
class Validation:
    """What one validation measured in one direction."""

    step: int
    """The step after which it was made."""

    spent: Spent
    """What was spent by then, between two training records by linear interpolation."""

    scores: Mapping[str, float]
    """The figures by the keys of :data:`MEASURES`, those that were measured."""

    num_tokens: float | None
    """The target tokens that the loss is taken over."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run, finished or not, that has recorded something."""

    name: str
    """What it is called in the report."""

    folder: Path
    """Where it is."""

    config: Mapping[str, Any]
    """Its config."""

    training: Sequence[TrainPoint]
    """Its training records, at least one."""

    validations: Mapping[str, Sequence[Validation]]
    """Its validations by direction, such as ``eng_Latn-deu_Latn``; may be empty."""

    audits: Sequence[Audit]
    """What was written down of single steps; may be empty."""

    noise_share: float | None
    """The share of noise in what was trained on; ``None`` where the corpus is not labelled."""

    noise_share_seen: float | None
    """The share of noise in what was read; ``None`` where the corpus is not labelled."""

    known_share: float | None
    """The share of pairs known already in what was trained on; ``None`` likewise."""

    selects: bool
    """Whether it passed over any pair that was not too long."""

    num_broken: int
    """Lines of its files that cannot be read."""

    @property
    def steps(self) -> int:
        """The steps that were recorded."""
        return self.training[-1].step

    @property
    def num_steps(self) -> int | None:
        """The steps that the config asks for."""
        value = self.config["regime"].get("num_steps")

        return value if isinstance(value, int) else None

    @property
    def spent(self) -> Spent:
        """What was spent by the last training record."""
        return self.training[-1].spent

    @property
    def selector(self) -> str:
        """The name of its batch selector."""
        return str(self.config["batch_selector"]["name"])

    @property
    def seed(self) -> object:
        """Its seed."""
        return self.config.get("common", {}).get("seed")


def find_folder(path: Path) -> Path:
    """The folder of the run at ``path``: itself, or the one that fairseq2 made inside of it.

    :raises ReportError: There is no run, or more than one.
    """
    if not path.is_dir():
        raise ReportError(f"{path} is {'a file' if path.exists() else 'not there'}, not a run.")

    if (path / "config.yaml").is_file():
        return path

    inner = sorted(file.parent for file in path.glob("*/config.yaml"))

    if len(inner) > 1:
        names = ", ".join(folder.name for folder in inner)

        raise ReportError(f"{path} holds {len(inner)} runs ({names}); name one, or {path}/*.")

    if not inner:
        raise ReportError(f"{path} is no run: it has no config.yaml.")

    return inner[0]


def find_finetune(path: Path) -> Path | None:
    """The run of ``mt finetune`` that another command would damage by writing its config to
    ``path``: that at ``path``, or one inside of it that would not be found behind that config."""
    if (path / "config.yaml").is_file():
        return path if _is_finetune(path) else None

    folders = (file.parent for file in sorted(path.glob("*/config.yaml")))

    return next(filter(_is_finetune, folders), None)


def _is_finetune(folder: Path) -> bool:
    try:
        _read_config(folder / "config.yaml")
    except ReportError:
        return False

    return True


def read_run(folder: Path, name: str | None = None) -> Run:
    """Reads what a run has recorded so far.

    :param folder: The folder that holds ``config.yaml`` and ``metrics``.
    :param name: What to call it, by default the name of its folder.
    :raises ReportError: It is not of ``mt finetune``, has recorded nothing, or cannot be read.
    """
    config = _read_config(folder / "config.yaml")

    train = read_records(folder / "metrics" / "train.jsonl", "Step")

    num_broken = train.num_broken

    training = [_train_point(record) for record in train.lines if "total_num_selected" in record]

    if not training:
        if train.lines:
            raise ReportError(f"{folder} is not a run of mt finetune: it counts no pairs.")

        raise ReportError(f"{folder} has recorded nothing yet; wait for its first metrics.")

    validations: dict[str, Sequence[Validation]] = {}

    for file in sorted((folder / "metrics" / "valid").glob("*.jsonl")):
        records = read_records(file, "Step")

        num_broken += records.num_broken

        if records.lines:
            validations[file.stem] = [_validation(line, training) for line in records.lines]

    audits, num_broken_audits = read_audits(folder / "selection_audit.jsonl")

    last = train.lines[-1]

    labelled = "noise_share_selected" in last

    def share(kind: str, what: str) -> float | None:
        of_kind, pairs = number(last, f"total_num_{kind}_{what}"), number(last, f"total_num_{what}")

        return of_kind / pairs if labelled and of_kind is not None and pairs else None

    return Run(
        name=name or folder.name,
        folder=folder,
        config=config,
        training=training,
        validations=validations,
        audits=audits,
        noise_share=share("noise", "selected"),
        noise_share_seen=share("noise", "seen"),
        known_share=share("known", "selected"),
        selects=sum(number(last, f"total_num_{what}") or 0.0 for what in ("selected", "too_long"))
        < (number(last, "total_num_seen") or 0.0),
        num_broken=num_broken + num_broken_audits,
    )


def _read_config(file: Path) -> Mapping[str, Any]:
    # PyYAML takes 1e-08 for a word.
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        config = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8"))
    except OSError as ex:
        raise ReportError(f"{file} cannot be read ({ex.strerror}); mend its permissions.") from ex
    except (YAMLError, UnicodeDecodeError) as ex:
        raise ReportError(f"{file} is not valid YAML; it may still be being written.") from ex

    sections = config if isinstance(config, Mapping) else {}

    selector, regime = sections.get("batch_selector"), sections.get("regime")

    if not isinstance(selector, Mapping) or "name" not in selector or not isinstance(regime, dict):
        raise ReportError(f"{file.parent} is not a run of mt finetune, by its config.yaml.")

    return sections


def _train_point(record: dict[str, Any]) -> TrainPoint:
    def total(name: str) -> float:
        return number(record, f"total_{name}") or 0.0

    step: int = record["Step"]

    selection_seconds, step_seconds = total("selection_time"), total("step_time")

    # The record of a step holds the time of the steps before it only, but all of the selecting.
    if step > 1:
        step_seconds *= step / (step - 1)

    loss = number(record, "NLL Loss")

    seconds = number(record, "Total Time") or number(record, "Wall Time") or 0.0

    return TrainPoint(
        step=step,
        spent=Spent(
            seen=total("num_seen"),
            samples=total("num_selected"),
            training_flops=total("training_flops"),
            selection_flops=total("selection_flops"),
            filling_flops=total("filling_flops"),
            seconds=seconds,
            step_seconds=max(step_seconds, selection_seconds),
            selection_seconds=selection_seconds,
        ),
        loss=float("nan") if loss is None else loss,
        series={name: value for name in SERIES if (value := number(record, name)) is not None},
    )


def _validation(record: dict[str, Any], training: Sequence[TrainPoint]) -> Validation:
    step: int = record["Step"]

    scores = {m.key: value for m in MEASURES if (value := number(record, m.record)) is not None}

    return Validation(
        step=step,
        spent=_spent_by(step, training),
        scores=scores,
        num_tokens=number(record, "Number of Target Elements"),
    )


def _spent_by(step: int, training: Sequence[TrainPoint]) -> Spent:
    """What was spent by ``step``; behind the last record, at the average rate so far."""
    before, spent = 0, NOTHING

    for point in training:
        if step <= point.step:
            weight = (step - before) / (point.step - before)

            return spent_between(spent, point.spent, weight)

        before, spent = point.step, point.spent

    return spent_between(NOTHING, spent, step / before)


def name_runs(folders: Sequence[Path]) -> list[str]:
    """The shortest ends of the paths of different runs that tell them apart.

    The folder that fairseq2 makes inside the output folder is named only where it must be.
    """
    paths = [folder.resolve().parts[1:] for folder in folders]

    # A folder that fairseq2 made goes by the name of the one around it.
    names = [parts[-2] if parts[-1].startswith("ws_") else parts[-1] for parts in paths]

    for length in range(2, max(map(len, paths), default=0) + 1):
        clashing = {name for name in names if names.count(name) > 1}

        names = [
            "/".join(parts[-length:]) if name in clashing else name
            for parts, name in zip(paths, names, strict=True)
        ]

    return names
