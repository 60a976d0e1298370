"""A mesh divided over ranks is the serial mesh in pieces: cells, faces, names, neighbours, ghosts, report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mixed_meshes import mixed_cells
from mpi4py import MPI
from scipy.spatial import cKDTree

from fvqp.errors import MeshError
from fvqp.mesh import Mesh, build_mesh, quality, read_mesh, shape_mesh

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF


def mixed(comm: MPI.Comm) -> Mesh:
    if comm.rank > 0:
        return build_mesh(None, None, comm=comm)
    points, cells = mixed_cells()
    kind = np.concatenate([np.full(len(rows), i) for i, (_, rows) in enumerate(cells)])
    hexes = cells[1][1]
    floor = hexes[np.all(points[hexes[:, :4], 2] == 0.0, axis=1), :4]
    regions = {"top": np.flatnonzero(kind >= 2), "all": np.arange(len(kind))}
    between = hexes[np.all(points[hexes[:, 4:], 2] == 2.0, axis=1), 4:]
    return build_mesh(points, cells, regions, {"floor": floor, "between": between}, comm, name="mixed")


MESHES: dict[str, Callable[[MPI.Comm], Mesh]] = {
    "line": lambda comm: read_mesh("meshes/ryan_wire/line.msh", length_unit="um", comm=comm),
    "film": lambda comm: read_mesh("meshes/ryan_wire/film.msh", length_unit="um", comm=comm),
    "wire_3d": lambda comm: read_mesh("meshes/ryan_wire/wire_3d.msh", length_unit="um", comm=comm),
    "mixed": mixed,
    "grid2d": lambda comm: shape_mesh(
        "grid2d", nx=9, Lx=3.0, dy=[0.1, 0.3, 0.2], regions={"r": (0, 1)}, boundaries={"m": 1.0}, comm=comm
    ),
    "cylindrical2d": lambda comm: shape_mesh("cylindrical2d", nx=7, Lx=1.0, ny=3, Ly=1.0, comm=comm),
}


@pytest.fixture(params=MESHES, scope="module")
def pair(request: pytest.FixtureRequest) -> tuple[Mesh, Mesh]:
    """The distributed mesh and the whole of it, the latter on every rank by itself."""
    return MESHES[request.param](WORLD), MESHES[request.param](SELF)


def reference_faces(mesh: Mesh, whole: Mesh) -> np.ndarray:
    """The whole mesh's face for each local face, by position."""
    size = np.ptp(whole.points, axis=0)
    size[size == 0] = 1.0
    distance, face = cKDTree(whole.face_centroid / size).query(mesh.face_centroid / size)
    assert np.max(distance, initial=0.0) < 1e-12
    return face


def same_everywhere(value: object) -> bool:
    return len(set(WORLD.allgather(value))) == 1


def test_cells(pair: tuple[Mesh, Mesh]) -> None:
    mesh, whole = pair
    assert mesh.n_global == whole.n_cells == WORLD.allreduce(mesh.n_owned)
    owned = np.concatenate(WORLD.allgather(mesh.global_id[: mesh.n_owned]))
    assert np.array_equal(np.sort(owned), np.arange(whole.n_cells))
    assert np.all(np.diff(mesh.global_id[: mesh.n_owned]) > 0) and mesh.n_owned > 0
    g = mesh.global_id
    assert np.array_equal(whole.global_id, np.arange(whole.n_cells))
    assert mesh.volume == pytest.approx(whole.volume[g], rel=1e-13)
    assert mesh.centroid == pytest.approx(whole.centroid[g], rel=1e-13, abs=1e-15 * np.ptp(whole.points))
    assert np.array_equal(mesh.cell_type, whole.cell_type[g])
    assert mesh.total(mesh.volume) == pytest.approx(whole.volume.sum(), rel=1e-13)
    assert sum(len(cells) for _, _, cells in mesh.cell_blocks) == mesh.n_cells


