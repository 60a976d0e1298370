"""Steady states of the transport problem: Newton's method with pseudo-transient steps on the way.

A step of length Δt solves ``(1/Δt − J) δ = F(y)``, J the Jacobian of all motion and collisions together, by
GMRES; what time steps invert, the product of motion and collisions each by itself, preconditions it. Δt grows
until nothing changes any more: backward Euler at first, Newton's method in the end (C. T. Kelley and
D. E. Keyes, SIAM J. Numer. Anal. 35, 508 (1998); theory: transport, section on steady states).
"""

from __future__ import annotations

import logging
import time

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import accuracy
from fvqp.models.boltzmann.gaps import correct_gap
from fvqp.models.boltzmann.linearized import Linearized
from fvqp.models.boltzmann.motion import OrdinatesOperator
from fvqp.models.boltzmann.problem import BoltzmannEquations, BoltzmannProblem
from fvqp.models.boltzmann.state import Counters, Rates, State
from fvqp.petsc import Tell, as_snes
from fvqp.solvers.newton import solve_linearized
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Residual of a linear solve, relative to its right-hand side, of which slow processes are a small part.
LINEAR = 1e-6
#: Longest product that preconditions, and the first step: over τ0 motion and collisions commute well enough;
#: where nothing collides there is motion alone.
SPLIT, ALONE = 1.0, 1e3
#: Unknowns below this part of the largest one are not followed to a relative accuracy: where particles fly,
#: whose sums over directions rounding spoils, elsewhere, and of the largest of its energy where nothing
#: collides.
FLYING_FLOOR, FLOOR, ALONE_FLOOR = 1e-12, 1e-25, 1e-6
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
        steps: taken so far.
        change: relative change in the latest one, as errors of time steps are measured.
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
        self._searches, self._frozen_limiter, self._below, self._split = False, False, 0.0, SPLIT
        self._last_line = time.monotonic()

    def solve(self, state: State) -> State:
        """The steady state near ``state``.

        Raises:
            ConvergenceError: none found; says how much changes still.
        """
        start = np.concatenate([state.f.ravel(), state.n.ravel()])
        return as_snes(
            lambda tell: self._solve(state, tell), start, comm=self._p.body.comm, prefix="fvqp_steady_"
        )

    def _solve(self, state: State, tell: Tell) -> State:
        inelastic = self._p.at(state.gap).inelastic_rates(state.f, state.n)
        fastest = self._p.body.comm.allreduce(inelastic.fastest, MPI.MAX)
        self._split = length = SPLIT if fastest > 0.0 else ALONE
        before, failures = np.inf, 0
        least, waited, rounds, in_time = np.inf, 0, 0, None
        while self.steps < self._max:
            try:
                after, change = self._step(state, length)
            except ConvergenceError as error:
                failures += 1
                log.debug("step of %.3g: %s", length, error)
                self._tell(f"a step of {length:.1e} tau0 failed")
                length *= REDUCTION
                if failures == TRIALS and self.steps == 0:
                    raise ConvergenceError(
                        f"no steady state: no step from the initial state succeeds ({error}); where sources "
                        "make far more than a cold bath, a warmer initial.temperature is nearer to it"
                    ) from None
                if failures == TRIALS:
                    raise ConvergenceError(
                        f"no steady state after {self.steps} steps, the last of which changed energies by "
                        f"{self.change:.1e}: {error}; {REMEDY}"
                    ) from None
                continue
            self.steps, failures, state = self.steps + 1, 0, after
            log.debug("step %d of %.3g: changes by %.2e", self.steps, length, change)
            self.change = change
            tell(self.steps, change, np.concatenate([state.f.ravel(), state.n.ravel()]))
            # Longer steps would change more, were they not long against all that still happens.
            if change <= self._tolerance and change <= before:
                state = self._refined(state, length)
                log.info("steady state: %d steps, last change %.1e", self.steps, self.change)
                self._balanced(state)
                return self._closed(state)
            self._tell(f"step {self.steps} changed energies by {change:.1e}")
            before = change
            shrinks = change <= SHRINKS * least
            least = min(least, change)
            waited = waited + 1 if length >= LONG and change < SMALL and not shrinks else 0
            self._searches = waited > 0 and self._limited
            if waited == PATIENT and self._frozen_limiter:
                self._frozen_limiter, waited = False, 0
            elif waited == RESTLESS and self._limited and not self._frozen_limiter and rounds < ROUNDS:
                # each time from where the one before ended: long steps led away from it
                state = in_time = self._in_time(state if in_time is None else in_time)
                least, before, waited, rounds = np.inf, np.inf, 0, rounds + 1
            if waited == PATIENT:
                raise ConvergenceError(
                    f"no steady state: changes of {least:.1e} in the energy of a cell do not become smaller, "
                    f"{self._tolerance:.1e} is wanted; {self._limits()}{REMEDY}"
                )
            length *= GROWTH
        raise ConvergenceError(
            f"no steady state after {self.steps} steps: the last one changed energies by {self.change:.1e}; "
            f"{REMEDY}"
        )

    def _in_time(self, state: State) -> State:
        """A state after short steps, which limits of gradients follow from cell to cell. Collective."""
        streams = [
            one.streaming
            for one in (self._p.moving_f, self._p.moving_n)
            if isinstance(one, OrdinatesOperator)
        ]
        own = max(float(np.max(one.crossing_rate(), initial=0.0)) for one in streams if one is not None)
        length = CROSSINGS / float(self._p.body.comm.allreduce(own, MPI.MAX))
        self._searches = False
        for _ in range(SHORT_STEPS):
            try:
                state, change = self._step(state, length)
            except ConvergenceError as error:
                log.debug("step of %.3g, not needed: %s", length, error)
                break
            log.debug("short step: changes by %.2e", change)
        return state

    def _tell(self, what: str) -> None:
        """Says now and then how far it is."""
        now = time.monotonic()
        if now - self._last_line >= LINE_EVERY:
            self._last_line = now
            log.info("steady state: %s, %.1e is wanted", what, self._tolerance)

    @property
    def _schemes(self) -> set[str]:
        """Spatial schemes of species in discrete ordinates."""
        flying = [one for one in (self._p.moving_f, self._p.moving_n) if isinstance(one, OrdinatesOperator)]
        return {one.streaming.scheme for one in flying if one.streaming is not None}

    @property
    def _limited(self) -> bool:
        """True if gradients of particles that fly are limited."""
        return "limited" in self._schemes

    def _limits(self) -> str:
        """Return advice for limits of gradients that go back and forth, or for occupations below 0."""
        if self._below > BALANCE and "linear" in self._schemes:
            return (
                "without limits of gradients occupations would be negative in places: take scheme = "
                '"limited"; '
            )
        if self._below > BALANCE and self._schemes:
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

    def _refined(self, state: State, length: float) -> State:
        """One step further: the balance of powers, too, then closes to rounding."""
        try:
            after, change = self._step(state, length)
        except ConvergenceError as error:
            log.debug("step of %.3g, not needed: %s", length, error)
            return state
        if change > self.change:
            return state
        self.steps, self.change = self.steps + 1, change
        return after

    def _closed(self, state: State) -> State:
        """The state times the factor, within the tolerance, with which powers add up to nothing.

        Where particles scatter often, rounding of those that come back in another direction is what decides
        on the sum of all. More than the tolerance is left as it is, for what it says of the state.
        """
        named, left = net_power(self._p, state)
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

    def _balanced(self, state: State) -> None:
        """Raise `ConvergenceError` for an unchanging state whose gap is held up at the end of the axis: it
        is not steady."""
        named, left = net_power(self._p, state)
        ledger = self._p.ledger(state)
        moved = sum(abs(power) for power in named.values())
        part = max(BALANCE, TOLERANCES * self._tolerance)
        if abs(left) > part * moved + ROUNDING * (ledger.quasiparticles + ledger.phonons):
            why = self._limits() + REMEDY
            if self._p.gap_follows:
                low = float(self._p.body.comm.allreduce(float(np.nanmin(state.gap, initial=np.inf)), MPI.MIN))
                why = (
                    f"the smallest gap is {low:.4g} Δ0, and bins begin at {self._p.grid.edges[0]:.4g} Δ0: "
                    "they must begin below all gaps, or at 0"
                )
            raise ConvergenceError(
                f"no steady state: nothing changes any more, but {abs(left) / moved:.2g} of the power of "
                f"sources and losses is left over; {why}"
            )

    def _step(self, state: State, length: float) -> tuple[State, float]:
        comm = self._p.body.comm
        try:
            system, scaled = self._linear(state, length, self._frozen_limiter)
        except ConvergenceError as error:
            if self._frozen_limiter or not self._limited:
                raise
            # what limits do as they change can be nearly singular: steps come closer without that
            log.debug("%s; limits of gradients are fixed from here on", error)
            self._frozen_limiter = True
            system, scaled = self._linear(state, length, True)
        f, n = system.solution(scaled)
        found = self._moved(state, f, n)
        if self._searches:
            tried = [found, *(self._moved(state, part * f, part * n) for part in PARTS)]
            found = tried[int(np.argmin([system.left(one) for one in tried]))]
        new_f, new_n, gap = found.f, found.n, found.gap
        at = system.at
        self._below = _energy_below(at, state.f + f, state.n + n) / _energy_below(at, -new_f, -new_n)
        scale = accuracy.energy_scales(at, new_f, new_n)
        change = accuracy.largest_change(at, (new_f - state.f, new_n - state.n), scale)
        moved = np.abs(np.nan_to_num(gap - state.gap)).max(initial=0.0)
        return State(new_f, new_n, gap), max(change, float(comm.allreduce(float(moved), MPI.MAX)))

    def _linear(self, state: State, length: float, frozen_limiter: bool) -> tuple[_System, Floats]:
        """The equations of a step, and their solution."""
        system = _System(self._p, state, length, self._split, frozen_limiter)
        scaled, iterations = solve_linearized(
            system,
            system.right,
            comm=self._p.body.comm,
            tolerance=LINEAR,
            what="steady state",
            preconditioned=True,
        )
        log.debug("%d iterations", iterations)
        return system, scaled

    def _moved(self, state: State, f: Floats, n: Floats) -> State:
        """A state after a step, within bounds."""
        new_f = np.clip(np.maximum(state.f + f, MIN_LEFT * state.f), 0.0, 1.0)
        new_n = np.maximum(state.n + n, MIN_LEFT * state.n)
        return State(*correct_gap(self._p, new_f, new_n, state.gap))


