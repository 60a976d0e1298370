"""Spatially coupled spectra: bulk, a normal wire on a superconductor, barriers, gap, balances."""

from __future__ import annotations

import numpy as np
import pytest
from proximity_devices import METAL, UNIT, XI, angles, bulk_angle, line, normal_wire_angle, slab
from scipy.integrate import quad
from scipy.optimize import brentq

from fvqp.energy import EnergyAxis, equilibrium
from fvqp.errors import CaseError
from fvqp.gap import coupling
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import Supercurrent
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.spectral import BinnedSpectrum, bin_averages

BROADENING = 0.01
GRID = EnergyAxis.graded(4.0, gap_edges=[1.0], first=BROADENING / 4, number=80)
MILLIVOLT = 1e-3


def problem(
    device: Device, spectra: str = "diffusive", grid: EnergyAxis = GRID, **more: object
) -> UsadelProblem:
    return UsadelProblem(device, grid, BROADENING, spectra=spectra, **more)  # type: ignore[arg-type]


def assert_equal_spectra(found: BinnedSpectrum, expected: BinnedSpectrum, relative: float) -> None:
    for name, values in vars(found).items():
        np.testing.assert_allclose(
            values, np.broadcast_to(getattr(expected, name), values.shape), rtol=relative, err_msg=name
        )


@pytest.mark.parametrize("depairing", [0.0, 0.1])
def test_bulk_is_local(depairing: float) -> None:
    """A uniform wire has the local spectra, to the 1e-8 that few nodes a bin leave."""
    both = [problem(line(20.0, 12), spectra, depairing=depairing) for spectra in ("diffusive", "local")]
    states = [each.at_rest(0.0)[0] for each in both]
    np.testing.assert_allclose(states[0].gap, states[1].gap, rtol=1e-12)
    found, expected = (each.kinetics.spectrum(state) for each, state in zip(both, states, strict=True))
    assert_equal_spectra(found, expected, 1e-8)


def test_bulk_angle_to_rounding() -> None:
    z = np.array([0.0, 0.5, 0.999, 1.0, 1.5, 20.0]) + 1e-4j
    found = angles(line(5.0, 10), z)
    expected = np.array([bulk_angle(each) for each in z])
    assert np.abs(np.cos(found) - np.cos(expected)).max() < 1e-12 * np.abs(np.cos(expected)).max()


@pytest.mark.parametrize(
    "energy", [1.0, *(pytest.param(energy, marks=pytest.mark.slow) for energy in (0.02, 0.3))]
)
def test_normal_wire(energy: float) -> None:
    """Against scipy's collocation: second order, and 1e-6 when the error of that order is taken out."""
    z, length, n = energy + 0.01j, 4.0, 150
    coarse, fine = (
        angles(line(length, k, walls=True, left=1.0, normal=(0.0, length)), [z])[:, 0] for k in (n, 3 * n)
    )
    at = (np.arange(3 * n) + 0.5) * length / (3 * n)
    exact = normal_wire_angle(z, length, at, fine)
    middle = slice(1, None, 3)  # cells of the fine mesh whose centres are those of the coarse one
    errors = np.abs(coarse - exact[middle]).max(), np.abs(fine - exact)[middle].max()
    assert 1.9 < np.log(errors[0] / errors[1]) / np.log(3.0) < 2.1
    assert np.abs((9.0 * fine[middle] - coarse) / 8.0 - exact[middle]).max() < 1e-6


@pytest.mark.slow
def test_skewed_cells_are_second_order() -> None:
    z, side = 0.3 + 0.02j, 3.0
    errors = []
    for n in (10, 20):
        device = slab(n, side)
        found = angles(device, [z])[:, 0]
        x = device.mesh.centroid[:, 0] / XI
        order = np.argsort(x)
        places, which = np.unique(x[order].round(9), return_index=True)
        exact = normal_wire_angle(z, side, places, found[order][which])
        difference = found - np.interp(x, places, exact.real) - 1j * np.interp(x, places, exact.imag)
        errors.append(float(np.sqrt(np.mean(np.abs(difference) ** 2))))
    assert errors[0] / errors[1] > 3.4
    assert errors[1] < 2e-3


