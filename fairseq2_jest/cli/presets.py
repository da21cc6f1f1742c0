"""Finding presets: ``recipes/<command>/<preset>.yaml``.

Only text is read here, so that listing presets needs no YAML parser.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fairseq2_jest import _data
from fairseq2_jest.cli.near import did_you_mean
from fairseq2_jest.cli.usage import UsageError


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named set of defaults of one command."""

    name: str
    """What is given to ``--preset``."""

    file: Path
    """The YAML file."""

    @property
    def description(self) -> str:
        """The first comment line of the file, without the sign; empty if it opens with none."""
        with self.file.open(encoding="utf-8") as fp:
            first = fp.readline().strip()

        return first.lstrip("# ") if first.startswith("#") else ""


def list_presets(command: str) -> list[Preset]:
    """The presets of ``command``, by name."""
    for root in _data.__path__:
        folder = Path(root, "recipes", command)

        if folder.is_dir():
            presets = (Preset(name=f.stem, file=f) for f in folder.glob("*.yaml"))

            return sorted(presets, key=lambda p: p.name)

    return []


def find_preset(command: str, name: str) -> Preset:
    """Return the preset ``name`` of ``command``.

    :raises UsageError: If there is none of this name; the message has the near ones.
    """
    presets = list_presets(command)

    for preset in presets:
        if preset.name == name:
            return preset

    if name.endswith((".yaml", ".yml")):
        raise UsageError(f"--preset takes a name, not a file; give {name} with --config-file.")

    tail = did_you_mean(name, (p.name for p in presets))

    raise UsageError(f"{name} is not a preset of mt {command}{tail}")
