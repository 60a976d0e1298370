"""Normal leads as parts of the mesh, with kinetic equations of their own, against closed forms and `Lead`."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from wire_devices import ALUMINIUM, THICKNESS, WIDTH

from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.energy import thermal as distributions
from fvqp.materials import Material
from fvqp.mesh.shapes import shape_mesh
from fvqp.models.usadel.device import Device, Junction, Lead, Reservoir
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.leads import heat_balance
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.transport.terminals import Interface

AREA = WIDTH * THICKNESS
BARRIER = 1e-5
"""Siemens."""
RESISTANCE = 1e3
"""Of a micrometre of the normal wire, ohm."""
COPPER = Material("N", gap=0.0, diffusivity=1e-3, resistivity=RESISTANCE * AREA / 1e-6)
BATH = 0.1


def problem(
    grid: EnergyAxis, collisions: InelasticCollisions | None = None, *, wire: bool = True
) -> UsadelProblem:
    """A short superconductor with a barrier at its left end, behind it a meshed normal wire that is biased at
    its far end, or a lead of one temperature."""
    cells = 12 if wire else 6
    mesh = shape_mesh(
        "grid1d",
        nx=cells,
        Lx=cells / 12 * 2e-6,
        origin=(0.0 if wire else 1e-6, 0.0, 0.0),
        regions={"normal": (0.0, 1e-6), "super": (1e-6, 2e-6)} if wire else {"super": (1e-6, 2e-6)},
        comm=MPI.COMM_SELF,
    )
    contact = Junction("A", "left", 1e3, "injector", BATH)
    lead = Lead(1e-30, 1.0, RESISTANCE)
    device = Device(
        mesh,
        Material("S", gap=ALUMINIUM.gap, diffusivity=1e-2, resistivity=ALUMINIUM.resistivity / 100),
        [contact if wire else Junction("A", "left", BARRIER, "injector", BATH, lead=lead)],
        [Reservoir("right", ("right",), BATH)],
        interfaces=[Interface(("normal", "super"), BARRIER / AREA)] if wire else [],
        width=WIDTH,
        thickness=THICKNESS,
        regions={"normal": COPPER} if wire else {},
    )
    return UsadelProblem(device, grid, 0.01, GapModel("fixed", value=1.0), collisions=collisions)


def test_elastic_wire_is_a_resistance_at_every_energy() -> None:
    """j = G N/(1 + R G N) of the difference between the wire's reservoir and the superconductor's."""
    grid = EnergyAxis.graded(4.0, gap_edges=[1.0], first=2.5e-3, number=120)
    solved = problem(grid)
    unit = solved.device.voltage_unit
    state = solve_point(solved, Point(1.7 * unit))
    dos = solved.kinetics.spectrum(state.spectral).dos[-1]
    in_series = BARRIER * dos / (1.0 + RESISTANCE * BARRIER * dos)
    t = BATH / solved.device.thermal_unit
    lead = distributions.lead(grid.edges, 1.7, t)
    rest = distributions.equilibrium(grid.edges, t)
    for number, expected in ((0, in_series * (lead[0] - rest)), (1, in_series * lead[1])):
        found = state.kinetic.currents[number, 0]
        above = grid.energies > 1.02
        # The superconductor's own resistance, and charge that relaxes in it, are small beside it.
        np.testing.assert_allclose(
            found[above], expected[above], rtol=5e-3, atol=1e-9 * np.abs(expected).max()
        )


@pytest.mark.slow
def test_colliding_wire_is_a_balance_of_heat() -> None:
    """Electrons that collide fast make the meshed wire as hot at the barrier as Wiedemann and Franz say, and
    `Lead` has it: the same temperature and current. Biases are of the far end and of the barrier."""
    grid = EnergyAxis(np.linspace(0.0, 6.0, 121))
    meshed = problem(grid, InelasticCollisions(50.0, charge=True))
    unit = meshed.device.voltage_unit
    state = None
    for bias in (0.5, 1.0, 1.5, 2.0):
        state = solve_point(meshed, Point(bias * unit), state)
    assert state is not None
    current = float(meshed.junction_currents(state.kinetic.currents)[0])
    lumped = problem(grid, wire=False)
    other = solve_point(lumped, Point(2.0 * unit - current * RESISTANCE))
    assert other.leads is not None
    assert float(lumped.junction_currents(other.kinetic.currents)[0]) == pytest.approx(current, rel=0.02)
    # Energy of f_L beyond that of the potential, at the cell next to the barrier (half a cell off it).
    here = state.kinetic.deviation(L)[5] + distributions.equilibrium(grid.edges, meshed.device.bath)
    charge = state.kinetic.deviation(1)[5]
    potential = float(charge @ grid.widths)
    heat = float((1.0 - here) * grid.energies @ grid.widths) - 0.5 * potential**2
    kelvin = np.sqrt(6.0 * heat) / np.pi * meshed.device.thermal_unit
    expected = float(other.leads[0])
    assert expected > 2.0 * BATH
    profile = BATH**2 + (expected**2 - BATH**2) * 5.5 / 6.0
    assert kelvin == pytest.approx(np.sqrt(profile), rel=0.03)
    assert heat_balance(lumped, other).tunnelled[0] > 0.0
