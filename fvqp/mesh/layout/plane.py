"""Layers in the plane: unions, overlaps, and one triangulation that follows the edges of all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fvqp.errors import MeshError
from fvqp.mesh.filling import gmsh_session
from fvqp.mesh.layout.gds import GdsLayout, gdstk_module
from fvqp.mesh.layout.segments import parts

MAX_TRIANGLES = 5e6
"""A mesh of more triangles than this is refused before it is made."""
_TRIANGLE = 2  # gmsh's number of the element type
_SETTINGS = {
    "Mesh.Algorithm": 6,
    "Mesh.MeshSizeFromPoints": 1,
    "Mesh.MeshSizeFromCurvature": 0,
    "Mesh.MeshSizeExtendFromBoundary": 1,
    "Mesh.MeshSizeFactor": 1,
}

Polygons = list[np.ndarray]
"""Corners in steps of the layout's grid, each ``(n, 2)``; holes are cut open towards the outer edge."""


@dataclass(frozen=True)
class Triangulation:
    """A triangulation in steps of the grid.

    Attributes
    ----------
    points : ``(n, 2)`` float64.
    corners : ``(m, 3)`` int64, anticlockwise.
    inside : region → ``(m,)`` bool, which triangles lie in it; every one lies in some region.
    """

    points: np.ndarray
    corners: np.ndarray
    inside: dict[str, np.ndarray]


def combine(name: str, one: Polygons, other: Polygons, operation: str) -> Polygons:
    """``or``, ``and``, ``not`` of two sets of polygons, corners rounded to the grid."""
    found = gdstk_module(name).boolean(_floats(one), _floats(other), operation, precision=1.0)
    return [np.rint(p.points).astype(np.int64) for p in found]


def area(polygons: Polygons) -> float:
    """Return the area of disjoint polygons, in squared steps."""
    total = 0.0
    for corners in polygons:
        x, y = (corners - corners[0]).astype(float).T
        total += abs(0.5 * float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1))))
    return total


def overlap(name: str, one: Polygons, other: Polygons) -> np.ndarray | None:
    """A point in the overlap of two sets of polygons; None if they at most touch, up to rounding."""
    common = combine(name, one, other, "and")
    # Sides that were rounded to the grid overlap by slivers, up to a step wide.
    length = sum(np.abs(np.roll(p, -1, axis=0) - p).sum() for p in common)
    if area(common) <= length:
        return None
    largest = max(common, key=lambda p: area([p]))
    return np.asarray(0.5 * (largest.min(axis=0) + largest.max(axis=0)))


def triangulate(
    layout: GdsLayout,
    regions: Mapping[str, Polygons],
    sizes: Mapping[str, float],
    cuts: Sequence[Polygons] = (),
    lines: Sequence[Polygons] = (),
) -> Triangulation:
    """Triangles whose edges follow the outlines of all regions; a region thinner than a step has none.

    Parameters
    ----------
    regions : name → polygons; regions may overlap.
    sizes : name → wanted edge of the triangles, in steps; where regions meet the smallest counts.
    cuts : polygons at whose sides the outlines of regions get corners.
    lines : polygons whose outlines the triangles follow too.

    Raises `MeshError`: sizes that make too many triangles, gmsh is missing or fails.
    """
    for name, polygons in regions.items():
        number = area(polygons) / (np.sqrt(3.0) / 4.0 * sizes[name] ** 2)
        if number > MAX_TRIANGLES:
            size = sizes[name] * layout.step * 1e6
            raise MeshError(
                f"{layout.name}: triangles of {size:.4g} um make some {number:.1g} of region '{name}'; "
                f"at most {MAX_TRIANGLES:.0g} are made"
            )
    names = list(regions)
    vertices, edges, owner = _edges([*regions.values(), *lines], list(cuts), layout.name)
    if not len(edges):
        # All polygons are thinner than a step of the grid.
        nowhere = {name: np.zeros(0, dtype=bool) for name in names}
        return Triangulation(np.zeros((0, 2)), np.zeros((0, 3), dtype=np.int64), nowhere)
    finest = np.full(len(vertices), np.inf)
    # Lines inside regions take the size of those around them from the nearest outline.
    coarsest = max(sizes.values())
    for k in range(len(names) + len(lines)):
        wanted = sizes[names[k]] if k < len(names) else coarsest
        used = np.unique(edges[owner == k])
        finest[used] = np.minimum(finest[used], wanted)
    points, corners = _mesh(vertices, np.unique(edges, axis=0), finest, layout.name)
    middle = points[corners].mean(axis=1)
    gdstk = gdstk_module(layout.name)
    inside = {
        name: np.array(gdstk.inside(middle.tolist(), _floats(polygons)), dtype=bool)
        for name, polygons in regions.items()
    }
    kept = np.any(list(inside.values()), axis=0)
    used, corners = np.unique(corners[kept], return_inverse=True)
    return Triangulation(
        points[used], corners.reshape(-1, 3), {name: member[kept] for name, member in inside.items()}
    )


