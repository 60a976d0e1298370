"""Control of steps in time, whatever their method: lengths, bounds of occupations, energy, and gaps."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import accuracy
from fvqp.models.boltzmann.gaps import correct_gap
from fvqp.models.boltzmann.problem import BoltzmannEquations, BoltzmannProblem
from fvqp.models.boltzmann.state import Counters, State
from fvqp.solvers.transient import Refused
from fvqp.typing import Floats

log = logging.getLogger(__name__)

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
#: Most that a gap moves in a step, in units of the tolerance and at any tolerance.
GAP_STEP, LONGEST_GAP_STEP = 1.0, 0.02
#: Times that a step is shortened because a gap moves too far. One that jumps does so at any length.
SHORTENED = 4
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


#: Called after a step with the time, the state, and what limits the length of steps; "" if nothing does.
Callback = Callable[[float, State, str], None]


class Stepper:
    """Adaptive steps; a subclass makes them.

    Attributes:
        steps, refused: numbers of steps.
        length: of the next step.
        gone: energy that has left the body before.
    """

    def __init__(self, problem: BoltzmannProblem, tolerance: float, first_step: float | None) -> None:
        self._p, self._tolerance = problem, tolerance
        self.length = 0.0 if first_step is None else first_step
        self.steps = self.refused = 0
        self._shortened = 0
        self.gone = 0.0
        #: Largest errors of the latest step, and what bounds its length beside them.
        self._limit, self._bound = "errors", "changes of a gap"

    def advance(
        self, state: State, start: float, end: float, callback: Callback | None
    ) -> tuple[State, Counters]:
        """State at ``end``, and what came and went on the way, on all ranks. Collective.

        Raises:
            ConvergenceError: steps collapse, or are refused again and again.
        """
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
                    limit = self._bound
                else:
                    limit = "" if last or cut or factor >= MAX_STEP_FACTOR else self._limit
                callback(now, state, limit)
        return state, Counters(*(self._summed(part) for part in total))

    def _step(self, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        """State after a step, what came and went, and the error in units of the tolerance."""
        raise NotImplementedError

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
        return min(GAP_STEP * self._tolerance, LONGEST_GAP_STEP)

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
