"""Distributed direct solution equals the one on one rank, whatever the partition."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from solver_matrices import distribute, grid_matrices, partitions, reference

from fvqp.errors import ConvergenceError, FvqpError
from fvqp.solvers.batched_lu import TooMuchFill
from fvqp.solvers.numbering import Numbering
from fvqp.solvers.substructuring import Substructuring

COMM = MPI.COMM_WORLD


def part(indptr, indices, values, cut="strips"):
    """This rank's part of a matrix."""
    return distribute(indptr, indices, values, partitions(len(indptr) - 1, COMM.size)[cut], COMM.rank)


@pytest.mark.parametrize(
    "shape, cut", [((40,), "strips"), ((30, 5), "strips"), ((9, 8), "scattered"), ((6, 5, 4), "strips")]
)
@pytest.mark.parametrize("n_energies", [3, 37])
def test_equals_serial(shape, cut, n_energies):
    indptr, indices, values = grid_matrices(shape, n_energies)
    n = len(indptr) - 1
    rhs = np.random.default_rng(2).normal(size=(n, n_energies))
    exact = reference(indptr, indices, values, rhs)
    ptr, cols, mine, n_owned, ids = part(indptr, indices, values, cut)
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
    ptr, cols, mine, n_owned, ids = part(indptr, indices, values)
    solver = Substructuring(ptr, cols, Numbering(COMM, n_owned, ids), symmetric=True)
    x = solver.solve_once(mine, rhs[ids[:n_owned]])
    assert np.abs(x - exact[ids[:n_owned]]).max() <= 1e-12 * np.abs(exact).max()


def test_singular_matrix_is_named_on_every_rank():
    indptr, indices, values = grid_matrices((20, 3), 12)
    rows = np.repeat(np.arange(60), np.diff(indptr))
    values[rows == 31, 7] = 0.0
    ptr, cols, mine, n_owned, ids = part(indptr, indices, values)
    solver = Substructuring(ptr, cols, Numbering(COMM, n_owned, ids))
    with pytest.raises(ConvergenceError, match=r"energy index 7 .* row 31 "):
        solver.factor(mine)


@pytest.mark.skipif(COMM.size == 1, reason="needs an interface")
def test_limits_and_broken_patterns_are_refused_on_every_rank():
    indptr, indices, values = grid_matrices((20, 3), 1)
    ptr, cols, _, n_owned, ids = part(indptr, indices, values)
    with pytest.raises(TooMuchFill, match="interface"):
        Substructuring(ptr, cols, Numbering(COMM, n_owned, ids), max_interface=1)
    with pytest.raises(TooMuchFill):
        Substructuring(ptr, cols, Numbering(COMM, n_owned, ids), max_fill=20 if COMM.rank == 0 else None)
    with pytest.raises(FvqpError, match="no rank owns"):
        Numbering(COMM, n_owned, np.where(np.arange(ids.size) < n_owned, ids, ids + 1000))


def test_numbering_brings_the_ghosts_values():
    indptr, indices, values = grid_matrices((8, 8), 1)
    _, _, _, n_owned, ids = part(indptr, indices, values, "scattered")
    numbering = Numbering(COMM, n_owned, ids)
    field = np.arange(64.0)[:, None] * np.array([1.0, 10.0])
    assert np.array_equal(numbering.with_ghosts(field[ids[:n_owned]]), field[ids])
    assert numbering.offsets[-1] == 64
