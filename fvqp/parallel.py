"""Collective helpers: results and errors of one rank for all, waiting without load, a work queue."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np
from mpi4py import MPI

from fvqp.errors import FvqpError

T = TypeVar("T")

#: Seconds between two looks of a rank that waits for others: at first, and after a long time.
SHORT, LONG = 5e-5, 0.02


def wait(arrived: Callable[[], bool], patience: float | None = None) -> bool:
    """Sleep until ``arrived()``; False if it has not after ``patience`` seconds.

    A collective call of MPI waits at full speed, for minutes where groups of ranks share a sweep unevenly,
    and takes the processor from ranks that compute. The time between two looks grows with the time waited.
    """
    start = time.monotonic()
    while not arrived():
        waited = time.monotonic() - start
        if patience is not None and waited > patience:
            return False
        time.sleep(min(max(SHORT, 0.1 * waited), LONG))
    return True


def barrier(comm: MPI.Comm) -> None:
    """Wait for all ranks; those that come early sleep. Collective."""
    if comm.size > 1:
        wait(comm.Ibarrier().Test)


class WorkQueue:
    """Queue of the numbers 0, 1, 2, ... for groups that ``comm`` is split into: the next one goes to the
    group that asks first.

    The counter lies with rank 0, which need not take notice when others ask. Collective over ``comm``, as is
    `free`.
    """

    def __init__(self, comm: MPI.Comm, group: MPI.Comm) -> None:
        assert isinstance(comm, MPI.Intracomm)
        self._group = group
        counter = np.zeros(1, np.int64)
        self._window = MPI.Win.Allocate(counter.nbytes if comm.rank == 0 else 0, counter.itemsize, comm=comm)
        if comm.rank == 0:
            self._window.Lock(0)
            self._window.Put([counter, MPI.INT64_T], 0)
            self._window.Unlock(0)
        comm.Barrier()

    def next(self) -> int:
        """The next number, the same on all ranks of the group. Collective over the group."""
        number = np.zeros(1, np.int64)
        if self._group.rank == 0:
            self._window.Lock(0)
            self._window.Fetch_and_op([np.ones(1, np.int64), MPI.INT64_T], [number, MPI.INT64_T], 0)
            self._window.Unlock(0)
        self._group.Bcast([number, MPI.INT64_T])
        return int(number[0])

    def free(self) -> None:
        """Give the counter back, when all groups have come to the end."""
        self._window.Free()


def run_on_root(comm: MPI.Comm, work: Callable[[], T]) -> T:
    """Return on all ranks what ``work()`` returns on rank 0 (picklable), or raise its error. Collective."""
    result: T | None = None
    problem: FvqpError | None = None
    if comm.rank == 0:
        try:
            result = work()
        except FvqpError as error:
            problem = error
    barrier(comm)
    result, problem = comm.bcast((result, problem), root=0)
    if problem is not None:
        raise problem
    return result  # type: ignore[return-value]


def raise_first_error(comm: MPI.Comm, problem: FvqpError | None) -> None:
    """Raise the ``problem`` of the lowest rank that has one, on all ranks. Collective."""
    problems = [entry for entry in comm.allgather(problem) if entry is not None]
    if problems:
        raise problems[0]
