"""Progress of a sweep: a bar with the time left on a terminal, elsewhere now and then a line.

Lines go to the log; where nobody has set up logging, in a script or a notebook, to standard error too.
"""

from __future__ import annotations

import bisect
import logging
import math
import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from mpi4py import MPI
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from fvqp.texts import clock

if TYPE_CHECKING:
    from fvqp.results.status import StatusFile

log = logging.getLogger(__name__)

PATIENCE = 2.0
"""Seconds before a bar appears; shorter runs stay quiet."""
LINE_EVERY = 10.0
"""Seconds between lines where there is no terminal."""


def tell(message: str) -> None:
    """Log a line; print it where no handler but those of files shows the log."""
    log.info("%s", message)
    if not _handled():
        print(message, file=sys.stderr, flush=True)


def _handled() -> bool:
    at: logging.Logger | None = log
    while at is not None:
        if not all(isinstance(handler, logging.FileHandler) for handler in at.handlers):
            return True
        at = at.parent if at.propagate else None
    return False


class SweepProgress:
    """Counts the points of a sweep; a context manager around it. Ranks other than 0 show nothing.

    Parameters
    ----------
    total : number of points; ``done`` of them were computed by an earlier run.
    status : file that takes the same, for others to read.
    """

    def __init__(
        self,
        total: int,
        comm: MPI.Comm,
        done: int = 0,
        console: Console | None = None,
        status: StatusFile | None = None,
    ) -> None:
        self.total, self.done = total, done
        self._at_start = done
        self._speaks = comm.rank == 0
        self._status = status if self._speaks else None
        self._steps, self._last = 0, ""
        self._console = console or Console(file=sys.stderr)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._inner: TaskID | None = None
        self._start = self._last_line = self._inner_start = time.monotonic()
        # Points that take long are told by a thread of its own.
        self._lock = threading.RLock()
        self._ended = threading.Event()

    def __enter__(self) -> SweepProgress:
        self._start = self._last_line = time.monotonic()
        if self._speaks:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def _watch(self) -> None:
        """Show that the run goes on while no point is completed."""
        while not self._ended.wait(PATIENCE if self._console.is_terminal else LINE_EVERY):
            with self._lock:
                if not self._ended.is_set():
                    self.wait()

    def wait(self) -> None:
        """Tell how long the run takes so far, if nothing else has been told lately."""
        now = time.monotonic()
        if self._console.is_terminal:
            if self._task is None and self._inner is None:
                self._show("computing")
        elif now - self._last_line >= LINE_EVERY and self.done < self.total:
            self._last_line = now
            left = "" if self.done == self._at_start else f", {self.time_left()} left"
            tell(f"{self.done} of {self.total} points after {clock(now - self._start)}{left}{self._last}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        with self._lock:
            if self._bar is not None:
                self._bar.stop()

    def advance(self, label: str, points: int = 1) -> None:
        """Counts ``points`` as done; ``label`` says which was last (``V_inj = 0.4 mV``)."""
        with self._lock:
            self._advance(label, points)

    def _advance(self, label: str, points: int) -> None:
        self.done += points
        self._last = f"; last {label}"
        if not self._speaks:
            return
        log.debug("%d of %d: %s", self.done, self.total, label)
        if self._status is not None:
            left = {} if self._steps else {"left": self.time_left()}
            self._status.tell(last=label, **left)
        now = time.monotonic()
        if now - self._start < PATIENCE:
            return
        if self._console.is_terminal:
            self._show(label)
        elif now - self._last_line >= LINE_EVERY and self.done < self.total:
            self._last_line = now
            tell(f"{self.done} of {self.total} points, {self.time_left()} left{self._last}")

    def within(self, label: str, part: float, note: str = "", left: str = "") -> None:
        """Tells how much is done of what the next points wait for: ``part`` from 0, where it begins, to 1.

        ``note`` says what goes on, and ``left`` the time left of all, in place of that of these points.
        """
        with self._lock:
            self._within(label, float(part), note, left)

    def _within(self, label: str, part: float, note: str, left: str) -> None:
        if not self._speaks:
            return
        now = time.monotonic()
        if part <= 0.0 or part >= 1.0:
            self._inner_start = now
            if self._bar is not None and self._inner is not None:
                self._bar.remove_task(self._inner)
            self._inner = None
        log.debug("%.0f %% of %s", 100.0 * part, label)
        if not left:
            left = clock((now - self._inner_start) / part * (1.0 - part)) if part > 0.0 else "unknown"
        self._steps += part > 0.0
        if self._status is not None:
            self._status.tell(within=label, part=part, note=note, left=left, steps=self._steps)
        if now - self._inner_start < PATIENCE:
            return
        if self._console.is_terminal:
            self._show_inner(label, part)
        elif now - self._last_line >= LINE_EVERY and part < 1.0:
            self._last_line = now
            tell(f"{100.0 * part:.0f} % of {label}, {left} left{note and f'; {note}'}{self._last}")

    def time_left(self) -> str:
        """Estimated from the mean time of this run's points, as ``h:mm:ss``."""
        counted = self.done - self._at_start
        if counted <= 0:
            return "unknown"
        return clock((time.monotonic() - self._start) / counted * (self.total - self.done))

    def _show(self, label: str) -> None:
        bar = self._started()
        if self._task is None:
            self._task = bar.add_task(label, total=self.total, completed=self.done)
        bar.update(self._task, completed=self.done, description=label)

    def _show_inner(self, label: str, part: float) -> None:
        bar = self._started()
        if self._inner is None:
            self._inner = bar.add_task(label, total=100)
        bar.update(self._inner, completed=round(100.0 * part), description=f"% of {label}")

    def _started(self) -> Progress:
        """The bar, which appears when it is first asked for."""
        if self._bar is None:
            columns = (
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.description}"),
            )
            self._bar = Progress(*columns, console=self._console)
            self._bar.start()
        return self._bar


class LogPace:
    """Time left of an evolution, by the logarithm of the time that the latest half of the run has passed."""

    def __init__(self) -> None:
        self._past: list[tuple[float, float]] = []

    def left(self, now: float, end: float) -> str:
        """Return ``h:mm:ss`` until ``end``, or "unknown" before steps tell; called after every step."""
        seconds, reached = time.monotonic(), math.log(now)
        self._past.append((seconds, reached))
        first = self._past[0][0]
        at = bisect.bisect(self._past, (0.5 * (first + seconds), math.inf)) - 1
        since, there = self._past[at]
        if not reached > there:
            return "unknown"
        return clock((seconds - since) / (reached - there) * (math.log(end) - reached))
