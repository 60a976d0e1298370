"""Linear systems of points with many unknowns, most of which couple to one another through the others only.

Points do not couple. A point has unknowns x that couple densely, and unknowns z that act on one another
through x alone, as in ``(σ − J) δ = r`` with

    J = [ xx  xz ]
        [ zx  zz ],    zz diagonal.

z is eliminated; what is left for x, the Schur complement ``σ − xx − xz (σ − zz)⁻¹ zx``, is factored.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgetrf

from fvqp.errors import ConvergenceError
from fvqp.kernel_cache import njit, read_only
from fvqp.petsc import PETSc, destroyed_with, own_errors, weakly
from fvqp.typing import Floats, Ints

#: Iterations of GMRES before it starts anew, and a third of those before it gives up an old factorization.
_RESTART = 30
#: What a factorization costs in iterations of GMRES (measured: 20 to 30 from 300 to 1600 dense unknowns).
_PRICE = 25
#: A step larger than this, relative to the scale of its unknown, is not left to an old factorization.
_LARGE = 2.0
#: Unknowns smaller than this are as good as zero: products of them underflow.
TINY = 1e-120


@contextmanager
def defaults(prefix: str, values: Mapping[str, str | bool]) -> Iterator[None]:
    """PETSc options for as long as this lasts, where the user has not set them."""
    options = PETSc.Options(prefix)
    added = {name: value for name, value in values.items() if not options.hasName(name)}
    for name, value in added.items():
        options[name] = value
    try:
        yield
    finally:
        for name in added:
            options.delValue(name)


class Arrow(NamedTuple):
    """Blocks of J at every point."""

    xx: Floats
    """``(points, N, N)``."""
    xz: Floats
    """``(points, N, K)``."""
    zx: Floats
    """``(points, K, N)``."""
    zz: Floats
    """Diagonal, ``(points, K)``."""


class _Schur:
    """Factors of ``σ − xx − xz (σ − zz)⁻¹ zx`` of points."""

    def __init__(self, points: int, n: int) -> None:
        #: Factors, columns one after another; rows that pivots exchange; units of rows.
        self._lu = np.empty((points, n, n))
        self._pivots = np.empty((points, n), dtype=np.int32)
        self._unit = np.empty((points, n))

    def factor(self, at: Ints, blocks: Arrow, shift: Floats, inverse_zx: Floats) -> None:
        """Factor the matrices of some points.

        Args:
            at: the points.
            blocks: J of these.
            shift: σ, one for each.
            inverse_zx: ``(σ − zz)⁻¹ zx``.

        Raises:
            ConvergenceError: singular.
        """
        schur = -blocks.xx - blocks.xz @ inverse_zx
        np.einsum("cii->ci", schur)[...] += shift[:, None]
        # Rows of very different size: each is measured by its diagonal.
        with np.errstate(divide="ignore"):
            unit = 1.0 / np.abs(np.einsum("cii->ci", schur))
        if not (np.all(np.isfinite(unit)) and np.all(np.isfinite(schur))):
            raise ConvergenceError("elimination: the matrix is singular or not finite")
        self._unit[at] = unit
        self._lu[at] = (unit[:, :, None] * schur).transpose(0, 2, 1)
        for point in at:  # LAPACK takes one matrix at a time
            _, self._pivots[point], _ = dgetrf(self._lu[point].T, overwrite_a=1)

    @property
    def arrays(self) -> tuple[Floats, NDArray[np.int32], Floats]:
        """Factors, pivots and units, as `_substitute` takes them."""
        return self._lu, self._pivots, self._unit


class EliminatedLU:
    """``(σ − J)⁻¹`` of arrow matrices of points. Vectors are ``(points, N + K)``, x first."""

    def __init__(self, points: int, n: int, k: int) -> None:
        self._schur = _Schur(points, n)
        self._inverse, self._xz, self._zx = (
            np.empty((points, k)),
            np.empty((points, n, k)),
            np.empty((points, k, n)),
        )

    @staticmethod
    def kept(n: int, k: int) -> int:
        """Bytes that a point takes with N = n and K = k."""
        return 8 * n * (n + 2 * k)

    def factor(self, at: Ints, blocks: Arrow, shift: Floats) -> None:
        """Eliminate some points.

        Args:
            at: the points.
            blocks: J of these.
            shift: σ ≥ 0, one for each.

        Raises:
            ConvergenceError: singular.
        """
        self._inverse[at] = inverse = _inverse(blocks, shift)
        self._xz[at], self._zx[at] = blocks.xz, inverse[:, :, None] * blocks.zx
        self._schur.factor(at, blocks, shift, self._zx[at])

    def solve(self, at: Ints, r: Floats, out: Floats) -> None:
        """Fill in ``(σ − J)⁻¹ r`` of some points, ``(len(at), N + K)``."""
        _solve_arrow(*self._schur.arrays, self._inverse, self._xz, self._zx, at, read_only(r), out)


class EliminatedX:
    """x of ``(σ − J)⁻¹ (r, 0)``, and what it does to z: part of a preconditioner, in less memory.

    With nothing on the right-hand side of z, xz has done its part once z is eliminated. What remains of zx
    only leads from x to its result, and is kept in single precision: every number is rounded once. Factors
    are not: where 1/σ is long, slow changes are small differences of fast ones, and would drown in that.

    Attributes:
        zz: ``(points, K)``.
    """

    def __init__(self, points: int, n: int, k: int) -> None:
        self._schur = _Schur(points, n)
        self._zx, self.zz = np.empty((points, k, n), dtype=np.float32), np.empty((points, k))

    @staticmethod
    def kept(n: int, k: int) -> int:
        """Bytes that a point takes with N = n and K = k."""
        return 8 * n * n + 4 * n * k

    def factor(self, at: Ints, blocks: Arrow, shift: Floats, of_z: float) -> None:
        """Eliminate some points.

        Args:
            at: the points.
            blocks: J of these.
            shift: σ ≥ 0 of x, one for each.
            of_z: the one of z.

        Raises:
            ConvergenceError: singular.
        """
        inverse = _inverse(blocks, np.full(len(at), of_z))
        self._schur.factor(at, blocks, shift, inverse[:, :, None] * blocks.zx)
        self._zx[at], self.zz[at] = blocks.zx, blocks.zz

    def solve(self, at: Ints, r: Floats, x: Floats, z: Floats) -> None:
        """Fill in x, ``(len(at), N)``, and ``zx x``, ``(len(at), K)``."""
        _solve_x(*self._schur.arrays, self._zx, at, read_only(r), x, z)


def _inverse(blocks: Arrow, shift: Floats) -> Floats:
    """``(σ − zz)⁻¹``."""
    diagonal = shift[:, None] - blocks.zz
    if np.any(diagonal == 0.0):
        raise ConvergenceError("elimination: an unknown does not act on itself")
    return np.asarray(1.0 / diagonal)


@njit(cache=True, nogil=True)
def _substitute(lu: Floats, pivots: NDArray[np.int32], x: Floats) -> None:
    """``x ← (L U)⁻¹ x``, by columns, with factors of LAPACK; rows of ``lu`` are columns."""
    n = x.size
    for i in range(n):
        j = pivots[i]
        if j != i:
            x[i], x[j] = x[j], x[i]
    for j in range(n):
        column, of_column = lu[j], x[j]
        for i in range(j + 1, n):
            x[i] -= column[i] * of_column
    for j in range(n - 1, -1, -1):
        column = lu[j]
        x[j] /= column[j]
        of_column = x[j]
        for i in range(j):
            x[i] -= column[i] * of_column


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _add_product(matrix: Floats, x: Floats, out: Floats) -> None:
    """``out += matrix @ x``; numbers of single precision are added up in double precision: x spans more
    decades than these do."""
    for k in range(matrix.shape[0]):
        total = 0.0
        for i in range(matrix.shape[1]):
            total += matrix[k, i] * x[i]
        out[k] += total


@njit(cache=True, nogil=True)
def _solve_arrow(
    lu: Floats, pivots: NDArray[np.int32], unit: Floats, inverse: Floats, xz: Floats, zx: Floats,
    at: Ints, r: Floats, out: Floats,
) -> None:  # fmt: skip
    n = unit.shape[1]
    for row in range(at.size):
        point = at[row]
        x, z = out[row, :n], out[row, n:]
        for k in range(z.size):
            z[k] = inverse[point, k] * r[row, n + k]
        x[:] = r[row, :n]
        _add_product(xz[point], z, x)
        x *= unit[point]
        _substitute(lu[point], pivots[point], x)
        _add_product(zx[point], x, z)


@njit(cache=True, nogil=True)
def _solve_x(
    lu: Floats, pivots: NDArray[np.int32], unit: Floats, zx: NDArray[np.float32],
    at: Ints, r: Floats, x: Floats, z: Floats,
) -> None:  # fmt: skip
    for row in range(at.size):
        point = at[row]
        x[row] = unit[point] * r[row]
        _substitute(lu[point], pivots[point], x[row])
        z[row] = 0.0
        _add_product(zx[point], x[row], z[row])


class ShiftedSolver:
    """``(σ − J(y)) δ = r`` by GMRES, with an elimination for some earlier y and σ as its preconditioner.

    The elimination is repeated as soon as a solve costs more than all since the last one did on average, its
    own price included. PETSc options with the given prefix reach the KSP.

    Attributes:
        factorizations, iterations: how many there were.
    """

    def __init__(
        self,
        blocks: Callable[[Floats], Arrow],
        product: Callable[[Floats, Floats], Floats],
        shape: tuple[int, int],
        prefix: str,
        similar: float,
    ) -> None:
        """
        Args:
            blocks: J at a state, exact or nearly so.
            product: ``product(y, δ) = J(y) δ``.
            shape: of the state, (points, unknowns).
            prefix: of the options.
            similar: a factorization is not used for a shift that differs by more than this factor.
        """
        self._blocks, self._product, self._shape, self._similar = blocks, product, shape, similar
        self.factorizations = self.iterations = 0
        self._lu: EliminatedLU | None = None
        self._points = np.arange(shape[0])
        self._factored_shift = 0.0
        self._worn = True
        self._spent, self._solves = 0, 0
        self._y, self._shift, self._scale = np.zeros(shape), 0.0, np.ones(shape)
        PETSc.garbage_cleanup(PETSc.COMM_SELF)  # of solvers before
        size = shape[0] * shape[1]
        self._matrix = PETSc.Mat().createPython(
            (size, size), SimpleNamespace(mult=weakly(self.mult)), PETSc.COMM_SELF
        )
        self._matrix.setUp()
        self._ksp = PETSc.KSP().create(PETSc.COMM_SELF)
        self._ksp.setOptionsPrefix(prefix)
        self._ksp.setOperators(self._matrix)
        self._ksp.setType("gmres")
        self._ksp.setGMRESRestart(_RESTART)
        self._ksp.getPC().setType("none")
        self._ksp.setFromOptions()
        self._right, self._solution = self._matrix.createVecs()
        destroyed_with(self, self._ksp, self._matrix, self._right, self._solution)

    def forget(self) -> None:
        """The system has changed: no factorization of it is of use any more."""
        self._worn = True

    def solve(self, y: Floats, shift: float, r: Floats, scale: Floats, rtol: float) -> Floats:
        """δ.

        Args:
            y: state of J.
            shift: σ ≥ 0.
            r: right-hand side, ``(points, unknowns)``.
            scale: size of every unknown; errors are measured by it, or by δ where that is larger.
            rtol: error of δ, relative to the δ of the preconditioner.

        Raises:
            ConvergenceError: singular, or GMRES gave up although the factorization is of this J.
        """
        fresh = self._refresh(y, shift, self._worn)
        while True:
            first = self._eliminated(r)
            # An unknown that is about to grow by many decades is measured by what it will be; but only the
            # right factorization can say so.
            if fresh:
                scale = np.maximum(scale, np.abs(first))
            elif np.any(np.abs(first) > _LARGE * np.maximum(scale, TINY)):
                fresh = self._refresh(y, shift, True)
                continue
            self._y, self._shift, self._scale = y, shift, np.maximum(scale, TINY)
            self._right.array = (first / self._scale).ravel()
            self._ksp.setTolerances(rtol=rtol, atol=0.0, divtol=1e20, max_it=_RESTART)
            self._solution.set(0.0)
            with own_errors():
                self._ksp.solve(self._right, self._solution)
            taken = self._ksp.getIterationNumber()
            self.iterations += taken
            if self._ksp.getConvergedReason() > 0:
                self._spent += taken + 1
                self._solves += 1
                self._worn = (taken + 1) * self._solves > self._spent
                return np.asarray(self._solution.array_r.reshape(self._shape) * self._scale)
            if fresh:
                raise ConvergenceError(
                    f"linear solve: GMRES stopped after {taken} iterations with a residual of "
                    f"{self._ksp.getResidualNorm():.1e}"
                )
            fresh = self._refresh(y, shift, True)

    def _refresh(self, y: Floats, shift: float, worn: bool) -> bool:
        low, high = sorted([shift, self._factored_shift])
        if not worn and high <= self._similar * low:
            return False
        self._lu = None  # gives its memory back before the next one is made
        blocks = self._blocks(y)
        points, n, k = blocks.xz.shape
        self._lu = EliminatedLU(points, n, k)
        self._lu.factor(self._points, blocks, np.full(points, shift))
        self._factored_shift, self._worn = shift, False
        self._spent, self._solves = _PRICE, 0
        self.factorizations += 1
        return True

    def mult(self, matrix: PETSc.Mat, x: PETSc.Vec, out: PETSc.Vec) -> None:
        """Product with the preconditioned matrix, in units of the scale (called by PETSc)."""
        step = x.array_r.reshape(self._shape) * self._scale
        residual = self._shift * step - self._product(self._y, step)
        out.array = (self._eliminated(residual) / self._scale).ravel()

    def _eliminated(self, r: Floats) -> Floats:
        assert self._lu is not None
        out = np.empty_like(r)
        self._lu.solve(self._points, np.ascontiguousarray(r), out)
        return out
