"""Timings of the batched direct solution, in the same run as what it replaces.

Times are processor times of one thread, the best of several: a busy machine should not decide the outcome.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from mpi4py import MPI
from scipy.linalg import solve_banded
from solver_matrices import grid_matrices
from timing import best, least

from fvqp.solvers.batched_lu import BatchedLU
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.numbering import Numbering

pytestmark = pytest.mark.benchmark
FILM, FILM_ENERGIES = (1330, 15), 200
LINE, LINE_ENERGIES = (400,), 600
SOLID, SOLID_ENERGIES = (36, 36, 36), 16


def solution(shape: tuple[int, ...], n_energies: int) -> Callable[[], object]:
    indptr, indices, values = grid_matrices(shape, n_energies)
    rhs = np.ones((len(indptr) - 1, n_energies))
    solver = BatchedLU(indptr, indices)
    return lambda: solver.solve_once(values, rhs)


def batched(shape: tuple[int, ...], n_energies: int) -> float:
    return best(solution(shape, n_energies))


def test_film_against_superlu(report):
    indptr, indices, values = grid_matrices(FILM, FILM_ENERGIES)
    n = len(indptr) - 1
    rhs = np.ones(n)
    matrix = sp.csr_matrix((values[:, 7], indices, indptr), (n, n)).tocsc()
    theirs = FILM_ENERGIES * best(lambda: spla.splu(matrix).solve(rhs), 3)
    ours = batched(FILM, FILM_ENERGIES)
    report("linear solver, film matrices", f"{ours:.3f} s; SuperLU {theirs:.2f} s, {theirs / ours:.0f} times")
    assert ours < 1.3
    assert theirs > 6.0 * ours


def test_line_against_banded_lapack(report):
    band = np.ones((3, LINE[0]))
    band[1] = 4.0
    theirs = LINE_ENERGIES * best(lambda: solve_banded((1, 1), band, np.ones(LINE[0])))
    ours = batched(LINE, LINE_ENERGIES)
    found = f"{ours * 1e3:.2f} ms; LAPACK {theirs * 1e3:.1f} ms, {theirs / ours:.0f} times"
    report("linear solver, line matrices", found)
    assert ours < 0.01
    assert theirs > 3.0 * ours


def test_checks_cost_less_than_the_solution(report):
    """The residual of every energy, checked after each solution, costs a fraction of it."""
    indptr, indices, values = grid_matrices(FILM, FILM_ENERGIES)
    n = len(indptr) - 1
    rhs = np.ones((n, FILM_ENERGIES))
    solver = LinearSolver(indptr, indices, Numbering(MPI.COMM_SELF, n, np.arange(n)))
    assert solver.method == "direct"
    solver.set_matrix(values)
    whole = best(lambda: solver.solve(rhs))
    bare = batched(FILM, FILM_ENERGIES)
    report("linear solver, check over solution", f"{whole / bare - 1.0:.2f}")
    assert whole < 2.0 * bare


def test_solid_against_petsc(report):
    """One hierarchy for all energies against BoomerAMG and GAMG, energy by energy, to the same residual."""
    indptr, indices, values = grid_matrices(SOLID, SOLID_ENERGIES, 0.0)
    n = len(indptr) - 1
    rhs = np.random.default_rng(0).normal(size=(n, SOLID_ENERGIES))
    solutions = []
    for method in ("multigrid", "hypre", "gamg"):
        solver = LinearSolver(
            indptr, indices, Numbering(MPI.COMM_SELF, n, np.arange(n)),
            symmetric=True, method=method, tolerance=1e-13,
        )  # fmt: skip

        def solve(solver: LinearSolver = solver) -> object:
            solver.set_matrix(values)
            return solver.solve(rhs)

        solutions.append(solve)
    ours, hypre, gamg = least(solutions, 3)
    row = 1e6 / rhs.size
    found = f"{ours * row:.1f} us a row and energy; hypre {hypre * row:.1f}, GAMG {gamg * row:.1f} us"
    report("linear solver, solid", found)
    assert min(hypre, gamg) > ours


@pytest.mark.parametrize("kind", ["cells", "energies"])
def test_cost_is_linear(kind, report):
    # Matrices much smaller than these fit into the cache and cost less an unknown.
    sizes = np.array([4, 8, 12, 16])
    cases = [((1000 * s, 15), 32) if kind == "cells" else ((1000, 15), 48 * s) for s in sizes]
    times = least([solution(shape, n_energies) for shape, n_energies in cases])
    exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    report(f"linear solver, time against {kind}: exponent", f"{exponent:.2f}")
    assert exponent == pytest.approx(1.0, abs=0.1)
