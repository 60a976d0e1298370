"""Newton-Krylov and the walk to the next root, on equations whose roots are known."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc
from fvqp.solvers.newton import solve_linearized, solve_newton
from fvqp.solvers.scalar_root import follow_root
from fvqp.typing import Floats


class Bratu:
    """−u″ = λ e^u on (0, 1), zero at both ends, by second differences; preconditioned by −u″."""

    def __init__(self, strength: float, n: int = 99) -> None:
        self.strength, self.h = strength, 1.0 / (n + 1)
        self.laplacian = (2.0 * np.eye(n) - np.eye(n, k=1) - np.eye(n, k=-1)) / 2.0

    def residual(self, x: Floats) -> Floats:
        return self.laplacian @ x - 0.5 * self.h**2 * self.strength * np.exp(x)

    def linearize(self, x: Floats) -> None:
        self.at = x

    def action(self, step: Floats) -> Floats:
        return self.laplacian @ step - 0.5 * self.h**2 * self.strength * np.exp(self.at) * step

    def precondition(self, residual: Floats) -> Floats:
        return np.linalg.solve(self.laplacian, residual)

    def balanced(self, x: Floats) -> bool:
        return True


def solve(system: object, start: Floats, **more: object):
    return solve_newton(system, start, comm=MPI.COMM_SELF, what="test", **{"tolerance": 1e-13, **more})


def test_a_known_solution() -> None:
    """u(½) = 2 ln cosh(θ/4), θ = √(2λ) cosh(θ/4); at λ = 1 on the lower branch θ = 1.5171646."""
    found = solve(Bratu(1.0), np.zeros(99))
    theta = 1.5171645990507543
    assert abs(theta - np.sqrt(2.0) * np.cosh(theta / 4)) < 1e-12
    exact = 2.0 * np.log(np.cosh(theta / 4) / np.cosh(0.0))
    assert found.x[49] == pytest.approx(exact, rel=1e-4)
    assert 3 <= len(found.krylov) <= 5
    assert max(found.krylov) < 10


def test_no_solution_beyond_the_fold() -> None:
    with np.errstate(over="ignore"), pytest.raises(ConvergenceError, match="not converged after .* Newton"):
        solve(Bratu(3.7), np.zeros(99))


def test_a_guess_within_the_tolerance_is_improved() -> None:
    system = Bratu(1.0)
    exact = solve(system, np.zeros(99)).x
    found = solve(system, exact + 1e-5, tolerance=1e-4)
    assert len(found.krylov) == 1
    assert np.abs(found.x - exact).max() < 1e-6
    assert solve(Bratu(0.0), np.zeros(99)).krylov == ()


def test_one_more_step_for_balance() -> None:
    """It is asked for once; what was accepted is kept where rounding leaves nothing to gain."""

    class Unbalanced(Bratu):
        asked = 0
        noise = 0.0

        def residual(self, x: Floats) -> Floats:
            return super().residual(x) + self.noise

        def balanced(self, x: Floats) -> bool:
            self.asked += 1
            self.noise = self.later
            return False

        later = 0.0

    plain = solve(Bratu(1.0), np.zeros(99), tolerance=1e-6)
    system = Unbalanced(1.0)
    found = solve(system, np.zeros(99), tolerance=1e-6)
    assert system.asked == 1 and len(found.krylov) == len(plain.krylov) + 1
    assert found.residual < 1e-3 * plain.residual
    system.later = 1e-5
    system.noise, system.asked = 0.0, 0
    kept = solve(system, np.zeros(99), tolerance=1e-6)
    assert system.asked == 1 and kept.residual == plain.residual
    np.testing.assert_array_equal(kept.x, plain.x)


class Arctangent:
    """arctan x = 0, from where full Newton steps run away."""

    def residual(self, x: Floats) -> Floats:
        return np.arctan(x)

    def linearize(self, x: Floats) -> None:
        self.slope = 1.0 / (1.0 + x**2)

    def action(self, step: Floats) -> Floats:
        return self.slope * step

    def precondition(self, residual: Floats) -> Floats:
        return residual / self.slope

    def balanced(self, x: Floats) -> bool:
        return True


def test_steps_are_cut_back_where_full_ones_run_away() -> None:
    np.testing.assert_allclose(solve(Arctangent(), np.array([5.0])).x, 0.0, atol=1e-12)


def test_errors_of_the_equations_come_out() -> None:
    class Broken(Arctangent):
        def precondition(self, residual: Floats) -> Floats:
            raise ConvergenceError("inside")

    with pytest.raises(ConvergenceError, match="inside"):
        solve(Broken(), np.array([1.0]))


def test_options_of_petsc_reach_the_solver() -> None:
    options = PETSc.Options("fvqp_newton_")
    options.setValue("snes_max_it", 1)
    try:
        with pytest.raises(ConvergenceError, match="DIVERGED_MAX_IT"):
            solve(Bratu(1.0), np.zeros(99))
    finally:
        options.delValue("snes_max_it")


def test_linearized() -> None:
    system = Bratu(1.0)
    system.linearize(np.linspace(0.0, 1.0, 99))
    rhs = np.cos(np.arange(99.0))
    found, iterations = solve_linearized(system, rhs, comm=MPI.COMM_SELF, tolerance=1e-12, what="test")
    np.testing.assert_allclose(system.action(found), rhs, atol=1e-10)
    assert iterations < 20


def follow(r, start: float, **more: object):
    return follow_root(r, start, **{"tolerance": 1e-12, "what": "test", "largest_step": 0.05} | more)


def test_the_next_root_is_found() -> None:
    """x(1 − x²): 0 repels; from either side of it the walk ends at ±1, as dx/dτ = r(x) does."""
    for start, end in ((0.3, 1.0), (-0.3, -1.0), (2.0, 1.0)):
        found = follow(lambda x: x * (1.0 - x * x), start)
        assert found.x == pytest.approx(end, abs=1e-12)
        assert found.turned == (abs(start) < 3**-0.5)
    assert follow(lambda x: 1.0 - x, 1.0).evaluations == 1


def test_kinks_and_jumps() -> None:
    """A kink slows the secant, not the bracket; a jump through zero is no root."""
    kink = follow(lambda x: 1e-3 * (0.7 - x) if x < 0.7 else 1e3 * (0.7 - x), 0.0)
    assert kink.x == pytest.approx(0.7, abs=1e-9)
    with pytest.raises(ConvergenceError, match="it jumps through zero at 0.7"):
        follow(lambda x: 1.0 if x < 0.7 else -1.0, 0.0, max_evaluations=100)


def test_noise_around_a_root() -> None:
    """Where r is noisier than the tolerance, the bracket tells the root, to what the noise leaves."""
    ragged = follow(lambda x: 0.7 - x + (3e-10 if x < 0.7 else -3e-10), 0.0, tolerance=1e-10)
    assert ragged.x == pytest.approx(0.7, abs=1e-10)
    assert ragged.evaluations < 60


def test_a_root_that_is_not_there() -> None:
    with pytest.raises(ConvergenceError, match="test: not converged after 60 evaluations"):
        follow(lambda x: 1.0, 0.0)
    with pytest.raises(ConvergenceError, match="residual nan"):
        follow(lambda x: float("nan"), 0.0)
