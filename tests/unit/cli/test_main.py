from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest

from fairseq2_jest.cli.arguments import command_parser
from fairseq2_jest.cli.commands import COMMANDS, TOOLS, Command, load_object
from fairseq2_jest.cli.presets import list_presets

Cli = Callable[..., tuple[int, str, str]]

LIGHT = """
import sys
from fairseq2_jest.cli.main import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
heavy = {"torch", "fairseq2", "yaml", "ruamel", "numpy", "pyarrow"} & set(sys.modules)
print("heavy:", sorted(heavy))
"""


@pytest.mark.parametrize(
    "args",
    [
        ["mt", "--help"],
        ["mt", "finetune", "--help"],
        ["mt", "report", "--help"],
        ["mt", "presets"],
        ["mt", "nope"],
    ],
)
def test_answers_without_heavy_imports(args: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", LIGHT, *args], capture_output=True, text=True, check=True
    )

    assert result.stdout.splitlines()[-1] == "heavy: []"


def test_help_lists_every_command_and_nothing_else(cli: Cli) -> None:
    code, out, _ = cli("mt", "--help")

    listed = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]

    assert code == 0
    assert listed == [*(c.name for c in COMMANDS), *(t.name for t in TOOLS), "presets", "check"]


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)
def test_a_command_says_truly_what_it_does_with_checkpoints(command: Command) -> None:
    names = {field.name for field in fields(load_object(command.recipe)().config_kls)}

    expected = "written" if "regime" in names else "read" if "run" in names else None

    assert command.checkpoints == expected

    options = command_parser(command).format_help()

    assert ("--checkpoint-dir" in options) == (expected == "written")


def test_help_of_export_names_all_kinds_of_models(cli: Cli) -> None:
    _, out, _ = cli("mt", "export", "--help")

    end = out.split("\n\n")[-1]

    assert all(name in end for name in ("mBART", "NLLB", "llama", "mistral", "qwen", "olmo", "hg"))


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["mt", "finetun"], "finetun is not a command of fairseq2 mt; did you mean finetune?"),
        (["lm"], "lm is not a group of commands; known are assets, mt."),
        (["asets"], "asets is not a group of commands; did you mean assets?"),
        (["mt", "presets", "x"], "fairseq2 mt presets takes no arguments, but was given x."),
        (
            ["mt", "finetune", "--prset", "x"],
            "unrecognized arguments: --prset (see fairseq2 mt finetune --help).",
        ),
        (
            ["mt", "finetune", "--config", "a=1", "out"],
            "--config takes NAME=VALUE pairs, and out is none; "
            "an output directory goes before --config.",
        ),
        (
            ["mt", "translate", "out", "--checkpoint-dir", "D"],
            "fairseq2 mt translate writes no checkpoints: name where those of run.path are with "
            "--config run.checkpoint_dir=D.",
        ),
        (
            ["mt", "embed", "out", "--checkpoint-dir=D"],
            "fairseq2 mt embed writes no checkpoints: leave --checkpoint-dir out.",
        ),
    ],
)
def test_wrong_usage_is_one_sentence(args: list[str], sentence: str, cli: Cli) -> None:
    code, out, err = cli(*args)

    assert (code, out) == (2, "")
    assert err in (f"fairseq2: {sentence}\n", f"fairseq2: {sentence.replace(' x', '')}\n")


def test_presets_are_listed_with_their_first_comment(presets: Path, cli: Cli) -> None:
    presets.joinpath("big.yaml").write_text("# Joint selection.\n# More.\nsteps: 1\n")
    presets.joinpath("plain.yaml").write_text("steps: 1\n")

    _, out, _ = cli("mt", "presets")

    assert out.splitlines()[-2:] == ["  big    Joint selection.", "  plain  "]


def test_unknown_preset_names_near_ones(presets: Path, cli: Cli) -> None:
    presets.joinpath("jest.yaml").write_text("steps: 1\n")

    assert cli("mt", "tiny", "--preset", "jset")[::2] == (
        2,
        "fairseq2: jset is not a preset of mt tiny; did you mean jest?\n",
    )


def test_preset_file_belongs_to_config_file(presets: Path, cli: Cli) -> None:
    code, _, err = cli("mt", "tiny", "--preset", "my.yaml")

    assert code == 2
    assert "give my.yaml with --config-file" in err


def test_every_shipped_preset_opens_with_a_comment() -> None:
    presets = [p for c in COMMANDS for p in list_presets(c.name)]

    assert presets
    assert [p.name for p in presets if not p.description] == []


def test_our_options_are_fairseq2s(monkeypatch: pytest.MonkeyPatch) -> None:
    from argparse import ArgumentParser

    from fairseq2.recipe.cli import _parse_args

    seen: list[ArgumentParser] = []

    class Stop(Exception):
        pass

    def parse_args(self: ArgumentParser) -> None:
        seen.append(self)

        raise Stop

    monkeypatch.setattr(ArgumentParser, "parse_args", parse_args)

    with pytest.raises(Stop):
        _parse_args()

    def options(parser: ArgumentParser) -> set[str]:
        return {o for a in parser._actions for o in a.option_strings or [a.dest]}

    assert options(command_parser(COMMANDS[0])) - options(seen[0]) == {"--preset"}
    assert options(seen[0]) <= options(command_parser(COMMANDS[0]))
