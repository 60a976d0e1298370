"""GDS layouts become meshes whose parts have the areas that were drawn; bad layouts are refused."""

from __future__ import annotations

import re
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

from fvqp import cli
from fvqp.errors import MeshError
from fvqp.mesh import Mesh, read_mesh
from fvqp.mesh.layout import (
    Layer,
    Marker,
    Stack,
    Substrate,
    mesh_from_gds,
    stack_from_options,
    stack_from_toml,
)
from fvqp.mesh.layout.gds import read_layout
from fvqp.mesh.layout.segments import crossings, parts

gdstk = pytest.importorskip("gdstk")

FILM = Stack(layers=(Layer(layer="1/0", name="film"),), size="2 um")


def write(path: Path, *shapes: object, cells: dict[str, list[object]] | None = None) -> Path:
    """A layout in micrometres on a grid of 1 nm; ``shapes`` make the cell TOP."""
    library = gdstk.Library(unit=1e-6, precision=1e-9)
    for name, content in {"TOP": list(shapes), **(cells or {})}.items():
        if content:
            library.new_cell(name).add(*content)
    library.write_gds(path)
    return path


def box(x0: float, y0: float, x1: float, y1: float, layer: int = 1) -> object:
    return gdstk.rectangle((x0, y0), (x1, y1), layer=layer)


def made(path: Path, stack: Stack, **more: str) -> Mesh:
    return read_mesh(
        mesh_from_gds(path, stack, path.with_suffix(".msh"), **more), length_unit="um", comm=MPI.COMM_SELF
    )


def areas(mesh: Mesh) -> tuple[dict[str, float], dict[str, float]]:
    """Regions and boundaries with their measures, in powers of a micrometre."""
    regions = {name: mesh.volume[cells].sum() * 1e6**mesh.dim for name, cells in mesh.regions.items()}
    faces = {n: mesh.face_area[f].sum() * 1e6 ** (mesh.dim - 1) for n, f in mesh.boundaries.items()}
    return regions, faces


def test_union_holes_and_touching_regions(tmp_path: Path) -> None:
    """Polygons that overlap, touch, or are references are one film; holes stay; a trap is cut out."""
    cell = gdstk.Cell("PAD")
    cell.add(box(0, 0, 4, 4))
    holed = gdstk.boolean(
        box(0, 0, 20, 10), [box(2, 2, 4, 4), box(6, 2, 8, 4), box(2, 6, 4, 8)], "not", layer=1
    )
    library = gdstk.Library(unit=1e-6, precision=1e-9)
    top = library.new_cell("TOP")
    library.add(cell)
    top.add(*holed, box(15, 5, 25, 10), box(25, 5, 30, 10), box(10, 5, 12, 7, layer=2))
    top.add(gdstk.Reference(cell, (40, 0), columns=2, spacing=(4, 4)), box(-1, -1, 1, 5, layer=9))
    path = tmp_path / "a.gds"
    library.write_gds(path)
    stack = Stack(
        layers=(Layer(layer="1", name="film"), Layer(layer="2/0", name="trap", over=("film",), size="1 um")),
        boundaries=(Marker(layer="9/0", name="lead"),),
        size="2 um",
    )
    mesh = made(path, stack)
    assert mesh.dim == 2
    regions, faces = areas(mesh)
    assert regions == pytest.approx({"film": 200 - 3 * 4 + 25 + 25 - 4 + 2 * 16, "trap": 4.0}, rel=1e-9)
    # The extension is flush with the long side, so the outline is as long as that of 30 by 10.
    outline = 2 * (30 + 10) + 3 * 8 + 2 * (8 + 4)
    assert faces == pytest.approx({"lead": 6.0, "film_trap": 8.0, "film_edge": outline - 6.0}, rel=1e-9)
    assert set(mesh.outer_faces) == set(mesh.boundaries["film_edge"]) | set(mesh.boundaries["lead"])
    size = np.sqrt(4.0 / np.sqrt(3.0) * mesh.volume[mesh.regions["trap"]].mean())
    assert 0.5e-6 < size < 1.2e-6 < np.sqrt(4.0 / np.sqrt(3.0) * mesh.volume[mesh.regions["film"]].mean())


