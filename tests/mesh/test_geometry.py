"""Volumes, areas, normals and centroids of every kind of cell, against exact values and FiPy."""

from __future__ import annotations

import os
import sys
import tracemalloc
from pathlib import Path

import fipy
import numpy as np
import pytest
from mpi4py import MPI
from scipy.spatial import cKDTree

from fvqp.mesh import Mesh, build_mesh, read_mesh, shape_mesh

SELF = MPI.COMM_SELF

#: One cell of each kind: corners, exact volume, exact centroid, sum of the face areas.
UNIT_CELLS = {
    "line": ([[0, 0, 0], [2, 0, 0]], 2.0, [1, 0, 0], 2.0),
    "triangle": ([[0, 0, 0], [3, 0, 0], [0, 4, 0]], 6.0, [1, 4 / 3, 0], 12.0),
    "quad": ([[0, 0, 0], [2, 0, 0], [2, 1, 0], [0, 1, 0]], 2.0, [1, 0.5, 0], 6.0),
    "tetra": ([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], 1 / 6, [0.25] * 3, 1.5 + np.sqrt(3) / 2),
    "pyramid": (
        [[0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [1, 1, 3]],
        4.0,
        [1, 1, 0.75],
        4.0 + 4.0 * np.sqrt(10.0),
    ),
    "wedge": (
        [[0, 0, 0], [3, 0, 0], [0, 4, 0], [0, 0, 2], [3, 0, 2], [0, 4, 2]],
        12.0,
        [1, 4 / 3, 1],
        12.0 + 24.0,
    ),
    "hexahedron": (
        [[0, 0, 0], [1, 0, 0], [1, 2, 0], [0, 2, 0], [0, 0, 3], [1, 0, 3], [1, 2, 3], [0, 2, 3]],
        6.0,
        [0.5, 1, 1.5],
        22.0,
    ),
}


def open_area(mesh: Mesh) -> np.ndarray:
    """Sum of the outward face area vectors of every owned cell: zero where the cell is closed."""
    vector = mesh.face_area[:, None] * mesh.face_normal
    total = np.zeros((mesh.n_cells, 3))
    np.add.at(total, mesh.face_cells[:, 0], vector)
    inner = mesh.face_cells[:, 1] >= 0
    np.add.at(total, mesh.face_cells[inner, 1], -vector[inner])
    return total[: mesh.n_owned]


@pytest.mark.parametrize("kind", UNIT_CELLS)
def test_single_cells(kind: str) -> None:
    points, volume, centroid, area = UNIT_CELLS[kind]
    # Any orientation in space: measures do not change under a rotation.
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    rotation *= np.sign(np.linalg.det(rotation))
    for turn in (np.eye(3), rotation):
        corners = [(kind, np.arange(len(points))[None, :])]
        mesh = build_mesh(np.array(points, dtype=float) @ turn.T, corners, comm=SELF)
        assert mesh.volume == pytest.approx([volume], rel=1e-14)
        assert mesh.centroid[0] == pytest.approx(turn @ np.array(centroid), abs=1e-14)
        assert mesh.face_area.sum() == pytest.approx(area, rel=1e-14)
        assert np.abs(open_area(mesh)).max() < 1e-14 * area
        outward = np.einsum("ij,ij->i", mesh.face_normal, mesh.face_centroid - mesh.centroid[0])
        assert np.all(outward > 0)
        assert np.linalg.norm(mesh.face_normal, axis=1) == pytest.approx(np.ones(mesh.n_faces), abs=1e-14)


def test_warped_hexes_fill_the_box() -> None:
    rng = np.random.default_rng(2)
    grid = shape_mesh("grid3d", nx=4, Lx=1.0, ny=3, Ly=1.0, nz=5, Lz=1.0, comm=SELF)
    points = grid.points.copy()
    inside = np.all((points > 0.01) & (points < 0.99), axis=1)
    points[inside] += rng.uniform(-0.04, 0.04, size=(inside.sum(), 3))
    mesh = build_mesh(points, [("hexahedron", grid.cell_blocks[0][1])], comm=SELF)
    assert mesh.volume.sum() == pytest.approx(1.0, rel=1e-14)
    assert np.abs(open_area(mesh)).max() < 1e-16 * 10
    assert mesh.volume @ mesh.centroid == pytest.approx([0.5] * 3, rel=1e-13)


@pytest.mark.parametrize("seed", [3, 4])
def test_divergence_theorem_on_warped_hexes(seed: int) -> None:
    """div x = 3: the flux of the position vector through a closed cell is three volumes."""
    rng = np.random.default_rng(seed)
    cube = np.array(UNIT_CELLS["hexahedron"][0], dtype=float) + rng.uniform(-0.1, 0.1, size=(8, 3))
    mesh = build_mesh(cube, [("hexahedron", np.arange(8)[None, :])], comm=SELF)
    # The triangles about the mean corner of a warped face have no common normal: integrate over each.
    flux = 0.0
    for corners in mesh.face_corners:
        p = mesh.points[corners]
        middle = p.mean(axis=0)
        for a, b in zip(p, np.roll(p, -1, axis=0), strict=True):
            flux += 0.5 * np.cross(a - middle, b - middle) @ (a + b + middle) / 3.0
    assert mesh.volume[0] == pytest.approx(flux / 3.0, rel=1e-14)


def test_bent_line_normals_follow_the_line() -> None:
    points = np.array([[0.0, 0, 0], [1, 0, 0], [1, 2, 0], [1, 2, 3]])
    mesh = build_mesh(points, [("line", np.array([[0, 1], [2, 1], [2, 3]]))], comm=SELF)
    assert mesh.volume == pytest.approx([1, 2, 3])
    assert np.all(mesh.face_area == 1.0)
    bend = mesh.face_normal[np.all(np.isclose(mesh.face_centroid, [1, 0, 0]), axis=1)]
    assert bend[0] == pytest.approx(np.array([1, 1, 0]) / np.sqrt(2))
    end = mesh.face_normal[np.all(np.isclose(mesh.face_centroid, [1, 2, 3]), axis=1)]
    assert end[0] == pytest.approx([0, 0, 1])


def test_plane_meshes_of_either_orientation() -> None:
    """Triangles numbered clockwise and anticlockwise side by side, in a tilted plane."""
    flat = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
    turn, _ = np.linalg.qr(np.random.default_rng(5).normal(size=(3, 3)))
    mesh = build_mesh(flat @ turn.T + 1.0, [("triangle", np.array([[0, 1, 2], [0, 3, 2]]))], comm=SELF)
    assert mesh.volume == pytest.approx([0.5, 0.5])
    assert np.abs(open_area(mesh)).max() < 1e-15
    inner = mesh.face_cells[:, 1] >= 0
    across = mesh.centroid[1] - mesh.centroid[0]
    assert mesh.face_normal[inner][0] @ across > 0


def matched(mesh: Mesh, fipy_mesh: fipy.meshes.abstractMesh.AbstractMesh) -> np.ndarray:
    """FiPy's face for each of our faces, by position."""
    centres = np.zeros((fipy_mesh.numberOfFaces, 3))
    centres[:, : fipy_mesh.dim] = np.asarray(fipy_mesh.faceCenters).T
    _, nearest = cKDTree(centres).query(mesh.face_centroid)
    assert len(np.unique(nearest)) == mesh.n_faces == fipy_mesh.numberOfFaces
    return nearest


def equal_faces(mesh: Mesh, fipy_mesh: fipy.meshes.abstractMesh.AbstractMesh, relative: float) -> None:
    """Areas and, up to their sign, normals."""
    face, dim = matched(mesh, fipy_mesh), fipy_mesh.dim
    assert mesh.face_area == pytest.approx(np.asarray(fipy_mesh._faceAreas)[face], rel=relative)
    along = np.einsum("ij,ji->i", mesh.face_normal[:, :dim], np.asarray(fipy_mesh.faceNormals)[:, face])
    assert np.abs(along) == pytest.approx(np.ones(mesh.n_faces), rel=relative)


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        ("grid1d", {"dx": [1.0, 2.0, 0.5]}),
        ("grid2d", {"dx": [1.0, 2.0, 0.5], "dy": [0.3, 0.7]}),
        ("grid3d", {"dx": [1.0, 2.0], "dy": [0.3, 0.7, 0.1], "dz": [1.5, 0.5]}),
    ],
)
def test_grids_equal_fipys(kind: str, steps: dict[str, list[float]]) -> None:
    mesh = shape_mesh(kind, **steps, comm=SELF)  # type: ignore[arg-type]
    grid = {"grid1d": fipy.Grid1D, "grid2d": fipy.Grid2D, "grid3d": fipy.Grid3D}[kind]
    other = grid(**{k: np.array(v) for k, v in steps.items()}, communicator=fipy.tools.serialComm)
    assert mesh.volume == pytest.approx(np.asarray(other.cellVolumes), rel=1e-14)
    assert mesh.centroid[:, : mesh.dim] == pytest.approx(np.asarray(other.cellCenters).T, rel=1e-14)
    equal_faces(mesh, other, 1e-14)


