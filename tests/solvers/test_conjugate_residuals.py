"""Generalized conjugate residuals against dense solutions."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from fvqp.solvers.conjugate_residuals import ConjugateResiduals


def space(matrix: np.ndarray, calls: list[int], kept: int = 40) -> ConjugateResiduals:
    def action(x: np.ndarray) -> np.ndarray:
        calls.append(1)
        return matrix @ x

    return ConjugateResiduals(action, MPI.COMM_SELF, kept)


def test_directions_of_one_right_hand_side_serve_the_next() -> None:
    rng = np.random.default_rng(3)
    matrix = np.eye(30) + 0.1 * rng.standard_normal((30, 30))
    calls: list[int] = []
    found = space(matrix, calls)
    first = rng.standard_normal(30)
    found.begin(first)
    while np.linalg.norm(found.residual) > 1e-10:
        found.extend(found.ahead)
    assert np.allclose(matrix @ found.x, first, atol=1e-9)
    assert np.allclose(found.x, np.linalg.solve(matrix, first), atol=1e-8)
    taken = len(calls)
    other = 2.0 * first + matrix @ first
    found.begin(other)
    assert np.linalg.norm(found.residual) < 1e-8 * np.linalg.norm(other)
    assert len(calls) == taken


def test_a_residual_that_stalls_does_not_stay() -> None:
    # A rotation by a right angle: the image of every residual is orthogonal to it.
    matrix = np.array([[0.0, -1.0], [1.0, 0.0]])
    found = space(matrix, [])
    right = np.array([1.0, 0.0])
    found.begin(right)
    for _ in range(2):
        found.extend(found.ahead)
    assert np.allclose(found.x, np.linalg.solve(matrix, right), atol=1e-14)


def test_the_solution_as_a_guess_is_enough() -> None:
    rng = np.random.default_rng(4)
    matrix = np.eye(8) + 0.3 * rng.standard_normal((8, 8))
    right = rng.standard_normal(8)
    found = space(matrix, [], kept=2)
    found.begin(right)
    found.extend(np.linalg.solve(matrix, right))
    assert np.linalg.norm(found.residual) < 1e-14
    for _ in range(3):  # the directions give way
        found.extend(rng.standard_normal(8))
    assert np.allclose(matrix @ found.x, right, atol=1e-13)