def test_a_solid_of_layers_on_a_substrate(tmp_path: Path) -> None:
    """Volumes and faces of a film with a pad on top and a marked contact, on a substrate."""
    path = write(tmp_path / "b.gds", box(0, 0, 10, 4), box(2, 0, 4, 4, layer=2), box(8, 1, 9, 3, layer=7))
    stack = Stack(
        layers=(
            Layer(layer="1/0", name="film", thickness="0.1 um", levels=2),
            Layer(layer="2/0", name="pad", thickness="50 nm", z="0.1 um"),
        ),
        substrate=Substrate(thickness="6 um", margin="1 um", size="3 um", levels=3, grading=2.0),
        boundaries=(Marker(layer="7/0", name="contact", of="film", on="top"),),
        size="1 um",
    )
    mesh = made(path, stack)
    regions, faces = areas(mesh)
    assert mesh.dim == 3
    assert regions == pytest.approx({"film": 4.0, "pad": 0.4, "substrate": 12 * 6 * 6.0}, rel=1e-8)
    expected = {
        "contact": 2.0,
        "film_top": 30.0,
        "film_edge": 2.8,
        "film_pad": 8.0,
        "film_substrate": 40.0,
        "pad_edge": 0.6,
        "pad_top": 8.0,
        "substrate_top": 32.0,
        "substrate_edge": 36 * 6.0,
        "substrate_bottom": 72.0,
    }
    assert faces == pytest.approx(expected, rel=1e-8)
    # Levels of 6/7, 12/7 and 24/7 um from the top, and faces between prisms upright or level.
    heights = np.unique(np.round(mesh.points[:, 2] * 1e6, 6))
    np.testing.assert_allclose(heights, [-6, -18 / 7, -6 / 7, 0, 0.05, 0.1, 0.15], atol=1e-6)
    assert np.all(np.isclose(np.abs(mesh.face_normal[:, 2]), 1.0) | np.isclose(mesh.face_normal[:, 2], 0.0))


def test_slanted_and_round_shapes_conform(tmp_path: Path) -> None:
    """Sides that cross off the grid, and circles: every triangle in one region, areas add up."""
    ring = gdstk.ellipse((0, 0), 5, inner_radius=2, layer=1, tolerance=1e-3)
    bar = gdstk.FlexPath([(-7.13, -6.01), (8.37, 6.49)], 1.1, layer=2)
    path = write(tmp_path / "c.gds", ring, bar)
    stack = Stack(
        layers=(Layer(layer="1/0", name="ring"), Layer(layer="2/0", name="bar", over=("ring",))), size="1 um"
    )
    regions, faces = areas(made(path, stack))
    corners = np.array(gdstk.read_gds(path).cells[0].get_polygons(layer=2, datatype=0)[0].points)
    length = np.hypot(*(np.roll(corners, -1, axis=0) - corners).T)
    assert regions["bar"] == pytest.approx(length.max() * 1.1, rel=2e-3)
    whole = areas(made(path, Stack(layers=(Layer(layer="1/0", name="ring"),), size="1 um")))
    assert whole[0]["ring"] == pytest.approx(np.pi * 21, rel=1e-3)
    assert whole[1]["ring_edge"] == pytest.approx(np.pi * 14, rel=1e-3)
    # A bar through the middle of the ring takes 2 × 3 um of its length there, to second order in its width.
    assert whole[0]["ring"] - regions["ring"] == pytest.approx(6 * 1.1, rel=0.03)
    assert faces["ring_bar"] == pytest.approx(12.0, rel=0.03)


