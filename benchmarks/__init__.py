"""What the README's figures come from."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The top of the repository."""

DIRECTION = "eng_Latn-deu_Latn"
