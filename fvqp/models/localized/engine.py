"""A gas in the units of its law, and all that the event loop needs: running, making room, new layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvqp.models.localized import gas as g
from fvqp.models.localized import layout
from fvqp.models.localized.domain import Domain
from fvqp.models.localized.dynamics import (
    ARRIVED,
    CELL_FULL,
    EPOCH_OVER,
    LAYOUT_WORN,
    PAUSED,
    QUEUE_FULL,
    Far,
    Rules,
    run,
    schedule_all,
)
from fvqp.models.localized.gas import Grid, Particles
from fvqp.models.localized.laws import BurstingBubbles, Law
from fvqp.models.localized.queue import (
    TAKEN,
    Queue,
    empty_queue,
    entries_of,
    entries_with_room,
    with_entries,
    with_room,
)
from fvqp.models.localized.rates import pair_rate
from fvqp.models.localized.validity import FEW_PARTICLES
from fvqp.typing import Floats

State = dict[str, NDArray[Any]]

_CHUNK = 1_000_000
# Entries of the queue for each particle, to begin with.
_ENTRIES = 2
# Length of an epoch: so many events a particle, with as many particles more.
_EVENTS, _MORE = 4.0, 1000
# It grows by no more than this from one to the next.
_GROWTH = 4.0


class Engine:
    """A gas, its cells, and its queue, in units of the law's length and time.

    Attributes:
        gas, grid, far, queue, rules, source, plan: what the compiled loop works on.
        density: ``(n_cells,)`` rate of generation, 1/(m^dim s).
    """

    grid: Grid
    far: Far
    plan: layout.Plan
    queue: Queue

    def __init__(
        self,
        domain: Domain,
        law: Law,
        *,
        spins: bool,
        flip_rate: float,
        near: float | None,
        rng: NDArray[np.uint64],
    ) -> None:
        self.domain, self.law, self.near = domain, law, near
        self.instant = isinstance(law, BurstingBubbles)
        self._lengths = domain.lengths / law.length
        self._flip = np.array([flip_rate * law.time])
        self._spins = spins
        # Time and events at the start of the epoch, and its length.
        self._epoch = np.zeros(3)
        self.gas = g.empty_gas(domain.n_cells, rng)
        self.generate(np.zeros(domain.n_cells))
        self._lay_out(Particles(np.zeros((0, 4)), np.zeros(0, np.int32), np.zeros(0)))

    def generate(self, density: Floats) -> None:
        """Generation at the rates ``density (n_cells,)``, 1/(m^dim s), from now on."""
        self.density = density
        total = float(np.sum(density * self.domain.cell_volume)) * self.law.time
        self.rules = Rules(np.array([total]), self._flip, self._spins, self.instant)
        self.source = self.domain.source(density, self.law.length)
        self.gas.clock[g.NEXT] = -1.0
        self.gas.tally[g.NEXT_DRAWN] = 0
        # Another rate of events, another epoch.
        self.gas.clock[g.END], self._epoch[2] = self.gas.clock[g.TIME], 0.0

    def place(self, at: Floats, spin: NDArray[Any]) -> None:
        """Puts particles at ``(n, 3)`` into an empty gas, which count as generated; ``spin (n,)`` ±1."""
        n, count = len(at), self.gas.tally
        tag = np.arange(1.0, n + 1.0) * spin
        count[[g.N, g.SERIAL, g.GENERATED]] = n
        count[g.N_UP] = np.count_nonzero(spin > 0)
        homes = n if self.domain.n_cells > 1 else 0
        self._lay_out(Particles(np.column_stack([at, tag]), np.zeros(homes, np.int32), np.zeros(homes)))

    def run(self, stop: float) -> bool:
        """Runs to a time, or for a million events; makes room as it is needed. Whether it got there."""
        while True:
            why = run(self.gas, self.grid, self.far, self.queue, self.rules, self.source, stop, _CHUNK)
            if why in (ARRIVED, PAUSED):
                return bool(why == ARRIVED)
            if why == QUEUE_FULL:
                self._make_room()
            elif why == CELL_FULL:
                self._lay_out(g.particles(self.grid), self.plan.capacity + 2 + self.plan.capacity // 16)
            elif why == LAYOUT_WORN:
                self._lay_out(g.particles(self.grid))
            elif why == EPOCH_OVER:
                # As many entries as there were room for, because it was enough.
                self._begin_epoch(entries_with_room(self.queue, self._room))

    def state(self) -> State:
        """All that `restore` needs to go on bit for bit. The order of the queue does not matter."""
        plan, used = self.plan, int(self.gas.tally[g.N_USED])
        return {
            **{f"gas_{name}": value for name, value in self.gas._asdict().items()},
            **{f"particles_{name}": value for name, value in g.particles(self.grid)._asdict().items()},
            "fill": self.grid.fill,
            "used": self.grid.used[:used],
            "queue": entries_of(self.queue, self.grid),
            "plan": np.array([plan.near, plan.edge, plan.beyond]),
            "plan_counts": np.array([plan.capacity, plan.particles]),
            "buckets_taken": self.queue.size[[TAKEN]],
            "epoch": self._epoch,
        }

    def restore(self, state: State) -> None:
        """The gas of a saved state, of the same domain, law and rates."""
        self.gas = g.Gas(**{name: state[f"gas_{name}"] for name in g.Gas._fields})
        capacity, count = map(int, state["plan_counts"])
        near, edge, beyond = map(float, state["plan"])
        self._build(layout.Plan(near, edge, capacity, beyond, count))
        grid = self.grid
        grid.fill[:] = state["fill"]
        grid.used[: len(state["used"])] = state["used"]
        there = np.arange(grid.particle.shape[1]) < grid.fill[:, None]
        grid.particle[there] = state["particles_at"]
        if grid.home.size:
            grid.home[there], grid.born[there] = state["particles_home"], state["particles_born"]
        self._epoch[:] = state["epoch"]
        entries, taken = state["queue"], int(state["buckets_taken"][0])
        queue = empty_queue(2 * len(entries), count, self._room, self._epoch[0], self._epoch[2], len(entries))
        self.queue = with_entries(queue, entries, taken)

    def _build(self, plan: layout.Plan) -> None:
        domain = self.domain
        self.plan = plan
        self.grid, self.far = layout.build(
            plan,
            domain.dim,
            self._lengths,
            domain.periodic,
            instant=self.instant,
            homes=domain.n_cells > 1,
        )

    def _lay_out(self, these: Particles, capacity: int = 0) -> None:
        """New cells and near radius for the gas as it is."""
        gas, count = self.gas, self.gas.tally
        particles = max(int(count[g.N]), FEW_PARTICLES)
        plan = layout.choose(
            self.domain.dim,
            self._density_seen(particles),
            particles,
            self._event_rate(particles),
            1.0 if self.instant else self.near,
            instant=self.instant,
        )
        plan = layout.with_capacity(plan, capacity)
        self._build(plan)
        while not g.enter_all(self.grid, gas, these):
            plan = layout.with_capacity(plan, plan.capacity + 1 + plan.capacity // 16)
            self._build(plan)
        count[g.CANDIDATES] = 0
        gas.clock[g.NEXT] = -1.0
        self._begin_epoch()

    def _begin_epoch(self, entries: int = 0) -> None:
        """Draws the times of all near pairs anew; with room for at least so many."""
        gas, count, now = self.gas, int(self.gas.tally[g.N]), float(self.gas.clock[g.TIME])
        length = _EVENTS * (count + _MORE) / self._event_rate(max(count, FEW_PARTICLES))
        if self._epoch[2] > 0.0:
            length = min(length, _GROWTH * self._epoch[2])
        self._epoch[:] = now, self.events, length
        gas.clock[g.END] = now + length
        particles = self.plan.particles
        entries = 0 if self.instant else max(_ENTRIES * particles, entries)
        self.queue = empty_queue(entries, particles, self._room, now, length)
        place = -1 if self.instant else 0
        while place >= 0:
            place = schedule_all(gas, self.grid, self.far, self.queue, self.rules, place)
            if place >= 0:
                self._make_room()

    @property
    def events(self) -> int:
        """Events that changed the gas so far: generations, annihilations, flips."""
        return int(self.gas.tally[[g.GENERATED, g.ANNIHILATED, g.FLIPPED]].sum())

    @property
    def _room(self) -> int:
        """Entries that one event can add to the queue."""
        return int(self.far.limits[3])

    def _make_room(self) -> None:
        self.queue = with_room(self.queue, self.grid, self.plan.particles, self._room)

    def _density_seen(self, particles: int) -> float:
        """Particles per unit volume around a particle, if they follow the source."""
        volume = self.domain.cell_volume
        weight = self.density * volume
        share = weight / weight.sum() if weight.sum() > 0.0 else volume / volume.sum()
        return float(np.sum(share**2 / volume)) * particles * self.law.length**self.domain.dim

    def _event_rate(self, particles: int) -> float:
        """Events per unit of time: generation, flips, and annihilation as it was of late."""
        span = float(self.gas.clock[g.TIME]) - self._epoch[0]
        known = float(self.rules.generation[0]) + float(self.rules.flip[0]) * particles
        events = self.events - int(self._epoch[1])
        if events >= 16 and span > 0.0:
            return max(events / span, known)
        if known > 0.0:
            return 1.5 * known
        if span > 0.0:
            return max(events, 1) / span
        # Nothing has happened yet: what is left at a distance at which a particle has one neighbour.
        spacing = self._density_seen(particles) ** (-1.0 / self.domain.dim)
        return max(particles * float(pair_rate(spacing)), 1e-200)
