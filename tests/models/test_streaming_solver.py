"""Implicit streaming: against a dense matrix, balances, energies that behave differently, messages."""

from __future__ import annotations

import numpy as np
import pytest
from shells import radial_streaming, shell_mesh
from streaming_problems import SELF, UP, meshes, sided, sphere_or_cylinder, spiral
from transport_problems import skewed_quads

from fvqp.errors import CaseError
from fvqp.mesh import shape_mesh
from fvqp.models.boltzmann.streaming import StreamingSolver
from fvqp.transport import ordinates
from fvqp.transport.directions import gauss_legendre, lebedev, product
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import MIRROR, TransmittingInterface, Wall

NONE = np.zeros((1, 1))


def dense(streaming: Streaming, removal: np.ndarray, scattering: np.ndarray) -> np.ndarray:
    """Left-hand sides of unit vectors, ``(energy, unknown, unknown)``, without what baths send in."""
    layout, count = streaming.layout, streaming.directions.count
    size = layout.n_cells * count
    shape = (layout.n_cells, count, streaming.n_energies)
    none, _ = streaming.rates(np.zeros(shape), scattering)
    out = np.empty((streaming.n_energies, size, size))
    for k in range(size):
        f = np.zeros((size, streaming.n_energies))
        f[k] = 1.0
        f = f.reshape(shape)
        mean = streaming.directions.mean(f)[:, None, :]
        moved = streaming.rates(f, scattering)[0] - none
        left = (removal + scattering)[:, None, :] * f - scattering[:, None, :] * mean - moved
        out[:, :, k] = left.reshape(size, -1).T
    return out


@pytest.mark.parametrize("scheme", ["upwind", "linear"])
@pytest.mark.parametrize("kind", ["sphere", "cylinder", "quads"])
def test_against_a_dense_matrix(kind: str, scheme: Scheme) -> None:
    """Three energies, from transparent to opaque, with steps of the gap, baths and returning walls."""
    rng = np.random.default_rng(6)
    wall = Wall([0.2, 0.9, 1.0], 0.5, 0.3)
    speed = np.array([0.5, 1.0, 2.0])
    if kind == "quads":
        mesh = sided(skewed_quads(4))
        states = rng.uniform(0.5, 1.0, (mesh.n_cells, 3))
        streaming = mesh_streaming(
            mesh, lebedev(5).folded(UP), speed, {}, elsewhere=wall, states=states, scheme=scheme
        )
    else:
        shells = shell_mesh(np.linspace(0.0, 1.0, 9), "spherical" if kind == "sphere" else "cylindrical")
        states = rng.uniform(0.5, 1.0, (8, 3))
        directions = sphere_or_cylinder(shells.coordinates, 4)
        streaming = radial_streaming(shells, directions, speed, wall, states=states, scheme=scheme)
    n, count = streaming.layout.n_cells, streaming.directions.count
    removal = rng.uniform(0.1, 1.0, (n, 3))
    scattering = rng.uniform(0.5, 1.0, (n, 3)) * [0.0, 3.0, 1e3]
    source = rng.uniform(size=(n, count, 3))
    f = StreamingSolver(streaming).solve(source, removal, scattering)
    inflow, _ = streaming.rates(np.zeros_like(f), scattering)
    rhs = (source + inflow).reshape(n * count, 3)
    expected = np.linalg.solve(dense(streaming, removal, scattering), rhs.T[:, :, None])[:, :, 0].T
    assert f.reshape(n * count, 3) == pytest.approx(expected, rel=1e-7, abs=1e-8)


def test_balance() -> None:
    """Produced = removed + taken in by walls, energy by energy, to the tolerance of the solve."""
    mesh, directions = meshes()["mixed solid"]
    streaming = mesh_streaming(mesh, directions, [1.0, 0.3], {}, elsewhere=Wall([0.1, 1.0]), scheme="linear")
    source = np.random.default_rng(7).uniform(size=(mesh.n_cells, directions.count, 2))
    removal, scattering = np.array([[0.4, 0.0]]), np.array([[5.0, 80.0]])
    f = StreamingSolver(streaming, tolerance=1e-12).solve(source, removal, scattering)
    _, lost = streaming.rates(f, scattering)
    produced = streaming.content(source)
    assert streaming.content(f) * removal[0] + lost.sum(axis=0) == pytest.approx(produced, rel=1e-11)


def test_equilibrium() -> None:
    """A body between baths of one occupation is filled to it, at every energy and depth."""
    mesh = sided(skewed_quads(5))
    directions = product(2, 8).folded(UP)
    walls = {"left": Wall(bath=0.3), "right": Wall(0.2, 1.0, 0.3)}
    streaming = mesh_streaming(mesh, directions, [1.0, 1.0, 1.0], walls, elsewhere=MIRROR, scheme="linear")
    scattering = np.array([[0.0, 1.0, 1e3]])
    f = StreamingSolver(streaming).solve(np.zeros((mesh.n_cells, directions.count, 3)), NONE, scattering)
    assert np.abs(f - 0.3).max() < 1e-7


