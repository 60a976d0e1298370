"""Calls that PETSc's log counts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from mpi4py import MPI

from fvqp.petsc import PETSc

_STAGES = count()


@contextmanager
def counted(*events: str) -> Iterator[dict[str, int]]:
    """Calls of PETSc's events within the block, once it has ended.

    In a stage of their own: solves that an error broke off count as begun for the rest of a stage.
    """
    # an event that is asked for before PETSc has made it would be another one of that name
    ts = PETSc.TS().create(MPI.COMM_SELF)
    ts.getSNES().getKSP().getPC()
    ts.destroy()
    PETSc.Log.begin()
    stage = PETSc.Log.Stage(f"tests {next(_STAGES)}")
    found: dict[str, int] = {}
    with stage:
        yield found
    found.update({event: int(PETSc.Log.Event(event).getPerfInfo(stage.id)["count"]) for event in events})
