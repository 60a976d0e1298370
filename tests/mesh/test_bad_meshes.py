"""What cannot be read, or not computed on, is refused in one line that says what and where."""

from __future__ import annotations

import base64
import os
import re
import resource
import struct
import zlib
from pathlib import Path

import h5py
import meshio
import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import build_mesh, read_mesh, reading

SELF = MPI.COMM_SELF


def refused(words: list[str], make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(MeshError) as caught:
        make()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message, message


SQUARE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])


def test_missing_file(tmp_path: Path) -> None:
    refused(["nowhere.msh", "no such file"], lambda: read_mesh(tmp_path / "nowhere.msh", comm=SELF))
    refused(["folder"], lambda: read_mesh(tmp_path, comm=SELF))
    # A pipe, at which reading would wait for ever, and a link to itself.
    os.mkfifo(tmp_path / "pipe.msh")
    (tmp_path / "loop.msh").symlink_to(tmp_path / "loop.msh")
    for name in ("pipe.msh", "loop.msh"):
        refused([name, "no such file"], lambda name=name: read_mesh(tmp_path / name, comm=SELF))


@pytest.mark.parametrize("name", ["mesh.msh", "mesh.vtu", "mesh.xyz_unknown", "mesh.inp", "mesh.med", "mesh"])
def test_unreadable_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("not a mesh\n1 2 3\n")
    refused([name], lambda: read_mesh(tmp_path / name, comm=SELF))


def test_truncated_file(tmp_path: Path) -> None:
    whole = Path("meshes/ryan_wire/line.msh").read_text()
    (tmp_path / "cut.msh").write_text(whole[: len(whole) // 2])
    refused(["cut.msh"], lambda: read_mesh(tmp_path / "cut.msh", comm=SELF))


def test_what_meshio_stumbles_over(tmp_path: Path) -> None:
    """A mixed XDMF file with a kind of cell that meshio lacks, and a gmsh file without anything."""
    (tmp_path / "kind.xdmf").write_text(
        '<Xdmf Version="3.0"><Domain><Grid>'
        '<Topology TopologyType="Mixed" NumberOfElements="1">'
        '<DataItem DataType="Int" Dimensions="3" Format="XML" Precision="8">0 0 1</DataItem></Topology>'
        "</Grid></Domain></Xdmf>"
    )
    (tmp_path / "empty.msh").write_text("")
    for name, error in (("kind.xdmf", "KeyError: 0"), ("empty.msh", "ValueError: ")):
        refused(
            [name, "damaged, or of a variety that meshio does not read", error, "gmsh's .msh 4.1 or .vtu"],
            lambda name=name: read_mesh(tmp_path / name, comm=SELF),
        )


def test_points_only(tmp_path: Path) -> None:
    meshio.Mesh(SQUARE, [("vertex", np.array([[0], [1]]))]).write(tmp_path / "points.vtu")
    refused(["points.vtu", "no lines"], lambda: read_mesh(tmp_path / "points.vtu", comm=SELF))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("empty.inp", "*NODE\n1, 0, 0, 0\n2, 1, 0, 0\n*ELEMENT, TYPE=CPS3\n"),
        ("empty.mesh", "MeshVersionFormatted 2\nDimension 3\nVertices\n1\n0 0 0 1\nTriangles\n0\nEnd\n"),
    ],
)
def test_files_without_cells(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    refused([name, "holds no lines, surface or volume cells"], lambda: read_mesh(tmp_path / name, comm=SELF))


def test_cells_with_too_few_points(tmp_path: Path) -> None:
    path = tmp_path / "short.xdmf"
    meshio.write(path, meshio.Mesh(SQUARE, [("triangle", np.array([[0, 1, 2]]))]), data_format="XML")
    path.write_text(path.read_text().replace("Triangle", "Quadrilateral"))
    refused(["short.xdmf", "cell 0 (quad) has fewer than 4 points"], lambda: read_mesh(path, comm=SELF))


def test_scale(tmp_path: Path) -> None:
    refused(["-1"], lambda: read_mesh("meshes/ryan_wire/line.msh", length_unit=-1.0, comm=SELF))


def test_unknown_names() -> None:
    mesh = read_mesh("meshes/ryan_wire/line.msh", comm=SELF)
    refused(
        ["line.msh", "junktion_A", "did you mean 'junction_A'", "wire"],
        lambda: mesh.require_region("junktion_A"),
    )
    refused(["reservoir_top", "reservoir_left", "point_B"], lambda: mesh.require_boundary("reservoir_top"))


def test_zero_volume() -> None:
    flat = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0]])
    cells = [("triangle", np.array([[0, 1, 3], [0, 1, 2]]))]
    refused(["cell 1 (triangle)", "zero area"], lambda: build_mesh(flat, cells, comm=SELF))
    refused(["cell 0", "twice"], lambda: build_mesh(flat, [("triangle", np.array([[0, 1, 1]]))], comm=SELF))


