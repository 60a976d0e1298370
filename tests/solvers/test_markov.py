"""Markov chains on PETSc against dense linear algebra: a random chain without detailed balance."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.solvers.markov import MarkovChain
from fvqp.solvers.response import Response

N = 40


def dense() -> np.ndarray:
    random = np.random.default_rng(7)
    L = random.random((N, N)) * (random.random((N, N)) < 0.15) * 10.0 ** random.uniform(-2, 2, (N, N))
    L += np.diag(np.full(N - 1, 0.1), 1) + np.diag(np.full(N - 1, 0.1), -1)
    np.fill_diagonal(L, 0.0)
    return L - np.diag(L.sum(axis=0))


def chain(method: str = "mumps") -> MarkovChain:
    L = sp.csr_matrix(dense())
    return MarkovChain(MPI.COMM_SELF, L.indptr, L.indices, L.data, np.ones(N), 0.1, method=method)


@pytest.mark.parametrize("method", ["mumps", "multigrid"])
def test_stationary_state(method: str) -> None:
    found = chain(method)
    p = found.stationary(1e-11)
    null = scipy.linalg.null_space(dense())[:, 0]
    np.testing.assert_allclose(p, null / null.sum(), atol=1e-10)
    assert np.abs(found.column_sums()).max() < 1e-14


def test_shifted_systems() -> None:
    found = chain()
    p = found.stationary()
    rhs = np.random.default_rng(1).normal(size=N)
    x = found.solve(0.7, rhs)
    np.testing.assert_allclose(x, np.linalg.solve(0.7 * np.eye(N) - dense(), rhs), rtol=1e-8)
    rhs -= p * rhs.sum()
    x = found.solve(0.0, rhs)
    assert abs(x.sum()) < 1e-9 * np.abs(x).sum()
    np.testing.assert_allclose(dense() @ x, -rhs, atol=1e-9 * np.abs(rhs).sum())


def test_response_of_a_chain_without_detailed_balance() -> None:
    found = chain()
    p = found.stationary(1e-11)
    observable = np.random.default_rng(2).normal(size=N)
    omega = np.geomspace(1e-3, 1e3, 15)
    response = Response(found, p, observable, omega, 1e-9)
    b = (observable - response.mean) * p
    exact = [
        2.0 * (observable @ np.linalg.solve(1j * w * np.eye(N) - dense(), b.astype(complex))).real
        for w in omega
    ]
    np.testing.assert_allclose(response.spectrum(omega), exact, rtol=1e-7)
    times = np.array([0.0, 0.1, 1.0])
    exact = [observable @ scipy.linalg.expm(t * dense()) @ b for t in times]
    np.testing.assert_allclose(response.correlation(times), exact, atol=1e-8 * response.variance)


def test_a_chain_that_cannot_converge_is_said() -> None:
    """The estimate of the slowest rate is off by fifteen decades, so the shift hides the null space."""
    L = sp.csr_matrix(dense())
    wrong = MarkovChain(MPI.COMM_SELF, L.indptr, L.indices, L.data, np.ones(N), 1e12, method="mumps")
    with pytest.raises(ConvergenceError, match="stationary state"):
        wrong.stationary(1e-11)
