"""Steady states under photons of given absorbed power, found from the thermal state."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.collisions import Coupling, ElectronPhonon, PhotonDrive, thermal
from fvqp.collisions.sources import PhononEscape
from fvqp.collisions.threshold import threshold_shares
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.models.boltzmann import BoltzmannProblem, Medium, balanced_state, separate_cells
from fvqp.models.boltzmann.at_power import steady_at_power
from fvqp.models.boltzmann.cell_equations import CellEquations

COUPLING = Coupling(kappa=1.764, pair_breaking_time=5.5e-4)
GRID = EnergyAxis.uniform(0.125, 6.0, start=1.0)
BATH = thermal(GRID, 0.08)


def problem(drive: PhotonDrive, cells: int = 1) -> BoltzmannProblem:
    processes = {"drive": drive, "escape": PhononEscape(GRID, COUPLING, 4e-4, BATH.n)}
    shares = threshold_shares(GRID, 1.0)[0]
    medium = Medium(ElectronPhonon(GRID, COUPLING), processes=processes, phonon_shares=shares)
    return BoltzmannProblem(separate_cells(cells), GRID, medium)


@pytest.mark.parametrize("power", [1e-10, pytest.param(1e-4, marks=pytest.mark.slow)])
def test_state_is_that_of_the_rate_found(power):
    """From the thermal state over six decades of power; the power leaves with phonons."""
    given = problem(PhotonDrive.at_power(GRID, 0.25, power))
    found, rate = steady_at_power(given, "drive", given.state(*BATH))
    f, n = found.state.f[:, 0], found.state.n[:, 0]
    escape, (bin_weights,) = (
        given.media[0].medium.processes["escape"],
        given.at(found.state.gap).local.bin_weights,
    )
    flow = escape.at(bin_weights, f, n).energy_flow()
    turned = CellEquations(given).balances(np.concatenate([f, n], axis=1))["energy"][0][0]
    assert -flow.phonons[0] == pytest.approx(power, rel=1e-6, abs=1e-9 * turned)
    driven = problem(PhotonDrive.classical(GRID, 0.25, rate))
    np.testing.assert_allclose(balanced_state(driven, found.state).state.f, found.state.f, rtol=1e-5)


def test_no_power_is_no_drive():
    given = problem(PhotonDrive.at_power(GRID, 0.25, 0.0))
    found, rate = steady_at_power(given, "drive", given.state(*BATH))
    assert rate == 0.0
    np.testing.assert_allclose(found.state.f[0, 0], BATH.f[0], rtol=1e-6)


def test_bad_input():
    without = problem(PhotonDrive.classical(GRID, 0.25, 1.0))
    with pytest.raises(CaseError, match="drive: need one cell"):
        steady_at_power(without, "drive", without.state(*BATH))
    two = problem(PhotonDrive.at_power(GRID, 0.25, 1e-7), cells=2)
    with pytest.raises(CaseError, match="drive: need one cell"):
        steady_at_power(two, "drive", two.state(*BATH))