@pytest.mark.slow
@pytest.mark.parametrize("method", ["mumps", "gamg"])
def test_large_meshes_have_the_same_angles(method: str) -> None:
    """Methods of PETSc, on oblique cells, beside the batched elimination."""
    z = np.array([0.02, 0.3, 1.2]) + 1e-3j
    found, expected = (angles(slab(10, 3.0), z, method=each) for each in (method, "direct"))
    assert np.abs(found - expected).max() < 1e-9


def test_normalization_and_branch() -> None:
    """G² + F² = 1 to rounding, Re G ≥ 0, and no state is lost: ∫(N − 1) dε = 0, cell by cell."""
    device = line(10.0, 40, normal=(5.0, 10.0), walls=True)
    theta = angles(device, np.linspace(0.0, 2.0, 60) + 1e-4j)
    square = np.cos(theta) ** 2 + np.sin(theta) ** 2
    assert np.abs(square - 1.0).max() < 1e-14 * np.abs(np.cos(theta)).max() ** 2
    assert np.cos(theta).real.min() > 0.0
    grid = EnergyAxis.graded(200.0, gap_edges=[1.0], first=BROADENING / 4, number=150, largest=5.0)
    state, _ = problem(device, grid=grid, gap=GapModel("fixed", value=1.0)).at_rest(0.0)
    dos = problem(device, grid=grid, gap=GapModel("fixed", value=1.0)).kinetics.spectrum(state).dos
    # Beyond the axis a bulk superconductor has N − 1 = Δ²/2ε², and broadening moves Γ·0 across zero.
    assert np.abs((dos - 1.0) @ grid.widths + 0.5 / 200.0 * (np.arange(40) < 20)).max() < 5e-3


def test_barrier_between_the_limits() -> None:
    """An interface that conducts well is none; one that hardly conducts separates the metals."""
    z = np.array([0.2, 0.9]) + 0.02j
    shape = {"length": 8.0, "n": 40, "normal": (5.0, 8.0), "walls": True}
    none = angles(line(**shape), z)  # type: ignore[arg-type]
    good, bad = (angles(line(**shape, barrier=g), z) for g in (1e7, 1e-7))  # type: ignore[arg-type]
    assert np.abs(good - none).max() < 1e-5
    assert np.abs(bad[25:]).max() < 1e-5
    assert np.abs(bad[:25] - np.array([bulk_angle(each) for each in z])).max() < 1e-5


def test_normal_lead_breaks_pairs() -> None:
    """A tunnel junction all along a wire is a broadening ½ G/(capacity): escape to its lead."""
    length, g = 10.0, 0.2
    device = line(length, 10)
    junction = Junction("A", "left_half", g * UNIT, "injector", 0.05)
    mesh = device.mesh
    mesh.regions["left_half"] = np.arange(mesh.n_cells)
    covered = Device(
        mesh,
        METAL,
        [junction],
        [Reservoir("r", ("left", "right"), 0.05)],
        width=device.width,
        thickness=device.thickness,
    )
    z = 0.5 + 0.01j
    theta = angles(covered, [z])[5, 0]
    # In the middle, ten ξ from either end in a wire of infinite length.
    assert abs(theta - bulk_angle(z + 0.5j * g / length)) < 2e-3


@pytest.mark.parametrize("spectra", [pytest.param("local", marks=pytest.mark.slow), "diffusive"])
def test_balances(spectra: str) -> None:
    """What junctions inject, reservoirs take, with spectra of a normal part and a gap in every cell."""
    junction = Junction("A", "tip", 1e-3 * UNIT, "injector", 0.05)
    device = line(12.0, 9, normal=(8.0, 12.0), right=1.0, junctions=(junction,), points={"tip": 4.0})
    grid = EnergyAxis.graded(3.0, gap_edges=[1.0], first=BROADENING / 4, number=48)
    solved = problem(device, spectra, grid, gap=GapModel("local"))
    rest = solve_point(solved, Point())
    for component in (0, 1):
        assert np.all(rest.kinetic.deviation(component) == 0.0)
    solution = solve_point(solved, Point(0.5 * MILLIVOLT), rest)
    ledger = solved.ledger(solution)
    assert np.all(ledger.injected > 0.0)
    assert np.all(np.abs(ledger.residual) < 1e-10 * np.abs(ledger.injected))


