"""Meshes of FiPy as they are: geometry, neighbours, names, and results as variables of FiPy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fipy
import gmsh
import numpy as np
import pytest
from mixed_meshes import mixed_cells
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import Mesh, build_mesh, read_mesh, shape_mesh
from fvqp.mesh.fipy import cell_variable, from_fipy, to_fipy

SELF = MPI.COMM_SELF
SERIAL = {"communicator": fipy.tools.serialComm}
STEPS = {"dx": [1.0, 2.0, 0.5], "dy": [0.3, 0.7], "dz": [1.5, 0.5, 0.25]}


def steps(*names: str) -> dict[str, Any]:
    return {name: STEPS[name] for name in names} | SERIAL


MESHES: dict[str, Callable[[], Any]] = {
    "uniform 1-D": lambda: fipy.Grid1D(nx=5, dx=0.5, **SERIAL),
    "1-D": lambda: fipy.Grid1D(**steps("dx")),
    "uniform 2-D": lambda: fipy.Grid2D(nx=3, ny=2, dx=1.0, dy=2.0, **SERIAL),
    "moved 2-D": lambda: fipy.Grid2D(nx=3, ny=2, dx=1.0, dy=2.0, **SERIAL).__add__(((5.0,), (1.0,))),
    "2-D": lambda: fipy.Grid2D(**steps("dx", "dy")),
    "uniform 3-D": lambda: fipy.Grid3D(nx=3, ny=2, nz=2, dx=1.0, dy=2.0, dz=0.5, **SERIAL),
    "3-D": lambda: fipy.Grid3D(**steps("dx", "dy", "dz")),
    "triangles": lambda: fipy.Tri2D(nx=3, ny=2, dx=1.0, dy=0.7),
    "prisms": lambda: fipy.Tri2D(nx=2, ny=2).extrude(layers=2),
    "joined": lambda: fipy.Tri2D(nx=2, ny=2).__add__(
        fipy.Grid2D(nx=2, ny=2, **SERIAL).__add__(((2.0,), (0.0,)))
    ),
    "cylinder 1-D": lambda: fipy.CylindricalGrid1D(nx=4, dx=1.0, **SERIAL),
    "non-uniform cylinder 1-D": lambda: fipy.CylindricalGrid1D(origin=(1.0,), **steps("dx")),
    "cylinder 2-D": lambda: fipy.CylindricalGrid2D(nx=3, ny=2, dx=1.0, dy=0.5, **SERIAL),
    "moved cylinder 2-D": lambda: fipy.CylindricalGrid2D(
        nx=3, ny=2, dx=1.0, dy=0.5, origin=((1.0,), (2.0,)), **SERIAL
    ),
    "non-uniform cylinder 2-D": lambda: fipy.CylindricalGrid2D(**steps("dx", "dy")),
}


@pytest.fixture(autouse=True)
def program_gmsh(monkeypatch: pytest.MonkeyPatch) -> None:
    """FiPy asks the program gmsh, which stands beside python, for its version."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


def assert_same(mesh: Mesh, grid: Any, scale: float = 1.0) -> None:
    """Volumes, centres, areas, normals and neighbours, to rounding and in FiPy's numbers of cells."""
    around = 2.0 * np.pi if mesh.coordinates == "cylindrical" else 1.0
    dim, rounding = grid.dim, 1e-14 * scale * np.abs(np.asarray(grid.vertexCoords)).max()
    assert np.array_equal(mesh.global_id, np.arange(grid.numberOfCells))
    np.testing.assert_allclose(
        mesh.volume, around * np.asarray(grid.cellVolumes) * scale**mesh.lengths, rtol=1e-13
    )
    np.testing.assert_allclose(
        mesh.centroid[:, :dim], np.asarray(grid.cellCenters).T * scale, rtol=0, atol=rounding
    )
    assert not mesh.centroid[:, dim:].any()
    pairs = np.ma.filled(grid.faceCellIDs, -1).T
    centres = np.asarray(grid.faceCenters).T * scale
    # Each list of faces in the order of its cells, and of the centres where outer faces have the same.
    ours = np.lexsort((*np.round(mesh.face_centroid[:, :dim] / scale, 9).T, *mesh.face_cells.T))
    theirs = np.lexsort((*np.round(centres / scale, 9).T, *pairs.T))
    assert np.array_equal(mesh.face_cells[ours], pairs[theirs])
    np.testing.assert_allclose(mesh.face_centroid[ours, :dim], centres[theirs], rtol=0, atol=rounding)
    areas = around * np.asarray(grid._faceAreas)[theirs] * scale ** (mesh.lengths - 1)
    np.testing.assert_allclose(mesh.face_area[ours], areas, rtol=1e-13)
    normals = np.asarray(grid.faceNormals).T[theirs]
    along = np.einsum("fi,fi->f", mesh.face_normal[ours, :dim], normals)
    # On uniform grids FiPy's normals point along the axes, outward only at some of the outer faces.
    np.testing.assert_allclose(np.abs(along), 1.0, rtol=1e-14)


