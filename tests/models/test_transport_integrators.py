"""Time steps of transport by PETSc: order, balance, bounds, failures, and what is left behind."""

from __future__ import annotations

import gc
import weakref
from functools import cache

import numpy as np
import pytest
from mpi4py import MPI
from shells import mean_radii, shell_mesh

from fvqp.collisions import Coupling, ElectronPhonon, PhononEscape, thermal
from fvqp.collisions.sources import Gaussian, QuasiparticleInjection
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError, ConvergenceError
from fvqp.gap import SelfConsistentGap
from fvqp.mesh import shape_mesh
from fvqp.models.boltzmann import (
    BoltzmannLedger,
    BoltzmannProblem,
    Diffusion,
    DiscreteOrdinates,
    Medium,
    State,
)
from fvqp.models.boltzmann.evolution import evolve
from fvqp.models.boltzmann.linearized import Linearized
from fvqp.models.boltzmann.rosenbrock import Rosenbrock
from fvqp.transport.directions import spherical
from fvqp.transport.walls import Wall

SELF = MPI.COMM_SELF
GRID = EnergyAxis.uniform(0.25, 3.0)
COLLISIONS = ElectronPhonon(GRID, Coupling(1.85, 0.041), "direct")
BATH = thermal(GRID, 0.15)
HOT = np.exp(-0.5 * ((GRID.energies - 2.0) / 0.3) ** 2)


def film() -> BoltzmannProblem:
    """Generation in a film next to a trap."""
    line = shape_mesh("grid1d", nx=4, Lx=4e-6, comm=SELF)
    moves = {"fermi_velocity": 1e-3, "free_path": 1e-7}
    escape = PhononEscape(GRID, COLLISIONS.coupling, 0.5, BATH.n)
    made = QuasiparticleInjection(GRID, Gaussian(1.9, 0.15), rate=1e-2)
    trap = Medium(COLLISIONS, 0.5, processes={"escape": escape}, **moves)
    strip = Medium(COLLISIONS, 1.0, processes={"escape": escape, "generation": made}, **moves)
    return BoltzmannProblem(line, GRID, [([0, 1, 2], strip), ([3], trap)], quasiparticles=Diffusion())


def imbalance(start: BoltzmannLedger, now: BoltzmannLedger) -> float:
    """Energy that appeared, relative to all that is there or moved."""
    return abs(now.stored - now.received - start.stored) / (abs(now.stored) + abs(now.received))


def distance(problem: BoltzmannProblem, a: State, b: State) -> float:
    """Energy of the difference of two states, relative to that of the second, of the worse species."""
    return max(
        float(np.sum(one.weight[:, None] * one.energies * np.abs(x - y) * one.directions[:, None]))
        / float(np.sum(one.weight[:, None] * one.energies * y * one.directions[:, None]))
        for one, x, y in zip(problem.at(b.gap).species, (a.f, a.n), (b.f, b.n), strict=True)
    )


@cache
def warm() -> tuple[BoltzmannProblem, State]:
    """A film in which the first fast changes are over."""
    problem = film()
    (moment,) = evolve(problem, problem.thermal(0.3), [0.3])
    return problem, moment.state


def with_steps(number: int, time: float = 0.1) -> State:
    """The state after equal steps."""
    problem, state = warm()
    steps, length = Rosenbrock(problem, 1e-2, None), time / number
    for k in range(number):
        state, _, error = steps._step(state, k * length, length)
        assert error <= 1.0
    return state


@pytest.mark.slow
def test_order_in_the_step():
    problem, reference = warm()[0], with_steps(320)
    errors = [distance(problem, with_steps(number), reference) for number in (32, 64)]
    assert errors[1] < 1e-6
    assert 1.9 < np.log2(errors[0] / errors[1]) < 2.4


