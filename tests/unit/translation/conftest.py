from __future__ import annotations

# fairseq2.generation cannot be imported before it.
import fairseq2.recipe.base  # noqa: F401
