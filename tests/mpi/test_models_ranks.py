"""Models on any number of ranks equal the same models on one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from transport_problems import coefficients, currents, mixed_cells, plain, sheared, transport_on
from wire_devices import file_mesh, generated_mesh, graded, line_mesh, wire

from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.errors import ConvergenceError
from fvqp.mesh import Mesh, build_mesh
from fvqp.models.linear import TransportSolver
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import Supercurrent
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.transport.terminals import Terminal

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = pytest.mark.mpi
TWO = pytest.mark.ranks(2)


def everywhere(mesh: Mesh, values: np.ndarray) -> np.ndarray:
    """A cell quantity of all ranks, by the cells' numbers in the file, on every rank."""
    out = np.zeros(mesh.n_global)
    out[mesh.global_id[: mesh.n_owned]] = np.broadcast_to(values, mesh.n_cells)[: mesh.n_owned]
    mesh.comm.Allreduce(MPI.IN_PLACE, out)
    return out


def on_wire(name: str, comm: MPI.Comm, folder: Path | None = None, **more: object) -> UsadelProblem:
    """The wire on a mesh of meshes/ryan_wire, or on a coarser one made in ``folder``."""
    mesh = file_mesh(name, comm) if folder is None else generated_mesh(name, 2.5, folder, comm)
    device = wire(mesh, "junction_A", "junction_B", ends=("reservoir_left", "reservoir_right"))
    broadening = 0.02
    grid = more.pop("grid", graded(broadening, 48))
    return UsadelProblem(device, grid, broadening, **more)  # type: ignore[arg-type]


def assert_same(found: object, expected: object, relative: float = 1e-10) -> None:
    """Equal relative to the largest entry."""
    expected = np.asarray(expected)
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=relative * float(np.abs(expected).max()))


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("film", marks=pytest.mark.ranks(4)),
        pytest.param("line", marks=TWO),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("film_quads", "wire_3d")),
    ],
)
def test_conductances_ledger_and_fields(name: str) -> None:
    found, expected = (on_wire(name, comm, grid=EnergyAxis.uniform(0.2, 4.0)) for comm in (WORLD, SELF))
    point = Point(6e-4, -4e-4)
    here, serial = solve_point(found, point), solve_point(expected, point)
    for g, g_serial in zip(conductances(found, here), conductances(expected, serial), strict=True):
        assert_same(g, g_serial)
    ledger, ledger_serial = found.ledger(here), expected.ledger(serial)
    assert_same(ledger.injected / ledger_serial.injected, np.ones(3))
    assert_same(ledger.relaxed, ledger_serial.relaxed)
    assert np.all(np.abs(ledger.residual) <= 1e-10 * np.abs(ledger.injected))
    assert_same(
        everywhere(found.device.mesh, found.charge_potential(here)),
        everywhere(expected.device.mesh, expected.charge_potential(serial)),
    )


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize("name", ["line", pytest.param("film", marks=pytest.mark.slow)])
def test_supercurrent(name: str, tmp_path: Path) -> None:
    """Phase, depairing and the coupled kinetics, by gradient on the line and by current on the film."""
    kind, value = ("phase_gradient", 0.2) if name == "line" else ("current", 6e-6)
    drive = Supercurrent("reservoir_left", "reservoir_right", kind, (value,))  # type: ignore[arg-type]
    found, expected = (on_wire(name, comm, tmp_path, supercurrent=drive) for comm in (WORLD, SELF))
    (state, phase), (serial_state, serial_phase) = (p.at_rest(value) for p in (found, expected))
    assert phase is not None and serial_phase is not None
    assert_same(phase.current, serial_phase.current)
    assert_same(phase.gradient, serial_phase.gradient)
    mesh, serial_mesh = found.device.mesh, expected.device.mesh
    assert_same(everywhere(mesh, phase.phase), everywhere(serial_mesh, serial_phase.phase))
    assert_same(everywhere(mesh, state.gap), everywhere(serial_mesh, serial_state.gap))
    assert_same(everywhere(mesh, state.depairing), everywhere(serial_mesh, serial_state.depairing))
    point = Point(3e-4, 0.0, value)
    g, g_serial = (conductances(p, solve_point(p, point)) for p in (found, expected))
    assert_same(g[0], g_serial[0])
    assert_same(g[1], g_serial[1])


@TWO
@pytest.mark.parametrize("kind", [pytest.param("uniform", marks=pytest.mark.slow), "local"])
def test_self_consistent_gap(kind: str) -> None:
    model = GapModel(kind, at="A" if kind == "uniform" else None)  # type: ignore[arg-type]
    problems = []
    for comm in (WORLD, SELF):
        conductance = {"A": 4e-6, "B": 31.4e-6}
        device = wire(line_mesh(6, 9, comm), "junction_A", "point_B", conductance=conductance)
        problems.append(UsadelProblem(device, EnergyAxis.uniform(1 / 16, 4.0), 0.05, gap=model))
    here, serial = (solve_point(p, Point(3e-4)) for p in problems)
    meshes = [p.device.mesh for p in problems]
    assert_same(everywhere(meshes[0], here.spectral.gap), everywhere(meshes[1], serial.spectral.gap))
    assert_same(*(conductances(p, s) for p, s in zip(problems, (here, serial), strict=True)))
    ledger = problems[0].ledger(here)
    assert np.all(np.abs(ledger.residual) <= 1e-10 * np.abs(ledger.injected))


