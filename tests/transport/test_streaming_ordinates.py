"""Streaming on meshes of any cells: uniform fields, balances, positivity, sweeps, walls, messages."""

from __future__ import annotations

import numpy as np
import pytest
from streaming_problems import (
    SCATTERING,
    SCHEMES,
    SELF,
    SPEEDS,
    UP,
    assert_positive,
    assert_uniform_and_balanced,
    meshes,
    sided,
    spiral,
)
from transport_problems import skewed_quads

from fvqp.errors import CaseError, FvqpError, MeshError
from fvqp.mesh import Mesh, build_mesh, shape_mesh
from fvqp.mesh.periodic import identified
from fvqp.models.boltzmann.streaming import StreamingSolver
from fvqp.transport import ordinates
from fvqp.transport.directions import Directions, gauss_legendre, lebedev, product
from fvqp.transport.ordinates import BLOCKS, mesh_streaming
from fvqp.transport.streaming import Scheme
from fvqp.transport.walls import MIRROR, TransmittingInterface, Wall

#: Sets of directions have no mirror images at faces of any direction.
ROUGH = [Wall(bath=0.7), Wall(transmission=0.0), Wall([0.0, 0.3, 0.5, 1.0], 0.0, 0.7)]
KINDS = ["line", "quads", "triangles", "mixed solid"]
FILM = lebedev(9).folded(UP)


@pytest.fixture(scope="module")
def bodies() -> dict[str, tuple[Mesh, Directions]]:
    return meshes()


