"""Sweeps through shells on several ranks, which have contiguous blocks of them, rank by rank outward."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from fvqp.mesh import Mesh
from fvqp.typing import Floats, Ints

#: Parts in which a sweep passes from rank to rank on its way inward, and as many on its way outward. Ranks
#: wait for the first and for the last one.
PARTS = 8


class _Way(NamedTuple):
    """Directions, the ghost and rank that they come from, and the shell and rank that they leave by."""

    moving: Ints
    ghost: int
    source: int
    own: int
    to: int


class Chain:
    """This rank's block of shells and its neighbours: one ghost on either side, but for the ends.

    Args:
        mesh: a line in radius.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.comm = mesh.comm
        radius, n = mesh.centroid[:, 0], mesh.n_owned
        self._first, self._last = int(np.argmin(radius[:n])), int(np.argmax(radius[:n]))
        # Ranks beside this one, and their ghosts; none beyond the ends.
        self._inner = self._outer = MPI.PROC_NULL
        self._from_inner = self._from_outer = -1
        for rank, (ghost, *_) in mesh.exchange.receive:
            if radius[ghost] < radius[self._first]:
                self._inner, self._from_inner = rank, int(ghost)
            else:
                self._outer, self._from_outer = rank, int(ghost)

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

        def passed(e0: int, e1: int, way: _Way) -> None:
            for moving in np.array_split(way.moving, min(PARTS, len(way.moving))):
                if way.source != MPI.PROC_NULL:
                    arrived = np.empty((len(moving), e1 - e0))
                    self.comm.Recv(arrived, way.source)
                    x[way.ghost, moving, e0:e1] = arrived
                part(e0, e1, moving)
                if way.to != MPI.PROC_NULL:
                    leaving = np.ascontiguousarray(x[way.own, moving, e0:e1])
                    sent.append(self.comm.Isend(leaving, way.to))

        inside = _Way(inward, self._from_outer, self._outer, self._first, self._inner)
        outside = _Way(outward, self._from_inner, self._inner, self._last, self._outer)
        innermost = self._inner == MPI.PROC_NULL
        for block in blocks:
            passed(*block, inside)
            if innermost:
                passed(*block, outside)
        for block in () if innermost else blocks:
            passed(*block, outside)
        MPI.Request.Waitall(sent)
