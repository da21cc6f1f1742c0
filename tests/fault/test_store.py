from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from fairseq2_jest.embedding.store_config import ReferenceStoreConfig
from tests.damage import check_damage
from tests.filling import check_fill_kills


@pytest.mark.parametrize("precision", ["float16", "int8"])
def test_a_thousand_flipped_bits_and_a_hundred_cut_files_are_found(
    precision: Literal["float16", "int8"], tmp_path: Path
) -> None:
    config = ReferenceStoreConfig(precision=precision, chunk_size=16)

    check_damage(tmp_path, config, num_flips=1000, num_truncations=100, seed=1)


def test_a_killed_fill_resumes_to_the_same_bytes_at_twenty_points(tmp_path: Path) -> None:
    check_fill_kills(tmp_path, num_kills=20, seed=2)