@pytest.mark.parametrize("cells", [(60, 40), (20, 12, 10)])
def test_no_rank_holds_more_than_its_part(cells: tuple[int, ...]) -> None:
    """Even shares, and one layer of ghosts that is less than two cross-sections of the whole."""
    counts = dict(zip(("nx", "ny", "nz"), cells, strict=False))
    lengths = dict(zip(("Lx", "Ly", "Lz"), (6.0, 4.0, 2.0)[: len(cells)], strict=False))
    mesh = shape_mesh(f"grid{len(cells)}d", **counts, **lengths, comm=WORLD)  # type: ignore[arg-type]
    assert abs(mesh.n_owned - mesh.n_global / WORLD.size) <= WORLD.size
    most = mesh.n_owned if WORLD.size == 1 else mesh.n_owned + 2 * mesh.n_global // min(cells)
    assert mesh.n_owned <= mesh.n_cells <= most
    assert len(mesh.volume) == len(mesh.centroid) == len(mesh.cell_region) == mesh.n_cells
    assert len(mesh.face_area) <= 2 * len(cells) * mesh.n_cells
    assert len(mesh.points) <= 2 ** len(cells) * mesh.n_cells


def test_names(pair: tuple[Mesh, Mesh]) -> None:
    mesh, whole = pair
    assert list(mesh.regions) == list(whole.regions) == mesh.region_names
    assert list(mesh.boundaries) == list(whole.boundaries)
    assert np.array_equal(mesh.cell_region, whole.cell_region[mesh.global_id])
    for name, cells in mesh.regions.items():
        expected = np.flatnonzero(np.isin(mesh.global_id, whole.regions[name]))
        assert np.array_equal(np.sort(cells), expected)
    face = reference_faces(mesh, whole)
    for name, faces in mesh.boundaries.items():
        assert np.array_equal(np.sort(faces), np.flatnonzero(np.isin(face, whole.boundaries[name])))


def test_faces(pair: tuple[Mesh, Mesh]) -> None:
    mesh, whole = pair
    face = reference_faces(mesh, whole)
    g = np.append(mesh.global_id, -1)
    assert np.array_equal(g[mesh.face_cells], whole.face_cells[face])
    assert mesh.face_area == pytest.approx(whole.face_area[face], rel=1e-12)
    assert mesh.face_normal == pytest.approx(whole.face_normal[face], abs=1e-12)
    assert WORLD.allreduce(int(mesh.face_owned.sum())) == whole.n_faces
    touched = np.any((mesh.face_cells >= 0) & (mesh.face_cells < mesh.n_owned), axis=1)
    assert np.all(touched)
    assert np.all(mesh.face_cells[mesh.outer_faces, 0] < mesh.n_owned)


def test_fluxes(pair: tuple[Mesh, Mesh]) -> None:
    """Two-point fluxes of a smooth field: what leaves each cell, and what leaves the mesh."""

    def divergence(m: Mesh) -> np.ndarray:
        u = np.sin(3.0 * m.centroid[:, 0] / np.ptp(whole.points[:, 0])) + m.centroid[:, 1]
        a, b = m.face_cells.T
        inner = b >= 0
        flux = m.face_area * np.where(inner, u[b] - u[a], 1.0 + u[a])
        out = np.zeros(m.n_cells)
        np.add.at(out, a, flux)
        np.add.at(out, b[inner], -flux[inner])
        return out[: m.n_owned]

    mesh, whole = pair
    expected = divergence(whole)
    scale = np.abs(expected).max()
    assert divergence(mesh) == pytest.approx(expected[mesh.global_id[: mesh.n_owned]], abs=1e-13 * scale)
    assert mesh.total(divergence(mesh)) == pytest.approx(expected.sum(), abs=1e-12 * scale)


def test_exchange(pair: tuple[Mesh, Mesh]) -> None:
    mesh, _ = pair
    g = mesh.global_id
    for full in (
        g.astype(float),
        g.copy(),
        np.stack([g, g**2, -g], axis=1) * 0.5,
        g[:, None, None] * np.ones((2, 3)),
    ):
        a = full.copy()
        a[mesh.n_owned :] = -7
        mesh.exchange(a)
        assert np.array_equal(a, full)


def test_exchange_of_rows(pair: tuple[Mesh, Mesh]) -> None:
    """Rows of three directions a cell, of which a ghost wants what its number says."""
    mesh, _ = pair
    direction, g = np.arange(3), mesh.global_id[:, None]
    full = 10.0 * g + direction
    wanted = (g + direction) % 3 == 1
    a = full.reshape(-1, 1).copy()
    ghosts = np.repeat(np.arange(mesh.n_cells) >= mesh.n_owned, 3)
    a[ghosts] = -7.0
    mesh.exchange.of_rows(wanted)(a)
    assert np.array_equal(a[:, 0], np.where(ghosts & ~wanted.ravel(), -7.0, full.ravel()))


