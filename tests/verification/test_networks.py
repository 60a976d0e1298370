"""Wires that branch: lines joined at nodes against exact solutions on graphs, and against thin films."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from networks import LOOP, Network
from proximity_devices import METAL, angles, normal_wire_angle
from proximity_devices import THICKNESS as THIN
from proximity_devices import WIDTH as NARROW
from proximity_devices import XI as UNIT_LENGTH
from transport_problems import coefficients, currents, solved, transport_on
from wire_devices import ALUMINIUM, CONDUCTANCE, TEMPERATURE, THICKNESS, UM, WIDTH, graded

import fvqp
from fvqp.energy import EnergyAxis
from fvqp.energy import thermal as distributions
from fvqp.materials import Material
from fvqp.mesh import Mesh, build_mesh
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import PhaseSolver, Supercurrent
from fvqp.models.usadel.problem import Point, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.spectral import usadel
from fvqp.transport.terminals import Terminal

CASES = Path(__file__).parents[2] / "cases" / "networks"
XI = ALUMINIUM.coherence_length
GAMMA = 5e-3
VOLTS = np.array([0.255e-3, 0.27e-3, 0.3e-3, 0.5e-3])

#: A wire along x (um) with a side arm between injector and detector.
BRANCHED = Network(
    points=[(-1.0, 0.0), (-0.2, 0.0), (0.0, 0.0), (0.1, 0.0), (1.1, 0.0), (0.0, 0.5)],
    wires=[(0, 1), (1, 2), (2, 3), (3, 4), (2, 5)],
    regions={},
    marks={"A": 1, "B": 3},
)


def exact_g_nl(
    problem: UsadelProblem,
    network: Network = BRANCHED,
    conductance: Mapping[str, float] = CONDUCTANCE,
    width: float = WIDTH,
    extent: float = 0.0,
) -> np.ndarray:
    """Non-local conductance at `VOLTS` of junctions on a network, ends in equilibrium.

    At each energy ``D_T f_T'' = R_T f_T`` on every wire, at the junctions ``G N (f − f_lead)`` leaves, at the
    ends f_T = 0: a matrix of the points (Eq. 21 for any network). Junctions that cover ``extent`` metres of
    their wires instead of a point inject and collect as the mean of points: each multiplies by sinh(x)/x,
    ``x`` being half its extent over the relaxation length.

    Args:
        problem: gap at rest and units.
        network: with marks "A" and "B" at the junctions, in µm.
        conductance: of both, siemens.
        width: of the wires, metres.
        extent: of both junctions, metres.
    """
    device = problem.device
    gap = float(problem.at_rest(0.0)[0].gap[0])
    fine = EnergyAxis.graded(4.0, gap_edges=[gap], first=problem.broadening / 50, number=20000)
    s = usadel.solve(fine.energies, gap, 0.0, problem.broadening)
    decay = np.sqrt(s.diffusion_T / s.relaxation_T)
    section = width * THICKNESS / (ALUMINIUM.resistivity * XI)
    n = len(network.points)
    balance = np.zeros((fine.n, n, n))
    for (a, b), length in zip(network.wires, network.lengths * UM / XI, strict=True):
        size = section * s.diffusion_T / decay
        own, other = size / np.tanh(length / decay), size / np.sinh(np.minimum(length / decay, 300.0))
        for p, q in ((a, b), (b, a)):
            balance[:, p, p] += own
            balance[:, p, q] -= other
    for name, point in network.marks.items():
        balance[:, point, point] += conductance[name] * s.dos
    inner = [k for k in range(n) if k not in network.ends]
    a, b = (inner.index(network.marks[name]) for name in "AB")
    driven = np.zeros((fine.n, len(inner), 1))
    driven[:, a, 0] = conductance["A"] * s.dos
    f = np.linalg.solve(balance[np.ix_(range(fine.n), inner, inner)], driven)[:, :, 0]
    half = 0.5 * extent / XI / decay
    means = (np.sinh(half) / half) ** 2 if extent else 1.0
    spectral = conductance["B"] * s.dos * f[:, b] * means * fine.widths
    unit, t = device.voltage_unit, TEMPERATURE["A"] / device.thermal_unit
    return np.array([spectral @ distributions.lead_derivative(fine.edges, v / unit, t)[1] for v in VOLTS])


def branched(per_length: float, energies: int) -> UsadelProblem:
    junctions = [
        Junction(name, name, CONDUCTANCE[name], role, TEMPERATURE[name])  # type: ignore[arg-type]
        for name, role in (("A", "injector"), ("B", "detector"))
    ]
    ends = tuple(f"end{k}" for k in range(len(BRANCHED.ends)))
    mesh = BRANCHED.mesh(per_length, scale=UM)
    device = Device(
        mesh, ALUMINIUM, junctions, [Reservoir("ends", ends, 0.024)], width=WIDTH, thickness=THICKNESS
    )
    return UsadelProblem(device, graded(GAMMA, energies), GAMMA)


def test_nonlocal_conductance_past_a_side_arm() -> None:
    problem = branched(60.0, 400)
    expected = exact_g_nl(problem)
    found = [-conductances(problem, solve_point(problem, Point(v)))[1] for v in VOLTS]
    np.testing.assert_allclose(found, expected, rtol=5e-4)


def test_case_against_the_closed_form() -> None:
    """cases/networks/side_arm.toml with the gap that nothing lowers."""
    points = [(-2.0, 0.0), (-0.2, 0.0), (0.0, 0.0), (0.2, 0.0), (2.0, 0.0), (0.0, 0.5)]
    network = Network(points, [(0, 1), (1, 2), (2, 3), (3, 4), (2, 5)], {}, {"A": 1, "B": 3})
    volts = "sweep.V_inj=[" + ", ".join(f'"{1e3 * v} mV"' for v in VOLTS[2:]) + "]"
    found = fvqp.run(
        CASES / "side_arm.toml", overrides=[volts, 'gap={model="equilibrium"}', "figures=[]"]
    ).dataset["g_nl"]
    expected = exact_g_nl(branched(20.0, 60), network, {"A": 5e-6, "B": 5e-6}, 50e-9, 100e-9)[2:]
    np.testing.assert_allclose(found.values.ravel(), expected, rtol=5e-4)


def test_supercurrent_divides_in_a_loop() -> None:
    """One phase drop on both arms of a loop: gradients as the inverse of the lengths."""
    mesh = LOOP.mesh(8.0, scale=UM)
    device = Device(
        mesh, ALUMINIUM, [], [Reservoir("ends", ("end0", "end1"), 0.024)], width=WIDTH, thickness=THICKNESS
    )
    gradient = 0.2
    phases = PhaseSolver(device, Supercurrent("end0", "end1", "phase_gradient", (gradient,), region="long"))
    phase = phases.solve(np.full(mesh.n_cells, 1.5), gradient)
    lengths = {"long": 2.0, "short": 1.0}
    inside = {name: np.setdiff1d(mesh.regions[name], mesh.nodes) for name in lengths}
    for name, length in lengths.items():
        expected = 0.5 * (gradient * 2.0 / length) ** 2
        np.testing.assert_allclose(phase.depairing[inside[name]], expected, rtol=1e-9)
    whole = 1.5 * gradient * (1.0 + 2.0) / XI * WIDTH * THICKNESS / ALUMINIUM.resistivity
    assert phase.current == pytest.approx(whole * device.voltage_unit, rel=1e-6)
    # The phase is single-valued: it falls from fork to fork by as much on either arm, and so on to the ends.
    assert phase.drain == pytest.approx(gradient * UM / XI * (2.0 + 3.0 * (1.0 + 1.25)), rel=1e-6)


def test_supercurrent_at_rest_in_a_loop() -> None:
    """The arms carry 2/3 and 1/3 of the current, up to what depairing takes from the superfluid density."""
    mesh = LOOP.mesh(8.0, scale=UM)
    device = Device(
        mesh, ALUMINIUM, [], [Reservoir("ends", ("end0", "end1"), 0.024)], width=WIDTH, thickness=THICKNESS
    )
    drive = Supercurrent("end0", "end1", "phase_gradient", (0.02,), region="long")
    problem = UsadelProblem(device, graded(GAMMA, 60), GAMMA, supercurrent=drive)
    _, phase = problem.at_rest(0.02)
    assert phase is not None
    squares = [float(np.median(phase.depairing[mesh.regions[name]])) for name in ("short", "long")]
    assert squares[0] / squares[1] == pytest.approx(4.0, rel=1e-2)


def test_ledger_closes_with_supercurrent_past_a_side_arm() -> None:
    plain = branched(20.0, 60)
    drive = Supercurrent("end0", "end1", "phase_gradient", (0.2,))
    problem = UsadelProblem(plain.device, plain.grid, GAMMA, supercurrent=drive)
    ledger = problem.ledger(solve_point(problem, Point(4e-4, 0.0, 0.2)))
    assert np.all(np.abs(ledger.residual) <= 1e-10 * np.abs(ledger.injected))


def test_proximity_in_a_star() -> None:
    """Three alike normal arms on superconductors: each is a wire that is closed at the node, by symmetry."""
    length, errors = 1.5, []
    turn = 2.0 * np.pi * np.arange(3) / 3.0
    star = Network(
        points=[(0.0, 0.0), *(length * np.array([np.cos(turn), np.sin(turn)]).T)],
        wires=[(0, 1), (0, 2), (0, 3)],
        regions={"N": [0, 1, 2]},
        marks={},
    )
    normal = Material("N", gap=0.0, diffusivity=METAL.diffusivity, resistivity=METAL.resistivity)
    for per_length in (16, 32):
        mesh = star.mesh(per_length, scale=UNIT_LENGTH)
        ends = tuple(f"end{k}" for k in range(3))
        reservoirs = [Reservoir("S", ends, 0.05, METAL.gap)]
        device = Device(mesh, METAL, [], reservoirs, width=NARROW, thickness=THIN, regions={"N": normal})
        worst = 0.0
        for z in (0.2 + 0.02j, 0.5 + 0.02j):
            found = angles(device, np.array([z]))[:, 0]
            distance = length - np.linalg.norm(mesh.centroid, axis=1) / UNIT_LENGTH
            order = np.argsort(distance)
            at, first = np.unique(np.round(distance[order], 9), return_index=True)
            values = found[order][first]
            expected = normal_wire_angle(z, length, at[:-1], values[:-1])
            worst = max(worst, float(np.abs(values[:-1] - expected).max()))
        errors.append(worst)
    assert np.log2(errors[0] / errors[1]) > 1.9


def film(width: float) -> tuple[Mesh, list[str]]:
    """A wire along x with a side arm along y, both ``width`` wide, of squares; its axes are lines."""
    across = 4
    step = width / across
    left, right, up = (round(length / step) for length in (1.0, 1.5, 0.75))
    rows = range(-across // 2, across // 2)
    squares = {(i, j) for i in range(-left, right) for j in rows}
    squares |= {(i, j) for i in rows for j in range(across // 2, up)}
    corner = sorted({(i + a, j + b) for i, j in squares for a in (0, 1) for b in (0, 1)})
    number = {ij: k for k, ij in enumerate(corner)}
    turn = ((0, 0), (1, 0), (1, 1), (0, 1))
    cells = np.array([[number[i + a, j + b] for a, b in turn] for i, j in sorted(squares)])
    edges = {
        "end0": [[number[-left, j], number[-left, j + 1]] for j in rows],
        "end1": [[number[right, j], number[right, j + 1]] for j in rows],
        "end2": [[number[i, up], number[i + 1, up]] for i in rows],
    }
    points = step * np.array(corner, float)
    named = {name: np.array(rows) for name, rows in edges.items()}
    return build_mesh(points, [("quad", cells)], {}, named, MPI.COMM_SELF), list(edges)


def test_lines_are_the_limit_of_thin_films() -> None:
    """Currents of a film of width w differ from those of lines in proportion to w, as of the crossing."""
    lines = Network([(0.0, 0.0), (-1.0, 0.0), (1.5, 0.0), (0.0, 0.75)], [(0, 1), (0, 2), (0, 3)], {}, {})
    decay, values = 1.7, np.array([1.0, -0.4, 0.7])
    expected = lines.exact(decay, values.tolist()).currents
    differences = []
    for width in (0.1, 0.05, 0.025):
        mesh, ends = film(width)
        transport = transport_on(mesh, [Terminal(end, (end,)) for end in ends])
        operator = transport.at(coefficients(transport, reaction=decay**2))
        found = currents(operator, solved(operator, values), values) / width
        differences.append(np.abs(found - expected).max() / np.abs(expected).max())
    ratios = np.array(differences[:-1]) / np.array(differences[1:])
    assert differences[-1] < 0.02 and np.all(np.abs(ratios - 2.0) < 0.2), differences


@pytest.mark.slow
def test_case_on_lines_and_film() -> None:
    """cases/networks: lines and film differ by the crossing; the arm takes most quasiparticles."""
    biases = ['sweep.V_inj=["0.3 mV", "0.8 mV"]', "figures=[]"]
    lines, film = (
        fvqp.run(CASES / f"{name}.toml", overrides=biases).dataset for name in ("side_arm", "side_arm_film")
    )
    np.testing.assert_allclose(lines["g_nl"], film["g_nl"], rtol=0.025)
    np.testing.assert_allclose(lines["I_inj"], film["I_inj"], rtol=1e-3)
    straight = tomllib.loads((CASES / "side_arm.toml").read_text())
    straight["mesh"] = {
        "shape": {
            "kind": "grid1d",
            "Lx": "4 um",
            "nx": 400,
            "origin": ["-2 um"],
            "regions": {"junction_A": ["-250 nm", "-150 nm"], "junction_B": ["150 nm", "250 nm"]},
        }
    }
    straight["reservoirs"][0]["on"] = ["left", "right"]
    straight["sweep"]["V_inj"], straight["figures"] = ["0.3 mV", "0.8 mV"], []
    alone = fvqp.run(straight).dataset
    ratio = (alone["g_nl"] / lines["g_nl"]).values.ravel()
    np.testing.assert_allclose(ratio, [1.71, 2.54], rtol=0.02)
    assert float((alone["gap"] - lines["gap"]).max()) < 0.0
