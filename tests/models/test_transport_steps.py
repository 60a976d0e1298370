"""Time steps of transport: energy in every one, and what they do where phonons of an energy run out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from shells import shell_mesh

from fvqp.collisions import Coupling, ElectronPhonon, PhononEscape, thermal
from fvqp.collisions.sources import Gaussian, QuasiparticleInjection
from fvqp.energy import EnergyAxis
from fvqp.errors import ConvergenceError
from fvqp.gap import SelfConsistentGap
from fvqp.mesh import shape_mesh
from fvqp.models.boltzmann import (
    BoltzmannProblem,
    Counters,
    Diffusion,
    DiscreteOrdinates,
    Medium,
    State,
    separate_cells,
)
from fvqp.models.boltzmann.linearized import DIP, _without_dips, _without_ends
from fvqp.models.boltzmann.rosenbrock import KEPT, STUCK, Rosenbrock
from fvqp.solvers.transient import Refused
from fvqp.transport.directions import spherical
from fvqp.transport.walls import Wall

GRID = EnergyAxis.uniform(0.25, 3.0)
COLLISIONS = ElectronPhonon(GRID, Coupling(1.85, 0.041), "direct")
BATH = thermal(GRID, 0.15)
HOT = 0.3 * np.exp(-0.5 * ((GRID.energies - 2.0) / 0.3) ** 2)


def flying(gap: float | SelfConsistentGap) -> tuple[BoltzmannProblem, State]:
    """A hot spot in a sphere with an open surface, generation and escape."""
    shells = shell_mesh(np.linspace(0.0, 1e-5, 5), "spherical")
    processes = {
        "escape": PhononEscape(GRID, COLLISIONS.coupling, 0.5, BATH.n),
        "generation": QuasiparticleInjection(GRID, Gaussian(1.9, 0.15), rate=1e-2),
    }
    medium = Medium(
        COLLISIONS, gap, fermi_velocity=1e-3, free_path=1e-6, sound_velocity=1e-5, processes=processes
    )
    walls = {"outer": Wall(0.5, bath=BATH.n.ravel())}
    problem = BoltzmannProblem(
        shells,
        GRID,
        medium,
        quasiparticles=DiscreteOrdinates(spherical(4)),
        phonons=DiscreteOrdinates(spherical(4), walls),
    )
    hot = np.where(np.arange(4) == 0, 1.0, 0.0)[:, None, None] * HOT
    return problem, problem.state(BATH.f[:, None, :] + hot, BATH.n[:, None, :])


def diffusing(gap: float | SelfConsistentGap) -> tuple[BoltzmannProblem, State]:
    """A hot end of a film, and walls at which phonons leave."""
    line = shape_mesh("grid1d", nx=4, Lx=4e-6, comm=MPI.COMM_SELF)
    medium = Medium(
        COLLISIONS,
        gap,
        fermi_velocity=1e-3,
        free_path=1e-7,
        sound_velocity=1e-5,
        phonon_free_path=1e-7,
    )
    walls = {"right": Wall(0.3, bath=BATH.n.ravel())}
    problem = BoltzmannProblem(line, GRID, medium, quasiparticles=Diffusion(), phonons=Diffusion(walls=walls))
    hot = np.where(np.arange(4) == 0, 1.0, 0.0)[:, None, None] * HOT
    return problem, problem.state(BATH.f[:, None, :] + hot, BATH.n[:, None, :])


@pytest.mark.slow
@pytest.mark.parametrize("make", [flying, diffusing])
@pytest.mark.parametrize("follows", [False, True])
def test_every_step_keeps_energy(make: Any, follows: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Injected is stored and escaped, the condensate's energy included: step by step, and added up."""
    problem, begin = make(SelfConsistentGap(GRID) if follows else 1.0)
    off, turned = [], []
    step = Rosenbrock._step

    def recorded(self: Rosenbrock, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        before = problem.ledger(state).stored
        after, passed, error = step(self, state, now, length)
        if error <= 1.0:
            ledger = problem.ledger(after, passed)
            off.append(ledger.stored - ledger.received - before)
            turned.append(ledger.received)
        return after, passed, error

    monkeypatch.setattr(Rosenbrock, "_step", recorded)
    steps = Rosenbrock(problem, 0.05, None)
    end, _ = steps.advance(begin, 0.0, 0.3, None)
    assert len(off) == steps.steps > 10
    stored = problem.ledger(begin).stored if not follows else problem.ledger(end).quasiparticles
    scale = abs(stored) + np.sum(np.abs(turned))
    assert np.abs(off).max() < 1e-13 * scale
    assert abs(np.sum(off)) < 1e-12 * scale
    if follows:
        assert np.abs(end.gap - begin.gap).max() > 0.005


def test_spectra_without_dips() -> None:
    n = np.array([[1.0, 1e-8, 1e-9, 1e-2, 1e-7, 1e-12]])
    assert np.array_equal(_without_dips(n), [[1.0, DIP * 1e-2, DIP * 1e-2, 1e-2, 1e-7, 1e-12]])


def test_spectra_without_steep_ends() -> None:
    n = np.array([[1e-30, 1e-12, 1e-2, 1e-4, 1e-9, 0.0]])
    found = _without_ends(n)
    assert found == pytest.approx(np.array([[1e-8, 1e-5, 1e-2, 1e-4, 1e-7, 1e-10]]), rel=1e-13)
    assert _without_ends(n[:, ::-1]) == pytest.approx(found[:, ::-1], rel=1e-13)
    assert np.array_equal(_without_ends(np.zeros((2, 3))), np.zeros((2, 3)))


def test_no_occupation_is_cut_to_nothing() -> None:
    """What falls below 0 keeps a part of what it was, and energy stays that of the step."""
    grid = EnergyAxis.uniform(0.25, 3.0)
    line = shape_mesh("grid1d", nx=3, Lx=1e-6, comm=MPI.COMM_SELF)
    medium = Medium(ElectronPhonon(grid, Coupling(1.85, 0.041), "direct"), 1.0)
    problem = BoltzmannProblem(line, grid, medium)
    begin = problem.state(*thermal(grid, 0.3))
    f, n = begin.f.copy(), begin.n.copy()
    n[:, :, -1] *= -0.2  # at all places
    n[1, :, -2] *= -0.2  # at one
    kept_f, kept = Rosenbrock(problem, 0.1, None)._positive(problem.at(begin.gap), begin, f, n)
    assert np.array_equal(kept_f, f)
    # two cells pay for the third one
    assert np.all(kept >= KEPT * 1.8 / 2.5 * begin.n * (1.0 - 1e-3))
    weight, energies, directions = problem.at(begin.gap).species[1]
    before, after = (np.einsum("ce,cme,m->e", weight * energies, a, directions) for a in (n, kept))
    assert abs(after.sum() / before.sum() - 1.0) < 1e-14
    # what one cell got at an energy came from the others
    assert abs(after[-2] / before[-2] - 1.0) < 1e-3


def test_steps_that_are_refused_forever_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every third step is refused, however short steps have become, and their sum stays."""
    problem = BoltzmannProblem(separate_cells(), GRID, Medium(COLLISIONS, 1.0))
    steps = Rosenbrock(problem, 0.1, 1e-3)
    tried = 0

    def step(state: State, now: float, length: float) -> tuple[State, Counters, float]:
        nonlocal tried
        tried += 1
        if tried % 3 == 0:
            raise Refused("rounding")
        return state, problem.no_counters(), 0.5

    monkeypatch.setattr(steps, "_step", step)
    monkeypatch.setattr(steps, "_longest", lambda state: np.inf)
    monkeypatch.setattr("fvqp.models.boltzmann.rosenbrock.MAX_STEP_FACTOR", 1.0)
    monkeypatch.setattr("fvqp.models.boltzmann.rosenbrock.REPEATED", 1.0)
    with pytest.raises(ConvergenceError, match="are refused again and again: rounding"):
        steps.advance(problem.thermal(0.2), 0.0, 1e6, None)
    assert STUCK < tried / 3 < 4 * STUCK
