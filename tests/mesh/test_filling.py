"""A closed surface in an STL file is filled with cells; one that bounds no volume is refused."""

from __future__ import annotations

import builtins
import itertools
import struct
from pathlib import Path

import gmsh
import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import Mesh, read_mesh
from fvqp.mesh.filling import fill

SELF = MPI.COMM_SELF


def cube(n: int, size: float = 1.0) -> list[np.ndarray]:
    """The six sides of a cube, each ``(2 n², 3, 3)`` corners of triangles that turn outwards."""
    sides = []
    u, v = (a.ravel() for a in np.meshgrid(np.arange(n), np.arange(n), indexing="ij"))
    square = np.stack(
        [np.stack([u + a, v + b], axis=-1) for a, b in ((0, 0), (1, 0), (1, 1), (0, 1))], axis=1
    )
    for axis, far in itertools.product(range(3), (0, 1)):
        corners = np.zeros((len(square), 4, 3))
        corners[..., axis] = far
        corners[..., (axis + 1) % 3], corners[..., (axis + 2) % 3] = np.moveaxis(square / n, -1, 0)
        turned = corners if far else corners[:, ::-1]
        sides.append(size * np.concatenate([turned[:, [0, 1, 2]], turned[:, [0, 2, 3]]]))
    return sides


def write_text(path: Path, parts: dict[str, np.ndarray]) -> Path:
    lines = []
    for name, triangles in parts.items():
        lines.append(f"solid {name}".rstrip())
        for triangle in triangles:
            lines += ["facet normal 0 0 0", " outer loop"]
            lines += ["  vertex " + " ".join(f"{x:.9g}" for x in corner) for corner in triangle]
            lines += [" endloop", "endfacet"]
        lines.append(f"endsolid {name}".rstrip())
    path.write_text("\n".join(lines) + "\n")
    return path


def write_binary(path: Path, triangles: np.ndarray) -> Path:
    with path.open("wb") as file:
        file.write(b"solid or not".ljust(80) + struct.pack("<I", len(triangles)))
        for triangle in triangles:
            file.write(struct.pack("<12fH", 0.0, 0.0, 0.0, *triangle.ravel(), 0))
    return path


def check_cube(mesh: Mesh, n: int, size: float = 1.0) -> None:
    """The whole cube, bounded by the triangles of the file, in cells of their size."""
    assert mesh.dim == 3
    assert mesh.volume.sum() == pytest.approx(size**3, rel=1e-12)
    surface = mesh.require_boundary("surface")
    assert set(surface) == set(mesh.outer_faces)
    np.testing.assert_allclose(mesh.face_area[surface], 0.5 * (size / n) ** 2, rtol=1e-6)
    # Edges of a regular tetrahedron of volume V measure (6√2 V)^(1/3); those of the triangles, h to √2 h.
    edge = np.cbrt(6.0 * np.sqrt(2.0) * mesh.volume.mean()) * n / size
    assert 0.7 < edge < 1.5


@pytest.mark.parametrize("n", [1, 4, 8])
def test_a_cube_is_filled(tmp_path: Path, n: int) -> None:
    path = write_text(tmp_path / "cube.stl", {"island": np.concatenate(cube(n))})
    mesh = read_mesh(path, comm=SELF)
    check_cube(mesh, n)
    assert mesh.region_names == ["island"] and len(mesh.require_region("island")) == mesh.n_cells


def test_same_file_same_cells(tmp_path: Path) -> None:
    path = write_text(tmp_path / "cube.STL", {"": np.concatenate(cube(5))})
    one, two = (read_mesh(path, comm=SELF) for _ in range(2))
    assert one.region_names == ["volume"]
    assert np.array_equal(one.points, two.points) and np.array_equal(one.corners, two.corners)


def test_small_units_and_binary_files(tmp_path: Path) -> None:
    """A cube of 50 nm given in metres: far below gmsh's own tolerances."""
    path = write_binary(tmp_path / "cube.stl", np.concatenate(cube(3, 5e-8)))
    mesh = read_mesh(path, comm=SELF)
    check_cube(mesh, 3, float(np.float32(5e-8)))
    assert mesh.region_names == ["volume"]


