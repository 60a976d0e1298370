"""Distributed direct solution equals the one on one rank, whatever the partition."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from mpi4py import MPI

from fvqp.errors import ConvergenceError, FvqpError
from fvqp.solvers.batched_lu import TooMuchFill
from fvqp.solvers.numbering import Numbering
from fvqp.solvers.substructuring import Substructuring

COMM = MPI.COMM_WORLD


def grid_matrices(shape: tuple[int, ...], n_energies: int, skew: float = 0.4, seed: int = 1):
    """Finite-volume matrices of diffusion with relaxation and a skew coupling: pattern and (nnz, n_energies) values."""
    rng = np.random.default_rng(seed)
    n = int(np.prod(shape))
    index = np.arange(n).reshape(shape)
    i, j = np.concatenate(
        [
            np.stack([index.take(range(m - 1), a).ravel(), index.take(range(1, m), a).ravel()])
            for a, m in enumerate(shape)
        ],
        axis=1,
    )
    g = rng.uniform(0.5, 2.0, (i.size, n_energies))
    k = skew * rng.uniform(-1.0, 1.0, g.shape)
    diagonal = rng.uniform(1e-3, 1e-1, (n, n_energies))
    np.add.at(diagonal, i, g)
    np.add.at(diagonal, j, g)
    numbers = np.arange(1, n + 2 * i.size + 1)
    pattern = sp.csr_matrix((numbers, (np.r_[np.arange(n), i, j], np.r_[np.arange(n), j, i])), (n, n))
    return pattern.indptr, pattern.indices, np.concatenate([diagonal, k - g, -k - g])[pattern.data - 1]


def distribute(indptr, indices, values, owner, rank):
    """One rank's rows: local pattern, values, number owned and the global numbers of the local unknowns."""
    owned = np.flatnonzero(owner == rank)
    entries = np.concatenate([np.arange(indptr[r], indptr[r + 1]) for r in owned] or [np.empty(0, int)]).astype(int)
    columns = indices[entries]
    ghosts = np.setdiff1d(columns, owned)
    ghosts = np.random.default_rng(rank).permutation(ghosts)
    local = np.full(len(indptr) - 1, -1)
    ids = np.concatenate([owned, ghosts])
    local[ids] = np.arange(ids.size)
    ptr = np.concatenate([[0], np.cumsum(np.diff(indptr)[owned])])
    return ptr, local[columns], np.ascontiguousarray(values[entries]), owned.size, ids


def reference(indptr, indices, values, rhs):
    n = len(indptr) - 1
    return np.stack(
        [
            spla.splu(sp.csr_matrix((values[:, e], indices, indptr), (n, n)).tocsc()).solve(rhs[:, e])
            for e in range(rhs.shape[1])
        ],
        axis=1,
    )


def partitions(n: int) -> dict[str, np.ndarray]:
    size = COMM.size
    strips = np.arange(n) * size // n
    return {"strips": strips, "scattered": np.random.default_rng(5).permutation(strips)}


@pytest.mark.parametrize("shape, cut", [((40,), "strips"), ((30, 5), "strips"), ((9, 8), "scattered"), ((6, 5, 4), "strips")])
@pytest.mark.parametrize("n_energies", [3, 37])
def test_equals_serial(shape, cut, n_energies):
    indptr, indices, values = grid_matrices(shape, n_energies)
    n = len(indptr) - 1
    rhs = np.random.default_rng(2).normal(size=(n, n_energies))
    exact = reference(indptr, indices, values, rhs)
    ptr, cols, mine, n_owned, ids = distribute(indptr, indices, values, partitions(n)[cut], COMM.rank)
    solver = Substructuring(ptr, cols, Numbering(COMM, n_owned, ids * 7 + 3))
    assert (solver.n_interface == 0) == (COMM.size == 1)
    scale = np.abs(exact).max()
    b = rhs[ids[:n_owned]]
    x = solver.solve_once(mine, b)
    assert np.abs(x - exact[ids[:n_owned]]).max() <= 1e-12 * scale
    solver.factor(mine)
    assert np.abs(solver.solve(b) - x).max() <= 1e-13 * scale
    several = solver.solve(np.stack([b, 2.0 * b]))
    assert np.abs(several[1] - 2.0 * x).max() <= 1e-13 * scale


def test_symmetric_variant():
    indptr, indices, values = grid_matrices((25, 4), 11, skew=0.0)
    rhs = np.random.default_rng(2).normal(size=(100, 11))
    exact = reference(indptr, indices, values, rhs)
    ptr, cols, mine, n_owned, ids = distribute(indptr, indices, values, partitions(100)["strips"], COMM.rank)
    solver = Substructuring(ptr, cols, Numbering(COMM, n_owned, ids), symmetric=True)
    x = solver.solve_once(mine, rhs[ids[:n_owned]])
    assert np.abs(x - exact[ids[:n_owned]]).max() <= 1e-12 * np.abs(exact).max()


def test_singular_matrix_is_named_on_every_rank():
    indptr, indices, values = grid_matrices((20, 3), 12)
    rows = np.repeat(np.arange(60), np.diff(indptr))
    values[rows == 31, 7] = 0.0
    ptr, cols, mine, n_owned, ids = distribute(indptr, indices, values, partitions(60)["strips"], COMM.rank)
    solver = Substructuring(ptr, cols, Numbering(COMM, n_owned, ids))
    with pytest.raises(ConvergenceError, match="energy index 7 .* row 31 "):
        solver.factor(mine)


@pytest.mark.skipif(COMM.size == 1, reason="needs an interface")
def test_limits_and_broken_patterns_are_refused_on_every_rank():
    indptr, indices, values = grid_matrices((20, 3), 1)
    ptr, cols, _, n_owned, ids = distribute(indptr, indices, values, partitions(60)["strips"], COMM.rank)
    with pytest.raises(TooMuchFill, match="interface"):
        Substructuring(ptr, cols, Numbering(COMM, n_owned, ids), max_interface=1)
    with pytest.raises(TooMuchFill):
        Substructuring(ptr, cols, Numbering(COMM, n_owned, ids), max_fill=20 if COMM.rank == 0 else None)
    with pytest.raises(FvqpError, match="no rank owns"):
        Numbering(COMM, n_owned, np.where(np.arange(ids.size) < n_owned, ids, ids + 1000))


def test_numbering_brings_the_ghosts_values():
    indptr, indices, values = grid_matrices((8, 8), 1)
    _, _, _, n_owned, ids = distribute(indptr, indices, values, partitions(64)["scattered"], COMM.rank)
    numbering = Numbering(COMM, n_owned, ids)
    field = np.arange(64.0)[:, None] * np.array([1.0, 10.0])
    assert np.array_equal(numbering.with_ghosts(field[ids[:n_owned]]), field[ids])
    assert numbering.offsets[-1] == 64
