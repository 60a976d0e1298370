"""Work that one rank does for all: its result, or its failure, reaches every rank."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from mpi4py import MPI

from fvqp.errors import FvqpError

T = TypeVar("T")


def on_root(comm: MPI.Comm, work: Callable[[], T]) -> T:
    """What ``work()`` returns on rank 0 (picklable), on all ranks; an :class:`FvqpError` too. Collective."""
    result: T | None = None
    problem: FvqpError | None = None
    if comm.rank == 0:
        try:
            result = work()
        except FvqpError as error:
            problem = error
    result, problem = comm.bcast((result, problem), root=0)
    if problem is not None:
        raise problem
    return result  # type: ignore[return-value]


def all_or_none(comm: MPI.Comm, problem: FvqpError | None) -> None:
    """Raises the ``problem`` of the lowest rank that has one, on all ranks. Collective."""
    problems = [entry for entry in comm.allgather(problem) if entry is not None]
    if problems:
        raise problems[0]