@pytest.mark.slow
def test_gap_next_to_a_normal_reservoir() -> None:
    """Pairs leak out within a few ξ: the gap vanishes at the contact, and is that of the bulk far away."""
    gaps = [problem(line(16.0, n, left=0.0)).at_rest(0.0)[0].gap for n in (32, 96)]
    bulk = float(problem(line(16.0, 8), "local").at_rest(0.0)[0].gap[0])
    assert abs(gaps[0][-1] / bulk - 1.0) < 1e-5
    assert np.all(np.diff(gaps[1][:60]) > 0.0)
    assert gaps[1][0] < 0.08 and 0.4 < np.interp(1.0, (np.arange(96) + 0.5) / 6.0, gaps[1]) < 0.7
    assert np.abs(gaps[0] - gaps[1][1::3]).max() < 0.02


def decay(gap: float) -> float:
    """κ of a small ``δΔ ∝ exp(−κx/ξ)`` at T = 0 beside a bulk gap, of the Usadel equation linearized.

    For imaginary energies ``(κ² − 2E) δθ + 2 cos θ δΔ = 0`` with ``E² = (ω + Γ)² + Δ²``, and the gap equation
    is ``∫dω (cos θ δθ/δΔ − 1/E) = 0``.
    """

    def excess(square: float) -> float:
        def integrand(omega: float) -> float:
            omega += BROADENING
            energy = np.hypot(omega, gap)
            return float(2.0 * omega**2 / (energy**2 * (2.0 * energy - square)) - 1.0 / energy)

        return float(quad(integrand, 0.0, 50.0, limit=200)[0] + quad(integrand, 50.0, np.inf)[0])

    return float(np.sqrt(brentq(excess, 0.1, 1.9 * gap)))


@pytest.mark.slow
def test_reservoir_of_a_larger_gap() -> None:
    """The gap rises towards it all along the wire, within the proximity length ξ/κ."""
    device = line(16.0, 128, left=1.5)
    each = problem(device)
    gap = each.at_rest(0.0)[0].gap
    bulk = float(problem(line(16.0, 8), "local").at_rest(0.0)[0].gap[0])
    assert np.all(np.diff(gap[:100]) < 0.0) and 1.05 < gap[0] < 1.5 and abs(gap[-1] / bulk - 1.0) < 1e-5
    x = device.mesh.centroid[:, 0] / XI
    # Farther on the slowest decay is left; cells of ξ/8 change it by some (κ/8)²/24.
    far = (x > 6.0) & (x < 10.0)
    slope = -np.polyfit(x[far], np.log(gap[far] - gap[-1]), 1)[0]
    assert slope == pytest.approx(decay(float(gap[-1])), rel=0.01)
    # With local spectra no cell knows of its neighbours.
    assert np.ptp(problem(device, "local").at_rest(0.0)[0].gap) == 0.0


@pytest.mark.slow
def test_a_larger_gap_beside_an_injector() -> None:
    """Under bias too the gap rises from the injector to the reservoir, above that of the bulk."""
    each = problem(injected(1e-3, left=1.5), gap=GapModel("local"))
    solution = solve_point(each, Point(0.6 * MILLIVOLT), solve_point(each, Point()))
    gap = solution.spectral.gap
    assert np.all(np.diff(gap[:10]) < 0.0) and gap[0] > 1.1 and gap[9] < gap[-1] - 1e-3
    ledger = each.ledger(solution)
    assert np.all(np.abs(ledger.residual) < 1e-10 * np.abs(ledger.injected))


def test_supercurrent_in_a_uniform_wire() -> None:
    """The phase gradient depairs, and the current is that of the local model, of which bins leave 1e-6."""
    fine = EnergyAxis.graded(4.0, gap_edges=[1.0, 0.95], first=BROADENING / 8, number=400)
    drive = Supercurrent("left", "right", "phase_gradient", (0.2,))
    both = [problem(line(10.0, 10), spectra, fine, supercurrent=drive) for spectra in ("diffusive", "local")]
    (found, phase), (expected, local) = (each.at_rest(0.2) for each in both)
    np.testing.assert_allclose(found.gap, expected.gap, rtol=1e-9)
    assert phase is not None and local is not None
    assert abs(phase.current / local.current - 1.0) < 1e-6


