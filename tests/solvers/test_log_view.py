"""Solves that PETSc's log counts, and options that reach them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from petsc_log import counted
from scipy.linalg import solve_banded

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc, Tell, as_snes
from fvqp.solvers.continuation import CurvePoint, follow_branch
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.matrix_free import LinearSolution, gmres
from fvqp.solvers.numbering import Numbering
from fvqp.solvers.pseudo_transient import pseudo_transient_continuation
from fvqp.spectral.eliashberg_mixing import fixed_point

N, ENERGIES = 40, 5


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


def test_gmres_in_a_weighted_scalar_product() -> None:
    """Directions that are few leave the least residual in the metric, which numpy finds too."""
    rng = np.random.default_rng(3)
    matrix = np.eye(6) + 0.2 * rng.normal(size=(6, 6))
    weights, exact = rng.uniform(0.5, 2.0, 6), rng.normal(size=6)
    right = matrix @ exact

    def solved(most: int, **more: Any) -> LinearSolution:
        return gmres(
            lambda x: matrix @ x, right, comm=MPI.COMM_SELF, prefix="fvqp_slope_", rtol=1e-13, most=most,
            **more,
        )  # fmt: skip

    np.testing.assert_allclose(solved(6, weights=weights).x, exact, rtol=1e-10)
    few, root = solved(2, weights=weights), np.sqrt(weights)
    directions = root[:, None] * matrix @ np.stack([right, matrix @ right], axis=1)
    least = np.linalg.lstsq(directions, root * right, rcond=None)[1][0] ** 0.5
    assert few.residual == pytest.approx(least / np.linalg.norm(root * right), rel=1e-8)
    assert few.iterations == 2 and few.reason < 0
    turned = solved(1, precondition=lambda x: np.linalg.solve(matrix, x))
    np.testing.assert_allclose(turned.x, exact, rtol=1e-10)


def test_nothing_to_solve_for_is_solved() -> None:
    """Without a right-hand side x is zero, and so is the residual; nothing is divided by it."""
    with np.errstate(all="raise"):
        found = gmres(
            lambda x: 2.0 * x, np.zeros(3), comm=MPI.COMM_SELF, prefix="fvqp_slope_", rtol=1e-9, most=3
        )
    assert not found.x.any() and found.residual == 0.0 and found.reason > 0


def test_newton_steps_of_flows_and_branches_are_solved_by_petsc() -> None:
    with counted("KSPSolve", "SNESSolve") as calls:
        pseudo_transient_continuation(
            lambda x: np.cos(x),
            np.array([0.7]),
            comm=MPI.COMM_SELF,
            tolerance=1e-10,
            what="x",
            max_evaluations=60,
        )
        follow_branch(
            lambda x, p: x**2 + p**2 - 1.0, CurvePoint(np.array([1.0]), 0.0), 0.5,
            comm=MPI.COMM_SELF, first_step=0.1, largest_step=0.2, tolerance=1e-9,
        )  # fmt: skip
    assert calls["KSPSolve"] > 5 and calls["SNESSolve"] >= 3, calls


def test_points_of_a_branch_are_found_by_newtonls(capfd: pytest.CaptureFixture[str]) -> None:
    """PETSc evaluates the equations, runs the steps of Newton's method, and its options change them."""

    def evaluations(**given: str) -> int:
        with options(**given), counted("SNESFunctionEval", "SNESJacobianEval", "MatMult") as calls:
            branch = follow_branch(
                lambda x, p: x**2 + p**2 - 1.0, CurvePoint(np.array([1.0]), 0.0), 0.5,
                comm=MPI.COMM_SELF, first_step=0.1, largest_step=0.2, tolerance=1e-9,
            )  # fmt: skip
        radii = [float(point.x[0] ** 2) + point.parameter**2 for point in branch.points]
        np.testing.assert_allclose(radii, 1.0, atol=1e-9)
        assert calls["SNESFunctionEval"] > calls["SNESJacobianEval"] > 0
        return calls["MatMult"]

    exact, rough = evaluations(), evaluations(fvqp_branch_ksp_rtol="0.5", fvqp_branch_snes_view="")
    assert rough < exact
    assert "type: newtonls" in capfd.readouterr().out


def test_a_method_in_python_is_a_snes(capfd: pytest.CaptureFixture[str]) -> None:
    """Its result, its steps in the monitor, and what it raises."""

    def halve(tell: Tell) -> str:
        tell(1, 0.5, np.array([2.0]))
        return "done"

    def fail(tell: Tell) -> str:
        raise ConvergenceError("no root")

    with options(fvqp_flow_snes_monitor=""), counted("SNESSolve") as calls:
        assert as_snes(halve, np.ones(1), comm=MPI.COMM_SELF, prefix="fvqp_flow_") == "done"
        with pytest.raises(ConvergenceError, match="no root"):
            as_snes(fail, np.ones(1), comm=MPI.COMM_SELF, prefix="fvqp_flow_")
    assert calls["SNESSolve"] == 2
    assert "1 SNES Function norm 5.0" in capfd.readouterr().out


def test_anderson_acceleration_of_eliashberg_equations_is_a_snes(capfd: pytest.CaptureFixture[str]) -> None:
    with options(fvqp_eliashberg_snes_monitor=""), counted("SNESSolve") as calls:
        found = fixed_point(
            np.cos, np.full(2, 0.7), scale=lambda x: 1.0, tolerance=1e-12, max_iterations=40, name="x",
            amplitude=lambda x: float(x[0]),
        )  # fmt: skip
    np.testing.assert_allclose(np.cos(found.x), found.x, rtol=1e-10)
    assert calls["SNESSolve"] == 1
    assert f"{found.iterations} SNES Function norm" in capfd.readouterr().out
