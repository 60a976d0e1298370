"""Steps in time by PETSc's integrators: implicit-explicit, and fully implicit.

Every Newton step keeps the energy of occupations and counters however inexact it is (theory: transport,
section on time).
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.transport import accuracy
from fvqp.models.transport.integrator import Integrator, joined
from fvqp.models.transport.linearized import Linearized
from fvqp.models.transport.local import InelasticRates
from fvqp.models.transport.problem import BoltzmannProblem
from fvqp.models.transport.state import Counters, Rates, State
from fvqp.models.transport.stepping import SAFETY
from fvqp.petsc import PETSc, weakly
from fvqp.typing import Floats

log = logging.getLogger(__name__)

_REASON = PETSc.SNES.ConvergedReason
#: γ of both stages of the implicit part of IMEX-SSP2(2,2,2), which PETSc calls ``l2``.
DIAGONAL = 1.0 - np.sqrt(0.5)
#: Explicit steps in units of the fastest collisions up to which Heun's method keeps what they empty positive.
LONGEST = 1.0
#: Explicit steps to an output time that take very long.
MANY = 1e5
#: Newton steps before a step in time is refused.
NEWTON = 15
#: Part of the error of Newton's method that linear solves may leave.
LINEAR = 0.3
#: A change of Newton's method that is rounding, and steps of it that need not shrink yet.
ROUNDING, DOUBTFUL = 1e-13, 4
#: Growth of steps beyond which backward differentiation of order 2 is not stable: 1 + √2, less a margin.
GROWTH = 2.0


class ImplicitIntegrator(Integrator):
    """Steps whose stages are solved for by Newton's method (SNES)."""

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        #: Energies of the cells where the step begins.
        self._scale: list[Floats] = []
        #: What Newton's method may leave undone, its latest change, what inverts its equations for which
        #: coefficient of the rate of change.
        self._allowed = self._change = self._shift = 0.0
        self._inverse: Callable[[Rates], Rates] | None = None
        super().__init__(problem, tolerance, first_step)

    def _choose(self, ts: PETSc.TS) -> None:
        ts.setIFunction(weakly(self._function), self._u.duplicate())
        ts.setIJacobian(weakly(self._jacobian), self._matrix, self._matrix)
        snes = ts.getSNES()
        snes.setConvergenceTest(weakly(self._test))
        snes.setTolerances(stol=0.0, max_it=NEWTON + 1)
        self._use(snes.getKSP())

    @abstractmethod
    def _implicit(self, f: Floats, n: Floats) -> Rates:
        """Rates of all that is implicit."""

    @abstractmethod
    def _solver(self, length: float) -> Callable[[Rates], Rates]:
        """Return the inverse of ``1 − length × J``, J the Jacobian of these rates at the beginning of the
        step."""

    def _begins(self, now: float, length: float) -> None:
        self._scale = accuracy.energy_scales(self._p, self._begin.f, self._begin.n)
        self._allowed = self._tolerance * length / (now + length)

    def _step(self, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        try:
            return super()._step(state, now, length)
        finally:
            self._inverse = None  # which keeps vectors of every iteration

    # -- what PETSc calls

    def _function(self, ts: PETSc.TS, t: float, u: PETSc.Vec, du: PETSc.Vec, out: PETSc.Vec) -> None:
        f, n, _ = self._split(u.array_r)
        out.array = du.array_r - joined(self._implicit(f, n))

    def _jacobian(
        self, ts: PETSc.TS, t: float, u: PETSc.Vec, du: PETSc.Vec, shift: float, j: PETSc.Mat, p: PETSc.Mat
    ) -> None:
        if self._inverse is None or shift != self._shift:
            self._inverse = None
            self._shift, self._inverse = shift, self._solver(1.0 / shift)
        j.assemble()

    def _apply(self, pc: PETSc.PC, r: PETSc.Vec, out: PETSc.Vec) -> None:
        assert self._inverse is not None
        try:
            f, n, counters = self._split(r.array_r / self._shift)
            out.array = joined(self._inverse(Rates(f, n, counters)))
        except ConvergenceError as error:  # on all ranks; PETSc is told by the test
            self._why = str(error)
            out.set(0.0)

    def _test(self, snes: PETSc.SNES, iteration: int, norms: tuple[float, float, float]) -> int:
        """Ends when what is left, by the rate at which changes shrink, is within what is allowed."""
        if self._why or not np.isfinite(norms[2]):
            return int(_REASON.DIVERGED_LINEAR_SOLVE)
        if iteration == 0:
            return int(_REASON.ITERATING)
        f, n, _ = self._split(snes.getSolutionUpdate().array_r)
        before, self._change = self._change, accuracy.largest_change(self._p, (f, n), self._scale)
        left = self._change
        if iteration > 1:
            left = np.inf if left >= before else left * left / (before - left)
        if left <= self._allowed or self._change <= ROUNDING:
            return int(_REASON.CONVERGED_SNORM_RELATIVE)
        if iteration > DOUBTFUL and left == np.inf:
            return int(_REASON.DIVERGED_DTOL)
        return int(_REASON.ITERATING if iteration < NEWTON else _REASON.DIVERGED_MAX_IT)


class ImplicitExplicit(ImplicitIntegrator):
    """Motion and scattering implicit, collisions explicit: two stages, order 2.

    IMEX-SSP2(2,2,2) of L. Pareschi and G. Russo, J. Sci. Comput. 25, 129 (2005): L-stable where implicit,
    Heun's method where explicit. Every energy is solved for by itself.
    """

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        self._heun: Floats | None = None
        self._fastest = 0.0
        super().__init__(problem, tolerance, first_step)

    def advance(
        self, state: State, start: float, end: float, callback: Callable[[float, State], None] | None
    ) -> tuple[State, Counters]:
        self._p.set_gap(state.gap)
        self._collide(self._p.inelastic_rates(state))
        if (least := (end - start) * self._fastest / LONGEST) > MANY:
            log.warning(
                'method "imex" needs %.1g steps and more to %.3g τ0, because the fastest collisions bound '
                'them; "rosenbrock" and "bdf" need far fewer',
                least,
                end,
            )
        return super().advance(state, start, end, callback)

    def _collide(self, inelastic: InelasticRates) -> None:
        self._fastest = float(self._p.body.comm.allreduce(inelastic.fastest, MPI.MAX))

    def _longest(self, state: State) -> float:
        return min(super()._longest(state), LONGEST / self._fastest if self._fastest > 0.0 else np.inf)

    def _choose(self, ts: PETSc.TS) -> None:
        super()._choose(ts)
        ts.setRHSFunction(weakly(self._explicit), self._u.duplicate())
        ts.setType("arkimex")
        ts.setARKIMEXType("l2")

    def _begins(self, now: float, length: float) -> None:
        super()._begins(now, length)
        self._heun = None
        self._collide(self._inelastic)

    def _implicit(self, f: Floats, n: Floats) -> Rates:
        p = self._p
        inelastic = self._inelastic
        if p.moving_f.isotropized or p.moving_n.isotropized:
            inelastic = p.local.inelastic_rates(p.mean_f(np.clip(f, 0.0, 1.0)), p.mean_n(np.maximum(n, 0.0)))
        moved_f, moved_n = p.moving_f.rates(f, inelastic.f), p.moving_n.rates(n, inelastic.n)
        nothing = p.no_counters()
        return Rates(
            moved_f.y, moved_n.y, nothing._replace(wall_outflux_f=moved_f.lost, wall_outflux_n=moved_n.lost)
        )

    def _explicit(self, ts: PETSc.TS, t: float, u: PETSc.Vec, out: PETSc.Vec) -> None:
        p = self._p
        f, n, _ = self._split(u.array_r)
        local = p.local.rates(p.mean_f(np.clip(f, 0.0, 1.0)), p.mean_n(np.maximum(n, 0.0)))
        counters = p.no_counters()._replace(source_f=local.source_f, source_n=local.source_n)
        of_f, of_n = np.broadcast_to(local.f[:, None], f.shape), np.broadcast_to(local.n[:, None], n.shape)
        out.array = joined(Rates(of_f, of_n, counters))
        if self._heun is None:  # at the first stage
            self._heun = u.array_r / DIAGONAL + ts.getTimeStep() * out.array_r

    def _solver(self, length: float) -> Callable[[Rates], Rates]:
        p, begin, inelastic = self._p, self._begin, self._inelastic
        solve_f = p.moving_f.implicit(length, inelastic.f, begin.f).solve
        solve_n = p.moving_n.implicit(length, inelastic.n, begin.n).solve

        def solve(r: Rates) -> Rates:
            f, n = solve_f(r.f), solve_n(r.n)
            lost = p.no_counters()._replace(wall_outflux_f=f.lost, wall_outflux_n=n.lost)
            return Rates(f.y, n.y, r.counters.plus(length, lost))

        return solve

    def _error(self, y: Floats, now: float, length: float) -> tuple[tuple[Floats, Floats], int]:
        """Half the difference of both stages' slopes, of which the first is ``(Y − y)/γΔt`` and collisions.

        The method of order 1 within that of order 2 takes the second stage's slope alone.
        """
        assert self._heun is not None
        begin = joined(Rates(self._begin.f, self._begin.n, self._counted))
        return self._split(self._heun - begin / DIAGONAL - (y - begin))[:2], 2


class BackwardDifferences(ImplicitIntegrator):
    """All implicit, by the backward differentiation formula of order 2: one stage a step.

    It damps fast changes as backward Euler's method does. The first step after every start is made of half a
    step of that one and a step of order 2 over both halves.
    """

    remembers = True
    least = (SAFETY / GROWTH) ** 2

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        #: Times and occupations before, the latest first: as many as give the error.
        self._past: list[tuple[float, Floats]] = []
        self._middle: float | None = None
        super().__init__(problem, tolerance, first_step)

    def _choose(self, ts: PETSc.TS) -> None:
        super()._choose(ts)
        ts.setType("bdf")

    def _begins(self, now: float, length: float) -> None:
        super()._begins(now, length)
        if self._fresh:
            self._past, self._middle = [], now + 0.5 * length
        else:
            self._middle = None
        self._past = [(now, joined(Rates(self._begin.f, self._begin.n, self._counted))), *self._past[:2]]

    def _function(self, ts: PETSc.TS, t: float, u: PETSc.Vec, du: PETSc.Vec, out: PETSc.Vec) -> None:
        super()._function(ts, t, u, du, out)
        if self._middle is not None and t <= self._middle:
            self._past[1:] = [(t, u.array_r.copy())]  # the last one is the solution

    def _implicit(self, f: Floats, n: Floats) -> Rates:
        p = self._p
        inelastic = None if p.moving_f.isotropized or p.moving_n.isotropized else self._inelastic
        return p.rates(np.clip(f, 0.0, 1.0), np.maximum(n, 0.0), inelastic)

    def _solver(self, length: float) -> Callable[[Rates], Rates]:
        system = Linearized(self._p, self._begin, self._inelastic, length)
        return lambda r: system.solve(r, [], LINEAR * self._allowed)

    def _error(self, y: Floats, now: float, length: float) -> tuple[tuple[Floats, Floats], int]:
        """Divided differences in place of the derivative in what the formula leaves out.

        From times that are a and b ago, the formula errs by ``y‴/6 a²b²/(a + b)``. The first step has
        ``y″Δt²/8`` of its first half, of which 4/3 remain.
        """
        new = now + length
        spans = [new - time for time, _ in self._past]
        weights = _divided([0.0, *(-span for span in spans)])
        off = weights[0] * y
        for weight, (_, earlier) in zip(weights[1:], self._past, strict=True):
            off += weight * earlier
        if len(spans) == 2:
            return self._split(off * (length**2 / 3.0))[:2], 2
        a, b = spans[:2]
        return self._split(off * ((a * b) ** 2 / (a + b)))[:2], 3


def _divided(times: list[float]) -> Floats:
    """Weights of values at these times in their divided difference: a derivative over its factorial."""
    t = np.array(times)
    apart = t[:, None] - t
    np.fill_diagonal(apart, 1.0)
    return np.asarray(1.0 / np.prod(apart, axis=1))
