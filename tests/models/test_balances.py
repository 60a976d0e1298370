"""Balances, equilibrium and symmetries of the elastic kinetics, on lines, films and solids."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wire_devices import TEMPERATURE, close, file_mesh, generated_mesh, graded, line_mesh, wire

from fvqp.mesh import shape_mesh
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import Supercurrent
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.models.usadel.slopes import conductances

GAMMA = 5e-3
ENDS = ("reservoir_left", "reservoir_right")
PLACES = {
    "line, points": ("line", "point_A", "point_B"),
    "line, regions": ("line", "junction_A", "junction_B"),
    "film": ("film", "junction_A", "junction_B"),
    "quads": ("film_quads", "junction_A", "junction_B"),
    "solid, surfaces": ("wire_3d", "top_A", "top_B"),
    "solid, regions": ("wire_3d", "junction_A", "junction_B"),
}


def problem(place: str, **more: object) -> UsadelProblem:
    name, injector, detector = PLACES[place]
    device = wire(file_mesh(name), injector, detector, ends=ENDS)
    return UsadelProblem(device, graded(GAMMA, 48), GAMMA, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "place",
    [pytest.param(place, marks=pytest.mark.slow) if place.startswith("solid") else place for place in PLACES],
)
def test_ledger_closes(place: str) -> None:
    """Particles and energy leave through the reservoirs, charge relaxes: to 1e-10 of what is injected."""
    wire_problem = problem(place)
    for point in (Point(4e-4), Point(-7e-4, 3e-4)):
        ledger = wire_problem.ledger(solve_point(wire_problem, point))
        assert np.all(np.abs(ledger.residual) <= 1e-10 * np.abs(ledger.injected))
        assert np.all(ledger.relaxed[:2] == 0.0)
        assert ledger.injected[0] > 0 and ledger.injected[1] > 0 and ledger.injected[2] * point.V_inj > 0
        # Above the gap most of the energy reaches the reservoirs, most of the charge does not.
        assert abs(ledger.taken[2]) < 0.2 * abs(ledger.relaxed[2])


@pytest.mark.parametrize("place", ["film", pytest.param("solid, regions", marks=pytest.mark.slow)])
def test_ledger_closes_where_iterations_go_on_from_a_solution(place: str) -> None:
    """What they leave is alike in many cells; its sum is taken care of."""
    wire_problem = problem(place, gap=GapModel("uniform", at="A"))
    found = None
    for bias in (-3e-4, 3e-4):
        found = solve_point(wire_problem, Point(bias), found)
        ledger = wire_problem.ledger(found)
        assert np.all(np.abs(ledger.residual) <= 1e-13 * np.abs(ledger.injected))


@pytest.mark.parametrize("kind", ["line", pytest.param("film", marks=pytest.mark.slow)])
def test_ledger_closes_with_supercurrent(kind: str, tmp_path: Path) -> None:
    mesh = line_mesh(10, 17) if kind == "line" else generated_mesh("film", 2.5, tmp_path)
    ends = ("left", "right") if kind == "line" else ENDS
    injector, detector = ("junction_A", "point_B") if kind == "line" else ("junction_A", "junction_B")
    device, grid = wire(mesh, injector, detector, ends=ends), graded(GAMMA, 48)
    current = Supercurrent(*ends, kind="current", values=(8e-6,))
    wire_problem = UsadelProblem(device, grid, GAMMA, supercurrent=current)
    plain = UsadelProblem(device, grid, GAMMA)
    ledger = wire_problem.ledger(solve_point(wire_problem, Point(4e-4, 0.0, 8e-6)))
    assert np.all(np.abs(ledger.residual) <= 1e-10 * np.abs(ledger.injected))
    # The supercurrent turns energy mode into charge: the charge balance is another one.
    without = plain.ledger(solve_point(plain, Point(4e-4)))
    assert abs(ledger.relaxed[2] / without.relaxed[2] - 1.0) > 1e-3


def test_no_bias_no_current() -> None:
    """Equal temperatures and no bias: nothing flows, to the last bit, with and without supercurrent."""
    for value in (0.0, 0.2):
        device = wire(
            line_mesh(30, 21), "point_A", "point_B", temperature=dict.fromkeys(TEMPERATURE, 0.1), bath=0.1
        )
        drive = Supercurrent("left", "right", "phase_gradient", (value,)) if value else None
        rest = UsadelProblem(device, graded(GAMMA, 60), GAMMA, supercurrent=drive)
        solution = solve_point(rest, Point(0.0, 0.0, value))
        assert np.all(solution.kinetic.currents == 0.0)
        assert np.all(solution.kinetic.deviation(0) == 0.0) and np.all(solution.kinetic.deviation(1) == 0.0)
        ledger = rest.ledger(solution)
        assert np.all(ledger.injected == 0.0) and np.all(ledger.residual == 0.0)


@pytest.mark.parametrize("value", [0.0, 0.2])
def test_hot_lead_heats_and_carries_no_charge(value: float) -> None:
    device = wire(line_mesh(30, 21), "point_A", "point_B", temperature={"A": 0.6, "B": 0.1}, bath=0.1)
    drive = Supercurrent("left", "right", "phase_gradient", (value,)) if value else None
    warm = UsadelProblem(device, graded(GAMMA, 60), GAMMA, supercurrent=drive)
    solution = solve_point(warm, Point(0.0, 0.0, value))
    ledger = warm.ledger(solution)
    assert ledger.injected[1] > 0.0 and ledger.taken[1] > 0.0
    assert np.all(np.abs(ledger.residual[:2]) <= 1e-10 * ledger.injected[:2])
    into = warm.junction_currents(solution.kinetic.currents)
    if value:
        # Energy current against supercurrent: charge imbalance from heat, a thermoelectric current.
        assert into[1] != 0.0 and abs(ledger.residual[2]) <= 1e-10 * ledger.scale[2]
    else:
        assert np.all(into == 0.0)


def test_hot_reservoir_heats_the_other_one() -> None:
    mesh = line_mesh(30, 21)
    device = replace(
        wire(mesh, "point_A"),
        reservoirs=[Reservoir("cold", ("left",), 0.1), Reservoir("hot", ("right",), 0.5)],
    )
    warm = UsadelProblem(device, graded(GAMMA, 80, maximum=6.0), GAMMA)
    solution = solve_point(warm, Point())
    energy = (solution.kinetic.currents[0] * warm.grid.energies * warm.grid.widths).sum(axis=1)
    # Deviations of f_L are negative where it is hot.
    assert energy[2] < 0.0 < energy[1]
    assert abs(energy.sum()) <= 1e-10 * energy[1]


def test_parities() -> None:
    """g_ss even in both biases; what is odd in the supercurrent is odd; both to round-off."""
    values = (0.0, 0.15)
    drive = Supercurrent("left", "right", "phase_gradient", values)
    device = wire(line_mesh(40, 33), "point_A", "point_B")
    moving = UsadelProblem(device, graded(GAMMA, 80), GAMMA, supercurrent=drive)

    def nonlocal_conductance(*point: float) -> float:
        return -float(conductances(moving, solve_point(moving, Point(*point)))[1])

    for v in (2.4e-4, 2.7e-4, 6e-4):
        up, down = nonlocal_conductance(v, 0, 0.15), nonlocal_conductance(v, 0, -0.15)
        up_left, down_left = nonlocal_conductance(-v, 0, 0.15), nonlocal_conductance(-v, 0, -0.15)
        even, odd = 0.5 * (up + down), 0.5 * (up - down)
        assert even > 0.0 and abs(odd) > 1e-4 * even
        close(up, down_left, 1e-11)
        close(down, up_left, 1e-11)
        close(nonlocal_conductance(v), nonlocal_conductance(-v), 1e-11)
        # The slope against V_inj does not depend on V_det, because the equations are linear.
        assert nonlocal_conductance(v, 3e-4) == nonlocal_conductance(v, -3e-4) == nonlocal_conductance(v)

    def detector(*point: float) -> float:
        return float(moving.junction_currents(solve_point(moving, Point(*point)).kinetic.currents)[1])

    # Reversing both biases and the supercurrent's direction reverses every charge current.
    for value in values:
        close(detector(4e-4, 3e-4, value), -detector(-4e-4, -3e-4, -value), 1e-11)
    assert abs(detector(4e-4, 0.0, 0.15) / detector(4e-4, 0.0, -0.15) - 1.0) > 1e-3


def test_mirrored_supercurrent_mirrors_the_wire() -> None:
    """Detectors on both sides of the injector trade places when the supercurrent turns round."""
    mesh = line_mesh(30, 25)
    base = wire(mesh, "point_A")

    symmetric = shape_mesh(
        "grid1d",
        nx=80,
        Lx=8e-6,
        origin=(-4e-6, 0, 0),
        boundaries={"A": 0.0, "B": -4e-7, "C": 4e-7},
        comm=mesh.comm,
    )
    junctions = [
        Junction("A", "A", 24.6e-6, "injector", 0.06),
        Junction("B", "B", 31.4e-6, "detector", 0.06),
        Junction("C", "C", 31.4e-6, "detector", 0.06),
    ]
    device: Device = replace(base, mesh=symmetric, junctions=junctions)
    drive = Supercurrent("left", "right", "phase_gradient", (0.15,))
    moving = UsadelProblem(device, graded(GAMMA, 60), GAMMA, supercurrent=drive)
    up = conductances(moving, solve_point(moving, Point(3e-4, 0.0, 0.15)))
    down = conductances(moving, solve_point(moving, Point(3e-4, 0.0, -0.15)))
    close(up[[0, 2, 1]], down, 1e-9)
    assert abs(up[1] / up[2] - 1.0) > 1e-3


def test_reciprocity() -> None:
    """Exchanging injector and detector leaves the non-local conductance unchanged (equal temperatures)."""
    mesh, grid = line_mesh(40, 33), graded(GAMMA, 80)
    temperature = dict.fromkeys(TEMPERATURE, 0.06)
    forth = UsadelProblem(wire(mesh, "point_A", "point_B", temperature=temperature), grid, GAMMA)
    swapped = {"A": 31.4e-6, "B": 24.6e-6}
    back = UsadelProblem(
        wire(mesh, "point_B", "point_A", temperature=temperature, conductance=swapped), grid, GAMMA
    )
    for v in (2.2e-4, 3e-4, 8e-4):
        there, here = (conductances(p, solve_point(p, Point(v)))[1] for p in (forth, back))
        close(there, here, 1e-9)