def square(n: int = 4) -> Mesh:
    boxes = {"west": {"x": (0, 0.5)}, "east": {"x": (0.5, 1)}}
    return shape_mesh(
        "grid2d",
        nx=n,
        Lx=1.0,
        ny=n,
        Ly=1.0,
        regions={name: (box["x"], None) for name, box in boxes.items()},
        comm=SELF,
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_uniform_and_balanced(bodies: dict[str, tuple[Mesh, Directions]], kind: str, scheme: Scheme) -> None:
    """A uniform isotropic occupation stays; what any other one loses, the walls take in."""
    mesh, directions = bodies[kind]
    rng = np.random.default_rng(1)
    for wall in ROUGH:
        for states in (None, rng.uniform(0.2, 1.0, (mesh.n_cells, 4))):
            streaming = mesh_streaming(
                mesh, directions, SPEEDS, {}, elsewhere=wall, states=states, scheme=scheme
            )
            assert_uniform_and_balanced(streaming, rng)


@pytest.mark.parametrize("kind", KINDS)
def test_linear_occupations_stream_exactly(bodies: dict[str, tuple[Mesh, Directions]], kind: str) -> None:
    """``f = c + k·x`` streams at the rate ``−v k·Ω`` in cells without outer faces."""
    mesh, directions = bodies[kind]
    streaming = mesh_streaming(mesh, directions, SPEEDS, {}, elsewhere=Wall(), scheme="linear")
    slope = np.array([0.7, -1.3, 0.4]) * (np.ptp(mesh.points, axis=0) > 0)
    f = np.broadcast_to((2.0 + mesh.centroid @ slope)[:, None, None], (mesh.n_cells, directions.count, 4))
    rates, _ = streaming.rates(f.copy())
    inner = np.setdiff1d(np.arange(mesh.n_cells), mesh.face_cells[mesh.outer_faces, 0])
    assert len(inner)
    expected = -np.multiply.outer(directions.vectors @ slope, SPEEDS)
    assert np.abs(rates[inner] - expected).max() < 1e-12


@pytest.mark.parametrize("scheme", ["upwind", "limited"])
@pytest.mark.parametrize("kind", KINDS)
def test_positive(bodies: dict[str, tuple[Mesh, Directions]], kind: str, scheme: Scheme) -> None:
    """Steps of the length that is stated keep 0 ≤ f ≤ 1."""
    mesh, directions = bodies[kind]
    streaming = mesh_streaming(mesh, directions, SPEEDS, {}, elsewhere=Wall(0.5, 0.0, 1.0), scheme=scheme)
    assert_positive(streaming)


@pytest.mark.parametrize("kind", KINDS)
def test_sweep_inverts(bodies: dict[str, tuple[Mesh, Directions]], kind: str) -> None:
    """Sweeps solve the implicit upwind step in a vacuum, after as many as a path enters blocks."""
    mesh, directions = bodies[kind]
    streaming = mesh_streaming(mesh, directions, SPEEDS, {}, elsewhere=Wall(), scheme="upwind")
    removal = np.array([[0.3, 2.0, 0.01, 1.0]])
    q = np.random.default_rng(2).uniform(size=(mesh.n_owned, directions.count, 4))
    x = np.zeros_like(q)
    for _ in range(4 * BLOCKS):
        x += streaming.sweep(q - removal[:, None, :] * x + streaming.rates(x)[0], removal)
    assert streaming.circles == 0
    assert removal[:, None, :] * x - streaming.rates(x)[0] == pytest.approx(q, abs=1e-12)


def test_cells_that_wait_for_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Repeated sweeps solve a ring of cells each of which is downstream of the next."""
    monkeypatch.setattr(ordinates, "BLOCKS", 1)
    mesh = spiral()
    directions = product(8, 4)
    streaming = mesh_streaming(mesh, directions, SPEEDS, {}, elsewhere=Wall(), scheme="upwind")
    assert streaming.circles > 0
    removal = np.array([[0.3, 2.0, 0.01, 1.0]])
    q = np.random.default_rng(2).uniform(size=(mesh.n_owned, directions.count, 4))
    x = np.zeros_like(q)
    for _ in range(60):
        left = q - removal[:, None, :] * x + streaming.rates(x)[0]
        x += streaming.sweep(left, removal)
    assert np.abs(left).max() < 1e-12


def test_walls_by_direction() -> None:
    """A beam enters where its direction points inward, a mirror returns it, diffuse walls spread it."""
    mesh = square()
    count = FILM.count
    beam = np.zeros((count, 1))
    rightward = int(np.argmax(FILM.vectors[:, 0]))
    beam[rightward] = 1.0
    for right in (MIRROR, Wall(transmission=0.0)):
        streaming = mesh_streaming(
            mesh, FILM, [1.0], {"left": Wall(bath=beam), "right": right}, elsewhere=MIRROR, scheme="upwind"
        )
        rates, _ = streaming.rates(np.zeros((mesh.n_cells, count, 1)))
        first = mesh.face_cells[mesh.boundaries["left"], 0]
        assert np.all(rates[first, rightward] > 0.0)
        rates[first, rightward] = 0.0
        assert not np.any(rates)
        f = np.zeros((mesh.n_cells, count, 1))
        f[:, rightward] = 1.0
        rates, _ = streaming.rates(f)
        returned = rates[mesh.face_cells[mesh.boundaries["right"], 0]].sum(axis=(0, 2))
        leftward = np.flatnonzero(FILM.vectors[:, 0] < -1e-12)
        if right is MIRROR:
            assert np.flatnonzero(returned > 1e-12).tolist() == [int(np.argmin(FILM.vectors[:, 0]))]
        else:
            shares = returned[leftward] / np.abs(FILM.vectors[leftward, 0])
            assert np.all(shares > 0)
            assert shares == pytest.approx(np.full(len(leftward), shares[0]))


def test_interface() -> None:
    """A share η of the smaller side passes, at equilibrium as much one way as the other."""
    mesh = square()
    inside = mesh.cell_region == mesh.region_names.index("west")
    speed = np.where(inside[:, None], 2.0, 0.5) * np.ones((1, 2))
    eta = np.array([0.0, 0.4])
    streaming = mesh_streaming(
        mesh,
        FILM,
        speed,
        {},
        elsewhere=MIRROR,
        interfaces=[TransmittingInterface(("west", "east"), eta)],
        scheme="upwind",
    )
    f = np.zeros((mesh.n_cells, FILM.count, 2))
    f[inside] = 1.0
    rates, _ = streaming.rates(f)
    gained = (mesh.volume[~inside, None] * FILM.mean(rates[~inside])).sum(axis=0)
    flux = FILM.half_range((1.0, 0.0, 0.0)) / 4.0
    assert gained == pytest.approx(eta * 0.5 * flux, abs=1e-14)
    rates, _ = streaming.rates(np.ones_like(f))
    assert np.abs(rates).max() < 1e-12


@pytest.mark.parametrize("scheme", ["upwind", "limited"])
def test_particles_without_speed_beyond_a_face(scheme: Scheme) -> None:
    """Those below the gap of the next region turn back, and equilibrium stays, however often they scatter."""
    mesh = square()
    inside = mesh.cell_region == mesh.region_names.index("west")
    speed = np.where(inside[:, None], [[1.0, 0.5]], [[1.0, 0.0]])
    streaming = mesh_streaming(mesh, FILM, speed, {}, elsewhere=Wall(0.3, 0.0, 0.7), scheme=scheme)
    f = np.full((mesh.n_cells, FILM.count, 2), 0.7)
    for rate in (0.1, 5.0, 1e4):
        rates, _ = streaming.rates(f, np.full((1, 2), rate))
        assert np.abs(rates).max() < 1e-12


def test_blocks_of_directions_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """The result does not depend on how many directions share a block of gradients."""
    mesh = sided(skewed_quads(5))
    f = np.random.default_rng(8).uniform(size=(mesh.n_cells, FILM.count, 4))
    whole, _ = mesh_streaming(mesh, FILM, SPEEDS, {}, elsewhere=Wall(0.3)).rates(f)
    opaque, _ = mesh_streaming(mesh, FILM, SPEEDS, {}, elsewhere=Wall(0.3)).rates(f, SCATTERING)
    monkeypatch.setattr("fvqp.transport.streaming.BLOCK_BYTES", 8 * mesh.n_cells * 2 * 4 * 3)
    for kept in (0, 1 << 28):
        monkeypatch.setattr("fvqp.transport.streaming.KEPT_BYTES", kept)
        streaming = mesh_streaming(mesh, FILM, SPEEDS, {}, elsewhere=Wall(0.3))
        assert np.array_equal(streaming.rates(f)[0], whole)
        assert np.array_equal(streaming.rates(f, SCATTERING)[0], opaque)


def bent() -> Mesh:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])
    return build_mesh(points, [("line", np.array([[0, 1], [1, 2]]))], comm=SELF)


def slanted() -> Mesh:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1.5, 1, 0], [0, 1, 0]])
    return build_mesh(points, [("quad", np.array([[0, 1, 2, 3]]))], comm=SELF)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mesh_streaming(square(), FILM, [1.0], {"left": Wall()}), "12 outer faces have no wall"),
        (lambda: mesh_streaming(square(), FILM, [1.0], {"lfet": Wall()}), "did you mean 'left'"),
        (
            lambda: mesh_streaming(slanted(), FILM, [1.0], {}, elsewhere=MIRROR),
            "wall 'elsewhere' of mesh: directions .* align the wall with the axes",
        ),
        (
            lambda: mesh_streaming(square(), gauss_legendre(4), [1.0], {}, elsewhere=Wall()),
            "not isotropic in its 2 dimensions",
        ),
        (lambda: mesh_streaming(bent(), product(2, 4), [1.0], {}, elsewhere=Wall()), "a line that bends"),
        (
            lambda: mesh_streaming(
                shape_mesh("spherical1d", nx=3, Lx=1.0, comm=SELF), FILM, [1.0], {}, elsewhere=Wall()
            ),
            "shells need spherical or cylindrical ones",
        ),
        (
            lambda: mesh_streaming(
                square(),
                FILM,
                [1.0],
                {},
                elsewhere=Wall(),
                interfaces=[TransmittingInterface(("west", "west"), 0.5)] * 2,
            ),
            "two interfaces share faces",
        ),
        (
            lambda: mesh_streaming(
                square(),
                FILM,
                [1.0],
                {},
                elsewhere=Wall(),
                interfaces=[TransmittingInterface(("west", "north"), 0.5)],
            ),
            "no region 'north'",
        ),
        (
            lambda: TransmittingInterface(("a", "b"), 1.2),
            "interface of a and b: the transmission must be between",
        ),
    ],
)
def test_messages(make: object, message: str) -> None:
    with pytest.raises((CaseError, MeshError), match=message) as caught:
        make()  # type: ignore[operator]
    assert isinstance(caught.value, FvqpError)


def test_walls_that_are_none() -> None:
    """A boundary inside, and one that shares faces with another."""
    mesh = shape_mesh(
        "grid2d",
        nx=4,
        Lx=1.0,
        ny=4,
        Ly=1.0,
        boundaries={"middle": (0.5, None), "low_left": (0.0, (0.0, 0.3))},
        comm=SELF,
    )
    with pytest.raises(CaseError, match="wall 'middle': 4 of its faces lie inside"):
        mesh_streaming(mesh, FILM, [1.0], {"middle": Wall()}, elsewhere=Wall())
    with pytest.raises(CaseError, match="wall 'low_left': 1 of its faces belong to another wall"):
        mesh_streaming(mesh, FILM, [1.0], {"left": Wall(), "low_left": Wall()}, elsewhere=Wall())


@pytest.mark.parametrize("scheme", ["upwind", "limited"])
def test_periodic_walls(scheme: Scheme) -> None:
    """A field and the same field moved along change alike; nothing is lost."""
    whole = shape_mesh("grid2d", nx=6, Lx=1.0, ny=4, Ly=1.0, comm=SELF)
    mesh = identified(whole, [("left", "right"), ("bottom", "top")])
    streaming = mesh_streaming(mesh, FILM, SPEEDS, {}, elsewhere=Wall(), scheme=scheme)
    field = np.random.default_rng(4).uniform(size=(4, 6, FILM.count, 4))
    place = np.round(mesh.centroid[: mesh.n_owned, :2] * (6, 4) - 0.5).astype(int)

    def rates(of: np.ndarray) -> np.ndarray:
        f = np.empty((mesh.n_cells, FILM.count, 4))
        f[: mesh.n_owned] = of[place[:, 1], place[:, 0]]
        mesh.exchange(f)
        rates, _ = streaming.rates(f, SCATTERING)
        assert np.abs(streaming.content(rates)).max() < 1e-14 * streaming.content(np.abs(rates)).max()
        out = np.empty_like(of)
        out[place[:, 1], place[:, 0]] = rates
        return out

    moved = rates(np.roll(field, (1, 2), axis=(0, 1)))
    assert moved == pytest.approx(np.roll(rates(field), (1, 2), axis=(0, 1)), abs=1e-12)
    assert not streaming.walls


def test_implicit_steps_in_periodic_bodies() -> None:
    """A wave along a transparent and a more and more opaque ring decays as its exact solution does."""
    n = 48
    mesh = identified(shape_mesh("grid1d", nx=n, Lx=1.0, comm=SELF), [("left", "right")])
    directions = gauss_legendre(8)
    rate = np.array([[0.5, 5.0, 500.0]])
    streaming = mesh_streaming(mesh, directions, np.ones(3), {}, scheme="linear")
    wave = np.exp(2j * np.pi * mesh.centroid[:n, 0])[:, None, None] * np.ones((1, 8, 3))
    k = 2.0 * np.pi
    own = 1.0 / (1.0 + rate + 1j * k * directions.vectors[:, :1])
    mean = (directions.weights @ own) / (4.0 * np.pi)
    exact = own * (1.0 + rate * mean / (1.0 - rate * mean))
    for part, other in ((wave.real, (wave * exact).real), (wave.imag, (wave * exact).imag)):
        found = StreamingSolver(streaming).solve(np.ascontiguousarray(part), np.ones((1, 3)), rate)[:n]
        assert np.abs(found - other).max() < 5e-3 * np.abs(exact).max()
