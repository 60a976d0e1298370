"""Junctions and interfaces against circuits and against the tunnel current by quadrature."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from mpi4py import MPI
from scipy.integrate import quad
from wire_devices import ALUMINIUM, THICKNESS, UM, WIDTH, close, graded, line_mesh, wire

from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.mesh import Mesh, shape_mesh
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.spectral.usadel import bin_averages
from fvqp.transport.terminals import Interface

SELF = MPI.COMM_SELF
NORMAL = GapModel("fixed", value=0.0)
CROSS_SECTION = WIDTH * THICKNESS
OHM_PER_METRE = 1.0 / (ALUMINIUM.conductivity * CROSS_SECTION)
TEMPERATURE = 0.1


def short_wire(dim: int) -> Mesh:
    """1 µm of wire with its width and thickness resolved by ``dim``; ``under``: 60 nm in its middle."""
    sizes = {"nx": 50, "Lx": 1 * UM}
    if dim > 1:
        sizes |= {"ny": 2, "Ly": WIDTH}
    if dim > 2:
        sizes |= {"nz": 1, "Lz": THICKNESS}
    more = {"surface": [(0.46 * UM, 0.54 * UM), None, 0.0]} if dim == 3 else {}
    return shape_mesh(
        f"grid{dim}d",
        **sizes,  # type: ignore[arg-type]
        regions={"under": (0.46 * UM, 0.54 * UM)},
        boundaries={"inside": 0.5 * UM, **more},
        comm=SELF,
    )


def single(mesh: Mesh, on: str, conductance: float, ends: tuple[str, ...] = ("left", "right")) -> Device:
    return Device(
        mesh,
        ALUMINIUM,
        [Junction("A", on, conductance, "injector", TEMPERATURE)],
        [Reservoir("ends", ends, TEMPERATURE)],
        width=WIDTH if mesh.dim == 1 else None,
        thickness=THICKNESS if mesh.dim < 3 else None,
    )


def spread_resistance() -> float:
    """Resistance that the 80 nm long region adds in series, for a current that leaves both ways.

    A junction of conductance g per length that is weak against the wire feeds it uniformly; averaged over the
    region, ``f`` exceeds its value at the region's edge by ``I L r / 12``.
    """
    return 0.08 * UM * OHM_PER_METRE / 12.0


@pytest.mark.parametrize(("dim", "on"), [*product((1, 2, 3), ("inside", "right", "under")), (3, "surface")])
def test_normal_wire_is_a_circuit(dim: int, on: str) -> None:
    conductance = 1e-4
    ends = ("left",) if on == "right" else ("left", "right")
    grid = EnergyAxis.uniform(0.05, 5.0)
    device = single(short_wire(dim), on, conductance, ends)
    normal = UsadelProblem(device, grid, 1e-3, gap=NORMAL)
    arms = {
        "inside": OHM_PER_METRE * 0.25 * UM,
        "right": OHM_PER_METRE * 1.0 * UM,
        "under": OHM_PER_METRE * 0.23 * UM + spread_resistance(),
        "surface": OHM_PER_METRE * 0.23 * UM + spread_resistance(),
    }
    solution = solve_point(normal, Point(7e-4))
    current = normal.junction_currents(solution.kinetic.currents)[0]
    # Spread junctions: cells of a twentieth of the region, and a feed that is uniform to G R / 12.
    close(current, 7e-4 / (1 / conductance + arms[on]), 1e-12 if on in ("inside", "right") else 2e-4)
    close(conductances(normal, solution)[0], current / 7e-4, 1e-9)
    # In a normal metal μ_Q* is the local voltage, and nothing relaxes.
    ledger = normal.ledger(solution)
    assert ledger.relaxed[2] == 0.0
    close(ledger.taken[2], current, 1e-10)
    drop = normal.charge_potential(solution)
    nearest = int(np.argmin(np.abs(device.mesh.centroid[:, 0] - 0.21 * UM)))
    towards_left = current if on == "right" else 0.5 * current
    close(drop[nearest], towards_left * OHM_PER_METRE * device.mesh.centroid[nearest, 0], 1e-9)


def dynes(energy: float, gap: float, broadening: float) -> float:
    """Density of states, theory of the tunnel junction."""
    z = energy + 1j * broadening
    return float((z / np.sqrt(z - gap) / np.sqrt(z + gap)).real)


@pytest.mark.parametrize("on", ["inside", "right", "under"])
def test_tunnel_current_by_quadrature(on: str) -> None:
    """Weak junction: I(V) and dI/dV of an NIS junction, the convolution done by quadrature."""
    broadening, conductance = 0.02, 1e-9
    grid = graded(broadening / 8, 1200, maximum=5.0)
    ends = ("left",) if on == "right" else ("left", "right")
    device = single(short_wire(1), on, conductance, ends)
    tunnel = UsadelProblem(device, grid, broadening, gap=GapModel("fixed", value=0.98))
    t, unit = TEMPERATURE / device.thermal_unit, device.voltage_unit
    for volts in (0.3, 0.9, 1.05, 1.5, 4.0):
        at = sorted({0.98, volts})

        def integral(weight: object, points: list[float] = at) -> float:
            return quad(
                lambda e: dynes(e, 0.98, broadening) * weight(e),  # type: ignore[operator]
                0.0, 5.0, points=points, limit=500, epsabs=1e-10,
            )[0]  # fmt: skip

        solution = solve_point(tunnel, Point(volts * unit))
        current = integral(lambda e, v=volts: 0.5 * (np.tanh((e + v) / (2 * t)) - np.tanh((e - v) / (2 * t))))
        close(tunnel.junction_currents(solution.kinetic.currents)[0], conductance * unit * current, 2e-4)
        slope = integral(
            lambda e, v=volts: (np.cosh((e + v) / (2 * t)) ** -2 + np.cosh((e - v) / (2 * t)) ** -2) / (4 * t)
        )
        close(conductances(tunnel, solution)[0], conductance * slope, 1e-3)


def test_no_excess_current() -> None:
    """Far above the gap I → G √(V² − Δ²/e²): parallel to the normal line, through the origin."""
    device = single(short_wire(1), "inside", 1e-9)
    tunnel = UsadelProblem(device, graded(1e-4, 400, maximum=12.0), 1e-4, gap=GapModel("fixed", value=1.0))
    for volts in (5.0, 10.0):
        solution = solve_point(tunnel, Point(volts * device.voltage_unit))
        current = tunnel.junction_currents(solution.kinetic.currents)[0]
        close(current, 1e-9 * device.voltage_unit * np.sqrt(volts**2 - 1.0), 1e-4)


def test_spread_junction_converges_to_second_order() -> None:
    """G_inj of a strong junction on a region, as the line is refined, in the superconducting state."""
    found = []
    for n in (50, 100, 200):
        mesh = shape_mesh("grid1d", nx=n, Lx=2 * UM, regions={"under": (0.8 * UM, 1.2 * UM)}, comm=SELF)
        device = single(mesh, "under", 5e-3)
        problem = UsadelProblem(device, graded(0.02, 60), 0.02)
        found.append(conductances(problem, solve_point(problem, Point(4e-4)))[0])
    assert np.log2(abs(found[0] - found[1]) / abs(found[1] - found[2])) > 1.8
    close(found[2], found[1], 1e-3)


def halves(conductance_per_area: float) -> Device:
    mesh = shape_mesh(
        "grid1d",
        nx=40,
        Lx=1 * UM,
        regions={"a": (0.0, 0.5 * UM), "b": (0.5 * UM, 1 * UM)},
        boundaries={"tap": 0.25 * UM},
        comm=SELF,
    )
    base = single(mesh, "tap", 1e-5)
    reservoirs = [Reservoir("left", ("left",), TEMPERATURE), Reservoir("right", ("right",), TEMPERATURE)]
    return replace(base, reservoirs=reservoirs, interfaces=[Interface(("a", "b"), conductance_per_area)])


def test_interface_in_a_normal_wire() -> None:
    barrier = 3e-2
    device = halves(barrier / CROSS_SECTION)
    normal = UsadelProblem(device, EnergyAxis.uniform(0.05, 5.0), 1e-3, gap=NORMAL)
    solution = solve_point(normal, Point(5e-4))
    left, right = OHM_PER_METRE * 0.25 * UM, OHM_PER_METRE * 0.75 * UM + 1 / barrier
    current = 5e-4 / (1e5 + left * right / (left + right))
    into = solution.kinetic.currents[1] @ normal.grid.widths * device.voltage_unit
    close(into, current * np.array([1.0, -right / (left + right), -left / (left + right)]), 1e-10)


def test_energy_through_an_interface_of_superconductors() -> None:
    """f_L at every energy is a circuit of D_L σA/L and of the interface, g (N² − P²)."""
    barrier, broadening = 3e-2, 0.01
    device = halves(barrier / CROSS_SECTION)
    grid = graded(broadening, 80)
    device = replace(device, junctions=[replace(device.junctions[0], temperature=1.0)])
    warm = UsadelProblem(device, grid, broadening, gap=GapModel("fixed", value=1.0))
    solution = solve_point(warm, Point())
    averages = bin_averages(grid.edges, np.array([1.0]), np.array([0.0]), broadening)
    dos, diffusion = averages.dos[0], averages.diffusion_L[0]
    transparency = dos**2 - averages.pairing[0] ** 2
    left = OHM_PER_METRE * 0.25 * UM / diffusion
    right = OHM_PER_METRE * 0.75 * UM / diffusion + 1 / (barrier * np.maximum(transparency, 1e-300))
    lead = solution.kinetic.external[0, 0]
    into = lead / (1e5 / dos + left * right / (left + right))
    above = grid.energies > 0.9
    close(solution.kinetic.currents[0, 2][above], (-into * left / (left + right))[above], 1e-9)
    # Far above the gap the interface is the one of normal metals.
    assert transparency[-1] == pytest.approx(1.0, rel=1e-3)


def test_sides_of_an_interface_are_media_of_their_own() -> None:
    """Gradients must not reach across a barrier between two pieces of one material."""
    device = halves(1e9)
    number = device.medium()
    a, b = (number[device.mesh.require_region(name)] for name in ("a", "b"))
    assert len(set(a)) == len(set(b)) == 1 and a[0] != b[0]
    assert len(set(replace(device, interfaces=()).medium())) == 1


def test_detector_bias_and_own_bias() -> None:
    """A junction with a bias of its own neither follows the sweep nor adds to its slope."""
    device = wire(line_mesh(20, 21), "point_A", "point_B")
    fixed = replace(device, junctions=[device.junctions[0], replace(device.junctions[1], bias=3e-4)])
    grid = graded(5e-3, 60)
    swept, own = UsadelProblem(device, grid, 5e-3), UsadelProblem(fixed, grid, 5e-3)
    one, other = solve_point(swept, Point(5e-4, 3e-4)), solve_point(own, Point(5e-4))
    close(one.kinetic.currents, other.kinetic.currents, 1e-15)
    close(conductances(swept, one), conductances(own, other), 1e-15)


def test_messages() -> None:
    mesh = line_mesh(20, 21)
    device = wire(mesh, "point_A", "point_B")
    problem = UsadelProblem(device, graded(5e-3, 60), 5e-3)
    with pytest.raises(CaseError, match="energy axis: ends at 4 Δ0, below the bias of an injector"):
        solve_point(problem, Point(2e-3))
    with pytest.raises(CaseError, match="gap.at: there is no junction at 'X' .*A on point_A"):
        UsadelProblem(device, graded(5e-3, 60), 5e-3, gap=GapModel("uniform", at="X"))
    with pytest.raises(CaseError, match="touches no reservoir"):
        replace(device, reservoirs=())
    with pytest.raises(CaseError, match="two terminals are called 'A'"):
        replace(device, junctions=[device.junctions[0], device.junctions[0]])
    with pytest.raises(CaseError, match="cross_section.width: a mesh of dimension 1 needs it"):
        replace(device, width=None)
    solid = short_wire(3)
    with pytest.raises(CaseError, match="cross_section.thickness: not used by a mesh of dimension 3"):
        replace(single(solid, "under", 1e-6), thickness=8e-9)
