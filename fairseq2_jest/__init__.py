"""Machine-translation fine-tuning for fairseq2 with joint batch selection."""

from __future__ import annotations

__version__ = "0.1.0"
