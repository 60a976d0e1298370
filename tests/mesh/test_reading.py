"""Files of several formats give the same mesh and the same names."""

from __future__ import annotations

from pathlib import Path

import gmsh
import meshio
import numpy as np
import pytest
from mixed_meshes import mixed_cells
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import Mesh, build_mesh, read_mesh, reading
from fvqp.mesh.filling import gmsh_session

SELF = MPI.COMM_SELF


def two_squares(path: Path, version: float, order: int = 1) -> Path:
    """Unit squares a and b side by side, coarse triangles; outer boundary ``left``, interior one ``mid``."""
    gmsh.initialize(interruptible=False)
    gmsh.option.setNumber("General.Terminal", 0)
    gmsh.option.setNumber("Mesh.MshFileVersion", version)
    a = gmsh.model.occ.addRectangle(0, 0, 0, 1, 1)
    b = gmsh.model.occ.addRectangle(1, 0, 0, 1, 1)
    gmsh.model.occ.fragment([(2, a)], [(2, b)])
    gmsh.model.occ.synchronize()
    gmsh.model.addPhysicalGroup(2, [1], name="a")
    gmsh.model.addPhysicalGroup(2, [2], name="b")
    for name, x in (("left", 0.0), ("mid", 1.0)):
        lines = gmsh.model.getEntitiesInBoundingBox(x - 1e-3, -1, -1, x + 1e-3, 2, 1, 1)
        gmsh.model.addPhysicalGroup(1, [tag for _, tag in lines], name=name)
    gmsh.option.setNumber("Mesh.MeshSizeMax", 0.3)
    gmsh.model.mesh.generate(2)
    gmsh.model.mesh.setOrder(order)
    gmsh.write(str(path))
    gmsh.finalize()
    return path


def check_two_squares(mesh: Mesh, unit: float = 1.0) -> None:
    assert set(mesh.regions) == {"a", "b"} and set(mesh.boundaries) == {"left", "mid"}
    for name, middle in (("a", 0.5), ("b", 1.5)):
        cells = mesh.require_region(name)
        assert mesh.volume[cells].sum() == pytest.approx(unit**2, rel=1e-13)
        assert mesh.volume[cells] @ mesh.centroid[cells, 0] == pytest.approx(middle * unit**3, rel=1e-12)
        assert np.all(mesh.cell_region[cells] == mesh.region_names.index(name))
    left, mid = mesh.require_boundary("left"), mesh.require_boundary("mid")
    assert mesh.face_area[left].sum() == pytest.approx(unit) == mesh.face_area[mid].sum()
    assert np.all(mesh.face_cells[left, 1] == -1) and np.all(mesh.face_cells[mid, 1] >= 0)
    assert np.allclose(mesh.face_centroid[mid, 0], unit)
    assert set(left) <= set(mesh.outer_faces) and not set(mid) & set(mesh.outer_faces)


@pytest.mark.parametrize("version", [2.2, 4.1])
@pytest.mark.parametrize("order", [1, 2])
def test_gmsh(tmp_path: Path, version: float, order: int) -> None:
    path = two_squares(tmp_path / "squares.msh", version, order)
    check_two_squares(read_mesh(path, comm=SELF))
    check_two_squares(read_mesh(path, length_unit="um", comm=SELF), 1e-6)


def write_mixed(path: Path, how: str) -> None:
    """The mixed mesh with a region for each kind of cell and the boundary ``floor`` of hexahedra."""
    points, cells = mixed_cells()
    hexes = dict(cells)["hexahedron"]
    floor = hexes[np.all(points[hexes[:, :4], 2] == 0.0, axis=1), :4]
    blocks = [*cells, ("quad", floor)]
    tags = [np.full(len(rows), n) for n, (_, rows) in enumerate(blocks, 1)]
    names = [kind for kind, _ in cells] + ["floor"]
    if how in ("vtu", "vtk", "xdmf"):
        meshio.write(path, meshio.Mesh(points, blocks, cell_data={"region": tags}))
    elif how == "med":
        mesh = meshio.Mesh(points, blocks, cell_data={"cell_tags": [-tag for tag in tags]})
        mesh.cell_tags = {-n: [name] for n, name in enumerate(names, 1)}
        meshio.write(path, mesh)
    else:
        data = {"gmsh:physical": tags, "gmsh:geometrical": tags}
        field = {name: np.array([n, 3 if n < len(names) else 2]) for n, name in enumerate(names, 1)}
        mesh = meshio.Mesh(points, blocks, cell_data=data, field_data=field)
        first = path.with_suffix(".22.msh")
        meshio.write(first, mesh, file_format="gmsh22", binary=False)
        version, binary = how.split()
        gmsh.initialize(interruptible=False)
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.merge(str(first))
        gmsh.option.setNumber("Mesh.MshFileVersion", float(version))
        gmsh.option.setNumber("Mesh.Binary", int(binary == "binary"))
        gmsh.write(str(path))
        gmsh.finalize()