def _floats(polygons: Polygons) -> list[np.ndarray]:
    return [p.astype(float) for p in polygons]


def _edges(
    outlined: Sequence[Polygons], cuts: list[Polygons], name: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Corners of all outlines, the edges between them (smaller number first) and whose they are.

    Edges that a set of polygons has in both directions, as those to a hole, do not bound it and are left out.
    """
    segments, owner = [], []
    for k, polygons in enumerate([*outlined, *cuts]):
        for corners in polygons:
            x, y = (corners - corners[0]).T
            around = corners if np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) > 0 else corners[::-1]
            segments.append(np.concatenate([around, np.roll(around, -1, axis=0)], axis=1))
            owner.append(np.full(len(corners), k))
    cut, of = parts(np.concatenate(segments), name)
    whose = np.concatenate(owner)[of]
    vertices, number = np.unique(cut.reshape(-1, 2), axis=0, return_inverse=True)
    ends = number.reshape(-1, 2)
    row = np.column_stack([np.sort(ends, axis=1), whose])
    unique, which = np.unique(row, axis=0, return_inverse=True)
    turns = np.bincount(which.ravel(), weights=np.where(ends[:, 0] < ends[:, 1], 1.0, -1.0))
    bounding = (turns != 0) & (unique[:, 2] < len(outlined))
    used, edges = np.unique(unique[bounding, :2], return_inverse=True)
    return vertices[used], edges.reshape(-1, 2), unique[bounding, 2]


def _mesh(
    vertices: np.ndarray, edges: np.ndarray, size: np.ndarray, name: str
) -> tuple[np.ndarray, np.ndarray]:
    """gmsh's triangles of a rectangle around all edges, which they follow; points and corners."""
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    # gmsh has absolute tolerances made for sizes of about one.
    extent = float((high - low).max())
    xy, size = (vertices - low) / extent, size / extent
    width, height = (high - low) / extent
    around = [(-0.5, -0.5), (width + 0.5, -0.5), (width + 0.5, height + 0.5), (-0.5, height + 0.5)]
    with gmsh_session(f"{name}: making a mesh of a layout", _SETTINGS) as gmsh:
        geo = gmsh.model.geo
        try:
            frame = [geo.addPoint(x, y, 0.0, 0.5) for x, y in around]
            lines = [geo.addLine(a, b) for a, b in zip(frame, frame[1:] + frame[:1], strict=True)]
            surface = geo.addPlaneSurface([geo.addCurveLoop(lines)])
            tags = [geo.addPoint(x, y, 0.0, h) for (x, y), h in zip(xy.tolist(), size.tolist(), strict=True)]
            curves = [geo.addLine(tags[a], tags[b]) for a, b in edges.tolist()]
            geo.synchronize()
            gmsh.model.mesh.embed(1, curves, 2, surface)
            gmsh.model.mesh.generate(2)
            number, where, _ = gmsh.model.mesh.getNodes()
            _, corners = gmsh.model.mesh.getElementsByType(_TRIANGLE)
        except Exception as error:  # gmsh has no other type
            raise MeshError(f"{name}: gmsh cannot mesh the layout: {' '.join(str(error).split())}") from None
    order = np.argsort(number)
    points = where.reshape(-1, 3)[order, :2] * extent + low
    return points, np.searchsorted(number[order], corners).reshape(-1, 3)
