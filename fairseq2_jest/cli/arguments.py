"""The arguments of ``fairseq2 mt <command>``: fairseq2's own recipe options and ``--preset``."""

from __future__ import annotations

from argparse import (
    ONE_OR_MORE,
    OPTIONAL,
    SUPPRESS,
    ZERO_OR_MORE,
    Action,
    ArgumentParser,
    ArgumentTypeError,
    Namespace,
)
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from fairseq2_jest.cli.commands import Command
from fairseq2_jest.cli.usage import UsageError


class _Parser(ArgumentParser):
    """Says one sentence where argparse would print its usage, too."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (see {self.prog} --help).")


class _AppendOverrides(Action):
    """Collects the items of each ``--config``, checked for their form only."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        items = [str(v).strip() for v in values] if isinstance(values, (list, tuple)) else []

        for item in items:
            if "=" not in item and not item.startswith("del:"):
                raise UsageError(
                    f"--config takes NAME=VALUE pairs, and {item} is none; "
                    "an output directory goes before --config."
                )

        setattr(namespace, self.dest, [*(getattr(namespace, self.dest) or []), items])


class _NoCheckpoints(Action):
    """Says that a command writes no checkpoints, though fairseq2's commands have the option."""

    def __call__(
        self,
        parser: ArgumentParser,
        namespace: Namespace,
        values: str | Sequence[object] | None,
        option_string: str | None = None,
    ) -> None:
        mend = f"leave {option_string} out."

        if self.const == "read":
            mend = f"name where those of run.path are with --config run.checkpoint_dir={values}."

        raise UsageError(f"{parser.prog} writes no checkpoints: {mend}")


def command_parser(command: Command) -> ArgumentParser:
    """The parser of a command that runs a recipe."""
    parser = _Parser(
        prog=f"fairseq2 mt {command.name}",
        description=f"{command.help[0].upper()}{command.help[1:]}.",
        epilog="Order: defaults of the recipe < preset < --config-file < --config.",
        allow_abbrev=False,
    )

    parser.add_argument(
        "output_dir",
        metavar="OUT",
        type=Path,
        nargs=OPTIONAL,
        help="directory of the run; runs/PRESET if left out (fairseq2 adds a folder named by "
        "a hash of the config, unless common.no_sweep_dir is set)",
    )

    _add_config_options(parser, command.name)

    parser.add_argument(
        "--dump-config", action="store_true", help="print the final config as YAML and end"
    )
    parser.add_argument("--no-rich", action="store_true", help="plain text logging")
    parser.add_argument(
        "--no-exit-on-error", action="store_true", help="let unhandled errors through"
    )
    if command.checkpoints == "written":
        parser.add_argument(
            "--checkpoint-dir",
            metavar="DIR",
            type=Path,
            help="where checkpoints go, if not to OUT/checkpoints",
        )
    else:
        parser.add_argument(
            "--checkpoint-dir", action=_NoCheckpoints, const=command.checkpoints, help=SUPPRESS
        )

    return parser


def check_parser(commands: Sequence[Command]) -> ArgumentParser:
    """The parser of ``fairseq2 mt check``."""
    names = [c.name for c in commands]

    parser = _Parser(
        prog="fairseq2 mt check",
        description="Validate the config of a command and its corpora without starting a run.",
        allow_abbrev=False,
    )

    parser.add_argument(
        "command",
        nargs=OPTIONAL,
        choices=names,
        default=names[0],
        help=f"the command whose config it is ({names[0]} if left out)",
    )

    _add_config_options(parser, "COMMAND")

    return parser


def _step(text: str) -> str | int:
    if text in ("best", "last"):
        return text

    if text.isdecimal():
        return int(text)

    raise ArgumentTypeError(f"must be best, last or a whole number, but is {text!r}")


def export_parser() -> ArgumentParser:
    """The parser of ``fairseq2 mt export``."""
    parser = _Parser(
        prog="fairseq2 mt export",
        description="Write a model with its tokenizer as a folder that transformers loads; of a "
        "run, with a model card.",
        epilog="Models are mBART, NLLB, or language models of the families llama, mistral, qwen, "
        "olmo and hg.",
        allow_abbrev=False,
    )

    parser.add_argument("output_dir", metavar="OUT", type=Path, help="the new folder")
    parser.add_argument(
        "model",
        metavar="MODEL",
        help="the directory of a run of mt finetune, or a model by its card, folder or "
        "hg://owner/name",
    )
    parser.add_argument(
        "--step",
        metavar="STEP",
        type=_step,
        help="of a run: best, last or a number; the best if it has scores, else the last",
    )
    parser.add_argument(
        "--checkpoint-dir",
        metavar="DIR",
        type=Path,
        help="of a run: where its checkpoints are, if not in MODEL/checkpoints",
    )
    parser.add_argument(
        "--adapter",
        action="store_true",
        help="of a run with an adapter: the adapter alone, for peft; else it is merged",
    )

    return parser


def report_parser() -> ArgumentParser:
    """The parser of ``fairseq2 mt report``."""
    parser = _Parser(
        prog="fairseq2 mt report",
        description="Compare runs of mt finetune, finished or not, by the files that they write.",
        epilog="Runs that differ only in their seeds are one arm.",
        allow_abbrev=False,
    )

    parser.add_argument(
        "output_dir",
        metavar="OUT",
        type=Path,
        help="where report.html, report.json and the figures go",
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        type=Path,
        nargs=ONE_OR_MORE,
        help="the directory of a run, with or without the folder that fairseq2 makes in it",
    )
    parser.add_argument(
        "--baseline",
        metavar="RUN",
        type=Path,
        help="which of them to compare to; the first iid run if left out",
    )
    parser.add_argument(
        "--target",
        dest="targets",
        metavar="NAME=VALUE",
        nargs=ONE_OR_MORE,
        default=[],
        help="qualities to reach, e.g. loss=1.6 bleu=25 chrf=50; those that the baseline ends "
        "with if left out; goes last",
    )

    return parser


def _add_config_options(parser: ArgumentParser, command: str) -> None:
    parser.add_argument(
        "--preset", metavar="NAME", help=f"defaults for {command}; see fairseq2 mt presets"
    )
    parser.add_argument(
        "--config-file",
        dest="config_files",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="YAML file that overrides the preset; may be given more than once, the last one wins",
    )
    parser.add_argument(
        "--config",
        dest="config_overrides",
        metavar="NAME=VALUE",
        nargs=ZERO_OR_MORE,
        action=_AppendOverrides,
        help="single overrides, e.g. regime.num_steps=1000; goes last",
    )