@pytest.mark.parametrize(
    "how", ["2.2 text", "2.2 binary", "4.1 text", "4.1 binary", "vtu", "vtk", "xdmf", "med"]
)
def test_all_kinds_of_cells_in_all_formats(tmp_path: Path, how: str) -> None:
    path = tmp_path / f"mixed.{'msh' if ' ' in how else how}"
    write_mixed(path, how)
    mesh = read_mesh(path, comm=SELF)
    names = ["wedge", "hexahedron", "pyramid", "tetra", "floor"]
    if how in ("vtu", "vtk", "xdmf"):
        names = ["1", "2", "3", "4", "5"]
    points, cells = mixed_cells()
    kind = np.concatenate([np.full(len(rows), n) for n, (_, rows) in enumerate(cells)])
    expected = build_mesh(points, cells, comm=SELF)
    assert mesh.volume.sum() == pytest.approx(36.0 + 12 * 0.25 + 17 * 0.75 / 6, rel=1e-12)
    for number, name in enumerate(names[:-1]):
        found = np.sort(mesh.volume[mesh.require_region(name)])
        assert found == pytest.approx(np.sort(expected.volume[kind == number]), rel=1e-12)
    floor = mesh.require_boundary(names[-1])
    assert mesh.face_area[floor].sum() == pytest.approx(12.0, rel=1e-12)
    assert np.all(mesh.face_centroid[floor, 2] == 0.0) and np.all(mesh.face_cells[floor, 1] < 0)


def plain(tmp_path: Path) -> meshio.Mesh:
    """The two squares as meshio has them, with nothing but points and cells; and the groups by block."""
    return meshio.read(two_squares(tmp_path / "source.msh", 4.1))


def test_abaqus_sets(tmp_path: Path) -> None:
    source = plain(tmp_path)
    sets = {n: s for n, s in source.cell_sets.items() if not n.startswith("gmsh:")}
    cells = [(c.type, c.data) for c in source.cells]
    joined: dict[str, list[np.ndarray]] = {}
    for name, per_block in sets.items():
        joined[name] = [np.array([], dtype=int) if s is None else np.asarray(s, dtype=int) for s in per_block]
    meshio.Mesh(source.points, cells, cell_sets=joined).write(tmp_path / "squares.inp")
    mesh = read_mesh(tmp_path / "squares.inp", comm=SELF)
    assert [mesh.volume[mesh.require_region(name)].sum() for name in "ab"] == pytest.approx([1.0, 1.0])
    for name, x in (("left", 0.0), ("mid", 1.0)):
        faces = mesh.require_boundary(name)
        assert (
            mesh.face_area[faces].sum() == pytest.approx(1.0) and np.ptp(mesh.face_centroid[faces, 0]) == 0.0
        )
        assert mesh.face_centroid[faces[0], 0] == pytest.approx(x)


@pytest.mark.parametrize("suffix", ["vtu", "xdmf"])
def test_region_numbers(tmp_path: Path, suffix: str) -> None:
    source = plain(tmp_path)
    triangles = np.concatenate([c.data for c in source.cells if c.type == "triangle"])
    region = np.where(source.points[triangles, 0].mean(axis=1) < 1.0, 7, 0)
    path = tmp_path / f"squares.{suffix}"
    meshio.Mesh(source.points, [("triangle", triangles)], cell_data={"region": [region]}).write(path)
    mesh = read_mesh(path, comm=SELF)
    assert mesh.region_names == ["0", "7"]
    assert mesh.volume[mesh.require_region("7")].sum() == pytest.approx(1.0)


