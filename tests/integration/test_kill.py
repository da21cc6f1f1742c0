from __future__ import annotations

from pathlib import Path

from tests.killing import check_kills


def test_a_killed_run_resumes_to_the_same_result_at_two_points(tmp_path: Path) -> None:
    check_kills(tmp_path, num_kills=2, seed=1)