def test_triangles_equal_fipys(monkeypatch: pytest.MonkeyPatch) -> None:
    # FiPy asks the program gmsh, which stands beside python, for its version.
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    path = "meshes/ryan_wire/film.msh"
    mesh = read_mesh(path, comm=SELF)
    other = fipy.Gmsh2D(path, communicator=fipy.tools.serialComm)
    # FiPy leaves the order of the file, which has its cells region by region, as it is.
    assert mesh.volume == pytest.approx(np.asarray(other.cellVolumes), rel=1e-12)
    assert mesh.centroid[:, :2] == pytest.approx(np.asarray(other.cellCenters).T, abs=1e-12)
    equal_faces(mesh, other, 1e-12)


@pytest.mark.slow
def test_tetrahedra_equal_fipys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    path = "meshes/ryan_wire/wire_3d.msh"
    mesh = read_mesh(path, comm=SELF)
    other = fipy.Gmsh3D(path, communicator=fipy.tools.serialComm)
    assert mesh.volume == pytest.approx(np.asarray(other.cellVolumes), rel=1e-10)
    equal_faces(mesh, other, 1e-9)


@pytest.mark.parametrize(
    ("kind", "grid", "turns"),
    [
        ("cylindrical1d", fipy.CylindricalGrid1D, 2 * np.pi),
        ("cylindrical2d", fipy.CylindricalGrid2D, 2 * np.pi),
        ("spherical1d", fipy.SphericalGrid1D, 4 * np.pi),
    ],
)
def test_bodies_of_revolution(kind: str, grid: type, turns: float) -> None:
    """FiPy measures per radian (steradian).

    On a non-uniform spherical grid FiPy 4.0 has (r₂³ − r₁³)/2 for the volume of a shell, which should be /3.
    """
    steps = {"dx": np.array([1.0, 0.5, 0.25])} | ({"dy": np.array([0.4, 0.6])} if kind[-2] == "2" else {})
    mesh = shape_mesh(kind, **steps, comm=SELF)
    other = grid(**steps, communicator=fipy.tools.serialComm)
    volume = np.asarray(other.cellVolumes) * (2 / 3 if kind == "spherical1d" else 1.0)
    assert mesh.volume == pytest.approx(turns * volume, rel=1e-13)
    face = matched(mesh, other)
    assert mesh.face_area == pytest.approx(turns * np.asarray(other._faceAreas)[face], rel=1e-13, abs=1e-15)
    exact = {
        "cylindrical1d": np.pi * 1.75**2,
        "cylindrical2d": np.pi * 1.75**2,
        "spherical1d": 4 / 3 * np.pi * 1.75**3,
    }
    assert mesh.volume.sum() == pytest.approx(exact[kind], rel=1e-14)


def test_vertex_neighbours() -> None:
    mesh = shape_mesh("grid2d", nx=3, Lx=1.0, ny=3, Ly=1.0, comm=SELF)
    indptr, indices = mesh.vertex_neighbours()
    assert indices[indptr[4] : indptr[5]].tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert indices[indptr[0] : indptr[1]].tolist() == [1, 3, 4]


def test_memory_of_a_solid_mesh() -> None:
    """Less than three times what stays of it: 0.8 kB a cell, of 0.3 kB in prisms."""
    boxes = shape_mesh("grid3d", nx=20, Lx=1.0, ny=20, Ly=1.0, nz=20, Lz=1.0, comm=MPI.COMM_SELF)
    hexes = boxes.cell_blocks[0][1]
    prisms = np.concatenate([hexes[:, [0, 1, 2, 4, 5, 6]], hexes[:, [0, 2, 3, 4, 6, 7]]])
    tracemalloc.start()
    try:
        mesh = build_mesh(boxes.points, [("wedge", prisms)], {}, {}, MPI.COMM_SELF)
        stays, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert mesh.volume.sum() == pytest.approx(1.0, rel=1e-12)
    assert most < 900 * mesh.n_cells
    assert stays < 330 * mesh.n_cells