def test_med_families(tmp_path: Path) -> None:
    source = plain(tmp_path)
    triangles = np.concatenate([c.data for c in source.cells if c.type == "triangle"])
    lines = np.concatenate([c.data for c in source.cells if c.type == "line"])
    family = np.where(source.points[triangles, 0].mean(axis=1) < 1.0, -1, -2)
    on_left = np.where(np.all(source.points[lines, 0] < 1e-9, axis=1), -3, -4)
    data = meshio.Mesh(
        source.points, [("triangle", triangles), ("line", lines)], cell_data={"cell_tags": [family, on_left]}
    )
    data.cell_tags = {-1: ["a"], -2: ["b"], -3: ["left"], -4: ["mid"]}
    data.write(tmp_path / "squares.med")
    check_two_squares(read_mesh(tmp_path / "squares.med", comm=SELF))


def gmsh_solid(path: Path, kinds: list[str], order: int) -> None:
    """The mixed mesh as gmsh itself writes it: a region for each kind, and the ``floor`` of hexes."""
    points, cells = mixed_cells()
    hexes = dict(cells)["hexahedron"]
    floor = hexes[np.all(points[hexes[:, :4], 2] == 0.0, axis=1), :4]
    number = {"quad": 3, "tetra": 4, "hexahedron": 5, "wedge": 6, "pyramid": 7}
    with gmsh_session("a test", {"Mesh.SecondOrderIncomplete": 1}) as gmsh:
        if path.suffix == ".med" and "Med" not in gmsh.option.getString("General.BuildOptions"):
            pytest.skip("gmsh without MED")
        for k, (kind, rows) in enumerate([*((n, r) for n, r in cells if n in kinds), ("quad", floor)]):
            dim = 2 if kind == "quad" else 3
            entity = gmsh.model.addDiscreteEntity(dim)
            if k == 0:
                gmsh.model.mesh.addNodes(dim, entity, np.arange(1, len(points) + 1), points.ravel())
            gmsh.model.mesh.addElementsByType(entity, number[kind], [], rows.ravel() + 1)
            gmsh.model.addPhysicalGroup(dim, [entity], name="floor" if dim == 2 else kind)
        gmsh.model.mesh.setOrder(order)
        gmsh.write(str(path))


# meshio does not read prisms and pyramids with nodes in the middle of their edges.
@pytest.mark.parametrize(
    ("kinds", "order"), [(["wedge", "hexahedron", "pyramid", "tetra"], 1), (["hexahedron"], 2)]
)
def test_med_as_gmsh_writes_it(tmp_path: Path, kinds: list[str], order: int) -> None:
    """MED numbers the corners of solids the other way round than VTK; gmsh's own format is the referee."""
    meshes = []
    for suffix in ("med", "msh"):
        gmsh_solid(tmp_path / f"solid.{suffix}", kinds, order)
        meshes.append(read_mesh(tmp_path / f"solid.{suffix}", comm=SELF))
    for mesh in meshes:
        assert set(mesh.regions) == set(kinds) and set(mesh.boundaries) == {"floor"}
        assert mesh.face_area[mesh.require_boundary("floor")].sum() == pytest.approx(12.0, rel=1e-12)
    for kind in kinds:
        found, expected = (np.sort(m.volume[m.require_region(kind)]) for m in meshes)
        np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_overlapping_groups(tmp_path: Path) -> None:
    points = np.linspace(0.0, 1.0, 5)[:, None]
    lines = np.stack([np.arange(4), np.arange(1, 5)], axis=1)
    mesh = build_mesh(points, [("line", lines)], {"part": np.array([1]), "all": np.arange(4)}, comm=SELF)
    assert mesh.regions["all"].tolist() == [0, 1, 2, 3]
    assert [mesh.region_names[i] for i in mesh.cell_region] == ["all", "part", "all", "all"]


