"""Multigrid for many sparse systems that share one pattern: one hierarchy for all energies of a block.

Coarse unknowns are sets of unknowns that couple strongly to one another, on average over the energies; they
are found by pairing twice (Y. Notay, Electron. Trans. Numer. Anal. 37, 123 (2010)). The coarse matrices are
sums of entries, one set for every energy. A cycle smooths by one sweep of Gauss-Seidel forward before and one
backward after the coarse correction, and corrects twice on every coarser level (a W cycle): it is linear, and
symmetric where the matrices are. Several ranks sweep their own rows at the same time.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from fvqp.kernel_cache import njit
from fvqp.solvers.numbering import Numbering
from fvqp.solvers.substructuring import Substructuring
from fvqp.threads import share
from fvqp.typing import Floats, Ints

#: Rows of all ranks that are eliminated.
COARSEST = 400
#: A level that has no fewer rows than this part of the finer one is the last.
STALLED = 0.8
#: Two unknowns are paired if they couple at least by this part of the strongest coupling of the first.
STRONG = 0.25
#: Numbers of an energy that are worth a thread.
_WORTH_A_THREAD = 50_000


@njit(cache=True, nogil=True)
def _couplings(indptr, indices, values):
    """``−Σ a_ij/√(a_ii a_jj)`` over energies of every entry between two rows; 0 of others."""
    n, energies = indptr.size - 1, values.shape[1]
    inverse = np.zeros((n, energies))
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            if indices[p] == i:
                for e in range(energies):
                    if values[p, e] > 0.0:
                        inverse[i, e] = 1.0 / np.sqrt(values[p, e])
    out = np.zeros(indices.size)
    for i in range(n):
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j != i and j < n:
                for e in range(energies):
                    out[p] -= values[p, e] * inverse[i, e] * inverse[j, e]
    return out


@njit(cache=True, nogil=True)
def _pairs(indptr, indices, coupling):
    """Number of the pair, or single, that every row belongs to, and how many there are."""
    n = indptr.size - 1
    pair = np.full(n, -1)
    count = 0
    for i in range(n):
        if pair[i] >= 0:
            continue
        strongest, largest, partner = 0.0, 0.0, -1
        for p in range(indptr[i], indptr[i + 1]):
            strongest = max(strongest, coupling[p])
            if coupling[p] > largest and pair[indices[p]] < 0:
                largest, partner = coupling[p], indices[p]
        pair[i] = count
        if partner >= 0 and largest >= STRONG * strongest:
            pair[partner] = count
        count += 1
    return pair, count


@njit(cache=True, nogil=True)
def _coarse_pattern(indptr, indices, to, count, n_columns):
    """CSR pattern of the sums over rows and columns, and the entry that every entry is added to.

    ``to``: (columns,) number of the coarse unknown, below ``count`` for rows.
    """
    n = indptr.size - 1
    start = np.zeros(count + 1, np.int64)
    for i in range(n):
        start[to[i] + 1] += 1
    start = np.cumsum(start)
    place, members = start[:-1].copy(), np.empty(n, np.int64)
    for i in range(n):
        members[place[to[i]]] = i
        place[to[i]] += 1
    seen = np.full(n_columns, -1)
    row_ptr, columns, entry = np.zeros(count + 1, np.int64), np.empty_like(indices), np.empty_like(indices)
    k = 0
    for row in range(count):
        first = k
        for m in range(start[row], start[row + 1]):
            for p in range(indptr[members[m]], indptr[members[m] + 1]):
                column = to[indices[p]]
                if seen[column] < first:
                    seen[column], columns[k] = k, column
                    k += 1
                entry[p] = seen[column]
        row_ptr[row + 1] = k
    return row_ptr, columns[:k].copy(), entry


@njit(cache=True, nogil=True)
def _add_entries(e0, e1, values, entry, out):
    lo, hi = np.uint64(e0), np.uint64(e1)
    for p in range(entry.size):
        q = entry[p]
        for e in range(lo, hi):
            out[q, e] += values[p, e]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _descend(e0, e1, indptr, indices, values, b, x, aggregate, coarse):
    """x of a forward sweep that starts from 0, and sums over aggregates of the residual it leaves.

    The residual is what the sweep had not seen yet: entries right of the diagonal. ``coarse`` is added to.
    """
    lo, hi = np.uint64(e0), np.uint64(e1)
    left, diagonal = np.empty(b.shape[1]), np.empty(b.shape[1])
    n = b.shape[0]
    for i in range(n):
        for e in range(lo, hi):
            left[e] = b[i, e]
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j < i:
                for e in range(lo, hi):
                    left[e] -= values[p, e] * x[j, e]
            elif j == i:
                for e in range(lo, hi):
                    diagonal[e] = values[p, e]
        for e in range(lo, hi):
            x[i, e] = left[e] / diagonal[e]
    for i in range(n):
        a = aggregate[i]
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if i < j < n:
                for e in range(lo, hi):
                    coarse[a, e] -= values[p, e] * x[j, e]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _subtract_ghosts(e0, e1, indptr, indices, values, x, aggregate, coarse):
    """Residual of the values of ghosts, which a sweep takes for 0, added to the sums over aggregates."""
    lo, hi = np.uint64(e0), np.uint64(e1)
    n = indptr.size - 1
    for i in range(n):
        a = aggregate[i]
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j >= n:
                for e in range(lo, hi):
                    coarse[a, e] -= values[p, e] * x[j, e]


@njit(cache=True, nogil=True)
def _add_correction(e0, e1, aggregate, correction, x):
    lo, hi = np.uint64(e0), np.uint64(e1)
    for i in range(aggregate.size):
        a = aggregate[i]
        for e in range(lo, hi):
            x[i, e] += correction[a, e]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _ascend(e0, e1, indptr, indices, values, b, x):
    """A backward sweep; ghosts keep their values."""
    lo, hi = np.uint64(e0), np.uint64(e1)
    left, diagonal = np.empty(b.shape[1]), np.empty(b.shape[1])
    for i in range(b.shape[0] - 1, -1, -1):
        for e in range(lo, hi):
            left[e] = b[i, e]
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            if j != i:
                for e in range(lo, hi):
                    left[e] -= values[p, e] * x[j, e]
            else:
                for e in range(lo, hi):
                    diagonal[e] = values[p, e]
        for e in range(lo, hi):
            x[i, e] = left[e] / diagonal[e]


@njit(cache=True, nogil=True, fastmath={"contract"})
def _multiply(e0, e1, indptr, indices, values, x, out):
    lo, hi = np.uint64(e0), np.uint64(e1)
    for i in range(out.shape[0]):
        for e in range(lo, hi):
            out[i, e] = 0.0
        for p in range(indptr[i], indptr[i + 1]):
            j = indices[p]
            for e in range(lo, hi):
                out[i, e] += values[p, e] * x[j, e]


def multiply(indptr: Ints, indices: Ints, values: Floats, x: Floats, out: Floats) -> None:
    """Write A x to ``out``, ``(rows, energy)``; x has ghosts, too."""
    _shared(_multiply, indptr, indices, values, x, out)


class _Level(NamedTuple):
    """Matrices of one level, and the aggregates that are rows of the next one.

    Attributes:
        indptr, indices: CSR pattern; columns are local numbers, ghosts after rows.
        values: ``(entries, energy)``.
        aggregate: ``(rows,)`` row of the next level.
        n_coarse: rows of the next level on this rank.
    """

    indptr: Ints
    indices: Ints
    values: Floats
    numbering: Numbering
    aggregate: Ints
    n_coarse: int


class Multigrid:
    """Approximate inverses of the matrices of all energies, by one cycle of multigrid.

    Args:
        indptr, indices: CSR pattern of the owned rows, structurally symmetric; columns are local numbers.
        values: ``(nnz, energy)``; not copied.
        numbering: owners of the rows; all calls are collective on its communicator.

    Attributes:
        rows: of all ranks, of every level.

    Raises:
        ConvergenceError: the coarsest matrix of an energy is singular.
    """

    def __init__(self, indptr: Ints, indices: Ints, values: Floats, numbering: Numbering) -> None:
        self._levels: list[_Level] = []
        self.rows = [int(numbering.offsets[-1])]
        while self.rows[-1] > COARSEST:
            finer = _level(indptr, indices, values, numbering)
            coarse_pattern, coarse_numbering = _next_pattern(finer)
            rows = int(coarse_numbering.offsets[-1])
            if rows > STALLED * self.rows[-1]:
                break
            indptr, indices, entry = coarse_pattern
            values, numbering = _summed(finer.values, entry, len(indices)), coarse_numbering
            self._levels.append(finer)
            self.rows.append(rows)
        self._coarsest = Substructuring(indptr, indices, numbering)
        self._coarsest.factor(values)

    def cycle(self, b: Floats) -> Floats:
        """Approximate solutions of right-hand sides ``(n_owned, energy)``."""
        return self._cycle(b, 0)[: len(b)]

    def _cycle(self, b: Floats, depth: int) -> Floats:
        """One cycle on a level; with ghosts."""
        if depth == len(self._levels):
            return self._coarsest.solve(b)
        indptr, indices, values, numbering, aggregate, n_coarse = self._levels[depth]
        matrix = indptr, indices, values
        x = np.zeros((numbering.n_local, b.shape[1]))
        coarse = np.zeros((n_coarse, b.shape[1]))
        _shared(_descend, *matrix, b, x, aggregate, coarse)
        if numbering.comm.size > 1:
            numbering.fill_ghosts(x)
            _shared(_subtract_ghosts, *matrix, x, aggregate, coarse)
        _shared(_add_correction, aggregate, self._corrected(coarse, depth + 1), x)
        numbering.fill_ghosts(x)
        _shared(_ascend, *matrix, b, x)
        return x

    def _corrected(self, b: Floats, depth: int) -> Floats:
        """Two cycles on a level, the second for what the first leaves."""
        x = self._cycle(b, depth)
        if depth == len(self._levels):
            return x
        level = self._levels[depth]
        level.numbering.fill_ghosts(x)
        left = np.empty_like(b)
        multiply(level.indptr, level.indices, level.values, x, left)
        x += self._cycle(np.subtract(b, left, out=left), depth)
        return x


def _shared(kernel, *arguments) -> None:
    """Calls a kernel for energies that are shared by threads."""
    out = arguments[-1]
    share(kernel, out.shape[1], *arguments, least=max(8, _WORTH_A_THREAD // max(1, len(out))))


def _summed(values: Floats, entry: Ints, count: int) -> Floats:
    out = np.zeros((count, values.shape[1]))
    _shared(_add_entries, values, entry, out)
    return out


def _level(indptr: Ints, indices: Ints, values: Floats, numbering: Numbering) -> _Level:
    """The level and its aggregates, which never contain rows of two ranks."""
    n, first = numbering.n_owned, (indptr, indices, values)
    aggregate = np.arange(n)
    count = n
    for _ in range(2):
        pair, pairs = _pairs(first[0], first[1], _couplings(*first))
        # all ghosts are one column, which is paired with nothing
        columns = np.full(max(int(first[1].max(initial=0)) + 1, count), pairs)
        columns[:count] = pair
        row_ptr, pattern, entry = _coarse_pattern(first[0], first[1], columns, pairs, pairs + 1)
        first = row_ptr, pattern, _summed(first[2], entry, len(pattern))
        aggregate, count = pair[aggregate], pairs
    return _Level(indptr, indices, values, numbering, aggregate, count)


def _next_pattern(level: _Level) -> tuple[tuple[Ints, Ints, Ints], Numbering]:
    """Pattern of the next level with the entry that every entry is added to, and owners of its rows."""
    comm, numbering = level.numbering.comm, level.numbering
    offset = sum(comm.allgather(level.n_coarse)[: comm.rank])
    number = numbering.with_ghosts((offset + level.aggregate)[:, None].astype(np.float64))[:, 0]
    ghosts, column = np.unique(number[numbering.n_owned :].astype(np.int64), return_inverse=True)
    to = np.concatenate([level.aggregate, level.n_coarse + column])
    pattern = _coarse_pattern(level.indptr, level.indices, to, level.n_coarse, level.n_coarse + len(ghosts))
    own = np.concatenate([offset + np.arange(level.n_coarse), ghosts])
    return pattern, Numbering(comm, level.n_coarse, own)