def test_inverted_cells() -> None:
    tet = np.vstack([SQUARE[:3], [[0, 0, 1.0]]])
    refused(
        ["cell 0 (tetra)", "inverted"],
        lambda: build_mesh(tet, [("tetra", np.array([[1, 0, 2, 3]]))], comm=SELF),
    )
    bow_tie = [("quad", np.array([[0, 2, 1, 3]]))]
    skewed = SQUARE + np.array([[0, 0, 0], [0, 0, 0], [0.3, 0, 0], [0, 0, 0]])
    refused(["cell 0 (quad)"], lambda: build_mesh(skewed, bow_tie, comm=SELF))


def test_med_with_some_cells_inverted(tmp_path: Path) -> None:
    points = np.vstack([SQUARE[:3], [[0, 0, 1.0]], [[0, 0, -1.0]]])
    cells = [("tetra", np.array([[0, 1, 2, 3], [0, 1, 2, 4]]))]
    meshio.Mesh(points, cells).write(tmp_path / "mixed.med")
    refused(["cell 1 (tetra)", "inverted"], lambda: read_mesh(tmp_path / "mixed.med", comm=SELF))


def test_duplicated_cells() -> None:
    cells = [("triangle", np.array([[0, 1, 2], [0, 2, 3], [2, 0, 1]]))]
    refused(["cells 0 and 2"], lambda: build_mesh(SQUARE, cells, comm=SELF))


def test_non_manifold() -> None:
    points = np.vstack([SQUARE, [[0.5, -1.0, 0.0]], [[0.4, 0.2, 0.0]]])
    cells = [("triangle", np.array([[0, 1, 2], [0, 1, 4], [0, 1, 5]]))]
    refused(["more than two cells"], lambda: build_mesh(points, cells, comm=SELF))


def test_boundary_that_is_no_face() -> None:
    cells = [("triangle", np.array([[0, 1, 2], [0, 2, 3]]))]
    wrong = {"side": np.array([[0, 1], [1, 3]])}
    refused(["'side'", "not faces", "1, 3"], lambda: build_mesh(SQUARE, cells, {}, wrong, comm=SELF))


def test_bent_surface() -> None:
    points = SQUARE + np.array([[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0.5]])
    cells = [("triangle", np.array([[0, 1, 2], [0, 2, 3]]))]
    refused(["not flat"], lambda: build_mesh(points, cells, comm=SELF))


def test_other_nonsense() -> None:
    cells = [("triangle", np.array([[0, 1, 2]]))]
    refused(["point 9"], lambda: build_mesh(SQUARE, [("triangle", np.array([[0, 1, 9]]))], comm=SELF))
    refused(["finite"], lambda: build_mesh(SQUARE * np.nan, cells, comm=SELF))
    refused(["no cells"], lambda: build_mesh(SQUARE, [], comm=SELF))
    refused(["polygon5"], lambda: build_mesh(SQUARE, [("polygon5", np.array([[0, 1, 2, 3, 0]]))], comm=SELF))
    refused(["'r'"], lambda: build_mesh(SQUARE, cells, {"r": np.array([1])}, comm=SELF))
    refused(["'b'"], lambda: build_mesh(SQUARE, cells, {}, {"b": np.array([[0, 9]])}, comm=SELF))
    refused(["toroidal"], lambda: build_mesh(SQUARE, cells, comm=SELF, coordinates="toroidal"))
    refused(["spherical"], lambda: build_mesh(SQUARE, cells, comm=SELF, coordinates="spherical"))


