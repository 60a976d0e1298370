"""What collisions conserve, and equilibrium, on all evaluations."""

from __future__ import annotations

import numpy as np
import pytest
from states import (
    COUPLING,
    DEBYE,
    EVALUATIONS,
    GAPS,
    GRADED,
    UNIFORM,
    powers,
    random_state,
    scattering_only,
    thermal_state,
)

from fvqp.collisions import ElectronPhonon
from fvqp.energy import bcs_weights
from fvqp.errors import CaseError

ids = [f"{name}-{i}" for i, (name, _) in enumerate(EVALUATIONS)]


@pytest.mark.parametrize("rule", ["bin", "linear"])
@pytest.mark.parametrize(("name", "grid"), EVALUATIONS, ids=ids)
def test_energy_is_conserved(name, grid, rule):
    operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, GAPS, rule)
    for seed in range(3):
        f, n = random_state(grid, seed=seed)
        into_f, into_n, moved = powers(operator, bin_weights, operator.at(bin_weights, f, n).rates)
        np.testing.assert_allclose((into_f + into_n) / moved, 0.0, atol=1e-13)
        assert np.all(np.abs(into_n) > 1e-3 * moved)


@pytest.mark.parametrize(("name", "grid"), EVALUATIONS, ids=ids)
def test_energy_is_conserved_by_jacobian(name, grid):
    operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, GAPS)
    step = random_state(grid, seed=5)
    into_f, into_n, moved = powers(
        operator, bin_weights, operator.at(bin_weights, *random_state(grid)).jvp(*step)
    )
    np.testing.assert_allclose((into_f + into_n) / moved, 0.0, atol=1e-13)


@pytest.mark.parametrize(("name", "grid"), EVALUATIONS, ids=ids)
def test_scattering_conserves_number(name, grid):
    grid = scattering_only(grid)
    operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, GAPS)
    change = bin_weights.dos_weights * operator.at(bin_weights, *random_state(grid)).rates.f
    np.testing.assert_allclose(change.sum(axis=1) / np.abs(change).sum(axis=1), 0.0, atol=1e-13)


@pytest.mark.parametrize(("name", "grid"), EVALUATIONS, ids=ids)
def test_any_interaction_conserves_energy_and_keeps_equilibrium(name, grid):
    """α²F with a peak, and none at some energies: all evaluations agree, and so do rates and Jacobian."""
    omega = grid.phonon_energies
    interaction = np.where(omega > 2.8, 0.0, 1.0 + 3.0 * np.exp(-(((omega - 2.2) / 0.3) ** 2)))
    operator = ElectronPhonon(grid, COUPLING, name, interaction=interaction)
    bin_weights = bcs_weights(grid, GAPS)
    f, n = random_state(grid)
    rates = operator.at(bin_weights, f, n).rates
    into_f, into_n, moved = powers(operator, bin_weights, rates)
    np.testing.assert_allclose((into_f + into_n) / moved, 0.0, atol=1e-13)
    if grid.is_uniform:
        # at its phonon points every collision is as much stronger as the interaction says
        plain = ElectronPhonon(grid, COUPLING, "direct").at(bin_weights, f, n).rates
        np.testing.assert_allclose(rates.n, interaction * plain.n, atol=1e-11 * np.abs(plain.n).max())
        direct = ElectronPhonon(grid, COUPLING, "direct", interaction=interaction).at(bin_weights, f, n).rates
        np.testing.assert_allclose(rates.f, direct.f, atol=1e-11 * np.abs(direct.f).max())
    f, n = thermal_state(grid, 1.0)
    rates, parts = operator.at(bin_weights, f, n).rates, operator.at(bin_weights, f, n).gain_loss()
    assert np.abs(rates.f).max() <= 1e-13 * parts.out_f.max() * f.max()
    assert np.abs(rates.n).max() <= 1e-13 * parts.out_n.max() * n.max()


@pytest.mark.parametrize("interaction", [-1.0, [1.0, 2.0], np.nan])
def test_interactions_that_are_none(interaction):
    with pytest.raises(CaseError, match="interaction must be one number ≥ 0 for each of"):
        ElectronPhonon(UNIFORM, COUPLING, interaction=interaction)


@pytest.mark.parametrize("temperature", [0.04, 0.2, 1.0, 7.0])
@pytest.mark.parametrize("rule", ["bin", "linear"])
@pytest.mark.parametrize(("name", "grid"), [e for e in EVALUATIONS if e[0] != "fourier"])
def test_equilibrium_is_stationary(name, grid, rule, temperature):
    operator = ElectronPhonon(grid, COUPLING, name)
    bin_weights = bcs_weights(grid, GAPS, rule)
    f, n = thermal_state(grid, temperature)
    rates, parts = operator.at(bin_weights, f, n).rates, operator.at(bin_weights, f, n).gain_loss()
    # every rate against its own gain and loss, far into the exponential tails
    assert np.all(np.abs(rates.f) <= 1e-13 * (parts.in_f * (1.0 - f) + parts.out_f * f))
    assert np.all(np.abs(rates.n) <= 1e-13 * (parts.in_n * (1.0 + n) + parts.out_n * n))


