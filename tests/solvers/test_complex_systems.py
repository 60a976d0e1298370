"""Complex systems by real multigrid equal those that are solved directly."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sparse
from mpi4py import MPI
from scipy.sparse.linalg import spsolve

from fvqp.errors import ConvergenceError
from fvqp.solvers.complex_systems import ComplexSystems
from fvqp.solvers.numbering import Numbering

N = 12
ENERGIES = 5


def laplacian() -> sparse.csr_matrix:
    line = sparse.diags([-1.0, 2.0, -1.0], [-1, 0, 1], shape=(N, N))
    both = sparse.kron(line, sparse.eye(N)) + sparse.kron(sparse.eye(N), line)
    return both.tocsr()


@pytest.mark.parametrize("method", ["direct", "gamg"])
def test_against_scipy(method: str) -> None:
    """Also where a and b are negative somewhere, as they may be a little."""
    k = laplacian()
    n = k.shape[0]
    random = np.random.default_rng(3)
    diagonal = random.uniform(0.0, 1.0, (n, 2, ENERGIES)) * np.logspace(-4, 2, ENERGIES)
    diagonal[:, 1] *= -1.0
    diagonal[::7] *= -0.01
    rhs = random.normal(size=(n, 2, ENERGIES))
    solver = ComplexSystems(
        k.indptr, k.indices, Numbering(MPI.COMM_SELF, n, np.arange(n)), k.data, method=method
    )
    weight = diagonal[:, 0] + 1j * diagonal[:, 1]

    def product(x: np.ndarray) -> np.ndarray:
        z = x[:, 0] + 1j * x[:, 1]
        out = k @ z + weight * z
        return np.stack([out.real, out.imag], axis=1)

    x = solver.solve(diagonal, rhs, product)
    for e in range(ENERGIES):
        exact = spsolve((k + sparse.diags(weight[:, e])).tocsc(), rhs[:, 0, e] + 1j * rhs[:, 1, e])
        assert np.abs(x[:, 0, e] + 1j * x[:, 1, e] - exact).max() < 1e-6 * np.abs(exact).max()


def test_says_so_when_it_fails() -> None:
    k = laplacian()
    n = k.shape[0]
    solver = ComplexSystems(
        k.indptr, k.indices, Numbering(MPI.COMM_SELF, n, np.arange(n)), k.data, method="direct"
    )
    with pytest.raises(ConvergenceError, match="2 energies"):
        solver.solve(np.zeros((n, 2, 2)), np.ones((n, 2, 2)), lambda x: np.nan * x)
