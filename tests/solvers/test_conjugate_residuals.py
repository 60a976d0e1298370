"""Generalized conjugate residuals against dense solutions."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.solvers.conjugate_residuals import ConjugateResiduals


def space(
    matrix: np.ndarray, calls: list[int], kept: int = 40, near: np.ndarray | None = None
) -> ConjugateResiduals:
    """Preconditioned by a matrix that is close to the inverse, or by nothing."""

    def action(x: np.ndarray) -> np.ndarray:
        calls.append(1)
        return matrix @ x

    precondition = np.eye(len(matrix)) if near is None else near
    return ConjugateResiduals(action, lambda x: precondition @ x, MPI.COMM_SELF, kept)


def test_directions_of_one_right_hand_side_serve_the_next() -> None:
    rng = np.random.default_rng(3)
    matrix = np.eye(30) + 0.1 * rng.standard_normal((30, 30))
    calls: list[int] = []
    found = space(matrix, calls)
    first = rng.standard_normal(30)
    found.begin(first)
    while np.linalg.norm(found.residual) > 1e-10:
        found.follow(found.ahead)
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
        found.follow(found.ahead)
    assert np.allclose(found.x, np.linalg.solve(matrix, right), atol=1e-14)


def test_the_solution_as_a_guess_is_enough() -> None:
    rng = np.random.default_rng(4)
    matrix = np.eye(8) + 0.3 * rng.standard_normal((8, 8))
    right = rng.standard_normal(8)
    found = space(matrix, [], kept=2)
    found.begin(right)
    found.guess(np.linalg.solve(matrix, right))
    assert np.linalg.norm(found.residual) < 1e-14
    for _ in range(3):  # the directions give way
        found.guess(rng.standard_normal(8))
    assert np.allclose(matrix @ found.x, right, atol=1e-13)


@pytest.mark.parametrize("kept", [40, 5])
def test_what_is_not_kept_of_directions_is_made_again(kept: int) -> None:
    """Two right-hand sides, guesses, images in place of residuals that stall, and directions that give way:
    at any time x is what its residual says."""
    rng = np.random.default_rng(5)
    matrix = rng.standard_normal((30, 30)) + 4.0 * np.eye(30)
    near = np.linalg.inv(matrix + 1.2 * rng.standard_normal((30, 30)))
    found = space(matrix, [], kept, near)
    stalled = 0
    for right in rng.standard_normal((2, 30)):
        found.begin(right)
        found.guess(rng.standard_normal(30))
        for _ in range(16):
            stalled += found.stalled
            found.follow(near @ found.ahead)
            assert np.allclose(right - matrix @ found.x, found.residual, rtol=0.0, atol=1e-11)
    assert stalled > 0
    assert np.linalg.norm(found.residual) < (1e-11 if kept == 40 else 0.9) * np.linalg.norm(right)


def test_a_weighted_sum_of_the_residual_vanishes_by_its_least_change() -> None:
    rng = np.random.default_rng(7)
    matrix = np.eye(30) + 0.3 * rng.standard_normal((30, 30))
    right, weights = rng.standard_normal((2, 30))
    found = space(matrix, [])
    found.begin(right)
    images = []
    for _ in range(5):
        images.append(matrix @ found.ahead)
        found.follow(found.ahead)
    free = found.residual.copy()
    found.balance(weights)
    size = np.linalg.norm(right)
    assert abs(weights @ free) > 1e-2 * size
    assert abs(weights @ found.residual) < 1e-13 * size
    assert np.allclose(right - matrix @ found.x, found.residual, rtol=0.0, atol=1e-13 * size)
    along = np.linalg.qr(np.array(images).T)[0]
    along = along @ (along.T @ weights)
    least = free - (weights @ free) / (along @ along) * along
    assert np.allclose(found.residual, least, rtol=0.0, atol=1e-13 * size)


def test_fewer_kept_directions_need_more_iterations() -> None:
    rng = np.random.default_rng(6)
    matrix = np.diag(np.geomspace(1.0, 100.0, 60)) + 0.1 * rng.standard_normal((60, 60))
    right = rng.standard_normal(60)
    taken = []
    for kept in (60, 8):
        calls: list[int] = []
        found = space(matrix, calls, kept)
        found.begin(right)
        while np.linalg.norm(found.residual) > 1e-6 * np.linalg.norm(right):
            found.follow(found.ahead)
        assert np.allclose(matrix @ found.x, right, rtol=0.0, atol=2e-6 * np.linalg.norm(right))
        taken.append(len(calls))
    assert taken[0] < taken[1] < 10 * taken[0]
