"""Reading GDS layouts: the polygons of each layer, checked, on the grid of the file.

The geometry (references, arrays, paths) is read by gdstk. The records of the file are looked at here too,
because gdstk closes every polygon by itself, so that an open one could not be told, and trusts every file.
"""

from __future__ import annotations

import struct
import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fvqp.errors import MeshError
from fvqp.mesh.layout.records import (
    BOUNDARY,
    BOX,
    BOXTYPE,
    DATATYPE,
    ELEMENTS,
    ENDEL,
    LAYER,
    STRNAME,
    XY,
    records,
    text_of,
)
from fvqp.mesh.layout.segments import MAX_STEPS, crossings

LayerNumber = tuple[int, int]
"""Layer and data type."""

#: Polygons and paths of a layout with all repetitions; more are a damaged count, or too many to be meshed.
MAX_POLYGONS = 1_000_000

#: Cells that lie in one another; gdstk calls itself as often.
MAX_DEPTH = 200


@dataclass(frozen=True)
class GdsLayout:
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


def read_layout(path: str | Path, layers: Sequence[LayerNumber], cell: str | None = None) -> GdsLayout:
    """The polygons of ``layers`` in ``cell`` with all that it refers to (default: the only top cell).

    Raises `MeshError`: no GDS file, damaged, no such cell, several top cells, a layer that is unknown or has
    no polygons, a polygon that is open, has no area or crosses itself. Messages name the polygon and a place.
    """
    path, name = Path(path), str(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MeshError(f"{name}: {error.strerror or error}") from None
    outlines = _outlines(data, name)
    gdstk = gdstk_module(name)
    try:
        with warnings.catch_warnings():
            # Of a reference to a cell that is not there, which is found below if it matters.
            warnings.simplefilter("ignore")
            library = gdstk.read_gds(str(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise MeshError(f"{name}: cannot be read as a GDS layout: {error}") from None
    refers = _require_sizes(library, name)
    top = _top_cell(library, cell, name)
    below = _below(top.name, refers, name)
    step = float(library.precision)
    layout = GdsLayout(name, step, {})
    for outline in outlines:
        if outline.cell in below and outline.layer in layers:
            _check(outline, layout)
    scale = float(library.unit) / step
    for layer in layers:
        found = top.get_polygons(layer=layer[0], datatype=layer[1])
        if not found:
            raise MeshError(f"{name}: {_no_polygons(layer, top, below, library)}")
        points = [np.rint(p.points * scale) for p in found]
        if not all(np.all(np.abs(p) < np.iinfo(np.int64).max / 4) for p in points):
            raise MeshError(f"{name}: a polygon of layer {layer_text(layer)} lies beyond all coordinates")
        layout.polygons[layer] = [p.astype(np.int64) for p in points]
    corners = np.concatenate([p for found in layout.polygons.values() for p in found])
    if np.any(np.ptp(corners, axis=0) > MAX_STEPS):
        raise MeshError(f"{name}: the layout is larger than {MAX_STEPS:g} steps of its grid ({step:g} m)")
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


def _below(top: str, refers: dict[str, Counter[str]], name: str) -> set[str]:
    """A cell and all that it refers to, through others too."""
    found, new = {top}, [top]
    while new:
        cell = new.pop()
        for other in sorted(set(refers[cell]) - found):
            if other not in refers:
                raise MeshError(
                    f"{name}: cell '{cell}' refers to cell '{other}', which the file does not hold"
                )
            found.add(other)
            new.append(other)
    return found


def _require_sizes(library: Any, name: str) -> dict[str, Counter[str]]:
    """Return how often each cell repeats others.

    Raises:
        MeshError: a cell lies in itself, or has too many polygons with all repetitions.
    """
    refers: dict[str, Counter[str]] = {cell.name: Counter() for cell in library.cells}
    elements = {cell.name: len(cell.polygons) + len(cell.paths) for cell in library.cells}
    for cell in library.cells:
        for reference in cell.references:
            refers[cell.name][reference.cell_name] += max(1, reference.repetition.size)
    for top in refers:
        number, depth, total = Counter({top: 1}), 0, elements[top]
        while number:
            depth += 1
            inside: Counter[str] = Counter()
            for one, count in number.items():
                for other, repeated in refers[one].items():
                    if other in refers:
                        inside[other] += count * repeated
            number = inside
            total += sum(count * elements[one] for one, count in number.items())
            if depth > MAX_DEPTH:
                raise MeshError(
                    f"{name}: cell '{top}' refers to itself, or its cells lie in one another more than "
                    f"{MAX_DEPTH} deep"
                )
            if total > MAX_POLYGONS:
                raise MeshError(
                    f"{name}: cell '{top}' has more than {MAX_POLYGONS} polygons, repetitions included"
                )
    return refers


def _outlines(data: bytes, name: str) -> list[_Outline]:
    """Polygons and boxes of a file, with their corners as they stand there."""
    found: list[_Outline] = []
    cells: set[str] = set()
    cell, number, kind, layer, datatype = "", 0, 0, 0, 0
    corners = np.zeros((0, 2), dtype=np.int64)
    for record, content in records(data, name):
        if record == STRNAME:
            cell, number = text_of(content), 0
            if cell in cells:
                raise MeshError(f"{name}: two cells are called '{cell}'")
            cells.add(cell)
        elif record in ELEMENTS:
            kind, corners = record, np.zeros((0, 2), dtype=np.int64)
            number += record in (BOUNDARY, BOX)
        elif record == LAYER:
            (layer,) = struct.unpack(">h", content)
        elif record in (DATATYPE, BOXTYPE):
            (datatype,) = struct.unpack(">h", content)
        elif record == XY:
            # A long polygon may go on in further records.
            new = np.frombuffer(content, dtype=">i4").reshape(-1, 2)
            corners = np.concatenate([corners, new.astype(np.int64)])
        elif record == ENDEL and kind in (BOUNDARY, BOX):
            found.append(_Outline(cell, number, (layer, datatype), corners))
    return found


def _check(outline: _Outline, layout: GdsLayout) -> None:
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
    if len(corners) and np.any(np.ptp(corners, axis=0) > MAX_STEPS):
        raise MeshError(f"{what} is larger than {MAX_STEPS:g} steps of the grid ({layout.step:g} m)")
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
