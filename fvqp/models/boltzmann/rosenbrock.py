"""Steps in time by a linearly implicit method of order 2: stages, lengths, bounds of occupations, and gaps.

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
from dataclasses import replace
from functools import partial
from types import SimpleNamespace

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import accuracy
from fvqp.models.boltzmann.gaps import MAX_GAP_STEP, SHORTENED, correct_gap, predict_gap
from fvqp.models.boltzmann.linearized import Linearized
from fvqp.models.boltzmann.local import InelasticRates
from fvqp.models.boltzmann.motion import EXPLICIT
from fvqp.models.boltzmann.problem import BoltzmannEquations, BoltzmannProblem
from fvqp.models.boltzmann.state import Callback, Counters, Rates, State
from fvqp.petsc import PETSc, destroyed_with, own_errors, weakly
from fvqp.solvers.elimination import defaults
from fvqp.solvers.transient import Refused
from fvqp.typing import Floats

log = logging.getLogger(__name__)

SPECIES = "quasiparticles", "phonons"
PREFIX = "fvqp_transport_"
"""Prefix of PETSc's options: ``-fvqp_transport_ts_monitor``, ``-fvqp_transport_ksp_view``."""

#: γ = 1 + 1/√2: damps the fastest modes in both stages, and keeps decaying occupations positive.
GAMMA = 1.0 + np.sqrt(0.5)
#: Part of a change that the product of factors may leave undone, and least that counts as done.
UNDONE, DONE = 0.1, 1e-3
#: Once a step was too long for the product of factors, so are those longer than this part of it; every step
#: that needs the whole Jacobian makes that so many times longer, until the product has another trial.
SIMILAR, FORGOTTEN = 0.7, 1.1
#: Negative occupations that a step may make, in units of the tolerance: energy relative to all there is, and
#: to the same part of what has left as other errors. They are errors like others; mending them is less.
CUT = 0.3
#: Part of all energy there is that they may have at any tolerance.
MAX_CUT = 0.5
#: Occupation above 1 that a step may make, in units of the tolerance.
ABOVE = 1e-2
#: Least that a step leaves of any occupation. Where less than nothing would be left, 0 is no way out: phonons
#: that are fewer by orders than those of neighbouring energies make collisions a stiff function of them, or,
#: if there are none at all, leave the Jacobian without the loss that keeps them positive.
KEPT = 0.5
#: Most that a gap moves in a step, in units of the tolerance.
GAP_STEP = 1.0
#: Part of the energy that rounding may take from a step.
ROUNDED = 1e-8
#: Least change of the length of a step, as its factor, so that one poor estimate costs few steps.
MIN_STEP_FACTOR = 0.2
#: Largest change of the length of a step, as its factor.
MAX_STEP_FACTOR = 2.5
#: Part of the length that the error allows which is taken.
SAFETY = 0.8
#: Part of the time below which steps are not shortened any more.
MIN_STEP = 1e-12
#: A step that was refused is repeated with this part of its length.
REPEATED = 0.4
#: Steps that may be refused beyond one of four before a run is stuck. Rounding, or rates out of all
#: proportion, refuse one step of two or three forever; control of errors refuses one of ten.
STUCK = 1000