@pytest.mark.parametrize("kind", MESHES)
def test_geometry_is_that_of_fipy(kind: str) -> None:
    grid = MESHES[kind]()
    assert_same(from_fipy(grid, comm=SELF), grid)
    assert_same(from_fipy(grid, length_unit=1e-7, comm=SELF), grid, 1e-7)


@pytest.mark.parametrize("kind", [k for k in MESHES if "cylinder" not in k])
def test_way_back(kind: str) -> None:
    """Vertices, faces and cells of `to_fipy` have the numbers of the mesh."""
    mesh = from_fipy(MESHES[kind](), comm=SELF)
    grid = to_fipy(mesh)
    assert_same(mesh, grid)
    assert np.array_equal(np.ma.filled(grid.faceCellIDs, -1).T, mesh.face_cells)
    assert np.asarray(grid.faceNormals).T == pytest.approx(mesh.face_normal[:, : mesh.dim], abs=1e-14)


@pytest.mark.parametrize("kind", ["grid1d", "grid2d", "grid3d"])
def test_corners_begin_at_the_lowest_vertex(kind: str) -> None:
    """VTK's order of corners, by position: x, then y anticlockwise, then the layer above."""
    mesh = shape_mesh(
        kind, dx=[1.0, 2.0], **{k: STEPS[k] for k in ("dy", "dz")[: int(kind[4]) - 1]}, comm=SELF
    )
    box = mesh.points[mesh.corners[:, : 2**mesh.dim]]
    low, high = box.min(axis=1), box.max(axis=1)
    order = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]])
    expected = np.where(order[None, : 2**mesh.dim], high[:, None], low[:, None])
    assert np.array_equal(box, expected)


def write_gmsh(path: Path, dim: int, *, kinds: str = "simplices") -> None:
    """A square or cube of side 3 with a hole of side 1 in the middle of it; physical groups of both kinds."""
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.MshFileVersion", 2.2)
        gmsh.option.setNumber("Mesh.MeshSizeMax", 0.8)
        occ = gmsh.model.occ
        if dim == 2:
            body = occ.cut([(2, occ.addRectangle(0, 0, 0, 3, 3))], [(2, occ.addRectangle(1, 1, 0, 1, 1))])[0]
        elif kinds == "simplices":
            body = occ.cut([(3, occ.addBox(0, 0, 0, 3, 3, 3))], [(3, occ.addBox(1, 1, 0, 1, 1, 3))])[0]
        else:
            square = occ.addRectangle(0, 0, 0, 3, 3)
            heights = [0.5, 1.0]
            body = [occ.extrude([(2, square)], 0, 0, 1.0, [1, 1], heights, recombine=True)[1]]
        occ.synchronize()
        sides = gmsh.model.getBoundary(body, oriented=False)
        left = [
            s[1]
            for s in sides
            if np.ptp([*gmsh.model.getBoundingBox(*s)][::3]) < 1e-3 and gmsh.model.getBoundingBox(*s)[0] < 0.1
        ]
        gmsh.model.addPhysicalGroup(dim, [b[1] for b in body], name="metal")
        gmsh.model.addPhysicalGroup(dim - 1, left, name="lead")
        gmsh.model.addPhysicalGroup(dim - 1, [s[1] for s in sides if s[1] not in left], name="wall")
        gmsh.model.mesh.generate(dim)
        gmsh.write(str(path))
    finally:
        gmsh.finalize()