def test_a_chosen_cell_and_layers_of_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "d.gds", box(0, 0, 4, 4), cells={"OTHER": [box(0, 0, 6, 2)]})
    with pytest.raises(MeshError, match=r"2 top cells \(TOP, OTHER\).*--cell"):
        made(path, FILM)
    assert areas(made(path, FILM, cell="OTHER"))[0] == pytest.approx({"film": 12.0})
    with pytest.raises(MeshError, match="no cell 'X'; there are: TOP, OTHER"):
        made(path, FILM, cell="X")
    out = tmp_path / "d.msh"
    command = ["mesh", "from-gds", str(path), "--out", str(out), "--cell", "TOP"]
    assert cli.main([*command, "--layer", "1/0=film", "--size", "1 um"]) == 0
    assert "film_edge" in capsys.readouterr().out
    layers = tmp_path / "layers.toml"
    layers.write_text(
        'size = "1 um"\n[[layers]]\nlayer = "1/0"\nname = "film"\nthickness = "0.5 um"\n'
        '[substrate]\nthickness = "2 um"\n'
    )
    assert cli.main([*command, "--layers", str(layers)]) == 0
    assert areas(read_mesh(out, length_unit="um", comm=MPI.COMM_SELF))[0] == pytest.approx(
        {"film": 8.0, "substrate": 32.0}
    )
    assert stack_from_toml(layers).substrate == Substrate(thickness=2e-6)
    capsys.readouterr()
    assert cli.main([*command, "--layers", str(layers), "--size", "1 um"]) == 2
    assert cli.main([*command]) == 2
    said = capsys.readouterr().err
    assert "--layers and --size" in said and "no layer given" in said


def opened(data: bytes) -> bytes:
    """The file with the last corner of its first polygon moved."""
    at = data.index(bytes([0x10, 0x03])) - 2
    (length,) = struct.unpack_from(">H", data, at)
    return data[: at + length - 4] + struct.pack(">i", 500) + data[at + length :]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            opened,
            r"polygon 1 of cell 'TOP' \(layer 1/0\) is open: it begins at .* and ends at \(.*\) um; close it",
        ),
        (lambda data: data[:150], "damaged or cut off at byte"),
        (lambda data: b"solid x\n", "is no GDS file; layout editors save others"),
    ],
)
def test_damaged_files(tmp_path: Path, change, said: str) -> None:
    path = write(tmp_path / "bad.gds", box(0, 0, 4, 4))
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(MeshError, match=said):
        made(path, FILM)


@pytest.mark.parametrize(
    ("shapes", "said"),
    [
        (
            [[(0, 0), (4, 4), (4, 0), (0, 4)]],
            r"polygon 1 of cell 'TOP' \(layer 1/0\) crosses itself at \(2, 2\) um; split it there",
        ),
        (
            [[(0, 0), (4, 0), (2, 2), (-1, 4), (5, 4), (2, 2)]],
            "winds through its own corners; .* split it there",
        ),
        ([[(0, 0), (4, 0), (2, 0)]], r"has no area, at \(0, 0\) um; leave it out"),
    ],
)
def test_polygons_that_bound_nothing(tmp_path: Path, shapes, said: str) -> None:
    path = write(tmp_path / "bad.gds", *(gdstk.Polygon(points, layer=1) for points in shapes))
    with pytest.raises(MeshError, match=said):
        made(path, FILM)


@pytest.mark.parametrize("others", [[], [box(0, 2, 3, 3, 2)]])
def test_polygons_thinner_than_the_grid(tmp_path: Path, others: list[object]) -> None:
    """Both long sides of the triangle are one on the grid of 1 nm; a bar of one step is wide enough."""
    thin = gdstk.Polygon([(0, 0), (10, 0), (10, 0.001)], layer=1)
    names = ["1/0=film", "2/0=pad"][: 1 + len(others)]
    said = (
        r"polygon of layer 1/0 \('film'\) from \(0, 0\) um to \(10, 0.001\) um vanishes .* 0.001 um wide; "
        "give it a width"
    )
    with pytest.raises(MeshError, match=said):
        made(write(tmp_path / "thin.gds", thin, *others), stack_from_options(names, size="1 um"))
    bar = made(write(tmp_path / "bar.gds", box(0, 0, 10, 0.001)), stack_from_options(names[:1], size="1 um"))
    assert areas(bar)[0] == pytest.approx({"film": 0.01})


