"""Rows of cells between the ranks that compute them and the order of a file, where each rank has a range."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from mpi4py import MPI

from fvqp.typing import Floats, Ints, Ints32

BLOCK_BYTES = 1 << 25
"""Rows travel in blocks of columns of about this size on a rank."""


class FileOrder:
    """Who has which cell, and who writes or reads it: of a file's cells rank ``r`` has a range.

    No rank ever holds more than its cells and its range. All methods are collective over ``comm``.

    Parameters
    ----------
    comm : the ranks that share the cells.
    cells : ``(n,)`` numbers of the cells of this rank, in the order of its arrays; for `gathered` every cell
        belongs to one rank, for `scattered` a cell may be wanted by several.
    n_global : cells of the file.

    Attributes
    ----------
    bounds : ``(ranks + 1,)``; the range of rank ``r`` is ``bounds[r]:bounds[r + 1]``.
    start, stop : the range of this rank.
    """

    def __init__(self, comm: MPI.Comm, cells: Ints, n_global: int) -> None:
        self._comm = comm
        self.bounds = n_global * np.arange(comm.size + 1, dtype=np.int64) // comm.size
        self.start, self.stop = (int(bound) for bound in self.bounds[comm.rank : comm.rank + 2])
        self._order = np.argsort(cells, kind="stable")
        numbers = np.asarray(cells, dtype=np.int64)[self._order]
        self._ours = np.diff(np.searchsorted(numbers, self.bounds)).astype(np.int32)
        self._theirs = np.empty_like(self._ours)
        comm.Alltoall(self._ours, self._theirs)
        wanted = np.empty(int(self._theirs.sum()), dtype=np.int64)
        comm.Alltoallv([numbers, self._ours], [wanted, self._theirs])
        self._places = wanted - self.start
        self._most = int(comm.allreduce(max(len(numbers), len(wanted), 1), MPI.MAX))

    def gathered(self, values: Floats) -> Floats:
        """Rows ``(stop - start, width)`` of this rank's range, from ``values (n, width)`` of its cells."""
        rows = np.empty((self.stop - self.start, values.shape[1]))
        for columns in self._columns(values.shape[1]):
            sent = np.ascontiguousarray(values[:, columns][self._order])
            came = np.empty((len(self._places), sent.shape[1]))
            self._exchange(sent, self._ours, came, self._theirs)
            rows[self._places, columns] = came
        return rows

    def scattered(self, rows: Floats) -> Floats:
        """The values ``(n, width)`` of this rank's cells, from the ``rows (stop - start, width)`` of its
        range."""
        values = np.empty((len(self._order), rows.shape[1]))
        for columns in self._columns(rows.shape[1]):
            sent = np.ascontiguousarray(rows[:, columns][self._places])
            came = np.empty((len(self._order), sent.shape[1]))
            self._exchange(sent, self._theirs, came, self._ours)
            values[self._order, columns] = came
        return values

    def _columns(self, width: int) -> Iterator[slice]:
        """The same blocks on all ranks."""
        step = max(1, BLOCK_BYTES // (8 * self._most))
        for first in range(0, width, step):
            yield slice(first, min(first + step, width))

    def _exchange(self, sent: Floats, to: Ints32, came: Floats, since: Ints32) -> None:
        # Counted in rows: MPI counts up to 2^31, which numbers can exceed.
        row = MPI.DOUBLE.Create_contiguous(sent.shape[1]).Commit()
        try:
            self._comm.Alltoallv([sent, to, row], [came, since, row])
        finally:
            row.Free()
