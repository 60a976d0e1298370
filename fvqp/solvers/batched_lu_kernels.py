"""Compiled loops of the batched LU factorisation: elimination and substitution of `LANES` energies at a time.

Row i of A is scattered into a dense row, the rows of U that reach it are subtracted in ascending order, and
what remains is row i of U and L. Every index that is read serves `LANES` energies, which fill one vector
register. Rows of U whose patterns continue each other are subtracted four at a time, so that the dense row is
read and written once for the four.
"""

from __future__ import annotations

import numpy as np

from fvqp.kernel_cache import njit
from fvqp.simd import LANES, add, fnma, load, load_at, mul, prefetch_at, store, store_at, zeros
from fvqp.solvers.ordering import Symbolic
from fvqp.typing import Floats, Ints

AHEAD = 4
"""Rows of A that are asked for before their turn: they stand in the order of cells, where no cache expects
them."""


@njit(cache=True, nogil=True)
def _eliminate(
    s: Symbolic, n_last: int, symmetric: bool, tiny: float,
    values: Floats, first: int, n_energies: int,
    w: Floats, u: Floats, d: Floats, lower: Floats, keep_lower: bool,
    schur: Floats, y: Floats, n_rhs: int,
) -> int:  # fmt: skip
    """Factorise `LANES` energies from `first` on, and apply L^-1 to `y` on the way.

    `w`: n blocks of zeros, left as zeros. `u`, `d`, `lower`: rows of U, inverse pivots, rows of L. Returns -1
    or the place of the first unusable pivot, times LANES, plus the lane.
    """
    n = s.perm.size
    n_first = n - n_last
    diagonal = np.empty(LANES)
    for i in range(n):
        ahead = min(i + AHEAD, n - 1)
        for p in range(s.a_ptr[ahead], s.a_ptr[ahead + 1]):
            if s.a_col[p] >= ahead or not symmetric:
                prefetch_at(values, s.a_source[p] * n_energies + first)
        for p in range(s.a_ptr[i], s.a_ptr[i + 1]):
            j = s.a_col[p]
            if j >= i or not symmetric:
                store(w, j, add(load(w, j), load_at(values, s.a_source[p] * n_energies + first)))
        for lane in range(LANES):
            diagonal[lane] = abs(w[i * LANES + lane])
        q = s.l_ptr[i]
        q_end = s.l_ptr[i + 1]
        while q < q_end:
            k = s.l_col[q]
            if s.run[k] >= 4 and q + 4 <= q_end:
                # Rows k..k+3 reach row i, hence their patterns agree from there on (`Symbolic.run`).
                if symmetric:
                    p0, p1, p2, p3 = s.l_pos[q], s.l_pos[q + 1], s.l_pos[q + 2], s.l_pos[q + 3]
                    f0 = mul(load(u, p0), load(d, k))
                    f1 = mul(load(u, p1), load(d, k + 1))
                    f2 = mul(load(u, p2), load(d, k + 2))
                    f3 = mul(load(u, p3), load(d, k + 3))
                else:
                    p0, p1, p2, p3 = s.u_ptr[k], s.u_ptr[k + 1], s.u_ptr[k + 2], s.u_ptr[k + 3]
                    f0 = mul(load(w, k), load(d, k))
                    f1 = mul(fnma(load(w, k + 1), f0, load(u, p0)), load(d, k + 1))
                    x = fnma(load(w, k + 2), f0, load(u, p0 + 1))
                    f2 = mul(fnma(x, f1, load(u, p1)), load(d, k + 2))
                    x = fnma(fnma(load(w, k + 3), f0, load(u, p0 + 2)), f1, load(u, p1 + 1))
                    f3 = mul(fnma(x, f2, load(u, p2)), load(d, k + 3))
                    for c in range(k, k + 4):
                        store(w, c, zeros())
                    p0 += 3
                    p1 += 2
                    p2 += 1
                    if keep_lower:
                        store(lower, q, f0)
                        store(lower, q + 1, f1)
                        store(lower, q + 2, f2)
                        store(lower, q + 3, f3)
                for r in range(n_rhs):
                    x = fnma(load(y, i * n_rhs + r), f0, load(y, k * n_rhs + r))
                    x = fnma(x, f1, load(y, (k + 1) * n_rhs + r))
                    x = fnma(x, f2, load(y, (k + 2) * n_rhs + r))
                    store(y, i * n_rhs + r, fnma(x, f3, load(y, (k + 3) * n_rhs + r)))
                common = s.u_ptr[k + 1] - p0
                for t in range(common):
                    j = s.u_col[p3 + t]
                    x = fnma(load(w, j), f0, load(u, p0 + t))
                    x = fnma(x, f1, load(u, p1 + t))
                    x = fnma(x, f2, load(u, p2 + t))
                    store(w, j, fnma(x, f3, load(u, p3 + t)))
                for p in range(p1 + common, s.u_ptr[k + 2]):
                    store(w, s.u_col[p], fnma(load(w, s.u_col[p]), f1, load(u, p)))
                for p in range(p2 + common, s.u_ptr[k + 3]):
                    store(w, s.u_col[p], fnma(load(w, s.u_col[p]), f2, load(u, p)))
                for p in range(p3 + common, s.u_ptr[k + 4]):
                    store(w, s.u_col[p], fnma(load(w, s.u_col[p]), f3, load(u, p)))
                q += 4
            else:
                if symmetric:
                    p0 = s.l_pos[q]
                    f0 = mul(load(u, p0), load(d, k))
                else:
                    p0 = s.u_ptr[k]
                    f0 = mul(load(w, k), load(d, k))
                    store(w, k, zeros())
                    if keep_lower:
                        store(lower, q, f0)
                for r in range(n_rhs):
                    store(y, i * n_rhs + r, fnma(load(y, i * n_rhs + r), f0, load(y, k * n_rhs + r)))
                for p in range(p0, s.u_ptr[k + 1]):
                    store(w, s.u_col[p], fnma(load(w, s.u_col[p]), f0, load(u, p)))
                q += 1
        if i >= n_first:
            row = i - n_first
            for column in range(row if symmetric else 0, n_last):
                x = load(w, n_first + column)
                store(w, n_first + column, zeros())
                store_at(schur, (row * n_last + column) * n_energies + first, x)
                if symmetric:
                    store_at(schur, (column * n_last + row) * n_energies + first, x)
            continue
        for lane in range(LANES):
            pivot = w[i * LANES + lane]
            if not (tiny * diagonal[lane] < abs(pivot) < np.inf):
                return i * LANES + lane
            d[i * LANES + lane] = 1.0 / pivot
        store(w, i, zeros())
        for p in range(s.u_ptr[i], s.u_ptr[i + 1]):
            store(u, p, load(w, s.u_col[p]))
            store(w, s.u_col[p], zeros())
    return -1


