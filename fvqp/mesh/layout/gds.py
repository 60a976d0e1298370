"""Reading GDS layouts: the polygons of each layer, checked, on the grid of the file.

The geometry (references, arrays, paths) is read by gdstk. The records of the file are looked at here too,
because gdstk closes every polygon by itself, so that an open one could not be told.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fvqp.errors import MeshError
from fvqp.mesh.layout.segments import MOST_STEPS, crossings

LayerNumber = tuple[int, int]
"""Layer and data type."""

_HEADER, _ENDLIB, _STRNAME, _SNAME, _ENDEL = 0x00, 0x04, 0x06, 0x12, 0x11
_BOUNDARY, _BOX, _LAYER, _DATATYPE, _BOXTYPE, _XY = 0x08, 0x2D, 0x0D, 0x0E, 0x2E, 0x10


@dataclass(frozen=True)
class Layout:
    """Polygons of a GDS file by layer, in steps of its grid.

    Attributes
    ----------
    name : of the file, for messages.
    step : of the grid (the database unit), in metres.
    polygons : layer → list of ``(n, 2)`` int64 corners, which may overlap.
    """

    name: str
    step: float
    polygons: dict[LayerNumber, list[np.ndarray]]

    def place(self, point: np.ndarray) -> str:
        """A point as messages show it, in micrometres."""
        x, y = np.asarray(point, dtype=float) * self.step * 1e6
        return f"({x:.6g}, {y:.6g}) um"


@dataclass(frozen=True)
class _Outline:
    """A polygon as it stands in the file: its cell, its number there, corners with the closing one."""

    cell: str
    number: int
    layer: LayerNumber
    corners: np.ndarray


def layer_text(layer: LayerNumber) -> str:
    """``1/0``, as layouts and the command line call a layer."""
    return f"{layer[0]}/{layer[1]}"


def gdstk_module(name: str) -> Any:
    """gdstk, or a `MeshError` that says how to get it."""
    try:
        import gdstk
    except (ImportError, OSError):
        raise MeshError(
            f'{name}: reading a GDS layout needs gdstk, which is not here: pip install "fvqp[gds]"'
        ) from None
    return gdstk


def read_layout(path: str | Path, layers: Sequence[LayerNumber], cell: str | None = None) -> Layout:
    """The polygons of ``layers`` in ``cell`` with all that it refers to (default: the only top cell).

    Raises `MeshError`: no GDS file, damaged, no such cell, several top cells, a layer that is unknown or has
    no polygons, a polygon that is open, has no area or crosses itself. Messages name the polygon and a place.
    """
    path, name = Path(path), str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MeshError(f"{name}: {error.strerror or error}") from None
    outlines, refers = _contents(data, name)
    gdstk = gdstk_module(name)
    try:
        with warnings.catch_warnings():
            # Of a reference to a cell that is not there, which is found below if it matters.
            warnings.simplefilter("ignore")
            library = gdstk.read_gds(str(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise MeshError(f"{name}: cannot be read as a GDS layout: {error}") from None
    top = _top_cell(library, cell, name)
    below = _below(top.name, refers, name)
    step = float(library.precision)
    layout = Layout(name, step, {})
    for outline in outlines:
        if outline.layer in layers and outline.cell in below:
            _check(outline, layout)
    scale = float(library.unit) / step
    for layer in layers:
        found = top.get_polygons(layer=layer[0], datatype=layer[1])
        if not found:
            raise MeshError(f"{name}: {_no_polygons(layer, top, below, library)}")
        layout.polygons[layer] = [np.rint(p.points * scale).astype(np.int64) for p in found]
    corners = np.concatenate([p for found in layout.polygons.values() for p in found])
    if np.any(np.ptp(corners, axis=0) > MOST_STEPS):
        raise MeshError(f"{name}: the layout is larger than {MOST_STEPS:g} steps of its grid ({step:g} m)")
    return layout


def _top_cell(library: Any, cell: str | None, name: str) -> Any:
    top = {c.name: c for c in library.top_level() if hasattr(c, "get_polygons")}
    known = {c.name: c for c in library.cells if hasattr(c, "get_polygons")}
    if cell is not None:
        if cell not in known:
            raise MeshError(f"{name}: no cell '{cell}'; there are: {', '.join(known) or 'none'}")
        return known[cell]
    if len(top) != 1:
        raise MeshError(
            f"{name}: {len(top) or 'no'} top cells ({', '.join(top)}); choose one with --cell"
            if top
            else f"{name}: holds no cells"
        )
    return next(iter(top.values()))


def _no_polygons(layer: LayerNumber, top: Any, below: set[str], library: Any) -> str:
    polygons, texts = set(), set()
    for cell in library.cells:
        if cell.name in below:
            polygons |= {(p.layer, p.datatype) for p in cell.polygons}
            polygons |= set(
                zip(
                    *([n for p in cell.paths for n in kind(p)] for kind in (_layers, _datatypes)), strict=True
                )
            )
            texts |= {(t.layer, t.texttype) for t in cell.labels}
    there = ", ".join(layer_text(one) for one in sorted(polygons)) or "none"
    if layer in texts:
        return (
            f"layer {layer_text(layer)} of cell '{top.name}' is empty but for text; there are polygons on "
            f"{there}"
        )
    return f"no polygons on layer {layer_text(layer)} in cell '{top.name}'; there are layers {there}"


def _layers(path: Any) -> Sequence[int]:
    return tuple(path.layers)


def _datatypes(path: Any) -> Sequence[int]:
    return tuple(path.datatypes)


def _records(data: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """Kind and content of every record up to the end of the library."""
    at = 0
    while at + 4 <= len(data):
        length, kind = struct.unpack_from(">HB", data, at)
        if at == 0 and (kind != _HEADER or length != 6):
            break
        if length < 4 or at + length > len(data):
            raise MeshError(f"{name}: the GDS file is damaged or cut off at byte {at}")
        yield kind, data[at + 4 : at + length]
        if kind == _ENDLIB:
            return
        at += length
    if at == 0:
        raise MeshError(f"{name}: is no GDS file; layout editors save others, such as OASIS, as GDS too")
    raise MeshError(f"{name}: the GDS file is damaged or cut off at byte {at}")


def _below(top: str, refers: dict[str, set[str]], name: str) -> set[str]:
    """A cell and all that it refers to, through others too."""
    found, new = {top}, [top]
    while new:
        cell = new.pop()
        for other in sorted(refers[cell] - found):
            if other not in refers:
                raise MeshError(
                    f"{name}: cell '{cell}' refers to cell '{other}', which the file does not hold"
                )
            found.add(other)
            new.append(other)
    return found


def _contents(data: bytes, name: str) -> tuple[list[_Outline], dict[str, set[str]]]:
    """The polygons and boxes of all cells, and which cells every cell refers to."""
    found: list[_Outline] = []
    refers: dict[str, set[str]] = {}
    cell, number, kind = "", 0, 0
    layer, datatype, corners = 0, 0, np.zeros((0, 2), dtype=np.int64)
    for record, content in _records(data, name):
        if record == _STRNAME:
            cell, number = _text(content), 0
            refers[cell] = set()
        elif record == _SNAME and cell in refers:
            refers[cell].add(_text(content))
        elif record in (_BOUNDARY, _BOX):
            kind, number, corners = record, number + 1, np.zeros((0, 2), dtype=np.int64)
        elif record == _LAYER:
            (layer,) = struct.unpack_from(">h", content)
        elif record in (_DATATYPE, _BOXTYPE):
            (datatype,) = struct.unpack_from(">h", content)
        elif record == _XY and kind:
            # A long polygon may go on in further records.
            new = np.frombuffer(content[: len(content) // 8 * 8], dtype=">i4").reshape(-1, 2)
            corners = np.concatenate([corners, new.astype(np.int64)])
        elif record == _ENDEL:
            if kind:
                found.append(_Outline(cell, number, (layer, datatype), corners))
            kind = 0
    return found, refers


def _text(content: bytes) -> str:
    return content.rstrip(b"\0").decode(errors="replace")


def _check(outline: _Outline, layout: Layout) -> None:
    """Raises `MeshError` for a polygon that does not bound an area."""
    corners = outline.corners
    layer = layer_text(outline.layer)
    what = f"{layout.name}: polygon {outline.number} of cell '{outline.cell}' (layer {layer})"
    if not len(corners):
        raise MeshError(f"{what} has no corners")
    if np.any(corners[0] != corners[-1]):
        raise MeshError(
            f"{what} is open: it begins at {layout.place(corners[0])} and ends at "
            f"{layout.place(corners[-1])}; close it, or draw a line as a path that has a width"
        )
    corners = corners[:-1]
    if len(corners) and np.any(np.ptp(corners, axis=0) > MOST_STEPS):
        raise MeshError(f"{what} is larger than {MOST_STEPS:g} steps of the grid ({layout.step:g} m)")
    sides = np.concatenate([corners, np.roll(corners, -1, axis=0)], axis=1)
    sides = sides[np.any(sides[:, :2] != sides[:, 2:], axis=1)]
    _, _, where = crossings(sides)
    if len(where):
        raise MeshError(
            f"{what} crosses itself at {layout.place(where[0])}; split it there into polygons that do not"
        )
    area = abs(_signed_area(corners))
    if area == 0:
        raise MeshError(f"{what} has no area, at {layout.place(outline.corners[0])}; leave it out")
    # Parts that turn the other way, or are covered twice, without sides that cut each other: through corners.
    covered = sum(
        p.area() for p in gdstk_module(layout.name).boolean([corners.astype(float)], [], "or", precision=1.0)
    )
    if abs(covered - area) > 0.5 * len(corners):
        raise MeshError(
            f"{what} winds through its own corners; its part at {layout.place(corners[0])} is doubtful; "
            "split it there"
        )


def _signed_area(corners: np.ndarray) -> float:
    x, y = (corners - corners[:1]).astype(float).T if len(corners) else np.zeros((2, 0))
    return 0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)))