@pytest.mark.parametrize(
    ("dim", "kinds"),
    [(2, "simplices"), pytest.param(3, "simplices", marks=pytest.mark.slow), (3, "layers")],
)
def test_meshes_of_gmsh(dim: int, kinds: str, tmp_path: Path) -> None:
    """Groups keep their names; the mesh is that of the file."""
    path = tmp_path / "hole.msh"
    write_gmsh(path, dim, kinds=kinds)
    grid = (fipy.Gmsh2D if dim == 2 else fipy.Gmsh3D)(str(path), **SERIAL)
    mesh = from_fipy(grid, comm=SELF)
    assert_same(mesh, grid)
    file = read_mesh(path, comm=SELF)
    np.testing.assert_allclose(np.sort(mesh.volume), np.sort(file.volume), rtol=1e-13)
    assert list(mesh.regions) == list(file.regions) == ["metal"]
    assert sorted(mesh.boundaries) == sorted(file.boundaries) == ["lead", "wall"]
    for name in mesh.boundaries:
        area = mesh.face_area[mesh.boundaries[name]].sum()
        assert area == pytest.approx(file.face_area[file.boundaries[name]].sum(), rel=1e-14)
    assert mesh.face_centroid[mesh.boundaries["lead"], 0] == pytest.approx(0.0, abs=1e-12)


def pyramid() -> Mesh:
    points = np.array([[0.0, 0, 0], [2, 0, 0], [2, 2, 0], [0, 2, 0], [1, 1, 3]])
    return build_mesh(points, [("pyramid", np.arange(5)[None])], comm=SELF)


def test_pyramid_has_another_centre() -> None:
    """FiPy takes the mean of the centres of the faces, (0 + 4 · 1)/5 high, for the centroid at 3/4."""
    mesh = pyramid()
    grid = to_fipy(mesh)
    back = from_fipy(grid, comm=SELF)
    assert back.cell_type == mesh.cell_type
    assert back.volume == pytest.approx(np.asarray(grid.cellVolumes), rel=1e-14)
    assert float(grid.cellCenters[2][0]) == pytest.approx(0.8)
    assert back.centroid[0] == pytest.approx([1.0, 1.0, 0.75], rel=1e-14)


def test_all_kinds_of_cells() -> None:
    """Prisms, hexahedra with warped faces, pyramids and tetrahedra of one mesh, there and back."""
    mesh = build_mesh(*mixed_cells(), comm=SELF)
    back = from_fipy(to_fipy(mesh), comm=SELF)
    assert np.array_equal(back.cell_type, mesh.cell_type)
    assert np.array_equal(back.face_cells, mesh.face_cells)
    for name in ("volume", "centroid", "face_area", "face_centroid", "face_normal"):
        np.testing.assert_allclose(getattr(back, name), getattr(mesh, name), rtol=1e-12, atol=1e-14)


def test_sphere_has_the_exact_volume() -> None:
    """FiPy takes r² of the middle of a shell for its mean."""
    mesh = from_fipy(fipy.SphericalGrid1D(nx=3, dx=1.0, **SERIAL), comm=SELF)
    assert mesh.coordinates == "spherical" and list(mesh.boundaries) == ["right"]
    assert mesh.volume == pytest.approx(4.0 / 3.0 * np.pi * np.array([1.0, 7.0, 19.0]), rel=1e-14)


def test_lines_against_their_numbers() -> None:
    """FiPy takes cells to be numbered along x; other lines get their own normals."""
    points = np.array([[0.0], [1.0], [3.0], [3.5]])
    mesh = build_mesh(points, [("line", np.array([[3, 2], [0, 1], [1, 2]]))], comm=SELF)
    grid = to_fipy(mesh)
    assert np.asarray(grid.faceNormals).T == pytest.approx(mesh.face_normal[:, :1])
    f = fipy.CellVariable(mesh=grid, value=0.0)
    f.constrain(1.0, grid.facesLeft)
    f.constrain(0.0, grid.facesRight)
    fipy.DiffusionTerm(coeff=1.0).solve(var=f, solver=fipy.solvers.LinearLUSolver(tolerance=1e-14))
    assert np.array(f.value) == pytest.approx(1.0 - mesh.centroid[:, 0] / 3.5, rel=1e-12)


def test_own_names() -> None:
    grid = fipy.Grid2D(nx=4, ny=3, **SERIAL)
    mesh = from_fipy(
        grid,
        regions={"trap": grid.x < 1.0},
        boundaries={"cut": (np.asarray(grid.faceCenters[0]) == 2.0)},
        comm=SELF,
    )
    assert np.array_equal(mesh.regions["trap"], [0, 4, 8])
    assert mesh.face_centroid[mesh.boundaries["cut"], 0] == pytest.approx(2.0)
    assert {name: len(faces) for name, faces in mesh.boundaries.items()} == {
        "left": 3, "right": 3, "bottom": 4, "top": 4, "cut": 3,
    }  # fmt: skip


