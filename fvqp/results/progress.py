"""Progress of a sweep: a bar with the time left on a terminal, now and then a line in a log file."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

from mpi4py import MPI
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds before a bar appears; shorter runs stay quiet."""
LINE_EVERY = 10.0
"""Seconds between lines where there is no terminal."""


class SweepProgress:
    """Counts the points of a sweep; a context manager around it. Ranks other than 0 show nothing.

    Parameters
    ----------
    total : number of points; ``done`` of them were computed by an earlier run.
    """

    def __init__(self, total: int, comm: MPI.Comm, done: int = 0, console: Console | None = None) -> None:
        self.total, self.done = total, done
        self._at_start = done
        self._speaks = comm.rank == 0
        self._console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._start = self._last_line = time.monotonic()

    def __enter__(self) -> SweepProgress:
        self._start = self._last_line = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, label: str, points: int = 1) -> None:
        """Counts ``points`` as done; ``label`` says which was last (``V_inj = 0.4 mV``)."""
        self.done += points
        if not self._speaks:
            return
        log.debug("%d of %d: %s", self.done, self.total, label)
        now = time.monotonic()
        if now - self._start < PATIENCE:
            return
        if self._console.is_terminal:
            self._show(label)
        elif now - self._last_line >= LINE_EVERY and self.done < self.total:
            self._last_line = now
            log.info("%d of %d points, %s left; last %s", self.done, self.total, self.time_left(), label)

    def time_left(self) -> str:
        """Estimated from the mean time of this run's points, as ``h:mm:ss``."""
        counted = self.done - self._at_start
        if counted <= 0:
            return "unknown"
        seconds = round((time.monotonic() - self._start) / counted * (self.total - self.done))
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"

    def _show(self, label: str) -> None:
        if self._bar is None:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, console=self._console)
            self._task = self._bar.add_task(label, total=self.total, completed=self.done)
            self._bar.start()
        assert self._task is not None
        self._bar.update(self._task, completed=self.done, description=label)
