"""Electron-electron collisions that are fast: one temperature a cell, and a balance of energy that closes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq
from wire_devices import ALUMINIUM, CONDUCTANCE, THICKNESS, WIDTH, line_mesh, wire

from fvqp.collisions import InelasticCollisions, PhononBath
from fvqp.energy import EnergyAxis
from fvqp.models.usadel.inelastic import InelasticSystem
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.spectral import bin_averages

GRID = EnergyAxis(np.linspace(0.0, 8.0, 161))
BROADENING = 0.02


def problem(strength: float, gap: GapModel, charge: bool = False) -> UsadelProblem:
    """Wire with an injector in its middle."""
    device = wire(line_mesh(14, 9), "point_B")
    collisions = InelasticCollisions(strength, charge=charge)
    return UsadelProblem(device, GRID, BROADENING, gap, collisions=collisions)


@pytest.mark.parametrize("charge", [False, True])
@pytest.mark.parametrize("strength", [1e-4, 1.0, pytest.param(1e3, marks=pytest.mark.slow)])
def test_energy_balances_whatever_the_strength(strength: float, charge: bool) -> None:
    """What is missing in a cell is counted over what diffuses there, not over the collisions it has."""
    driven = problem(strength, GapModel("fixed", value=1.0), charge)
    ledger = driven.ledger(solve_point(driven, Point(1.5 * driven.device.voltage_unit)))
    # Means of all cells' energy to 1e-13 of the largest conductance, which exceeds the junction's by 1e3.
    assert abs(ledger.residual[1]) < 1e-9 * ledger.injected[1]
    assert abs(ledger.residual[2]) < 1e-9 * ledger.scale[2]
    assert abs(ledger.relaxed[1]) < 1e-13 * ledger.injected[1]


def thermal(at: float) -> np.ndarray:
    return np.tanh(GRID.energies / (2.0 * at))


def hot(driven: UsadelProblem, external: np.ndarray) -> tuple[float, float]:
    """Temperature and gap under the injector, Δ0, with collisions of infinite rate.

    In a wire of one gap the heat ``∫ε D_L tanh(ε/2t)dε`` is linear between junction and reservoirs; what
    flows to both is what tunnels.
    """
    mesh, bath = driven.device.mesh, driven.device.bath
    # The junction feeds the cells on either side of its point, through half of either.
    half = abs(mesh.centroid[mesh.face_cells[mesh.require_boundary("point_B"), 0], 0].item())
    both = 2.0 * ALUMINIUM.conductivity * WIDTH * THICKNESS
    moment = GRID.energies * GRID.widths

    def gap(t: float) -> float:
        f_l = np.tile(thermal(t) - thermal(bath), (mesh.n_cells, 1))
        field, leads = driven.gap_field, external[L]
        return brentq(lambda d: field.uniform_residual(d, np.zeros(1), f_l, leads), 0.5, 1.2, xtol=1e-13)

    def surplus(t: float) -> float:
        binned = bin_averages(GRID.edges, gap(t), 0.0, BROADENING)
        above = thermal(t) - thermal(bath)
        dos, diffusion = np.ravel(binned.dos), np.ravel(binned.diffusion_L)
        enters = 1.0 / (1.0 / (CONDUCTANCE["A"] * dos) + half / (both * diffusion))
        leaves = both / (5.5e-6 - half) * diffusion
        return float(moment @ (enters * (external[L, 0] - above) - leaves * above))

    t = brentq(surplus, 0.08, 0.45, xtol=1e-13)
    return t, gap(t)


@pytest.mark.slow
def test_fast_collisions_make_a_superconductor_thermal() -> None:
    """``f_L = tanh(ε/2t)`` with t from the balance of energy, and the gap of that temperature.

    Deviations are of first order in 1/γ_ee: that they fall tenfold says that the limit is this one.
    """
    model = GapModel("uniform", at="point_B", rule="arcsinh")
    gaps, distances = [], []
    for strength in (1.0, 10.0, 100.0):
        driven = problem(strength, model)
        point = Point(4.0 * driven.device.voltage_unit)
        solution = None
        for bias in (1.0, 2.0, 3.0, 4.0):
            solution = solve_point(driven, Point(bias * driven.device.voltage_unit), solution)
        t, gap = hot(driven, driven.external(point))
        mesh = driven.device.mesh
        here = mesh.face_cells[mesh.require_boundary("point_B"), 0].item()
        f = thermal(driven.device.bath) + solution.kinetic.deviation(L)[here]
        gaps.append(abs(float(solution.spectral.gap[0]) - gap))
        distances.append(np.abs(f - thermal(t)).max())
    assert distances[1] / distances[2] == pytest.approx(10.0, rel=0.2)
    assert gaps[1] / gaps[2] == pytest.approx(10.0, rel=0.2)
    assert distances[0] < 0.01
    assert gaps[0] < 1e-3 * (1.0 - gap)


@pytest.mark.slow
def test_energy_closes_with_phonons_of_their_own_on_a_long_axis() -> None:
    """Collisions at its end are 1e5 times as fast as at the gap; rounding of theirs is balanced too."""
    grid = EnergyAxis.graded(40.0, gap_edges=[0.93, 0.96, 0.99], first=2.5e-4, number=200, largest=0.8)
    device = wire(line_mesh(8, 9), "point_B")
    phonons = PhononBath(1e-3, 1.764, device.bath, escape_time=10.0, pair_breaking_time=1e-2)
    driven = UsadelProblem(
        device,
        grid,
        1e-3,
        GapModel("fixed", value=0.95),
        collisions=InelasticCollisions(2e-4, phonons=phonons),
    )
    solution = None
    for bias in (1.0, 1.5, 3.0):
        solution = solve_point(driven, Point(bias * device.voltage_unit), solution)
        ledger = driven.ledger(solution)
        assert abs(ledger.residual[1]) < 1e-10 * ledger.scale[1]
        # What is made up for is less than what the residual's tolerance leaves.
        system = InelasticSystem(driven.inelastic, solution.spectral, solution.kinetic.external)
        assert np.abs(system.residual(system.start(solution.kinetic))).max() <= system.tolerance
