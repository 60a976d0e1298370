"""PETSc objects on several ranks."""

from __future__ import annotations

import pytest
from mpi4py import MPI

from fvqp.petsc import PETSc, destroyed_with

pytestmark = pytest.mark.mpi
WORLD = MPI.COMM_WORLD


class Owner:
    """Anything that a PETSc object dies with."""


def test_ranks_destroy_at_different_times() -> None:
    """Garbage is collected at other times on other ranks; objects made meanwhile share one communicator."""
    comm = WORLD.Dup()
    for turn in range(2 * comm.size):
        owner = Owner()
        destroy = destroyed_with(owner, PETSc.KSP().create(comm))
        if comm.rank == turn % comm.size:
            destroy()
        ones = PETSc.Vec().createMPI((3, PETSc.DECIDE), comm=comm)
        ones.set(1.0)
        assert ones.sum() == 3.0 * comm.size
        ones.destroy()
        destroy()
    comm.Free()
