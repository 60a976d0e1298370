"""Streaming on several ranks is streaming on one: rates, steps, implicit solutions, messages."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from streaming_problems import sided
from transport_problems import mixed_cells, skewed_quads

from fvqp.errors import CaseError, MeshError
from fvqp.mesh import Mesh, build_mesh, shape_mesh
from fvqp.mesh.periodic import identified
from fvqp.mesh.quality import projections
from fvqp.models.boltzmann.streaming import StreamingSolver
from fvqp.transport.directions import Directions, lebedev, product, revolved
from fvqp.transport.geometry import face_geometry
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import MIRROR, AcousticInterface, Wall

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = [pytest.mark.mpi, pytest.mark.ranks(2, 4)]

RAW = {"quads": skewed_quads(6), "solid": mixed_cells(3)}
SETS: dict[str, Directions] = {"quads": lebedev(7).folded((0.0, 0.0, 1.0)), "solid": product(2, 4)}
SPEEDS = np.array([0.5, 1.0, 2.0])
SCATTERING = np.array([[0.0, 2.0, 200.0]])


@pytest.fixture(params=list(RAW), scope="module")
def pair(request: pytest.FixtureRequest) -> tuple[str, Mesh, Mesh]:
    """The distributed mesh and the whole of it, the latter on every rank by itself."""
    return request.param, sided(RAW[request.param], WORLD), sided(RAW[request.param], SELF)


def streaming_on(mesh: Mesh, kind: str, scheme: Scheme, gap: bool) -> Streaming:
    walls = {name: MIRROR for name in mesh.boundaries}
    walls |= {"left": Wall(bath=1.0), "right": Wall(0.3, 0.5), "top": Wall(0.1, 0.0, 0.4)}
    states = 1.0 + 0.3 * np.sin(5.0 * mesh.global_id[:, None] + np.arange(3)) if gap else None
    return mesh_streaming(mesh, SETS[kind], SPEEDS, walls, states=states, scheme=scheme)


def occupation(mesh: Mesh, count: int) -> np.ndarray:
    phase = 0.3 * mesh.global_id[:, None, None] + 0.7 * np.arange(count)[:, None] + np.arange(3)
    return 0.5 + 0.4 * np.sin(phase)


@pytest.mark.parametrize("scheme", ["upwind", "linear", "limited"])
def test_rates(pair: tuple[str, Mesh, Mesh], scheme: Scheme) -> None:
    kind, mesh, whole = pair
    for gap in (False, True):
        here, there = (streaming_on(m, kind, scheme, gap) for m in (mesh, whole))
        assert here.largest_step() == pytest.approx(there.largest_step(), rel=1e-13)
        for scattering in (None, SCATTERING):
            rates, lost = here.rates(occupation(mesh, SETS[kind].count), scattering)
            expected, all_lost = there.rates(occupation(whole, SETS[kind].count), scattering)
            assert rates == pytest.approx(expected[mesh.global_id[: mesh.n_owned]], rel=1e-11, abs=1e-12)
            assert WORLD.allreduce(lost) == pytest.approx(all_lost, rel=1e-12, abs=1e-14)


@pytest.mark.ranks(2)
def test_evolution(pair: tuple[str, Mesh, Mesh]) -> None:
    """A hundred explicit steps; ghosts are exchanged between."""
    kind, mesh, whole = pair
    found = []
    for m in (mesh, whole):
        streaming = streaming_on(m, kind, "limited", False)
        f = occupation(m, SETS[kind].count)
        step = streaming.largest_step()
        for _ in range(100):
            f[: m.n_owned] += step * streaming.rates(f)[0]
            m.exchange(f)
        found.append(f)
    assert found[0] == pytest.approx(found[1][mesh.global_id], abs=1e-11)


@pytest.mark.ranks(2)
@pytest.mark.parametrize("scheme", [pytest.param("upwind", marks=pytest.mark.slow), "linear"])
def test_implicit(pair: tuple[str, Mesh, Mesh], scheme: Scheme) -> None:
    """The same solution on any number of ranks, ghosts included."""
    kind, mesh, whole = pair
    removal = np.array([[0.1, 0.0, 0.0]])
    found = []
    for m in (mesh, whole):
        solver = StreamingSolver(streaming_on(m, kind, scheme, True), tolerance=1e-13)
        source = occupation(m, SETS[kind].count)[: m.n_owned]
        found.append(solver.solve(source, removal, SCATTERING))
    assert found[0] == pytest.approx(found[1][mesh.global_id], rel=1e-10)


def test_every_rank_hears_of_a_problem() -> None:
    """A mirror that only one rank sees, and that the directions cannot represent."""
    mesh = None
    if WORLD.rank == 0:
        points = np.array([[x, y, 0.0] for x in range(9) for y in range(2)])
        points[-1, 0] += 0.5
        low = 2 * np.arange(8)
        quads = np.stack([low, low + 2, low + 3, low + 1], axis=1)
        mesh = build_mesh(points, [("quad", quads)], {}, {"end": np.array([[16, 17]])}, WORLD)
    else:
        mesh = build_mesh(None, None, comm=WORLD)
    with pytest.raises(CaseError, match="wall 'end' of mesh: directions .* not in the set"):
        mesh_streaming(mesh, SETS["quads"], SPEEDS, {"end": MIRROR}, elsewhere=Wall())
    speeds = np.ones((mesh.n_cells, 1))
    speeds[mesh.global_id == 0] = -1.0
    with pytest.raises(CaseError, match="speeds must be finite and not negative"):
        mesh_streaming(mesh, SETS["quads"], speeds, {}, elsewhere=Wall())


def test_every_rank_hears_of_a_distorted_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose centroid is before a face, for all that one rank sees."""
    mesh = shape_mesh("grid2d", nx=4, Lx=1.0, ny=4, Ly=1.0, comm=WORLD)

    def distorted(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
        distance, offset = projections(mesh)
        return np.where((distance < np.inf) & (WORLD.rank == 0), -distance, distance), offset

    monkeypatch.setattr("fvqp.transport.geometry.projections", distorted)
    whole = np.ones(mesh.n_cells)
    none = np.empty(0, np.int32)
    for use in (
        lambda: mesh_streaming(mesh, SETS["quads"], SPEEDS, {}, elsewhere=Wall()),
        lambda: face_geometry(mesh, whole, whole.astype(np.int32), none),
    ):
        with pytest.raises(MeshError, match=r"grid2d: the centroid of cell \d+ does not lie behind"):
            use()


@pytest.mark.ranks(2)
@pytest.mark.parametrize("dim", [2, 3])
def test_periodic_bodies_with_an_interface(dim: int) -> None:
    """Images of cells on other ranks, and on the same; refraction at faces between ranks."""
    found = []
    sides = {"nx": 6, "Lx": 1.0, "ny": 4, "Ly": 1.0} | ({"nz": 3, "Lz": 1.0} if dim == 3 else {})
    halves = {name: (x, *(None,) * (dim - 1)) for name, x in (("a", (0.0, 0.5)), ("b", (0.5, 1.0)))}
    directions = product(2, 4) if dim == 3 else lebedev(7).folded((0.0, 0.0, 1.0))
    pairs = [("bottom", "top"), ("front", "back")][: dim - 1]
    for comm in (WORLD, SELF):
        mesh = identified(shape_mesh(f"grid{dim}d", **sides, regions=halves, comm=comm), pairs)
        slow = np.zeros((mesh.n_cells, 1), bool)
        slow[mesh.regions["b"]] = True
        streaming = mesh_streaming(
            mesh,
            directions,
            np.where(slow, 0.5 * SPEEDS, SPEEDS),
            {"left": Wall(0.3, 0.0, 0.4), "right": Wall(bath=1.0)},
            states=np.where(slow, 8.0, 1.0) * np.ones((1, 3)),
            interfaces=[AcousticInterface(("b", "a"), (2.0, 1.0))],
            scheme="linear",
        )
        f = occupation(mesh, directions.count)
        rates, lost = streaming.rates(f, SCATTERING)
        solution = StreamingSolver(streaming).solve(f[: mesh.n_owned], np.ones((1, 3)), SCATTERING)
        balance = comm.allreduce(streaming.content(rates) + lost[: len(streaming.walls)].sum(axis=0))
        assert np.abs(balance).max() < 1e-13
        found.append((mesh.global_id[: mesh.n_owned], rates, comm.allreduce(lost), solution[: mesh.n_owned]))
    (own, rates, lost, solution), (_, expected, all_lost, whole) = found
    assert rates == pytest.approx(expected[own], rel=1e-11, abs=1e-12)
    assert lost == pytest.approx(all_lost, rel=1e-12, abs=1e-14)
    assert solution == pytest.approx(whole[own], rel=0.0, abs=1e-10)


@pytest.mark.ranks(2)
def test_bodies_of_revolution() -> None:
    """Rates, and a solution with scattering, on a mesh of radius and height."""
    shape = {"nx": 9, "Lx": 1.0, "ny": 5, "Ly": 0.7}
    found = []
    for comm in (WORLD, SELF):
        mesh = shape_mesh("cylindrical2d", comm=comm, **shape)
        walls = {"bottom": MIRROR, "right": Wall(0.3, 0.5), "top": Wall(bath=0.4)}
        for scheme in ("linear", "limited"):
            made = mesh_streaming(mesh, revolved(4, 6), SPEEDS, walls, elsewhere=Wall(0.0), scheme=scheme)
            rates, lost = made.rates(occupation(mesh, made.directions.count), SCATTERING)
            found.append((mesh, rates, comm.allreduce(lost)))
        solver = StreamingSolver(made.homogeneous("linear"), tolerance=1e-12)
        f = solver.solve(np.ones(rates.shape), np.full((1, 3), 0.1), SCATTERING)
        found.append((mesh, f[: mesh.n_owned], comm.allreduce(solver.passed)))
    for (mesh, here, lost), (_, whole, all_lost) in zip(found[:3], found[3:], strict=True):
        expected = whole[mesh.global_id[: mesh.n_owned]]
        assert here == pytest.approx(expected, rel=1e-10, abs=1e-12)
        assert lost == pytest.approx(all_lost, rel=1e-10, abs=1e-12)