def injected(conductance: float, **more: object) -> Device:
    """A wire with an injector of this conductance in `UNIT` in its middle."""
    junction = Junction("A", "middle", conductance * UNIT, "injector", 0.05)
    return line(20.0, 20, junctions=(junction,), points={"middle": 10.0}, **more)  # type: ignore[arg-type]


def test_one_gap_for_a_uniform_wire() -> None:
    """What little a weak injector takes from one gap for all is what it takes with local spectra."""
    changes = []
    for spectra in ("local", "diffusive"):
        each = problem(injected(1e-5), spectra, gap=GapModel("uniform", at="A"))
        rest = solve_point(each, Point())
        driven = solve_point(each, Point(0.6 * MILLIVOLT), rest)
        changes.append(float(driven.spectral.gap[0] - rest.spectral.gap[0]))
    assert changes[0] < -2e-4
    # The reservoirs, whose gap stays, and the normal lead enter by the square.
    assert changes[1] / changes[0] == pytest.approx(1.0, abs=3e-3)


@pytest.mark.slow
def test_one_gap_beside_a_normal_metal() -> None:
    """The gap equation under the junction on the real axis, of which bins leave 2e-6."""
    grid = EnergyAxis.graded(10.0, gap_edges=[0.9, 0.95, 1.0], first=BROADENING / 8, number=700)
    device, model = injected(1e-3, normal=(14.0, 20.0)), GapModel("uniform", at="A")
    each = problem(device, grid=grid, gap=model)
    state, _ = each.at_rest(0.0)
    gap = float(state.gap[0])
    np.testing.assert_allclose(state.gap, np.where(each.device.per_cell("gap") > 0.0, gap, 0.0))
    pairing = each.average_under(0, each.kinetics.spectrum(state).pairing)
    integral = (pairing * equilibrium(grid.edges, each.device.bath)) @ grid.widths
    assert coupling(10.0) * integral == pytest.approx(gap, rel=2e-6)
    assert gap < 0.99 < float(problem(injected(1e-3), "local").at_rest(0.0)[0].gap[0]) + 1e-5
    # Under bias: what is left of the residual, and all that enters leaves.
    each = problem(device, gap=model)
    solution = solve_point(each, Point(0.6 * MILLIVOLT))
    moved = each.gap_field.uniform_residual(
        float(solution.spectral.gap[0]),
        solution.spectral.depairing,
        solution.kinetic.deviation(L),
        solution.kinetic.external[L],
    )
    assert abs(moved) < 1e-10
    balance = each.ledger(solution)
    assert np.all(np.abs(balance.residual) <= 1e-12 * balance.scale)


def test_bad_input() -> None:
    with pytest.raises(CaseError, match="superconductors only"):
        problem(
            line(10.0, 10, normal=(5.0, 10.0)),
            supercurrent=Supercurrent("left", "right", "phase_gradient", (0.1,)),
        )
    mixed = line(10.0, 10, normal=(5.0, 10.0))
    together = Device(
        mixed.mesh,
        METAL,
        [],
        [Reservoir("ends", ("left", "right"), 0.05)],
        width=mixed.width,
        thickness=mixed.thickness,
        regions=mixed.regions,
    )
    with pytest.raises(CaseError, match="metals of different gaps"):
        problem(together)


def test_local_averages_where_the_gap_varies_slowly() -> None:
    """Nodes that cells share average spectra of other gaps than theirs to a part of what bins resolve."""
    device = line(5.0, 5)
    gaps = np.linspace(0.97, 1.0, 5)
    proximity = problem(device).proximity
    assert proximity is not None
    shared = proximity.spectrum(gaps, np.zeros(5))
    weights = GRID.widths
    exact = bin_averages(GRID.edges, gaps, 0.0, BROADENING)
    # The states of a cell are the same in number, whatever its neighbours do to them.
    assert np.abs((shared.dos - exact.dos) @ weights).max() < 5e-3
