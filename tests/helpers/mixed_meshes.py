"""A mesh of all kinds of solid cells."""

from __future__ import annotations

import numpy as np


def mixed_cells() -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    """Hexes and pairs of wedges below, a pyramid upon every hex, tets between neighbouring pyramids."""
    nx, ny = 6, 3

    def vertex(i: int, j: int, k: int) -> int:
        return i + (nx + 1) * (j + (ny + 1) * k)

    points = [[i, j, k] for k in range(3) for j in range(ny + 1) for i in range(nx + 1)]
    cells: dict[str, list[list[int]]] = {"wedge": [], "hexahedron": [], "pyramid": [], "tetra": []}
    apex: dict[tuple[int, int], int] = {}
    for j in range(ny):
        for i in range(nx):
            square = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
            for k in range(2):
                low, high = ([vertex(a, b, k + up) for a, b in square] for up in (0, 1))
                if i < 2:
                    cells["wedge"] += [low[:3] + high[:3]]
                    cells["wedge"] += [[low[0], low[2], low[3], high[0], high[2], high[3]]]
                else:
                    cells["hexahedron"] += [low + high]
            if i >= 2:
                apex[i, j] = len(points)
                points.append([i + 0.5, j + 0.5, 2.75])
                cells["pyramid"] += [[vertex(a, b, 2) for a, b in square] + [apex[i, j]]]
    for (i, j), here in apex.items():
        if (i + 1, j) in apex:
            cells["tetra"] += [[vertex(i + 1, j, 2), vertex(i + 1, j + 1, 2), here, apex[i + 1, j]]]
        if (i, j + 1) in apex:
            cells["tetra"] += [[vertex(i + 1, j + 1, 2), vertex(i, j + 1, 2), here, apex[i, j + 1]]]
    coordinates = np.array(points, dtype=float)
    for tet in cells["tetra"]:
        a, b, c, d = coordinates[tet]
        if np.dot(np.cross(b - a, c - a), d - a) < 0:
            tet[0], tet[1] = tet[1], tet[0]
    # Inner points are moved, so that quadrilateral faces are warped.
    inner = np.all((coordinates > 0.1) & (coordinates < [nx - 0.1, ny - 0.1, 1.9]), axis=1)
    coordinates[inner] += np.random.default_rng(7).uniform(-0.1, 0.1, size=(int(inner.sum()), 3))
    return coordinates, [(kind, np.array(rows)) for kind, rows in cells.items()]
