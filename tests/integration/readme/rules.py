"""How each command of the README is tried."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.integration.readme.program import (
    check_adapter_export,
    check_answer,
    check_backtranslate,
    check_embed,
    check_evaluate,
    check_export,
    check_help,
    check_mixed,
    check_report,
    check_run,
    check_select,
    check_translate,
)
from tests.integration.readme.together import check_together
from tests.integration.readme.tools import (
    check_arguments,
    check_install,
    check_make_target,
    check_requirement,
    check_torchrun,
    check_uv,
)

RULES: Final[dict[str, Callable[[str, Path], None]]] = {
    r"make [\w-]+": check_make_target,
    r"pip install \.": check_install,
    r"python -m benchmarks\.[\w.]+( .+)?": check_arguments,
    r"fairseq2 mt (finetune|embed|check)": check_help,
    r"fairseq2 (mt presets|assets list)": check_answer,
    r"fairseq2 mt embed OUT --preset .+": check_embed,
    r"fairseq2 mt (finetune OUT|check) --preset .+": check_run,
    r"fairseq2 mt report OUT RUN...": check_report,
    r"fairseq2 mt select OUT --preset .+": check_select,
    r"fairseq2 mt translate OUT --preset .+": check_translate,
    r"fairseq2 mt backtranslate OUT --preset .+": check_backtranslate,
    r"fairseq2 mt finetune OUT2 --preset .+": check_mixed,
    r"fairseq2 mt evaluate OUT .+": check_evaluate,
    r"python -m fairseq2_jest\..+|fairseq2 mt \w+ all/.+": check_together,
    r"uv .+": check_uv,
    r"pip install '(sacrebleu|\.)\[\w+\]'": check_requirement,
    r"torchrun --no-python --nproc-per-node 4": check_torchrun,
    r"fairseq2 mt export OUT RUN": check_export,
    r"fairseq2 mt export OUT RUN --adapter": check_adapter_export,
}
