"""The slowest relaxation rates of a Markov chain: eigenvalues of −L nearest to zero, but for zero itself.

The inverse of −L on vectors of total zero is the operator: its largest eigenvalues are the inverses of the
slowest rates, and each application is a solve with the null space taken out (`MarkovChain.solve`). It is
written for y = x/√p, in which a chain with detailed balance is symmetric and others nearly so. SLEPc's
Krylov-Schur method finds the eigenvalues where SLEPc is installed, otherwise ARPACK does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigs

from fvqp.errors import CaseError, ConvergenceError
from fvqp.petsc import PETSc, own_errors, slepc
from fvqp.solvers.markov import MarkovChain
from fvqp.typing import Complexes, Floats

log = logging.getLogger(__name__)

SOLVE = 1e-11
"""Residual of a solve, relative to its right-hand side."""


@dataclass(frozen=True)
class SlowestRates:
    """Relaxation rates nearest to zero.

    Attributes
    ----------
    rates
        (count,) complex, in the order of their magnitudes: a deviation from the stationary state decays with
        the real part and oscillates with the imaginary part (rad per unit of time).
    library
        What found them: SLEPc or ARPACK, with its version.
    """

    rates: Complexes
    library: str

    @property
    def correlation_time(self) -> float:
        """The longest time in which anything is forgotten."""
        return float(1.0 / self.rates.real.min())


def library_in_use() -> str:
    """Return the library that `slowest_rates` uses here: SLEPc with its version, or ARPACK."""
    SLEPc = slepc()
    return "ARPACK" if SLEPc is None else "SLEPc " + ".".join(map(str, SLEPc.Sys.getVersion()))


def slowest_rates(
    chain: MarkovChain, count: int, *, tolerance: float = 1e-9, library: str = "auto"
) -> SlowestRates:
    """The `count` slowest relaxation rates; collective.

    Parameters
    ----------
    chain
        The chain; `stationary` has been called.
    count
        How many.
    tolerance
        Of the rates, relative.
    library
        `slepc`, `arpack`, or `auto`: SLEPc where it is installed.

    Raises
    ------
    CaseError
        As many rates as the chain has states, or no SLEPc where it is insisted on.
    ConvergenceError
        The eigenvalues do not converge.
    """
    if not 1 <= count <= chain.size - 3:
        raise CaseError(f"relaxation rates: {count} of {chain.size} states: expected 1 to {chain.size - 3}")
    SLEPc = None if library == "arpack" else slepc()
    if SLEPc is None and library == "slepc":
        raise CaseError("relaxation rates: slepc4py is not installed, or does not load")
    root = np.sqrt(chain.scale)

    def invert(y: Floats) -> Floats:
        x = y * root
        x -= root**2 * (float(chain.sum(x)) / float(chain.sum(root**2)))
        return chain.solve(0.0, x, SOLVE) / root

    if SLEPc is not None:
        found, name = _krylov_schur(SLEPc, chain, invert, count, tolerance), library_in_use()
    else:
        found, name = _arpack(chain, invert, count, tolerance), "ARPACK"
    rates = 1.0 / found[np.argsort(-np.abs(found), kind="stable")][:count]
    log.info("generator of %d states: %d slowest rates by %s", chain.size, count, name)
    return SlowestRates(rates, name)


class _Inverse:
    """The operator as PETSc sees it."""

    def __init__(self, invert: Callable[[Floats], Floats]) -> None:
        self.invert = invert

    def mult(self, matrix: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        y.setArray(self.invert(x.array_r.copy()))


def _krylov_schur(
    SLEPc: Any, chain: MarkovChain, invert: Callable[[Floats], Floats], count: int, tolerance: float
) -> Complexes:
    n = chain.n_owned
    operator = PETSc.Mat().createPython(((n, chain.size), (n, chain.size)), _Inverse(invert), comm=chain.comm)
    operator.setUp()
    eps = SLEPc.EPS().create(chain.comm)
    eps.setOperators(operator)
    eps.setProblemType(SLEPc.EPS.ProblemType.NHEP)
    eps.setWhichEigenpairs(SLEPc.EPS.Which.LARGEST_MAGNITUDE)
    eps.setDimensions(count)
    eps.setTolerances(tolerance)
    with own_errors():
        eps.solve()
    converged = eps.getConverged()
    found = np.array([complex(eps.getEigenvalue(k)) for k in range(converged)])
    eps.destroy()
    operator.destroy()
    if converged < count:
        raise ConvergenceError(f"relaxation rates: {converged} of {count} have converged (SLEPc)")
    return found


def _arpack(
    chain: MarkovChain, invert: Callable[[Floats], Floats], count: int, tolerance: float
) -> Complexes:
    """Every rank has the Krylov vectors of all states, and does the same with them."""
    own = slice(chain.first, chain.first + chain.n_owned)

    def whole(y: Floats) -> Floats:
        return np.concatenate(chain.comm.allgather(invert(y[own])))

    operator = LinearOperator((chain.size, chain.size), whole, dtype=float)
    start = np.random.default_rng(0).normal(size=chain.size)
    try:
        return np.asarray(eigs(operator, count, v0=start, tol=tolerance, return_eigenvectors=False))
    except ArpackError as error:
        raise ConvergenceError(f"relaxation rates: {error} (ARPACK)") from None
