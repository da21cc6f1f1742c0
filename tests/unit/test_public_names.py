from __future__ import annotations

import ast
import subprocess
import sys
from inspect import getsource

import pytest

import fairseq2_jest


@pytest.mark.parametrize("name", fairseq2_jest.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(fairseq2_jest, name) is not None


def test_type_checkers_see_the_same_names() -> None:
    (block,) = [
        node
        for node in ast.parse(getsource(fairseq2_jest)).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]

    seen = {alias.name for node in ast.walk(block) for alias in getattr(node, "names", ())}

    assert seen | {"__version__"} == set(fairseq2_jest.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        _ = fairseq2_jest.Nonsense


def test_the_package_alone_imports_nothing_heavy() -> None:
    code = (
        "import sys, fairseq2_jest\n"
        "print(*sorted({'torch', 'fairseq2', 'numpy'} & set(sys.modules)))"
    )

    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert (result.returncode, result.stdout.strip()) == (0, "")
