"""Time relaxation: bounds, invariants, equilibria, order, exact decay, lag of the clock."""

from __future__ import annotations

import logging

import numpy as np
import pytest

from fvqp.collisions import ConstantTrapping, Coupling, ElectronPhonon
from fvqp.energy import EnergyAxis
from fvqp.models.boltzmann import BoltzmannProblem, Medium, State, evolve, separate_cells, time_relaxation
from fvqp.models.boltzmann.time_relaxation import TimeRelaxation, longest_step

GRID = EnergyAxis.uniform(0.25, 3.0, start=1.0)
COLLISIONS = ElectronPhonon(GRID, Coupling(1.85, 0.041), "direct")


def cells(number: int = 2) -> BoltzmannProblem:
    return BoltzmannProblem(separate_cells(number), GRID, Medium(COLLISIONS, splits_phonons=True))


@pytest.mark.parametrize("length", [1e-6, 0.1, 3.0, 1e9])
def test_any_step_keeps_bounds_and_energy(length):
    """From occupations at their bounds, in cells of very different rates."""
    problem, random = cells(), np.random.default_rng(2)
    fullest = np.array([1.0, 1e-6])[:, None, None]
    f = fullest * random.choice([0.0, 1.0, 0.5], (2, 1, GRID.n))
    state = problem.state(f, fullest * random.choice([0.0, 2.0], (2, 1, GRID.n_phonon)))
    steps, before = TimeRelaxation(problem, 1e-2, None), problem.ledger(state).stored
    for _ in range(50):
        state, passed, _ = steps._step(state, 0.0, length)
        assert np.all((state.f >= 0.0) & (state.f <= 1.0)) and np.all(state.n >= 0.0)
        assert passed.source_f.size == 0
    assert problem.ledger(state).stored == pytest.approx(before, rel=1e-14)


def test_equilibrium_stays():
    problem = cells()
    state = problem.thermal(0.7)
    after, _, _ = TimeRelaxation(problem, 1e-2, None)._step(state, 0.0, 1e6)
    np.testing.assert_allclose(after.f, state.f, rtol=1e-13)
    np.testing.assert_allclose(after.n, state.n, rtol=1e-13)


def test_order_1_in_the_step():
    problem = cells(1)
    start = problem.thermal(0.3)
    bump = 0.1 * np.exp(-0.5 * ((GRID.energies - 2.0) / 0.3) ** 2)
    start = problem.state(start.f + bump, start.n)

    def at_end(number: int) -> np.ndarray:
        state, steps = start, TimeRelaxation(problem, 1e-2, None)
        for _ in range(number):
            state, _, _ = steps._step(state, 0.0, 1e-4 / number)
        return np.concatenate([state.f[0, 0], state.n[0, 0]])

    (exact,) = evolve(problem, start, [1e-4], method="arkimex", tolerance=1e-9)
    exact = np.concatenate([exact.state.f[0, 0], exact.state.n[0, 0]])
    errors = np.array([np.abs(at_end(number) / exact - 1.0).max() for number in (20, 40, 80)])
    assert np.all(np.abs(np.log2(errors[:-1] / errors[1:]) - 1.0) < 0.1)


def test_decay_of_the_fastest_occupation_is_exact():
    """Where one loss is the largest rate, the exponential is what it should be, and so is what left."""
    trapping = {"trapping": ConstantTrapping(GRID, 2.0)}
    medium = Medium(None, 1.0, modes=COLLISIONS.phonon_modes, processes=trapping)
    problem = BoltzmannProblem(separate_cells(), GRID, medium)
    state = problem.state(0.5, 0.0)
    after, passed, _ = TimeRelaxation(problem, 1e-2, None)._step(state, 0.0, 0.3)
    weight = problem.at(state.gap).local.weight_f[0]
    there = weight > 0.0
    np.testing.assert_allclose(after.f[0, 0, there], 0.5 * np.exp(-0.6), rtol=1e-11)
    left = weight * 0.5 * np.expm1(-0.6)
    np.testing.assert_allclose(passed.source_f[0], left, rtol=1e-11)


def test_clocks_lag_by_a_part_of_the_step(monkeypatch, caplog):
    """In equilibrium nothing but the lag bounds steps; a warning says where there are very many."""
    lag, rate = 0.05, 3.0
    x = rate * longest_step(rate, lag)
    assert 1.0 + np.expm1(-x) / x == pytest.approx(lag, rel=1e-12)
    problem = cells(1)
    state = problem.thermal(0.3)
    steps = TimeRelaxation(problem, 1e-2, None)
    longest = steps._longest(state)
    monkeypatch.setattr(time_relaxation, "MANY", 50.0)
    with caplog.at_level(logging.WARNING):
        end, _ = steps.advance(state, 0.0, 60.0 * longest, None)
    assert 60 <= steps.steps < 90
    assert isinstance(end, State)
    assert 'time relaxation: needs 6e+01 steps and more; method "arkimex"' in caplog.text