def test_layers_that_are_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.gds", box(0, 0, 4, 4, 3), gdstk.Label("A", (0, 0), layer=1))
    with pytest.raises(MeshError, match=r"layer 1/0 of cell 'TOP' is empty but for text; .* polygons on 3/0"):
        made(path, FILM)
    with pytest.raises(MeshError, match=r"no polygons on layer 2/5 in cell 'TOP'; there are layers 3/0"):
        made(path, stack_from_options(["2/5=film"], size="1 um"))
    cell = gdstk.Cell("LOST")
    path = write(tmp_path / "lost.gds", box(0, 0, 4, 4), gdstk.Reference(cell, (0, 0)))
    with pytest.raises(MeshError, match="cell 'TOP' refers to cell 'LOST', which the file does not hold"):
        made(path, FILM)


def test_layers_that_overlap(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.gds", box(0, 0, 4, 4), box(3, 3, 6, 6, 2))
    with pytest.raises(
        MeshError, match=r"layer 1/0 \('a'\) and layer 2/0 \('b'\) overlap .* at \(3.5, 3.5\) um"
    ):
        made(path, stack_from_options(["1/0=a", "2/0=b"], size="1 um"))
    layers = [
        dict(layer="1/0", name="a", thickness="1 um"),
        dict(layer="2/0", name="b", thickness="1 um", z="0.9 um"),
    ]
    with pytest.raises(MeshError, match="overlap at one height"):
        made(path, Stack(layers=layers, size="1 um"))
    layers[1]["z"] = "1 um"
    assert areas(made(path, Stack(layers=layers, size="1 um")))[1]["a_b"] == pytest.approx(1.0)
    with pytest.raises(MeshError, match=r"layer 1/0 \('a'\) and \('substrate'\) overlap"):
        made(
            path, Stack(layers=[{**layers[0], "z": "-0.5 um"}], size="1 um", substrate={"thickness": "2 um"})
        )
    path = write(tmp_path / "covered.gds", box(0, 0, 4, 4), box(-1, -1, 6, 6, 2))
    with pytest.raises(MeshError, match="nothing is left of region 'a'"):
        stack = Stack(layers=[dict(layer="1", name="a"), dict(layer="2", name="b", over=["a"])], size="1 um")
        made(path, stack)


def test_markers_and_sizes_that_do_not_fit(tmp_path: Path) -> None:
    path = write(tmp_path / "bad.gds", box(0, 0, 4, 4), box(6, 0, 8, 4, 8), box(1, 1, 2, 2, 9))
    with pytest.raises(
        MeshError, match=r"boundary 'lead' \(layer 9/0\): its polygons hold no free edge of a region"
    ):
        made(path, stack_from_options(["1=film"], ["9=lead"], "1 um"))
    with pytest.raises(MeshError, match="triangles of 0.0001 um make some"):
        made(path, stack_from_options(["1=film"], size="0.1 nm"))
    with pytest.raises(MeshError, match="would be a region and a boundary"):
        made(path, stack_from_options(["1=a", "8=a_edge"], size="1 um"))
    with pytest.raises(MeshError, match=r"end in \.msh"):
        mesh_from_gds(path, FILM, tmp_path / "a.vtu")
    with pytest.raises(MeshError, match="there is no folder"):
        mesh_from_gds(path, FILM, tmp_path / "no" / "a.msh")
    with pytest.raises(MeshError, match="No such file"):
        mesh_from_gds(tmp_path / "none.gds", FILM, tmp_path / "a.msh")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('size = "1 um"', "layers: missing"),
        (
            "size = 1\nlayers = [{ layer = '1', name = 'a' }]",
            'size: expected a length such as "11 um", got 1',
        ),
        (
            'size = "1 um"\nlayers = [{ layer = "1", name = "a", hight = "1 um" }]',
            r"layers\[0\].hight: unknown key",
        ),
        (
            'size = "1 um"\nlayers = [{ layer = "x", name = "a" }]',
            'expected layer and data type such as "1/0"',
        ),
        ('layers = [{ layer = "1", name = "a" }]', "region 'a' has no size of triangles"),
        ('size = "1 um"\nlayers = [{ layer = "1", name = "a", z = "1 um" }]', "has z but no thickness"),
        ('size = "1 um"\nlayers = [{ layer = "1", name = "a b" }]', "expected a name"),
        ('size = "0 um"\nlayers = [{ layer = "1", name = "a" }]', "greater than 0"),
        (
            'size = "1 um"\nlayers = [{ layer = "1", name = "a" }, { layer = "2", name = "a" }]',
            "region 'a' is named twice",
        ),
        (
            'size = "1 um"\nlayers = [{ layer = "1", name = "a" }, { layer = "1/0", name = "b" }]',
            "layer 1/0 is given twice",
        ),
        ('size = "1 um"\nlayers = [{ layer = "1", name = "a", over = ["c"] }]', "which is no other region"),
        (
            'size = "1 um"\nlayers = [{ layer = "1", name = "a" }]\nsubstrate = { thickness = "1 um" }',
            "a substrate needs layers that have a thickness",
        ),
        (
            'size = "1 um"\nlayers = [{ layer = "1", name = "a" }]\n'
            'boundaries = [{ layer = "2", name = "b", on = "top" }]',
            "boundary 'b' is on the top",
        ),
        (
            'size = "1 um"\nlayers = [{ layer = "1", name = "a" }]\n'
            'boundaries = [{ layer = "2", name = "b", of = "c" }]',
            "is of 'c', which is no region",
        ),
        (
            'size = "1 um"\nlayers = [{ layer = "1", name = "a", thickness = "1 um" },'
            '{ layer = "2", name = "b" }]',
            "region 'a' has a thickness and 'b' has none",
        ),
        ("size =", "is no TOML"),
    ],
)
def test_tables_of_layers_that_contradict_themselves(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "layers.toml"
    path.write_text(text)
    with pytest.raises(MeshError, match=said) as caught:
        stack_from_toml(path)
    assert str(caught.value).startswith(str(path)) and "\n" not in re.sub(r"TOML.*", "", str(caught.value))
    with pytest.raises(MeshError, match="expected LAYER/DATATYPE=NAME"):
        stack_from_options(["1/0"])


def test_parts_of_segments_agree_with_rational_arithmetic() -> None:
    """Random segments: their crossings are those that exact fractions give, and parts cross no more."""
    from fractions import Fraction

    rows = np.random.default_rng(3).integers(-50, 50, (40, 4))
    a, b, where = crossings(rows)
    found = {
        (min(i, j), max(i, j)): tuple(p)
        for i, j, p in zip(a.tolist(), b.tolist(), where.tolist(), strict=True)
    }
    expected = {}
    for i, p in enumerate(rows.tolist()):
        for j, q in enumerate(rows.tolist()[i + 1 :], i + 1):
            ux, uy, vx, vy = p[2] - p[0], p[3] - p[1], q[2] - q[0], q[3] - q[1]
            if det := ux * vy - uy * vx:
                s = Fraction((q[0] - p[0]) * vy - (q[1] - p[1]) * vx, det)
                t = Fraction((q[0] - p[0]) * uy - (q[1] - p[1]) * ux, det)
                if 0 < s < 1 and 0 < t < 1:
                    expected[i, j] = (p[0] + s * ux, p[1] + s * uy)
    assert found.keys() == expected.keys() and len(found) > 50
    for pair, (x, y) in expected.items():
        assert max(abs(found[pair][0] - x), abs(found[pair][1] - y)) <= Fraction(1, 2) + Fraction(1, 10**9)
    pieces, owner = parts(rows * 1000, "test")
    assert len(crossings(pieces)[0]) == 0
    ends = rows[owner] * 1000
    (along_x, along_y), (x, y) = (ends[:, 2:] - ends[:, :2]).T, (pieces[:, :2] - ends[:, :2]).T
    off = (along_x * y - along_y * x) / np.hypot(along_x, along_y)
    assert np.abs(off).max() < 2.0


def test_without_gdstk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.gds", box(0, 0, 4, 4))
    monkeypatch.setitem(sys.modules, "gdstk", None)
    with pytest.raises(MeshError, match=r'needs gdstk, which is not here: pip install "fvqp\[gds\]"'):
        made(path, FILM)


# -- damaged files -----------------------------------------------------------------------------------------


def split(data: bytes) -> list[bytes]:
    found, at = [], 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 2], "big")
        if length < 4:
            break
        found.append(data[at : at + length])
        at += length
    return found


