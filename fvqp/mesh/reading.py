"""Mesh files: those of gmsh, and whatever else meshio reads, with their named groups."""

from __future__ import annotations

import contextlib
import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import meshio
import numpy as np
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.memory import at_most, available
from fvqp.mesh import geometry, gmsh_file
from fvqp.mesh.build import build_mesh, metres
from fvqp.mesh.cells import BY_NAME, LINEARISED, MAX_CORNERS, MAX_FACE_CORNERS, MIRRORED, corner_table
from fvqp.mesh.distribute import raise_together
from fvqp.mesh.filling import SURFACE, VOLUME, fill, is_flat, solids
from fvqp.mesh.mesh import Mesh

#: Cell data that number the groups, in order of preference.
TAG_DATA = ("gmsh:physical", "region", "cell_tags", "medit:ref", "CellEntityIds")

#: What meshio raises where it does not see itself that a file is not as it expects.
_STUMBLES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    NameError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)

#: Bytes that reading may take, and bytes for each byte of the file (text takes most, compressed numbers too).
FREE_MEMORY, MEMORY_OF_FILE = 1 << 30, 100
#: Bytes that a mesh takes at least for each byte of its file: 17 were measured for tetrahedra in gmsh's text.
#: Other formats may hold fields beside, of which a mesh takes none.
MIN_MEMORY_OF_GMSH, MIN_MEMORY_OF_OTHERS = 10, 2
#: Coordinates in the unit of a file that are larger are damaged; squares of sizes are numbers still.
MAX_NUMBER = 1e100
#: Part of the size of a mesh below which a coordinate of a body of revolution is 0.
ROUNDED = 1e-9


@dataclass
class RawMesh:
    """A file's content: points as written, cells of the highest dimension, named cells, named faces."""

    points: np.ndarray
    cells: list[tuple[str, np.ndarray]]
    regions: dict[str, np.ndarray]
    boundaries: dict[str, np.ndarray]


def read_mesh(
    path: str | Path,
    *,
    length_unit: str | float = "m",
    coordinates: str = "cartesian",
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> Mesh:
    """Reads and distributes a mesh file (collective).

    Cells are those of the highest dimension in the file. Named groups of these become regions; named groups
    one dimension lower become boundaries, which may also lie inside. Names come from gmsh's physical groups
    (formats 2.2, 4.0 and 4.1), cell sets (Abaqus), families (MED), or an integer cell array ``region`` (VTK,
    XDMF; the number is the name unless the file names it). A group without a name is called by its number.

    The closed surface of an STL file is filled with tetrahedra by gmsh (`fvqp.mesh.filling`): the region has
    the name of the file's solid, or is called ``volume``; the boundary is ``surface``. Where a text file has
    several solids, each is a boundary, a part of that surface.

    ``length_unit`` is the unit of the file's coordinates: its name, such as ``"um"``, or metres. With
    ``coordinates`` ``"cylindrical"`` its x is the radius and its y the height of a body of revolution, see
    `Mesh`.

    Raises `MeshError`: no such file, an unreadable one, and everything that `build_mesh` raises.
    """
    scale = metres(length_unit, str(path))
    raw: RawMesh | None = None
    problem = None
    if comm.rank == 0:
        try:
            raw = read_raw(path)
        except MeshError as error:
            problem = str(error)
    raise_together(comm, problem)
    if raw is None:
        return build_mesh(None, None, comm=comm)
    points = raw.points * scale
    if coordinates != "cartesian":
        # what a program of meshes puts next to the axis belongs on it; points of no cell do not count
        size = max(np.abs(points[np.unique(corners)]).max(initial=0.0) for _, corners in raw.cells)
        points[np.abs(points) < ROUNDED * size] = 0.0
    return build_mesh(
        points, raw.cells, raw.regions, raw.boundaries, comm, name=str(path), coordinates=coordinates
    )


def read_raw(path: str | Path) -> RawMesh:
    """The file's cells and names as numpy arrays, undistributed and unscaled."""
    path = Path(path)
    if path.is_dir():
        raise MeshError(f"{path}: is a folder, not a mesh file")
    if not path.is_file():
        raise MeshError(f"{path}: no such file")
    size, free = path.stat().st_size, available(MPI.COMM_SELF)
    least = size * (MIN_MEMORY_OF_GMSH if gmsh_file.is_gmsh_file(path) else MIN_MEMORY_OF_OTHERS)
    if least > free:
        raise MeshError(
            f"{path}: a mesh file of {size / 1e9:.3g} GB takes more than {least / 1e9:.3g} GB of memory, and "
            f"{free / 1e9:.3g} GB are free: use a coarser mesh, or a machine with more memory"
        )
    # meshio reports by printing and, on an unknown or damaged file, by any exception or by leaving the
    # program.
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            raw = _sort_out(_read(path), str(path))
            if path.suffix.lower() == ".med":
                raw.cells = _in_vtk_order(raw.points, raw.cells)
    except MeshError:
        raise
    except (Exception, SystemExit) as error:
        text = said.getvalue() if isinstance(error, SystemExit) else str(error)
        reason = " ".join(text.replace("Error: Couldn't read file", "").split())[:200]
        name = type(error).__name__
        if isinstance(error, _STUMBLES):
            reason = (
                f"it is damaged, or of a variety that meshio does not read ({name}: {reason}); "
                "gmsh's .msh 4.1 or .vtu works"
            )
        if isinstance(error, MemoryError):
            reason = f"it asks for more memory than its size explains ({reason or name})"
        raise MeshError(f"{path}: cannot be read as a mesh: {reason or name}") from None
    return _filled(raw, path) if path.suffix.lower() == ".stl" else raw


def _read(path: Path) -> Any:
    if gmsh_file.is_gmsh_file(path):
        return gmsh_file.read(path)
    with at_most(FREE_MEMORY + MEMORY_OF_FILE * path.stat().st_size):
        if path.suffix.lower() in (".vtu", ".xdmf", ".xmf"):
            _check_xml(path)
        return meshio.read(path)


def _check_xml(path: Path) -> None:
    """Raises `ValueError` for what meshio reads as another mesh without a word.

    It keeps the cells of the last piece only, and whole numbers of a text modulo the range of their type.
    """
    try:
        tree = ElementTree.parse(path)
    except ElementTree.ParseError:
        return  # damaged, or with binary data as they are, which meshio finds out
    if len(tree.findall(".//Piece")) > 1:
        raise ValueError("its mesh is in several pieces; merge them into one, as by ParaView")
    for item in tree.iter():
        text = {"DataArray": "ascii", "DataItem": "XML"}.get(item.tag)
        if text is None or item.get("format", item.get("Format", "ascii")) != text:
            continue
        kind = item.get("type") or item.get("DataType") or item.get("NumberType") or "Float"
        bits = int(kind.lstrip("UInt") or 8 * int(item.get("Precision", "4"))) if "Int" in kind else 0
        if bits and (item.text or "").strip():
            numbers = np.fromstring(item.text or "", sep=" ")
            low, high = (0, 2.0**bits) if kind.startswith("U") else (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1))
            if not np.all((numbers >= low) & (numbers < high) & (numbers == np.floor(numbers))):
                raise ValueError(f"a number is none of {bits} bits, as the file says")


