"""Elimination orderings and symbolic factorisation of sparse matrices with a symmetric pattern.

Elimination tree, row subtrees and postordering: J. W. H. Liu, "The role of elimination trees in sparse
factorization", SIAM J. Matrix Anal. Appl. 11 (1990) 134.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import reverse_cuthill_mckee

from fvqp.kernel_cache import njit
from fvqp.petsc import PETSc
from fvqp.typing import Ints

QMD_LIMIT = 30_000
"""Rows above which quotient minimum degree is not tried: it would cost more than the factorisation."""

CLIQUE_LIMIT = 500
"""Number of last unknowns up to which minimum degree is told, by joining them all, that they come last."""

FLOPS_PER_ENTRY = 16
"""Multiply-adds that take as long as writing an entry of the factors and reading it once (measured)."""


class Symbolic(NamedTuple):
    """Pattern of the factors of the permuted matrix P A P^T = L U, all numbers in the order of elimination.

    The strict upper triangle of U is held by rows, the strict lower triangle of L by rows; as patterns they
    are each other's transpose. Only the first `n - n_last` unknowns are eliminated.
    """

    perm: Ints
    """(n,) row of A that is eliminated at each place."""
    a_ptr: Ints
    """(n + 1,) with `a_col`, `a_source`: the permuted matrix and where its entries stand in A."""
    a_col: Ints
    a_source: Ints
    u_ptr: Ints
    """(n + 1,) rows of U; ascending columns `u_col`."""
    u_col: Ints
    l_ptr: Ints
    """(n + 1,) rows of L; ascending columns `l_col`."""
    l_col: Ints
    l_pos: Ints
    """Entry of U that is the transpose of an entry of L."""
    run: Ints
    """(n,) number of consecutive rows of U from here on of which each, but for its first column, is the
    beginning of the next: they are applied together."""


@njit(cache=True)
def _count(indptr: Ints, indices: Ints, perm: Ints, n_eliminated: int, limit: int) -> tuple[Ints, Ints, int]:
    """Elimination tree (-1: root), entries of every row of U, and their sum; stops beyond `limit`."""
    n = perm.size
    place = np.empty(n, np.int64)
    for i in range(n):
        place[perm[i]] = i
    parent = np.full(n, -1, np.int64)
    count = np.zeros(n, np.int64)
    mark = np.full(n, -1, np.int64)
    fill = 0
    for i in range(n):
        mark[i] = i
        for p in range(indptr[perm[i]], indptr[perm[i] + 1]):
            k = place[indices[p]]
            if k >= i:
                continue
            while k != -1 and k < n_eliminated and mark[k] != i:
                mark[k] = i
                count[k] += 1
                fill += 1
                if parent[k] == -1:
                    parent[k] = i
                k = parent[k]
        if fill > limit:
            break
    return parent, count, fill


@njit(cache=True)
def _postorder(parent: Ints, n_eliminated: int) -> Ints:
    """Order in which every node of the tree directly follows its subtree; the last unknowns stay."""
    n = parent.size
    first_child = np.full(n, -1, np.int64)
    next_sibling = np.full(n, -1, np.int64)
    for k in range(n_eliminated - 1, -1, -1):
        p = parent[k]
        if 0 <= p < n_eliminated:
            next_sibling[k] = first_child[p]
            first_child[p] = k
    order = np.empty(n, np.int64)
    stack = np.empty(n, np.int64)
    filled = 0
    for root in range(n_eliminated):
        if 0 <= parent[root] < n_eliminated:
            continue
        stack[0] = root
        top = 0
        while top >= 0:
            k = stack[top]
            if first_child[k] != -1:
                top += 1
                stack[top] = first_child[k]
                first_child[k] = next_sibling[first_child[k]]
            else:
                order[filled] = k
                filled += 1
                top -= 1
    for k in range(n_eliminated, n):
        order[k] = k
    return order


@njit(cache=True)
def _fill_pattern(
    indptr: Ints, indices: Ints, perm: Ints, n_eliminated: int, parent: Ints, count: Ints
) -> tuple[Ints, Ints, Ints, Ints, Ints, Ints]:
    n = perm.size
    place = np.empty(n, np.int64)
    for i in range(n):
        place[perm[i]] = i
    u_ptr = np.zeros(n + 1, np.int64)
    for k in range(n):
        u_ptr[k + 1] = u_ptr[k] + count[k]
    u_col = np.empty(u_ptr[n], np.int64)
    top = np.empty(n, np.int64)
    for k in range(n):
        top[k] = u_ptr[k]
    mark = np.full(n, -1, np.int64)
    l_ptr = np.zeros(n + 1, np.int64)
    for i in range(n):
        mark[i] = i
        entries = 0
        for p in range(indptr[perm[i]], indptr[perm[i] + 1]):
            k = place[indices[p]]
            if k >= i:
                continue
            while k != -1 and k < n_eliminated and mark[k] != i:
                mark[k] = i
                u_col[top[k]] = i
                top[k] += 1
                entries += 1
                k = parent[k]
        l_ptr[i + 1] = l_ptr[i] + entries
    l_col = np.empty(l_ptr[n], np.int64)
    l_pos = np.empty(l_ptr[n], np.int64)
    for k in range(n):
        top[k] = l_ptr[k]
    for k in range(n):
        for p in range(u_ptr[k], u_ptr[k + 1]):
            i = u_col[p]
            l_col[top[i]] = k
            l_pos[top[i]] = p
            top[i] += 1
    run = np.ones(n, np.int64)
    for k in range(n_eliminated - 2, -1, -1):
        length = u_ptr[k + 1] - u_ptr[k] - 1
        if length < 0 or u_col[u_ptr[k]] != k + 1 or length > u_ptr[k + 2] - u_ptr[k + 1]:
            continue
        same = True
        for t in range(length):
            if u_col[u_ptr[k] + 1 + t] != u_col[u_ptr[k + 1] + t]:
                same = False
                break
        if same:
            run[k] = run[k + 1] + 1
    return u_ptr, u_col, l_ptr, l_col, l_pos, run


def _petsc_ordering(graph: csr_matrix, name: str) -> Ints | None:
    """Ordering by PETSc on this process alone; None where this PETSc does not have it."""
    matrix = PETSc.Mat().createAIJ(
        graph.shape,
        csr=(graph.indptr.astype(PETSc.IntType), graph.indices.astype(PETSc.IntType), np.ones(graph.nnz)),
        comm=PETSc.COMM_SELF,
    )
    try:
        rows, columns = matrix.getOrdering(name)
        order = rows.getIndices().astype(np.int64)
        rows.destroy()
        columns.destroy()
        return order
    except PETSc.Error:
        return None
    finally:
        matrix.destroy()


def _candidates(graph: csr_matrix, n_last: int) -> Iterator[Ints]:
    """Orders of elimination with the last `n_last` unknowns kept last."""
    n = graph.shape[0]
    n_first = n - n_last
    last = np.arange(n_first, n)
    yield np.arange(n)
    if n_first < 2:
        return
    cuthill_mckee = reverse_cuthill_mckee(graph, symmetric_mode=True).astype(np.int64)
    cuthill_mckee = cuthill_mckee[cuthill_mckee < n_first]
    yield np.concatenate([cuthill_mckee, last])
    if n_last:
        yield np.concatenate([cuthill_mckee[::-1], last])
    joined = graph
    if 0 < n_last <= CLIQUE_LIMIT:
        clique = np.repeat(last, n_last), np.tile(last, n_last)
        joined = (graph + csr_matrix((np.ones(n_last**2, np.int32), clique), (n, n))).tocsr().sorted_indices()
    dissection = _petsc_ordering(graph, "nd")
    minimum_degree = _petsc_ordering(joined, "amd")
    if minimum_degree is None and n <= QMD_LIMIT:
        minimum_degree = _petsc_ordering(joined, "qmd")
    # Minimum degree breaks ties by number; counted from the other end it may come out much cheaper.
    backwards = _petsc_ordering(joined[::-1][:, ::-1].sorted_indices(), "amd")
    mirrored = None if backwards is None else n - 1 - backwards
    for order in (dissection, minimum_degree, mirrored):
        if order is not None and np.array_equal(np.sort(order), np.arange(n)):
            yield np.concatenate([order[order < n_first], last])


def analyse(indptr: Ints, indices: Ints, entries: Ints, last: Ints, limit: int) -> Symbolic | None:
    """Factors in the cheapest order: natural, reverse Cuthill-McKee, and PETSc's nested dissection and
    minimum degree are tried, and the one with the least fill, flops counted in, is taken.

    Parameters
    ----------
    indptr, indices
        CSR pattern; entry `p` of it has the number `entries[p]` for the caller (`Symbolic.a_source`).
    last
        Unknowns that stay last, in this order, and are not eliminated.
    limit
        None is returned if every order has more entries than this in the strict upper triangle of U.
    """
    n = indptr.size - 1
    n_eliminated = n - last.size
    base = np.concatenate([np.setdiff1d(np.arange(n), last), last])
    pattern = csr_matrix((np.ones(indices.size, np.int32), indices, indptr), (n, n), copy=True)
    graph = (pattern + pattern.T).tocsr()[base][:, base].sorted_indices()
    g_ptr, g_col = graph.indptr.astype(np.int64), graph.indices.astype(np.int64)
    best, best_cost = None, limit
    for candidate in _candidates(graph, last.size):
        parent, count, fill = _count(g_ptr, g_col, candidate, n_eliminated, min(limit, best_cost))
        cost = fill + int((count * (count + 1)).sum()) // FLOPS_PER_ENTRY
        # A tie goes to the earlier candidate: the simpler, and on a line the order of its cells.
        if fill <= limit and (best is None or cost < best_cost):
            best, best_cost = candidate[_postorder(parent, n_eliminated)], cost
    if best is None:
        return None
    parent, count, _ = _count(g_ptr, g_col, best, n_eliminated, limit)
    filled = _fill_pattern(g_ptr, g_col, best, n_eliminated, parent, count)
    perm = base[best]
    place = np.empty(n, np.int64)
    place[perm] = np.arange(n)
    row = np.repeat(place, np.diff(indptr))
    order = np.lexsort((place[indices], row))
    a_ptr = np.concatenate([[0], np.cumsum(np.diff(indptr)[perm])]).astype(np.int64)
    return Symbolic(perm, a_ptr, place[indices[order]], entries[order], *filled)
