"""Dividing the blocks and stopping in the midst, with a translator that needs no model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import pytest
import torch
from fairseq2.device import CPU
from fairseq2.gang import FakeGang, Gangs
from fairseq2.task import TaskStopException
from fairseq2.utils.progress import NOOP_PROGRESS_REPORTER

from fairseq2_jest.recipes.translate import blocks
from fairseq2_jest.recipes.translate.task import TranslateTask
from fairseq2_jest.translation.config import InputConfig, OutputConfig
from fairseq2_jest.translation.rendering import create_renderer
from fairseq2_jest.translation.result import Hypothesis, Translation
from fairseq2_jest.translation.shards import Shards
from fairseq2_jest.translation.source import open_source
from fairseq2_jest.translation.translator import Translator

LINES = ["a", "b", "", "d", "e", "f", "g"]


class Shouting:
    """Translates into upper case, two texts at a time."""

    def __init__(self) -> None:
        self.texts: list[list[str]] = []
        self.on_text: Callable[[str], None] = lambda text: None

    def __call__(
        self, texts: Sequence[str], on_batch: Callable[[float], None]
    ) -> list[Translation]:
        self.texts.append(list(texts))

        for number, text in enumerate(texts, start=1):
            self.on_text(text)

            on_batch(number / len(texts))

        return [
            Translation(hypotheses=(Hypothesis(text=t.upper(), score=0.0),)) if t else Translation()
            for t in texts
        ]


def create_task(folder: Path, translator: Shouting, rank: int = 0, size: int = 1) -> TranslateTask:
    path = folder / "in.txt"

    if not path.exists():
        path.write_text("".join(f"{line}\n" for line in LINES))

    source = open_source(InputConfig(path=path), path, "eng_Latn")

    shards = Shards(folder / "shards", num_lines=len(LINES), block_size=2)
    shards.clean()

    gang = FakeGang(CPU, rank=rank, size=size)

    alone = FakeGang(CPU)

    return TranslateTask(
        source,
        source.survey(),
        shards,
        shards.missing(),
        cast(Translator, translator),
        create_renderer(OutputConfig(), "text", source),
        folder / "out.txt",
        seed=2,
        gangs=Gangs(root=gang, dp=gang, rdp=gang, sdp=alone, tp=alone, pp=alone),
        gang_timeout=15,
        output_dir=folder,
        progress_reporter=NOOP_PROGRESS_REPORTER,
        log_every_seconds=1.0,
    )


def test_blocks_become_one_file(tmp_path: Path) -> None:
    translator = Shouting()

    create_task(tmp_path, translator).run()

    assert translator.texts == [["a", "b"], ["", "d"], ["e", "f"], ["g"]]
    assert (tmp_path / "out.txt").read_text() == "A\nB\n\nD\nE\nF\nG\n"


def test_ranks_take_turns_and_the_first_writes(tmp_path: Path) -> None:
    first, second = Shouting(), Shouting()

    # Both look at what is missing before either writes.
    one, other = (create_task(tmp_path, t, rank, 2) for rank, t in enumerate((first, second)))

    with ThreadPoolExecutor(2) as executor:
        for run in [executor.submit(task.run) for task in (other, one)]:
            run.result()

    assert second.texts == [["", "d"], ["g"]]
    assert first.texts == [["a", "b"], ["e", "f"]]
    assert (tmp_path / "out.txt").read_text() == "A\nB\n\nD\nE\nF\nG\n"


class Drawing(Shouting):
    """Translates into numbers that it draws as samplers of fairseq2 do."""

    def __call__(
        self, texts: Sequence[str], on_batch: Callable[[float], None]
    ) -> list[Translation]:
        super().__call__(texts, on_batch)

        draws = torch.rand(len(texts)).tolist()

        return [Translation(hypotheses=(Hypothesis(text=str(x), score=0.0),)) for x in draws]


@pytest.mark.parametrize(("stuck_at", "minutes"), [(None, 30), (2, 25)])
def test_a_rank_waits_for_others_as_long_as_they_get_on(
    stuck_at: int | None, minutes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block of theirs takes ten minutes, and a collective would wait for 15."""
    now, waited = 0.0, []

    shards = Shards(tmp_path / "shards", num_lines=len(LINES), block_size=2)

    def sleep(seconds: float) -> None:
        nonlocal now

        now += 60.0

        if now % 600.0 == 0.0 and len(shards.present()) != stuck_at:
            block = min({0, 2, 3} - shards.present())

            shards.write(block, [Translation()] * shards.size_of(block))

    monkeypatch.setattr(blocks, "sleep", sleep)
    monkeypatch.setattr(blocks, "monotonic", lambda: now)
    monkeypatch.setattr(FakeGang, "barrier", lambda self: waited.append(now / 60.0))

    create_task(tmp_path, Shouting(), rank=1, size=4).run()

    assert waited == [minutes]


def test_draws_depend_on_the_block_alone(tmp_path: Path) -> None:
    create_task(tmp_path, Drawing()).run()

    drawn = (tmp_path / "out.txt").read_text()

    # As a kill leaves it, or a rank that has other blocks.
    for block in (0, 2):
        (tmp_path / "shards" / f"{block:08}.jsonl").unlink()

    state = torch.get_rng_state()

    create_task(tmp_path, Drawing()).run()

    assert (tmp_path / "out.txt").read_text() == drawn
    assert len(set(drawn.split())) == len(LINES)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("stop_at", "num_safe"), [("a", 0), ("d", 1), ("e", 2)])
def test_a_stop_keeps_whole_blocks_and_the_rest_is_done_later(
    stop_at: str, num_safe: int, tmp_path: Path
) -> None:
    translator = Shouting()

    task = create_task(tmp_path, translator)

    translator.on_text = lambda text: task.request_stop() if text == stop_at else None

    with pytest.raises(TaskStopException):
        task.run()

    assert task.step_nr == num_safe == len(list((tmp_path / "shards").iterdir()))
    assert not (tmp_path / "out.txt").exists()

    later = Shouting()

    create_task(tmp_path, later).run()

    assert len(later.texts) == 4 - num_safe
    assert (tmp_path / "out.txt").read_text() == "A\nB\n\nD\nE\nF\nG\n"
