"""Slowest relaxation rates of a Markov chain against dense eigenvalues."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from mpi4py import MPI

from fvqp.errors import CaseError
from fvqp.solvers.markov import MarkovChain
from fvqp.solvers.slowest import slowest_rates

N = 40


def generator(reversible: bool) -> np.ndarray:
    """Of a random chain; with detailed balance, or with currents that make rates complex."""
    random = np.random.default_rng(5)
    if reversible:
        conductance = random.random((N, N)) * (random.random((N, N)) < 0.2)
        conductance += np.diag(np.full(N - 1, 0.1), 1)
        p = 10.0 ** random.uniform(-6.0, 0.0, N)
        L = (conductance + conductance.T) / p
    else:
        L = random.random((N, N)) * (random.random((N, N)) < 0.1)
        # Around a ring in one direction: eigenvalues 1 - exp(2πik/N).
        L += np.roll(np.eye(N), 1, axis=0)
    np.fill_diagonal(L, 0.0)
    return L - np.diag(L.sum(axis=0))


@pytest.mark.parametrize("reversible", [True, False])
def test_rates_against_dense_eigenvalues(reversible: bool) -> None:
    L = generator(reversible)
    rows = sp.csr_matrix(L)
    chain = MarkovChain(MPI.COMM_SELF, rows.indptr, rows.indices, rows.data, np.ones(N), 0.3)
    chain.stationary(1e-11)
    exact = np.linalg.eigvals(-L)
    exact = exact[np.argsort(np.abs(exact))][1:6]
    found = slowest_rates(chain, 5)
    # The fifth may be either of a pair.
    np.testing.assert_allclose(found.real, exact.real, rtol=1e-7)
    np.testing.assert_allclose(
        np.abs(found.imag), np.abs(exact.imag), rtol=1e-7, atol=1e-9 * np.abs(exact[0])
    )
    assert np.abs(exact.imag).max() > 0.1 * np.abs(exact.real).max() or reversible


def test_bad_input() -> None:
    rows = sp.csr_matrix(generator(True))
    chain = MarkovChain(MPI.COMM_SELF, rows.indptr, rows.indices, rows.data, np.ones(N), 0.3)
    chain.stationary(1e-11)
    with pytest.raises(CaseError, match="40 of 40 states: expected 1 to 37"):
        slowest_rates(chain, 40)
