"""Electron-electron collisions on graded axes against sums over events, fine equal bins, what they keep."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

from fvqp.collisions import ElectronElectron, Spectra
from fvqp.collisions.electron_electron import POWERS
from fvqp.collisions.electron_electron_shared import SharedElectronElectron, at_same_temperature
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.materials import BCS_RATIO
from fvqp.spectral import bin_averages
from fvqp.typing import Floats

BROADENING = 1e-3
GRADED = EnergyAxis.graded(8.0, gap_edges=[1.0], first=BROADENING / 4, number=300, largest=0.05)


def spectra(grid: EnergyAxis, gap: float = 1.0) -> Spectra:
    found = bin_averages(grid.edges, gap, 0.0, BROADENING)
    return Spectra(found.dos, found.pairing, found.re_F)


def driven(energies: Floats) -> Floats:
    """A smooth distribution far from equilibrium."""
    hole = 0.7 * np.exp(-(((energies - 1.8) / 0.8) ** 2)) + 0.1 * np.exp(-energies)
    return (np.tanh(energies / 0.3) * (1.0 - hole))[None, None]


def events(operator: SharedElectronElectron, dos: Floats, pairing: Floats, f: Floats, kernel: str) -> Floats:
    """The integral of one cell before its correction, event by event between states at lattice points."""
    delta = operator.lattice.grid.widths[0]
    number, share, energy, N, P, h, bins = [], [], [], [], [], [], []
    for (point, part, ratio), sign in ((side, sign) for side in operator.sides for sign in (1, -1)):
        value = np.tanh(ratio * np.arctanh(f))
        number.append(point if sign > 0 else -1 - point)
        share.append(part)
        energy.append(part * operator.grid.widths / delta)
        N.append(dos)
        P.append(sign * pairing)
        h.append(sign * value)
        bins.append(np.arange(len(f)) if sign > 0 else np.full(len(f), -1))
    j, part, weight, N, P, h, place = (np.concatenate(a) for a in (number, share, energy, N, P, h, bins))
    M = np.multiply.outer(N, N) - np.multiply.outer(P, P)
    lag = np.subtract.outer(j, j)
    # Bins at one lattice point exchange little, but they do: k(0) = 1, or left out where k has no limit.
    matrix = np.full(lag.shape, 1.0 if kernel == "fermi_liquid" else 0.0)
    matrix[lag != 0] = (np.abs(lag[lag != 0]) * delta * BCS_RATIO) ** POWERS[kernel]  # type: ignore[index]
    span = range(lag.min(), lag.max() + 1)
    # Of every exchanged energy 4 − 3 = ω the sums over pairs (3, 4).
    pairs = {m: (lag.T == m) * M * np.multiply.outer(weight, weight) for m in span}
    A = {m: np.sum(pair * (1.0 - np.multiply.outer(h, h))) for m, pair in pairs.items()}
    C = {m: np.sum(pair * np.subtract.outer(h, h)) for m, pair in pairs.items()}
    fluctuation, response = (np.vectorize(table.get)(lag) for table in (A, C))
    bracket = np.subtract.outer(h, h) * fluctuation + (1.0 - np.multiply.outer(h, h)) * response
    rates = part * np.sum(matrix * M * weight * bracket, axis=1)
    out = np.array([rates[place == b].sum() for b in range(len(f))])
    return out * delta**2 / (2.0 * np.pi**2) * BCS_RATIO**2


@pytest.mark.parametrize("kernel", sorted(POWERS))
def test_sum_over_events(kernel: str) -> None:
    grid = EnergyAxis(np.array([0.0, 0.4, 0.8, 0.95, 1.0, 1.03, 1.2, 1.5, 2.0, 2.5, 3.0]))
    operator = SharedElectronElectron(grid, 1.0, kernel)  # type: ignore[arg-type]
    spectrum, f = spectra(grid), driven(grid.energies)
    raw = events(operator, spectrum.dos[0], spectrum.pairing[0], f[0, 0], kernel)
    moment = grid.energies * grid.widths
    expected = raw - np.abs(raw) * (raw @ moment) / (np.abs(raw) @ moment)
    found = -operator.at(spectrum, f).rates[0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("kernel", sorted(POWERS))
def test_energy_and_thermal_distributions(kernel: str) -> None:
    operator = SharedElectronElectron(GRADED, 0.3, kernel)  # type: ignore[arg-type]
    for gap in (0.0, 1.0):
        spectrum = spectra(GRADED, gap)
        found = operator.at(spectrum, driven(GRADED.energies))
        gross = np.abs(found.rates) @ operator.moment
        assert np.all(np.abs(found.rates @ operator.moment) < 1e-11 * gross)
        assert found.loss.min() >= 0.0
        for temperature in (0.01, 0.1, 1.0):
            still = operator.at(spectrum, np.tanh(GRADED.energies / (2.0 * temperature))[None, None])
            scale = spectrum.dos.max() * operator.largest_rate
            assert np.abs(still.rates).max() < 1e-14 * scale


def test_a_uniform_axis_is_the_lattice() -> None:
    grid = EnergyAxis.uniform(0.05, 6.0)
    f = driven(grid.energies)
    shared = SharedElectronElectron(grid, 0.3).at(spectra(grid), f)
    plain = ElectronElectron(grid, 0.3).at(spectra(grid), f)
    np.testing.assert_allclose(shared.rates, plain.rates, atol=1e-12 * np.abs(plain.rates).max())
    np.testing.assert_allclose(shared.loss, plain.loss, atol=1e-12 * np.abs(plain.loss).max())


def test_second_order_in_the_spacing() -> None:
    """Rates in groups of bins against 12800 equal bins; 300 graded ones do with a quarter of a percent."""
    fine = EnergyAxis.uniform(1 / 1600, 8.0)
    groups = [
        lambda energy: np.exp(-(((energy - 1.6) / 0.5) ** 2)),
        lambda energy: np.exp(-energy),
        lambda energy: np.exp(-(((energy - 4.0) / 0.5) ** 2)),
    ]

    def sums(grid: EnergyAxis, rate: Floats) -> Floats:
        return np.array([(rate[0, 0] * group(grid.energies)) @ grid.widths for group in groups])

    expected = sums(fine, ElectronElectron(fine, 0.3).at(spectra(fine), driven(fine.energies)).rates)
    errors = []
    for spacing in (0.2, 0.1, 0.0501):
        operator = SharedElectronElectron(GRADED, 0.3, spacing=spacing)
        found = sums(GRADED, operator.at(spectra(GRADED), driven(GRADED.energies)).rates)
        errors.append(np.abs(found / expected - 1.0).max())
    assert errors[2] < 2.5e-3
    assert np.log2(errors[0] / errors[1]) > 1.7
    assert np.log2(errors[1] / errors[2]) > 1.7


def test_derivative() -> None:
    operator = SharedElectronElectron(GRADED, 0.3)
    f = driven(GRADED.energies)
    step = np.random.default_rng(1).standard_normal(f.shape) * np.exp(-GRADED.energies)
    h = 1e-5
    low, high = (operator.at(spectra(GRADED), f + sign * h * step).rates for sign in (-1, 1))
    expected = (high - low) / (2.0 * h)
    found = operator.at(spectra(GRADED), f).jvp(step)
    np.testing.assert_allclose(found, expected, atol=1e-7 * np.abs(expected).max())


def test_rates_are_gone_with_their_last_user() -> None:
    """They hold transforms of every state and cell: what waits for Python's search of cycles piles up."""
    operator = SharedElectronElectron(GRADED, 0.3)
    rates = operator.at(spectra(GRADED), driven(GRADED.energies))
    known = weakref.ref(rates)
    gc.disable()
    try:
        del rates
        assert known() is None
    finally:
        gc.enable()


def test_the_same_temperature_at_another_energy() -> None:
    energy, other = np.array([0.5, 1.0, 3.0, 20.0]), np.array([0.4, 1.1, 3.05, 20.5])
    for temperature in (0.05, 0.3, 3.0):
        f = np.tanh(energy / (2.0 * temperature))
        found, slope = at_same_temperature(f, other / energy)
        np.testing.assert_allclose(found, np.tanh(other / (2.0 * temperature)), rtol=1e-14, atol=1e-15)
        assert np.all(slope > 0.0)
    # What rounding has made of 1 stays; odd in f.
    np.testing.assert_array_equal(at_same_temperature(np.array([1.0, 1.0 + 1e-15, -1.0]), 1.1)[0][:1], 1.0)
    both = at_same_temperature(np.array([0.3, -0.3]), np.array([1.2, 1.2]))[0]
    assert both[0] == -both[1]


def test_bad_input() -> None:
    for spacing in (0.01, 4.0, np.nan):
        with pytest.raises(CaseError, match="as the widest bin"):
            SharedElectronElectron(GRADED, 0.3, spacing=spacing)
    with pytest.raises(CaseError, match="must not be negative"):
        SharedElectronElectron(GRADED, -0.3)
