"""The kinds of cells: corners, faces and VTK numbers of lines, polygons and polyhedra.

Corners are numbered as in VTK. The faces of a three-dimensional cell are listed so that their corners turn
anticlockwise seen from outside. Where more than two lines meet there is a node, which files do not have and
`fvqp.mesh.nodes` makes: corner 0 where they meet, and an end on every line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from fvqp.errors import MeshError

MAX_CORNERS = 8
MAX_FACE_CORNERS = 4


@dataclass(frozen=True)
class CellType:
    """One kind of cell: its meshio name, VTK number, dimension, corner count and the corners of its faces.

    VTK has no nodes: their numbers are our own, and ``shown`` is the kind of VTK that they are written as,
    with the corners of ``path`` in this order; None where that is the kind itself.
    """

    name: str
    vtk: int
    dim: int
    corners: int
    faces: tuple[tuple[int, ...], ...]
    shown: int | None = None
    path: tuple[int, ...] = ()

    @property
    def face_table(self) -> np.ndarray:
        """Corners of every face, ``(n_faces, 4)``, filled up with −1."""
        table = np.full((len(self.faces), MAX_FACE_CORNERS), -1, dtype=np.int32)
        for row, face in zip(table, self.faces, strict=True):
            row[: len(face)] = face
        return table


CELL_TYPES = (
    CellType("vertex", 1, 0, 1, ()),
    CellType("line", 3, 1, 2, ((0,), (1,))),
    CellType("triangle", 5, 2, 3, ((0, 1), (1, 2), (2, 0))),
    CellType("quad", 9, 2, 4, ((0, 1), (1, 2), (2, 3), (3, 0))),
    CellType("tetra", 10, 3, 4, ((0, 2, 1), (0, 1, 3), (1, 2, 3), (0, 3, 2))),
    CellType(
        "hexahedron",
        12,
        3,
        8,
        ((0, 3, 2, 1), (4, 5, 6, 7), (0, 1, 5, 4), (1, 2, 6, 5), (2, 3, 7, 6), (3, 0, 4, 7)),
    ),
    CellType("wedge", 13, 3, 6, ((0, 2, 1), (3, 4, 5), (0, 1, 4, 3), (1, 2, 5, 4), (2, 0, 3, 5))),
    CellType("pyramid", 14, 3, 5, ((0, 3, 2, 1), (0, 1, 4), (1, 2, 4), (2, 3, 4), (3, 0, 4))),
)
#: Corners of cells numbered the other way round: a clockwise polygon turns anticlockwise.
MIRRORED = {
    "triangle": [0, 2, 1],
    "quad": [0, 3, 2, 1],
    "tetra": [0, 2, 1, 3],
    "hexahedron": [0, 3, 2, 1, 4, 7, 6, 5],
    "wedge": [0, 2, 1, 3, 5, 4],
    "pyramid": [0, 3, 2, 1, 4],
}
#: Lines that may meet at a node.
MAX_ARMS = MAX_CORNERS - 1


def _node(arms: int) -> CellType:
    # Shown as one line from end to end through the middle, again and again.
    path = tuple(corner for k in range(1, arms + 1) for corner in (0, k))[1:]
    return CellType(f"node{arms}", 200 + arms, 1, arms + 1, tuple((k,) for k in range(1, arms + 1)), 4, path)


NODE_TYPES = {arms: _node(arms) for arms in range(3, MAX_ARMS + 1)}
BY_NAME = {t.name: t for t in CELL_TYPES}
BY_VTK = {t.vtk: t for t in (*CELL_TYPES, *NODE_TYPES.values())}

# Curved (higher-order) cells keep their corners only: the corners come first in every one of these.
LINEARISED = {
    "line3": "line",
    "line4": "line",
    "triangle6": "triangle",
    "triangle7": "triangle",
    "triangle10": "triangle",
    "quad8": "quad",
    "quad9": "quad",
    "tetra10": "tetra",
    "tetra20": "tetra",
    "hexahedron20": "hexahedron",
    "hexahedron24": "hexahedron",
    "hexahedron27": "hexahedron",
    "wedge15": "wedge",
    "wedge18": "wedge",
    "pyramid13": "pyramid",
    "pyramid14": "pyramid",
}


def corner_table(
    kind: CellType, connectivity: Any, width: int, n_points: int, what: str, first: int = 0
) -> np.ndarray:
    """Return the corners of elements of one kind, ``(n, width)`` int32, filled up with −1.

    Only this filling may be negative: files have point numbers of 0 and more, and meshio marks a point that a
    file refers to and does not have with −1.

    Args:
        kind: of the elements.
        connectivity: point numbers of every element, corners first.
        width: columns of the table.
        n_points: points that there are.
        what: an element of these is called in a message, before its number.
        first: number of the first element.

    Raises:
        MeshError: an element uses a point that does not exist.
    """
    corners = np.asarray(connectivity)
    if corners.ndim != 2 or corners.shape[1] < kind.corners:
        raise MeshError(f"{what} {first} ({kind.name}) has fewer than {kind.corners} points")
    corners = corners[:, : kind.corners]
    missing = ~((corners >= 0) & (corners < n_points))
    if np.any(missing):
        row, column = np.argwhere(missing)[0]
        raise MeshError(
            f"{what} {first + row} ({kind.name}) uses point {corners[row, column]}, which does not exist "
            f"(there are {n_points} points, numbered from 0)"
        )
    table = np.full((len(corners), width), -1, dtype=np.int32)
    table[:, : kind.corners] = corners
    return table