@cache
def heated() -> tuple[BoltzmannProblem, State, State]:
    """A film, cold at first, and half a time τ0 later."""
    problem = film()
    state = problem.thermal(0.15)
    (exact,) = evolve(problem, state, [0.5], tolerance=3e-3)
    return problem, state, exact.state


def test_balance_and_bounds_at_every_step():
    problem, state, exact = heated()
    start, told, tolerance = problem.ledger(state), [], 3e-2
    noted = lambda *now: told.append(now)  # noqa: E731
    moments = list(evolve(problem, state, [0.1, 0.5], tolerance=tolerance, callback=noted))
    for moment in moments:
        assert imbalance(start, moment.ledger) < 1e-14
    assert len(told) == moments[-1].steps
    for _, now, _ in told:
        assert now.f.min() >= 0.0 and now.f.max() <= 1.0 and now.n.min() >= 0.0
    assert distance(problem, moments[-1].state, exact) < 2.0 * tolerance


def test_an_unknown_method_is_refused():
    problem, state = warm()
    with pytest.raises(CaseError, match='"euler" is not known; use one of rosenbrock, arkimex'):
        next(evolve(problem, state, [0.05], method="euler"))


def test_systems_that_are_not_solved_make_steps_shorter(monkeypatch):
    problem, state = warm()
    start, calls, solve = problem.ledger(state), [], Linearized.product

    def now_and_then(self, *arguments):
        calls.append(1)
        if len(calls) % 7 == 0:
            raise ConvergenceError("too hard")
        return solve(self, *arguments)

    monkeypatch.setattr(Linearized, "product", now_and_then)
    (moment,) = evolve(problem, state, [0.3])
    assert moment.refused > 0 and imbalance(start, moment.ledger) < 1e-13

    def never(self, *arguments):
        raise ConvergenceError("too hard")

    monkeypatch.setattr(Linearized, "product", never)
    with pytest.raises(ConvergenceError, match="steps collapse at time 0 τ0: too hard"):
        next(evolve(problem, state, [0.3]))


def test_nothing_is_left_behind():
    problem, state = warm()
    gc.disable()
    try:
        steps = Rosenbrock(problem, 1e-2, 1e-3)
        steps.advance(state, 0.0, 1e-3, None)
        gone = weakref.ref(steps)
        del steps
        assert gone() is None
    finally:
        gc.enable()


@pytest.mark.slow
@pytest.mark.parametrize("follows", [True, False])
def test_ordinates_in_a_sphere(follows):
    """Flight and collisions with limited gradients, which the Jacobian does not know."""
    shells = shell_mesh(np.linspace(0.0, 2e-5, 7), "spherical")
    gap = SelfConsistentGap(GRID) if follows else 1.0
    medium = Medium(COLLISIONS, gap, fermi_velocity=1.6e-3, sound_velocity=4.6e-6)
    walls = {"outer": Wall(transmission=0.5, bath=BATH.n[0])}
    problem = BoltzmannProblem(
        shells,
        GRID,
        medium,
        quasiparticles=DiscreteOrdinates(spherical(4)),
        phonons=DiscreteOrdinates(spherical(4), walls),
    )
    hot = 0.2 * np.exp(-0.5 * (mean_radii(shells) / 5e-6) ** 2)[:, None, None] * HOT
    state = problem.state(BATH.f[:, None, :] + hot, BATH.n[:, None, :])
    start = problem.ledger(state)
    (exact,) = evolve(problem, state, [0.1], tolerance=5e-4)
    (found,) = evolve(problem, state, [0.1], tolerance=0.0125)
    for moment in (exact, found, *evolve(problem, state, [1e-3, 10.0], tolerance=0.1)):
        assert imbalance(start, moment.ledger) < 1e-13
        assert moment.state.f.min() >= 0.0 and moment.state.f.max() <= 1.0 and moment.state.n.min() >= 0.0
    assert found.ledger.lost["outer"] > 0.0
    assert distance(problem, found.state, exact.state) < 4e-3