def test_vertex_neighbours(pair: tuple[Mesh, Mesh]) -> None:
    mesh, whole = pair
    indptr, indices = mesh.vertex_neighbours()
    all_ptr, all_indices = whole.vertex_neighbours()
    assert len(indptr) == mesh.n_owned + 1
    for cell in range(0, mesh.n_owned, max(mesh.n_owned // 50, 1)):
        g = mesh.global_id[cell]
        here = np.sort(mesh.global_id[indices[indptr[cell] : indptr[cell + 1]]])
        assert np.array_equal(here, all_indices[all_ptr[g] : all_ptr[g + 1]])


def test_report(pair: tuple[Mesh, Mesh]) -> None:
    mesh, whole = pair
    here, there = quality.report(mesh), quality.report(whole)
    assert same_everywhere(str(here))
    for name in ("cells", "n_points", "n_faces", "n_outer_faces", "n_oblique", "components", "unnamed_cells"):
        assert getattr(here, name) == getattr(there, name), name
    for name in (
        "volume_min",
        "volume_max",
        "volume_total",
        "angle_max",
        "angle_mean",
        "aspect_max",
        "aspect_mean",
    ):
        assert getattr(here, name) == pytest.approx(getattr(there, name), rel=1e-11), name
    assert here.extent == pytest.approx(there.extent)
    for name, (count, volume) in there.regions.items():
        assert here.regions[name] == (count, pytest.approx(volume, rel=1e-12))
    for name, (count, area, inside) in there.boundaries.items():
        assert here.boundaries[name] == (count, pytest.approx(area, rel=1e-12), inside)


def test_mixed_mesh_fills_its_body() -> None:
    """Blocks 6 × 3 × 2, twelve pyramids of volume 1/4, seventeen tets with opposite edges of length 1."""
    mesh = mixed(WORLD)
    assert mesh.total(mesh.volume) == pytest.approx(36.0 + 12 * 0.25 + 17 * 0.75 / 6.0, rel=1e-14)
    vector = mesh.face_area[:, None] * mesh.face_normal
    total = np.zeros((mesh.n_cells, 3))
    np.add.at(total, mesh.face_cells[:, 0], vector)
    inner = mesh.face_cells[:, 1] >= 0
    np.add.at(total, mesh.face_cells[inner, 1], -vector[inner])
    assert np.abs(total[: mesh.n_owned]).max() < 1e-15


def test_components() -> None:
    """Three separate rows of cells, numbered across the rows."""
    mesh = None
    if WORLD.rank == 0:
        start = np.array([0, 20, 40])
        cells = (start[None, :] + np.arange(15)[:, None]).ravel()
        mesh = build_mesh(
            np.arange(60.0)[:, None],
            [("line", np.stack([cells, cells + 1], axis=1))],
            comm=WORLD,
            name="rows",
        )
    else:
        mesh = build_mesh(None, None, comm=WORLD)
    count, part = mesh.components()
    assert count == 3
    assert np.array_equal(part, mesh.global_id % 3)


def test_every_rank_hears_of_a_problem(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="no such file"):
        read_mesh(tmp_path / "none.msh", comm=WORLD)
    points = np.arange(4.0)[:, None]
    lines = [("line", np.array([[0, 1], [1, 2], [2, 3], [3, 2]]))]
    with pytest.raises(MeshError, match="same cell twice"):
        build_mesh(points, lines, comm=WORLD)
    with pytest.raises(MeshError, match="holds no face"):
        shape_mesh("grid1d", nx=8, Lx=1.0, boundaries={"p": 0.3}, comm=WORLD)
    folded = np.concatenate([np.arange(12.0), [11.0]])[:, None]
    with pytest.raises(MeshError, match=r"cell 11 \(line\).*zero length"):
        build_mesh(folded, [("line", np.stack([np.arange(12), np.arange(1, 13)], axis=1))], comm=WORLD)


def test_more_ranks_than_cells() -> None:
    few = max(WORLD.size - 1, 1)
    if WORLD.size == 1:
        assert shape_mesh("grid1d", nx=few, Lx=1.0, comm=WORLD).n_owned == 1
        return
    with pytest.raises(MeshError, match=f"run on at most {few} ranks"):
        shape_mesh("grid1d", nx=few, Lx=1.0, comm=WORLD)


def test_one_cell_a_rank() -> None:
    mesh = shape_mesh("grid1d", nx=WORLD.size, Lx=1.0, comm=WORLD)
    assert mesh.n_owned == 1
