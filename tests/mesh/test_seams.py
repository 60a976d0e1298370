"""Cells that touch or overlap without sharing a face: refused, with what and where."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import Mesh, build_mesh

SQUARES = [[0, 1, 4, 3], [1, 2, 5, 4]]
POINTS = [[0, 0], [1, 0], [2, 0], [0, 1], [1, 1], [2, 1]]


def film(points: list[list[float]], squares: list[list[int]]) -> Mesh:
    return build_mesh(np.array(points, float), [("quad", np.array(squares))], comm=MPI.COMM_SELF)


def bricks(*boxes: tuple[float, ...]) -> tuple[np.ndarray, list[tuple[str, np.ndarray]]]:
    """Hexahedra ``x0, x1, y0, y1, z0, z1`` that share the corners at one place."""
    ring = ((0, 0), (1, 0), (1, 1), (0, 1))
    corners = [[(b[i], b[2 + j], b[4 + k]) for k in (0, 1) for i, j in ring] for b in boxes]
    points, rows = np.unique(np.array(corners).reshape(-1, 3), axis=0, return_inverse=True)
    return points, [("hexahedron", rows.reshape(-1, 8))]


@pytest.mark.parametrize(
    ("points", "squares", "words"),
    [
        (
            [*POINTS[:5], [2, 2], [0, 2], [1, 2]],
            [[0, 1, 4, 3], [3, 4, 7, 6], [1, 2, 5, 7]],
            r"point 4 at \(1, 1, 0\) m lies on a face of cell 2 and is no corner of it \(1 such points\)",
        ),
        (
            [*POINTS, [3, 1], [2, 2], [3, 2]],
            [*SQUARES, [5, 6, 8, 7]],
            r"2 parts share no faces, but touch at 1 points, such as point 5 at \(2, 1, 0\) m",
        ),
        (
            [*POINTS, [2, 0], [3, 0], [2, 1], [3, 1]],
            [*SQUARES, [6, 7, 9, 8]],
            r"2 parts share no faces, but points 2 and 6 lie at one place.* \(2 such pairs\)",
        ),
        (
            [*POINTS, [0.2, 0.2], [1.7, 0.2], [0.2, 0.8], [1.7, 0.8]],
            [*SQUARES, [6, 7, 9, 8]],
            r"cells 2 and 0 at \(0.95, 0.5, 0\) m overlap",
        ),
    ],
    ids=["hanging", "vertex", "unmerged", "overlap"],
)
def test_films(points: list[list[float]], squares: list[list[int]], words: str) -> None:
    with pytest.raises(MeshError, match=words):
        film(points, squares)


@pytest.mark.parametrize(
    ("boxes", "words"),
    [
        (((0, 1, 0, 1, 0, 1), (0, 1, 1, 2, 0, 1), (1, 2, 0, 2, 0, 1)), "lies on a face of cell"),
        (((0, 2, 0, 2, 0, 1), (0.5, 1.5, 0.5, 1.5, 1, 2)), "lies on a face of cell 0 .*4 such points"),
        (((0, 1, 0, 1, 0, 1), (1, 2, 1, 2, 0, 1)), "touch at 2 points"),
        (((0, 2, 0, 2, 0, 2), (0.5, 1.8, 0.5, 1.8, 0.5, 1.8)), "cells 0 and 1 .* overlap"),
    ],
    ids=["hanging", "on a face", "edge", "inside"],
)
def test_solids(boxes: tuple[tuple[float, ...], ...], words: str) -> None:
    points, cells = bricks(*boxes)
    with pytest.raises(MeshError, match=words):
        build_mesh(points, cells, comm=MPI.COMM_SELF)


def test_what_is_right() -> None:
    """Thin cells beside thick ones, parts side by side with a gap, a slit in one part."""
    assert film([*POINTS, [2.01, 0], [3, 0], [2.01, 1], [3, 1]], [*SQUARES, [6, 7, 9, 8]]).n_cells == 3
    assert build_mesh(*bricks((0, 1, 0, 1, 0, 1e-4), (1, 2, 0, 1, 0, 1e-4))).n_global == 2
    # The slit from (1, 0) to (1, 1): two points each at one place, one cell above holds both sides together.
    slit = [*POINTS, [1, 0], [0, 2], [1, 2], [2, 2]]
    squares = [[0, 1, 4, 3], [6, 2, 5, 4], [3, 4, 8, 7], [4, 5, 9, 8]]
    assert film(slit, squares).n_cells == 4
