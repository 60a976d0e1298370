"""The supercurrent: depairing, conservation, both ways to drive it, and its coupling to charge."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from wire_devices import ALUMINIUM, THICKNESS, UM, WIDTH, close, generated_mesh, graded, line_mesh, wire

from fvqp.errors import CaseError, ConvergenceError
from fvqp.mesh import Mesh, shape_mesh
from fvqp.models.usadel.device import Device, Reservoir
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import PhaseField, Supercurrent
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.transport.terminals import Interface

GAMMA = 1e-3
#: Δ0/(e R_ξ).
UNIT = (
    ALUMINIUM.gap / 1.602176634e-19 * WIDTH * THICKNESS / (ALUMINIUM.resistivity * ALUMINIUM.coherence_length)
)
#: Largest supercurrent of a dirty wire at T = 0, in that unit (Kupriyanov and Lukichev (1980)).
DEPAIRING_CURRENT = 0.7457


def driven(device: Device, kind: str, *values: float, **more: object) -> UsadelProblem:
    source, drain = more.pop("between", ("left", "right"))  # type: ignore[misc]
    drive = Supercurrent(source, drain, kind, values)  # type: ignore[arg-type]
    number = int(more.pop("energies", 60))  # type: ignore[call-overload]
    broadening = float(more.pop("broadening", GAMMA))  # type: ignore[arg-type]
    return UsadelProblem(device, graded(broadening, number), broadening, supercurrent=drive, **more)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def cold() -> Device:
    return wire(line_mesh(20, 21), "point_A", "point_B", bath=0.01)


@pytest.mark.slow
def test_depairing_current_is_reached_and_not_exceeded(cold: Device) -> None:
    below, above = 0.998 * DEPAIRING_CURRENT * UNIT, 1.005 * DEPAIRING_CURRENT * UNIT
    problem = driven(
        cold, "current", below, above, broadening=1e-5, energies=400, gap=GapModel(debye_energy=1e3)
    )
    state, phase = problem.at_rest(below)
    assert phase is not None
    close(phase.current, below, 1e-9)
    # Abrikosov-Gor'kov at T = 0: ln Δ = −πζ/(4Δ), for the pair breaking that the gradient causes.
    gap, zeta = float(state.gap[0]), float(state.depairing[0])
    close(np.log(gap), -np.pi * zeta / (4 * gap), 1e-3)
    close(zeta, 0.5 * phase.gradient**2, 1e-9)
    for value in (above, 1.2 * above, 5 * above, 100 * above):
        with pytest.raises(ConvergenceError, match="depairing current|no superconducting path"):
            problem.at_rest(value)


def test_both_kinds_agree(cold: Device) -> None:
    by_gradient = driven(cold, "phase_gradient", 0.3)
    _, phase = by_gradient.at_rest(0.3)
    assert phase is not None
    close(phase.gradient, 0.3, 1e-12)
    by_current = driven(cold, "current", phase.current)
    state, other = by_current.at_rest(phase.current)
    assert other is not None
    close(other.gradient, 0.3, 1e-6)
    close(state.gap, by_gradient.at_rest(0.3)[0].gap, 1e-7)
    close(conductances(by_gradient, solve_point(by_gradient, Point(3e-4, 0, 0.3))),
          conductances(by_current, solve_point(by_current, Point(3e-4, 0, phase.current))), 1e-4)  # fmt: skip
    # The other direction: the same state, everything that has a sign turned.
    turned_state, turned = by_gradient.at_rest(-0.3)
    assert turned is not None and turned_state.supercurrent_conductance is not None
    close(turned.current, -phase.current, 1e-15)
    close(turned_state.supercurrent_conductance, -by_gradient.at_rest(0.3)[0].supercurrent_conductance, 1e-15)  # type: ignore[operator]


def through(mesh: Mesh, device: Device, phase: PhaseField, at: float) -> float:
    """Supercurrent through all faces between the cells left and right of ``at``, ampere."""
    c0, c1 = mesh.face_cells.T
    inner = c1 >= 0
    side = mesh.centroid[:, 0] > at
    crossing = inner & (side[c0] != side[np.where(inner, c1, c0)])
    direction = np.where(side[c0], -1.0, 1.0)
    weight = device.transport().faces.weight
    density = phase.superfluid
    at_face = weight * density[c0] + (1 - weight) * density[np.where(inner, c1, c0)]
    return float(
        ((phase.supercurrent_conductance * at_face * direction)[crossing]).sum() * device.voltage_unit
    )


@pytest.mark.parametrize("name", ["film", "wire_3d"])
@pytest.mark.slow
def test_conserved_through_every_cross_section(name: str, tmp_path: Path) -> None:
    """Through pads and wire alike, on triangles and prisms."""
    mesh = generated_mesh(name, 2.5, tmp_path)
    ends = ("reservoir_left", "reservoir_right")
    device = wire(mesh, "junction_A", ends=ends)
    value = 0.3 * UNIT
    problem = driven(device, "current", value, between=ends, energies=48, broadening=5e-3)
    _, phase = problem.at_rest(value)
    assert phase is not None
    close(phase.current, value, 1e-9)
    close([through(mesh, device, phase, x * UM) for x in (-6.3, -5.4, -2.0, 0.1, 3.0, 6.0)], value, 1e-9)
    # In the wire: the gradient that a line has; in the pads, over ten times as wide, hardly any.
    line = driven(wire(line_mesh(20, 21), "point_A"), "current", value, energies=48, broadening=5e-3)
    _, on_line = line.at_rest(value)
    assert on_line is not None
    gradient = np.sqrt(2 * phase.depairing)
    middle = np.abs(mesh.centroid[:, 0]) < 4 * UM
    close(np.average(gradient[middle], weights=mesh.volume[middle]), on_line.gradient, 2e-3)
    pads = np.abs(mesh.centroid[:, 0]) > 6.5 * UM
    assert gradient[pads].mean() < 0.15 * on_line.gradient


@pytest.mark.slow
def test_weak_spot_carries_the_same_current() -> None:
    """Half the conductivity in one part: twice the gradient and more, the same current."""
    mesh = shape_mesh("grid1d", nx=60, Lx=6 * UM, regions={"weak": (2 * UM, 3 * UM)}, comm=MPI.COMM_SELF)
    dirty = replace(ALUMINIUM, name="dirty", resistivity=2 * ALUMINIUM.resistivity)
    device = Device(
        mesh, ALUMINIUM, [], [Reservoir("ends", ("left", "right"), 0.02)],
        width=WIDTH, thickness=THICKNESS, regions={"weak": dirty},
    )  # fmt: skip
    value = 0.15 * UNIT
    state, phase = driven(device, "current", value).at_rest(value)
    assert phase is not None
    close([through(mesh, device, phase, x * UM) for x in (0.55, 2.05, 2.55, 4.05)], value, 1e-9)
    gradient = np.sqrt(2 * phase.depairing)
    assert 2.0 < gradient[25] / gradient[5] < 2.2
    assert state.gap[25] < state.gap[5] < 1.0
    # The mean gradient over a region is what `region` prescribes.
    drive = Supercurrent("left", "right", "phase_gradient", (0.25,), region="weak")
    _, other = UsadelProblem(device, graded(GAMMA, 60), GAMMA, supercurrent=drive).at_rest(0.25)
    assert other is not None
    close(np.sqrt(2 * other.depairing[22:28]), 0.25, 0.02)


def test_coupling_is_an_option_that_matters(cold: Device) -> None:
    on, off = (driven(cold, "current", 8e-6, coupling=c, broadening=5e-3) for c in (True, False))
    up, down = (conductances(on, solve_point(on, Point(2.7e-4, 0.0, s * 8e-6)))[1] for s in (1, -1))
    assert abs(up / down - 1.0) > 1e-3
    same = [conductances(off, solve_point(off, Point(2.7e-4, 0.0, s * 8e-6)))[1] for s in (1, -1)]
    assert same[0] == same[1]
    # Without coupling the supercurrent still breaks pairs.
    close(off.at_rest(8e-6)[0].gap, on.at_rest(8e-6)[0].gap, 1e-9)


def ends_of_their_own(mesh: Mesh) -> Device:
    base = wire(mesh, "point_A", "point_B")
    return replace(base, reservoirs=[Reservoir(s, (s,), 0.024) for s in ("left", "right")])


def test_supercurrent_that_injection_drives_couples_however_it_is_prescribed() -> None:
    """No current at the drain is not no current anywhere: relaxing charge flows to the source as pairs."""
    for kind in ("current", "phase_gradient"):
        device = ends_of_their_own(line_mesh(6, 9))
        problem = driven(
            device, kind, 0.0, self_consistent_phase=True, broadening=0.02, gap=GapModel("uniform", at="A")
        )
        assert solve_point(problem, Point(0.0)).spectral.supercurrent_conductance is None
        assert solve_point(problem, Point(3e-4)).spectral.supercurrent_conductance is not None


@pytest.mark.parametrize("value", [0.0, pytest.param(8e-6, marks=pytest.mark.slow)])
def test_self_consistent_phase_conserves_charge(value: float) -> None:
    """What the junctions inject leaves through the two ends, as quasiparticles and as supercurrent.

    Without the phase equation the relaxed charge would be lost.
    """
    mesh = line_mesh(12, 17)
    problem = driven(
        ends_of_their_own(mesh), "current", value, self_consistent_phase=True, broadening=0.02, energies=48
    )
    solution = solve_point(problem, Point(5e-4, 0.0, value))
    phase = solution.phase
    assert phase is not None
    into = solution.kinetic.currents[1] @ problem.grid.widths * problem.device.voltage_unit
    injected = into[:2].sum()
    relaxed = solution.kinetic.relaxed @ problem.grid.widths * problem.device.voltage_unit
    assert relaxed > 0.5 * injected > 0
    # Quasiparticles and pairs that leave the ends; the phase of the condensate falls along its current.
    ends = np.concatenate([mesh.require_boundary(name) for name in ("left", "right")])
    density = phase.superfluid[mesh.face_cells[ends, 0]]
    leaving = (
        -into[2:].sum() - (phase.supercurrent_conductance[ends] * density).sum() * problem.device.voltage_unit
    )
    close(leaving, injected, 1e-9)


def test_messages(cold: Device) -> None:
    with pytest.raises(CaseError, match="from and to are both 'left'"):
        driven(cold, "current", 1e-6, between=("left", "left"))
    halves = replace(cold, interfaces=[Interface(("left_half", "right_half"), 1e12)])
    with pytest.raises(CaseError, match="supercurrent: .*tunnel interface"):
        driven(halves, "current", 1e-6)
    with pytest.raises(CaseError, match="self_consistent_phase: needs from and to"):
        UsadelProblem(cold, graded(GAMMA, 60), GAMMA, self_consistent_phase=True)
    normal = driven(cold, "current", 1e-6, gap=GapModel("fixed", value=0.0))
    with pytest.raises(ConvergenceError, match="no superconducting path connects source and drain"):
        normal.at_rest(1e-6)
