"""Shells on several ranks: contiguous blocks of them, rank by rank outward."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.errors import MeshError
from fvqp.mesh.distribute import bisect
from fvqp.typing import Floats, Ints

#: Parts in which a sweep passes from rank to rank on its way inward, and as many on its way outward. Ranks
#: wait for the first and for the last one.
PARTS = 8


class _Way(NamedTuple):
    """Directions, from which ghosts and rank they come, and from which shell to which rank they leave."""

    moving: Ints
    ghosts: slice
    source: int
    own: int
    to: int


class Chain:
    """This rank's block of shells and its neighbours: one ghost on either side, but for the ends.

    Attributes:
        comm: ranks, in the order of their radii.
        global_id: ``(n_cells,)`` numbers of the shells, owned ones first, then ghosts, each rising.
        n_owned, n_cells: number of shells without and with ghosts.
    """

    def __init__(self, n: int, comm: MPI.Comm) -> None:
        """
        Args:
            n: number of shells.
            comm: each rank takes as many as it would of a mesh of n cells on a line.

        Raises:
            MeshError: more ranks than shells.
        """
        if comm.size > n:
            raise MeshError(f"{comm.size} MPI ranks for {n} shells: run on at most {n} ranks")
        owner = bisect(np.outer(np.arange(n), [1.0, 0.0, 0.0]), comm.size)
        owned = np.flatnonzero(owner == comm.rank)
        beside = [k for k in (owned[0] - 1, owned[-1] + 1) if 0 <= k < n]
        self.comm = comm
        self.global_id = np.concatenate([owned, beside]).astype(np.int64)
        self.n_owned, self.n_cells = len(owned), len(self.global_id)
        # Ranks beside this one, and rows of their ghosts; none beyond the ends.
        last = self.n_cells
        self._inner = comm.rank - 1 if comm.rank > 0 else MPI.PROC_NULL
        self._outer = comm.rank + 1 if comm.rank < comm.size - 1 else MPI.PROC_NULL
        self._from_inner = slice(self.n_owned, self.n_owned + (comm.rank > 0))
        self._from_outer = slice(last - (comm.rank < comm.size - 1), last)

    def exchange(self, a: NDArray) -> None:
        """Fills the ghost rows of ``a[n_cells, ...]`` from their owners."""
        if self.comm.size == 1:
            return
        first, last = slice(0, 1), slice(self.n_owned - 1, self.n_owned)
        for own, to, ghosts, source in (
            (last, self._outer, self._from_inner, self._inner),
            (first, self._inner, self._from_outer, self._outer),
        ):
            arrived = np.empty_like(a[ghosts])
            self.comm.Sendrecv(np.ascontiguousarray(a[own]), to, recvbuf=arrived, source=source)
            a[ghosts] = arrived

    def sweep(
        self,
        x: Floats,
        inward: Ints,
        outward: Ints,
        part: Callable[[int, int, Ints], object],
    ) -> None:
        """A sweep through the shells of all ranks, inward and back, in parts that follow one another: ranks
        are at work on different ones.

        Parts are directions one by one, as far as there are so many, since a row of all energies lies
        together in memory; where there are few, energies are divided too. The innermost rank sends energies
        back as soon as it has them; the others let all pass inward first, so that those further in have
        something to do.

        Args:
            x: ``(n_cells, M, energy)`` that is solved for.
            inward, outward: directions in the order in which they depend on one another; outward ones may
                depend on inward ones of the same shell.
            part: ``part(e0, e1, directions)`` does this rank's shells.
        """
        n, sent = x.shape[2], list[MPI.Request]()
        count = max(1, min(n, -(-PARTS // max(1, len(inward)))))
        blocks = list(pairwise(n * k // count for k in range(count + 1)))
        first, last = 0, self.n_owned - 1

        def passed(e0: int, e1: int, way: _Way) -> None:
            for moving in np.array_split(way.moving, min(PARTS, len(way.moving))):
                if way.source != MPI.PROC_NULL:
                    arrived = np.empty((len(moving), e1 - e0))
                    self.comm.Recv(arrived, way.source)
                    x[way.ghosts.start, moving, e0:e1] = arrived
                part(e0, e1, moving)
                if way.to != MPI.PROC_NULL:
                    leaving = np.ascontiguousarray(x[way.own, moving, e0:e1])
                    sent.append(self.comm.Isend(leaving, way.to))

        inside = _Way(inward, self._from_outer, self._outer, first, self._inner)
        outside = _Way(outward, self._from_inner, self._inner, last, self._outer)
        innermost = self._inner == MPI.PROC_NULL
        for block in blocks:
            passed(*block, inside)
            if innermost:
                passed(*block, outside)
        for block in () if innermost else blocks:
            passed(*block, outside)
        MPI.Request.Waitall(sent)
