"""What the README says to type."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Final

from tests.repository import README

PROGRAMS: Final = {
    "bash", "conda", "docker", "fairseq2", "fairseq2-jest", "git", "make", "pip", "pytest",
    "python", "python3", "sbatch", "sh", "srun", "torchrun", "uv",
}  # fmt: skip

BLOCK: Final = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[str]:
    return [dedent(text) for _, name, text in BLOCK.findall(README) if name == language]


def find_commands() -> list[str]:
    """The lines of shell blocks, and what inline code opens with the name of a program."""
    lines = "".join(blocks("sh")).replace("\\\n", " ").splitlines()

    found = [line.split(" #")[0].strip() for line in lines]

    for code in re.findall(r"`([^`]+)`", BLOCK.sub("", README)):
        if code.split()[0] in PROGRAMS:
            found.append(" ".join(code.split()))

    return list(dict.fromkeys(command for command in found if command))


COMMANDS: Final = find_commands()
