"""Implicit-explicit steps in time by PETSc.

Every Newton step keeps the energy of occupations and counters however inexact it is (theory: transport,
section on time).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import accuracy
from fvqp.models.boltzmann.integrator import Integrator, joined
from fvqp.models.boltzmann.local import InelasticRates
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import Counters, Rates, State
from fvqp.models.boltzmann.stepping import Callback
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
#: A change of Newton's method that is rounding, and steps of it that need not shrink yet.
ROUNDING, DOUBTFUL = 1e-13, 4


class ImplicitExplicit(Integrator):
    """Motion and scattering implicit, collisions explicit: two stages, order 2.

    IMEX-SSP2(2,2,2) of L. Pareschi and G. Russo, J. Sci. Comput. 25, 129 (2005): L-stable where implicit,
    Heun's method where explicit. Every energy is solved for by itself, by Newton's method (SNES).
    """

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        self._heun: Floats | None = None
        self._fastest = 0.0
        #: Energies of regions where the step begins.
        self._scale: Floats
        #: What Newton's method may leave undone, its latest change, what inverts its equations for which
        #: coefficient of the rate of change.
        self._allowed = self._change = self._shift = 0.0
        self._inverse: Callable[[Rates], Rates] | None = None
        super().__init__(problem, tolerance, first_step)

    def advance(
        self, state: State, start: float, end: float, callback: Callback | None
    ) -> tuple[State, Counters]:
        self._collide(self._p.at(state.gap).inelastic_rates(state.f, state.n))
        if (least := (end - start) * self._fastest / LONGEST) > MANY:
            log.warning(
                'method "imex" needs %.1g steps and more to %.3g τ0, because the fastest collisions bound '
                'them; "rosenbrock" needs far fewer',
                least,
                end,
            )
        return super().advance(state, start, end, callback)

    def _collide(self, inelastic: InelasticRates) -> None:
        self._fastest = float(self._p.cells.comm.allreduce(inelastic.fastest, MPI.MAX))

    def _longest(self, state: State) -> float:
        by_gap, by_collisions = super()._longest(state), np.inf
        if self._fastest > 0.0:
            by_collisions = LONGEST / self._fastest
        self._bound = "changes of a gap" if by_gap < by_collisions else "the fastest collisions"
        return min(by_gap, by_collisions)

    def _choose(self, ts: PETSc.TS) -> None:
        ts.setIFunction(weakly(self._function), self._u.duplicate())
        ts.setIJacobian(weakly(self._jacobian), self._matrix, self._matrix)
        snes = ts.getSNES()
        snes.setConvergenceTest(weakly(self._test))
        snes.setTolerances(stol=0.0, max_it=NEWTON + 1)
        self._use(snes.getKSP())
        ts.setRHSFunction(weakly(self._explicit), self._u.duplicate())
        ts.setType("arkimex")
        ts.setARKIMEXType("l2")

    def _begins(self, now: float, length: float) -> None:
        self._scale = accuracy.region_scales(self._at, self._begin.f, self._begin.n, self.gone)
        self._allowed = self._tolerance * length / (now + length)
        self._heun = None
        self._collide(self._inelastic)

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
        before, self._change = self._change, accuracy.region_error(self._at, (f, n), self._scale)
        left = self._change
        if iteration > 1:
            left = np.inf if left >= before else left * left / (before - left)
        if left <= self._allowed or self._change <= ROUNDING:
            return int(_REASON.CONVERGED_SNORM_RELATIVE)
        if iteration > DOUBTFUL and left == np.inf:
            return int(_REASON.DIVERGED_DTOL)
        return int(_REASON.ITERATING if iteration < NEWTON else _REASON.DIVERGED_MAX_IT)

    # -- the method

    def _implicit(self, f: Floats, n: Floats) -> Rates:
        at, inelastic = self._at, self._inelastic
        if at.moving_f.isotropized or at.moving_n.isotropized:
            inelastic = at.inelastic_rates(np.clip(f, 0.0, 1.0), np.maximum(n, 0.0))
        moved_f, moved_n = at.moving_f.rates(f, inelastic.f), at.moving_n.rates(n, inelastic.n)
        nothing = self._p.no_counters()
        return Rates(moved_f.y, moved_n.y, nothing._replace(passed_f=moved_f.passed, passed_n=moved_n.passed))

    def _explicit(self, ts: PETSc.TS, t: float, u: PETSc.Vec, out: PETSc.Vec) -> None:
        p = self._p
        f, n, _ = self._split(u.array_r)
        local = self._at.local.rates(p.mean_f(np.clip(f, 0.0, 1.0)), p.mean_n(np.maximum(n, 0.0)))
        counters = p.no_counters()._replace(source_f=local.source_f, source_n=local.source_n)
        of_f, of_n = np.broadcast_to(local.f[:, None], f.shape), np.broadcast_to(local.n[:, None], n.shape)
        out.array = joined(Rates(of_f, of_n, counters))
        if self._heun is None:  # at the first stage
            self._heun = u.array_r / DIAGONAL + ts.getTimeStep() * out.array_r

    def _solver(self, length: float) -> Callable[[Rates], Rates]:
        p, at, begin, inelastic = self._p, self._at, self._begin, self._inelastic
        solve_f = at.moving_f.implicit(length, inelastic.f, begin.f).solve
        solve_n = at.moving_n.implicit(length, inelastic.n, begin.n).solve

        def solve(r: Rates) -> Rates:
            f, n = solve_f(r.f), solve_n(r.n)
            passed = p.no_counters()._replace(passed_f=f.passed, passed_n=n.passed)
            return Rates(f.y, n.y, r.counters.plus(length, passed))

        return solve

    def _error(self, y: Floats) -> tuple[Floats, Floats]:
        """Half the difference of both stages' slopes, of which the first is ``(Y − y)/γΔt`` and collisions.

        The method of order 1 within that of order 2 takes the second stage's slope alone.
        """
        assert self._heun is not None
        begin = joined(Rates(self._begin.f, self._begin.n, self._p.no_counters()))
        return self._split(self._heun - begin / DIAGONAL - (y - begin))[:2]
