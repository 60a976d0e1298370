"""Unknowns of a distributed vector: contiguous numbers for PETSc, and the exchange of ghost values."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from fvqp.errors import FvqpError
from fvqp.petsc import PETSc, destroyed_with
from fvqp.typing import Floats, Integers, Ints


class Numbering:
    """Local unknowns, owned ones first, of a vector that is distributed over `comm`.

    Parameters
    ----------
    comm
        Communicator of all ranks that hold a part; every call below is collective on it.
    n_owned
        Number of unknowns that this rank owns.
    global_id
        (n_local,) a number for every local unknown, the same on every rank that has it, and unique.

    Attributes
    ----------
    offsets
        (size + 1,) first number of every rank in the numbering that is contiguous over the ranks.
    number
        (n_local,) that number for every local unknown.
    """

    def __init__(self, comm: MPI.Comm, n_owned: int, global_id: Integers) -> None:
        self.comm = comm
        self.n_owned = n_owned
        self.global_id = np.asarray(global_id, np.int64)
        self.n_local = self.global_id.size
        counts = comm.allgather(n_owned)
        self.offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        self.number = np.empty(self.n_local, np.int64)
        self.number[:n_owned] = self.offsets[comm.rank] + np.arange(n_owned)
        ghosts = self.global_id[n_owned:]
        if comm.size > 1:
            self.number[n_owned:] = self._asked(ghosts)
            self._exchange = self._from_owners()
            destroyed_with(self, self._exchange)
        elif ghosts.size:
            raise FvqpError(f"unknown {ghosts[0]} is a ghost, but there is no other rank to own it")

    def _asked(self, ghosts: Ints) -> Ints:
        """Return the numbers of unknowns that other ranks own.

        Rank ``id % size`` keeps the number of an unknown for those who ask: no rank holds all of them.
        """
        size, owned = self.comm.size, self.global_id[: self.n_owned]
        last = self.comm.allreduce(int(self.global_id.max(initial=-1)), MPI.MAX)
        kept = np.full(last // size + 1, -1, np.int64)
        numbers = np.empty(ghosts.size, np.int64)
        told = self._messages(kept.size, owned % size, owned // size)
        told.reduceBegin(MPI.INT64_T, self.number[: self.n_owned], kept, MPI.REPLACE)
        told.reduceEnd(MPI.INT64_T, self.number[: self.n_owned], kept, MPI.REPLACE)
        asked = self._messages(kept.size, ghosts % size, ghosts // size)
        asked.bcastBegin(MPI.INT64_T, kept, numbers, MPI.REPLACE)
        asked.bcastEnd(MPI.INT64_T, kept, numbers, MPI.REPLACE)
        told.destroy()
        asked.destroy()
        orphan = int(ghosts[numbers < 0].min(initial=np.iinfo(np.int64).max))
        orphan = self.comm.allreduce(orphan, MPI.MIN)
        if orphan != np.iinfo(np.int64).max:
            raise FvqpError(f"unknown {orphan} is a ghost, but no rank owns it")
        return numbers

    def _from_owners(self) -> PETSc.SF:
        """Return what brings rows of owned unknowns to the ranks on which they are ghosts."""
        ghosts = self.number[self.n_owned :]
        owner = np.searchsorted(self.offsets, ghosts, side="right") - 1
        leaves = np.arange(self.n_owned, self.n_local)
        return self._messages(self.n_owned, owner, ghosts - self.offsets[owner], leaves)

    def _messages(self, roots: int, rank: Ints, row: Ints, leaves: Ints | None = None) -> PETSc.SF:
        """Return PETSc's star forest of rows of this rank (its leaves) and their places on other ranks."""
        there = np.stack([rank, row], axis=1).astype(PETSc.IntType)
        forest = PETSc.SF().create(self.comm)
        forest.setGraph(roots, None if leaves is None else leaves.astype(PETSc.IntType), there)
        return forest

    def with_ghosts(self, owned: Floats) -> Floats:
        """(n_local, n_energies) copy of (n_owned, n_energies) values, with those of the ghosts."""
        full = np.empty((self.n_local, owned.shape[1]))
        full[: self.n_owned] = owned
        self.fill_ghosts(full)
        return full

    def fill_ghosts(self, full: Floats) -> None:
        """Write the ghosts' values, which their owners have, into contiguous (n_local, n_energies) values."""
        if self.comm.size == 1:
            return
        row = MPI.DOUBLE.Create_contiguous(full.shape[1]).Commit()
        try:
            self._exchange.bcastBegin(row, full, full, MPI.REPLACE)
            self._exchange.bcastEnd(row, full, full, MPI.REPLACE)
        finally:
            row.Free()
