from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, time
import fairseq2.recipe.run
from fairseq2.composition import _register_library
from fairseq2.runtime.dependency import DependencyContainer
from fairseq2_jest.extension import setup_fairseq2_extension

container = DependencyContainer()
begin = time.perf_counter()
setup_fairseq2_extension(container)
print("seconds", time.perf_counter() - begin, file=sys.stderr)
for name in (
    "comet",
    "peft",
    "sentence_transformers",
    "matplotlib",
    "pyarrow",
    "fairseq2_jest.corpus.builtin.lexicon",
):
    if name in sys.modules:
        print(name)
"""


def test_setting_up_imports_nothing_heavy() -> None:
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )

    assert result.stdout.split() == []