def rich(path: Path) -> bytes:
    """A layout with paths, text, a box, and an array of a cell that is turned and magnified."""
    library = gdstk.Library("library", unit=1e-6, precision=1e-9)
    part, whole = library.new_cell("PART"), library.new_cell("WHOLE")
    part.add(gdstk.rectangle((0, 0), (1, 1), layer=1), gdstk.Label("text", (0, 0), layer=3))
    part.add(gdstk.FlexPath([(0, 0), (5, 0)], 0.5, layer=2, simple_path=True, ends="round"))
    array = {"columns": 3, "rows": 2, "spacing": (8, 9), "rotation": 0.3, "magnification": 2.0}
    whole.add(gdstk.Reference(part, (10, 10), **array), gdstk.Reference(part, (40, 0)))
    library.write_gds(path)
    return path.read_bytes()


def test_every_record_is_missed(tmp_path: Path) -> None:
    """Any record left out, doubled or of another kind is refused in one line, or the layout can be read."""
    path = tmp_path / "damaged.gds"
    records = split(rich(path))
    assert read_layout(path, [(1, 0), (2, 0)]).polygons[1, 0]
    refused = 0
    for number, record in enumerate(records):
        for new in (b"", 2 * record, record[:2] + b"\x10" + record[3:], record[:3] + b"\x04" + record[4:]):
            path.write_bytes(b"".join([*records[:number], new, *records[number + 1 :]]))
            try:
                read_layout(path, [(1, 0), (2, 0)])
            except MeshError as error:
                refused += 1
                assert str(path) in str(error) and "\n" not in str(error)
    assert refused > 2 * len(records)


