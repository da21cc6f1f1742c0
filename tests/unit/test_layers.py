"""Imports go one way: a package knows what it is built on, and nothing of what is built on it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import fairseq2_jest

ROOT = Path(fairseq2_jest.__file__).parent

FOUNDATION = {"cache", "files", "_data"}
"""Modules that know no package, and that every package may use."""

STAGES = ("corpus", "embedding", "selection", "training", "evaluation", "report")
"""In the order in which data flows: each may import those before it, and the models."""

MODELS = {"models", "adapters"}

ALLOWED: dict[str, set[str]] = (
    {package: set() for package in FOUNDATION | {"models"}}
    | {"adapters": {"models"}}
    | {stage: MODELS | set(STAGES[:idx]) for idx, stage in enumerate(STAGES)}
    | {package: {"corpus", "embedding"} | MODELS for package in ("influence", "translation")}
    | {"augmentation": {"corpus", "embedding", "translation"} | MODELS}
)

SEES_ALL = {"cli", "recipes", "extension", "__init__", "__main__"}


def top_name(module: str) -> str | None:
    """The package or module of ours that ``module`` belongs to; none if it is not ours."""
    parts = module.split(".")

    # Errors may be known to all.
    if "errors" in parts[2:]:
        return None

    return parts[1] if parts[0] == "fairseq2_jest" and len(parts) > 1 else None


def imported_modules(file: Path, root: Path = ROOT) -> Iterator[str]:
    package = ["fairseq2_jest", *file.relative_to(root).parent.parts]

    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []

            module = ".".join([*base, *([node.module] if node.module else [])])

            # `from fairseq2_jest import corpus` names a package only by what it imports.
            yield from (f"{module}.{alias.name}" for alias in node.names)


def violations(file: Path, root: Path = ROOT) -> list[str]:
    first = file.relative_to(root).parts[0].removesuffix(".py")

    if first in SEES_ALL:
        return []

    if first not in ALLOWED:
        return [f"{first} has no place in the order"]

    allowed = ALLOWED[first] | FOUNDATION | {first, "__version__"}

    names = (top_name(module) for module in imported_modules(file, root))

    return sorted({f"{first} imports {n}" for n in names if n is not None and n not in allowed})


@pytest.mark.parametrize("file", sorted(ROOT.rglob("*.py")), ids=lambda f: str(f.relative_to(ROOT)))
def test_imports_go_one_way(file: Path) -> None:
    assert violations(file) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from fairseq2_jest.training.loss import x", ["corpus imports training"]),
        ("import fairseq2_jest.report", ["corpus imports report"]),
        ("from fairseq2_jest import selection", ["corpus imports selection"]),
        ("from ..selection import x", ["corpus imports selection"]),
        ("def f():\n    from fairseq2_jest.cli.main import main", ["corpus imports cli"]),
        ("from fairseq2_jest.selection.errors import SelectionError", []),
        ("from fairseq2_jest.models import x\nfrom .pair import Pair\nimport torch", []),
    ],
)
def test_violation_is_seen(source: str, expected: list[str], tmp_path: Path) -> None:
    file = tmp_path / "corpus" / "module.py"

    file.parent.mkdir()
    file.write_text(source)

    assert violations(file, tmp_path) == expected
