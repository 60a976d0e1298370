"""Solves that PETSc's log counts, and options that reach them."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from mpi4py import MPI
from scipy.linalg import solve_banded

from fvqp.petsc import PETSc
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.numbering import Numbering

N, ENERGIES = 40, 5


@contextmanager
def counted(*events: str) -> Iterator[dict[str, int]]:
    """Calls of PETSc's events within the block, once it has ended."""

    def count(event: str) -> int:
        return int(PETSc.Log.Event(event).getPerfInfo()["count"])

    PETSc.Log.begin()
    before = {event: count(event) for event in events}
    found: dict[str, int] = {}
    yield found
    found.update({event: count(event) - before[event] for event in events})


@contextmanager
def options(**given: str) -> Iterator[None]:
    database = PETSc.Options()
    for key, value in given.items():
        database.setValue(key, value)
    try:
        yield
    finally:
        for key in given:
            database.delValue(key)


def line() -> tuple[LinearSolver, np.ndarray, np.ndarray]:
    """Diffusion on a line with another relaxation at every energy; right-hand sides and banded solutions."""
    columns = [[j for j in (i - 1, i, i + 1) if 0 <= j < N] for i in range(N)]
    indptr = np.cumsum([0, *(len(c) for c in columns)])
    indices = np.concatenate(columns)
    rows = np.repeat(np.arange(N), np.diff(indptr))
    relaxation = 0.1 * (1.0 + np.arange(ENERGIES))
    values = np.where(rows == indices, 2.0, -1.0)[:, None] + (rows == indices)[:, None] * relaxation
    solver = LinearSolver(indptr, indices, Numbering(MPI.COMM_SELF, N, np.arange(N)), tolerance=1e-10)
    solver.set_matrix(values)
    b = np.random.default_rng(1).normal(size=(N, ENERGIES))
    bands = np.full((3, N), -1.0)
    exact = np.empty_like(b)
    for e in range(ENERGIES):
        bands[1] = 2.0 + relaxation[e]
        exact[:, e] = solve_banded((1, 1), bands, b[:, e])
    return solver, b, exact


def test_elimination_is_a_preconditioner_of_petsc() -> None:
    solver, b, exact = line()
    assert solver.method == "direct"
    with counted("KSPSolve", "PCApply", "MatMult") as calls:
        np.testing.assert_allclose(solver.solve(b), exact, rtol=1e-12)
    assert calls == {"KSPSolve": 1, "PCApply": 1, "MatMult": 0}
    assert solver.iterations == 0


@pytest.mark.parametrize("eliminates", [True, False])
def test_options_choose_the_krylov_method(eliminates: bool) -> None:
    solver, b, exact = line()
    given = {"fvqp_ksp_type": "gmres"} | ({} if eliminates else {"fvqp_pc_type": "none"})
    with options(**given):
        np.testing.assert_allclose(solver.solve(b), exact, rtol=0.0, atol=1e-9 * np.abs(exact).max())
    assert solver.iterations == 1 if eliminates else solver.iterations > 20