def _filled(raw: RawMesh, path: Path) -> RawMesh:
    """The volume that an STL file's surface encloses; a flat surface is a device of its own."""
    triangles = np.concatenate([corners for _, corners in raw.cells])
    used = raw.points[np.unique(triangles)]
    if not np.all(np.abs(used) < MAX_NUMBER):
        raise MeshError(f"{path}: a corner of a triangle has a coordinate that is not a finite number")
    if is_flat(used):
        return raw
    parts = solids(path)
    body = parts[0][0] if len(parts) == 1 else ""
    named = {SURFACE: np.arange(len(triangles))}
    if len(parts) > 1:
        end = np.cumsum([count for _, count in parts])
        for k, (name, count) in enumerate(parts, start=1):
            members = np.arange(end[k - 1] - count, end[k - 1])
            named[name or str(k)] = np.union1d(named.get(name or str(k), members), members)
    # Triangles without area, which some programs write, close nothing.
    whole = np.all(triangles != np.roll(triangles, 1, axis=1), axis=1)
    points, cells = fill(raw.points, triangles[whole], str(path))
    facets = _facet_rows("triangle", triangles, len(raw.points), str(path))
    boundaries = {name: facets[members[whole[members]]] for name, members in named.items()}
    return RawMesh(
        points,
        [("tetra", cells)],
        {body or VOLUME: np.arange(len(cells))},
        {name: rows for name, rows in boundaries.items() if len(rows)},
    )


