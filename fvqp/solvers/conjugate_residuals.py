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
from scipy.linalg.blas import daxpy

Floats = NDArray[np.float64]

#: An image that keeps this part of its length is orthogonal to others once they are taken out of it.
ORTHOGONAL = 0.5
#: A direction whose image lies so far within those of others adds rounding only.
DEPENDENT = 1e-4
#: Where a direction takes less than this part of the residual, its image leads further than the residual.
STALLED = 0.1


class ConjugateResiduals:
    """``A x = r`` for one right-hand side after another. Vectors are this rank's part; collective.

    Attributes:
        x: so far.
        residual: ``r − A x``.
        stalled: whether the latest direction left the residual nearly as it was.
    """

    def __init__(self, action: Callable[[Floats], Floats], comm: MPI.Comm, kept: int) -> None:
        """
        Args:
            action: ``A x``.
            comm: ranks that share the vectors.
            kept: directions, two vectors each; then the oldest ones give way.
        """
        self._action, self._comm, self._kept = action, comm, kept
        self._directions: list[Floats] = []
        self._images: list[Floats] = []
        self.x: Floats = np.zeros(0)
        self.residual: Floats = np.zeros(0)
        self.stalled = False

    def begin(self, right: Floats) -> None:
        """Another right-hand side: the best x of all directions so far."""
        self.x, self.residual = np.zeros_like(right), right.copy()
        self.stalled = False
        if self._images:
            for part, direction, image in zip(
                self._products(right), self._directions, self._images, strict=True
            ):
                daxpy(direction, self.x, a=part)
                daxpy(image, self.residual, a=-part)

    @property
    def ahead(self) -> Floats:
        """What, preconditioned, makes the next direction: the residual, or the last image if that stalls."""
        return self._images[-1] if self.stalled and self._images else self.residual

    def extend(self, direction: Floats) -> None:
        """Makes the residual small over one more direction."""
        direction, image = direction.copy(), self._action(direction)
        size = left = self._size(image)
        for _ in range(2 if self._images else 0):
            for part, other, image_of in zip(
                self._products(image), self._directions, self._images, strict=True
            ):
                daxpy(other, direction, a=-part)
                daxpy(image_of, image, a=-part)
            before, left = left, self._size(image)
            if left > ORTHOGONAL * before:  # rounding of what was taken away is as small as all else
                break
        self.stalled = True
        if not left > DEPENDENT * size:
            return
        direction /= left
        image /= left
        if len(self._images) == self._kept:
            del self._directions[0], self._images[0]
        self._directions.append(direction)
        self._images.append(image)
        part = float(self._comm.allreduce(float(image @ self.residual)))
        self.stalled = abs(part) < STALLED * self._size(self.residual)
        daxpy(direction, self.x, a=part)
        daxpy(image, self.residual, a=-part)

    def _products(self, a: Floats) -> Floats:
        """Scalar products with all images."""
        out = np.array([image @ a for image in self._images])
        self._comm.Allreduce(MPI.IN_PLACE, out)
        return out

    def _size(self, a: Floats) -> float:
        return float(np.sqrt(self._comm.allreduce(float(a @ a))))
