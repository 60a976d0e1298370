"""GMRES for linear systems of all energies that share an operator but nothing else.

Each energy has its own least residual (Y. Saad and M. H. Schultz, SIAM J. Sci. Stat. Comput. 7, 856 (1986)),
and stops as soon as that is small enough: the rounding of one does not reach the others, as it would where
all are one vector.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from fvqp.kernel_cache import njit
from fvqp.threads import share
from fvqp.typing import Floats

#: Most vectors, and iterations.
RESTART = 20
#: Numbers of an energy range that are worth a thread.
_WORTH_A_THREAD = 50_000


@njit(cache=True, nogil=True)
def _products(e0, e1, a, b, out):
    """``out[e] = Σ a[n, e] b[n, e]``."""
    lo, hi = np.uint64(e0), np.uint64(e1)
    for e in range(lo, hi):
        out[e] = 0.0
    for n in range(a.shape[0]):
        for e in range(lo, hi):
            out[e] += a[n, e] * b[n, e]


@njit(cache=True, nogil=True)
def _add(e0, e1, part, a, x):
    """``x += part a``, with a part for each energy."""
    lo, hi = np.uint64(e0), np.uint64(e1)
    for n in range(a.shape[0]):
        for e in range(lo, hi):
            x[n, e] += part[e] * a[n, e]


def batched_gmres(
    residual: Floats,
    size: Floats,
    limit: Floats,
    operator: Callable[[Floats], Floats],
    precondition: Callable[[Floats], Floats],
    comm: MPI.Comm,
) -> tuple[Floats, int]:
    """d with ``|r − A d| ≤ limit`` at every energy, as far as `RESTART` vectors go. Collective.

    Args:
        residual: r, ``(n, energy)`` of this rank.
        size, limit: ``(energy,)`` Euclidean norms over the rows of all ranks, of r and of what may be left.
        operator, precondition: A x, and an approximate ``A⁻¹ r``, linear; new arrays. No energy acts on
            another one.
        comm: ranks that share the rows.

    Returns:
        d, and the iterations of the energy that took most.
    """
    work = _Vectors(residual.shape, comm)
    n = len(size)
    basis = [residual * _inverse(size)]
    # The least-squares problems, made triangular by rotations as they grow.
    triangle, right = np.zeros((RESTART, RESTART, n)), np.zeros((RESTART + 1, n))
    cosine, sine = np.empty((RESTART, n)), np.empty((RESTART, n))
    right[0] = size
    used = np.zeros(n, dtype=np.int64)
    waiting = size > limit
    for j in range(RESTART):
        if not waiting.any():
            break
        image = operator(precondition(basis[j]))
        column = work.products(basis, image)
        for part, vector in zip(column, basis, strict=True):
            work.add(-part, vector, image)
        below = np.sqrt(work.products([image], image)[0])
        image *= _inverse(below)
        basis.append(image)
        for i in range(j):
            column[i], column[i + 1] = (
                cosine[i] * column[i] + sine[i] * column[i + 1],
                cosine[i] * column[i + 1] - sine[i] * column[i],
            )
        length = np.hypot(column[j], below)
        cosine[j], sine[j] = column[j] * _inverse(length), below * _inverse(length)
        column[j] = length
        triangle[: j + 1, j] = column
        right[j + 1], right[j] = -sine[j] * right[j], cosine[j] * right[j]
        used[waiting] = j + 1
        waiting &= np.abs(right[j + 1]) > limit
    vectors = int(used.max())
    y = np.zeros((vectors, n))
    combined = np.zeros_like(residual)
    for j in reversed(range(vectors)):
        rest = right[j] - np.sum(triangle[j, j + 1 : vectors] * y[j + 1 :], axis=0)
        y[j] = np.where(j < used, rest * _inverse(triangle[j, j]), 0.0)
        work.add(y[j], basis[j], combined)
    return precondition(combined), vectors


class _Vectors:
    """Operations on ``(n, energy)`` arrays, energy by energy, shared by threads where that pays."""

    def __init__(self, shape: tuple[int, ...], comm: MPI.Comm) -> None:
        self._comm, self._energies = comm, shape[1]
        self._least = max(8, _WORTH_A_THREAD // max(1, shape[0]))

    def products(self, vectors: list[Floats], a: Floats) -> Floats:
        """``(len(vectors), energy)``."""
        out = np.empty((len(vectors), self._energies))
        for vector, row in zip(vectors, out, strict=True):
            share(_products, self._energies, vector, a, row, least=self._least)
        self._comm.Allreduce(MPI.IN_PLACE, out)
        return out

    def add(self, part: Floats, a: Floats, x: Floats) -> None:
        share(_add, self._energies, part, a, x, least=self._least)


def _inverse(a: Floats) -> Floats:
    """1/a, or 0 where a is 0."""
    return np.asarray(np.divide(1.0, a, out=np.zeros_like(a), where=a != 0.0))
