"""Unknowns of a distributed vector: contiguous numbers for PETSc, and the exchange of ghost values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.errors import FvqpError
from fvqp.typing import Floats, Integers, Ints

_TAG = 8
"""Of messages with rows."""


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
        if comm.size > 1:
            self.number[n_owned:] = self._ask_numbers(self.global_id[n_owned:])
        elif self.n_local > n_owned:
            message = f"unknown {self.global_id[n_owned]} is a ghost, but there is no other rank to own it"
            raise FvqpError(message)
        self._plan_exchange()

    def _ask_numbers(self, ghosts: Ints) -> Ints:
        """Numbers of unknowns owned elsewhere, by way of rank `id % size`: no rank holds all of them."""
        owned = np.stack([self.global_id[: self.n_owned], self.number[: self.n_owned]], axis=1)
        home = owned[:, 0] % self.comm.size
        known, _ = exchange_rows(self.comm, owned[np.argsort(home, kind="stable")], self._per_rank(home))
        known = known[np.argsort(known[:, 0])]
        home = ghosts % self.comm.size
        order = np.argsort(home, kind="stable")
        asked, per_rank = exchange_rows(self.comm, ghosts[order, None], self._per_rank(home))
        place = np.minimum(np.searchsorted(known[:, 0], asked[:, 0]), max(len(known) - 1, 0))
        found = known[place] if len(known) else np.full((len(asked), 2), -1, np.int64)
        answer = np.where(found[:, :1] == asked, found[:, 1:], -1)
        answer, _ = exchange_rows(self.comm, answer, per_rank)
        numbers = np.empty(ghosts.size, np.int64)
        numbers[order] = answer[:, 0]
        orphan = int(ghosts[numbers < 0].min(initial=np.iinfo(np.int64).max))
        orphan = self.comm.allreduce(orphan, MPI.MIN)
        if orphan != np.iinfo(np.int64).max:
            raise FvqpError(f"unknown {orphan} is a ghost, but no rank owns it")
        return numbers

    def _per_rank(self, rank: Ints) -> Ints:
        return np.bincount(rank, minlength=self.comm.size)

    def _plan_exchange(self) -> None:
        ghosts = self.number[self.n_owned :]
        order = np.argsort(ghosts, kind="stable")
        owner = np.searchsorted(self.offsets, ghosts[order], side="right") - 1
        self._receive = self.n_owned + order
        self._n_receive = self._per_rank(owner)
        wanted, self._n_send = exchange_rows(self.comm, ghosts[order, None], self._n_receive)
        self._send = wanted[:, 0] - self.offsets[self.comm.rank]

    def with_ghosts(self, owned: Floats) -> Floats:
        """(n_local, n_energies) copy of (n_owned, n_energies) values, with those of the ghosts."""
        full = np.empty((self.n_local, owned.shape[1]))
        full[: self.n_owned] = owned
        self.fill_ghosts(full)
        return full

    def fill_ghosts(self, full: Floats) -> None:
        """Write the ghosts' values, which their owners have, into (n_local, n_energies) values."""
        if self.comm.size > 1:
            ghosts, _ = exchange_rows(self.comm, full[self._send], self._n_send, self._n_receive)
            full[self._receive] = ghosts


def exchange_rows(
    comm: MPI.Comm, rows: NDArray[Any], n_send: Ints, n_receive: Ints | None = None
) -> tuple[NDArray[Any], Ints]:
    """Send rows, sorted by the rank they go to, and return those received, sorted by the rank they come from.

    `n_send`: number of rows for every rank. Returns the rows and the number from every rank.
    """
    rows = np.ascontiguousarray(rows)
    if n_receive is None:
        n_receive = np.empty(comm.size, np.int64)
        comm.Alltoall(np.asarray(n_send, np.int64), n_receive)
    received = np.empty((int(n_receive.sum()), *rows.shape[1:]), rows.dtype)
    scalar = MPI.DOUBLE if rows.dtype == np.float64 else MPI.INT64_T
    # of rows, so that counts fit into 32 bits
    row = scalar.Create_contiguous(int(np.prod(rows.shape[1:]))).Commit()
    requests = []
    try:
        # Most ranks have nothing for one another: an Alltoallv would ask all of them.
        for rank, part in _parts(received, n_receive):
            requests.append(comm.Irecv([part, len(part), row], source=rank, tag=_TAG))
        for rank, part in _parts(rows, n_send):
            requests.append(comm.Isend([part, len(part), row], dest=rank, tag=_TAG))
        MPI.Request.Waitall(requests)
    finally:
        row.Free()
    return received, n_receive


def _parts(rows: NDArray[Any], counts: Ints) -> Iterator[tuple[int, NDArray[Any]]]:
    """Rows of every rank that has any."""
    ends = np.cumsum(counts)
    for rank in np.flatnonzero(counts):
        yield int(rank), rows[ends[rank] - counts[rank] : ends[rank]]