GRID = np.array([[i, j, 0.0] for j in range(3) for i in range(4)])
QUADS = np.array(
    [(j * 4 + i, j * 4 + i + 1, j * 4 + i + 5, j * 4 + i + 4) for j in range(2) for i in range(3)]
)
LINES = np.array([[0, 1], [1, 2], [2, 3]])
#: Formats in which meshio writes any number of a point.
WRITTEN = {
    "a.vtu": {},
    "text.vtu": {"binary": False},
    "a.vtk": {},
    "a.xdmf": {},
    "text.xdmf": {"data_format": "XML"},
    "a.med": {},
    "a.mesh": {},
    "a.meshb": {},
    "a.bdf": {},
    "a.inp": {},
    "text22.msh": {"file_format": "gmsh22", "binary": False},
    "binary22.msh": {"file_format": "gmsh22", "binary": True},
}


@pytest.mark.parametrize("number", [-1, -1000, 12, 2**31 - 2])
@pytest.mark.parametrize("name", WRITTEN)
def test_points_that_do_not_exist(tmp_path: Path, name: str, number: int) -> None:
    """Point numbers that are negative or beyond the last, in quadrilaterals and in lines, are refused."""
    for kind, rows in (("quad", QUADS), ("line", LINES)):
        bad = rows.copy()
        bad[2, 1] = number
        path = tmp_path / name
        meshio.write(path, meshio.Mesh(GRID, [(kind, bad)]), **WRITTEN[name])
        # Formats with names of points do not get as far as a number.
        direct = name not in ("a.inp", "a.bdf") and not name.endswith(".msh")
        words = [f"cell 2 ({kind}) uses point {number}"] if direct else ["cannot be read as a mesh"]
        refused([str(path), *words], lambda path=path: read_mesh(path, comm=SELF))
        with pytest.raises(MeshError, match=f"cell 2 .{kind}. uses point"):
            build_mesh(GRID, [(kind, bad)], comm=SELF)


def test_a_boundary_with_a_point_that_does_not_exist(tmp_path: Path) -> None:
    cells = [("quad", QUADS), ("line", np.array([[0, 1], [1, -1]]))]
    meshio.write(tmp_path / "film.vtu", meshio.Mesh(GRID, cells))
    refused(
        ["element of a boundary: number 1 (line) uses point -1"],
        lambda: read_mesh(tmp_path / "film.vtu", comm=SELF),
    )


@pytest.mark.parametrize("name", ["wrapped.vtu", "wrapped.xdmf"])
def test_point_numbers_of_more_bits_than_the_file_says(tmp_path: Path, name: str) -> None:
    """Read modulo 2^32 the number would be that of another point."""
    path = tmp_path / name
    how = {"binary": False} if name.endswith(".vtu") else {"data_format": "XML"}
    meshio.write(path, meshio.Mesh(GRID, [("quad", QUADS.astype(np.int32))]), **how)
    assert read_mesh(path, comm=SELF).n_global == 6
    text = path.read_text()
    at = text.index("Int32" if name.endswith(".vtu") else 'TopologyType="')
    path.write_text(text[:at] + re.sub(r"\b11\b", str(2**32 + 11), text[at:], count=1))
    assert path.read_text() != text
    refused([name, "a number is none of 32 bits"], lambda: read_mesh(path, comm=SELF))