class _System:
    """``(1/Δt − J) δ = F`` at a state, in units of the unknowns.

    Both sides are what a time step makes of them: a residual is an error of δ then, whereas among rates the
    fastest processes would outweigh all others.

    Attributes:
        at: equations at the gaps of the state.
    """

    def __init__(
        self, problem: BoltzmannProblem, state: State, length: float, split: float, frozen_limiter: bool
    ) -> None:
        self._p, self._state, self.at = problem, state, problem.at(state.gap)
        self._shift = 1.0 / length
        self._size = state.f.size
        floors = self._floors(split)
        rates = self.at.rates(state.f, state.n)
        # an elimination that serves a step in time is too far off where bins hold hardly anything
        problem.forget()
        inelastic = self.at.inelastic_rates(state.f, state.n)
        self._near = Linearized(
            self.at, state, inelastic, min(length, split), limits=True, frozen_limiter=frozen_limiter
        )
        ahead = self._ahead(rates.f, rates.n)
        # What holds nothing yet is measured by what a step of time makes of it.
        y = np.concatenate([state.f.ravel(), state.n.ravel()])
        self.scale = np.maximum(y + np.abs(ahead) + floors, np.finfo(np.float64).tiny)
        self.right = ahead / self.scale
        self._unit = self.scale * self._relaxation_steps(min(length, split))

    def _relaxation_steps(self, length: float) -> Floats:
        """Relaxation time of localized states in preconditioned time steps, for each unknown; 1 elsewhere.

        Localized quasiparticles may live for 1e6 steps, and act on others hardly at all. In this unit their
        equations are as well conditioned as the rest; linear solves stall without it.
        """
        p, state = self._p, self._state
        decay = length * self.at.local.localized_decay(p.mean_f(state.f), p.mean_n(state.n))
        steps = np.where(decay > 0.0, (1.0 + decay) / (length * self._shift + decay), 1.0)
        steps = np.broadcast_to(np.maximum(steps, 1.0)[:, None, :], state.f.shape)
        return np.concatenate([steps.ravel(), np.ones(state.n.size)])

    def _floors(self, split: float) -> Floats:
        """Return the least scales of the unknowns."""
        p, state = self._p, self._state
        if split > SPLIT:
            # Energies that know nothing of one another: each by itself.
            by_energy = [y.max(axis=(0, 1), initial=0.0) for y in (state.f, state.n)]
            of_all = np.concatenate(by_energy)
            p.body.comm.Allreduce(MPI.IN_PLACE, of_all, MPI.MAX)
            parts = zip(np.split(of_all, [len(by_energy[0])]), (state.f, state.n), strict=True)
            return ALONE_FLOOR * np.concatenate([np.broadcast_to(one, y.shape).ravel() for one, y in parts])
        largest = np.array([state.f.max(initial=0.0), state.n.max(initial=0.0)])
        p.body.comm.Allreduce(MPI.IN_PLACE, largest, MPI.MAX)
        # A species of which there is nothing yet is measured by the other one.
        largest[largest == 0.0] = largest.max()
        flies = p.moving_f.isotropized or p.moving_n.isotropized
        return np.repeat((FLYING_FLOOR if flies else FLOOR) * largest, [state.f.size, state.n.size])

    def solution(self, step: Floats) -> tuple[Floats, Floats]:
        """Quasiparticles and phonons of the unknowns of `action`."""
        return self.split(step * self._unit)

    def split(self, y: Floats) -> tuple[Floats, Floats]:
        """Quasiparticles and phonons of a vector."""
        return y[: self._size].reshape(self._state.f.shape), y[self._size :].reshape(self._state.n.shape)

    def left(self, state: State) -> float:
        """Sum of what rates at another state make of energies in a time step. Collective."""
        there = self._p.at(state.gap)
        rates = there.rates(state.f, state.n)
        f, n = self.split(self._ahead(rates.f, rates.n))
        return _energy(there, f, n)

    def _ahead(self, f: Floats, n: Floats) -> Floats:
        """Return the change that a time step makes of rates."""
        k = self._near.approximate(Rates(f, n, self._p.no_counters()))
        return np.concatenate([k.f.ravel(), k.n.ravel()]) * self._near.length

    def action(self, step: Floats) -> Floats:
        """Left-hand side."""
        f, n = self.split(step * self._unit)
        change = self._near.change(f, n)
        return self._ahead(self._shift * f - change.f, self._shift * n - change.n) / self.scale

    def precondition(self, residual: Floats) -> Floats:
        """Nothing more: the residual is what a time step makes of it."""
        return residual

    def residual(self, x: Floats) -> Floats:
        """Return the residual of the equation at the state; the solver of linear systems has no use for
        it."""
        return self.right

    def linearize(self, x: Floats) -> None:
        """The state is what it was made with."""


