"""Solvers leave nothing behind: neither PETSc's objects nor what these refer to outlive them."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from rate_problems import Chain

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc
from fvqp.solvers import krylov
from fvqp.solvers.elimination import ShiftedSolver
from fvqp.solvers.fixed_point import solve_fixed_point
from fvqp.solvers.rate_balance import BalanceSolver
from fvqp.solvers.transient import Transient

MATRIX = np.diag(np.arange(1.0, 9.0)) + 0.1


class Large:
    """Stands for the arrays that callbacks refer to."""

    def product(self, x: Any, out: Any) -> None:
        out[:] = MATRIX @ x

    def inverse(self, r: Any) -> Any:
        return r / np.diag(MATRIX)[:, None]

    def halved(self, x: Any) -> Any:
        return 0.5 * x + 1.0


def corrected() -> object:
    large, one = Large(), np.ones(2)
    krylov.correct(
        np.ones((8, 2)), one, large.product, large.inverse,
        comm=MPI.COMM_SELF, tolerance=1e-10, rtol=1e-10, krylov="gmres", prefix="fvqp_",
    )  # fmt: skip
    return large


def at_rest() -> object:
    large = Large()
    solve_fixed_point(large.halved, np.zeros(3), comm=MPI.COMM_SELF, tolerance=1e-8, what="x")
    return large


def steady() -> object:
    chain = Chain(pump=0.5)
    solver = BalanceSolver(chain)
    solver.solve(chain.steady())
    return solver


def evolved() -> object:
    chain = Chain(pump=0.5)
    transient = Transient(chain)
    list(transient.run(chain.steady(), [1e-3]))
    return transient


@pytest.mark.slow
@pytest.mark.parametrize("use", [corrected, at_rest, steady, evolved])
def test_nothing_outlives_a_solver(use: Callable[[], object]) -> None:
    used = weakref.ref(use())
    gc.collect()
    PETSc.garbage_cleanup(PETSc.COMM_SELF)
    gc.collect()
    assert used() is None


def test_failure_leaves_no_frame_that_holds_the_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody catches the error, PETSc's objects still end before Python does."""

    def fails(*arguments: Any) -> None:
        raise ConvergenceError("linear solve")

    monkeypatch.setattr(ShiftedSolver, "solve", fails)
    chain = Chain(pump=0.5)
    solver = BalanceSolver(chain)
    with pytest.raises(ConvergenceError, match="no steady state: linear solve") as caught:
        solver.solve(np.full(chain.shape, 1e-8))
    assert caught.value.__cause__ is None
    assert solver._snes.getRefCount() == 1
