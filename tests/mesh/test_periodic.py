"""Periodic meshes: neighbours, geometry and names across boundaries that are one, and messages."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import Mesh, build_mesh, shape_mesh
from fvqp.mesh.periodic import identified

SELF = MPI.COMM_SELF
SIDES = [("left", "right"), ("top", "bottom"), ("front", "back")]


def box(dim: int, **more: object) -> Mesh:
    sizes = {"nx": 5, "Lx": 1.0, "ny": 4, "Ly": 0.8, "nz": 3, "Lz": 0.9}
    keys = {k: v for k, v in sizes.items() if k[1] in "xyz"[:dim]}
    return shape_mesh(f"grid{dim}d", **keys, **more, comm=SELF)


def square(lower: list[float], upper: list[float]) -> Mesh:
    """Three rows of triangles; x of the vertices at the bottom and the top as given."""
    n = len(lower)
    rows = [lower, np.linspace(0.0, 1.0, n), np.linspace(0.0, 1.0, n), upper]
    points = np.array([(x, y / 3.0, 0.0) for y, row in enumerate(rows) for x in row])
    i = (np.arange(3)[:, None] * n + np.arange(n - 1)).ravel()
    cells = np.concatenate([np.stack([i, i + 1, i + n + 1], 1), np.stack([i, i + n + 1, i + n], 1)])
    edges = np.arange(n - 1)
    groups = {
        "bottom": np.stack([edges, edges + 1], 1),
        "top": 3 * n + np.stack([edges, edges + 1], 1),
    }
    return build_mesh(points, [("triangle", cells)], {}, groups, SELF)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_every_cell_is_like_every_other(dim: int) -> None:
    """A box that is periodic along all axes: no outer faces, the same neighbours everywhere."""
    mesh = identified(box(dim), SIDES[:dim])
    n = mesh.n_owned
    assert not len(mesh.outer_faces)
    assert int(mesh.face_owned.sum()) == dim * n
    pointer, neighbours = mesh.vertex_neighbours()
    assert np.all(np.diff(pointer) == 3**dim - 1)
    assert mesh.total(mesh.volume) == pytest.approx(np.prod((1.0, 0.8, 0.9)[:dim]))
    step = np.array([0.2, 0.2, 0.3])
    rows = np.repeat(np.arange(n), np.diff(pointer))
    away = (mesh.centroid[neighbours] - mesh.centroid[rows]) / step
    assert away == pytest.approx(np.round(away), abs=1e-12)
    assert np.abs(away).max() < 1.0 + 1e-12
    lattice = np.sort(np.round(away).reshape(n, -1, 3) @ [1, 3, 9], axis=1)
    assert np.all(lattice == lattice[0])
    # Images show what their cells hold.
    values = mesh.global_id.astype(float)
    values[n:] = -1.0
    mesh.exchange(values)
    assert np.array_equal(values, mesh.global_id)


def test_faces_across() -> None:
    """Normals lead from cell 0, which has the lower number, to cell 1, and the centroid lies between."""
    mesh = identified(box(2), SIDES[:1])
    a, b = mesh.face_cells[mesh.boundaries["left"]].T
    assert np.all(mesh.global_id[a] < mesh.global_id[b])
    for name in ("left", "right"):
        faces = mesh.boundaries[name]
        a, b = mesh.face_cells[faces].T
        arm = mesh.centroid[b] - mesh.centroid[a]
        assert arm == pytest.approx(0.2 * mesh.face_normal[faces], abs=1e-12)
        assert mesh.face_centroid[faces] == pytest.approx(0.5 * (mesh.centroid[a] + mesh.centroid[b]))
    assert np.sum(mesh.face_cells[mesh.outer_faces, 1] < 0) == 2 * 5


def test_regions_reach_across() -> None:
    mesh = identified(box(2, regions={"west": ((0, 0.2), None)}), SIDES[:1])
    west = mesh.regions["west"]
    assert np.all(np.isin(mesh.global_id[west], mesh.global_id[west[west < mesh.n_owned]]))
    # Four cells, and their four images beyond the right side.
    assert len(west) == 8
    assert np.array_equal(np.flatnonzero(mesh.cell_region == 0), west)


def test_triangles() -> None:
    """Alike at the bottom and the top, though nowhere else."""
    mesh = identified(square([0.0, 0.3, 0.7, 1.0], [0.0, 0.3, 0.7, 1.0]), [("bottom", "top")])
    assert len(mesh.outer_faces) == 6
    faces = mesh.boundaries["top"]
    assert np.all(np.abs(mesh.face_normal[faces, 1]) == 1.0)


@pytest.mark.parametrize(
    ("make", "pairs", "message"),
    [
        (lambda: box(2), [("left", "rigth")], "did you mean 'right'"),
        (lambda: box(2), [("left", "top")], "'left' and 'top' have 4 and 5 faces; mesh both alike"),
        (lambda: box(2), [("left", "left")], "4 of 4 faces of the first are not faces of the second"),
        (lambda: box(2), [("left", "right"), ("right", "left")], "share faces; each face has one partner"),
        (
            lambda: square([0.0, 0.3, 0.7, 1.0], [0.0, 0.4, 0.7, 1.0]),
            [("bottom", "top")],
            r"2 of 3 faces .* when moved by \(0, 1, 0\) m; mesh both alike, in gmsh with setPeriodic",
        ),
        (
            lambda: shape_mesh("grid2d", nx=2, Lx=1.0, ny=3, Ly=1.0, comm=SELF),
            [("left", "right")],
            "three or more cells between them",
        ),
        (
            lambda: shape_mesh("cylindrical2d", nx=3, Lx=1.0, ny=3, Ly=1.0, comm=SELF),
            [("top", "bottom")],
            "only cartesian meshes are periodic",
        ),
        (
            lambda: box(2, boundaries={"middle": (0.4, None)}),
            [("left", "middle")],
            "some of their faces lie inside",
        ),
    ],
)
def test_messages(make: object, pairs: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(MeshError, match=message):
        identified(make(), pairs)  # type: ignore[operator]