@pytest.mark.parametrize("grid", [UNIFORM, DEBYE])
@pytest.mark.parametrize("temperature", [0.2, 1.0, 7.0])
def test_equilibrium_by_transforms_is_stationary_to_the_largest_rate(grid, temperature):
    operator, bin_weights = ElectronPhonon(grid, COUPLING, "fourier"), bcs_weights(grid, GAPS)
    f, n = thermal_state(grid, temperature)
    rates, parts = operator.at(bin_weights, f, n).rates, operator.at(bin_weights, f, n).gain_loss()
    assert np.abs(rates.f).max() <= 1e-14 * parts.out_f.max() * f.max()
    assert np.abs(rates.n).max() <= 1e-14 * parts.out_n.max() * n.max()


@pytest.mark.parametrize(("name", "grid"), EVALUATIONS, ids=ids)
def test_entropy_never_falls(name, grid):
    operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, GAPS)
    for seed in range(5):
        f, n = random_state(grid, seed=seed)
        rates = operator.at(bin_weights, f, n).rates
        production = (bin_weights.dos_weights * np.log(1.0 / f - 1.0) * rates.f).sum(axis=1)
        production += (operator.phonon_modes * np.log1p(1.0 / n) * rates.n).sum(axis=1)
        assert np.all(production > 0.0)


@pytest.mark.parametrize(("name", "grid"), EVALUATIONS, ids=ids)
def test_nothing_happens_below_the_gap(name, grid):
    operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, GAPS, "bin")
    f, n = random_state(grid)
    first = operator.at(bin_weights, f, n).rates
    below = ~bin_weights.active
    assert np.any(below)
    second = operator.at(bin_weights, np.where(below, 0.3, f), n).rates
    assert np.all(first.f[below] == 0.0)
    np.testing.assert_array_equal(first.f, second.f)
    np.testing.assert_array_equal(first.n, second.n)


def test_pauli_principle_and_empty_phonons():
    """f cannot leave [0, 1], n cannot become negative."""
    for name, grid in EVALUATIONS:
        operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, GAPS)
        f, n = random_state(grid)
        f[:, ::3], f[:, 1::3] = 0.0, 1.0
        n[:, ::2] = 0.0
        rates = operator.at(bin_weights, f, n).rates
        slack = 1e-13 * np.abs(rates.f).max()
        assert np.all(rates.f[:, ::3] >= -slack)
        assert np.all(rates.f[:, 1::3] <= slack)
        assert np.all(rates.n[:, ::2] >= -1e-13 * np.abs(rates.n).max())
        for part in operator.at(bin_weights, f, n).gain_loss():
            assert part.min() >= -1e-13 * part.max()


@pytest.mark.parametrize(("name", "grid"), [("direct", UNIFORM), ("graded", GRADED)])
def test_relaxation_of_a_closed_system_ends_in_equilibrium(name, grid):
    """Linearly implicit steps keep the energy; f and n end at one temperature."""
    operator, bin_weights = ElectronPhonon(grid, COUPLING, name), bcs_weights(grid, 1.0)
    f, n = thermal_state(grid, 0.8, cells=1)
    n = 0.5 * n
    active = np.concatenate([bin_weights.active[0], np.ones(grid.n_phonon, dtype=bool)])
    energies = np.concatenate(
        [bin_weights.dos_weights[0] * grid.energies, operator.phonon_modes * grid.phonon_energies]
    )
    before = energies @ np.concatenate([f[0], n[0]])
    step = 1e-3
    for _ in range(60):
        rates = np.concatenate(operator.at(bin_weights, f, n).rates, axis=1)[0]
        here = np.tile(f, (energies.size, 1)), np.tile(n, (energies.size, 1))
        columns = np.split(np.eye(energies.size), [grid.n], axis=1)
        jacobian = np.concatenate(operator.at(bin_weights, *here).jvp(*columns), axis=1).T
        change = np.linalg.solve(np.eye(energies.size) / step - jacobian, rates)
        f, n = f + change[None, : grid.n], n + change[None, grid.n :]
        step *= 1.5
    assert energies @ np.concatenate([f[0], n[0]]) == pytest.approx(before, rel=1e-11)
    temperature = np.concatenate(
        [grid.energies / np.log(1.0 / f[0] - 1.0), grid.phonon_energies / np.log1p(1.0 / n[0])]
    )
    np.testing.assert_allclose(temperature[active], temperature[-1], rtol=1e-8)


def test_graded_grid_keeps_energies_in_range():
    assert GRADED.n < 90
    assert GRADED.phonon_energies[-1] == pytest.approx(15.0)
    assert np.diff(GRADED.edges).min() == pytest.approx(0.02, rel=0.1)