@njit(cache=True, nogil=True)
def _forward(
    s: Symbolic, symmetric: bool, u: Floats, d: Floats, lower: Floats, y: Floats, n_rhs: int
) -> None:
    """y <- L^-1 y."""
    for i in range(s.perm.size):
        for q in range(s.l_ptr[i], s.l_ptr[i + 1]):
            k = s.l_col[q]
            f = mul(load(u, s.l_pos[q]), load(d, k)) if symmetric else load(lower, q)
            for r in range(n_rhs):
                store(y, i * n_rhs + r, fnma(load(y, i * n_rhs + r), f, load(y, k * n_rhs + r)))


@njit(cache=True, nogil=True)
def _backward(s: Symbolic, n_last: int, u: Floats, d: Floats, y: Floats, n_rhs: int) -> None:
    """y <- U^-1 y for the eliminated unknowns, with the last ones given."""
    for i in range(s.perm.size - n_last - 1, -1, -1):
        for r in range(n_rhs):
            x = load(y, i * n_rhs + r)
            for p in range(s.u_ptr[i], s.u_ptr[i + 1]):
                x = fnma(x, load(u, p), load(y, s.u_col[p] * n_rhs + r))
            store(y, i * n_rhs + r, mul(x, load(d, i)))


@njit(cache=True, nogil=True)
def work_on_share(
    thread: int, n_threads: int, s: Symbolic, n_last: int, symmetric: bool, tiny: float, n_energies: int,
    eliminate: bool, forward: bool, backward: bool, kept: bool, keep_lower: bool,
    values: Floats, u: Floats, d: Floats, lower: Floats, schur: Floats,
    b: Floats, out: Floats, n_rhs: int, w: Floats, y: Floats, failed: Ints,
) -> None:  # fmt: skip
    """One thread's share. `kept`: factors of all energies are held, not of one vector a thread."""
    n = s.perm.size
    n_u = s.u_col.size
    n_l = s.l_col.size
    w = w[thread * n * LANES : (thread + 1) * n * LANES]
    y = y[thread * n * n_rhs * LANES : (thread + 1) * n * n_rhs * LANES]
    if eliminate:
        w[:] = 0.0
    for chunk in range(thread, (n_energies + LANES - 1) // LANES, n_threads):
        # The last vector overlaps the one before it instead of being padded: both write the same numbers.
        first = min(chunk * LANES, n_energies - LANES)
        place = chunk if kept else thread
        u_chunk = u[place * n_u * LANES : (place + 1) * n_u * LANES]
        d_chunk = d[place * n * LANES : (place + 1) * n * LANES]
        lower_chunk = lower[place * n_l * LANES : (place + 1) * n_l * LANES] if keep_lower else lower
        for i in range(n):
            for r in range(n_rhs):
                store(y, i * n_rhs + r, load_at(b, (r * n + s.perm[i]) * n_energies + first))
        if eliminate:
            bad = _eliminate(
                s, n_last, symmetric, tiny, values, first, n_energies, w, u_chunk, d_chunk, lower_chunk,
                keep_lower, schur, y, n_rhs,
            )  # fmt: skip
            if bad >= 0:
                failed[thread, 0] = first + bad % LANES
                failed[thread, 1] = s.perm[bad // LANES]
                return
        elif forward:
            _forward(s, symmetric, u_chunk, d_chunk, lower_chunk, y, n_rhs)
        if backward:
            _backward(s, n_last, u_chunk, d_chunk, y, n_rhs)
        for i in range(n):
            for r in range(n_rhs):
                store_at(out, (r * n + s.perm[i]) * n_energies + first, load(y, i * n_rhs + r))
