"""Steps in time by a linearly implicit method of order 2.

ROS2 (J. G. Verwer, E. J. Spee, J. G. Blom, W. Hundsdorfer, SIAM J. Sci. Comput. 20, 1456 (1999)),

    (1 − γΔt A) k1 = F(y),    (1 − γΔt A) k2 = F(y + Δt k1) − 2 k1,    y' = y + (3 k1 + k2) Δt/2,

is of order 2 with any A. Here ``1 − γΔt A`` is the product of factors of motion and of collisions, or, where
a step is too long for that, the whole Jacobian of both (`linearized`). F, A and the counters of what comes
and goes keep the same sums, so that energy is conserved by every step, however inexact the solutions are;
what is stationary stays so at any Δt (theory: transport, section on time). PETSc's own Rosenbrock methods
ask for stages with an exact Jacobian, or take no part of it: the stages are a TS of type ``python``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import accuracy
from fvqp.models.boltzmann.integrator import PREFIX, Integrator, joined
from fvqp.models.boltzmann.linearized import Linearized
from fvqp.models.boltzmann.local import InelasticRates
from fvqp.models.boltzmann.motion import EXPLICIT
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import Counters, Rates, State
from fvqp.petsc import PETSc, destroyed_with, own_errors, weakly
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
    """Two stages a step, each a linear solve (KSP)."""

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        #: Length of the shortest step that needed the whole Jacobian, and k1 of the latest step.
        self._whole = np.inf
        self._slope: Rates | None = None
        #: Of the step at hand: k1, the difference of both orders, and what solves for a stage.
        self._k1: Rates | None = None
        self._off: tuple[Floats, Floats] | None = None
        self._inverse: Callable[[Rates], Rates] | None = None
        self._failure: ConvergenceError | None = None
        super().__init__(problem, tolerance, first_step)

    def advance(
        self, state: State, start: float, end: float, callback: Callable[[float, State], None] | None
    ) -> tuple[State, Counters]:
        # what a run that is resumed here does not know either
        self._whole, self._slope = np.inf, None
        return super().advance(state, start, end, callback)

    def _choose(self, ts: PETSc.TS) -> None:
        ts.setType("python")
        ts.setPythonContext(SimpleNamespace(solveStep=weakly(self._solve_step)))
        ksp = self._ksp = PETSc.KSP().create(self._p.body.comm)
        ksp.setOptionsPrefix(PREFIX)
        ksp.setOperators(self._matrix)
        self._use(ksp)
        ksp.setFromOptions()
        destroyed_with(self, ksp)

    def _begins(self, now: float, length: float) -> None:
        self._k1 = self._off = None

    def _error(self, y: Floats) -> tuple[Floats, Floats]:
        assert self._off is not None
        return self._off

    def _step(self, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        after, passed, error = super()._step(state, now, length)
        if error <= 1.0:
            self._slope = self._k1
        self._k1 = self._off = None
        return after, passed, error

    def _solve_step(self, ts: PETSc.TS, t: float, u: PETSc.Vec) -> None:
        """Called by PETSc with the unknowns at the beginning of a step, which become those at its end."""
        p, begin, now, length = self._p, self._begin, ts.getTime(), ts.getTimeStep()
        try:
            system = Linearized(self._at, begin, self._inelastic, GAMMA * length)
            k1, k2 = self._stages(system, begin, now, length)
        except ConvergenceError as error:  # on all ranks
            self._why = str(error)
            return
        counters = p.no_counters().plus(1.5 * length, k1.counters).plus(0.5 * length, k2.counters)
        u.array = joined(
            Rates(
                begin.f + length * (1.5 * k1.f + 0.5 * k2.f),
                begin.n + length * (1.5 * k1.n + 0.5 * k2.n),
                counters,
            )
        )
        self._k1, self._off = k1, (0.5 * length * (k1.f + k2.f), 0.5 * length * (k1.n + k2.n))

    def _solved(self, inverse: Callable[[Rates], Rates], r: Rates) -> Rates:
        """Return the inverse applied to a right-hand side, by PETSc's KSP."""
        self._inverse, self._failure = inverse, None
        comm = self._p.body.comm
        b = PETSc.Vec().createWithArray(joined(r), self._u.getSizes(), comm=comm)
        del r  # may be as large as all occupations
        y = np.empty(b.getLocalSize())
        x = PETSc.Vec().createWithArray(y, self._u.getSizes(), comm=comm)
        try:
            with own_errors():
                self._ksp.solve(b, x)
        finally:
            self._inverse = None  # which keeps vectors
            b.destroy()
            x.destroy()
        if self._failure is not None:
            raise self._failure
        return Rates(*self._split(y))

    def _apply(self, pc: PETSc.PC, r: PETSc.Vec, out: PETSc.Vec) -> None:
        assert self._inverse is not None
        try:
            out.array = joined(self._inverse(Rates(*self._split(r.array_r))))
        except ConvergenceError as error:
            self._failure = error
            out.set(0.0)

    def _stages(self, system: Linearized, begin: State, now: float, length: float) -> tuple[Rates, Rates]:
        """k1 and k2, by the product of factors or by the whole Jacobian."""
        inelastic = system.inelastic
        first = self._at.rates(begin.f, begin.n, inelastic)
        allowed = self._tolerance / (now + length)
        guesses = [] if self._slope is None else [self._slope]
        if length < SIMILAR * self._whole:
            k1 = self._solved(system.product, first)
            second = self._second(begin, k1, length, inelastic)
            if self._done(system, (first, second, k1), allowed):
                return k1, self._solved(system.product, _less(second, 2.0, k1))
            self._whole = length
            guesses.append(k1)
            del second  # as large as all occupations, like what else has served
        k1 = self._solved(partial(system.solve, guesses=guesses, allowed=allowed), first)
        del first, guesses
        iterations = system.iterations
        # The stages add up to the error of the step: k2 is nearly -k1.
        second = _less(self._second(begin, k1, length, inelastic), 2.0, k1)
        k2 = self._solved(partial(system.solve, guesses=[k1], allowed=allowed), second)
        iterations += system.iterations
        log.debug("step of %.3g at time %.6g: %d iterations", length, now, iterations)
        self._whole = np.inf if iterations == 0 else FORGOTTEN * self._whole
        return k1, k2

    def _second(self, begin: State, k1: Rates, length: float, inelastic: InelasticRates) -> Rates:
        """F of the second stage."""
        at = self._at
        f, n = begin.f + length * k1.f, begin.n + length * k1.n
        np.clip(f, 0.0, 1.0, out=f)
        np.maximum(n, 0.0, out=n)
        return at.rates(f, n, None if at.moving_f.isotropized or at.moving_n.isotropized else inelastic)

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
        done = True
        at = self._at
        parts = accuracy.energies(at, off.f, off.n), accuracy.energies(at, k1.f, k1.n), system.scale
        for missing, made, scale in zip(*parts, strict=True):
            undone = np.divide(missing, made, out=np.zeros_like(made), where=made > 0.0)
            missed = missing / np.maximum(1.0 - undone, DONE)
            done = done and not np.any((undone > UNDONE) & (missed > allowed * scale))
        return bool(p.body.comm.allreduce(done, MPI.LAND))


def _less(rates: Rates, factor: float, others: Rates) -> Rates:
    """``rates − factor × others``."""
    return Rates(
        rates.f - factor * others.f,
        rates.n - factor * others.n,
        rates.counters.plus(-factor, others.counters),
    )