def test_pieces_of_a_vtu_file(tmp_path: Path) -> None:
    """meshio keeps the cells of the last piece only."""
    path = tmp_path / "pieces.vtu"
    meshio.write(path, meshio.Mesh(GRID, [("quad", QUADS)]))
    text = path.read_text()
    piece = text[text.index("<Piece") : text.index("</Piece>") + len("</Piece>")]
    path.write_text(text.replace(piece, 2 * piece))
    refused(["pieces.vtu", "several pieces", "merge"], lambda: read_mesh(path, comm=SELF))


@pytest.mark.parametrize("size", [1e12, 1e200, 1e308])
def test_coordinates_that_no_device_has(tmp_path: Path, size: float) -> None:
    far = GRID.copy()
    far[6, 0] = size
    meshio.write(tmp_path / "far.vtu", meshio.Mesh(far, [("quad", QUADS)]))
    refused(["far.vtu", "point 6", "beyond 1e+09 m"], lambda: read_mesh(tmp_path / "far.vtu", comm=SELF))
    unused = np.concatenate([GRID, 1e12 * GRID[6:7]])
    assert build_mesh(unused, [("quad", QUADS)], comm=SELF).volume.sum() == pytest.approx(6.0)


def test_points_of_no_cell_do_not_decide_what_lies_on_the_axis(tmp_path: Path) -> None:
    points = np.concatenate([1e-6 * GRID, [[1e4, 0.0, 0.0]]])
    meshio.write(tmp_path / "disk.vtu", meshio.Mesh(points, [("quad", QUADS)]))
    mesh = read_mesh(tmp_path / "disk.vtu", coordinates="cylindrical", comm=SELF)
    assert mesh.volume.sum() == pytest.approx(np.pi * 9 * 2 * 1e-18)


def test_files_that_claim_more_than_they_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compressed data of a thousand times the size of the file, and an array that is larger than any disk."""
    monkeypatch.setattr(reading, "FREE_MEMORY", 1 << 26)
    block = zlib.compress(bytes(1 << 24), 9)
    header = struct.pack("<4I", 1, 1 << 24, 0, len(block))
    packed = base64.b64encode(header).decode() + base64.b64encode(block).decode()
    arrays = "".join(
        f'<DataArray type="Float64" Name="a{n}" format="binary">{packed}</DataArray>'
        for n in range(64)  # 1 GiB
    )
    (tmp_path / "packed.vtu").write_text(
        '<VTKFile type="UnstructuredGrid" version="0.1" byte_order="LittleEndian" '
        'compressor="vtkZLibDataCompressor"><UnstructuredGrid><Piece NumberOfPoints="0" NumberOfCells="0">'
        f"<PointData>{arrays}</PointData></Piece></UnstructuredGrid></VTKFile>"
    )
    with h5py.File(tmp_path / "packed.h5", "w") as file:
        file.create_dataset("data0", shape=(1 << 40, 3), dtype="f8", chunks=(1 << 10, 3), compression="gzip")
    (tmp_path / "packed.xdmf").write_text(
        '<Xdmf Version="3.0"><Domain><Grid><Geometry GeometryType="XYZ"><DataItem DataType="Float" '
        f'Dimensions="{1 << 40} 3" Format="HDF" Precision="8">packed.h5:/data0</DataItem></Geometry>'
        "</Grid></Domain></Xdmf>"
    )
    limit = resource.getrlimit(resource.RLIMIT_AS)
    for name in ("packed.vtu", "packed.xdmf"):
        words = [name, "cannot be read as a mesh: it asks for more memory than its size explains"]
        refused(words, lambda name=name: read_mesh(tmp_path / name, comm=SELF))
    assert resource.getrlimit(resource.RLIMIT_AS) == limit


def test_files_larger_than_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused before they are read; the file is sparse."""
    path = tmp_path / "large.msh"
    path.write_text("$MeshFormat\n4.1 0 8\n$EndMeshFormat\n")
    with path.open("ab") as file:
        file.truncate(1 << 30)
    monkeypatch.setattr(reading, "available", lambda comm: 8e9)
    words = ["large.msh: a mesh file of 1.07 GB takes more than 10.7 GB of memory, and 8 GB are free"]
    refused(words, lambda: read_mesh(path, comm=SELF))
