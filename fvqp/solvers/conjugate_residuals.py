"""Generalized conjugate residuals: linear systems with one matrix and several right-hand sides.

S. C. Eisenstat, H. C. Elman and M. H. Schultz, SIAM J. Numer. Anal. 20, 345 (1983). As GMRES the method makes
the residual small over all directions that it was given; but directions that served one right-hand side are
there for the next, and guesses are directions like others.

PETSc's KSP ``gcr`` was tried in place of this, with the same matrix, preconditioner and test for its end,
from the best sum of the guesses. Products with the matrix, applications of the preconditioner, and CPU time
in s on a busy machine:

=======================================  ===============  ==============
case                                     here             ``gcr``
=======================================  ===============  ==============
mkid, to 10 ns                           738, 944, 17.8   722, 601, 15.1
qubit_chip, to 1 µs                      820, 1052, 21.9  834, 699, 24.3
films_on_crystal, 16 azimuths, to 10 ns  330, 381, 19.1   200, 176, 15.1
sphere_pulse, coarse, tolerance 0.05     295, 329, 12.2   199, 191, 11.2
=======================================  ===============  ==============

It is as fast, but keeps two vectors of an iteration where this keeps one, and nothing takes energy out of its
residual: at the last three times densities differ by up to 1.7 % on the coarse sphere, 0.6 % on the crystal
and 0.3 % on the chip, within tolerances of 0.05 and 0.1. From the sphere's with a tolerance of 0.005 both
differ by up to 2 %. With errors of steps measured in regions and 12 directions it took 574 products for 537
on the chip and 1600 for 800 in a small sphere, and moved densities of the chip by up to 5.5 %. ``lgmres``,
and ``fgmres`` with Fischer's guess, whose residual takes another product in every iteration, took 1412 and
2013 products for mkid.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mpi4py import MPI
from scipy.linalg import solve_triangular

from fvqp.typing import Floats

#: An image that keeps this part of its length is orthogonal to others once they are taken out of it.
ORTHOGONAL = 0.5
#: A direction whose image lies so far within those of others adds rounding only.
DEPENDENT = 1e-4
#: Where a direction takes less than this part of the residual, its image leads further than the residual.
STALLED = 0.1
#: Images that lie side by side: a product with all of them reads memory once.
TOGETHER = 8


class _Seed(NamedTuple):
    """A right-hand side, or none, less parts of the images so far: what M made a direction of."""

    right: Floats | None
    parts: Floats


class ConjugateResiduals:
    """``A x = r`` for one right-hand side after another. Vectors are this rank's part; collective.

    Images ``A d`` of directions d are made orthonormal, ``A D = Q R``. A direction is M applied to a residual
    or to an image, which are a right-hand side and images added up: as M is linear, D need not be kept, and
    what directions do for x is M applied to one such sum.

    Attributes:
        nearly: M, roughly A⁻¹.
        residual: ``r − A x``.
        stalled: whether the latest direction left the residual nearly as it was.
    """

    def __init__(
        self,
        action: Callable[[Floats], Floats],
        precondition: Callable[[Floats], Floats],
        comm: MPI.Comm,
        kept: int,
    ) -> None:
        """
        Args:
            action: ``A x``.
            precondition: ``M x``, roughly ``A⁻¹ x`` and linear.
            comm: ranks that share the vectors.
            kept: directions, a vector each; when there are so many, x is put together and all are given up.
        """
        self._action, self.nearly, self._comm, self._kept = action, precondition, comm, kept
        self._right = self._before = self.residual = np.zeros(0)
        self.stalled = False
        self._forget()

    def begin(self, right: Floats) -> None:
        """Another right-hand side, which must not change: the best x of all directions so far."""
        # zeros that are not written take no memory
        self._right, self._before, self.residual = right, np.zeros(right.shape), right.copy()
        self.stalled = False
        self._parts = self._products(right)
        self._subtract(self._parts, self.residual)

    @property
    def x(self) -> Floats:
        """So far; applies M once."""
        seed, of_images = np.zeros(self._right.shape), np.zeros(len(self._origins))
        shares = solve_triangular(self._triangle, self._parts) if self._origins else self._parts
        for share, origin in zip(shares, self._origins, strict=True):
            if isinstance(origin, _Seed):
                of_images[: len(origin.parts)] += share * origin.parts
                if origin.right is not None:
                    seed += share * origin.right
        self._subtract(of_images, seed)
        out = self.nearly(seed)
        out += self._before
        for share, origin in zip(shares, self._origins, strict=True):
            if not isinstance(origin, _Seed):
                out += share * origin
        return out

    @property
    def ahead(self) -> Floats:
        """What, preconditioned, makes the next direction: the residual, or the last image if that stalls."""
        if self.stalled and self._origins:
            return np.asarray(self._images[-1][(len(self._origins) - 1) % TOGETHER])
        return self.residual

    def guess(self, direction: Floats) -> None:
        """Makes the residual small over one more direction, which is kept."""
        self._extend(direction, direction)

    def follow(self, direction: Floats) -> None:
        """The same over ``M ahead``, for those who know it already."""
        if self.stalled and self._origins:
            last = np.zeros(len(self._origins))
            last[-1] = -1.0
            self._extend(direction, _Seed(None, last))
        else:
            self._extend(direction, _Seed(self._right, self._parts))

    def balance(self, weights: Floats) -> Callable[[], None]:
        """Makes the weighted sum of the residual 0 by the least change of it that the images so far allow.

        Returns:
            What undoes it.
        """
        along = self._products(weights)
        size, missing = float(along @ along), float(self._comm.allreduce(float(weights @ self.residual)))
        change = missing / size * along if size > 0.0 else 0.0 * along

        def shift(part: Floats) -> None:
            self._parts = self._parts + part
            self.residual = self.residual.copy()  # the one before may be a direction, or a right-hand side
            self._subtract(part, self.residual)

        shift(change)
        return lambda: shift(-change)

    def _extend(self, direction: Floats, origin: Floats | _Seed) -> None:
        image = self._action(direction)
        *parts, square = self._products(image, float(image @ image))
        size = left = float(np.sqrt(square))
        along, rest = self._projected(image)[1:] if not self._origins else (0.0, 0.0)
        column = np.zeros(len(self._origins))
        for again in (False, True) if self._origins else ():
            of_images = self._products(image) if again else np.array(parts)
            self._subtract(of_images, image)
            column += of_images
            before = left
            left, along, rest = self._projected(image)
            if left > ORTHOGONAL * before:  # rounding of what was taken away is as small as all else
                break
        self.stalled = True
        if not left > DEPENDENT * size:
            return
        image /= left
        part = along / left
        self.stalled = abs(part) < STALLED * rest
        self.residual = self.residual - part * image  # the one before may be a direction
        self._keep(origin, image, np.append(column, left), part)
        del image  # there is a copy
        if len(self._origins) == self._kept:
            self._before, self._right = self.x, self.residual
            self._forget()

    def _forget(self) -> None:
        #: Of every direction: itself, if it was a guess.
        self._origins: list[Floats | _Seed] = []
        #: Blocks of `TOGETHER` rows, of which the last may have room.
        self._images: list[Floats] = []
        self._triangle, self._parts = np.zeros((0, 0)), np.zeros(0)

    def _keep(self, origin: Floats | _Seed, image: Floats, column: Floats, part: float) -> None:
        n = len(self._origins)
        if n % TOGETHER == 0:
            self._images.append(np.empty((TOGETHER, image.size)))
        self._images[-1][n % TOGETHER] = image
        self._origins.append(origin)
        triangle = np.zeros((n + 1, n + 1))
        triangle[:n, :n] = self._triangle
        triangle[:, n] = column
        self._triangle, self._parts = triangle, np.append(self._parts, part)

    def _blocks(self) -> list[Floats]:
        """Rows that hold images."""
        n = len(self._origins)
        return [block[: n - TOGETHER * k] for k, block in enumerate(self._images)]

    def _products(self, a: Floats, *others: float) -> Floats:
        """Scalar products with all images, and sums over ranks of other numbers after them."""
        out = np.concatenate([*(block @ a for block in self._blocks()), np.array(others)])
        self._comm.Allreduce(MPI.IN_PLACE, out)
        return out

    def _subtract(self, parts: Floats, a: Floats) -> None:
        """Takes parts of the images out of a."""
        for k, block in enumerate(self._blocks()):
            a -= parts[TOGETHER * k : TOGETHER * k + len(block)] @ block

    def _projected(self, image: Floats) -> tuple[float, float, float]:
        """Length of an image, its scalar product with the residual, and the length of that."""
        rest = self.residual
        out = np.array([image @ image, image @ rest, rest @ rest])
        self._comm.Allreduce(MPI.IN_PLACE, out)
        return float(np.sqrt(out[0])), float(out[1]), float(np.sqrt(out[2]))
