"""What the tasks of commands have in common: they stop where asked, between two pieces of work."""

from __future__ import annotations

from fairseq2.gang import Gangs
from fairseq2.task import Task, TaskStopException
from typing_extensions import override


class PiecewiseTask(Task):
    """A task that can stop after any piece, and goes on from there when it is run again."""

    def __init__(self, num_pieces: int = 0) -> None:
        """
        :param num_pieces: How many are done already.
        """
        self._num_pieces = num_pieces
        self._stop_requested = False

    def stop_if_requested(self) -> None:
        """
        :raises TaskStopException: Somebody has asked for it.
        """
        if self._stop_requested:
            raise TaskStopException()

    def count_piece(self) -> None:
        """Counts a piece that is done, as fairseq2 tells at a stop."""
        self._num_pieces += 1

    @override
    def request_stop(self) -> None:
        self._stop_requested = True

    @override
    def close(self) -> None:
        pass

    @property
    @override
    def step_nr(self) -> int:
        return self._num_pieces


class FinishedTask(PiecewiseTask):
    """Of a command that was typed again when all was done."""

    def __init__(self, gangs: Gangs, num_pieces: int) -> None:
        super().__init__(num_pieces)

        self._gangs = gangs

    @override
    def run(self) -> None:
        self._gangs.close()