def test_variables() -> None:
    """Names, values without unit; a distribution over energies has them as components."""
    grid = fipy.Grid2D(nx=4, ny=3, **SERIAL)
    mesh = from_fipy(grid, length_unit="um", comm=SELF)
    gap = cell_variable(grid, mesh, mesh.centroid[:, 0] * 1e6, name="gap")
    assert gap.name == "gap" and gap.unit.isDimensionless()
    assert np.array_equal(gap.value, np.asarray(grid.x))
    f = cell_variable(grid, mesh, np.arange(36).reshape(12, 3), name="f_L")
    assert f.shape == (3, 12)
    assert np.array_equal(f.value[:, 7], [21, 22, 23])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: fipy.PeriodicGrid1D(nx=4), "FiPy's PeriodicGrid1D: is periodic; bring a grid with ends"),
        (lambda: fipy.PeriodicGrid2DLeftRight(nx=4, ny=4), "is periodic"),
        (lambda: fipy.PeriodicGrid3D(nx=3, ny=3, nz=3), "is periodic"),
        (lambda: folded(), "cell 0 (quad) at (1, 1.125, 0) m is inverted"),
        (lambda: fipy.SkewedGrid2D(nx=20, ny=20, rand=3.0), "is inverted"),
        (lambda: pentagon(), "cell 0 has 5 faces, 0 of them with four corners; cells can be triangle, quad"),
    ],
)
def test_bad_meshes(make: Callable[[], Any], message: str) -> None:
    with pytest.raises(MeshError) as error:
        from_fipy(make(), comm=SELF)
    assert message in str(error.value)


def polygon(vertices: list[list[float]]) -> Any:
    """FiPy's mesh of one cell with these corners."""
    n = len(vertices)
    faces = np.stack([np.arange(n), np.roll(np.arange(n), -1)])
    return fipy.meshes.mesh2D.Mesh2D(np.array(vertices).T, faces, np.arange(n)[:, None])


def folded() -> Any:
    """A corner beyond the opposite sides."""
    return polygon([[0.0, 0.0], [4.0, 0.0], [0.0, 0.5], [0.0, 4.0]])


def pentagon() -> Any:
    return polygon([[0.0, 0.0], [2.0, 0.0], [3.0, 1.0], [1.0, 2.0], [0.0, 1.0]])


def test_bad_arguments() -> None:
    grid = fipy.Grid1D(nx=4, **SERIAL)
    mesh = from_fipy(grid, comm=SELF)
    for message, call in {
        "a length unit of 0.0 m is not a positive number": lambda: from_fipy(grid, length_unit=0.0),
        "region 'a' is no mask of the 4 cells": lambda: from_fipy(grid, regions={"a": [0, 1]}),
        "region 'a' holds no cells": lambda: from_fipy(grid, regions={"a": grid.x > 9.0}),
        "boundary 'left' is in the mesh already": lambda: from_fipy(
            grid, boundaries={"left": grid.facesLeft}
        ),
        "3 values for 4 cells": lambda: cell_variable(grid, mesh, np.zeros(3)),
        "FiPy's mesh has 5 cells, this one 4": lambda: cell_variable(
            fipy.Grid1D(nx=5, **SERIAL), mesh, np.zeros(4)
        ),
        "make a grid of FiPy": lambda: to_fipy(shape_mesh("cylindrical1d", nx=3, Lx=1.0, comm=SELF)),
        "lines along x only": lambda: to_fipy(
            build_mesh(np.eye(3)[:2], [("line", np.array([[0, 1]]))], comm=SELF)
        ),
    }.items():
        with pytest.raises(MeshError) as error:
            call()
        assert message in str(error.value)


def test_fipy_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with its scipy solvers on several ranks."""
    monkeypatch.setitem(sys.modules, "fipy", None)
    with pytest.raises(MeshError, match=r"FiPy, .* cannot be loaded .* FIPY_SOLVERS unset, or petsc"):
        to_fipy(shape_mesh("grid1d", nx=2, Lx=1.0, comm=SELF))