def test_the_wires_meshes() -> None:
    """Names, sizes and places of the device, in every one of its meshes."""
    for name in ("line", "film", "film_quads", "wire_3d"):
        mesh = read_mesh(f"meshes/ryan_wire/{name}.msh", length_unit="um", comm=SELF)
        across = {1: 1.0, 2: 150e-9, 3: 150e-9 * 8e-9}[mesh.dim]
        assert mesh.components()[0] == 1
        for junction, x in (("A", -300e-9), ("B", 0.0), ("C", 300e-9)):
            cells = mesh.require_region(f"junction_{junction}")
            volume = mesh.volume[cells]
            assert volume.sum() == pytest.approx(150e-9 * across, rel=1e-9)
            assert volume @ mesh.centroid[cells, 0] / volume.sum() == pytest.approx(x, abs=1e-15)
        assert mesh.volume[mesh.require_region("wire")].sum() == pytest.approx(10.55e-6 * across, rel=1e-9)
        assert np.all(mesh.cell_region >= 0)
        end = 5.5e-6 if mesh.dim == 1 else 7e-6
        for side, sign in (("left", -1), ("right", 1)):
            faces = mesh.require_boundary(f"reservoir_{side}")
            assert np.allclose(mesh.face_centroid[faces, 0], sign * end, rtol=1e-9)
            assert np.all(mesh.face_cells[faces, 1] < 0)
        if name == "line":
            assert mesh.face_centroid[mesh.require_boundary("point_A"), 0] == pytest.approx([-300e-9])
        if name == "wire_3d":
            top = mesh.require_boundary("top_C")
            assert mesh.face_area[top].sum() == pytest.approx(150e-9**2, rel=1e-9)
            assert np.allclose(mesh.face_centroid[top, 2], 8e-9)


def test_disconnected_parts_are_counted() -> None:
    points = np.arange(6.0)[:, None]
    mesh = build_mesh(points, [("line", np.array([[0, 1], [4, 5], [1, 2], [3, 4]]))], comm=SELF)
    count, part = mesh.components()
    assert count == 2 and part.tolist() == [0, 1, 0, 1]


def test_gmsh_format_4_0(tmp_path: Path) -> None:
    """Written and read by gmsh itself; the same mesh in format 4.1 is the referee."""
    gmsh = pytest.importorskip("gmsh")
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.model.occ.addRectangle(0, 0, 0, 1, 1)
        gmsh.model.occ.synchronize()
        gmsh.model.addPhysicalGroup(2, [1], name="film")
        gmsh.model.addPhysicalGroup(1, [4], name="left")
        gmsh.model.mesh.generate(2)
        for version in (4.0, 4.1):
            gmsh.option.setNumber("Mesh.MshFileVersion", version)
            gmsh.write(str(tmp_path / f"{version}.msh"))
    finally:
        gmsh.finalize()
    old, new = (reading.read_raw(tmp_path / f"{version}.msh") for version in (4.0, 4.1))
    np.testing.assert_array_equal(old.points, new.points)
    assert old.regions.keys() == new.regions.keys() == {"film"}
    np.testing.assert_array_equal(old.boundaries["left"], new.boundaries["left"])


def test_a_file_of_radius_and_height(tmp_path: Path) -> None:
    """A cone, whose tip a program of meshes has put next to the axis; and what is no such mesh."""
    path = tmp_path / "cone.vtu"

    def write(points: list[list[float]]) -> None:
        meshio.Mesh(points, [("triangle", [[0, 1, 2]])]).write(path)

    write([[-1e-15, 0.0, 0.0], [2.0, 0.0, 0.0], [1e-16, 3.0, 1e-17]])
    mesh = read_mesh(path, length_unit=0.1, coordinates="cylindrical", comm=SELF)
    assert mesh.coordinates == "cylindrical"
    assert mesh.volume == pytest.approx([np.pi * 0.2**2 * 0.3 / 3.0], rel=1e-14)
    assert mesh.face_area.sum() == pytest.approx(np.pi * (0.2**2 + 0.2 * np.hypot(0.2, 0.3)), rel=1e-14)
    for points, message in (
        ([[-0.1, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 3.0, 0.0]], "a radius .* is negative"),
        ([[0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [0.0, 0.0, 3.0]], "has points with another z than 0"),
    ):
        write(points)
        with pytest.raises(MeshError, match=message):
            read_mesh(path, coordinates="cylindrical", comm=SELF)
