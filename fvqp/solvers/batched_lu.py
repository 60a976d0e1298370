"""Direct solution of many sparse systems that share one pattern: A_e x_e = b_e for every energy e.

LU factorisation without pivoting (`fvqp.solvers.batched_lu_kernels`); the pattern is worked out once. No
pivoting is needed for matrices with x^T A x > 0 whose skew part does not dominate (G. H. Golub and C. F. Van
Loan, Matrix Computations, 4th edition, section 4.1): diffusion with relaxation, and two such fields with an
antisymmetric coupling. On a line no entry is filled in and this is the Thomas algorithm.
"""

from __future__ import annotations

import math

import numpy as np
from numba import get_num_threads

from fvqp.errors import ConvergenceError
from fvqp.kernel_cache import read_only
from fvqp.simd import LANES, aligned_empty
from fvqp.solvers.batched_lu_kernels import work_on_share
from fvqp.solvers.ordering import analyse
from fvqp.threads import share
from fvqp.typing import Floats, Integers

_NO_FILL_LIMIT = 2**62
_PARALLEL_WORK = 10_000_000
"""Multiply-adds (some ten milliseconds) below which waking the threads costs more than it saves."""


class TooMuchFill(Exception):
    """Every ordering fills in more than the limit: another method is needed."""


class BatchedLU:
    """Factors of n_energies sparse matrices with one pattern.

    Parameters
    ----------
    indptr, indices
        CSR pattern of the (n, n) matrices; meant to be symmetric, else its symmetric hull is factorised.
    last
        Unknowns that are not eliminated; what is left for them is the Schur complement.
    entries, n_values
        Where the entries of the pattern stand among the `n_values` rows of `values`; all of them, in order,
        if not given.
    symmetric
        The matrices are symmetric: L D L^T, half the arithmetic and memory. Only the values on one side of
        the diagonal (in the order of elimination) are read.
    max_fill
        Limit of `fill`; `TooMuchFill` is raised before anything is allocated for more.

    Attributes
    ----------
    fill
        Entries of L and U beside the diagonals (of U alone if `symmetric`), for one energy.
    flops
        Multiply-add pairs of one factorisation, for one energy.
    """

    def __init__(
        self,
        indptr: Integers,
        indices: Integers,
        *,
        last: Integers | None = None,
        entries: Integers | None = None,
        n_values: int | None = None,
        symmetric: bool = False,
        max_fill: int | None = None,
    ) -> None:
        row_ptr, columns = np.asarray(indptr, np.int64), np.asarray(indices, np.int64)
        self.n = row_ptr.size - 1
        self.n_values = columns.size if n_values is None else n_values
        source = np.arange(columns.size) if entries is None else np.asarray(entries, np.int64)
        kept = np.empty(0, np.int64) if last is None else np.asarray(last, np.int64)
        sizes_agree = row_ptr[-1] == columns.size == source.size
        if not (sizes_agree and _within(columns, self.n) and _within(kept, self.n)):
            raise ValueError(f"not the CSR pattern of a square matrix of {self.n} rows")
        if not _within(source, self.n_values):
            raise ValueError(f"entries outside the {self.n_values} rows of values")
        self.n_last = kept.size
        self.symmetric = symmetric
        sides = 1 if symmetric else 2
        limit = _NO_FILL_LIMIT if max_fill is None else max_fill // sides
        symbolic = analyse(row_ptr, columns, source, kept, limit)
        if symbolic is None:
            raise TooMuchFill(f"more than {max_fill} entries in the factors of a matrix of {self.n} rows")
        self._symbolic = symbolic
        count = np.diff(symbolic.u_ptr)
        self.fill = sides * int(count.sum())
        self.flops = int((count * (count + 1) // 2).sum()) if symmetric else int((count * (count + 1)).sum())
        # Round-off of a pivot grows like the root of the number of eliminations before it.
        self._tiny = 8.0 * math.sqrt(max(self.n, 1)) * np.finfo(float).eps
        self._n_energies = 0
        self._held = (-1, False)  # no memory yet, not even for no energies

    def factor_bytes(self, n_energies: int) -> int:
        """Memory of the factors that `factor` keeps for `n_energies` energies."""
        return 8 * LANES * math.ceil(n_energies / LANES) * (self.fill + self.n)

    def factor(self, values: Floats) -> None:
        """Factorise and keep the factors of all energies.

        `values`: (nnz, n_energies), energies contiguous. Raises `ConvergenceError` that names the energy and
        the row of a pivot that is zero to round-off or not finite.
        """
        self._check(values, self.n_values, "values")
        self._factor(values, None, keep_lower=not self.symmetric)

    def solve(self, rhs: Floats) -> Floats:
        """x of `rhs` with the kept factors; (n, n_energies), or (k, n, n_energies) for k right-hand sides."""
        if self.n_last:
            raise ValueError("the last unknowns were not eliminated: use forward and backward")
        return self._substitute(rhs, forward=True, backward=True)

    def solve_once(self, values: Floats, rhs: Floats, out: Floats | None = None) -> Floats:
        """Factorise and solve without keeping factors: memory 8 (fill + n) x LANES x threads bytes.

        `out`: array of the shape of `rhs` for the solution; a contiguous one saves a copy.
        """
        if self.n_last:
            raise ValueError("the last unknowns were not eliminated: use reduce and backward")
        self._check(values, self.n_values, "values")
        self._check(rhs, self.n, "rhs", values.shape[-1])
        n_energies = values.shape[1]
        return self._run(values, rhs, n_energies, out, eliminate=True, backward=True)

    def reduce(self, values: Floats, rhs: Floats) -> Floats:
        """`factor` and `forward` in one, keeping only what `backward` needs: half the memory, one pass."""
        self._check(rhs, self.n, "rhs", values.shape[-1])
        self._check(values, self.n_values, "values")
        return self._factor(values, rhs, keep_lower=False)

    def forward(self, rhs: Floats) -> Floats:
        """Eliminate from `rhs`: the rows of the last unknowns become the Schur complement's right side."""
        return self._substitute(rhs, forward=True, backward=False)

    def backward(self, y: Floats, out: Floats | None = None) -> Floats:
        """x of what `forward` returned, with the Schur complement's solution put into its rows.

        `out`: array of the shape of `y` for x; a contiguous one saves a copy.
        """
        return self._substitute(y, out, forward=False, backward=True)

    @property
    def schur(self) -> Floats:
        """Schur complement (n_last, n_last, n_energies) of the last `factor` or `reduce`."""
        return self._schur[..., : self._n_energies]

    def _factor(self, values: Floats, rhs: Floats | None, keep_lower: bool) -> Floats:
        n_energies = values.shape[1]
        chunks = math.ceil(n_energies / LANES)
        self._n_energies = 0
        if (chunks, keep_lower) != self._held:  # else the memory of the last factors serves again
            self._u = aligned_empty(chunks * self._symbolic.u_col.size)
            self._d = aligned_empty(chunks * self.n)
            self._lower = aligned_empty(chunks * self._symbolic.l_col.size if keep_lower else 0)
            self._held = (chunks, keep_lower)
        out = self._run(values, rhs, n_energies, eliminate=True, keep=True)
        self._n_energies = n_energies
        return out

    def _substitute(self, rhs: Floats, out: Floats | None = None, *, forward: bool, backward: bool) -> Floats:
        if not self._n_energies:
            raise ValueError("nothing was factorised")
        if forward and not (self._held[1] or self.symmetric):
            raise ValueError("reduce does not keep L: use factor")
        self._check(rhs, self.n, "rhs", self._n_energies)
        return self._run(None, rhs, self._n_energies, out, forward=forward, backward=backward, keep=True)

    def _run(
        self,
        values: Floats | None,
        rhs: Floats | None,
        n_energies: int,
        into: Floats | None = None,
        *,
        eliminate: bool = False,
        forward: bool = False,
        backward: bool = False,
        keep: bool = False,
    ) -> Floats:
        width = max(n_energies, LANES)
        chunks = math.ceil(n_energies / LANES)
        n_rhs = 0 if rhs is None else (rhs.shape[0] if rhs.ndim == 3 else 1)
        work = (self.flops + self.n_values if eliminate else 0) + n_rhs * (self.fill + 2 * self.n)
        threads = min(get_num_threads(), chunks) if work * n_energies > _PARALLEL_WORK else min(1, chunks)
        if keep:
            u, d, lower, keep_lower = self._u, self._d, self._lower, self._held[1]
        else:
            u = aligned_empty(threads * self._symbolic.u_col.size)
            d, lower, keep_lower = aligned_empty(threads * self.n), aligned_empty(0), False
        b = np.empty(0) if rhs is None else _widened(rhs, width)
        fits = into is not None and into.shape == b.shape and into.flags.c_contiguous
        out = np.empty(b.shape) if into is None or not fits else into
        schur = np.empty((self.n_last, self.n_last, width) if eliminate else (0, 0, 0))
        failed = np.full((threads, 2), -1, np.int64)
        arguments = (
            self._symbolic, self.n_last, self.symmetric, self._tiny, width,
            eliminate, forward, backward, keep, keep_lower,
            np.empty(0) if values is None else _widened(values, width).reshape(-1),
            u, d, lower, schur.reshape(-1), read_only(b.reshape(-1)), out.reshape(-1), n_rhs,
            aligned_empty(threads * self.n if eliminate else 0), aligned_empty(threads * self.n * n_rhs),
            failed,
        )  # fmt: skip
        share(lambda thread, _: work_on_share(thread, threads, *arguments), threads, block=1)
        bad = failed[failed[:, 0] >= 0]
        if bad.size:
            energy, row = bad[bad[:, 0].argmin()]
            raise SingularMatrix(int(min(energy, n_energies - 1)), int(row))
        if eliminate:
            self._schur = schur
        out = out[..., :n_energies] if width > n_energies else out
        if into is not None and not fits:
            into[...] = out
        return out

    def _check(self, array: Floats, rows: int, name: str, n_energies: int | None = None) -> None:
        """`values` has two axes; a right-hand side, which has the energies of `values`, may have three."""
        if (
            array.dtype != np.float64
            or array.ndim not in ((2,) if n_energies is None else (2, 3))
            or array.shape[-2] != rows
            or (n_energies is not None and array.shape[-1] != n_energies)
        ):
            columns = "n_energies" if n_energies is None else n_energies
            raise ValueError(f"{name} must be float64 ({rows}, {columns}), not {array.dtype} {array.shape}")


class SingularMatrix(ConvergenceError):
    """A pivot that is zero to round-off or not finite, at an energy index and a row."""

    def __init__(self, energy: int, row: int) -> None:
        super().__init__(
            f"the matrix of energy index {energy} is singular to working precision: no usable pivot in row "
            f"{row} (a part of the mesh that nothing holds, or a coefficient that is not a number)"
        )
        self.energy = energy
        self.row = row


def _within(numbers: Integers, size: int) -> bool:
    return not numbers.size or bool(numbers.min() >= 0 and numbers.max() < size)


def _widened(array: Floats, width: int) -> Floats:
    """`array` with contiguous energies; fewer than a vector of them are filled up with the last."""
    n_energies = array.shape[-1]
    if n_energies < width and n_energies:
        array = array[..., np.minimum(np.arange(width), n_energies - 1)]
    return np.ascontiguousarray(array)
