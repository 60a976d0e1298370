"""Output of a command: its answer on standard output, the log on standard error, the end of all its ranks."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

from fvqp.threads import ranks_from_environment

if TYPE_CHECKING:
    from mpi4py import MPI

PATIENCE = 10.0
"""Seconds that ranks wait for one another when one of them stops, before the whole run is ended."""


class Ranks:
    """The ranks of a command; MPI is started here only when a launcher has started several."""

    def __init__(self) -> None:
        self.size, self.rank = 1, 0
        self._comm: MPI.Comm | None = None
        if ranks_from_environment() > 1:
            from mpi4py import MPI

            self.size, self.rank = MPI.COMM_WORLD.size, MPI.COMM_WORLD.rank
            # A communicator of its own: a message about an end must not meet a collective call of the run.
            self._comm = MPI.COMM_WORLD.Dup() if self.size > 1 else None

    def leave(self, code: int, message: str) -> int:
        """Prints ``message`` once; all ranks end, by returning if all have come here, by force if not."""
        if self._comm is None:
            print(message, file=sys.stderr)
            return code
        if self.rank == 0:
            print(message, file=sys.stderr, flush=True)
        request = self._comm.Ibarrier()
        deadline = time.monotonic() + PATIENCE
        while not request.Test():
            if time.monotonic() > deadline:
                if self.rank != 0:
                    print(f"{message} (on rank {self.rank} only)", file=sys.stderr, flush=True)
                self._comm.Abort(code)
            time.sleep(0.01)
        return code


def say(text: str) -> None:
    """Prints on rank 0."""
    if ranks_from_environment() > 1:
        from mpi4py import MPI

        if MPI.COMM_WORLD.rank != 0:
            return
    print(text)


class TerminalLog(logging.Handler):
    """The package's log on standard error, on rank 0; a context manager around a command."""

    def __init__(self, ranks: Ranks, *, verbose: bool, quiet: bool) -> None:
        super().__init__()
        self._shown = ranks.rank == 0
        self.setLevel(logging.DEBUG if verbose else logging.WARNING if quiet else logging.INFO)

    def emit(self, record: logging.LogRecord) -> None:
        mark = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        # sys.stderr as it is now: a progress bar puts itself between while it is shown.
        print(f"{mark}{record.getMessage()}", file=sys.stderr)

    def __enter__(self) -> TerminalLog:
        logger = logging.getLogger("fvqp")
        logger.setLevel(min(self.level, logging.INFO))
        logger.addHandler(self if self._shown else logging.NullHandler())
        return self

    def __exit__(self, *reason: object) -> None:
        logging.getLogger("fvqp").removeHandler(self)
