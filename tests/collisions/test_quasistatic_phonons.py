"""Phonons that follow the electrons of their cell, against roots of the balance in plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from fvqp.collisions import Coupling, ElectronPhonon
from fvqp.collisions.quasistatic_phonons import CLOSE, FEWEST, SLOWEST, QuasistaticPhonons, inverted
from fvqp.energy import EnergyAxis
from fvqp.spectral import bin_averages
from fvqp.typing import Floats

GRID = EnergyAxis.graded(4.0, gap_edges=[1.0], first=0.02, number=40, largest=0.2)
POINTS = GRID.with_phonons()
OPERATOR = ElectronPhonon(POINTS, Coupling(1.764, 0.01), "graded", split_shares=True)
EVENTS = OPERATOR.events
LEAVES = 0.1


def states() -> tuple[Floats, Floats, Floats]:
    found = bin_averages(GRID.edges, 1.0, 0.0, 1e-3)
    return found.dos * GRID.widths, found.pairing * GRID.widths, found.re_F * GRID.widths


def bath(temperature: float) -> Floats:
    x = POINTS.phonon_energies / temperature
    return np.asarray(-np.exp(-x) / np.expm1(-x))


def rates(h: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Spontaneous emission of events, and absorption less stimulated emission over the phonons there."""
    (s,), (p,), (r,) = states()
    i, j, sign = EVENTS.lower, EVENTS.upper, EVENTS.sign
    even, odd = s[i] * s[j] + sign * p[i] * p[j], s[i] * s[j] - r[i] * r[j]
    factor = 0.5 * EVENTS.factor * EVENTS.shares
    emitted = 0.5 * factor * (even * (1.0 - h[j]) * (1.0 - sign * h[i]) - odd * t[j] * t[i])
    return emitted, factor * even * (h[j] + sign * h[i])


@pytest.mark.parametrize("temperature", [0.02, 0.3])
@pytest.mark.parametrize("hot", [0.05, 0.4, 3.0])
def test_roots(temperature: float, hot: float) -> None:
    """The occupation of every point, to rounding, in few steps: from e^(−100) phonons to many."""
    energy = GRID.energies
    h = np.tanh(energy / (2.0 * hot)) * (1.0 - 0.2 * np.exp(-energy))
    t = 0.3 * (1.0 - h) * np.exp(-energy)
    found = QuasistaticPhonons(EVENTS, bath(temperature), LEAVES).steady(states(), np.stack([h, t])[None])
    emitted, absorbed = rates(h, t)
    assert np.ptp(np.log(found.n)) > 3.0
    for k, there in enumerate(bath(temperature)):
        own = EVENTS.first == k
        escapes, ratio = EVENTS.modes[k] * LEAVES, EVENTS.shares[own]
        gain = emitted[own].sum() + escapes * there

        def surplus(u: float, own=own, escapes=escapes, ratio=ratio, gain=gain) -> float:  # type: ignore[no-untyped-def]
            star = np.exp(-ratio * np.log1p(np.exp(-u)))
            return float(np.log((absorbed[own] @ (star / (1.0 - star)) + escapes * np.exp(u)) / gain))

        root = brentq(surplus, -400.0, 30.0, xtol=1e-13, rtol=1e-15)
        assert np.log(found.n[0, k]) == pytest.approx(root, rel=1e-14, abs=1e-11)
        # A slope of the balance: what a little more of escaping phonons would leave.
        h_u = 1e-4
        slope = (surplus(root + h_u) - surplus(root - h_u)) / (2.0 * h_u) * gain / np.exp(root)
        if root > np.log(1e-11):
            assert found.decay[0, k] == pytest.approx(slope / EVENTS.modes[k], rel=1e-6)
    assert found.steps.max() <= 6
    assert found.steps.mean() < 4.0


def test_equal_energies_are_linear() -> None:
    """On equal bins the first guess is the solution, and one step says so."""
    points = EnergyAxis.uniform(0.1, 4.0)
    events = ElectronPhonon(points, Coupling(1.764, 0.01), "graded", split_shares=True).events
    found = bin_averages(points.edges, 1.0, 0.0, 0.02)
    bin_weights = [part * 0.1 for part in (found.dos, found.pairing, found.re_F)]
    h = np.tanh(points.energies / 0.8)
    n_bath = 1.0 / np.expm1(points.phonon_energies / 0.2)
    phonons = QuasistaticPhonons(events, n_bath, LEAVES)
    assert phonons.steady(bin_weights, np.stack([h, 0.0 * h])[None]).steps.max() == 1


def test_occupations_that_a_step_has_led_astray() -> None:
    """f below 0 and above 1: numbers, positive and bounded, at the end of few steps; rest is as before."""
    rng = np.random.default_rng(5)
    f = np.zeros((200, 2, GRID.n))
    f[:, 0] = np.tanh(GRID.energies / 0.1)
    f[:, 0] += 10.0 ** rng.uniform(-17.0, 1.0, (200, 1)) * rng.standard_normal((200, GRID.n))
    phonons = QuasistaticPhonons(EVENTS, bath(0.05), LEAVES)
    found = phonons.steady(states(), f)
    assert np.all(np.isfinite(found.n) & (found.n >= FEWEST))
    assert np.all(found.decay >= SLOWEST * LEAVES)
    # Bisection from the widest interval, at worst, and Newton's steps between.
    assert found.steps.max() <= 2 * np.log2(1e3 / CLOSE)
    assert found.steps.mean() < 10.0
    none = np.stack([np.full(GRID.n, 1.0 + 1e-9), np.zeros(GRID.n)])[None]
    few = QuasistaticPhonons(EVENTS, 0.0 * bath(0.05), LEAVES).steady(states(), none)
    assert few.n.min() == FEWEST and not inverted(few.decay, LEAVES)


def test_inversion() -> None:
    """More quasiparticles at 3Δ than at 2Δ: phonons of the difference have no end, others do."""
    h = np.where(GRID.energies > 2.0, -0.9, 1.0)
    f = np.stack([h, 0.0 * h])[None]
    slow, fast = (QuasistaticPhonons(EVENTS, bath(0.05), leaves) for leaves in (1e-6, 1e9))
    found = slow.steady(states(), f)
    assert inverted(found.decay, 1e-6)
    lost = found.decay[0] <= SLOWEST * 1e-6
    assert 0 < lost.sum() < lost.size
    # At the slowest decay, what is emitted by itself is what is left.
    emitted, _ = rates(h, 0.0 * h)
    gain = np.bincount(EVENTS.first, emitted, EVENTS.modes.size) / EVENTS.modes + 1e-6 * bath(0.05)
    np.testing.assert_allclose(found.n[0, lost], gain[lost] / (SLOWEST * 1e-6), rtol=1e-7)
    assert not inverted(fast.steady(states(), f).decay, 1e9)
