"""Every command of the README is run, or its arguments are read where it would take too long.

A command that no rule of :data:`RULES` covers fails: add a rule with the command.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fairseq2_jest.cli.presets import list_presets
from tests.integration.readme.rules import RULES
from tests.integration.readme.text import COMMANDS
from tests.repository import README


def test_the_commands_are_found() -> None:
    programs = {command.split()[0] for command in COMMANDS}

    assert {"make", "fairseq2", "python", "pip"} <= programs


@pytest.mark.parametrize("command", COMMANDS, ids=COMMANDS)
def test_command(command: str, tmp_path: Path) -> None:
    rules = [rule for pattern, rule in RULES.items() if re.fullmatch(pattern, command)]

    assert len(rules) == 1, "RULES must say how this command is run."

    rules[0](command, tmp_path)


def test_every_preset_that_is_named_is_there() -> None:
    known = {p.name for p in list_presets("finetune")}

    (table,) = re.findall(r"^\| preset \|.*?\n\n", README, re.MULTILINE | re.DOTALL)

    listed = set(re.findall(r"`([\w-]+)`", "".join(re.findall(r"^\|[^|]+\|", table, re.MULTILINE))))

    named = set(re.findall(r"--preset ([\w-]+)", README))

    assert listed == known
    others = {
        p.name
        for command in ("backtranslate", "embed", "evaluate", "select", "translate")
        for p in list_presets(command)
    }

    assert named <= known | others
