"""The wire of Ryan, Beckmann and Chandrasekhar (2026): Fig. 10 against Eq. 21, on line, film and solid."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from run_cases import line
from wire_devices import (
    ALUMINIUM,
    CONDUCTANCE,
    TEMPERATURE,
    THICKNESS,
    UM,
    WIDTH,
    close,
    file_mesh,
    generated_mesh,
    graded,
    line_mesh,
    wire,
)

from fvqp.energy import EnergyAxis
from fvqp.energy import thermal as distributions
from fvqp.mesh import Mesh
from fvqp.models.usadel.device import Device
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import Point, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.spectral import usadel
from fvqp.variation import refine

#: Dynes broadening of the fit to Fig. 10.
GAMMA = 1.53e-3
#: So weak that the detector does not load the wire: what the formulas assume.
WEAK = {**CONDUCTANCE, "B": 31.4e-12}
XI = ALUMINIUM.coherence_length
DISTANCE = 0.3 * UM
#: Biases from just below the gap to 1 mV.
VOLTS = np.linspace(0.28e-3, 1e-3, 13)


def test_relaxation_length_at_the_end_of_the_curves() -> None:
    """``λ_T/ξ = √(ε √(ε² − Δ²)/2Γ)/Δ`` above the gap, for small Γ: 39 at 0.6 mV and 67 at 1 mV."""
    energy = np.array([0.6e-3, 1e-3]) / 265e-6
    spectrum = usadel.solve(energy, 1.0, 0.0, GAMMA)
    length = np.sqrt(spectrum.diffusion_T / spectrum.relaxation_T).ravel()
    close(length, np.sqrt(energy * np.sqrt(energy**2 - 1.0) / (2.0 * GAMMA)), 1e-3)
    close(length, [38.8, 66.9], 3e-3)


def nonlocal_conductance(problem: UsadelProblem, volts: np.ndarray = VOLTS) -> np.ndarray:
    """g_nl = dI_det/dV_inj at V_det = 0, siemens."""
    return np.array([-conductances(problem, solve_point(problem, Point(v)))[1] for v in volts])


def exact(
    problem: UsadelProblem, lengths: tuple[float, float] | None, volts: np.ndarray = VOLTS
) -> np.ndarray:
    """g_nl/G_det of a point injector and a weak point detector on a line, thermally smeared.

    At each energy f_T decays over ``λ_T = √(D_T/R_T)`` from ``κN/(κN + D_T (c₁ + c₂)/λ_T)`` at the injector,
    where c = 1 for an infinite arm (Eq. 21, κ there counts one of two branches) and ``coth(L/λ_T)`` for one
    that ends in a reservoir at ``lengths`` (towards the side without and with detector).
    """
    device = problem.device
    gap = float(problem.at_rest(0.0)[0].gap[0])
    fine = EnergyAxis.graded(4.0, gap_edges=[gap], first=problem.broadening / 50, number=20000)
    spectrum = usadel.solve(fine.energies, gap, 0.0, problem.broadening)
    kappa = CONDUCTANCE["A"] * ALUMINIUM.resistivity * XI / (WIDTH * THICKNESS)
    decay = np.sqrt(spectrum.diffusion_T / spectrum.relaxation_T)
    x = DISTANCE / XI
    if lengths is None:
        arms, reaching = 2.0, np.exp(-x / decay)
    else:
        first, second = (length / XI for length in lengths)
        arms = 1.0 / np.tanh(first / decay) + 1.0 / np.tanh(second / decay)
        reaching = np.exp(-x / decay) * np.expm1(-2 * (second - x) / decay) / np.expm1(-2 * second / decay)
    at_injector = kappa * spectrum.dos / (kappa * spectrum.dos + spectrum.diffusion_T / decay * arms)
    spectral = at_injector * reaching * spectrum.dos * fine.widths
    unit, t = device.voltage_unit, TEMPERATURE["A"] / device.thermal_unit
    return np.array([spectral @ distributions.lead_derivative(fine.edges, v / unit, t)[1] for v in volts])


def point_wire(broadening: float, energies: int, mesh: Mesh) -> UsadelProblem:
    device = wire(mesh, "point_A", "point_B", conductance=WEAK)
    return UsadelProblem(device, graded(broadening, energies), broadening)


@pytest.mark.parametrize(("broadening", "lengths"), [(0.03, None), (GAMMA, (5.2 * UM, 5.8 * UM))])
def test_line_agrees_with_equation_21(broadening: float, lengths: tuple[float, float] | None) -> None:
    """To 0.1 %: Eq. 21 where λ_T is short against the wire; with Fig. 10's Γ the form for arms that end.

    There λ_T reaches ξ/√Γ ≈ 26 ξ at high energies, a third of an arm, and Eq. 21 itself is a few percent off.
    """
    problem = point_wire(broadening, 600, line_mesh(200, 241))
    close(nonlocal_conductance(problem) / WEAK["B"], exact(problem, lengths), 1e-3)


def test_longer_wire_approaches_equation_21() -> None:
    """The finite wire's formula and Eq. 21 become the same, so the test above is one of Eq. 21."""
    problem = point_wire(GAMMA, 100, line_mesh(20, 21))
    infinite = exact(problem, None)
    short, long = (np.abs(exact(problem, (k * 5.5 * UM,) * 2) / infinite - 1.0).max() for k in (1, 8))
    assert short > 1e-3 > 1e-5 > long