class Rosenbrock:
    """Adaptive steps by PETSc's ``rosw``: two stages, each a linear solve (KSP).

    The unknowns of PETSc are f, n and counters of this rank, one after another: counters are integrated by
    the same stages as occupations, so that both keep the same energy.

    Attributes:
        steps, refused: numbers of steps.
        length: of the next step.
        gone: energy that has left the body before.
    """

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        self._p, self._tolerance = problem, tolerance
        self.length = 0.0 if first_step is None else first_step
        self.steps = self.refused = 0
        self.gone = 0.0
        #: Times that a step was shortened because of a gap, and largest errors of the latest step.
        self._shortened, self._limit = 0, "errors"
        #: Length of the shortest step that needed the whole Jacobian, and k1 of the latest step.
        self._whole = np.inf
        self._slope: Rates | None = None
        #: Of the step at hand: its beginning, time and length, equations and rates of inelastic collisions
        #: there, the Jacobian, k1, F of the second stage if it is known, the inverse for that stage, the
        #: difference of both orders, iterations for k1, and why it cannot be made.
        self._begin: State
        self._now = self._length = 0.0
        self._at: BoltzmannEquations
        self._inelastic: InelasticRates
        self._system: Linearized | None = None
        self._k1: Rates | None = None
        self._second: Rates | None = None
        self._inverse: Callable[[Rates], Rates] | None = None
        self._off: tuple[Floats, Floats] | None = None
        self._iterations = 0
        self._why = ""
        body, grid = problem.cells, problem.grid
        self._shapes = [
            (body.n_owned, len(problem.moving_f.weights), grid.n),
            (body.n_owned, len(problem.moving_n.weights), grid.n_phonon),
            *(part.shape for part in problem.no_counters()),
        ]
        self._ends = np.cumsum([int(np.prod(shape)) for shape in self._shapes])
        size, comm = int(self._ends[-1]), body.comm
        self._u = PETSc.Vec().createMPI((size, PETSc.DECIDE), comm=comm)
        layout = (size, PETSc.DECIDE)
        # PETSc never multiplies by it: a stage is one application of the preconditioner
        matrix = PETSc.Mat().createPython((layout, layout), SimpleNamespace(), comm)
        matrix.setUp()
        ts = self._ts = PETSc.TS().create(comm)
        ts.setOptionsPrefix(PREFIX)
        ts.setMaxTime(1e300)
        ts.setMaxSteps(2**31 - 1)
        ts.setExactFinalTime(PETSc.TS.ExactFinalTime.STEPOVER)
        ts.setErrorIfStepFails(False)
        ts.setMaxSNESFailures(1)
        ts.setIFunction(weakly(self._function), self._u.duplicate())
        ts.setIJacobian(lambda ts, t, u, du, shift, j, p: j.assemble(), matrix, matrix)
        ts.setType("rosw")
        ksp = ts.getSNES().getKSP()
        ksp.setType("preonly")
        pc = ksp.getPC()
        pc.setType("python")
        pc.setPythonContext(SimpleNamespace(apply=weakly(self._apply)))
        with defaults(
            PREFIX, {"ts_adapt_type": "none", "ts_rosw_type": "2p", "snes_linesearch_type": "basic"}
        ):
            ts.setFromOptions()
        ts.setSolution(self._u)
        destroyed_with(self, pc, ts, matrix, self._u)

    def advance(
        self, state: State, start: float, end: float, callback: Callback | None
    ) -> tuple[State, Counters]:
        """State at ``end``, and what came and went on the way, on all ranks. Collective.

        Raises:
            ConvergenceError: steps collapse, or are refused again and again.
        """
        # what a run that is resumed here does not know either
        self._whole, self._slope = np.inf, None
        total = self._p.no_counters()
        now, grow, excess = start, MAX_STEP_FACTOR, 0.0
        if self.length == 0.0:
            self.length = self._first(state, end - start)
        while now < end:
            left = end - now
            bound = self._longest(state)
            wanted = min(self.length, bound)
            last = wanted >= left * (1.0 - 1e-9)
            length = left if last else min(wanted, 0.5 * left) if wanted > 0.5 * left else wanted
            shrink = REPEATED
            try:
                after, passed, error = self._step(state, now, length)
                if not error <= 1.0:
                    shrink = max(MIN_STEP_FACTOR, SAFETY / np.sqrt(error))
                    raise Refused(f"the error of a step is {error:.2g} of the tolerance")
            except (Refused, ConvergenceError) as reason:
                self.refused += 1
                log.debug("step of %.3g at time %.6g refused: %s", length, now, reason)
                self.length, grow = shrink * length, 1.0
                excess += 1.0
                if excess > STUCK:
                    raise ConvergenceError(
                        f"steps of {length:.3g} τ0 at time {now:.6g} τ0 are refused again and again: {reason}"
                    ) from None
                if not self.length > MIN_STEP * max(end, end - start):
                    raise ConvergenceError(f"steps collapse at time {now:.6g} τ0: {reason}") from None
                continue
            factor = min(grow, max(MIN_STEP_FACTOR, SAFETY / np.sqrt(max(error, 1e-6))))
            # a step cut short by an output time says little about the next one
            cut = length < self.length and factor >= 1.0
            self.length, grow = max(length * factor, self.length if cut else 0.0), MAX_STEP_FACTOR
            if self._p.gap_follows:
                way = np.where(after.gap > 0.0, after.gap - state.gap, 0.0)
                after = replace(after, gap_rate=np.nan_to_num(way) / length)
            excess = max(excess - 1.0 / 3.0, 0.0)
            state, total = after, total.plus(1.0, passed)
            now = end if last else now + length
            self.steps += 1
            if callback is not None:
                if wanted == bound and not last:
                    limit = "changes of a gap"
                else:
                    limit = "" if last or cut or factor >= MAX_STEP_FACTOR else self._limit
                callback(now, state, limit)
        return state, Counters(*(self._summed(part) for part in total))

    def _step(self, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        """State after a step, what came and went, and the error in units of the tolerance."""
        try:
            after, passed, error = self._stages(state, now, length)
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

    def _stages(self, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        """The same, by the stages of PETSc."""
        p, ts = self._p, self._ts
        begin = self._begin = predict_gap(p, state, length)
        self._at = p.at(begin.gap)
        self._inelastic = self._at.inelastic_rates(begin.f, begin.n)
        self._why = ""
        self._now, self._length = now, length
        self._system = Linearized(self._at, begin, self._inelastic, GAMMA * length, gone=self.gone)
        ts.restartStep()
        self._u.array = joined(Rates(begin.f, begin.n, p.no_counters()))
        ts.setTime(now)
        ts.setTimeStep(length)
        with own_errors():
            ts.step()
        if ts.getConvergedReason() < 0:
            ts.setConvergedReason(PETSc.TS.ConvergedReason.ITERATING)
            raise Refused(self._why or "Newton's method does not converge")
        if self._why:
            raise Refused(self._why)
        y = self._u.array_r.copy()
        f, n, passed = self._split(y)
        at = self._at
        assert self._off is not None
        errors = accuracy.region_errors(at, self._off, accuracy.region_scales(at, f, n, self.gone))
        species, region = np.unravel_index(np.argmax(errors), errors.shape)
        name = p.cells.region_names[region]
        self._limit = f"errors of {SPECIES[species]}" + (f" in {name}" if name else "")
        error = float(errors.max()) / self._tolerance
        if error <= 1.0:
            f, n = self._positive(at, begin, f, n)
            f, n = self._closed(at, begin, passed, f, n)
            state = self._corrected(f, n, begin.gap, state.gap, length)
            ts.monitor(self.steps + 1, now + length, self._u)
        return state, passed, error

    # -- control

    def _first(self, state: State, span: float) -> float:
        """Step in which nothing changes by more than the tolerance."""
        here = self._p.at(state.gap)
        rates = here.rates(state.f, state.n)
        scales = accuracy.region_scales(here, state.f, state.n, self.gone)
        change = accuracy.region_error(here, (rates.f, rates.n), scales)
        return min(span, 0.5 * self._tolerance / change) if change > 0.0 else span

    def _longest(self, state: State) -> float:
        """Step in which no gap moves further than it may."""
        own = 0.0 if state.gap_rate is None else float(np.abs(state.gap_rate).max(initial=0.0))
        speed = float(self._p.cells.comm.allreduce(own, MPI.MAX))
        return self._gap_step / speed if speed > 0.0 else np.inf

    @property
    def _gap_step(self) -> float:
        return min(GAP_STEP * self._tolerance, MAX_GAP_STEP)

    def _summed(self, part: Floats) -> Floats:
        out = np.ascontiguousarray(part)
        self._p.cells.comm.Allreduce(MPI.IN_PLACE, out)
        return out

    # -- bounds

    def _positive(self, at: BoltzmannEquations, begin: State, f: Floats, n: Floats) -> tuple[Floats, Floats]:
        """Occupations within their bounds, with what every energy holds in all cells together."""
        p = self._p
        over = float(p.cells.comm.allreduce(float(np.max(f, initial=0.0)), MPI.MAX))
        if over > 1.0 + ABOVE * self._tolerance:
            raise Refused(f"an occupation of quasiparticles rises to {over:.6g}")
        out = []
        for y, earlier, (weight, energies, directions) in zip(
            (f, n), (begin.f, begin.n), at.species, strict=True
        ):
            kept = np.maximum(y, KEPT * earlier)
            if not p.cells.comm.allreduce(bool(np.any(kept > y)), MPI.LOR):
                out.append(y)
                continue
            sums = np.stack([np.einsum("ce,cme,m->e", weight, a, directions) for a in (y, kept, earlier)])
            p.cells.comm.Allreduce(MPI.IN_PLACE, sums)
            before, after, least = sums[0], sums[1], KEPT * sums[2]
            energy = max(float(before @ energies), 1e-300)
            cut = float((after - before) @ energies) / energy
            allowed = CUT * self._tolerance * (1.0 + accuracy.GONE_FLOOR * self.gone / energy)
            if not 0.0 <= cut <= min(allowed, MAX_CUT):
                raise Refused(f"occupations fall below 0, by {cut:.2g} of all energy")
            held = np.minimum(after, np.maximum(before, least))
            kept *= np.divide(held, after, out=np.ones_like(after), where=after > 0.0)
            # energies that held less than nothing have taken from all others
            kept *= float(before @ energies) / float(held @ energies)
            out.append(kept)
        return np.minimum(out[0], 1.0), out[1]

    def _closed(
        self, at: BoltzmannEquations, begin: State, passed: Counters, f: Floats, n: Floats
    ) -> tuple[Floats, Floats]:
        """Occupations whose energy is what it was and what came: long steps of fast motion round it off."""
        p = self._p
        held = [
            sum(
                float(np.einsum("ce,cme,m->", one.weight * one.energies, y, one.directions))
                for y, one in zip(both, at.species, strict=True)
            )
            for both in ((begin.f, begin.n), (f, n))
        ]
        came = p.energy_received(passed)
        before, after, gained = (float(x) for x in self._summed(np.array([*held, came])))
        if not after > 0.0:
            return f, n
        factor = (before + gained) / after
        if not abs(factor - 1.0) <= ROUNDED:
            raise Refused(f"energy changes by {abs(factor - 1.0):.1e} of itself")
        return np.minimum(factor * f, 1.0), factor * n

    # -- the gap

    def _corrected(self, f: Floats, n: Floats, gap: Floats, before: Floats, length: float) -> State:
        """Gaps that solve their equation after a step, and particles carried along."""
        p = self._p
        f, n, gap = correct_gap(p, f, n, gap, length)
        if not p.gap_follows:
            return State(f, n, gap)
        way = float(p.cells.comm.allreduce(float(np.nanmax(np.abs(gap - before), initial=0.0)), MPI.MAX))
        if way > 2.0 * self._gap_step and self._shortened < SHORTENED:
            self._shortened += 1
            raise Refused(f"a gap moves by {way:.2g} Δ0")
        self._shortened = 0
        return State(f, n, gap)

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

    # -- vectors

    def _split(self, y: Floats) -> tuple[Floats, Floats, Counters]:
        """f, n and counters of a vector."""
        parts = np.split(y, self._ends[:-1])
        f, n, *counters = (part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True))
        return f, n, Counters(*counters)


def joined(rates: Rates) -> Floats:
    """f, n and counters one after another."""
    return np.concatenate([part.ravel() for part in (rates.f, rates.n, *rates.counters)])
