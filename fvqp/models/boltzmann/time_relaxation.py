"""Time relaxation: explicit steps of order 1 that keep bounds, invariants and equilibria.

The method of L. Pareschi and G. Russo, SIAM J. Numer. Anal. 37, 1253 (2000), cut after its first term. With

    ∂f/∂t = in_f (1 − f) − out_f f,      ∂n/∂t = in_n (1 + n) − out_n n,

and one rate μ a cell, not below any ``in_f + out_f`` and ``out_n`` of it,

    y(t + Δt) = y(t) + θ ∂y/∂t,      θ = (1 − exp(−μ Δt))/μ ≤ 1/μ.

θ is one number a cell, so that all linear invariants of the cell stay, exactly; θ ≤ 1/μ keeps occupations
within their bounds at any Δt; and a stationary state stays. Where ``μ Δt`` is not small, a cell is at its own
clock ``Σ θ`` rather than at ``Σ Δt``. That lag is part of the error that controls the steps (theory:
time_and_steady_states, section on time relaxation).
"""

from __future__ import annotations

import logging

import numpy as np

from fvqp.collisions import GainLoss
from fvqp.models.boltzmann.cell_equations import CellEquations
from fvqp.models.boltzmann.gaps import correct_gap
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import Counters, State
from fvqp.models.boltzmann.stepping import Callback, Stepper
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Rounding of ``y + θ ∂y/∂t`` must not cross a bound where θ = 1/μ.
MARGIN = 1.0 + 1e-12
#: Occupations far below this may have any error.
NEGLIGIBLE = 1e-12
#: Largest part of a step by which the clock of a cell falls behind, in units of the tolerance.
LAG = 10.0
#: The same at any tolerance.
MAX_LAG = 0.1
#: First step, in units of the shortest time in which an occupation changes by its tolerance.
FIRST = 0.1
#: Steps to an output time that take very long.
MANY = 1e6


class TimeRelaxation(Stepper):
    """Explicit steps of cells that do not exchange particles.

    The error of a step is its distance from the trapezoidal rule, in every occupation relative to itself.
    """

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        super().__init__(problem, tolerance, first_step)
        self._bound = "the fastest collisions"
        self._equations = CellEquations(problem)
        self._lag = min(LAG * tolerance, MAX_LAG)
        #: Occupations of the latest state, and its gain and loss.
        self._known: tuple[Floats, GainLoss] | None = None

    def advance(
        self, state: State, start: float, end: float, callback: Callback | None
    ) -> tuple[State, Counters]:
        self._known = None  # a source may have another strength than before
        if (least := (end - start) / self._longest(state)) > MANY:
            log.warning('time relaxation: needs %.1g steps and more; method "arkimex" needs far fewer', least)
        return super().advance(state, start, end, callback)

    def _step(self, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        p, f, n = self._p, state.f[:, 0], state.n[:, 0]
        here = self._gain_loss(state)
        self._equations.follow(state.gap)
        before, advanced = here.rates(f, n), _advanced(here, length)[:, None]
        brought = advanced * self._equations.counters(np.concatenate([f, n], axis=1))
        new_f, new_n = f + advanced * before.f, n + advanced * before.n
        after = State(*correct_gap(p, new_f[:, None], new_n[:, None], state.gap))
        there = self._gain_loss(after)
        error = 0.0
        for y, old, new in zip((f, n), before, there.rates(after.f[:, 0], after.n[:, 0]), strict=True):
            missed = np.abs(0.5 * length * (old + new) - advanced * old)
            error = max(error, float(np.max(missed / self._allowed(y), initial=0.0)))
        if not error <= 1.0:
            self._known = state.f, here
        return after, self._equations.counters_of(brought), error

    def _gain_loss(self, state: State) -> GainLoss:
        """Gain and loss coefficients of a state; the latest are kept, for the step that begins there."""
        if self._known is None or self._known[0] is not state.f:
            self._equations.follow(state.gap)
            self._known = state.f, self._equations.gain_loss(state.f[:, 0], state.n[:, 0])
        return self._known[1]

    def _allowed(self, y: Floats) -> Floats:
        """Error allowed in occupations."""
        return self._tolerance * (NEGLIGIBLE + np.abs(y))

    def _first(self, state: State, span: float) -> float:
        """Step in which no occupation changes by more than its tolerance."""
        f, n = state.f[:, 0], state.n[:, 0]
        rates = self._gain_loss(state).rates(f, n)
        pairs = zip(rates, (f, n), strict=True)
        speed = max(float(np.max(np.abs(rate) / self._allowed(y), initial=0.0)) for rate, y in pairs)
        return min(span, FIRST / speed) if speed > 0.0 else span

    def _longest(self, state: State) -> float:
        """Step at which the clock of the fastest cell lags by as much as it may."""
        return longest_step(float(_fastest(self._gain_loss(state)).max(initial=0.0)), self._lag)


def _fastest(coefficients: GainLoss) -> Floats:
    """μ of every cell."""
    of_f = (coefficients.in_f + coefficients.out_f).max(axis=1, initial=0.0)
    return np.asarray(MARGIN * np.maximum(of_f, coefficients.out_n.max(axis=1, initial=0.0)))


def _advanced(coefficients: GainLoss, length: float) -> Floats:
    """θ, time by which each cell advances, ``(cells,)``."""
    rate = _fastest(coefficients)
    return np.where(rate > 0.0, -np.expm1(-rate * length) / np.where(rate > 0.0, rate, 1.0), length)


def longest_step(rate: float, lag: float) -> float:
    """Step at which a clock of the rate μ lags by a fraction: ``1 − (1 − exp(−x))/x = lag``, ``x = μ Δt``."""
    if rate == 0.0:
        return np.inf
    x = 2.0 * lag / (1.0 - lag)
    for _ in range(30):  # Newton, from above a convex function's root
        x -= (np.expm1(-x) + (1.0 - lag) * x) / (-lag - np.expm1(-x))
    return x / rate
