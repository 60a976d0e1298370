"""What cannot be read, or not computed on, is refused in one line that says what and where."""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import build_mesh, read_mesh

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


def test_scale(tmp_path: Path) -> None:
    refused(["-1"], lambda: read_mesh("meshes/ryan_wire/line.msh", scale=-1.0, comm=SELF))


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
