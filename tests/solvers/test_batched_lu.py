"""Batched elimination against scipy's SuperLU, and what it must notice."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from solver_matrices import grid_matrices, reference

import fvqp.threads
from fvqp.errors import ConvergenceError
from fvqp.solvers import batched_lu
from fvqp.solvers.batched_lu import BatchedLU, TooMuchFill

EPS = np.finfo(float).eps


def backward_error(indptr, indices, values, rhs, x):
    """Largest |b - A x| / (|A| |x| + |b|) over rows and energies: round-off, whatever the condition of A."""
    worst = 0.0
    n = len(indptr) - 1
    for e in range(rhs.shape[1]):
        a = sp.csr_matrix((values[:, e], indices, indptr), (n, n), copy=True)
        size = abs(a) @ abs(x[:, e]) + abs(rhs[:, e])
        worst = max(worst, (abs(rhs[:, e] - a @ x[:, e]) / size.max()).max())
    return worst


@pytest.mark.parametrize("shape", [(1,), (50,), (40, 4), (12, 11), (6, 5, 7)])
@pytest.mark.parametrize("n_energies", [1, 5, 16, 29, 40])
@pytest.mark.parametrize("symmetric", [False, True])
def test_equals_superlu(shape, n_energies, symmetric):
    indptr, indices, values = grid_matrices(shape, n_energies, skew=0.0 if symmetric else 0.5)
    rhs = np.random.default_rng(0).normal(size=(len(indptr) - 1, n_energies))
    exact = reference(indptr, indices, values, rhs)
    solver = BatchedLU(indptr, indices, symmetric=symmetric)
    x = solver.solve_once(values, rhs)
    assert np.abs(x - exact).max() <= 1e-12 * np.abs(exact).max()
    assert backward_error(indptr, indices, values, rhs, x) <= 20 * EPS
    solver.factor(values)
    several = solver.solve(np.stack([rhs, -3.0 * rhs]))
    assert np.abs(several[0] - x).max() <= 1e-13 * np.abs(x).max()
    assert np.abs(several[1] + 3.0 * x).max() <= 1e-12 * np.abs(x).max()


@pytest.mark.parametrize("n_energies", [3, 20])
@pytest.mark.parametrize("symmetric", [False, True])
def test_schur_complement(n_energies, symmetric):
    indptr, indices, values = grid_matrices((9, 6), n_energies, skew=0.0 if symmetric else 0.5)
    n = len(indptr) - 1
    last = np.array([17, 3, 50, 51])
    first = np.setdiff1d(np.arange(n), last)
    rhs = np.random.default_rng(0).normal(size=(n, n_energies))
    solver = BatchedLU(indptr, indices, last=last, symmetric=symmetric)
    y = solver.reduce(values, rhs)
    for e in range(n_energies):
        a = sp.csr_matrix((values[:, e], indices, indptr), (n, n)).toarray()
        gain = a[np.ix_(last, first)] @ np.linalg.inv(a[np.ix_(first, first)])
        schur = a[np.ix_(last, last)] - gain @ a[np.ix_(first, last)]
        assert np.allclose(solver.schur[..., e], schur, rtol=0, atol=1e-12)
        assert np.allclose(y[last, e], rhs[last, e] - gain @ rhs[first, e], rtol=0, atol=1e-11)
        y[last, e] = np.linalg.solve(solver.schur[..., e], y[last, e])
    x = solver.backward(y)
    assert np.abs(x - reference(indptr, indices, values, rhs)).max() <= 1e-12 * np.abs(x).max()


def test_a_line_is_not_filled():
    """On a line, in whatever order its cells are numbered, elimination is the Thomas algorithm."""
    indptr, indices, values = grid_matrices((300,), 10)
    shuffle = np.random.default_rng(0).permutation(300)
    mixed = sp.csr_matrix((np.arange(1, indices.size + 1), indices, indptr))[shuffle][:, shuffle]
    cases = (indptr, indices, values), (mixed.indptr, mixed.indices, values[mixed.data - 1])
    for *pattern, matrix in cases:
        solver = BatchedLU(*pattern)
        assert solver.fill == 2 * 299
        assert solver.flops == 2 * 299
        rhs = np.ones((300, 10))
        assert backward_error(*pattern, matrix, rhs, solver.solve_once(matrix, rhs)) <= 20 * EPS


def test_cost_is_linear_in_the_length_of_a_strip():
    short, long = (BatchedLU(*grid_matrices((m, 10), 1)[:2]) for m in (100, 400))
    assert long.fill / short.fill == pytest.approx(4.0, rel=0.1)
    assert long.flops / short.flops == pytest.approx(4.0, rel=0.15)
    symmetric = BatchedLU(*grid_matrices((100, 10), 1)[:2], symmetric=True)
    assert symmetric.fill == short.fill // 2 and symmetric.flops == short.flops // 2


def test_entries_may_be_part_of_the_values():
    indptr, indices, values = grid_matrices((20, 3), 9)
    padded = np.full((values.shape[0] + 5, 9), np.nan)
    padded[5:] = values[::-1]
    entries = np.arange(values.shape[0])[::-1] + 5
    rhs = np.ones((60, 9))
    x = BatchedLU(indptr, indices, entries=entries, n_values=padded.shape[0]).solve_once(padded, rhs)
    assert np.array_equal(x, BatchedLU(indptr, indices).solve_once(values, rhs))


def test_threads_do_not_change_the_answer(monkeypatch):
    indptr, indices, values = grid_matrices((40, 6), 100)
    rhs = np.random.default_rng(0).normal(size=(240, 100))
    solver = BatchedLU(indptr, indices)
    one = solver.solve_once(values, rhs)
    monkeypatch.setattr(batched_lu, "_PARALLEL_WORK", 0)
    for threads in (1, 2, 3):
        monkeypatch.setattr(batched_lu, "get_num_threads", lambda: threads)  # noqa: B023
        monkeypatch.setattr(fvqp.threads, "_numba_threads", lambda: threads)  # noqa: B023
        assert np.array_equal(solver.solve_once(values, rhs), one)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("defect", ["row of zeros", "nothing holds it", "not a number"])
def test_a_singular_matrix_is_named(keep, defect):
    indptr, indices, values = grid_matrices((80, 4), 40)
    rows = np.repeat(np.arange(320), np.diff(indptr))
    energy = 33
    named = "row"
    if defect == "row of zeros":
        values[rows == 77, energy] = 0.0
        named = "row 77 "
    elif defect == "not a number":
        values[rows == 77, energy] = np.nan
    else:
        # Pure diffusion without relaxation or reservoir: constants are in the kernel.
        values[:, energy] = -np.abs(values[:, energy])
        values[rows == indices, energy] = 0.0
        symmetric = sp.csr_matrix((values[:, energy], indices, indptr))
        symmetric = (0.5 * (symmetric + symmetric.T)).tocsr()
        symmetric.setdiag(-np.asarray(symmetric.sum(axis=1)).ravel())
        symmetric.sort_indices()
        values[:, energy] = symmetric.data
    solver = BatchedLU(indptr, indices)
    with pytest.raises(ConvergenceError, match=rf"energy index {energy} .*{named}"):
        solver.factor(values) if keep else solver.solve_once(values, np.ones((320, 40)))


def test_limits_and_shapes():
    indptr, indices, values = grid_matrices((12, 12), 8)
    with pytest.raises(TooMuchFill):
        BatchedLU(indptr, indices, max_fill=500)
    solver = BatchedLU(indptr, indices)
    with pytest.raises(ValueError, match="values must be"):
        solver.factor(values[:-1])
    with pytest.raises(ValueError, match="nothing was factorised"):
        solver.solve(np.ones((144, 8)))
    solver.factor(values)
    with pytest.raises(ValueError, match="rhs must be"):
        solver.solve(np.ones((144, 7)))
    with pytest.raises(ValueError, match="CSR pattern"):
        BatchedLU(indptr, indices + 1)
    assert solver.solve(np.ones((144, 8))).shape == (144, 8)
    assert solver.factor_bytes(17) == 2 * solver.factor_bytes(16) == 32 * 8 * (solver.fill + 144)
