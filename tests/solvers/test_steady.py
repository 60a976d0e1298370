"""Steady states, time integration and elimination on small equations with known solutions."""

from __future__ import annotations

import numpy as np
import pytest
from rate_problems import Chain

from fvqp.errors import ConvergenceError
from fvqp.solvers.elimination import Arrow, EliminatedLU, EliminatedX, ShiftedSolver
from fvqp.solvers.rate_balance import BalanceSolver
from fvqp.solvers.rate_equations import outside, updated


def random_blocks(points: int = 3, x: int = 4, z: int = 7) -> Arrow:
    random = np.random.default_rng(3)
    return Arrow(
        random.normal(size=(points, x, x)),
        random.normal(size=(points, x, z)),
        random.normal(size=(points, z, x)),
        random.normal(size=(points, z)),
    )


def dense(blocks: Arrow, point: int) -> np.ndarray:
    xx, xz, zx, zz = (block[point] for block in blocks)
    return np.block([[xx, xz], [zx, np.diag(zz)]])


def test_elimination_against_dense_solve():
    blocks, shift = random_blocks(), 0.7
    r = np.random.default_rng(4).normal(size=(3, 11))
    found, lu = np.empty_like(r), EliminatedLU(5, 4, 7)
    at = np.array([3, 0, 4])
    lu.factor(at, blocks, np.full(3, shift))
    lu.solve(at, r, found)
    for c in range(3):
        expected = np.linalg.solve(shift * np.eye(11) - dense(blocks, c), r[c])
        np.testing.assert_allclose(found[c], expected, rtol=1e-11)


def test_elimination_that_preconditions_takes_less_memory():
    """x to rounding, what it does to z to single precision, number by number and at any size."""
    blocks, shift, of_z, small = random_blocks(x=40, z=90), 20.0, 30.0, 1e-60
    r = small * np.random.default_rng(4).normal(size=(3, 40))
    at, alone = np.arange(3), EliminatedX(3, 40, 90)
    alone.factor(at, blocks, np.full(3, shift), of_z)
    x, z = np.empty((3, 40)), np.empty((3, 90))
    alone.solve(at, r, x, z)
    for c in range(3):
        whole = np.diag(np.repeat([shift, of_z], [40, 90])) - dense(blocks, c)
        expected = np.linalg.solve(whole, np.concatenate([r[c], np.zeros(90)]))[:40]
        np.testing.assert_allclose(x[c], expected, rtol=1e-10, atol=1e-12 * small)
        off, size = np.abs(z[c] - blocks.zx[c] @ x[c]), np.abs(blocks.zx[c]) @ np.abs(x[c])
        assert 1e-10 < np.max(off / size) < 2.0**-24
    np.testing.assert_array_equal(alone.zz, blocks.zz)
    assert alone._zx.nbytes == 4 * 3 * 40 * 90
    assert EliminatedX.kept(305, 704) < 0.4 * EliminatedLU.kept(305, 704)


def test_old_factorization_serves_as_preconditioner():
    blocks = random_blocks()

    def product(y: np.ndarray, step: np.ndarray) -> np.ndarray:
        return np.stack([(1.0 + y[c, 0]) * dense(blocks, c) @ step[c] for c in range(3)])

    def at(y: np.ndarray) -> Arrow:
        return Arrow(*((1.0 + y[:, 0]).reshape((-1,) + (1,) * (b.ndim - 1)) * b for b in blocks))

    solver = ShiftedSolver(at, product, (3, 11), "fvqp_test_", similar=2.0)
    r = np.random.default_rng(5).normal(size=(3, 11))
    scale = np.full((3, 11), 100.0)
    for size in (0.0, 0.01, 0.02):
        y = np.full((3, 11), size)
        found = solver.solve(y, 8.0, r, scale, 1e-12)
        np.testing.assert_allclose(8.0 * found - product(y, found), r, atol=1e-10)
    assert solver.factorizations == 1
    solver.solve(y, 80.0, r, scale, 1e-12)
    assert solver.factorizations == 2


def test_singular_system_is_an_error():
    blocks = Arrow(np.zeros((1, 2, 2)), np.zeros((1, 2, 3)), np.zeros((1, 3, 2)), -np.ones((1, 3)))
    with pytest.raises(ConvergenceError, match="singular"):
        EliminatedLU(1, 2, 3).factor(np.arange(1), blocks, np.zeros(1))


def test_updates_stay_within_bounds_and_are_exact_where_small():
    y = np.array([[0.5, 0.5, 1e-30, 0.5, 3.0, 0.0]])
    upper = np.array([1.0, 1.0, 1.0, 1.0, np.inf, np.inf])
    step = np.array([[0.1, -40.0, 1e-3, 40.0, 1e9, 2.0]])
    found = updated(y, step, upper)
    assert found[0, 0] == 0.6
    assert 0.0 < found[0, 1] < 0.01
    assert found[0, 2] == 1e-3
    assert 0.99 < found[0, 3] < 1.0
    assert found[0, 4] == 1e9 + 3.0
    assert found[0, 5] == 2.0
    # what goes to zero nearly gets there, what goes beyond is a quarter at most; 1 is approached smoothly
    y, steps = np.full((1, 4), 1.0), np.array([[-0.7, -0.995, -1.005, -1.02]])
    found_below = updated(y, steps, np.full(4, np.inf))
    np.testing.assert_allclose(found_below, [[0.3, 0.01, 0.01, 0.25 / 1.02]], rtol=1e-12)
    near = [updated(np.zeros((1, 1)), np.array([[s]]), np.ones(1))[0, 0] for s in (0.5, 0.5 + 1e-6)]
    assert near[1] - near[0] == pytest.approx(1e-6, rel=1e-4)
    assert not outside(found, upper, 1e-15).any()
    assert outside(np.array([[1.0, -1e-12]]), np.array([2.0, 2.0]), 1e-15).tolist() == [[False, True]]


@pytest.mark.parametrize("guess", [1e-8, 1e-3, 1.0, 50.0])
@pytest.mark.parametrize("pump", [1e-3, 0.5, 20.0])
def test_steady_chain_from_any_guess(guess, pump):
    """Occupations that fall by many decades from one to the next are all right to ten digits."""
    chain = Chain(pump=pump)
    found = BalanceSolver(chain, tolerance=1e-11).solve(np.full(chain.shape, guess))
    np.testing.assert_allclose(found.y, chain.steady(), rtol=1e-8)
    assert found.y.min() < 1e-9 * found.y.max()
    assert found.residual <= 1e-11
    assert found.imbalance["number"] <= 1e-7


def test_failure_says_what_is_off():
    chain = Chain(pump=0.5)
    with pytest.raises(ConvergenceError, match=r"no steady state after 2 steps: .*(unknown|number)"):
        BalanceSolver(chain, max_iterations=2).solve(np.full(chain.shape, 1e-8))
