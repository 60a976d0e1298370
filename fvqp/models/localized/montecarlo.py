"""Exact kinetic Monte Carlo of localized quasiparticles: they come, stay where they are, vanish in pairs.

Every unordered pair vanishes at the rate Γ(R) of its distance; newcomers appear at rate A(x) per volume.
The dense limit is ``dc/dt = A − Γ̄ c²``. Theory:
docs/theory/localized.md; Bespalov et al., PRL 117, 117002 (2016).
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fvqp.errors import CaseError, CheckpointError
from fvqp.models.localized import gas as g
from fvqp.models.localized import layout
from fvqp.models.localized.domain import Domain
from fvqp.models.localized.dynamics import (
    ARRIVED,
    CELL_FULL,
    LAYOUT_WORN,
    PAUSED,
    QUEUE_FULL,
    SLOTS_FULL,
    Rules,
    run,
    schedule_all,
)
from fvqp.models.localized.gas import empty_gas
from fvqp.models.localized.laws import BurstingBubbles, Law, TailAnnihilation
from fvqp.models.localized.pairs import stationary
from fvqp.models.localized.queue import N_HEAP, N_LATER, clean, empty_queue
from fvqp.models.localized.rates import pair_rate
from fvqp.models.localized.restart import read_state, write_state
from fvqp.models.localized.rng import seeded
from fvqp.models.localized.trajectory import Trajectory
from fvqp.models.localized.validity import FEW_PARTICLES, check_box, doubts

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Progress = Callable[[float, int], None]

_CHUNK = 1_000_000


class Simulation:
    """One run: a gas in a domain, its clock, and its stream of random numbers.

    Parameters
    ----------
    domain : `box` or `mesh_domain`.
    law : `TailAnnihilation` or `BurstingBubbles`.
    generation : rate A in 1/(m^dim s), a number or a value for each cell of a mesh domain.
    spins : newcomers have a classical spin, up or down alike, and only opposite ones annihilate.
    flip_rate : spin flips per particle, 1/s.
    seed : an integer or a `numpy.random.SeedSequence`; kept as ``seed``.
    warn : whether ``warnings`` are logged as well.
    near_radius : in metres, overrides the choice of which pairs get times of their own; for tests only, since
        it changes the cost and nothing else.

    Raises `CaseError`: what is not a rate, spin flips without spins, a periodic box so small that images of
    a particle in reach are left out. What is allowed but outside of the model's claims is in ``warnings``.
    """

    def __init__(
        self,
        domain: Domain,
        law: Law,
        *,
        generation: ArrayLike = 0.0,
        spins: bool = False,
        flip_rate: float = 0.0,
        seed: int | np.random.SeedSequence = 0,
        near_radius: float | None = None,
        warn: bool = True,
    ) -> None:
        self.domain, self.law, self.spins = domain, law, spins
        self._warns = warn
        if not (math.isfinite(flip_rate) and flip_rate >= 0.0):
            raise CaseError(f"flip_rate: must be finite and not negative, got {flip_rate}")
        if flip_rate > 0.0 and not spins:
            raise CaseError("flip_rate: has no meaning without spins; set spins or leave it out")
        self.flip_rate = float(flip_rate)
        self.instant = isinstance(law, BurstingBubbles)
        if near_radius is not None:
            if self.instant:
                raise CaseError("near_radius: bursting bubbles have none, their distance is what counts")
            if not (math.isfinite(near_radius) and near_radius >= 0.0):
                raise CaseError(f"near_radius: must be finite and not negative, got {near_radius}")
        self._near = None if near_radius is None else near_radius / law.length
        self.seed = seed if isinstance(seed, np.random.SeedSequence) else np.random.SeedSequence(seed)
        self.warnings: list[str] = []
        check_box(domain, law)
        self._lengths = domain.lengths / law.length
        self._gas = empty_gas(256, domain.n_cells, seeded(self.seed))
        self._queue = empty_queue(1)
        self._density = np.zeros(domain.n_cells)
        self._marks = np.zeros(2)
        self.set_generation(generation)
        self._lay_out()

    # What there is -------------------------------------------------------------------------------

    @property
    def time(self) -> float:
        """Seconds since the start."""
        return float(self._gas.clock[g.TIME]) * self.law.time

    @property
    def number(self) -> int:
        return int(self._gas.tally[g.N])

    @property
    def events(self) -> int:
        """Events that changed the gas so far: generations, annihilations, flips."""
        return int(self._gas.tally[[g.GENERATED, g.ANNIHILATED, g.FLIPPED]].sum())

    @property
    def positions(self) -> Floats:
        """``(number, 3)`` metres, in the coordinates of the domain."""
        return np.asarray(self._gas.position[self._alive] * self.law.length + self.domain.origin)

    @property
    def spin(self) -> NDArray[np.int8]:
        """``(number,)`` ±1; all +1 without spins."""
        return self._gas.spin[self._alive]

    @property
    def generation(self) -> Floats:
        """``(n_cells,)`` A in 1/(m^dim s)."""
        return self._density

    @property
    def expected_number(self) -> float:
        """Particles in the steady state, roughly: by the pair approximation, or one a volume of a bubble."""
        if self.instant or self.domain.dim < 3:
            return self.domain.volume / self.law.length**self.domain.dim
        assert isinstance(self.law, TailAnnihilation)
        alpha = self._density * self.law.length**3 * self.law.time
        some = alpha > 0.0
        dense = stationary(alpha[some]) / self.law.length**3
        return float(np.sum(dense * self.domain.cell_volume[some]))

    @property
    def _alive(self) -> NDArray[np.bool_]:
        return self._gas.serial >= 0

    # What can be done ----------------------------------------------------------------------------

    def set_generation(self, generation: ArrayLike) -> None:
        """Changes the rate A from now on: switches it off with 0, or on, or to another field."""
        self._density = self.domain.density(generation, "generation")
        total = float(np.sum(self._density * self.domain.cell_volume)) * self.law.time
        self._rules = Rules(
            np.array([total]), np.array([self.flip_rate * self.law.time]), self.spins, self.instant
        )
        self._source = self.domain.source(self._density, self.law.length)
        self._gas.clock[g.NEXT] = -1.0
        if total > 0.0:
            for text in doubts(self.domain, self.expected_number, spins=self.spins, flip_rate=self.flip_rate):
                self._warn(text)

    def place(self, positions: ArrayLike, spin: ArrayLike | None = None) -> None:
        """Puts particles where they are said to be, ``(n, 3)`` metres, before anything has happened.

        Raises `CaseError`: the gas is not empty, a position outside the domain's box, spins that are not ±1.
        They count as generated. Bubbles placed within reach of each other burst when another comes only.
        """
        at = np.asarray(positions, dtype=np.float64)
        if at.ndim != 2 or at.shape[1] != 3 or not np.all(np.isfinite(at)):
            raise CaseError(f"positions: expected (n, 3) finite numbers, got shape {at.shape}")
        at = (at - self.domain.origin) / self.law.length
        if np.any(at < 0.0) or np.any(at > self._lengths):
            raise CaseError(f"positions: outside of the domain {self.domain.name}")
        if self.number or self.time > 0.0:
            raise CaseError("positions: particles can be placed in a new simulation only")
        sign = np.ones(len(at), np.int8) if spin is None else np.asarray(spin)
        if sign.shape != (len(at),) or np.any(np.abs(sign) != 1) or (spin is not None and not self.spins):
            raise CaseError("spin: expected +1 or -1 for each position of a simulation with spins")
        if self.domain.n_cells > 1:
            raise CaseError("positions: particles can be placed in a box only, a mesh domain starts empty")
        n = len(at)
        self._gas = empty_gas(n + 256, self.domain.n_cells, self._gas.rng)
        self._gas.position[:n] = at
        self._gas.spin[:n] = sign
        self._gas.serial[:n] = np.arange(n)
        count = self._gas.tally
        count[[g.N, g.TOP, g.SERIAL, g.GENERATED]] = n
        count[g.N_UP] = np.count_nonzero(sign > 0)
        self._lay_out()

    def advance(
        self, times: ArrayLike, *, cells: bool = False, progress: Progress | None = None
    ) -> Trajectory:
        """Runs to the last of ``times`` (seconds, increasing, none in the past), and counts between them.

        ``cells``: also average the concentration of every cell of a mesh domain. ``progress(part, events)``
        is called now and then with the part of the time that is done and the number of events so far.
        """
        until = np.atleast_1d(np.asarray(times, dtype=np.float64))
        if until.ndim != 1 or not len(until) or not np.all(np.isfinite(until)) or np.any(np.diff(until) <= 0):
            raise CaseError("times: must be finite and increasing")
        if until[0] <= self.time:
            raise CaseError(
                f"times: the first, {until[0]:.6g} s, is not after the present, {self.time:.6g} s"
            )
        gas, start = self._gas, self.time
        n = len(until)
        number, up = np.zeros(n + 1, np.int64), np.zeros(n + 1, np.int64)
        mean, mean_up = np.zeros(n), np.zeros(n)
        counts = np.zeros((n + 1, 3), np.int64)
        per_cell = np.zeros((n if cells else 0, self.domain.n_cells))
        rows = [g.GENERATED, g.ANNIHILATED, g.FLIPPED]
        number[0], up[0], counts[0] = gas.tally[g.N], gas.tally[g.N_UP], gas.tally[rows]
        if cells:
            g.flush(gas)
        for k, stop in enumerate(until / self.law.time):
            before = float(self._gas.clock[g.TIME])
            self._gas.integral[:] = 0.0
            self._gas.dwell[:] = 0.0
            while self._run(stop) != ARRIVED:
                if progress is not None:
                    progress(min((self.time - start) / (until[-1] - start), 1.0), self.events)
            gas = self._gas
            span = stop - before
            number[k + 1], up[k + 1], counts[k + 1] = gas.tally[g.N], gas.tally[g.N_UP], gas.tally[rows]
            mean[k], mean_up[k] = gas.integral / span
            if cells:
                g.flush(gas)
                per_cell[k] = gas.dwell / (span * self.domain.cell_volume)
            if progress is not None:
                progress(min((self.time - start) / (until[-1] - start), 1.0), self.events)
        changes = np.diff(counts, axis=0)
        return Trajectory(
            np.concatenate([[start], until]),
            number,
            up,
            mean,
            mean_up,
            changes[:, 0],
            changes[:, 1],
            changes[:, 2],
            per_cell,
            self.domain.volume,
        )

    def save(self, path: Path) -> None:
        """Writes the state of the run, arrays only; the file is whole or not there."""
        write_state(path, self._state())

    @classmethod
    def load(cls, path: Path, domain: Domain, law: Law) -> Simulation:
        """The run that was saved; it goes on as if it had never stopped, bit for bit.

        Raises `CheckpointError`: no such file, a damaged one, or one of another domain or law.
        """
        state = read_state(path)
        expected = _identity(domain, law)
        for name, value in expected.items():
            if name not in state or not np.array_equal(state[name], value):
                raise CheckpointError(f"{path}: belongs to another run, its {name.replace('_', ' ')} differs")
        try:
            return cls._restored(state, domain, law)
        except (KeyError, ValueError, IndexError) as error:
            raise CheckpointError(f"{path}: damaged, {error}") from None

    # Inside --------------------------------------------------------------------------------------

    def _state(self) -> dict[str, NDArray[Any]]:
        heap, later = self._queue.size
        plan, seed = self._plan, self.seed
        return {
            **_identity(self.domain, self.law),
            **{f"gas_{name}": value for name, value in self._gas._asdict().items()},
            "heap": self._queue.heap[:heap],
            "later": self._queue.later[:later],
            "horizon": self._queue.horizon,
            "capacity": np.array([len(self._queue.later)]),
            "slots": self._grid.slots,
            "fill": self._grid.fill,
            "plan": np.array([plan.near, plan.edge, plan.beyond]),
            "plan_counts": np.array([plan.capacity, plan.particles]),
            "marks": self._marks,
            "density": self._density,
            "spins": np.array([self.spins]),
            "numbers": np.array([self.flip_rate, -1.0 if self._near is None else self._near]),
            "seed": np.array([json.dumps([str(seed.entropy), list(seed.spawn_key)])]),
        }

    @classmethod
    def _restored(cls, state: dict[str, NDArray[Any]], domain: Domain, law: Law) -> Simulation:
        entropy, spawn_key = json.loads(str(state["seed"][0]))
        flip_rate, near = map(float, state["numbers"])
        self = cls(
            domain,
            law,
            generation=state["density"],
            spins=bool(state["spins"][0]),
            flip_rate=flip_rate,
            seed=np.random.SeedSequence(json.loads(entropy), spawn_key=spawn_key),
            near_radius=None if near < 0.0 else near * law.length,
        )
        self._gas = g.Gas(**{name: state[f"gas_{name}"] for name in g.Gas._fields})
        capacity, particles = map(int, state["plan_counts"])
        near, edge, beyond = map(float, state["plan"])
        self._plan = layout.Plan(near, edge, capacity, beyond, particles)
        self._grid, self._far = layout.build(
            self._plan, domain.dim, self._lengths, domain.periodic, instant=self.instant
        )
        self._grid.slots[:] = state["slots"]
        self._grid.fill[:] = state["fill"]
        self._grid.at[:] = self._gas.position[self._grid.slots]
        self._queue = empty_queue(int(state["capacity"][0]))
        for entries, saved in ((self._queue.heap, state["heap"]), (self._queue.later, state["later"])):
            entries[: len(saved)] = saved
        self._queue.size[:] = len(state["heap"]), len(state["later"])
        self._queue.horizon[:] = state["horizon"]
        self._marks[:] = state["marks"]
        return self

    def _run(self, stop: float) -> int:
        """Runs to a time, or for a million events; makes room as it is needed."""
        while True:
            gas = self._gas
            why = run(gas, self._grid, self._far, self._queue, self._rules, self._source, stop, _CHUNK)
            if why in (ARRIVED, PAUSED):
                return int(why)
            if why == SLOTS_FULL:
                self._gas = g.with_slots(gas, 2 * len(gas.serial))
            elif why == QUEUE_FULL:
                clean(self._queue, gas.serial)
                self._make_queue_room()
            elif why == CELL_FULL:
                self._lay_out(capacity=self._grid.slots.shape[1] + 2)
            elif why == LAYOUT_WORN:
                self._lay_out()

    def _lay_out(self, capacity: int = 0) -> None:
        """New cells and near radius for the gas as it is; times of near pairs are drawn anew, which their
        exponential distribution allows at any moment."""
        gas, count, dim = self._gas, self._gas.tally, self.domain.dim
        particles = max(int(count[g.N]), FEW_PARTICLES)
        plan = layout.choose(
            dim,
            self._density_seen(particles),
            particles,
            self._event_rate(particles),
            1.0 if self.instant else self._near,
            instant=self.instant,
        )
        plan = layout.with_capacity(plan, capacity)
        g.compact(gas)
        while True:
            self._grid, self._far = layout.build(
                plan, dim, self._lengths, self.domain.periodic, instant=self.instant
            )
            if g.enter_all(self._grid, gas):
                break
            plan = layout.with_capacity(plan, plan.capacity + 1)
        self._plan = plan
        count[[g.CANDIDATES, g.EVENTS]] = 0
        self._marks[0] = gas.clock[g.TIME]
        gas.clock[g.NEXT] = -1.0
        if self.instant:
            return
        if len(self._queue.later) < self._room:
            self._queue = empty_queue(2 * self._room)
        while True:
            self._queue.size[:] = 0
            self._queue.horizon[0] = -np.inf
            state = gas.rng.copy()
            if schedule_all(gas, self._grid, self._far, self._queue, self._rules):
                return
            gas.rng[:] = state
            self._queue = empty_queue(2 * len(self._queue.later))

    @property
    def _room(self) -> int:
        """Entries that one event can add to the queue."""
        return self._grid.near.shape[0] * self._grid.slots.shape[1] + 1

    def _make_queue_room(self) -> None:
        """A larger queue, unless half of it is free."""
        old = self._queue
        if 2 * (old.size[N_HEAP] + old.size[N_LATER] + self._room) <= len(old.later):
            return
        new = empty_queue(2 * len(old.later) + self._room)
        new.heap[: len(old.heap)] = old.heap
        new.later[: len(old.later)] = old.later
        new.size[:] = old.size
        new.horizon[:] = old.horizon
        self._queue = new

    def _density_seen(self, particles: int) -> float:
        """Particles per unit volume around a particle, in units of the law, if they follow the source."""
        volume = self.domain.cell_volume
        weight = self._density * volume
        share = weight / weight.sum() if weight.sum() > 0.0 else volume / volume.sum()
        return float(np.sum(share**2 / volume)) * particles * self.law.length**self.domain.dim

    def _event_rate(self, particles: int) -> float:
        """Events per unit of time: generation, flips, and annihilation as it was since the last layout."""
        span = float(self._gas.clock[g.TIME]) - self._marks[0]
        known = float(self._rules.generation[0]) + float(self._rules.flip[0]) * particles
        events = int(self._gas.tally[g.EVENTS])
        if events >= 16 and span > 0.0:
            return max(events / span, known)
        if known > 0.0:
            return 1.5 * known
        # Nothing has happened yet: what is left at a distance at which a particle has one neighbour.
        spacing = self._density_seen(particles) ** (-1.0 / self.domain.dim)
        return max(particles * float(pair_rate(spacing)), 1e-200)

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)
            if self._warns:
                log.warning("%s", text)


def _identity(domain: Domain, law: Law) -> dict[str, NDArray[Any]]:
    """What a saved run must agree with."""
    return {
        "kind_of_law": np.array([type(law).__name__]),
        "law": np.array([law.length, law.time]),
        "box": np.concatenate([domain.lengths, domain.periodic]),
        "cell_volumes": domain.cell_volume,
    }