def test_steps_forget_the_past() -> None:
    """Long steps of backward Euler end in the steady state; a guess that solves the problem costs nothing."""
    shells = shell_mesh(np.linspace(0.0, 1.0, 13), "spherical")
    streaming = radial_streaming(shells, sphere_or_cylinder("spherical", 4), [1.0], Wall(), scheme="linear")
    solver = StreamingSolver(streaming)
    source, scattering = np.ones((12, 4, 1)), np.array([[20.0]])
    steady = solver.solve(source, NONE, scattering)
    f, step = np.zeros_like(steady), 10.0
    for _ in range(30):
        f = solver.solve(source + f / step, np.array([[1.0 / step]]), scattering, guess=f)
    assert f == pytest.approx(steady, rel=1e-7)
    solver.solve(source, NONE, scattering, guess=steady)
    assert solver.iterations <= 1


def test_follows_other_speeds() -> None:
    """A solver that goes on with other speeds and states is one that was made for them."""
    shells = shell_mesh(np.linspace(0.0, 1.0, 13), "spherical")
    slow = radial_streaming(shells, sphere_or_cylinder("spherical", 4), [1.0], Wall(), scheme="upwind")
    steep = np.linspace(1.0, 4.0, 12)[:, None]
    fast = slow.at(steep, 2.0 / steep)
    source, removal, scattering = np.ones((12, 4, 1)), np.array([[0.1]]), np.array([[50.0]])
    solver, made = StreamingSolver(slow), StreamingSolver(fast)
    before = solver.solve(source, removal, scattering)
    solver.follow(fast)
    found, expected = (each.solve(source, removal, scattering) for each in (solver, made))
    assert np.array_equal(found, expected) and solver.iterations == made.iterations
    assert np.array_equal(solver.passed, made.passed)
    assert np.abs(found - before).max() > 0.01


def test_diffusion_crosses_steps_of_the_gap() -> None:
    """Opaque line between baths: f is linear wherever Δ is below the energy, whatever Δ(x)."""
    mesh = shape_mesh("grid1d", nx=12, Lx=1.0, comm=SELF)
    energy = np.array([1.05, 1.5, 4.0])
    gap = np.where(mesh.centroid[:, 0] < 0.5, 0.2, 1.0)[:, None]
    velocity = np.sqrt(1.0 - (gap / energy) ** 2)
    # Elastic scattering at the rate v/ℓ.
    path = 1e-4
    walls = {"left": Wall(bath=1.0), "right": Wall()}
    streaming = mesh_streaming(
        mesh, gauss_legendre(4), velocity, walls, states=1.0 / velocity, scheme="linear"
    )
    f = StreamingSolver(streaming).solve(np.zeros((12, 4, 3)), NONE, velocity / path)
    expected = (1.0 - mesh.centroid[:, 0])[:, None] * np.ones(3)
    assert streaming.directions.mean(f) == pytest.approx(expected, abs=2e-4)


def test_resistance_of_an_interface() -> None:
    """Opaque line with an interface of transmission η: Marshak's resistance, (1 − η)/(η/4)."""
    mesh = shape_mesh("grid1d", nx=12, Lx=1.0, regions={"a": ((0, 0.5),), "b": ((0.5, 1),)}, comm=SELF)
    eta = np.array([1e-3, 1e-2, 0.5])
    depth = 300.0
    walls = {"left": Wall(bath=1.0), "right": Wall()}
    streaming = mesh_streaming(
        mesh,
        gauss_legendre(8),
        np.ones(3),
        walls,
        interfaces=[TransmittingInterface(("a", "b"), eta)],
        scheme="linear",
    )
    scattering = np.full((1, 3), depth)
    f = StreamingSolver(streaming).solve(np.zeros((12, 8, 3)), NONE, scattering)
    _, lost = streaming.rates(f, scattering)
    expected = 1.0 / (3.0 * depth + 4.0 * (1.0 - eta) / eta + 4.0)
    assert lost[1] == pytest.approx(expected, rel=2e-3)


