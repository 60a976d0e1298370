"""Generalized conjugate residuals: linear systems with one matrix and several right-hand sides.

S. C. Eisenstat, H. C. Elman and M. H. Schultz, SIAM J. Numer. Anal. 20, 345 (1983). As GMRES the method makes
the residual small over all directions that it was given; but directions that served one right-hand side are
there for the next, and guesses are directions like others.

Images are kept in single precision. Residuals and x follow from what is kept, so that x has the residual it
should have to 1e-7 of the right-hand side; before a residual is as small as that, it is computed anew.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mpi4py import MPI
from numba import njit
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

import fvqp.kernel_cache  # noqa: F401
from fvqp.threads import share

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

#: An image that keeps this part of its length is orthogonal to others once they are taken out of it.
ORTHOGONAL = 0.5
#: A direction whose image lies so far within those of others adds rounding only.
DEPENDENT = 1e-4
#: Part of the right-hand side below which a residual is computed anew: single precision is a hundredth of it.
ROUNDED = 1e-5
#: Where a direction takes less than this part of the residual, its image leads further than the residual.
STALLED = 0.1
#: Images that lie side by side: a product with all of them reads the other vector once.
TOGETHER = 8
#: Numbers of a vector that are added up by themselves on any number of threads; they stay in the cache.
_PART = 4096
#: Such parts that are worth a thread.
_WORTH_A_THREAD = 16


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _products(p0, p1, images, a, out):
    """Scalar products of a part of ``a`` with the same part of every image, ``out[part, image]``."""
    for p in range(p0, p1):
        start, stop = p * _PART, min((p + 1) * _PART, a.size)
        for k in range(images.shape[0]):
            total = 0.0
            for i in range(start, stop):
                total += images[k, i] * a[i]
            out[p, k] = total


@njit(cache=True, nogil=True)
def _subtract(p0, p1, images, shares, a):
    """Takes shares of the images out of parts of ``a``."""
    for p in range(p0, p1):
        start, stop = p * _PART, min((p + 1) * _PART, a.size)
        for k in range(images.shape[0]):
            share_of_k = shares[k]
            for i in range(start, stop):
                a[i] -= share_of_k * images[k, i]


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
            action: ``A x``, a new array.
            precondition: ``M x``, roughly ``A⁻¹ x`` and linear, a new array.
            comm: ranks that share the vectors.
            kept: directions, half a vector each; when there are so many, x is put together and all are given
                up.
        """
        self._action, self._precondition, self._comm, self._kept = action, precondition, comm, kept
        self._goal = self._right = self._before = self.residual = np.zeros(0)
        self.stalled = False
        self._smallest = 0.0
        self._forget()

    def begin(self, right: Floats) -> None:
        """Another right-hand side, which must not change: the best x of all directions so far."""
        # zeros that are not written take no memory
        self._goal = self._right = right
        self._before, self.residual = np.zeros(right.shape), right.copy()
        self.stalled = False
        self._parts = self._products(right)
        self._subtract(self._parts, self.residual)
        self._smallest = ROUNDED * self._size(right)
        if self._size(self.residual) < self._smallest:
            self._renew()

    @property
    def x(self) -> Floats:
        """So far; applies M once."""
        seed, of_images = np.zeros(self._right.shape), np.zeros(len(self._origins))
        shares = solve_triangular(self._triangle, self._parts) if self._origins else self._parts
        for part, origin in zip(shares, self._origins, strict=True):
            if isinstance(origin, _Seed):
                of_images[: len(origin.parts)] += part * origin.parts
                if origin.right is not None:
                    seed += part * origin.right
        self._subtract(of_images, seed)
        out = self._precondition(seed)
        out += self._before
        for part, origin in zip(shares, self._origins, strict=True):
            if not isinstance(origin, _Seed):
                _take_all(origin[None], np.array([-part]), out)
        return out

    @property
    def ahead(self) -> Floats:
        """What, preconditioned, makes the next direction: the residual, or the last image if that stalls."""
        if self.stalled and self._origins:
            return np.asarray(self._blocks()[-1][-1], dtype=np.float64)
        return self.residual

    def guess(self, direction: Floats) -> None:
        """Makes the residual small over one more direction, which is kept."""
        kept = direction.astype(np.float32)
        self._extend(kept.astype(np.float64), kept)

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
            self._subtract(part, self.residual)

        shift(change)
        return lambda: shift(-change)

    def _extend(self, direction: Floats, origin: Singles | _Seed) -> None:
        image = self._action(direction)
        size = left = self._size(image)
        column = np.zeros(len(self._origins))
        for _ in range(2 if self._origins else 0):
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
        kept = self._keep(origin, image, np.append(column, left))
        del image  # what was kept is as good
        part = float(self._comm.allreduce(float(_with_all(kept, self.residual)[0])))
        size = self._size(self.residual)
        self.stalled = abs(part) < STALLED * size
        self._parts = np.append(self._parts, part)
        _take_all(kept, np.array([part]), self.residual)
        if len(self._origins) == self._kept or size**2 - part**2 < self._smallest**2:
            self._renew()

    def _renew(self) -> None:
        """Puts x together, gives up all directions, and computes the residual."""
        self._before = self.x
        self._forget()
        self.residual = self._action(self._before)
        np.subtract(self._goal, self.residual, out=self.residual)
        self._right = self.residual.copy()  # the residual changes
        self._smallest = ROUNDED * self._size(self._right)

    def _forget(self) -> None:
        #: Of every direction: itself, if it was a guess.
        self._origins: list[Singles | _Seed] = []
        #: Blocks of `TOGETHER` rows, of which the last may have room.
        self._images: list[Singles] = []
        self._triangle, self._parts = np.zeros((0, 0)), np.zeros(0)

    def _keep(self, origin: Singles | _Seed, image: Floats, column: Floats) -> Singles:
        """The image as it is kept, ``(1, n)``."""
        n = len(self._origins)
        if n % TOGETHER == 0:
            self._images.append(np.empty((TOGETHER, image.size), dtype=np.float32))
        self._images[-1][n % TOGETHER] = image
        self._origins.append(origin)
        triangle = np.zeros((n + 1, n + 1))
        triangle[:n, :n] = self._triangle
        triangle[:, n] = column
        self._triangle = triangle
        return self._images[-1][n % TOGETHER : n % TOGETHER + 1]

    def _blocks(self) -> list[Singles]:
        """Rows that hold images."""
        n = len(self._origins)
        return [block[: n - TOGETHER * k] for k, block in enumerate(self._images)]

    def _products(self, a: Floats) -> Floats:
        """Scalar products with all images."""
        out = np.concatenate([np.zeros(0), *(_with_all(block, a) for block in self._blocks())])
        self._comm.Allreduce(MPI.IN_PLACE, out)
        return out

    def _subtract(self, parts: Floats, a: Floats) -> None:
        """Takes parts of the images out of a."""
        for k, block in enumerate(self._blocks()):
            _take_all(block, parts[TOGETHER * k : TOGETHER * k + len(block)], a)

    def _size(self, a: Floats) -> float:
        return float(np.sqrt(self._comm.allreduce(float(a @ a))))


def _with_all(images: Singles, a: Floats) -> Floats:
    """Scalar products of rows with ``a``."""
    out = np.empty((-(-a.size // _PART), len(images)))
    share(_products, len(out), images, a, out, least=_WORTH_A_THREAD)
    return np.asarray(out.sum(axis=0))


def _take_all(images: Singles, parts: Floats, a: Floats) -> None:
    """``a −= parts @ images``."""
    share(_subtract, -(-a.size // _PART), images, parts, a, least=_WORTH_A_THREAD)
