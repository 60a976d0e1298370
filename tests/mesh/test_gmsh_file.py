"""Files of gmsh: the mesh that meshio reads, and a refusal wherever numbers do not fit together."""

from __future__ import annotations

import re
from pathlib import Path

import meshio
import numpy as np
import pytest

from fvqp.errors import MeshError
from fvqp.mesh import read_raw, reading
from fvqp.mesh.filling import gmsh_session

SHIPPED = sorted(Path("meshes").rglob("*.msh"))
#: Element 1 is a line, 2 and 3 are triangles.
FORMAT_2 = """$MeshFormat
2.2 0 8
$EndMeshFormat
$Nodes
4
1 0 0 0
2 1 0 0
3 1 1 0
4 0 1 0
$EndNodes
$Elements
3
1 1 2 7 1 1 2
2 2 2 8 1 1 2 3
3 2 2 8 1 1 3 4
$EndElements
"""
FORMAT_4 = """$MeshFormat
4.1 0 8
$EndMeshFormat
$Nodes
1 4 1 4
2 1 0 4
1
2
3
4
0 0 0
1 0 0
1 1 0
0 1 0
$EndNodes
$Elements
1 2 1 2
2 1 2 2
1 1 2 3
2 1 3 4
$EndElements
"""


def same(a: reading.RawMesh, b: reading.RawMesh) -> None:
    np.testing.assert_array_equal(a.points, b.points)
    assert [kind for kind, _ in a.cells] == [kind for kind, _ in b.cells]
    for (_, rows), (_, others) in zip(a.cells, b.cells, strict=True):
        np.testing.assert_array_equal(rows, others)
    for one, other in ((a.regions, b.regions), (a.boundaries, b.boundaries)):
        assert list(one) == list(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.parametrize("path", SHIPPED, ids=[path.stem for path in SHIPPED])
def test_shipped_meshes_are_as_meshio_reads_them(path: Path) -> None:
    same(read_raw(path), reading._sort_out(meshio.read(path), str(path)))


@pytest.mark.parametrize("binary", [0, 1])
@pytest.mark.parametrize("version", [2.2, 4.1])
def test_formats_of_gmsh(tmp_path: Path, version: float, binary: int) -> None:
    """Wedges, tetrahedra and their faces with names, as gmsh writes them; meshio is the referee."""
    path = tmp_path / "solid.msh"
    with gmsh_session("a test", {"Mesh.Binary": binary, "Mesh.MshFileVersion": version}) as program:
        model = program.model
        model.occ.addBox(1, 0, 0, 1, 1, 1)
        model.occ.extrude([(2, model.occ.addRectangle(0, 0, 3, 1, 1))], 0, 0, 0.5, [2], recombine=True)
        model.occ.synchronize()
        model.addPhysicalGroup(3, [tag for _, tag in model.getEntities(3)], name="both of them")
        model.addPhysicalGroup(2, [tag for _, tag in model.getEntities(2)], name="surface")
        program.option.setNumber("Mesh.MeshSizeMax", 0.5)
        model.mesh.generate(3)
        program.write(str(path))
    raw = read_raw(path)
    assert {kind for kind, _ in raw.cells} == {"tetra", "wedge"}
    assert raw.regions.keys() == {"both of them"} and raw.boundaries.keys() == {"surface"}
    same(raw, reading._sort_out(meshio.read(path), ""))


@pytest.mark.parametrize("binary", [False, True])
def test_format_4_0(tmp_path: Path, binary: bool) -> None:
    """As meshio writes it; the mesh in format 2.2 is the referee."""
    mesh = meshio.read("meshes/devices/film_with_trap.msh")
    old = tmp_path / "old.msh"
    meshio.gmsh.write(old, meshio.Mesh(mesh.points, mesh.cells), "4.0", binary=binary)
    raw, other = read_raw(old), read_raw("meshes/devices/film_with_trap.msh")
    np.testing.assert_array_equal(raw.points, other.points)
    ((_, rows),), ((_, others),) = raw.cells, other.cells
    np.testing.assert_array_equal(rows, others)


def test_groups_of_some_elements_only(tmp_path: Path) -> None:
    """All elements saved, most of them without a group, one with two; meshio does not read this."""
    path = tmp_path / "some.msh"
    with gmsh_session("a test", {"Mesh.SaveAll": 1}) as program:
        for x in (0, 1):
            program.model.occ.addRectangle(x, 0, 0, 1, 1)
        program.model.occ.fragment([(2, 1)], [(2, 2)])
        program.model.occ.synchronize()
        program.model.addPhysicalGroup(2, [1], name="a")
        program.model.addPhysicalGroup(2, [1, 2], 9)
        program.model.mesh.generate(2)
        program.write(str(path))
    raw = read_raw(path)
    (_, rows), *more = raw.cells
    count = len(rows) + sum(len(rows) for _, rows in more)
    assert list(raw.regions) == ["9", "a"] or list(raw.regions) == ["a", "9"]
    np.testing.assert_array_equal(raw.regions["9"], np.arange(count))
    assert 0 < len(raw.regions["a"]) < count


@pytest.mark.parametrize("node", range(1, 162, 32))
def test_a_node_is_missing(tmp_path: Path, node: int) -> None:
    """A line of the nodes is left out, and their count adjusted."""
    lines = Path("meshes/networks/side_arm_film.msh").read_text().split("\n")
    start = lines.index("$Nodes") + 1
    lines[start] = str(int(lines[start]) - 1)
    del lines[start + node]
    path = tmp_path / "missing.msh"
    path.write_text("\n".join(lines))
    with pytest.raises(MeshError, match=rf"element \d+ \(\w+\) has node {node}, which is not in the file"):
        read_raw(path)


def test_the_small_files(tmp_path: Path) -> None:
    for number, text in enumerate((FORMAT_2, FORMAT_4)):
        path = tmp_path / f"{number}.msh"
        path.write_text(text)
        ((kind, rows),) = read_raw(path).cells
        assert kind == "triangle" and rows.tolist() == [[0, 1, 2], [0, 2, 3]]


@pytest.mark.parametrize(
    ("text", "old", "new", "words"),
    [
        (FORMAT_2, "8 1 1 3 4", "8 1 1 3 0", "element 3 (triangle) has node 0, which is not in the file"),
        (FORMAT_2, "8 1 1 3 4", "8 1 1 3 -1", "element 3 (triangle) has node -1"),
        (FORMAT_2, "8 1 1 3 4", "8 1 1 3 4294967300", "element 3 (triangle) has node 4294967300"),
        (FORMAT_2, "7 1 1 2", "7 1 1 9", "element 1 (line) has node 9"),
        (FORMAT_2, "8 1 1 3 4", "8 1 3 4", "element 3 has 7 numbers, but 3 nodes and 2 tags make 8"),
        (FORMAT_2, "8 1 1 3 4", "8 1 1 3 4.5", "$Elements holds something that is no number"),
        (FORMAT_2, "3 2 2 8", "3 99 2 8", "elements of gmsh's kind 99 are not supported"),
        (FORMAT_2, "3 2 2 8 1 1 3 4\n", "", "$Elements does not hold the 3 elements"),
        (FORMAT_2, "4 0 1 0\n", "3 0 1 0\n", "it has node 3 twice"),
        (FORMAT_2, "4 0 1 0\n", "4.5 0 1 0\n", "$Nodes has a fraction"),
        (FORMAT_2, "4 0 1 0\n", "", "$Nodes ends too early"),
        (FORMAT_2, "4 0 1 0\n", "4 0 1 x\n", "$Nodes holds something that is no number"),
        (FORMAT_2, "Nodes\n4", "Nodes\n999999999999", "$Nodes ends too early"),
        (FORMAT_2, "Nodes\n4", "Nodes\n3", "$Nodes has more numbers than it says"),
        (FORMAT_2, "$EndElements", "", "$Elements has no end"),
        (FORMAT_2, "2.2 0 8", "1.0 0 8", "format 1.0 is none of 2.2, 4.0 and 4.1"),
        (FORMAT_4, "2 1 3 4", "2 0 3 4", "element 2 (triangle) has node 0"),
        (
            FORMAT_4,
            "2 1 3 4",
            "2 1 3 18446744073709551615",
            "element 2 (triangle) has node 92233720368547758",
        ),
        (FORMAT_4, "1 4 1 4", "1 5 1 4", "$Nodes does not hold the 5 nodes"),
        (FORMAT_4, "1 2 1 2\n", "1 1 1 2\n", "$Elements does not hold the 1 elements"),
        (FORMAT_4, "2 1 0 4\n", "2 1 0 99999999999\n", "$Nodes ends too early"),
        (FORMAT_4, "2 1 3 4", "2 1 3", "$Elements ends too early"),
        (FORMAT_4, "2 1 2 2\n", "2 1 2 -2\n", "$Elements"),
    ],
)
def test_numbers_that_do_not_fit_together(tmp_path: Path, text: str, old: str, new: str, words: str) -> None:
    assert text.count(old) == 1
    (tmp_path / "bad.msh").write_text(text.replace(old, new))
    with pytest.raises(
        MeshError, match=re.escape(f"{tmp_path}/bad.msh: cannot be read as a mesh: ")
    ) as found:
        read_raw(tmp_path / "bad.msh")
    assert words in str(found.value)


@pytest.mark.parametrize("version", [2.2, 4.1])
def test_counts_of_binary_files(tmp_path: Path, version: float) -> None:
    """Every byte that has a count in it is made huge; what is read then is not more than the file has."""
    path = tmp_path / "binary.msh"
    with gmsh_session("a test", {"Mesh.Binary": 1, "Mesh.MshFileVersion": version}) as program:
        program.model.occ.addRectangle(0, 0, 0, 1, 1)
        program.model.occ.synchronize()
        program.model.addPhysicalGroup(2, [1], name="film")
        program.model.mesh.generate(2)
        program.write(str(path))
    whole = path.read_bytes()
    start = whole.index(b"$Nodes")
    refused = 0
    for at in range(start + 7, start + 60):
        path.write_bytes(whole[:at] + b"\x7f" + whole[at + 1 :])
        try:
            read_raw(path)
        except MeshError:
            refused += 1
    assert refused > 10
