from __future__ import annotations

# fairseq2.trainer and fairseq2.evaluator cannot be imported before it.
import fairseq2.recipe.base  # noqa: F401
