"""Steps in time by a linearly implicit method of order 2.

ROS2 (J. G. Verwer, E. J. Spee, J. G. Blom, W. Hundsdorfer, SIAM J. Sci. Comput. 20, 1456 (1999)),

    (1 − γΔt A) k1 = F(y),    (1 − γΔt A) k2 = F(y + Δt k1) − 2 k1,    y' = y + (3 k1 + k2) Δt/2,

is of order 2 with any A. Here ``1 − γΔt A`` is the product of factors of motion and of collisions, or, where
a step is too long for that, the whole Jacobian of both (`linearized`). F, A and the counters of what comes
and goes keep the same sums, so that energy is conserved by every step, however inexact the solutions are;
what is stationary stays so at any Δt (theory: transport, section on time). The stages are those of PETSc's
TS ``rosw``, type ``2p``; the inverse is its preconditioner.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

import numpy as np

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import accuracy
from fvqp.models.boltzmann.integrator import Integrator, joined
from fvqp.models.boltzmann.linearized import Linearized
from fvqp.models.boltzmann.motion import EXPLICIT
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import Counters, Rates, State
from fvqp.models.boltzmann.stepping import REPEATED, Callback
from fvqp.petsc import PETSc, weakly
from fvqp.solvers.transient import Refused
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: γ = 1 + 1/√2: damps the fastest modes in both stages, and keeps decaying occupations positive.
GAMMA = 1.0 + np.sqrt(0.5)
#: Part of a change that the product of factors may leave undone, and least that counts as done.
UNDONE, DONE = 0.3, 1e-3
#: Once a step was too long for the product of factors, so are those longer than this part of it; every step
#: that needs the whole Jacobian makes that so many times longer, until the product has another trial.
SIMILAR, FORGOTTEN = 0.7, 1.1


class Rosenbrock(Integrator):
    """Two stages a step by PETSc's ``rosw``, each a linear solve (KSP)."""

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        #: Length of the shortest step that needed the whole Jacobian, and k1 of the latest step.
        self._whole = np.inf
        self._slope: Rates | None = None
        #: Of the step at hand: its beginning and length, the Jacobian, k1, F of the second stage if it is
        #: known, the inverse for that stage, the difference of both orders, and iterations for k1.
        self._now = self._length = 0.0
        self._system: Linearized | None = None
        self._k1: Rates | None = None
        self._second: Rates | None = None
        self._inverse: Callable[[Rates], Rates] | None = None
        self._off: tuple[Floats, Floats] | None = None
        self._iterations = 0
        super().__init__(problem, tolerance, first_step)

    def advance(
        self, state: State, start: float, end: float, callback: Callback | None
    ) -> tuple[State, Counters]:
        # what a run that is resumed here does not know either
        self._whole, self._slope = np.inf, None
        return super().advance(state, start, end, callback)

    def _choose(self, ts: PETSc.TS) -> None:
        ts.setIFunction(weakly(self._function), self._u.duplicate())
        ts.setIJacobian(lambda ts, t, u, du, shift, j, p: j.assemble(), self._matrix, self._matrix)
        ts.setType("rosw")
        self._use(ts.getSNES().getKSP())

    def _begins(self, now: float, length: float) -> None:
        self._k1 = self._off = self._second = None
        self._now, self._length = now, length
        self._system = Linearized(self._at, self._begin, self._inelastic, GAMMA * length, gone=self.gone)

    def _error(self, y: Floats) -> tuple[Floats, Floats]:
        assert self._off is not None
        return self._off

    def _step(self, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        try:
            after, passed, error = super()._step(state, now, length)
            if error <= 1.0:
                self._slope = self._k1
        except Refused:
            # what falls below 0 is often what the product of factors leaves undone
            if self._system is not None and self._inverse == self._system.product:
                self._whole = min(self._whole, REPEATED * length)
            raise
        finally:  # which keep vectors
            self._k1 = self._off = self._second = self._system = self._inverse = None
        return after, passed, error

    # -- callbacks of PETSc

    def _function(self, ts: PETSc.TS, t: float, u: PETSc.Vec, du: PETSc.Vec, out: PETSc.Vec) -> None:
        """``dy/dt − F(y)`` where a stage begins."""
        if self._why:
            out.set(0.0)
            return
        if self._k1 is None:
            rates = self._at.rates(self._begin.f, self._begin.n, self._inelastic)
        elif self._second is not None:
            rates, self._second = self._second, None
        else:
            f, n, _ = self._split(u.array_r)
            rates = self._rates(f.copy(), n.copy())
        out.array = joined(rates)
        out.aypx(-1.0, du)

    def _apply(self, pc: PETSc.PC, r: PETSc.Vec, out: PETSc.Vec) -> None:
        """Solve for the change that a stage makes; r and the result have the sign of Newton's method."""
        try:
            if self._why:
                raise ConvergenceError(self._why)
            right = Rates(*self._split(-r.array_r))
            k = self._first_stage(right) if self._k1 is None else self._last_stage(right)
        except ConvergenceError as error:  # on all ranks
            self._why = str(error)
            out.set(0.0)
            return
        out.array = joined(k)
        out.scale(-GAMMA * self._length)

    # -- stages

    def _first_stage(self, right: Rates) -> Rates:
        """k1, by the product of factors or by the whole Jacobian."""
        system, length = self._system, self._length
        assert system is not None
        allowed = self._tolerance / (self._now + length)
        guesses = [] if self._slope is None else [self._slope]
        if length < SIMILAR * self._whole:
            k1 = system.product(right)
            second = self._rates(self._begin.f + length * k1.f, self._begin.n + length * k1.n)
            if self._done(system, (right, second, k1), allowed):
                self._k1, self._second, self._inverse = k1, second, system.product
                return k1
            self._whole = length
            guesses.append(k1)
            del second  # as large as all occupations
        self._k1 = k1 = system.solve(right, guesses, allowed)
        self._iterations = system.iterations
        # The stages add up to the error of the step: k2 is nearly -k1.
        self._inverse = partial(system.solve, guesses=[k1], allowed=allowed)
        return k1

    def _last_stage(self, right: Rates) -> Rates:
        """k2."""
        system, length, k1 = self._system, self._length, self._k1
        assert system is not None and k1 is not None and self._inverse is not None
        k2 = self._inverse(right)
        if self._inverse != system.product:
            iterations = self._iterations + system.iterations
            log.debug("step of %.3g at time %.6g: %d iterations", length, self._now, iterations)
            self._whole = np.inf if iterations == 0 else FORGOTTEN * self._whole
        self._off = 0.5 * length * (k1.f + k2.f), 0.5 * length * (k1.n + k2.n)
        return k2

    def _rates(self, f: Floats, n: Floats) -> Rates:
        """F at occupations, which are overwritten."""
        at = self._at
        np.clip(f, 0.0, 1.0, out=f)
        np.maximum(n, 0.0, out=n)
        return at.rates(f, n, None if at.moving_f.isotropized or at.moving_n.isotropized else self._inelastic)

    def _done(self, system: Linearized, stage: tuple[Rates, Rates, Rates], allowed: float) -> bool:
        """Return whether the product of factors is as good as the whole Jacobian in the first stage.

        The defect ``F + γΔt J k1 − k1``, for which F of the second stage tells ``J k1``, is inverted once
        more. Where little of k1 comes back, it is what k1 lacks; where nearly all does, k1 is a small part of
        what it should be, and the difference of both orders does not see it.
        """
        p, (first, second, k1) = self._p, stage
        if system.length * system.fastest <= EXPLICIT:
            return True
        off = system.product(
            Rates(
                first.f + GAMMA * (second.f - first.f) - k1.f,
                first.n + GAMMA * (second.n - first.n) - k1.n,
                p.no_counters(),
            )
        )
        at = self._at
        missing, made = (accuracy.region_energies(at, k.f, k.n) for k in (off, k1))
        undone = np.divide(missing, made, out=np.zeros_like(made), where=made > 0.0)
        missed = missing / np.maximum(1.0 - undone, DONE)
        return not np.any((undone > UNDONE) & (missed > allowed * system.scales))
