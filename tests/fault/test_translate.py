from __future__ import annotations

from pathlib import Path

from tests.translating import check_translation_kills


def test_a_killed_translation_resumes_to_the_same_bytes_at_ten_points(tmp_path: Path) -> None:
    check_translation_kills(tmp_path, num_kills=10, seed=2)
