"""Steady states of the transport problem: Newton's method with pseudo-transient steps on the way.

A step of length Δt solves ``(1/Δt − J) δ = F(y)``, J the Jacobian of all motion and collisions together, by
GMRES; what time steps invert, the product of motion and collisions each by itself, preconditions it. Δt grows
until nothing changes any more: backward Euler at first, Newton's method in the end (C. T. Kelley and
D. E. Keyes, SIAM J. Numer. Anal. 35, 508 (1998); theory: transport, section on steady states).

PETSc's SNES ``newtonls`` takes the steps. A check before its line search keeps a step within bounds, and
takes none that failed; the convergence test judges a step, and chooses Δt of the next one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import accuracy
from fvqp.models.boltzmann.gaps import correct_gap
from fvqp.models.boltzmann.motion import OrdinatesOperator
from fvqp.models.boltzmann.problem import BoltzmannProblem
from fvqp.models.boltzmann.state import Counters, Rates, State
from fvqp.models.boltzmann.steady_step import ALONE, SPLIT, EvaluatedState, StepEquations, energy_below, split
from fvqp.petsc import PETSc, own_errors
from fvqp.solvers.elimination import defaults
from fvqp.typing import Floats

log = logging.getLogger(__name__)

_REASON = PETSc.SNES.ConvergedReason

#: Prefix of PETSc's options: ``-fvqp_steady_snes_monitor``, ``-fvqp_steady_ksp_rtol``.
OPTIONS = "fvqp_steady_"
#: Residual of a linear solve, relative to its right-hand side, of which slow processes are a small part.
LINEAR = 1e-6
#: Basis vectors of GMRES, and iterations after which it gives up.
RESTART, ITERATIONS = 120, 300
#: Iterations of the SNES: steps are counted here, and failures too.
ANY_NUMBER = 10**9
#: A step leaves at least this part of an unknown.
MIN_LEFT = 0.1
#: Power that may be left over: of what exchanges and walls move, at least or in tolerances, and of the energy
#: in a time τ0.
BALANCE, TOLERANCES, ROUNDING = 1e-6, 10.0, 1e-9
#: Part of all particles that is taken away to see what this does to powers, and how often that serves: what
#: is left over falls by as much each time.
PROBE, CHORDS = 1e-3, 3
#: Growth of Δt after a step, its reduction after one that fails, and failures in a row before giving up.
GROWTH, REDUCTION, TRIALS = 10.0, 0.1, 12
#: Small changes in steps this long become smaller, or never will: part that one of so many steps must reach
#: of the smallest change before.
LONG, SMALL, SHRINKS, PATIENT = 1e6, 0.1, 0.5, 5
#: Where limits of gradients go back and forth in so many long steps, short ones follow the state in time
#: until the limits of most cells are those of the steady state: their length in crossings of the smallest
#: cell, how many, and how often. With 10 crossings some states on triangles still go back and forth.
RESTLESS, CROSSINGS, SHORT_STEPS, ROUNDS = 3, 3.0, 20, 5
#: Parts of a step that are tried too where limits of gradients made the one before of little use.
PARTS = (0.5, 0.25, 0.125)
#: Seconds between lines that say how far it is.
LINE_EVERY = 10.0
#: What leads there in any case.
REMEDY = (
    "few and cold quasiparticles are known to rounding only, for which a larger tolerance is enough; an "
    "evolution to a late time ends in the steady state"
)


class SteadySolver:
    """Finds the steady state that a state leads to. Collective.

    Attributes:
        steps: taken by the latest solution.
        change: relative change in the last of them, as errors of time steps are measured.
    """

    def __init__(self, problem: BoltzmannProblem, tolerance: float = 1e-8, max_steps: int = 60) -> None:
        """
        Args:
            problem: with sources and sinks that have a steady state.
            tolerance: relative change of the energy of any cell, of quasiparticles and of phonons, in a step
                of Newton's method.
            max_steps: before giving up.
        """
        self._p, self._tolerance, self._max = problem, tolerance, max_steps
        self.steps, self.change = 0, np.inf

    def solve(self, state: State) -> State:
        """The steady state near ``state``.

        Raises:
            ConvergenceError: none found; says how much changes still.
        """
        steps = _Steps(self._p, EvaluatedState(self._p, state), self._tolerance, self._max)
        steps.run()
        self.steps, self.change = steps.taken, steps.change
        log.info("steady state: %d steps, last change %.1e", self.steps, self.change)
        found = steps.here
        named, left = net_power(self._p, found.state, found.rates)
        self._require_balance(found.state, named, left, steps)
        return self._closed(found.state, named, left)

    def _closed(self, state: State, named: dict[str, float], left: float) -> State:
        """The state times the factor, within the tolerance, with which powers add up to nothing.

        Where particles scatter often, rounding of those that come back in another direction is what decides
        on the sum of all. More than the tolerance is left as it is, for what it says of the state.
        """
        if abs(left) > self._tolerance * sum(abs(power) for power in named.values()):
            return state
        _, less = net_power(self._p, self._scaled(state, 1.0 - PROBE))
        slope = (left - less) / PROBE
        if abs(left) >= self._tolerance * abs(slope):
            return state
        for _ in range(CHORDS):
            closed = self._scaled(state, 1.0 - left / slope)
            _, remains = net_power(self._p, closed)
            if not abs(remains) < abs(left):
                break
            state, left = closed, remains
        return state

    def _scaled(self, state: State, factor: float) -> State:
        """A state with as many times the particles."""
        f, n, gap = correct_gap(self._p, np.minimum(factor * state.f, 1.0), factor * state.n, state.gap)
        return State(f, n, gap)

    def _require_balance(self, state: State, named: dict[str, float], left: float, steps: _Steps) -> None:
        """Raise `ConvergenceError` for an unchanging state whose gap is held up at the end of the axis: it
        is not steady."""
        ledger = self._p.ledger(state)
        moved = sum(abs(power) for power in named.values())
        part = max(BALANCE, TOLERANCES * self._tolerance)
        if abs(left) > part * moved + ROUNDING * (ledger.quasiparticles + ledger.phonons):
            why = steps.advice() + REMEDY
            if self._p.gap_follows:
                low = float(
                    self._p.cells.comm.allreduce(float(np.nanmin(state.gap, initial=np.inf)), MPI.MIN)
                )
                why = (
                    f"the smallest gap is {low:.4g} Δ0, and bins begin at {self._p.grid.edges[0]:.4g} Δ0: "
                    "they must begin below all gaps, or at 0"
                )
            raise ConvergenceError(
                f"no steady state: nothing changes any more, but {abs(left) / moved:.2g} of the power of "
                f"sources and losses is left over; {why}"
            )


@dataclass
class _Steps:
    """Steps of PETSc's Newton method, from a point to a steady state.

    The gap belongs to the point, not to the unknowns. A step that fails leads nowhere: the next one, from
    where it began, is shorter.

    Attributes:
        problem, tolerance, most: see `SteadySolver`.
        here: point before the step at hand.
        taken: number of steps; change: in the latest.
        length: of the next long step; longest: product that preconditions.
        crossing, short: length of short steps, and how many of them are ahead.
        before, least: change in the step before, and the smallest; waited: long steps since then.
        failures: in a row.
        rounds: times that short steps followed the state; followed: where they led.
        searches: whether parts of steps are tried; frozen_limiter: see `Linearized`.
        below: part of the energy that the latest step would have left below 0.
        refines: whether a steady state is found, and the step at hand improves it.
    """

    problem: BoltzmannProblem
    here: EvaluatedState
    tolerance: float
    most: int
    taken: int = 0
    change: float = np.inf
    length: float = SPLIT
    longest: float = SPLIT
    crossing: float = 0.0
    short: int = 0
    before: float = np.inf
    least: float = np.inf
    waited: int = 0
    failures: int = 0
    rounds: int = 0
    followed: EvaluatedState | None = None
    searches: bool = False
    frozen_limiter: bool = False
    below: float = 0.0
    refines: bool = False

    def __post_init__(self) -> None:
        self._comm = self.problem.cells.comm
        self._last_line = time.monotonic()
        #: Equations of the step at hand, and what went wrong in it.
        self._system: StepEquations | None = None
        self._error: ConvergenceError | None = None
        self._again, self._jumped = False, False
        #: Point at which the step at hand ends, and its unknowns but for rounding.
        self._after, self._ahead = self.here, self.here.y
        self._failure: ConvergenceError | None = None

    def run(self) -> None:
        """Take steps until ``here`` is a steady state. Collective.

        Raises:
            ConvergenceError: none found.
        """
        fastest = float(self._comm.allreduce(self.here.inelastic.fastest, MPI.MAX))
        self.longest = self.length = SPLIT if fastest > 0.0 else ALONE
        x = PETSc.Vec().createMPI((self._ahead.size, PETSc.DECIDE), comm=self._comm)
        x.array = self._ahead
        function, sizes = x.duplicate(), (x.getLocalSize(), x.getSize())
        matrix = PETSc.Mat().createPython((sizes, sizes), SimpleNamespace(mult=self._mult), comm=self._comm)
        matrix.setUp()
        snes = PETSc.SNES().create(self._comm)
        ksp = snes.getKSP()
        try:
            snes.setOptionsPrefix(OPTIONS)
            snes.setType("newtonls")
            snes.setFunction(self._function, function)
            snes.setJacobian(self._linearize, matrix, matrix)
            snes.setUpdate(self._begin)
            snes.setConvergenceTest(self._test)
            snes.setMaxLinearSolveFailures(ANY_NUMBER)
            snes.setTolerances(stol=0.0, max_it=ANY_NUMBER)
            snes.setLineSearchPreCheck(self._bound, (ksp,))
            ksp.setType("gmres")
            ksp.setGMRESRestart(RESTART)
            ksp.setTolerances(rtol=LINEAR, atol=0.0, max_it=ITERATIONS)
            if PETSc.Options(OPTIONS).getString("ksp_type", "gmres") == "gmres":
                # hardly any other method of PETSc has preconditioners on both sides
                ksp.setPCSide(PETSc.PC.Side.SYMMETRIC)
            ksp.getPC().setType("python")
            ksp.getPC().setPythonContext(
                SimpleNamespace(
                    apply=self._apply, applySymmetricLeft=self._left, applySymmetricRight=self._right
                )
            )
            with defaults(OPTIONS, {"snes_linesearch_type": "basic"}):
                snes.setFromOptions()
            with own_errors():
                snes.solve(None, x)
            reason = snes.getConvergedReason()
        finally:
            self._system = None
            # A handle of the KSP that is merely dropped would outlive Python, which its preconditioner needs.
            for item in (ksp, snes, matrix, function, x):
                item.destroy()
        if reason <= 0:
            raise self._failure or self._too_many()

    # -- callbacks of PETSc

    def _function(self, _snes: PETSc.SNES, x: PETSc.Vec, out: PETSc.Vec) -> None:
        """Rates, with the other sign."""
        y = np.array(x.array_r)
        if not self._comm.allreduce(np.array_equal(y, self._ahead), MPI.LAND):
            # A line search that the user has chosen tries parts of a step.
            f, n = split(y, self.here.state)
            self._after = self._point(np.clip(f, 0.0, 1.0), np.maximum(n, 0.0))
        out.array = self._after.function

    def _begin(self, snes: PETSc.SNES, _iteration: int) -> None:
        """Begin a step, perhaps at another point than the last one ended."""
        if self._system is not None:
            self._error = None
        if self._jumped:
            self._jumped = False
            snes.getSolution().array = self.here.y
            snes.getFunction()[0].array = self.here.function

    def _linearize(self, _snes: PETSc.SNES, _x: PETSc.Vec, j: PETSc.Mat, _p: PETSc.Mat) -> None:
        """Equations of the next step."""
        # there is room for the equations of one step
        self._system = self._error = None
        length = self.crossing if self.short else self.length
        try:
            self._system = StepEquations(self.problem, self.here, length, self.longest, self.frozen_limiter)
        except ConvergenceError as error:
            self._error = error
        j.assemble()

    def _mult(self, _matrix: PETSc.Mat, step: PETSc.Vec, out: PETSc.Vec) -> None:
        out.array = self._unless_failed(StepEquations.action, step.array_r)

    def _left(self, _pc: PETSc.PC, rates: PETSc.Vec, out: PETSc.Vec) -> None:
        out.array = self._unless_failed(StepEquations.left, rates.array_r)

    def _right(self, _pc: PETSc.PC, scaled: PETSc.Vec, out: PETSc.Vec) -> None:
        out.array = scaled.array_r if self._system is None else scaled.array_r * self._system.unit

    def _apply(self, pc: PETSc.PC, rates: PETSc.Vec, out: PETSc.Vec) -> None:
        """Both sides, for methods that have one."""
        self._left(pc, rates, out)
        self._right(pc, out, out)

    def _bound(self, x: PETSc.Vec, step: PETSc.Vec, ksp: PETSc.KSP) -> bool:
        """Keep a step within bounds, or take none if it failed."""
        if self._error is None and ksp.getConvergedReason() <= 0:
            self._error = ConvergenceError(
                f"steady state: the linear solve gave up after {ksp.getIterationNumber()} iterations "
                f"({ksp.getConvergedReason()})"
            )
        self._after = self.here
        if self._error is None:
            log.debug("%d iterations", ksp.getIterationNumber())
            try:
                self._after = self._end(*split(-step.array_r, self.here.state))
            except ConvergenceError as error:
                self._error = error
        elif self._limited and not self.frozen_limiter:
            # what limits do as they change can be nearly singular: steps come closer without that
            log.debug("%s; limits of gradients are fixed from here on", self._error)
            self.frozen_limiter = self._again = True
        moved = x.array_r - self._after.y
        self._ahead = x.array_r - moved
        step.array = moved
        return True

    def _test(self, _snes: PETSc.SNES, iteration: int, _norms: tuple[float, float, float]) -> int:
        """Judge a step, and choose the next one."""
        if iteration == 0 or self._again:
            self._again = False
            return int(_REASON.ITERATING)
        if self.refines:
            self._refine()
            return int(_REASON.CONVERGED_SNORM_RELATIVE)
        if self.short:
            self._follow()
        elif self._error is not None:
            self._shorten(self._error)
        else:
            self._advance()
        return int(_REASON.ITERATING if self._failure is None else _REASON.DIVERGED_INNER)

    # -- steps

    def _shorten(self, error: ConvergenceError) -> None:
        """Try a shorter step after one that failed, or give up."""
        self.failures += 1
        log.debug("step of %.3g: %s", self.length, error)
        self._tell(f"a step of {self.length:.1e} tau0 failed")
        self.length *= REDUCTION
        if self.failures < TRIALS:
            return
        if self.taken == 0:
            self._failure = ConvergenceError(
                f"no steady state: no step from the initial state succeeds ({error}); where sources "
                "make far more than a cold bath, a warmer initial.temperature is nearer to it"
            )
        else:
            self._failure = ConvergenceError(
                f"no steady state after {self.taken} steps, the last of which changed energies by "
                f"{self.change:.1e}: {error}; {REMEDY}"
            )

    def _advance(self) -> None:
        """Go on from the end of a step."""
        self.change = change = self._changed()
        self.here, self.taken, self.failures = self._after, self.taken + 1, 0
        log.debug("step %d of %.3g: changes by %.2e", self.taken, self.length, change)
        # Longer steps would change more, were they not long against all that still happens.
        if change <= self.tolerance and change <= self.before:
            self.refines = True
            return
        self._tell(f"step {self.taken} changed energies by {change:.1e}")
        self.before = change
        shrinks = change <= SHRINKS * self.least
        self.least = min(self.least, change)
        waits = self.length >= LONG and change < SMALL and not shrinks
        self.waited = self.waited + 1 if waits else 0
        self.searches = self.waited > 0 and self._limited
        if self.waited == PATIENT and self.frozen_limiter:
            self.frozen_limiter, self.waited = False, 0
        elif self.waited == RESTLESS and self._limited and not self.frozen_limiter and self.rounds < ROUNDS:
            self._begin_round()
        if self.waited == PATIENT:
            self._failure = ConvergenceError(
                f"no steady state: changes of {self.least:.1e} in the energy of a cell do not become "
                f"smaller, {self.tolerance:.1e} is wanted; {self.advice()}{REMEDY}"
            )
        elif self.taken >= self.most:
            self._failure = self._too_many()
        self.length *= GROWTH

    def _begin_round(self) -> None:
        """Let short steps follow the state, each time from where the ones before ended: long steps led away
        from it."""
        if self.followed is not None:
            self.here, self._jumped = self.followed, True
        streams = [
            one.streaming
            for one in (self.problem.moving_f, self.problem.moving_n)
            if isinstance(one, OrdinatesOperator)
        ]
        own = max(float(np.max(one.crossing_rate(), initial=0.0)) for one in streams if one is not None)
        self.crossing = CROSSINGS / float(self._comm.allreduce(own, MPI.MAX))
        self.short, self.searches = SHORT_STEPS, False
        self.least, self.before, self.waited, self.rounds = np.inf, np.inf, 0, self.rounds + 1

    def _follow(self) -> None:
        """Go on from the end of a short step."""
        self.short -= 1
        if self._error is not None:
            log.debug("step of %.3g, not needed: %s", self.crossing, self._error)
            self.short = 0
        else:
            log.debug("short step: changes by %.2e", self._changed())
            self.here = self._after
        self.followed = self.here

    def _refine(self) -> None:
        """Take one step further if it changes less: the balance of powers, too, then closes to rounding."""
        if self._error is not None:
            log.debug("step of %.3g, not needed: %s", self.length, self._error)
            return
        change = self._changed()
        if change <= self.change:
            self.here, self.taken, self.change = self._after, self.taken + 1, change

    # -- parts

    def _unless_failed(self, method: Callable[[StepEquations, Floats], Floats], given: Floats) -> Floats:
        """Return the result of a method of the equations, or ``given`` once something failed in them: what
        the linear solve finds then is not used."""
        given = np.array(given)
        if self._error is not None or self._system is None:
            return given
        try:
            found = method(self._system, given)
        except ConvergenceError as error:
            self._error = error
            return given
        if not self._comm.allreduce(bool(np.all(np.isfinite(found))), MPI.LAND):
            # PETSc would end with it, however long the step
            self._error = ConvergenceError("steady state: the linear solve met numbers that are not finite")
            return given
        return found

    def _end(self, f: Floats, n: Floats) -> EvaluatedState:
        """Return the point to which a change leads."""
        assert self._system is not None
        after = self._moved(f, n)
        if self.searches:
            tried = [after, *(self._moved(part * f, part * n) for part in PARTS)]
            after = tried[int(np.argmin([self._system.left_over(one) for one in tried]))]
        at, state = self.here.at, self.here.state
        would = energy_below(at, state.f + f, state.n + n)
        self.below = would / energy_below(at, -after.state.f, -after.state.n)
        return after

    def _moved(self, f: Floats, n: Floats) -> EvaluatedState:
        """A point after a change, within bounds."""
        state = self.here.state
        new_f = np.clip(np.maximum(state.f + f, MIN_LEFT * state.f), 0.0, 1.0)
        return self._point(new_f, np.maximum(state.n + n, MIN_LEFT * state.n))

    def _point(self, f: Floats, n: Floats) -> EvaluatedState:
        """A point with the gap that belongs to its occupations."""
        return EvaluatedState(self.problem, State(*correct_gap(self.problem, f, n, self.here.state.gap)))

    def _changed(self) -> float:
        """Return the relative change in the step at hand. Collective."""
        at, before, after = self.here.at, self.here.state, self._after.state
        scale = accuracy.energy_scales(at, after.f, after.n)
        change = accuracy.largest_change(at, (after.f - before.f, after.n - before.n), scale)
        moved = np.abs(np.nan_to_num(after.gap - before.gap)).max(initial=0.0)
        return max(change, float(self._comm.allreduce(float(moved), MPI.MAX)))

    def _tell(self, what: str) -> None:
        """Say now and then how far it is."""
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY:
            self._last_line = now
            log.info("steady state: %s, %.1e is wanted", what, self.tolerance)

    def _too_many(self) -> ConvergenceError:
        return ConvergenceError(
            f"no steady state after {self.taken} steps: the last one changed energies by {self.change:.1e}; "
            f"{REMEDY}"
        )

    @property
    def _schemes(self) -> set[str]:
        """Spatial schemes of species in discrete ordinates."""
        flying = [
            one
            for one in (self.problem.moving_f, self.problem.moving_n)
            if isinstance(one, OrdinatesOperator)
        ]
        return {one.streaming.scheme for one in flying if one.streaming is not None}

    @property
    def _limited(self) -> bool:
        """True if gradients of particles that fly are limited."""
        return "limited" in self._schemes

    def advice(self) -> str:
        """Return advice for limits of gradients that go back and forth, or for occupations below 0."""
        if self.below > BALANCE and "linear" in self._schemes:
            return (
                "without limits of gradients occupations would be negative in places: take scheme = "
                '"limited"; '
            )
        if self.below > BALANCE and self._schemes:
            return (
                "occupations would be negative in places, where collisions change them within a small part "
                'of a cell: make cells smaller, or give motion = "diffusive"; '
            )
        if self._limited:
            return (
                "limited gradients go back and forth: take a tolerance above these changes, another number "
                'of cells or directions, or scheme = "linear", without limits ("upwind" conducts up to 63 % '
                "too well where cells are about a free path); "
            )
        return ""


def net_power(
    problem: BoltzmannProblem, state: State, rates: Rates | None = None
) -> tuple[dict[str, float], float]:
    """Power that exchanges bring and walls take (negative), and what is left over of it. Collective.

    In 4 N0 Δ0²/τ0 of the reference times volume, of all ranks; in a steady state nothing is left over.

    Args:
        problem, state: as named.
        rates: those at the state, if they are known.
    """
    if rates is None:
        rates = problem.at(state.gap).rates(state.f, state.n)
    comm = problem.cells.comm
    counters = Counters(*(np.array(part) for part in rates.counters))
    for part in counters:
        comm.Allreduce(MPI.IN_PLACE, part)
    ledger = problem.ledger(state, counters)
    named = dict(ledger.given) | {name: -value for name, value in ledger.lost.items()}
    return named, ledger.received
