"""Presets (``recipes``) and asset cards (``assets``) as sub-packages without code.

A wheel holds both folders beside this file. In a checkout, hence in an editable install, they are
the top-level folders of the repository; putting its root on this package's path lets
``fairseq2_jest._data.assets`` name the same cards in every form of installation.
"""

from __future__ import annotations

from pathlib import Path

if not Path(__file__).with_name("assets").is_dir():
    __path__.append(str(Path(__file__).resolve().parents[2]))
