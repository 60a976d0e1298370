"""cases/nagaev1995: two steps and hot electrons in a normal wire biased at its ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import constants
from scipy.integrate import solve_bvp
from scipy.special import zeta

import fvqp
from fvqp.collisions import InelasticCollisions, PhononBath
from fvqp.energy import EnergyAxis
from fvqp.materials import load_material
from fvqp.mesh.shapes import shape_mesh
from fvqp.models.usadel.device import Device, Reservoir
from fvqp.models.usadel.kinetics import L, T
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem

CASES = Path(__file__).parents[2] / "cases" / "nagaev1995"
BIAS, BATH = 0.53e-3, 0.2
KELVIN = constants.k / constants.e
ALUMINIUM = load_material("Al_ryan2026")


def results(name: str) -> xr.Dataset:
    return fvqp.run(CASES / f"{name}.toml", overrides=["figures=[]"]).dataset


def place(dataset: xr.Dataset) -> np.ndarray:
    return np.asarray(dataset["x"].values / 8e-6)


@pytest.fixture(scope="module")
def hot() -> xr.Dataset:
    return results("hot_electrons")


def test_two_steps() -> None:
    """A mean of both reservoirs, linear in x; γ_ee = 1e-5 has changed it by less than a percent."""
    dataset = results("two_steps")
    energy = dataset["energy"].values
    x = place(dataset)[:, None]
    up, down = (np.tanh((energy + sign * BIAS / 2) / (2 * KELVIN * BATH)) for sign in (1, -1))
    # Bin averages err by (δ/t)²/12 of curvatures; collisions.
    np.testing.assert_allclose(dataset["f_L"].values, np.tile((up + down) / 2, (len(x), 1)), atol=0.02)
    np.testing.assert_allclose(dataset["f_T"].values, (2 * x - 1) * (up - down) / 2, atol=0.02)


def test_hot_electrons(hot: xr.Dataset) -> None:
    """Temperature and potential of every place, and f is thermal with them."""
    x, energy = place(hot), hot["energy"].values
    width = energy[1] - energy[0]
    potential = -hot["f_T"].values.sum(axis=1) * width
    np.testing.assert_allclose(np.abs(potential), BIAS * np.abs(x - 0.5), atol=1e-9 * BIAS)
    # f_L holds bin averages: what the middles of bins miss of ∫ε(1 − f_L)dε is δ²/12.
    content = (energy * (1 - hot["f_L"].values)).sum(axis=1) * width - width**2 / 12
    squared = (content - potential**2 / 2) * 6 / np.pi**2 / KELVIN**2
    expected = BATH**2 + 3 / np.pi**2 * x * (1 - x) * (BIAS / KELVIN) ** 2
    np.testing.assert_allclose(squared, expected, rtol=1e-6)
    t = np.sqrt(expected)[:, None] * KELVIN
    up, down = (np.tanh((energy + sign * potential[:, None]) / (2 * t)) for sign in (-1, 1))
    # Bin averages at the ends, (δ/t)²/12 of the curvature, and some 1e-3 that collisions have not finished.
    np.testing.assert_allclose(hot["f_L"].values, (up + down) / 2, atol=6e-3)
    np.testing.assert_allclose(hot["f_T"].values, (up - down) / 2, atol=6e-3)


def test_ohm(hot: xr.Dataset) -> None:
    resistance = 158.18e-9 * 8e-6 / (150e-9 * 8e-9)
    np.testing.assert_allclose(np.abs(hot["I_reservoir"].values), BIAS / resistance, rtol=1e-6)


@pytest.mark.parametrize("strength", [1e-3, pytest.param(1e-1, marks=pytest.mark.slow)])
def test_two_temperatures(strength: float) -> None:
    """Hot electrons that phonons cool: (π²/6)(t²)″ = 24 ζ(5) γ_ep κ³ (t⁵ − t_ph⁵)/ξ² − (eV/L)², by scipy."""
    length, bias, bath = 8e-6, 2.0, 0.5
    kappa = 1.764
    mesh = shape_mesh("grid1d", nx=40, Lx=length)
    unit = ALUMINIUM.gap / constants.e
    ends = [
        Reservoir(name, (name,), bath, voltage=sign * bias / 2 * unit)
        for name, sign in (("left", -1), ("right", 1))
    ]
    device = Device(mesh, ALUMINIUM, [], ends, width=150e-9, thickness=8e-9)
    phonons = PhononBath(strength, kappa, device.bath)
    grid = EnergyAxis.uniform(0.1, 6.0)
    problem = UsadelProblem(
        device,
        grid,
        1e-3,
        GapModel("fixed", value=0.0),
        collisions=InelasticCollisions(300.0, phonons=phonons, charge=True),
    )
    solution = solve_point(problem, Point())
    ledger = problem.ledger(solution)
    assert abs(ledger.residual[1]) < 1e-6 * ledger.injected[1]
    potential = solution.kinetic.deviation(T) @ grid.widths
    content = -solution.kinetic.deviation(L) @ (grid.widths * grid.energies)
    squared = device.bath**2 + (content - potential**2 / 2) * 6 / np.pi**2
    x = mesh.centroid[:, 0] / length
    ratio = (length / ALUMINIUM.coherence_length) ** 2

    def slope(_: np.ndarray, y: np.ndarray) -> np.ndarray:
        cooling = 24 * zeta(5) * strength * kappa**3 * ratio * (y[0] ** 2.5 - device.bath**5)
        return np.array([y[1], 6 / np.pi**2 * (cooling - bias**2)])

    def at_ends(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.array([left[0] - device.bath**2, right[0] - device.bath**2])

    start = np.stack([np.full(201, device.bath**2), np.zeros(201)])
    expected = solve_bvp(slope, at_ends, np.linspace(0.0, 1.0, 201), start, tol=1e-7, max_nodes=20000)
    assert expected.success
    # Second differences of 80 cells, bins of 0.1 Δ0 in ω⁴ of the phonons.
    np.testing.assert_allclose(squared, expected.sol(x)[0], rtol=1e-3)
