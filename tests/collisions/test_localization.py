"""Localized quasiparticles of a cell: capture, annihilation, what phonons take, derivatives."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.collisions import Coupling, ElectronPhonon, Localization
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.errors import CaseError

GRID = EnergyAxis.uniform(0.1, 3.0, start=0.8)
COUPLING = Coupling(1.76, 0.3)
MEASURE = bcs_weights(GRID, 1.0)
MODES = ElectronPhonon(GRID, COUPLING).phonon_modes


class Square:
    """Mean field."""

    def __init__(self, constant: float) -> None:
        self.constant = constant

    def rate(self, c):
        return self.constant * c**2

    def derivative(self, c):
        return 2.0 * self.constant * c


def some(cells: int = 3):
    rng = np.random.default_rng(5)
    return 0.3 * rng.random((cells, GRID.n)), rng.random((cells, GRID.n_phonon))


def make(capture=0.7, constant=2.0) -> Localization:
    return Localization(GRID, MEASURE, Square(constant), capture, MODES)


@pytest.mark.parametrize("grid", [GRID, EnergyAxis.from_gap(3.0, gap=(0.9, 1.0), finest=0.05, growth=0.1)])
def test_what_is_kept(grid: EnergyAxis) -> None:
    """Energy by every process; of the number two a pair, whose phonon is one."""
    bin_weights = bcs_weights(grid, 1.0)
    modes = ElectronPhonon(grid, COUPLING).phonon_modes
    one = Localization(grid, bin_weights, Square(2.0), 0.7, modes)
    assert not bin_weights.active[0, one.bin] and bin_weights.active[0, one.bin + 1]
    f, n = np.full((2, grid.n), 0.2), np.full((2, grid.n_phonon), 0.1)
    states = bin_weights.number[0].copy()
    states[one.bin] = one.states
    for capture, constant in ((0.7, 0.0), (0.0, 2.0), (0.7, 2.0)):
        rates = Localization(grid, bin_weights, Square(constant), capture, modes).at(bin_weights, f, n).rates
        energy = rates.f @ (states * grid.energies) + rates.n @ (modes * grid.phonon_energies)
        turned = np.abs(rates.f) @ (states * grid.energies)
        assert np.all(np.abs(energy) <= 1e-14 * turned)
        annihilated = constant * (one.states * f[:, one.bin]) ** 2
        assert rates.f @ states == pytest.approx(-annihilated, rel=1e-13, abs=1e-15 * turned.max())
        if capture == 0.0:
            assert rates.n @ modes == pytest.approx(0.5 * annihilated, rel=1e-13)


def test_rate_of_capture_and_law() -> None:
    f, n = some()
    rates = make(capture=0.7, constant=2.0).at(MEASURE, f, n).rates
    b = make().bin
    above = np.arange(GRID.n) > b
    assert rates.f[:, above] == pytest.approx(-0.7 * f[:, above] * (1.0 - f[:, b, None]), rel=1e-13)
    assert np.all(rates.f[:, :b] == 0.0)
    # below 1.5 Δ0 alone
    chosen = np.where(GRID.energies < 1.5, 0.7, 0.0)
    rates = make(capture=chosen).at(MEASURE, f, n).rates
    assert np.all(rates.f[:, GRID.energies > 1.5] == 0.0) and np.all(rates.f[:, b + 1] < 0.0)


def test_coefficients_and_derivatives() -> None:
    f, n = some()
    one = make()
    parts = one.at(MEASURE, f, n).gain_loss()
    rates = one.at(MEASURE, f, n).rates
    for from_parts, direct in zip(parts.rates(f, n), rates, strict=True):
        assert from_parts == pytest.approx(direct, rel=1e-12, abs=1e-14)
    assert all(np.all(part >= 0.0) for part in parts)
    step_f, step_n = some()
    h = 1e-6
    up = one.at(MEASURE, f + h * step_f, n + h * step_n).rates
    down = one.at(MEASURE, f - h * step_f, n - h * step_n).rates
    moved = one.at(MEASURE, f, n).jvp(step_f, step_n)
    blocks = one.at(MEASURE, f, n).jacobian()
    assert moved.f == pytest.approx((up.f - down.f) / (2 * h), rel=1e-8, abs=1e-9)
    assert moved.n == pytest.approx((up.n - down.n) / (2 * h), rel=1e-8, abs=1e-9)
    assert moved.f == pytest.approx(np.einsum("cij,cj->ci", blocks.ff, step_f), rel=1e-12, abs=1e-13)
    assert moved.n == pytest.approx(np.einsum("cij,cj->ci", blocks.nf, step_f), rel=1e-12, abs=1e-13)
    diagonal = one.at(MEASURE, f, n).diagonal()
    assert diagonal.f == pytest.approx(np.einsum("cii->ci", blocks.ff), rel=1e-13)


def test_usual_recombination_is_mean_field() -> None:
    """Cold quasiparticles recombine as ``8 b Δ² n²``, the constant that mean field takes by default."""
    grid = EnergyAxis.uniform(0.002, 2.1, start=0.99)
    bin_weights = bcs_weights(grid, 1.0)
    collisions = ElectronPhonon(grid, COUPLING, "direct")
    f = np.where(bin_weights.active, 1e-6 * (grid.energies < 1.01), 0.0)
    loss = collisions.at(bin_weights, f, np.zeros((1, grid.n_phonon))).gain_loss("pairs")
    number = (bin_weights.number * f).sum()
    lost = (bin_weights.number * loss.out_f * f).sum()
    assert lost == pytest.approx(8.0 * COUPLING.strength * number**2, rel=0.02)


def test_what_is_wrong_is_said() -> None:
    with pytest.raises(CaseError, match="need a bin below the gap"):
        Localization(GRID, bcs_weights(GRID, 0.8), Square(1.0), 1.0, MODES)
    with pytest.raises(CaseError, match="rate of capture must be finite and not negative"):
        make(capture=-1.0)
    low = EnergyAxis.uniform(0.1, 3.0, start=0.8, phonon_maximum=1.5)
    with pytest.raises(CaseError, match="pairs emit phonons of"):
        Localization(low, MEASURE, Square(1.0), 1.0, np.ones(low.n_phonon))