def _sort_out(mesh: Any, name: str) -> RawMesh:
    # Some readers give a block without cells where a file has none.
    blocks = [(i, block.type) for i, block in enumerate(mesh.cells) if len(block.data)]
    kinds = [BY_NAME.get(LINEARISED.get(kind, kind)) for _, kind in blocks]
    unknown = sorted({kind for (_, kind), known in zip(blocks, kinds, strict=True) if known is None})
    if unknown:
        raise MeshError(
            f"{name}: cells of kind {', '.join(unknown)} are not supported (known: {', '.join(BY_NAME)})"
        )
    dims = {i: kind.dim for (i, _), kind in zip(blocks, kinds, strict=True) if kind is not None}
    dim = max(dims.values(), default=0)
    if dim < 1:
        raise MeshError(f"{name}: holds no lines, surface or volume cells")
    top = [i for i in dims if dims[i] == dim]
    low = [i for i in dims if dims[i] == dim - 1]
    cells: list[tuple[str, np.ndarray]] = []
    count = 0
    for i in top:
        kind = BY_NAME[LINEARISED.get(mesh.cells[i].type, mesh.cells[i].type)]
        rows = corner_table(kind, mesh.cells[i].data, kind.corners, len(mesh.points), f"{name}: cell", count)
        cells.append((kind.name, rows))
        count += len(rows)
    facets = np.concatenate(
        [np.zeros((0, MAX_FACE_CORNERS), dtype=np.int64)]
        + [_facet_rows(mesh.cells[i].type, mesh.cells[i].data, len(mesh.points), name) for i in low]
    )
    regions = {n: c for n, c in _groups(mesh, top, dim).items() if len(c)}
    boundaries = {n: facets[f] for n, f in _groups(mesh, low, dim - 1).items() if len(f)}
    return RawMesh(np.asarray(mesh.points, dtype=np.float64), cells, regions, boundaries)


def _in_vtk_order(points: np.ndarray, cells: list[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
    """The cells of a MED file, whose order meshio leaves; what meshio wrote has VTK's order already.

    MED turns base and top of solid cells the other way round. Cells of which only some are inverted stay as
    they are, to be refused.
    """
    kinds = [BY_NAME[kind] for kind, _ in cells]
    if any(kind.dim < 3 for kind in kinds) or points.shape[1] != 3:
        return cells
    for kind, (_, rows) in zip(kinds, cells, strict=True):
        corners = np.full((len(rows), MAX_CORNERS), -1, dtype=np.int64)
        corners[:, : kind.corners] = rows
        if not np.all(geometry.signed_volumes(points, np.full(len(rows), kind.vtk), corners) < 0):
            return cells
    return [(kind.name, rows[:, MIRRORED[kind.name]]) for kind, (_, rows) in zip(kinds, cells, strict=True)]


def _facet_rows(kind: str, connectivity: Any, n_points: int, name: str) -> np.ndarray:
    known = BY_NAME[LINEARISED.get(kind, kind)]
    what = f"{name}: element of a boundary: number"
    return corner_table(known, connectivity, MAX_FACE_CORNERS, n_points, what)


def _groups(mesh: Any, blocks: list[int], dim: int) -> dict[str, np.ndarray]:
    """Name → numbers counted through ``blocks``: from the file's cell sets and from numbered cell data."""
    start = np.concatenate([[0], np.cumsum([len(mesh.cells[i].data) for i in blocks])]).astype(np.int64)
    groups: dict[str, np.ndarray] = {}
    for name, per_block in mesh.cell_sets.items():
        if name.startswith("gmsh:"):
            continue
        members = [
            start[k] + np.asarray(per_block[i], dtype=np.int64)
            for k, i in enumerate(blocks)
            if i < len(per_block) and per_block[i] is not None and len(per_block[i])
        ]
        if members:
            groups[name] = np.unique(np.concatenate(members))
    key = next((k for k in TAG_DATA if k in mesh.cell_data), None)
    if key is not None:
        # A named group of gmsh 4.1 is there twice; the cell set has all its members.
        groups = {**_numbered(mesh, key, blocks, dim), **groups}
    return groups


def _numbered(mesh: Any, key: str, blocks: list[int], dim: int) -> dict[str, np.ndarray]:
    data = mesh.cell_data[key]
    if not blocks:
        return {}
    tag = np.concatenate([np.asarray(data[i]).reshape(len(mesh.cells[i].data), -1)[:, 0] for i in blocks])
    families = getattr(mesh, "cell_tags", {}) if key == "cell_tags" else {}
    names = {
        int(np.ravel(v)[0]): n
        for n, v in mesh.field_data.items()
        if np.size(v) == 1 or (np.size(v) >= 2 and int(np.ravel(v)[1]) == dim)
    }
    groups: dict[str, list[np.ndarray]] = {}
    for number in np.unique(tag):
        # gmsh writes 0, and MED family 0, for a cell of no group.
        if number == 0 and key != "region":
            continue
        members = np.flatnonzero(tag == number)
        for name in families.get(int(number), [names.get(int(number), str(int(number)))]):
            groups.setdefault(name, []).append(members)
    return {n: np.unique(np.concatenate(m)) for n, m in groups.items()}
