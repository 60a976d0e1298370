"""Rate equations in time: implicit Runge-Kutta steps of PETSc, with bounds that no step may break.

Steps are as long as the error of *every* unknown allows, relative to the unknown itself. A step that leaves
the bounds is refused and shortened, never repaired. Quantities that the rates conserve linearly stay constant
to rounding, because all methods here do the same to y as to a linear function of y, and every Newton
step is made to; the counters are integrated by the very same steps.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc, destroyed_with, own_errors, weakly
from fvqp.solvers.elimination import ShiftedSolver, defaults
from fvqp.solvers.rate_equations import RateEquations, outside
from fvqp.typing import Floats

log = logging.getLogger(__name__)

_PREFIX = "fvqp_ts_"
_REASON = PETSc.SNES.ConvergedReason
#: Rounding that does not count as leaving the bounds, relative to the largest unknown of a point.
_ROUNDING = 1e-15
#: Newton's method ends when it moves no unknown by more than this, in units of the error allowed.
_NEWTON = 5e-2
#: Part of a positive unknown that a Newton step takes away at most: where phonons of a collision are shared,
#: rates go with the root of an occupation, and Newton's method would jump over its zero for ever.
_PART = 0.99
#: Error of linear solves, relative to the step.
_LINEAR = 1e-2
#: A step that was refused from outside is repeated with this part of its length.
_SHORTER = 0.3
#: From this tolerance on a method of third order is quicker than one of fourth, and exact enough: it takes a
#: pulse of quasiparticles to 1 µs in two thirds of the time, with errors of a thousandth of the tolerance.
_LOOSE = 1e-2
#: Steps shorter than this part of the time reached are a collapse.
_SHORTEST = 1e-13


@dataclass(frozen=True)
class RecordedState:
    """A state on the way.

    Attributes:
        time: of the state.
        y: ``(points, unknowns)``.
        counters: integrals of the counters' rates since the start, ``(points, counters)``.
        steps, refused: numbers of steps so far.
        next_step: length of the step that would come next.
    """

    time: float
    y: Floats
    counters: Floats
    steps: int
    refused: int
    next_step: float


class Refused(Exception):
    """Raised by what happens between steps where it does not go with so long a step; says why."""


class Transient:
    """Integrates rate equations from one state on.

    PETSc options with the prefix ``fvqp_ts_`` reach the TS, its SNES and its step control
    (``-fvqp_ts_ts_type``, ``-fvqp_ts_ts_adapt_monitor``, ``-fvqp_ts_ts_arkimex_type``), those with
    ``fvqp_ts_linear_`` the Krylov method.

    Attributes:
        linear: the linear solver, which counts factorizations and iterations.
    """

    def __init__(
        self,
        equations: RateEquations,
        *,
        tolerance: float = 1e-4,
        smallest: float = 1e-18,
    ) -> None:
        """
        Args:
            equations: to be integrated.
            tolerance: relative error of every unknown in one step.
            smallest: error that is allowed in any case, for unknowns that begin at 0.
        """
        self.equations, self.tolerance, self.smallest = equations, tolerance, smallest
        points, unknowns = equations.shape
        self._counters = equations.counters(np.zeros(equations.shape)).shape[1]
        self._full = (points, unknowns + self._counters)
        self.linear = ShiftedSolver(
            equations.blocks, equations.product, equations.shape, _PREFIX + "linear_", similar=1.6
        )
        self._shift, self._at = 0.0, np.zeros(self._full)
        self._slope = False
        # At the present Jacobian: what is conserved, and what counters gain where each unknown changes alone.
        self._law: tuple[Floats, Floats] | None = None
        self._counted_by_all: Floats | None = None
        size = points * self._full[1]
        self._u = PETSc.Vec().createSeq(size)
        matrix = PETSc.Mat().createPython(
            (size, size),
            SimpleNamespace(mult=weakly(self._mult), scale=weakly(self._scale)),
            PETSc.COMM_SELF,
        )
        matrix.setUp()
        ts = self._ts = PETSc.TS().create(PETSc.COMM_SELF)
        ts.setOptionsPrefix(_PREFIX)
        ts.setIFunction(weakly(self._function), self._u.duplicate())
        ts.setIJacobian(weakly(self._jacobian), matrix, matrix)
        ts.setMaxTime(1e300)
        ts.setMaxSteps(2**31 - 1)
        ts.setExactFinalTime(PETSc.TS.ExactFinalTime.STEPOVER)
        ts.setMaxSNESFailures(-1)
        ts.setMaxStepRejections(100)
        ts.setErrorIfStepFails(False)
        allowed = np.full(self._full, smallest)
        allowed[:, unknowns:] = 1e300
        self._allowed = self._u.duplicate()
        self._allowed.array = allowed.ravel()
        ts.setTolerances(tolerance, self._allowed)
        snes = ts.getSNES()
        snes.setConvergenceTest(weakly(self._test))
        # Without a smallest step, which PETSc 3.26 takes for reached where the first one ends at NaN.
        snes.setTolerances(stol=0.0, max_it=12)
        snes.getKSP().setType("preonly")
        pc = snes.getKSP().getPC()
        pc.setType("python")
        pc.setPythonContext(SimpleNamespace(apply=weakly(self._apply)))
        with defaults(
            _PREFIX,
            {
                "ts_type": "arkimex",
                "ts_arkimex_fully_implicit": True,
                "ts_arkimex_type": "4" if tolerance < _LOOSE else "3",
                "ts_adapt_type": "basic",
                "ts_adapt_wnormtype": "infinity",
                "ts_adapt_clip": "0.1,5.0",
                "snes_linesearch_type": "basic",
            },
        ):
            ts.setFromOptions()
        destroyed_with(self, pc, ts, matrix, self._u, self._allowed)

    def run(
        self,
        y: Floats,
        times: Sequence[float] | Floats,
        *,
        start: float = 0.0,
        first_step: float | None = None,
        before: Callable[[float, Floats], Floats | None] | None = None,
        between: Callable[[float, Floats], Floats | None] | None = None,
        longest: Callable[[], float] | None = None,
    ) -> Iterator[RecordedState]:
        """States at given times, each of which a step ends at.

        At each of these times the method and its linear solver begin anew: the rest of a run depends on y and
        `RecordedState.next_step` alone, and a run that is stopped there continues as if it had not been.

        Args:
            y: state at the start, within bounds.
            times: increasing, after the start.
            start: time of y.
            first_step: by default so short that no unknown changes much.
            before: called before every step with its length and the state; may change the equations, and
                then returns the state to start from.
            between: called after every step with time and state, likewise. Where it raises `Refused` the
                step is taken back, together with the `before` that it belongs to, and a shorter one made.
            longest: says how long the next step may be.

        Raises:
            ConvergenceError: steps collapse; says which unknown changes fastest, and by which process.
        """
        points, unknowns = self.equations.shape
        ts = self._ts
        self._u.array = np.concatenate([y, np.zeros((points, self._counters))], axis=1).ravel()
        ts.setSolution(self._u)
        ts.setTime(start)
        ts.setStepNumber(0)
        ts.setTimeStep(self._first(y, times[0] - start) if first_step is None else first_step)
        taken, refused, earlier = 0, 0, ts.getStepRejections()
        for end in times:
            ts.restartStep()
            self.linear.forget()
            while (now := ts.getTime()) < end:
                suggested = ts.getTimeStep()
                if longest is not None:
                    suggested = min(suggested, longest())
                left = end - now
                last = suggested >= left * (1.0 - 1e-9)
                length = left if last else (0.5 * left if suggested > 0.5 * left else suggested)
                begin = self._u.array_r.copy()
                if before is not None:
                    self._go_on_from(before(length, self._state().copy()))
                ts.setTimeStep(length)
                with own_errors():
                    ts.step()
                reached = ts.getTime()
                if ts.getConvergedReason() < 0 or not reached - now > _SHORTEST * now:
                    raise ConvergenceError(
                        f"steps collapse at time {now:.6g} (to {ts.getTimeStep():.1e}): fastest are "
                        + self._fastest(self._state())
                    )
                next_step = ts.getTimeStep()
                if last and reached > now + 0.999 * left:
                    ts.setTime(end)
                    next_step = max(next_step, min(suggested, 5.0 * left))
                if between is not None:
                    try:
                        self._go_on_from(between(ts.getTime(), self._state().copy()))
                    except Refused as reason:
                        refused += 1
                        next_step = _SHORTER * (reached - now)
                        if not next_step > _SHORTEST * max(now, times[-1] - start):
                            raise ConvergenceError(f"steps collapse at time {now:.6g}: {reason}") from None
                        self._u.array = begin
                        ts.setTime(now)
                        ts.restartStep()
                        ts.setTimeStep(next_step)
                        continue
                taken += 1
                ts.setTimeStep(next_step)
            state = self._u.array_r.reshape(self._full).copy()
            rejected = refused + ts.getStepRejections() - earlier
            yield RecordedState(
                end, state[:, :unknowns], state[:, unknowns:], taken, rejected, float(ts.getTimeStep())
            )

    def _state(self) -> Floats:
        """Unknowns without counters."""
        return np.asarray(self._u.array_r.reshape(self._full)[:, : self.equations.shape[1]])

    def _go_on_from(self, changed: Floats | None) -> None:
        """Replaces the state, if there is another one; steps begin anew then."""
        if changed is not None:
            state = self._u.array_r.reshape(self._full).copy()
            state[:, : self.equations.shape[1]] = changed
            self._u.array = state.ravel()
            self._ts.restartStep()

    def _first(self, y: Floats, span: float) -> float:
        rates = np.abs(self.equations.rates(y))
        size = np.maximum(np.maximum(y, 1e-3 * y.max(axis=1, keepdims=True)), self.smallest)
        fastest = float((rates / size).max())
        return min(1e-3 * span, 0.1 * np.sqrt(self.tolerance) / fastest if fastest > 0.0 else span)

    def _fastest(self, y: Floats) -> str:
        loss = np.abs(self.equations.turnover(y)) / np.maximum(np.abs(y), self.smallest)
        point, unknown = np.unravel_index(np.argmax(loss), loss.shape)
        return self.equations.describe(y, int(point), int(unknown))

    def _function(self, ts: PETSc.TS, t: float, u: PETSc.Vec, du: PETSc.Vec, out: PETSc.Vec) -> None:
        y = u.array_r.reshape(self._full)[:, : self.equations.shape[1]]
        rates = np.concatenate([self.equations.rates(y), self.equations.counters(y)], axis=1)
        out.array = du.array_r - rates.ravel()

    def _jacobian(
        self, ts: PETSc.TS, t: float, u: PETSc.Vec, du: PETSc.Vec, shift: float, j: PETSc.Mat, p: PETSc.Mat
    ) -> None:
        self._at = u.array_r.reshape(self._full).copy()
        self._law, self._counted_by_all = self.equations.conserved(), None
        self._shift = shift
        self._slope = False
        j.assemble()

    def _scale(self, matrix: PETSc.Mat, factor: float) -> None:
        """The Jacobian is scaled only where PETSc (after 3.18) solves ``F(t, u, u̇) = 0`` for the first slope.

        It asks for a shift beyond all rates, and takes it out again: what is left is ``∂F/∂u̇ = 1``.
        """
        self._slope = True

    def _mult(self, matrix: PETSc.Mat, x: PETSc.Vec, out: PETSc.Vec) -> None:
        if self._slope:
            x.copy(out)
            return
        unknowns = self.equations.shape[1]
        y, step = self._at[:, :unknowns], x.array_r.reshape(self._full)
        moved = step[:, :unknowns]
        change = [self.equations.product(y, moved), self.equations.counters_product(y, moved)]
        out.array = (self._shift * step - np.concatenate(change, axis=1)).ravel()

    def _apply(self, pc: PETSc.PC, r: PETSc.Vec, out: PETSc.Vec) -> None:
        if self._slope:
            r.copy(out)
            return
        unknowns = self.equations.shape[1]
        right = r.array_r.reshape(self._full)
        y = self._at[:, :unknowns]
        scale = np.maximum(np.abs(y), self.smallest)
        step = self.linear.solve(y, self._shift, right[:, :unknowns], scale, _LINEAR)
        np.minimum(step, _PART * y, out=step, where=y > 0.0)
        counted = self.equations.counters_product(y, step)
        step, counted = self._conserving(y, right[:, :unknowns], step, counted)
        out.array = np.concatenate([step, (right[:, unknowns:] + counted) / self._shift], axis=1).ravel()

    def _conserving(self, y: Floats, right: Floats, step: Floats, counted: Floats) -> tuple[Floats, Floats]:
        """A step, and what it counts, without the linear solve's error in the conserved quantity.

        Of ``(σ − J) δ = r`` with ``ℓ·J = m·C``, the component ``ℓ·(r − σ δ) + m·C δ = 0`` is known without
        J. What it is off by is made up for by changing all unknowns by the same small part of themselves.
        """
        if self._law is None:
            return step, counted
        weights, of_counters = self._law
        if self._counted_by_all is None:
            self._counted_by_all = self.equations.counters_product(y, y)

        def kept(change: Floats, counters: Floats) -> Floats:
            return self._shift * (weights * change).sum(axis=1) - (of_counters * counters).sum(axis=1)

        whole = kept(y, self._counted_by_all)
        missing = (weights * right).sum(axis=1) - kept(step, counted)
        part = np.divide(missing, whole, out=np.zeros_like(whole), where=whole > 0.0)[:, None]
        return step + part * y, counted + part * self._counted_by_all

    def _test(self, snes: PETSc.SNES, iteration: int, norms: tuple[float, float, float]) -> int:
        if not np.isfinite(norms[2]):
            return int(_REASON.DIVERGED_FUNCTION_DOMAIN)
        if iteration < 1:
            return int(_REASON.ITERATING)
        if self._slope:
            return int(_REASON.CONVERGED_SNORM_RELATIVE)  # of a linear equation, exactly
        unknowns = self.equations.shape[1]
        y = snes.getSolution().array_r.reshape(self._full)[:, :unknowns]
        step = snes.getSolutionUpdate().array_r.reshape(self._full)[:, :unknowns]
        size = np.abs(step) / (self.tolerance * np.abs(y) + self.smallest)
        if size.max() > _NEWTON:
            return int(_REASON.ITERATING)
        if np.any(outside(y, self.equations.upper, _ROUNDING)):
            return int(_REASON.DIVERGED_FUNCTION_DOMAIN)
        return int(_REASON.CONVERGED_SNORM_RELATIVE)