def test_solids_of_a_file_are_parts_of_the_boundary(tmp_path: Path) -> None:
    sides = dict(zip("abcdef", cube(3), strict=True))
    sliver = np.array([[[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]])
    sides["c"] = np.concatenate([sides["c"], sliver])
    mesh = read_mesh(write_text(tmp_path / "cube.stl", sides), comm=SELF)
    check_cube(mesh, 3)
    assert set(mesh.boundaries) == {*"abcdef", "surface"} and mesh.region_names == ["volume"]
    for k, name in enumerate("abcdef"):
        faces = mesh.require_boundary(name)
        assert mesh.face_area[faces].sum() == pytest.approx(1.0)
        np.testing.assert_allclose(mesh.face_centroid[faces, k // 2], k % 2, atol=1e-12)


def test_a_flat_surface_is_a_film(tmp_path: Path) -> None:
    mesh = read_mesh(write_text(tmp_path / "film.stl", {"film": cube(3)[5]}), comm=SELF)
    assert mesh.dim == 2 and mesh.volume.sum() == pytest.approx(1.0)


def test_what_bounds_no_volume_is_refused(tmp_path: Path) -> None:
    sides = cube(2)
    with pytest.raises(MeshError, match=r"cube\.stl: the surface is not closed.*8 edges .* one at \("):
        read_mesh(write_text(tmp_path / "cube.stl", {"": np.concatenate(sides[:5])}), comm=SELF)
    both = np.concatenate([*sides, *(side + 3.0 for side in sides)])
    with pytest.raises(MeshError, match="2 separate closed surfaces"):
        read_mesh(write_text(tmp_path / "two.stl", {"": both}), comm=SELF)
    (tmp_path / "empty.stl").write_text("solid nothing\nendsolid nothing\n")
    with pytest.raises(MeshError, match=r"empty\.stl"):
        read_mesh(tmp_path / "empty.stl", comm=SELF)


def test_a_surface_that_cuts_itself_is_refused(tmp_path: Path) -> None:
    """The bottom of the cube is pushed out through its top."""
    points, inverse = np.unique(np.concatenate(cube(2)).reshape(-1, 3), axis=0, return_inverse=True)
    points[np.all(points == [0.5, 0.5, 0.0], axis=1), 2] = 1.5
    path = write_text(tmp_path / "cut.stl", {"": points[inverse.ravel()].reshape(-1, 3, 3)})
    with pytest.raises(MeshError, match=r"cut\.stl: gmsh cannot fill the surface: "):
        read_mesh(path, comm=SELF)


def test_without_gmsh_the_message_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_text(tmp_path / "cube.stl", {"": np.concatenate(cube(1))})
    load = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name == "gmsh":
            raise ImportError(name)
        return load(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MeshError, match=r"cube\.stl: filling a surface with cells needs gmsh"):
        read_mesh(path, comm=SELF)


def test_an_open_session_of_gmsh_goes_on() -> None:
    triangles = np.concatenate(cube(1))
    points, inverse = np.unique(triangles.reshape(-1, 3), axis=0, return_inverse=True)
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.MshFileVersion", 2.2)
        gmsh.model.add("mine")
        fill(points, inverse.reshape(-1, 3), "cube")
        assert gmsh.model.list().count("fvqp") == 0 and gmsh.model.getCurrent() == "mine"
        assert gmsh.option.getNumber("Mesh.MshFileVersion") == 2.2
    finally:
        gmsh.finalize()


@pytest.mark.parametrize("number", ["nan", "inf", "1e300"])
def test_coordinates_that_are_no_numbers(tmp_path: Path, number: str) -> None:
    path = write_text(tmp_path / "cube.stl", {"body": np.concatenate(cube(1))})
    path.write_text(path.read_text().replace("vertex 1", f"vertex {number}", 1))
    assert number in path.read_text()
    with pytest.raises(MeshError, match=r"cube\.stl: a corner of a triangle has a coordinate that is not"):
        read_mesh(path, comm=SELF)
