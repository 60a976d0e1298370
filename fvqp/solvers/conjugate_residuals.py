"""Generalized conjugate residuals: linear systems with one matrix and several right-hand sides.

S. C. Eisenstat, H. C. Elman and M. H. Schultz, SIAM J. Numer. Anal. 20, 345 (1983). As flexible GMRES the
method makes the residual small over all directions that it was given, and any preconditioner may propose
them; but directions that served one right-hand side are there for the next, and guesses are directions like
others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

Floats = NDArray[np.float64]

#: An image that keeps this part of its length is orthogonal to others once they are taken out of it.
ORTHOGONAL = 0.5
#: A direction whose image lies so far within those of others adds rounding only.
DEPENDENT = 1e-4
#: Where a direction takes less than this part of the residual, its image leads further than the residual.
STALLED = 0.1
#: Images that lie side by side: a product with all of them reads memory once.
TOGETHER = 8


class ConjugateResiduals:
    """``A x = r`` for one right-hand side after another. Vectors are this rank's part; collective.

    Only images ``A d`` of directions d are made orthonormal, ``A D = Q R``; x is put together from D and R
    when it is asked for.

    Attributes:
        residual: ``r − A x``.
        stalled: whether the latest direction left the residual nearly as it was.
    """

    def __init__(self, action: Callable[[Floats], Floats], comm: MPI.Comm, kept: int) -> None:
        """
        Args:
            action: ``A x``.
            comm: ranks that share the vectors.
            kept: directions, two vectors each; a further one replaces all of them.
        """
        self._action, self._comm, self._kept = action, comm, kept
        self._forget()
        self._before: Floats = np.zeros(0)
        self.residual: Floats = np.zeros(0)
        self.stalled = False

    def begin(self, right: Floats) -> None:
        """Another right-hand side: the best x of all directions so far."""
        self._before, self.residual = np.zeros_like(right), right.copy()
        self.stalled = False
        self._parts = self._products(right)
        self._subtract(self._parts, self.residual)

    @property
    def x(self) -> Floats:
        """So far."""
        out = self._before.copy()
        if self._directions:
            parts = solve_triangular(self._triangle, self._parts)
            for part, direction in zip(parts, self._directions, strict=True):
                out += part * direction
        return out

    @property
    def ahead(self) -> Floats:
        """What, preconditioned, makes the next direction: the residual, or the last image if that stalls."""
        if self.stalled and self._directions:
            return np.asarray(self._images[-1][(len(self._directions) - 1) % TOGETHER])
        return self.residual

    def extend(self, direction: Floats) -> None:
        """Makes the residual small over one more direction."""
        image = self._action(direction)
        if len(self._directions) == self._kept:
            self._before = self.x
            self._forget()
        size = left = self._size(image)
        column = np.zeros(len(self._directions))
        for _ in range(2 if self._directions else 0):
            parts = self._products(image)
            self._subtract(parts, image)
            column += parts
            before, left = left, self._size(image)
            if left > ORTHOGONAL * before:  # rounding of what was taken away is as small as all else
                break
        self.stalled = True
        if not left > DEPENDENT * size:
            return
        image /= left
        part = float(self._comm.allreduce(float(image @ self.residual)))
        self.stalled = abs(part) < STALLED * self._size(self.residual)
        self.residual = self.residual - part * image  # the one before may be a direction
        self._keep(direction, image, np.append(column, left), part)

    def _forget(self) -> None:
        self._directions: list[Floats] = []
        #: Blocks of `TOGETHER` rows, of which the last may have room.
        self._images: list[Floats] = []
        self._triangle, self._parts = np.zeros((0, 0)), np.zeros(0)

    def _keep(self, direction: Floats, image: Floats, column: Floats, part: float) -> None:
        n = len(self._directions)
        if n % TOGETHER == 0:
            self._images.append(np.empty((TOGETHER, image.size)))
        self._images[-1][n % TOGETHER] = image
        self._directions.append(direction)
        triangle = np.zeros((n + 1, n + 1))
        triangle[:n, :n] = self._triangle
        triangle[:, n] = column
        self._triangle, self._parts = triangle, np.append(self._parts, part)

    def _blocks(self) -> list[Floats]:
        """Rows that hold images."""
        n = len(self._directions)
        return [block[: n - TOGETHER * k] for k, block in enumerate(self._images)]

    def _products(self, a: Floats) -> Floats:
        """Scalar products with all images."""
        out = np.concatenate([np.zeros(0), *(block @ a for block in self._blocks())])
        self._comm.Allreduce(MPI.IN_PLACE, out)
        return out

    def _subtract(self, parts: Floats, a: Floats) -> None:
        """Takes parts of the images out of a."""
        for k, block in enumerate(self._blocks()):
            a -= parts[TOGETHER * k : TOGETHER * k + len(block)] @ block

    def _size(self, a: Floats) -> float:
        return float(np.sqrt(self._comm.allreduce(float(a @ a))))
