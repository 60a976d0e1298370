"""Steady states of rate equations: Newton's method by PETSc's SNES, with pseudo-transient steps on the way.

Unknowns span many decades and each of them must be right. So steps are solved for relative to the unknown
itself, and a state is steady when gain and loss of *every* unknown agree.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc, destroyed_with, own_errors, weakly
from fvqp.solvers.elimination import ShiftedSolver, defaults
from fvqp.solvers.rate_equations import NEGLIGIBLE, RateEquations, updated
from fvqp.typing import Floats

log = logging.getLogger(__name__)

_CONVERGED = PETSc.SNES.ConvergedReason.CONVERGED_FNORM_RELATIVE
_ITERATING = PETSc.SNES.ConvergedReason.ITERATING

#: A step that takes more than this part of an unknown is not to be trusted.
_LOSS = 0.95
#: Between failures, time steps become longer by this factor.
_GROWTH = 6.0
#: Steps without much progress after which the Jacobian is factored again.
_IDLE = 2
#: Time steps that are tried before one is given up.
_TRIALS = 25
#: Error of linear solves in Newton steps, relative to the unknowns.
_LINEAR = 1e-3
#: Largest accepted difference of a balance over its flows: slow processes leave it over of fast ones, and it
#: is no more exact than the rounding of these.
_BALANCED = 1e-7


@dataclass(frozen=True)
class Balance:
    """A steady state.

    Attributes:
        y: ``(points, unknowns)``.
        residual: largest ``|gain − loss|/(gain + loss)`` of all unknowns.
        imbalance: the same for each of the balances.
        iterations: Newton steps and pseudo-transient steps.
        factorizations: of the Jacobian.
    """

    y: Floats
    residual: float
    imbalance: dict[str, float]
    iterations: int
    factorizations: int


class BalanceSolver:
    """Finds steady states near a guess, for the same equations as often as wanted.

    PETSc options with the prefix ``fvqp_steady_`` reach the SNES (``-fvqp_steady_snes_monitor``,
    ``-fvqp_steady_snes_max_it``) and the Krylov method (``-fvqp_steady_linear_ksp_monitor``).
    """

    def __init__(
        self,
        equations: RateEquations,
        *,
        tolerance: float = 1e-9,
        max_iterations: int = 200,
    ) -> None:
        """
        Args:
            equations: whose steady states are wanted.
            tolerance: largest accepted ``|gain − loss|/(gain + loss)`` of an unknown.
            max_iterations: steps before giving up.
        """
        self.equations, self.tolerance = equations, tolerance
        self._linear = ShiftedSolver(
            equations.blocks, equations.product, equations.shape, "fvqp_steady_linear_", similar=40.0
        )
        self._shift = self._residual = 0.0
        self._before, self._idle = np.inf, 0
        self._imbalance: dict[str, float] = {}
        self._worst = (0, 0)
        size = equations.shape[0] * equations.shape[1]
        self._y = PETSc.Vec().createSeq(size)
        self._snes = PETSc.SNES().create(PETSc.COMM_SELF)
        self._snes.setOptionsPrefix("fvqp_steady_")
        self._snes.setType("newtonls")
        self._snes.setFunction(weakly(self._function), self._y.duplicate())
        context = SimpleNamespace(mult=weakly(self._product))
        matrix = PETSc.Mat().createPython((size, size), context, PETSc.COMM_SELF)
        matrix.setUp()
        self._snes.setJacobian(lambda snes, y, j, p: j.assemble(), matrix, matrix)
        self._snes.setLineSearchPreCheck(weakly(self._bound))
        self._snes.setConvergenceTest(weakly(self._test))
        self._snes.setTolerances(rtol=0.0, atol=0.0, stol=0.0, max_it=max_iterations)
        ksp = self._snes.getKSP()
        ksp.setType("preonly")
        ksp.getPC().setType("python")
        ksp.getPC().setPythonContext(SimpleNamespace(apply=weakly(self._step)))
        with defaults("fvqp_steady_", {"snes_linesearch_type": "basic"}):
            self._snes.setFromOptions()
        destroyed_with(self, self._snes, matrix, self._y)

    def solve(self, guess: Floats) -> Balance:
        """The steady state that steps from a guess lead to.

        Args:
            guess: ``(points, unknowns)`` within bounds.

        Raises:
            ConvergenceError: none found; says which unknown or balance is off, and by how much.
        """
        made = self._linear.factorizations
        self._linear.forget()
        self._shift, self._before, self._idle = 0.0, np.inf, 0
        self._y.array = np.minimum(np.maximum(guess, 0.0), self.equations.upper).ravel()
        try:
            with own_errors():
                self._snes.solve(None, self._y)
        except ConvergenceError as error:
            # Frames of callbacks hold PETSc's objects, which must not outlive Python where nobody catches it.
            raise error.with_traceback(None) from None
        y = self._y.array_r.reshape(self.equations.shape).copy()
        taken = self._snes.getIterationNumber()
        if self._snes.getConvergedReason() <= 0:
            raise ConvergenceError(f"no steady state after {taken} steps: {self._reason(y)}")
        log.info("steady state: %d steps, residual %.1e", taken, self._residual)
        return Balance(y, self._residual, self._imbalance, taken, self._linear.factorizations - made)

    def _reason(self, y: Floats) -> str:
        name = max(self._imbalance, key=lambda key: self._imbalance[key], default="")
        if name and self._imbalance[name] > max(self._residual, _BALANCED):
            gain, loss = self.equations.balances(y)[name]
            point = int(np.argmax(np.abs(gain - loss) / (gain + loss)))
            return f"{name} of cell {point} is not balanced, gain {gain[point]:.3e}, loss {loss[point]:.3e}"
        return f"gain and loss differ by {self._residual:.1e} for {self.equations.describe(y, *self._worst)}"

    def _function(self, snes: PETSc.SNES, y: PETSc.Vec, out: PETSc.Vec) -> None:
        out.array = self.equations.rates(y.array_r.reshape(self.equations.shape)).ravel()

    def _test(self, snes: PETSc.SNES, iteration: int, norms: tuple[float, float, float]) -> int:
        y = snes.getSolution().array_r.reshape(self.equations.shape)
        rates = snes.getFunction()[0].array_r.reshape(self.equations.shape)
        turnover = self.equations.turnover(y)
        relative = np.abs(rates) / np.maximum(turnover, NEGLIGIBLE)
        worst = np.unravel_index(np.argmax(relative), relative.shape)
        self._worst, self._residual = (int(worst[0]), int(worst[1])), float(relative[worst])
        self._imbalance = {
            name: float((np.abs(gain - loss) / np.maximum(gain + loss, NEGLIGIBLE)).max())
            for name, (gain, loss) in self.equations.balances(y).items()
        }
        done = self._residual <= self.tolerance and all(
            value <= _BALANCED for value in self._imbalance.values()
        )
        log.debug(
            "step %d, shift %.1e: residual %.1e, %s", iteration, self._shift, self._residual, self._imbalance
        )
        return int(_CONVERGED if done else _ITERATING)

    def _product(self, matrix: PETSc.Mat, x: PETSc.Vec, out: PETSc.Vec) -> None:
        y = self._y.array_r.reshape(self.equations.shape)
        out.array = self.equations.product(y, x.array_r.reshape(self.equations.shape)).ravel()

    def _step(self, pc: PETSc.PC, rates: PETSc.Vec, out: PETSc.Vec) -> None:
        """Solve for a step that takes little, of Newton's method or of time; PETSc subtracts it."""
        here = self._y.array_r.reshape(self.equations.shape).copy()
        r = rates.array_r.reshape(self.equations.shape)
        # An old factorization hides errors that it damps; it is not kept where little happens.
        self._idle = self._idle + 1 if self._residual > 0.3 * self._before else 0
        self._before = self._residual
        if self._idle >= _IDLE:
            self._linear.forget()
            self._idle = 0
        dense, weights = slice(self.equations.dense), self.equations.weights
        for attempt in range(_TRIALS):
            trial, failure = None, ""
            try:
                trial = self._linear.solve(here, self._shift, r, here, _LINEAR)
            except ConvergenceError as error:
                failure = str(error)
            if trial is not None and _lost(weights * here[:, dense], weights * trial[:, dense]) <= _LOSS:
                break
            if self._shift:
                # Almost nothing happens in a cold state: the first guess may be off by twenty decades.
                self._shift *= 8.0 ** (1 + attempt // 4)
            else:
                self._shift = 1e-3 * _lost(weights * here[:, dense], weights * r[:, dense])
        else:
            raise ConvergenceError(f"no steady state: {failure or self._reason(here)}")
        out.array = -trial.ravel()
        loss = _lost(weights * here[:, dense], weights * trial[:, dense])
        self._shift /= _GROWTH if loss > 0.3 else _GROWTH**2

    def _bound(self, y: PETSc.Vec, step: PETSc.Vec) -> None:
        """Shorten the step where it leaves the bounds."""
        here = y.array_r.reshape(self.equations.shape)
        trial = -step.array_r.reshape(self.equations.shape)
        step.array = (here - updated(here, trial, self.equations.upper)).ravel()


def _lost(y: Floats, step: Floats) -> float:
    """Part of all occupations that a step takes away: the largest of all points.

    It is the sum over unknowns that counts: many small ones follow a power of the large ones, and their
    part of a Newton step that halves these is 1 and more.
    """
    down = np.maximum(-step, 0.0).sum(axis=1) / np.maximum(y.sum(axis=1), np.finfo(float).tiny)
    return float(down.max())