@pytest.mark.parametrize(
    ("kind", "content", "words"),
    [
        (0x03, bytes(16), "the units of length are no positive numbers"),
        (0x06, b"", "the name of a cell is empty"),
        (0x06, b"\xff\xfe", "a text is not in UTF-8"),
        (0x10, b"", "0 points are in an element of kind"),
        (
            0x12,
            b"WHOLE\0",
            "cell 'WHOLE' refers to itself, or its cells lie in one another more than 200 deep",
        ),
        (0x12, b"OTHER\0", "cell 'WHOLE' refers to cell 'OTHER', which the file does not hold"),
        (0x13, b"\x7f\xff\x7f\xff", "cell 'WHOLE' has more than 1000000 polygons"),
        (0x13, b"\0\0\0\1", "an array has no columns or rows"),
        (0x1B, bytes(8), "a reference is magnified by no reasonable number"),
    ],
)
def test_damaged_records(tmp_path: Path, kind: int, content: bytes, words: str) -> None:
    path = tmp_path / "damaged.gds"
    records = split(rich(path))
    number = max(n for n, record in enumerate(records) if record[2] == kind)
    new = (len(content) + 4).to_bytes(2, "big") + records[number][2:4] + content
    path.write_bytes(b"".join([*records[:number], new, *records[number + 1 :]]))
    with pytest.raises(MeshError, match=re.escape(words)):
        read_layout(path, [(1, 0)])
