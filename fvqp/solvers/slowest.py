"""The slowest relaxation rates of a Markov chain: eigenvalues of −L nearest to zero, but for zero itself.

The inverse of −L on vectors of total zero is the operator: its largest eigenvalues are the inverses of the
slowest rates, and each application is a solve with the null space taken out (`MarkovChain.solve`). It is
written for y = x/√p, in which a chain with detailed balance is symmetric and others nearly so.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

from fvqp.errors import CaseError, ConvergenceError
from fvqp.solvers.markov import MarkovChain
from fvqp.typing import Complexes, Floats

TOLERANCE = 1e-9
"""Error of the rates, relative."""
SOLVE = 1e-11
"""Residual of a solve, relative to its right-hand side."""


def slowest_rates(chain: MarkovChain, count: int) -> Complexes:
    """Return the `count` slowest relaxation rates, by ARPACK; collective.

    A deviation from the stationary state decays with the real part of a rate and oscillates with the
    imaginary part (rad per unit of time).

    Parameters
    ----------
    chain
        The chain; `stationary` has been called.
    count
        How many.

    Returns
    -------
    Complexes
        (count,) rates in the order of their magnitudes.

    Raises
    ------
    CaseError
        As many rates as the chain has states.
    ConvergenceError
        The eigenvalues do not converge.
    """
    if not 1 <= count <= chain.size - 3:
        raise CaseError(f"relaxation rates: {count} of {chain.size} states: expected 1 to {chain.size - 3}")
    root = np.sqrt(chain.scale)
    own = slice(chain.first, chain.first + chain.n_owned)

    def invert(y: Floats) -> Floats:
        # Every rank has the Krylov vectors of all states, and does the same with them.
        x = y[own] * root
        x -= root**2 * (float(chain.sum(x)) / float(chain.sum(root**2)))
        return np.concatenate(chain.comm.allgather(chain.solve(0.0, x, SOLVE) / root))

    operator = LinearOperator((chain.size, chain.size), invert, dtype=float)
    start = np.random.default_rng(0).normal(size=chain.size)
    try:
        found = eigs(operator, count, v0=start, tol=TOLERANCE, return_eigenvectors=False)
    except ArpackError as error:
        raise ConvergenceError(f"relaxation rates: {error} (ARPACK)") from None
    return np.asarray(1.0 / found[np.argsort(-np.abs(found), kind="stable")])
