"""Batched direct solution of systems that are distributed over ranks, by substructuring.

Every rank eliminates its interior unknowns, those that no other rank's rows refer to, and is left with the
Schur complement of its interface unknowns for every energy. The interface systems are small; their energies
are divided among the ranks, each solves its share, and every rank then finishes its interior. (B. Smith, P.
Bjørstad, W. Gropp, Domain Decomposition, Cambridge 1996, chapter 4.) The answer is that of one elimination on
one rank, to round-off.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from fvqp.errors import FvqpError
from fvqp.simd import LANES
from fvqp.solvers.batched_lu import BatchedLU, SingularMatrix, TooMuchFill
from fvqp.solvers.numbering import Numbering
from fvqp.typing import Floats, Integers, Ints

_BLOCK_BYTES = 2**25
"""Memory of factors that `solve_once` holds at a time on several ranks: they should stay in the cache."""


class Substructuring:
    """Factors of n_energies sparse matrices with one pattern, whose rows are distributed over ranks.

    Parameters
    ----------
    indptr, indices
        CSR pattern of the rows of the owned unknowns; columns are local numbers, ghosts after the owned ones.
        Structurally symmetric across ranks.
    numbering
        Who owns what (`Numbering`); all calls are collective on its communicator.
    symmetric
        The matrices are symmetric.
    max_fill, max_interface
        `TooMuchFill` is raised on all ranks if a rank's factors have more entries (for one energy), or if all
        ranks together have more interface unknowns.

    Attributes
    ----------
    n_interface
        Interface unknowns of all ranks; 0 on one rank.
    fill, flops
        Entries beside the diagonals, and multiply-add pairs, for one energy: the largest of any rank, with
        the share of the interface system.
    """

    def __init__(
        self,
        indptr: Integers,
        indices: Integers,
        numbering: Numbering,
        *,
        symmetric: bool = False,
        max_fill: int | None = None,
        max_interface: int | None = None,
    ) -> None:
        self.numbering = numbering
        self._comm = comm = numbering.comm
        n_owned = numbering.n_owned
        if len(indptr) != n_owned + 1:
            raise ValueError(f"{len(indptr) - 1} rows for {n_owned} owned unknowns")
        columns = np.asarray(indices, np.int64)
        rows = np.repeat(np.arange(n_owned), np.diff(indptr))
        own = columns < n_owned
        self._interface = np.unique(rows[~own])
        self._cross = np.flatnonzero(~own)
        counts = np.array(comm.allgather(self._interface.size), np.int64)
        self._offsets = np.concatenate([[0], np.cumsum(counts)])
        self.n_interface = int(counts.sum())
        if max_interface is not None and self.n_interface > max_interface:
            raise TooMuchFill(f"{self.n_interface} interface unknowns, more than {max_interface}")
        own_ptr = np.concatenate([[0], np.cumsum(np.bincount(rows[own], minlength=n_owned))])
        self.local: BatchedLU
        too_much: TooMuchFill | None = None
        try:
            self.local = BatchedLU(
                own_ptr, columns[own], last=self._interface, entries=np.flatnonzero(own),
                n_values=columns.size, symmetric=symmetric, max_fill=max_fill,
            )  # fmt: skip
        except TooMuchFill as error:
            too_much = error
        if comm.allreduce(too_much is not None, MPI.LOR):
            raise too_much or TooMuchFill("another rank has too much fill")
        self.fill, self.flops = self.local.fill, self.local.flops
        if self.n_interface:
            self._build_interface(rows, columns, counts, symmetric)
            self.fill = max(comm.allgather(self.fill)) + self.interface.fill // comm.size
            self.flops = max(comm.allgather(self.flops)) + self.interface.flops // comm.size

    def _build_interface(self, rows: Ints, columns: Ints, counts: Ints, symmetric: bool) -> None:
        """Pattern of the interface matrix: Schur complements, then entries in ghost columns."""
        comm, numbering = self._comm, self.numbering
        m = self._interface.size
        number = np.full((numbering.n_owned, 1), -1.0)
        number[self._interface, 0] = self._offsets[comm.rank] + np.arange(m)
        local = numbering.with_ghosts(number)[:, 0].astype(np.int64)
        mine = local[self._interface]
        theirs = local[columns[self._cross]]
        if comm.allreduce(bool((theirs < 0).any()), MPI.LOR):
            raise FvqpError("the matrix refers to an unknown of another rank whose row does not refer back")
        pattern = np.concatenate(
            [
                np.stack([np.repeat(mine, m), np.tile(mine, m)], axis=1),
                np.stack([local[rows[self._cross]], theirs], axis=1),
            ]
        )
        pattern = np.concatenate(comm.allgather(pattern))
        self._n_values = np.array(comm.allgather(m * m + self._cross.size), np.int64)
        order = np.lexsort((pattern[:, 1], pattern[:, 0]))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(pattern[:, 0], minlength=self.n_interface))])
        self.interface = BatchedLU(
            indptr, pattern[order, 1], entries=order, n_values=len(order), symmetric=symmetric
        )
        self._counts = counts
        self._interface_id = np.concatenate(comm.allgather(numbering.global_id[self._interface]))

    def factor_bytes(self, n_energies: int) -> int:
        """Memory of the factors that `factor` keeps on this rank."""
        share = self.interface.factor_bytes(-(-n_energies // self._comm.size)) if self.n_interface else 0
        return self.local.factor_bytes(n_energies) + share

    def factor(self, values: Floats) -> None:
        """Factorise and keep the factors. `values`: (nnz, n_energies).

        Raises `ConvergenceError` on all ranks, naming the energy and the global number of the row.
        """
        self._collective(lambda: self.local.factor(values), self.numbering.global_id)
        self._factor_interface(values)

    def solve(self, rhs: Floats) -> Floats:
        """x of `rhs`, (n_owned, n_energies) or (k, n_owned, n_energies), with the kept factors."""
        if not self.n_interface:
            return self.local.solve(rhs)
        return self._finish(self.local.forward(rhs))

    def solve_once(self, values: Floats, rhs: Floats, out: Floats | None = None) -> Floats:
        """Factorise and solve without keeping factors, a block of energies at a time to bound the memory.

        `out`: array of the shape of `rhs` for the solution; a contiguous one saves a copy.
        """
        n_energies = values.shape[1]
        out = np.empty_like(rhs) if out is None else out
        if not self.n_interface:
            self._collective(lambda: self.local.solve_once(values, rhs, out), self.numbering.global_id)
            return out
        step = LANES * self._comm.size
        block = self._comm.allreduce(_BLOCK_BYTES // max(self.local.factor_bytes(step), 1), MPI.MIN)
        block = step * max(1, block)
        for first in range(0, n_energies, block):
            energies = slice(first, min(first + block, n_energies))
            y = np.empty(0)
            part = np.ascontiguousarray(values[:, energies])

            def reduce(part: Floats = part, energies: slice = energies) -> None:
                nonlocal y
                y = self.local.reduce(part, np.ascontiguousarray(rhs[..., energies]))

            self._collective(reduce, self.numbering.global_id, first)
            self._factor_interface(part, first)
            if block >= n_energies:
                self._finish(y, out)
            else:
                out[..., energies] = self._finish(y)
        return out

    def _share(self, n_energies: int) -> list[slice]:
        """Energies of the interface systems that each rank solves."""
        size = self._comm.size
        return [slice(n_energies * r // size, n_energies * (r + 1) // size) for r in range(size)]

    def _to_energies(self, rows: Floats, counts: Ints) -> Floats:
        """All energies (last axis) of this rank's rows (first axis) -> this rank's energies of all rows."""
        share = self._share(rows.shape[-1])
        mine = share[self._comm.rank]
        middle = rows.shape[1:-1]
        width = int(np.prod(middle))
        send = np.concatenate([rows[..., s].ravel() for s in share])
        n_send = np.array([rows.shape[0] * width * (s.stop - s.start) for s in share])
        n_receive = counts * width * (mine.stop - mine.start)
        received = np.empty(int(n_receive.sum()))
        self._comm.Alltoallv([send, n_send], [received, n_receive])
        return received.reshape(int(counts.sum()), *middle, mine.stop - mine.start)

    def _to_rows(self, solution: Floats, n_energies: int) -> Floats:
        """The inverse of `_to_energies` for interface unknowns."""
        share = self._share(n_energies)
        m = self._interface.size
        middle = solution.shape[1:-1]
        width = int(np.prod(middle))
        n_send = self._counts * width * solution.shape[-1]
        n_receive = np.array([m * width * (s.stop - s.start) for s in share])
        received = np.empty(int(n_receive.sum()))
        self._comm.Alltoallv([np.ascontiguousarray(solution), n_send], [received, n_receive])
        parts = np.split(received, np.cumsum(n_receive)[:-1])
        return np.concatenate(
            [part.reshape(m, *middle, s.stop - s.start) for part, s in zip(parts, share, strict=True)], -1
        )

    def _factor_interface(self, values: Floats, first: int = 0) -> None:
        if not self.n_interface:
            return
        m = self._interface.size
        n_energies = values.shape[1]
        rows = np.concatenate([self.local.schur.reshape(m * m, n_energies), values[self._cross]])
        mine = self._share(n_energies)[self._comm.rank]
        matrices = self._to_energies(rows, self._n_values)
        self._collective(lambda: self.interface.factor(matrices), self._interface_id, first + mine.start)

    def _finish(self, y: Floats, out: Floats | None = None) -> Floats:
        """Solution from the right-hand sides left by the elimination of the interior."""
        rows = np.moveaxis(y[..., self._interface, :], -2, 0)
        rhs = self._to_energies(rows, self._counts)
        if rhs.shape[-1]:
            solution = self.interface.solve(np.ascontiguousarray(np.moveaxis(rhs, 0, -2)))
            rhs = np.ascontiguousarray(np.moveaxis(solution, -2, 0))
        y[..., self._interface, :] = np.moveaxis(self._to_rows(rhs, y.shape[-1]), 0, -2)
        return self.local.backward(y, out)

    def _collective(self, action: Callable[[], object], names: Ints, first: int = 0) -> None:
        """Run `action`; a singular matrix on any rank is raised on all, the one of the lowest energy."""
        found: tuple[int, int] | None = None
        try:
            action()
        except SingularMatrix as error:
            found = (first + error.energy, int(names[error.row]))
        failures = [f for f in self._comm.allgather(found) if f is not None]
        if failures:
            raise SingularMatrix(*min(failures))
