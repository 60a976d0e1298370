"""Phonons that a moving gap takes across 2Δ: energy, occupations, order in the bin width, number of steps."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import k0, k1, kn

from fvqp.collisions import Coupling, ElectronPhonon, GainLoss, phonon_energy, quasiparticle_energy, thermal
from fvqp.collisions.threshold import at_threshold, carried_phonons, first_of_pairs
from fvqp.energy import BinWeights, EnergyAxis, bcs_weights
from fvqp.gap import SelfConsistentGap
from fvqp.models.boltzmann import (
    BoltzmannProblem,
    Medium,
    Moment,
    State,
    evolve,
    lifted_phonons,
    separate_cells,
)
from fvqp.models.boltzmann.lifted_phonons import cross_threshold, kept_share

COUPLING = Coupling(1.764, 5.8e-4)
GRID = EnergyAxis.uniform(0.1, 4.0, start=0.5)
OPERATOR = ElectronPhonon(GRID, COUPLING, "direct")


def bin_weights(gap: np.ndarray):
    return at_threshold(GRID, bcs_weights(GRID, gap), gap)


def coefficients(weights: BinWeights) -> Callable[[np.ndarray, np.ndarray], GainLoss]:
    return lambda f, n: OPERATOR.at(weights, f, n).gain_loss()


def crossed(before: np.ndarray, after: np.ndarray, kept: float):
    """Occupations before and after a move of the gap, with many phonons below 2Δ."""
    f = thermal(GRID, 0.25).f * np.ones((len(before), 1))
    n = np.where(GRID.phonon_energies < 1.9, 3.0, 1.0) * thermal(GRID, 0.25).n * np.ones((len(before), 1))
    first, last = bin_weights(before), bin_weights(after)
    there = cross_threshold(OPERATOR, first, last, f, n, np.full(len(before), kept), coefficients(last))
    gain = phonon_energy(OPERATOR, there.n, last) - phonon_energy(OPERATOR, n, first)
    gain += quasiparticle_energy(GRID, last, there.f - f)
    np.testing.assert_allclose(gain, 0.0, atol=1e-14 * phonon_energy(OPERATOR, n, first).max())
    return f, n, there, last


def test_points_above_the_threshold_keep_their_occupation():
    """Within a bin, across one, up, and up across three."""
    before, after = np.array([0.98, 0.98, 0.93, 0.7]), np.array([0.97, 0.91, 0.94, 0.98])
    f, n, there, last = crossed(before, after, 0.0)
    first, now = (first_of_pairs(GRID, bin_weights(gap)) for gap in (before, after))
    np.testing.assert_array_equal(now < first, [False, True, False, False])
    for cell in range(4):
        above = np.arange(GRID.n_phonon) >= max(first[cell], now[cell])
        np.testing.assert_array_equal(there.n[cell, above], n[cell, above])
    # a falling gap breaks pairs; a rising one leaves its phonons below 2Δ, but for small changes above
    changed = ((there.f - f) * last.dos_weights).sum(axis=1)
    assert np.all(changed[:2] > 0.0) and np.all(np.abs(changed[2:]) < 0.2 * changed[0])
    # the new points gain as many phonons as they lose
    new = slice(now[1], first[1])
    parts = OPERATOR.at(last, f, n).gain_loss()
    assert new.stop - new.start == 2
    balance = parts.in_n[1, new] * (1.0 + there.n[1, new]) / (parts.out_n[1, new] * there.n[1, new])
    np.testing.assert_allclose(balance, 1.0, rtol=1e-12)


def test_phonons_stay_with_their_modes_in_short_steps():
    before, after = np.array([0.98, 0.0, 0.9]), np.array([0.91, 0.9, 0.0])
    lifetime = COUPLING.pair_breaking_time / 0.91
    shares = kept_share(OPERATOR, lifted_phonons.RESOLVED * lifetime, before, after)
    np.testing.assert_allclose(shares, [np.exp(-1.0), 1.0, 1.0])
    assert kept_share(OPERATOR, 3.0 * lifetime, before, after)[0] < 1e-30
    f, n, there, last = crossed(before[:1], after[:1], 1.0)
    np.testing.assert_array_equal(there.f, f)
    np.testing.assert_array_equal(there.n, carried_phonons(GRID, bin_weights(before[:1]), last, n))
    half = crossed(before[:1], after[:1], 0.5)[2]
    whole = crossed(before[:1], after[:1], 0.0)[2]
    np.testing.assert_allclose(half.f, 0.5 * (f + whole.f), rtol=1e-13)
    np.testing.assert_allclose(half.n, 0.5 * (there.n + whole.n), rtol=1e-13)


def test_full_bins_leave_phonons_with_their_modes():
    """Where pairs have no room, phonons do not break them."""
    first, last = bin_weights(np.array([0.98])), bin_weights(np.array([0.91]))
    f, n = np.ones((1, GRID.n)), 2.0 * thermal(GRID, 0.5).n
    there = cross_threshold(OPERATOR, first, last, f, n, np.zeros(1), coefficients(last))
    np.testing.assert_array_equal(there.f, f)
    np.testing.assert_array_equal(there.n, carried_phonons(GRID, first, last, n))


def pulse(
    width: float, splits: bool, times: list[float], *, tolerance: float = 1e-3, kt: float = 0.2
) -> tuple[BoltzmannProblem, State, list[Moment]]:
    """Quasiparticles of 2.5 Δ0 relax in a superconductor that keeps its phonons."""
    grid = EnergyAxis.uniform(width, 4.0, start=0.7)
    medium = Medium(ElectronPhonon(grid, COUPLING, "direct"), SelfConsistentGap(grid, splits_phonons=splits))
    problem = BoltzmannProblem(separate_cells(), grid, medium)
    f, n = thermal(grid, kt)
    state = problem.state(f + 0.05 * np.exp(-0.5 * ((grid.energies - 2.5) / 0.2) ** 2), n)
    return problem, state, list(evolve(problem, state, times, method="arkimex", tolerance=tolerance))


def equilibrium(energy: float) -> tuple[float, float]:
    """Density and gap of a closed superconductor with phonons in equilibrium, from its energy."""
    k = np.arange(1.0, 40.0)
    sign = np.where(k % 2 == 1, 1.0, -1.0)

    def gap(t: float) -> float:
        return brentq(lambda d: np.log(1.0 / d) - 2.0 * np.sum(sign * k0(k * d / t)), 0.3, 1.0)

    def total(t: float) -> float:
        d = gap(t)
        quasiparticles = 0.5 * d**2 * np.sum(sign * (k0(k * d / t) + kn(2, k * d / t)))
        return (
            quasiparticles
            - 0.25 * d**2 * (0.5 + np.log(1.0 / d))
            + COUPLING.capacity * (np.pi * t) ** 4 / 15.0
        )

    t = brentq(lambda t: total(t) - energy, 0.1, 0.45, xtol=1e-14)
    return gap(t) * float(np.sum(sign * k1(k * gap(t) / t))), gap(t)


def test_energy_stays_and_the_end_is_equilibrium():
    """2Δ passes phonon points; the end is that of the integrals over energy, which have no bins."""
    problem, state, moments = pulse(0.1, True, [1e-2, 1e3], tolerance=2e-2)
    before, end = problem.ledger(state), moments[-1]
    assert state.gap[0] - end.state.gap[0] > 0.07
    for moment in moments:
        assert moment.ledger.stored == pytest.approx(before.stored, abs=1e-13 * before.quasiparticles)
        self_consistent = problem.media[0].self_consistent
        assert self_consistent.residual(moment.state.f[:, 0], moment.state.gap)[0] == pytest.approx(
            0.0, abs=1e-11
        )
        assert moment.state.n.min() >= 0.0 and moment.state.f.min() >= -1e-15
    density, gap = equilibrium(before.stored)
    assert end.ledger.number == pytest.approx(density, rel=6e-3)
    assert end.state.gap[0] == pytest.approx(gap, rel=2e-3)


@pytest.mark.slow
def test_order_in_the_bin_width():
    """Density while phonons are trapped: of order 1.4 where the points at 2Δ hold both kinds of modes."""
    coarse, middle, fine = (
        float(pulse(width, True, [1.0])[2][0].ledger.number) for width in (0.1, 0.05, 0.025)
    )
    assert np.log2((middle - coarse) / (fine - middle)) > 1.8
    assert fine == pytest.approx(middle, rel=2e-3)


@pytest.mark.slow
def test_lifted_phonons_cost_no_steps(monkeypatch):
    """No more steps than without split modes. Phonons that stay with their modes take many times as many, and
    give the same density but for the lifetime of a phonon."""
    _, _, (plain,) = pulse(0.05, False, [1.0])
    _, _, (moment,) = pulse(0.05, True, [1.0])
    monkeypatch.setattr(lifted_phonons, "RESOLVED", 1e9)
    _, _, (carried,) = pulse(0.05, True, [1.0])
    assert moment.steps <= 1.2 * plain.steps
    assert carried.steps > 2 * moment.steps
    assert moment.ledger.number == pytest.approx(carried.ledger.number, rel=5e-4)
    assert plain.ledger.number != pytest.approx(carried.ledger.number, rel=3e-3)
