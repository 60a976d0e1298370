"""From triangles in the plane to named cells and faces: the flat mesh, or prisms of all heights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fvqp.errors import MeshError
from fvqp.mesh.layout.plane import Triangulation
from fvqp.mesh.layout.stack import Marker, Stack

NEAR = 1e-9
"""Heights that differ by less than this part of the whole stack are one."""


@dataclass(frozen=True)
class SolidFaces:
    """Faces of one shape: corners, region above or ahead and below or behind (−1 for none), middle.

    Attributes
    ----------
    corners : ``(n, 2)``, ``(n, 3)`` or ``(n, 4)`` numbers of points.
    sides : ``(n, 2)`` regions; for level faces the lower one first.
    middle : ``(n, 2)`` in the plane.
    level : whether these faces are level.
    """

    corners: np.ndarray
    sides: np.ndarray
    middle: np.ndarray
    level: bool


@dataclass(frozen=True)
class Cells:
    """Cells with their regions, and the faces where a region ends.

    Attributes
    ----------
    points : ``(n, 3)``.
    kind : ``triangle`` or ``wedge``.
    corners, region : ``(m, k)`` numbers of points, ``(m,)`` numbers of regions.
    faces : between two regions or outside.
    """

    points: np.ndarray
    kind: str
    corners: np.ndarray
    region: np.ndarray
    faces: list[SolidFaces]


def flat(triangles: Triangulation, stack: Stack) -> Cells:
    """The triangles themselves."""
    region = _region(triangles, np.ones((len(stack.regions), 1), dtype=bool), stack)[:, 0]
    ends, beside = _edges(triangles.corners)
    sides = _regions_beside(beside, region)
    points = np.column_stack([triangles.points, np.zeros(len(triangles.points))])
    faces = _bounding(SolidFaces(ends, sides, triangles.points[ends].mean(axis=1), False))
    return Cells(points, "triangle", triangles.corners, region, [faces])


def prisms(triangles: Triangulation, stack: Stack, step: float) -> Cells:
    """Prisms over the triangles between all heights where a region or a level ends; ``step`` in metres."""
    heights = _heights(stack)
    middle = 0.5 * (heights[1:] + heights[:-1])
    spans = np.array([_span(stack, k) for k in range(len(stack.regions))])
    holds = (spans[:, :1] < middle) & (middle < spans[:, 1:])
    region = _region(triangles, holds, stack)  # (triangles, intervals), −1 for none

    n, levels = len(triangles.points), len(middle)
    points = np.zeros(((levels + 1) * n, 3))
    points[:, :2] = np.tile(triangles.points, (levels + 1, 1))
    points[:, 2] = np.repeat(heights / step, n)
    which, level = np.nonzero(region >= 0)
    bottom = triangles.corners[which] + (level * n)[:, None]
    corners = np.concatenate([bottom, bottom + n], axis=1)

    none = np.full((len(region), 1), -1)
    stacked = np.concatenate([none, region, none], axis=1)
    level_faces = SolidFaces(
        (triangles.corners[:, None, :] + (np.arange(levels + 1) * n)[None, :, None]).reshape(-1, 3),
        np.stack([stacked[:, :-1], stacked[:, 1:]], axis=-1).reshape(-1, 2),
        np.repeat(triangles.points[triangles.corners].mean(axis=1), levels + 1, axis=0),
        True,
    )
    ends, beside = _edges(triangles.corners)
    below = ends[:, None, :] + (np.arange(levels) * n)[None, :, None]
    walls = SolidFaces(
        np.concatenate([below, below[..., ::-1] + n], axis=-1).reshape(-1, 4),
        _regions_beside(beside, region).reshape(-1, 2),
        np.repeat(triangles.points[ends].mean(axis=1), levels, axis=0),
        False,
    )
    faces = [_bounding(level_faces), _bounding(walls)]
    used = np.unique(corners)
    renumbered = [SolidFaces(np.searchsorted(used, f.corners), f.sides, f.middle, f.level) for f in faces]
    return Cells(points[used], "wedge", np.searchsorted(used, corners), region[which, level], renumbered)


def named_faces(
    cells: Cells, stack: Stack, within: Callable[[Marker, np.ndarray], np.ndarray]
) -> dict[str, list[np.ndarray]]:
    """Boundary → corners of its faces, a table a shape.

    Outer faces are ``REGION_edge``, ``REGION_top`` or ``REGION_bottom``, faces between two regions
    ``FIRST_SECOND`` in their order; a face in a marker's polygons has the marker's name instead.
    ``within(marker, points)`` says which ``(n, 2)`` points those hold. Raises `MeshError` for a marker
    without faces and for names that are given twice.
    """
    regions = stack.regions
    found: dict[str, list[np.ndarray]] = {}
    origin: dict[str, tuple[int, int, str]] = {}

    def add(name: str, rows: np.ndarray, source: tuple[int, int, str]) -> None:
        if origin.setdefault(name, source) != source:
            raise MeshError(f"two different boundaries would be called '{name}': rename a region or boundary")
        found.setdefault(name, []).append(rows)

    marked = {mark.name: False for mark in stack.boundaries}
    for faces in cells.faces:
        free = np.ones(len(faces.corners), dtype=bool)
        for k, mark in enumerate(stack.boundaries):
            side = {"bottom": 1, "top": 0}.get(mark.on)
            if faces.level != (side is not None):
                continue
            of = faces.sides if side is None else faces.sides[:, [side]]
            wanted = np.any(of >= 0 if mark.of is None else of == regions.index(mark.of), axis=1)
            # Above the top of a region there is nothing, and the edge of a region is that of the device.
            wanted &= np.any(faces.sides < 0, axis=1) & free
            wanted[wanted] = within(mark, faces.middle[wanted])
            if np.any(wanted):
                marked[mark.name] = True
                free &= ~wanted
                add(mark.name, faces.corners[wanted], (k, k, "marker"))
        for low, high in np.unique(faces.sides[free], axis=0).tolist():
            rows = faces.corners[free & np.all(faces.sides == (low, high), axis=1)]
            first, second = min(low, high), max(low, high)
            if first >= 0:
                add(f"{regions[first]}_{regions[second]}", rows, (first, second, "between"))
            else:
                end = "edge" if not faces.level else "top" if low >= 0 else "bottom"
                add(f"{regions[second]}_{end}", rows, (second, second, end))
    for mark in stack.boundaries:
        if not marked[mark.name]:
            whose = f"region '{mark.of}'" if mark.of else "a region"
            raise MeshError(
                f"boundary '{mark.name}' (layer {mark.layer[0]}/{mark.layer[1]}): its polygons hold no free "
                f"{mark.on} of {whose}"
            )
    return found


def _span(stack: Stack, k: int) -> tuple[float, float]:
    """Heights of bottom and top of region ``k``, metres."""
    if k == len(stack.layers):
        assert stack.substrate is not None
        return -stack.substrate.thickness, 0.0
    entry = stack.layers[k]
    return entry.z, entry.z + (entry.thickness or 0.0)


def overlapping_heights(stack: Stack, a: int, b: int) -> bool:
    """Return whether two regions have a common range of heights."""
    if not stack.solid:
        return True
    (low_a, high_a), (low_b, high_b) = _span(stack, a), _span(stack, b)
    return min(high_a, high_b) - max(low_a, low_b) > NEAR * max(high_a - low_a, high_b - low_b)


def _heights(stack: Stack) -> np.ndarray:
    """All heights at which a region or a level ends, ascending, metres."""
    found = []
    for k, entry in enumerate(stack.entries):
        low, high = _span(stack, k)
        widths = entry.grading ** np.arange(entry.levels, dtype=float)
        found.append(high - (high - low) * np.concatenate([[0.0], np.cumsum(widths) / widths.sum()]))
    heights = np.unique(np.concatenate(found))
    apart = np.diff(heights) > NEAR * (heights[-1] - heights[0])
    return np.asarray(heights[np.concatenate([[True], apart])])


def _region(triangles: Triangulation, holds: np.ndarray, stack: Stack) -> np.ndarray:
    """Region over every triangle in every interval of height, −1 for none; ``holds[region, interval]``."""
    region = np.full((len(triangles.corners), holds.shape[1]), -1)
    for k, name in enumerate(stack.regions):
        free = triangles.inside[name][:, None] & holds[k] & (region < 0)
        region[free] = k
    return region


def _edges(corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges ``(n, 2)`` of triangles and the one or two triangles beside each, −1 for none."""
    every = np.sort(corners[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    ends, which = np.unique(every, axis=0, return_inverse=True)
    order = np.argsort(which.ravel(), kind="stable")
    first = np.searchsorted(which.ravel()[order], np.arange(len(ends)))
    last = np.append(first[1:], len(order)) - 1
    beside = np.stack([order[first] // 3, np.where(last > first, order[last] // 3, -1)], axis=1)
    return ends, beside


def _regions_beside(beside: np.ndarray, region: np.ndarray) -> np.ndarray:
    """Regions on both sides of every edge, ``(n_edges, ..., 2)``; ``region[triangle, ...]``."""
    padded = np.concatenate([region, np.full_like(region[:1], -1)])
    return np.stack([padded[beside[:, 0]], padded[beside[:, 1]]], axis=-1)


def _bounding(faces: SolidFaces) -> SolidFaces:
    """Only those at which a region ends."""
    kept = faces.sides[:, 0] != faces.sides[:, 1]
    return SolidFaces(faces.corners[kept], faces.sides[kept], faces.middle[kept], faces.level)