@pytest.mark.parametrize("blocks", [1, 4])
def test_rings_of_cells(blocks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells that wait for each other in a circle, in a block or across blocks, are left to the iteration."""
    monkeypatch.setattr(ordinates, "BLOCKS", blocks)
    mesh = spiral()
    streaming = mesh_streaming(mesh, product(8, 4), [1.0], {}, elsewhere=Wall(), scheme="upwind")
    assert (streaming.circles > 0) == (blocks == 1)
    source = np.random.default_rng(3).uniform(size=(6, 32, 1))
    f = StreamingSolver(streaming).solve(source, NONE, NONE)
    assert -streaming.rates(f)[0] == pytest.approx(source, abs=1e-8)


@pytest.mark.parametrize(
    ("scheme", "speed", "removal", "message"),
    [
        ("limited", 1.0, NONE, "'limited' is not linear"),
        ("upwind", 0.0, NONE, "neither move nor are removed"),
        ("upwind", 1.0, -np.ones((1, 1)), "removal must be finite and not negative"),
        ("upwind", 1.0, np.ones((3, 1)), r"removal have shape \(3, 1\), needed is \(2, 1\)"),
    ],
)
def test_messages(scheme: Scheme, speed: float, removal: np.ndarray, message: str) -> None:
    shells = shell_mesh([0.0, 0.5, 1.0], "spherical")
    streaming = radial_streaming(shells, sphere_or_cylinder("spherical", 4), [speed], Wall(), scheme=scheme)
    with pytest.raises(CaseError, match=message):
        StreamingSolver(streaming).solve(np.ones((2, 4, 1)), removal, NONE)


@pytest.mark.parametrize(("scheme", "below"), [("upwind", 0.0), ("linear", 0.08)])
def test_transparent_beside_opaque(scheme: Scheme, below: float) -> None:
    """A checkerboard of free paths of 100 and of 10⁻⁴: no overshoots of the upwind scheme, few iterations."""
    mesh = shape_mesh("grid2d", nx=10, Lx=1.0, ny=10, Ly=1.0, comm=SELF)
    dark = (mesh.centroid[:, 0] > 0.5) != (mesh.centroid[:, 1] > 0.5)
    walls = {"left": Wall(bath=1.0), "right": Wall()}
    streaming = mesh_streaming(
        mesh,
        product(4, 8).folded(UP),
        [1.0],
        walls,
        elsewhere=MIRROR,
        medium=dark.astype(np.int32),
        scheme=scheme,
    )
    solver = StreamingSolver(streaming, tolerance=1e-8)
    scattering = np.where(dark, 1e4, 1e-2)[:, None]
    f = solver.solve(np.zeros((100, streaming.directions.count, 1)), NONE, scattering)
    assert f.min() > -below
    assert f.max() < 1.0 + below
    assert solver.iterations < 80


def test_beam_on_an_opaque_body() -> None:
    """An opaque body fills until it returns what falls on it, from whatever direction: to 4 × the flux."""
    mesh = shape_mesh("grid1d", nx=10, Lx=1.0, comm=SELF)
    directions = gauss_legendre(8)
    beam = np.zeros((8, 1))
    beam[-1] = 1.0
    walls = {"left": Wall(bath=beam), "right": Wall(transmission=0.0)}
    streaming = mesh_streaming(mesh, directions, [1.0], walls, scheme="upwind")
    scattering = np.where(mesh.centroid[:, :1] > 0.5, 1e5, 0.0)
    f = StreamingSolver(streaming).solve(np.zeros((10, 8, 1)), NONE, scattering)
    sent = directions.weights[-1] * directions.vectors[-1, 0] / (4.0 * np.pi)
    quarter = directions.half_range((1.0, 0.0, 0.0)) / 4.0
    assert directions.mean(f)[5:, 0] == pytest.approx(sent / quarter, rel=1e-5)


@pytest.mark.parametrize("wall", [Wall(0.0), Wall(0.0, 1.0)], ids=["rough", "mirror"])
def test_closed_bodies_take_few_iterations(wall: Wall) -> None:
    """Particles that stay for 10⁶ crossings of a cell, free paths of 10⁻³ to 10 cells: walls return them as
    often as collisions turn them, and the number of iterations knows neither of that nor of the mesh.

    Between rough walls the path may be any: they mix directions as collisions do.
    """
    paths = np.array([1e-3, 1e-2, 0.1, 1.0, 10.0] + [1e3, 1e6] * (wall.specularity == 0.0))
    taken = []
    for n in (3, 6):
        mesh = shape_mesh("grid2d", nx=3 * n, Lx=3.0 * n, ny=n, Ly=1.0 * n, comm=SELF)
        streaming = mesh_streaming(
            mesh, product(2, 4).folded(UP), np.ones(len(paths)), {}, elsewhere=wall, scheme="upwind"
        )
        solver = StreamingSolver(streaming, tolerance=1e-8)
        source = np.random.default_rng(8).uniform(size=(mesh.n_cells, streaming.directions.count, len(paths)))
        f = solver.solve(source, np.array([[1e-6]]), 1.0 / paths[None, :])
        assert streaming.content(f) == pytest.approx(1e6 * streaming.content(source), rel=1e-7)
        taken.append(solver.iterations)
    assert max(taken) <= 20
