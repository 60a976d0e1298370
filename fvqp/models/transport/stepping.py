"""Steps in time: a linearly implicit method of order 2 whose operators are inverted one after another.

ROS2 (J. G. Verwer, E. J. Spee, J. G. Blom, W. Hundsdorfer, SIAM J. Sci. Comput. 20, 1456 (1999)),

    (1 − γΔt A) k1 = F(y),    (1 − γΔt A) k2 = F(y + Δt k1) − 2 k1,    y' = y + (3 k1 + k2) Δt/2,

is of order 2 with any A. Here ``1 − γΔt A`` is the product of the three factors of quasiparticles in motion,
phonons in motion, and collisions; each is 1 where Δt is short against its rates. F, A and the counters of
what comes and goes keep the same sums, so that energy is conserved by every step, however inexact A is; what
is stationary stays so at any Δt (theory: transport, section on time).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.transport.local import Turnover
from fvqp.models.transport.motion import EXPLICIT
from fvqp.models.transport.state import Counters, State

if TYPE_CHECKING:
    from fvqp.models.transport.problem import TransportProblem

Floats = NDArray[np.float64]
log = logging.getLogger(__name__)

#: γ = 1 + 1/√2: damps the fastest modes in both stages, and keeps decaying occupations positive.
GAMMA = 1.0 + np.sqrt(0.5)
#: Cells are measured by what they hold, or this part of what the fullest one holds.
FLOOR = 1e-3
#: Or this part of the energy in the fullest cell, of whichever species: less is not followed closely.
TRIFLE = 1e-6
#: Negative occupations that a step may make, in units of the tolerance: energy relative to all there is.
CUT = 1e-2
#: Most that a gap moves in a step, in units of the tolerance and at any tolerance.
GAP_STEP, LONGEST_GAP_STEP = 1.0, 0.02
#: Times that a step is shortened because a gap moves too far. One that jumps does so at any length.
SHORTENED = 4
#: Part of the energy that rounding may take from a step.
ROUNDED = 1e-8
#: Largest part of a step that the product of factors may leave undone, and least that counts as done.
UNDONE, DONE = 0.3, 1e-3
#: Change of the length of a step, and part of the time for which steps are not shortened any more.
LEAST, MOST, SAFETY, SHORTEST = 0.2, 2.5, 0.8, 1e-12
#: A step that was refused is repeated with this part of its length.
REPEATED = 0.4


class Rates(NamedTuple):
    """Rates of change of occupations and counters."""

    f: Floats
    n: Floats
    counters: Counters


class Refused(Exception):
    """A step that is too long; says why."""


class Stepper:
    """Adaptive steps.

    Attributes:
        steps, refused: numbers of steps.
        length: of the next step.
    """

    def __init__(self, problem: TransportProblem, tolerance: float, first_step: float | None) -> None:
        self._p, self._tolerance = problem, tolerance
        self.length = 0.0 if first_step is None else first_step
        self.steps = self.refused = 0
        self._shortened = 0
        self._warned = False

    def advance(
        self, state: State, start: float, end: float, callback: Callable[[float, State], None] | None
    ) -> tuple[State, Counters]:
        """State at ``end``, and what came and went on the way, on all ranks."""
        total = self._p.no_counters()
        now, grow = start, MOST
        if self.length == 0.0:
            self.length = self._first(state, end - start)
        while now < end:
            left = end - now
            wanted = min(self.length, self._longest(state))
            last = wanted >= left * (1.0 - 1e-9)
            length = left if last else min(wanted, 0.5 * left) if wanted > 0.5 * left else wanted
            shrink = REPEATED
            try:
                after, passed, error = self._step(state, now, length)
                if not error <= 1.0:
                    shrink = max(LEAST, SAFETY / np.sqrt(error))
                    raise Refused(f"the error of a step is {error:.2g} of the tolerance")
            except (Refused, ConvergenceError) as reason:
                self.refused += 1
                log.debug("step of %.3g at time %.6g refused: %s", length, now, reason)
                self.length, grow = shrink * length, 1.0
                if not self.length > SHORTEST * max(end, end - start):
                    raise ConvergenceError(f"steps collapse at time {now:.6g} τ0: {reason}") from None
                continue
            factor = min(grow, max(LEAST, SAFETY / np.sqrt(max(error, 1e-6))))
            # a step cut short by an output time says little about the next one
            cut = length < self.length and factor >= 1.0
            self.length, grow = max(length * factor, self.length if cut else 0.0), MOST
            if self._p.gap_follows:
                way = np.where(after.gap > 0.0, after.gap - state.gap, 0.0)
                after = replace(after, gap_rate=np.nan_to_num(way) / length)
            state, total = after, total.plus(1.0, passed)
            now = end if last else now + length
            self.steps += 1
            if callback is not None:
                callback(now, state)
        return state, Counters(*(self._summed(part) for part in total))

    # -- one step

    def _step(self, state: State, now: float, length: float) -> tuple[State, Counters, float]:
        p = self._p
        begin = self._ahead(state, length)
        turn = p.local.turnover(p.mean_f(begin.f), p.mean_n(begin.n))
        fastest = float(p.body.comm.allreduce(turn.fastest, MPI.MAX))
        invert = self._inverse(begin, turn, GAMMA * length)
        first = self._rates(begin.f, begin.n, turn)
        k1 = invert(first)
        f, n = begin.f + length * k1.f, begin.n + length * k1.n
        np.clip(f, 0.0, 1.0, out=f)
        np.maximum(n, 0.0, out=n)
        second = self._rates(f, n, None if p.moving_f.turned or p.moving_n.turned else turn)
        k2 = invert(
            Rates(second.f - 2.0 * k1.f, second.n - 2.0 * k1.n, second.counters.plus(-2.0, k1.counters))
        )
        f = begin.f + length * (1.5 * k1.f + 0.5 * k2.f)
        n = begin.n + length * (1.5 * k1.n + 0.5 * k2.n)
        passed = p.no_counters().plus(1.5 * length, k1.counters).plus(0.5 * length, k2.counters)
        error = self._error(f, n, 0.5 * length * (k1.f + k2.f), 0.5 * length * (k1.n + k2.n))
        if error <= 1.0:
            if GAMMA * length * fastest > EXPLICIT:
                self._followable(begin, invert, (first, second, k1), now, length)
            f, n = self._positive(f, n)
            f, n = self._closed(begin, passed, f, n)
            return self._followed(f, n, begin.gap, state.gap), passed, error
        return state, passed, error

    def _rates(self, f: Floats, n: Floats, turn: Turnover | None) -> Rates:
        """Of occupations; ``turn`` if it is known."""
        p = self._p
        mean_f, mean_n = p.mean_f(f), p.mean_n(n)
        turn = p.local.turnover(mean_f, mean_n) if turn is None else turn
        local = p.local.rates(mean_f, mean_n)
        moved_f, moved_n = p.moving_f.rates(f, turn.f), p.moving_n.rates(n, turn.n)
        moved_f.y += local.f[:, None, :]
        moved_n.y += local.n[:, None, :]
        counters = Counters(local.given_f, local.given_n, moved_f.lost, moved_n.lost)
        return Rates(moved_f.y, moved_n.y, counters)

    def _inverse(self, state: State, turn: Turnover, length: float) -> Callable[[Rates], Rates]:
        """Solver of ``(1 − length × A) k = r``, counters along with it."""
        p = self._p
        solve_f = p.moving_f.implicit(length, turn.f, state.f)
        solve_n = p.moving_n.implicit(length, turn.n, state.n)
        fastest = float(p.body.comm.allreduce(turn.fastest, MPI.MAX))
        collide = None
        if length * fastest > EXPLICIT:
            collide = p.local.implicit(length, p.mean_f(state.f), p.mean_n(state.n))

        def solve(r: Rates) -> Rates:
            moved_f, moved_n = solve_f(r.f), solve_n(r.n)
            f, n, counters = moved_f.y, moved_n.y, r.counters
            counters = counters._replace(
                lost_f=counters.lost_f + length * moved_f.lost, lost_n=counters.lost_n + length * moved_n.lost
            )
            if collide is not None:
                mean_f, mean_n = p.mean_f(f), p.mean_n(n)
                local = collide(mean_f, mean_n)
                f = f + (local.f - mean_f)[:, None, :]
                n = n + (local.n - mean_n)[:, None, :]
                counters = counters._replace(
                    given_f=counters.given_f + local.given_f, given_n=counters.given_n + local.given_n
                )
            return Rates(f, n, counters)

        return solve

    # -- control

    def _error(self, f: Floats, n: Floats, off_f: Floats, off_n: Floats) -> float:
        """Largest error in units of the tolerance, of both species and all cells."""
        p = self._p
        worst = 0.0
        missed = self._energies(off_f, off_n)
        for of_cells, scale in zip(missed, self._scales(f, n), strict=True):
            ratio = np.divide(of_cells, scale, out=np.zeros_like(of_cells), where=scale > 0.0)
            worst = max(worst, float(ratio.max(initial=0.0)) if np.all(np.isfinite(ratio)) else np.inf)
        return float(p.body.comm.allreduce(worst, MPI.MAX)) / self._tolerance

    def _followable(
        self,
        begin: State,
        invert: Callable[[Rates], Rates],
        stage: tuple[Rates, Rates, Rates],
        now: float,
        length: float,
    ) -> None:
        """Refuses a step in which motion and collisions, each by itself, undo what both together would do.

        The defect of the first stage with the whole Jacobian, ``F + γΔt J k1 − k1``, is inverted once more.
        Where little of k1 comes back, the product is as good as its sum; where nearly all does, k1 is a small
        part of what it should be, and the difference of both orders does not see it. A species may miss as
        much as the tolerance allows in the time so far; where single cells miss more, a warning says so
        (theory: transport, section on time).
        """
        p, (first, second, k1) = self._p, stage
        off = invert(
            Rates(
                first.f + GAMMA * (second.f - first.f) - k1.f,
                first.n + GAMMA * (second.n - first.n) - k1.n,
                p.no_counters(),
            )
        )
        allowed = self._tolerance / (now + length)
        in_cells = overall = 0.0
        for missing, made, scale in zip(
            self._energies(off.f, off.n),
            self._energies(k1.f, k1.n),
            self._scales(begin.f, begin.n),
            strict=True,
        ):
            in_cells = max(in_cells, _undone(missing, made, allowed * scale))
            sums = self._summed(np.array([a @ p.body.volume for a in (missing, made, scale)]))
            overall = max(overall, _undone(sums[:1], sums[1:2], allowed * sums[2:]))
        if overall > 0.0:
            raise Refused(
                f"motion and collisions one after the other leave {overall:.2g} of a change by both undone"
            )
        in_cells = float(p.body.comm.allreduce(in_cells, MPI.MAX))
        if in_cells > 0.0 and not self._warned:
            self._warned = True
            log.warning(
                "from time %.3g τ0 on steps are long against motion and collisions: where a cell changes by "
                "both of them it may lag behind, by up to %.2g of the change; compare with a smaller "
                "tolerance, or with the steady state",
                now,
                in_cells,
            )

    def _energies(self, f: Floats, n: Floats) -> list[Floats]:
        """Energy density of the sizes of both species, ``(n_owned,)`` each."""
        p = self._p
        return [
            np.einsum("ce,cme,m->c", weight * (energies / p.body.volume[:, None]), np.abs(y), directions)
            for y, weight, energies, directions in (
                (f, p.local.weight_f, p.grid.energies, p.moving_f.weights),
                (n, p.local.weight_n, p.grid.phonon_energies, p.moving_n.weights),
            )
        ]

    def _scales(self, f: Floats, n: Floats) -> list[Floats]:
        """Energy densities against which errors are measured, ``(n_owned,)`` each."""
        held = self._energies(f, n)
        largest = np.array([of_cells.max(initial=0.0) for of_cells in held])
        self._p.body.comm.Allreduce(MPI.IN_PLACE, largest, MPI.MAX)
        return [
            of_cells + FLOOR * full + TRIFLE * largest.max()
            for of_cells, full in zip(held, largest, strict=True)
        ]

    def _first(self, state: State, span: float) -> float:
        """Step in which nothing changes by more than the tolerance."""
        p = self._p
        p.set_gap(state.gap)
        rates = self._rates(state.f, state.n, None)
        change = self._tolerance * self._error(state.f, state.n, rates.f, rates.n)
        return min(span, 0.5 * self._tolerance / change) if change > 0.0 else span

    def _longest(self, state: State) -> float:
        """Step in which no gap moves further than it may."""
        own = 0.0 if state.gap_rate is None else float(np.abs(state.gap_rate).max(initial=0.0))
        speed = float(self._p.body.comm.allreduce(own, MPI.MAX))
        return self._gap_step / speed if speed > 0.0 else np.inf

    @property
    def _gap_step(self) -> float:
        return min(GAP_STEP * self._tolerance, LONGEST_GAP_STEP)

    def _summed(self, part: Floats) -> Floats:
        out = np.ascontiguousarray(part)
        self._p.body.comm.Allreduce(MPI.IN_PLACE, out)
        return out

    # -- bounds

    def _positive(self, f: Floats, n: Floats) -> tuple[Floats, Floats]:
        """Occupations within their bounds, with what every energy holds in all cells together."""
        p = self._p
        over = float(p.body.comm.allreduce(float(np.max(f, initial=0.0)), MPI.MAX))
        if over > 1.0 + self._tolerance * CUT:
            raise Refused(f"an occupation of quasiparticles rises to {over:.6g}")
        out = []
        for y, weight, energies, directions in (
            (f, p.local.weight_f, p.grid.energies, p.moving_f.weights),
            (n, p.local.weight_n, p.grid.phonon_energies, p.moving_n.weights),
        ):
            negative = p.body.comm.allreduce(bool(np.any(y < 0.0)), MPI.LOR)
            if not negative:
                out.append(y)
                continue
            kept = np.maximum(y, 0.0)
            sums = np.stack([np.einsum("ce,cme,m->e", weight, a, directions) for a in (y, kept)])
            p.body.comm.Allreduce(MPI.IN_PLACE, sums)
            before, after = sums
            cut = float((after - before) @ energies) / max(float(before @ energies), 1e-300)
            if not 0.0 <= cut <= CUT * self._tolerance:
                raise Refused(f"occupations fall below 0, by {cut:.2g} of all energy")
            kept *= np.divide(np.maximum(before, 0.0), after, out=np.ones_like(after), where=after > 0.0)
            # energies that held less than nothing have taken from all others
            kept *= float(before @ energies) / float(np.maximum(before, 0.0) @ energies)
            out.append(kept)
        return np.minimum(out[0], 1.0), out[1]

    def _closed(self, begin: State, passed: Counters, f: Floats, n: Floats) -> tuple[Floats, Floats]:
        """Occupations whose energy is what it was and what came: long steps of fast motion round it off."""
        p = self._p
        energies = p.grid.energies, p.grid.phonon_energies
        held = [
            sum(
                float(np.einsum("ce,cme,m->", weight * energy, y, directions))
                for y, weight, energy, directions in (
                    (a, p.local.weight_f, energies[0], p.moving_f.weights),
                    (b, p.local.weight_n, energies[1], p.moving_n.weights),
                )
            )
            for a, b in ((begin.f, begin.n), (f, n))
        ]
        came = (passed.given_f.sum(axis=0) - passed.lost_f.sum(axis=0)) @ energies[0]
        came += (passed.given_n.sum(axis=0) - passed.lost_n.sum(axis=0)) @ energies[1]
        before, after, came = (float(x) for x in self._summed(np.array([*held, came])))
        if not after > 0.0:
            return f, n
        factor = (before + came) / after
        if not abs(factor - 1.0) <= ROUNDED:
            raise Refused(f"energy changes by {abs(factor - 1.0):.1e} of itself")
        return np.minimum(factor * f, 1.0), factor * n

    # -- the gap

    def _ahead(self, state: State, length: float) -> State:
        """The state with gaps half of the expected way ahead, and spectra of these."""
        p = self._p
        f, gap = state.f, state.gap
        rate = state.gap_rate
        if rate is not None:
            f, gap = f.copy(), gap.copy()
            mean = p.mean_f(f)
            for one in p.media:
                if one.follower is not None and len(one.owned):
                    at = one.owned
                    target = np.maximum(gap[at] + 0.5 * length * rate[at], one.follower.floor)
                    there = one.follower.shift(np.clip(mean[at], 0.0, 1.0), gap[at], target)
                    f[at], gap[at] = _carried(f[at], mean[at], there.f), there.gap
        p.set_gap(gap)
        return State(f, state.n, gap)

    def _followed(self, f: Floats, n: Floats, gap: Floats, before: Floats) -> State:
        """Gaps that solve their equation, and quasiparticles carried along."""
        p = self._p
        if not p.gap_follows:
            return State(f, n, gap)
        f, gap, problem = with_their_gaps(p, f, gap)
        if problem:
            raise Refused(problem)
        way = float(p.body.comm.allreduce(float(np.nanmax(np.abs(gap - before), initial=0.0)), MPI.MAX))
        if way > 2.0 * self._gap_step and self._shortened < SHORTENED:
            self._shortened += 1
            raise Refused(f"a gap moves by {way:.2g} Δ0")
        self._shortened = 0
        return State(f, n, gap)


def with_their_gaps(p: TransportProblem, f: Floats, gap: Floats) -> tuple[Floats, Floats, str]:
    """Occupations carried along with gaps to the solutions of their equations, these gaps, and what is wrong
    with them in any cell, or nothing. Collective; ``f`` is overwritten."""
    gap, mean, problem = gap.copy(), p.mean_f(f), ""
    for one in p.media:
        if one.follower is None or not len(one.owned):
            continue
        at = one.owned
        try:
            there = one.follower.follow(np.clip(mean[at], 0.0, 1.0), gap[at])
        except (CaseError, ConvergenceError) as error:
            problem = str(error)
            break
        f[at], gap[at] = _carried(f[at], mean[at], there.f), there.gap
    return f, gap, next((text for text in p.body.comm.allgather(problem) if text), "")


def _carried(f: Floats, mean: Floats, moved: Floats) -> Floats:
    """``f[cell, direction, bin]`` whose means have moved with the gap; directions keep their shares.

    Where an occupation would exceed 1, its bin becomes more isotropic instead.
    """
    if f.shape[1] == 1:
        return moved[:, None, :]
    share = np.divide(f, mean[:, None, :], out=np.ones_like(f), where=mean[:, None, :] > 0.0)
    off = moved[:, None, :] * (share - 1.0)
    most = off.max(axis=1)
    room = np.divide(1.0 - moved, most, out=np.ones_like(most), where=most > 0.0)
    return np.asarray(moved[:, None, :] + np.clip(room, 0.0, 1.0)[:, None, :] * off)


def _undone(missing: Floats, made: Floats, allowed: Floats) -> float:
    """Largest part of a change that is left undone where that matters, or 0."""
    undone = np.divide(missing, made, out=np.zeros_like(made), where=made > 0.0)
    missed = missing / np.maximum(1.0 - undone, DONE)
    return float(undone.max(initial=0.0, where=(undone > UNDONE) & (missed > allowed)))
