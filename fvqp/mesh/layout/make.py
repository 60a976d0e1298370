"""A GDS layout and a stack of layers in, a mesh file out."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import meshio
import numpy as np

from fvqp.errors import MeshError
from fvqp.mesh.layout.gds import GdsLayout, gdstk_module, layer_text, read_layout
from fvqp.mesh.layout.plane import Polygons, Triangulation, area, combine, overlap, triangulate
from fvqp.mesh.layout.solid import Cells, flat, named_faces, overlapping_heights, prisms
from fvqp.mesh.layout.stack import Marker, Stack

_SHAPES = {2: "line", 3: "triangle", 4: "quad"}
MICROMETRE = 1e-6
"""Unit of the coordinates that are written."""


def mesh_from_gds(path: str | Path, stack: Stack, output: str | Path, *, cell: str | None = None) -> Path:
    """Meshes a layout and writes gmsh's format 2.2, in micrometres; returns the file.

    Touching and overlapping polygons of a layer become one region. Without thicknesses the cells are
    triangles; with them, prisms over one triangulation of all layers, so that neighbours share whole faces.
    Outer faces are called ``REGION_edge`` and, of a solid, ``REGION_top`` and ``REGION_bottom``; faces
    between two regions ``FIRST_SECOND`` in the order of the layers, the substrate last.

    Parameters
    ----------
    path : GDS file.
    stack : layers, their regions, heights and sizes.
    output : name of the file to write, ending in ``.msh``.
    cell : cell of the layout; default: its only top cell.

    Raises
    ------
    MeshError
        All that `fvqp.mesh.layout.gds.read_layout` raises; layers that overlap at one height, a layer of
        which nothing is left or that is thinner than a step of the grid, a boundary without faces, sizes that
        make too many cells, a file that cannot be written, gdstk or gmsh missing.
    """
    output = Path(output)
    if output.suffix != ".msh":
        raise MeshError(f"{output}: the mesh is written for gmsh, a name has to end in .msh")
    if not output.parent.is_dir():
        raise MeshError(f"{output}: there is no folder {output.parent}")
    marks = [mark.layer for mark in stack.boundaries]
    layout = read_layout(path, list(dict.fromkeys([one.layer for one in stack.layers] + marks)), cell)
    regions = _regions(layout, stack)
    sizes = {entry.name: stack.size_of(entry) / layout.step for entry in stack.entries}
    triangles = triangulate(
        layout,
        regions,
        sizes,
        cuts=[layout.polygons[mark.layer] for mark in stack.boundaries if mark.on == "edge"],
        lines=[_marked(layout, mark, regions) for mark in stack.boundaries if mark.on != "edge"],
    )
    _check_thin(layout, stack, triangles)
    cells = prisms(triangles, stack, layout.step) if stack.solid else flat(triangles, stack)
    empty = [name for k, name in enumerate(stack.regions) if not np.any(cells.region == k)]
    if empty:
        raise MeshError(f"{layout.name}: nothing is left of region '{empty[0]}' under the regions over it")

    def within(mark: Marker, points: np.ndarray) -> np.ndarray:
        gdstk = gdstk_module(layout.name)
        return np.array(gdstk.inside(points.tolist(), [p.astype(float) for p in layout.polygons[mark.layer]]))

    try:
        faces = named_faces(cells, stack, within)
    except MeshError as error:
        raise MeshError(f"{layout.name}: {error}") from None
    _write(output, cells, stack, faces, layout.step / MICROMETRE)
    return output


def _check_thin(layout: GdsLayout, stack: Stack, triangles: Triangulation) -> None:
    """Raises where a layer that no other covers has no triangles."""
    covered = {name for one in stack.layers for name in one.over}
    for one in stack.layers:
        if one.name in covered or np.any(triangles.inside[one.name]):
            continue
        corners = max(layout.polygons[one.layer], key=lambda p: area([p]))
        low, high = (layout.place(at) for at in (corners.min(axis=0), corners.max(axis=0)))
        raise MeshError(
            f"{layout.name}: the polygon of layer {layer_text(one.layer)} ('{one.name}') from {low} to "
            f"{high} vanishes on the grid: it is less than a step of {layout.step * 1e6:.6g} um wide; "
            "give it a width, or leave it out"
        )


def _marked(layout: GdsLayout, mark: Marker, regions: dict[str, Polygons]) -> Polygons:
    """The part of a marker's polygons that lies in its region, or in any."""
    whole = regions[mark.of] if mark.of else [p for polygons in regions.values() for p in polygons]
    return combine(layout.name, layout.polygons[mark.layer], whole, "and")


def _regions(layout: GdsLayout, stack: Stack) -> dict[str, Polygons]:
    """Region → its polygons, those of regions over it taken away; raises where two share a place."""
    name = layout.name
    regions = {one.name: combine(name, layout.polygons[one.layer], [], "or") for one in stack.layers}
    if stack.substrate:
        corners = np.concatenate([p for polygons in regions.values() for p in polygons])
        margin = round(stack.substrate.margin / layout.step)
        (x0, y0), (x1, y1) = corners.min(axis=0) - margin, corners.max(axis=0) + margin
        regions[stack.substrate.name] = [np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])]
    names = list(stack.regions)
    for one in stack.layers:
        for other in one.over:
            if overlapping_heights(stack, names.index(one.name), names.index(other)):
                regions[other] = combine(name, regions[other], regions[one.name], "not")
    for a, b in combinations(range(len(names)), 2):
        if not overlapping_heights(stack, a, b):
            continue
        where = overlap(name, regions[names[a]], regions[names[b]])
        if where is not None:
            first = stack.layers[a]
            other = f"layer {layer_text(stack.layers[b].layer)} " if b < len(stack.layers) else ""
            raise MeshError(
                f"{name}: layer {layer_text(first.layer)} ('{names[a]}') and {other}('{names[b]}') overlap "
                f"at one height, at {layout.place(where)}; if one takes the other's place, write "
                f'over = ["{names[a]}"] at its layer in a TOML file of layers'
            )
    return regions


def _write(
    output: Path, cells: Cells, stack: Stack, faces: dict[str, list[np.ndarray]], scale: float
) -> None:
    """Gmsh's format 2.2, with a physical group a region and a boundary."""
    dim = 3 if stack.solid else 2
    groups = {name: np.array([k + 1, dim]) for k, name in enumerate(stack.regions)}
    blocks = [(cells.kind, cells.corners)]
    tags = [cells.region + 1]
    for k, (name, tables) in enumerate(sorted(faces.items()), start=len(groups) + 1):
        if name in groups:
            raise MeshError(f"'{name}' would be a region and a boundary: rename the region")
        groups[name] = np.array([k, dim - 1])
        for rows in tables:
            blocks.append((_SHAPES[rows.shape[1]], rows))
            tags.append(np.full(len(rows), k))
    data = [tag.astype(np.int32) for tag in tags]
    mesh = meshio.Mesh(
        cells.points * scale,
        blocks,
        cell_data={"gmsh:physical": data, "gmsh:geometrical": data},
        field_data=groups,
    )
    try:
        meshio.gmsh.write(output, mesh, fmt_version="2.2", binary=False, float_fmt=".10g")
    except OSError as error:
        raise MeshError(f"{output}: cannot be written: {error.strerror or error}") from None