def _energy(at: BoltzmannEquations, f: Floats, n: Floats) -> float:
    """Return the energy of occupations, whatever their sign. Collective."""
    body = at.problem.body
    own = sum(float(body.volume @ of_cells) for of_cells in accuracy.energies(at, f, n))
    return float(body.comm.allreduce(own, MPI.SUM))


def _energy_below(at: BoltzmannEquations, f: Floats, n: Floats) -> float:
    """Return the energy of occupations below 0. Collective."""
    below = _energy(at, np.minimum(f, 0.0), np.minimum(n, 0.0))
    return below + float(np.finfo(np.float64).tiny)


def net_power(problem: BoltzmannProblem, state: State) -> tuple[dict[str, float], float]:
    """Power that exchanges bring and walls take (negative), and what is left over of it. Collective.

    In 4 N0 Δ0²/τ0 of the reference times volume, of all ranks; in a steady state nothing is left over.
    """
    rates = problem.at(state.gap).rates(state.f, state.n)
    comm = problem.body.comm
    counters = Counters(*(np.array(part) for part in rates.counters))
    for part in counters:
        comm.Allreduce(MPI.IN_PLACE, part)
    ledger = problem.ledger(state, counters)
    named = dict(ledger.given) | {name: -value for name, value in ledger.lost.items()}
    return named, ledger.received
