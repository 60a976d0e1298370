"""Run time of a case, estimated before it runs: a few pieces of its work are timed and counted."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mpi4py import MPI

from fvqp.errors import FvqpError
from fvqp.texts import two_digits

log = logging.getLogger(__name__)

START = 4.0
"""Seconds of any run, to start the program, open the results folder and draw figures (measured: 3 to 5)."""
BRIEF = 1.0
"""Seconds of a piece below which it is timed once more: the first one may compile loops, or read them."""


@dataclass(frozen=True)
class Work:
    """Pieces of work, which are most of a run.

    Attributes:
        pieces: their name, for the report: "steps".
        number: of pieces in a run.
        compute: computes some of them, and returns how many. Collective, unless lines are shared.
        lines: independent lines that the ranks share; 0 where all ranks compute every piece together.
    """

    pieces: str
    number: float
    compute: Callable[[], float]
    lines: int = 0


def estimated_run_time(works: Iterable[Work], comm: MPI.Comm) -> str:
    """Return the expected run time as text; right within a factor of 3 for most cases. Collective."""
    total, parts = START, []
    for work in works:
        if comm.rank == 0:
            log.info("timing %s of the run", work.pieces)
        try:
            each = _seconds(work, comm)
        except FvqpError as error:
            return f"unknown: {error}"
        lines = max(work.lines, 1)
        total += work.number * each * (-(-lines // comm.size) / lines)
        parts.append(f"{two_digits(work.number)} {work.pieces} of {_short(each)}")
    where = "one core" if comm.size == 1 else f"{comm.size} ranks"
    return f"about {_rough(total)} on {where}: {', '.join(parts) or 'little to compute'}"


def _seconds(work: Work, comm: MPI.Comm) -> float:
    """Processor time of a piece on the slowest rank."""
    for _ in range(2):
        begin = time.process_time()
        done = work.compute()
        taken = time.process_time() - begin
        if comm.allreduce(taken, MPI.MAX) > BRIEF:
            break
    return float(comm.allreduce(taken / done, MPI.MAX))


def _short(seconds: float) -> str:
    """Seconds of a piece as text."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{two_digits(seconds / size)} {unit}"
    return f"{two_digits(seconds * 1e6)} us"


def _rough(seconds: float) -> str:
    """Seconds of a run with one digit or two, which is all that an estimate is worth."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 1.5 * size:
            return f"{two_digits(seconds / size)} {unit}"
    return f"{two_digits(seconds)} s"
