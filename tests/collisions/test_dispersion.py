"""Phonons with dispersion: modes and group speeds against the branch itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad

from fvqp.collisions import Coupling, ElectronPhonon, phonon_energy, quasiparticle_energy, thermal
from fvqp.collisions.dispersion import Sine, Tabulated, branch
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.errors import CaseError

UNIFORM = EnergyAxis.uniform(0.1, 4.0, start=0.9)
GRADED = EnergyAxis.from_gap(4.0, gap=1.0, finest=0.05, growth=0.1)
GRIDS = pytest.mark.parametrize("grid", [UNIFORM, GRADED], ids=["uniform", "graded"])


@GRIDS
def test_no_dispersion_is_debyes_model(grid):
    for flat in (Tabulated([1.0, 3.0, 20.0], [7.0, 7.0, 7.0]), Sine(1e7)):
        found = branch(grid, flat)
        np.testing.assert_allclose(found.modes, 1.0, rtol=1e-12)
        np.testing.assert_allclose(found.speed, 1.0, rtol=1e-12)


def test_modes_and_speeds_of_a_chain():
    """``(q/ω)²/v`` and ``v = cos(q/ω_m)`` in the middle of fine bins; all modes up to the zone boundary."""
    end = float(UNIFORM.phonon_energies[-1])
    found, omega = branch(UNIFORM, Sine(end)), UNIFORM.phonon_energies
    speed = np.sqrt(1.0 - (omega / end) ** 2)
    relative = (np.arcsin(omega / end) * end / omega) ** 2
    low = slice(5, -8)
    np.testing.assert_allclose(found.speed[low], speed[low], rtol=2e-3)
    np.testing.assert_allclose(found.modes[low], relative[low] / speed[low], rtol=2e-3)
    assert 0.0 < found.speed[-1] < 0.2
    number = found.modes * np.diff(np.append(0.5 * omega[0], omega + 0.05) ** 3)
    assert number.sum() == pytest.approx((0.5 * np.pi * end) ** 3 - (0.5 * omega[0]) ** 3, rel=1e-6)


def test_a_table_is_integrated():
    knots, speeds = np.array([1.0, 4.0, 8.0]), np.array([3.0, 2.0, 1.2])
    table = Tabulated(knots, speeds)

    def slowness(omega: float) -> float:
        return 3.0 / float(np.interp(omega, knots, speeds))

    for omega in (0.5, 2.0, 4.0, 7.0):
        exact = quad(slowness, 0.0, omega, points=[1.0, 4.0])[0]
        assert table.wave_number(np.array([omega]))[0] == pytest.approx(exact, rel=1e-10)
    found = branch(UNIFORM, table)
    at = UNIFORM.phonon_energies
    np.testing.assert_allclose(found.speed, np.interp(at, knots, speeds) / 3.0, rtol=5e-3)


@GRIDS
def test_energy_is_conserved_and_equilibrium_stays(grid):
    found = branch(grid, Sine(9.0))
    operator = ElectronPhonon(grid, Coupling(1.8, 0.04), interaction=found.modes, modes=found.modes)
    bin_weights = bcs_weights(grid, 1.0)
    random = np.random.default_rng(5)
    f, n = random.uniform(0, 1, (2, grid.n)), random.uniform(0.05, 2, (2, grid.n_phonon))
    rates = operator.at(bin_weights, f, n).rates
    moved = quasiparticle_energy(grid, bin_weights, np.abs(rates.f)) + phonon_energy(
        operator, np.abs(rates.n)
    )
    into = quasiparticle_energy(grid, bin_weights, rates.f) + phonon_energy(operator, rates.n)
    assert np.all(np.abs(into) < 1e-13 * moved)
    plain = ElectronPhonon(grid, Coupling(1.8, 0.04))
    f, n = thermal(grid, 0.2)
    ways = operator.at(bin_weights, f, n).gain_loss()
    assert np.all(np.abs(operator.at(bin_weights, f, n).rates.n) <= 1e-12 * ways.out_n * (1.0 + n))
    # a mode is absorbed as fast as before: it is α² that does not change
    if grid.is_uniform:
        np.testing.assert_allclose(ways.out_n, plain.at(bin_weights, f, n).gain_loss().out_n, rtol=1e-9)
    assert np.all(ways.out_f >= plain.at(bin_weights, f, n).gain_loss().out_f * (1.0 - 1e-12))


def test_what_is_wrong_is_said():
    for make, words in (
        (lambda: branch(UNIFORM, Sine(7.0)), "ends at 7 Delta0, below the last phonon energy of 7.9"),
        (lambda: Sine(0.0), "must be positive"),
        (lambda: Tabulated([1.0], [1.0]), "at least two"),
        (lambda: Tabulated([1.0, 0.5], [1.0, 1.0]), "increase"),
        (lambda: Tabulated([1.0, 2.0], [1.0, 0.0]), "speeds must be positive"),
        (lambda: ElectronPhonon(UNIFORM, Coupling(1.8, 0.04), modes=[1.0, 2.0]), "phonon modes"),
    ):
        with pytest.raises(CaseError, match=words):
            make()