def test_orders_in_space_and_energy() -> None:
    """The error of g_nl falls with the square of the cell size; 200 energies suffice for 0.1 %."""
    volts = np.array([0.3e-3, 0.5e-3, 0.9e-3])

    def worst(energies: int, coarse: int, fine: int) -> float:
        problem = point_wire(0.01, energies, line_mesh(coarse, fine))
        expected = exact(problem, (5.2 * UM, 5.8 * UM), volts)
        return float(np.abs(nonlocal_conductance(problem, volts) / WEAK["B"] / expected - 1.0).max())

    coarse, fine = worst(800, 25, 41), worst(800, 50, 81)
    assert np.log2(coarse / fine) > 1.9
    assert worst(200, 200, 241) < 1e-3


@pytest.mark.slow
def test_errors_of_refinement_bound_the_true_ones(tmp_path: Path) -> None:
    """Every error that is claimed, of a knob and of the cheapest setting, is at least the distance from the
    exact solution for a wire that ends."""
    case = line(
        mesh={
            "shape": {
                "kind": "grid1d",
                "nx": 110,
                "Lx": "11 um",
                "boundaries": {"point_A": "5.2 um", "point_B": "5.5 um"},
            }
        },
        spectrum={"broadening": 0.01},
        reservoirs=[{"on": ["left", "right"], "temperature": "10 mK"}],
        energies={"number": 150},
        sweep={"V_inj": ["0.5 mV"]},
        output={"fields": []},
    )
    case["junctions"][1]["conductance"] = "31.4 pS"
    found = refine(case, "g_nl", "0.5%", tmp_path / "out")
    problem = point_wire(0.01, 100, line_mesh(20, 21))
    expected = WEAK["B"] * exact(problem, (5.2 * UM, 5.8 * UM), np.array([0.5e-3]))[0]
    assert found.met and found.error <= 0.005 * found.size
    assert abs(found.value - expected) <= found.error
    mesh, energies = found.knobs
    assert (mesh.knob.name, energies.knob.name) == ("mesh", "energies") and len(mesh.levels) >= 3
    of_case = {one.knob.name: next(n.error for n in one.levels if n.level == 0) for one in found.knobs}
    for knob, other in ((mesh, "energies"), (energies, "mesh")):
        for level in knob.levels:
            assert abs(level.value - expected) <= level.error + of_case[other]
    assert mesh.order == pytest.approx(2.0, abs=0.2)


def region_wire(mesh: Mesh, energies: int = 120) -> UsadelProblem:
    device: Device = wire(
        mesh, "junction_A", "junction_B", ends=("reservoir_left", "reservoir_right"), conductance=WEAK
    )
    return UsadelProblem(device, graded(0.01, energies), 0.01)


@pytest.mark.slow
def test_film_and_solid_agree_with_the_line(tmp_path: Path) -> None:
    """Junctions on regions everywhere; to 0.1 %, discretization errors (by refinement) below 0.3 %."""
    volts = np.array([0.3e-3, 0.6e-3])
    line = nonlocal_conductance(region_wire(file_mesh("line")), volts)
    # Film and solid have pads beyond the ends of the line; at this Γ the charge has relaxed before.
    for name in ("film", "film_quads", "wire_3d"):
        here = nonlocal_conductance(region_wire(file_mesh(name)), volts)
        coarse = nonlocal_conductance(region_wire(generated_mesh(name, 2.0, tmp_path)), volts)
        close(coarse, here, 3e-3)
        close(here, line, 1e-3)


def test_detectors_share_what_the_wire_carries() -> None:
    """A strong detector draws current from the wire and lowers its own signal per conductance."""
    mesh = line_mesh(60, 41)
    weak = UsadelProblem(wire(mesh, "point_A", "point_B", conductance=WEAK), graded(0.01, 100), 0.01)
    strong = replace(weak, device=wire(mesh, "point_A", "point_B"), transport=None)
    ratio = nonlocal_conductance(strong) / CONDUCTANCE["B"] / (nonlocal_conductance(weak) / WEAK["B"])
    assert np.all(ratio < 1.0) and np.all(ratio > 0.99)
