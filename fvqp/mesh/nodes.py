"""Lines joined at nodes: where more than two meet, a small cell of their own joins them.

A face lies between two cells. Three or more lines that end in one vertex are therefore cut short, and what
is cut off, a star about the vertex, becomes one cell, a node; every line touches it with a face of its own
(theory: discretization).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from fvqp.errors import MeshError
from fvqp.mesh.cells import BY_NAME, MAX_ARMS, MAX_CORNERS, NODE_TYPES
from fvqp.mesh.geometry import where

#: Part of a line's cell that the node takes where both are alike; a line between two nodes keeps some.
SHARE, SHARE_OF_TWO = 0.5, 0.25

#: Part that it takes of cells in other regions: the border between two materials stays where the lines meet.
TOUCH = 1e-6


@dataclass
class Joined:
    """Points, cells and names of a mesh of lines with its nodes; see `join`."""

    points: np.ndarray
    cell_type: np.ndarray
    corners: np.ndarray
    regions: dict[str, np.ndarray]
    boundaries: dict[str, np.ndarray]


def join(
    points: np.ndarray,
    corners: np.ndarray,
    regions: Mapping[str, np.ndarray],
    boundaries: Mapping[str, np.ndarray],
    name: str,
) -> Joined:
    """Makes a cell of every vertex where more than two lines meet, after the lines in number.

    A node belongs to the regions of most of its lines (of two alike, of the line that comes first), and takes
    half of a cell of these. A named point that is a node becomes a region, which the node is.

    Args:
        points: ``(n, 3)``.
        corners: ``(n_cells, 8)`` vertices of lines, filled up with −1.
        regions, boundaries: see `fvqp.mesh.build.build_mesh`.
        name: of the mesh, for messages.

    Raises:
        MeshError: more lines at a node than there are kinds of nodes; a name of points that are nodes and
            points that are not, or of a region as well.
    """
    ends = corners[:, :2]
    count = np.bincount(ends.ravel(), minlength=len(points))
    nodes = np.flatnonzero(count > 2)
    cell_type = np.full(len(corners), BY_NAME["line"].vtk, dtype=np.uint8)
    if not len(nodes):
        return Joined(points, cell_type, corners, dict(regions), dict(boundaries))
    crowded = nodes[count[nodes] > MAX_ARMS]
    if len(crowded):
        at = where(points[crowded[0]])
        raise MeshError(
            f"{name}: {count[crowded[0]]} lines meet at {at}; at most {MAX_ARMS} may: draw some of them "
            "to a point beside it"
        )
    number = np.full(len(points), -1)
    number[nodes] = np.arange(len(nodes))

    # Arms: ends of cells at nodes, node by node, in the order of the cells.
    cell, end = np.nonzero(number[ends] >= 0)
    node = number[ends[cell, end]]
    order = np.lexsort((cell, node))
    cell, end, node = cell[order], end[order], node[order]
    own, kinds = _own_arms(cell, node, regions, len(corners))

    both = (number[ends] >= 0).all(axis=1)
    part = np.where(own, np.where(both[cell], SHARE_OF_TWO, SHARE), TOUCH)[:, None]
    here, there = points[ends[cell, end]], points[ends[cell, 1 - end]]
    new = len(points) + np.arange(len(cell))
    lines = corners.copy()
    lines[cell, end] = new

    first = np.flatnonzero(np.diff(node, prepend=-1))
    stars = np.full((len(nodes), MAX_CORNERS), -1, dtype=np.int64)
    stars[:, 0] = nodes
    stars[node, 1 + np.arange(len(node)) - first[node]] = new
    star_type = np.array([NODE_TYPES[int(n)].vtk for n in count[nodes]], dtype=np.uint8)

    members = {region: np.asarray(cells, dtype=np.int64) for region, cells in regions.items()}
    for row, region in enumerate(regions):
        members[region] = np.concatenate([members[region], len(corners) + np.flatnonzero(kinds[:, row])])
    facets = {}
    for boundary, table in boundaries.items():
        found = number[np.asarray(table)[:, 0]] if len(table) else np.zeros(0, dtype=np.int64)
        if not np.any(found >= 0):
            facets[boundary] = np.asarray(table)
        elif boundary in regions or not np.all(found >= 0):
            other = "a region has this name too" if boundary in regions else "others of its points are none"
            raise MeshError(
                f"{name}: boundary '{boundary}' is a point where lines meet, which becomes a region, but "
                f"{other}; give it a name of its own"
            )
        else:
            members[boundary] = len(corners) + np.unique(found)
    return Joined(
        points=np.concatenate([points, (1.0 - part) * here + part * there]),
        cell_type=np.concatenate([cell_type, star_type]),
        corners=np.concatenate([lines, stars]),
        regions=members,
        boundaries=facets,
    )


def _own_arms(
    cell: np.ndarray, node: np.ndarray, regions: Mapping[str, np.ndarray], n_cells: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return whether each arm is of the regions that its node belongs to, and these, ``(nodes, regions)``.

    ``node`` increases.
    """
    table = np.zeros((n_cells, len(regions)), dtype=bool)
    for row, cells in enumerate(regions.values()):
        table[np.asarray(cells, dtype=np.int64), row] = True
    own = np.zeros(len(cell), dtype=bool)
    count = np.bincount(node)
    first = np.cumsum(count) - count
    chosen = np.zeros((len(count), len(regions)), dtype=bool)
    for number in np.unique(count):
        some = np.flatnonzero(count == number)
        arms = first[some][:, None] + np.arange(number)
        kinds = table[cell[arms]]
        alike = np.all(kinds[:, :, None] == kinds[:, None], axis=3)
        leader = np.argmax(alike.sum(axis=2), axis=1)
        every = np.arange(len(some))
        own[arms], chosen[some] = alike[every, leader], kinds[every, leader]
    return own, chosen