@pytest.mark.slow
@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize("gap", [GapModel(), GapModel("uniform", at="A")])
def test_self_consistent_phase(gap: GapModel, tmp_path: Path) -> None:
    drive = Supercurrent("reservoir_left", "reservoir_right", "current", (6e-6,))
    problems = [
        on_wire("line", comm, tmp_path, supercurrent=drive, self_consistent_phase=True, gap=gap)
        for comm in (WORLD, SELF)
    ]
    here, serial = (solve_point(p, Point(4e-4, 0.0, 6e-6)) for p in problems)
    assert here.phase is not None and serial.phase is not None
    assert_same(here.phase.current, serial.phase.current)
    assert_same(here.phase.gradient, serial.phase.gradient)
    assert_same(here.kinetic.currents, serial.kinetic.currents)
    # Each relative to itself: the non-local one is 2.5e-4 of the other, its rounding 4e3 times as large.
    g, g_serial = (conductances(p, s) for p, s in zip(problems, (here, serial), strict=True))
    np.testing.assert_allclose(g, g_serial, rtol=1e-10)
    assert_same(g, g_serial)


@pytest.mark.ranks(1, 2)
def test_non_convergence_is_raised_on_all_ranks() -> None:
    problem = on_wire(
        "line",
        WORLD,
        grid=EnergyAxis.uniform(1 / 20, 4.0),
        gap=GapModel("uniform", at="A"),
        maximum_iterations=2,
    )
    with pytest.raises(ConvergenceError, match="not converged after"):
        solve_point(problem, Point(3e-4))


@pytest.mark.ranks(2, 4)
def test_junctions_that_share_ghosts() -> None:
    """Hexes, pyramids and wedges, sheared; a junction inside, one on a region, an interface-free jump."""
    solutions = []
    for comm in (WORLD, SELF):
        raw = sheared(mixed_cells(4))
        whole = build_mesh(raw.points, raw.cells, {}, {}, SELF)
        middle = np.flatnonzero((whole.face_cells[:, 1] >= 0) & (np.arange(whole.n_faces) % 7 == 0))
        ends = whole.outer_faces[:9]
        part = np.flatnonzero(whole.centroid[:, 0] > 0.7)
        names = {"inside": whole.face_corners[middle], "end": whole.face_corners[ends]}
        root = comm.rank == 0
        cells = plain(whole).cells
        number = np.concatenate([rows for _, _, rows in whole.cell_blocks])
        place = np.empty(len(number), np.int64)
        place[number] = np.arange(len(number))
        mesh = build_mesh(
            whole.points if root else None,
            cells if root else None,
            {"part": place[part]} if root else None,
            names if root else None,
            comm,
        )
        terminals = [Terminal("e", ("end",)), Terminal("i", ("inside",), 0.5), Terminal("p", ("part",), 2.0)]
        medium = (mesh.centroid[:, 1] > 0.6).astype(np.int32)
        transport = transport_on(mesh, terminals, np.where(medium, 1.0, 7.0), medium)
        operator = transport.at(coefficients(transport, 1.0 + mesh.centroid[:, 0], 0.3))
        external = np.array([0.0, 1.0, -0.4])
        solver = TransportSolver(transport)
        x = solver.solve(operator, external[None, None, :, None], what=lambda _: "it")[0, :, 0, 0]
        totals = [currents(operator, x, external), float(operator.relaxed_charge(x[:, None, None])[0])]
        solutions.append((everywhere(mesh, x), totals))
    (x, totals), (x_serial, totals_serial) = solutions
    assert_same(x, x_serial)
    assert_same(totals[0], totals_serial[0])
    assert_same(totals[1], totals_serial[1])
    assert abs(totals[0].sum() - totals[1]) < 1e-10 * np.abs(totals[0]).max()


@TWO
@pytest.mark.parametrize(
    "gap", [GapModel("uniform", at="point_A"), pytest.param(GapModel(), marks=pytest.mark.slow)]
)
def test_electron_electron_collisions(gap: GapModel) -> None:
    grid = EnergyAxis(np.linspace(0.0, 6.0, 31))
    flow = None if gap.follows_bias else Supercurrent("left", "right", "phase_gradient", (0.1,))
    found, expected = (
        UsadelProblem(
            wire(line_mesh(8, 9, comm), "point_A", "point_B"),
            grid,
            0.05,
            gap,
            supercurrent=flow,
            collisions=InelasticCollisions(1e-3),
        )
        for comm in (WORLD, SELF)
    )
    point = Point(9e-4, supercurrent=0.0 if flow is None else 0.1)
    here, serial = solve_point(found, point), solve_point(expected, point)
    assert_same(conductances(found, here), conductances(expected, serial))
    # Newton's method leaves 1e-13 of the rates at which cells exchange f_L.
    assert_same(found.ledger(here).relaxed, expected.ledger(serial).relaxed, 1e-9)
    mesh, whole = found.device.mesh, expected.device.mesh
    assert_same(everywhere(mesh, here.spectral.gap), everywhere(whole, serial.spectral.gap))
    for energy in (5, 10, 20):
        f, f_serial = (s.kinetic.deviation(0)[:, energy] for s in (here, serial))
        assert_same(everywhere(mesh, f), everywhere(whole, f_serial), 1e-9)
