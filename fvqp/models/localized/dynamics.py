"""The event loop: generation, spin flips, and annihilation of pairs, each at its exact rate.

Pairs within the *near radius* get the time at which they would vanish when they come into being; the earliest
time of all is the next annihilation (first-reaction method, exact because a pair's rate never changes).
Pairs further apart are thinned out: candidates come at a rate that bounds the true one from above, cell by
cell, and are accepted in proportion. So every pair of the box counts with its exact rate, wherever the near
radius lies; its choice only moves cost between the two ways.

Where pairs annihilate at once (bursting bubbles) a newcomer meets the nearest partner within the near radius.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fvqp.models.localized import gas as g
from fvqp.models.localized.gas import distance2, gap2, neighbour, propose, remove, settle
from fvqp.models.localized.queue import N_HEAP, N_LATER, first_time, push, refill
from fvqp.models.localized.rates import tail_rate
from fvqp.models.localized.rng import below, draw, exponential, uniform

# Why the loop came back. All but the first two: call again after making room or a new layout.
ARRIVED, PAUSED, CELL_FULL, SLOTS_FULL, QUEUE_FULL, LAYOUT_WORN = 0, 1, 2, 3, 4, 5
_HEAP_EMPTY = 6


class Rules(NamedTuple):
    """Rates in the model's units of time, and what kind of model.

    Attributes:
        generation: ``(1,)`` newcomers per time in the whole domain.
        flip: ``(1,)`` spin flips per time and particle.
        spins: only opposite spins annihilate.
        instant: partners within the near radius annihilate at once, others never.
    """

    generation: NDArray[np.float64]
    flip: NDArray[np.float64]
    spins: bool
    instant: bool


class Far(NamedTuple):
    """Candidates for pairs beyond the near radius.

    Attributes:
        radius: ``(2,)`` near radius, and radius beyond which cells are not in the table.
        displacements: ``(k, 3)`` int32 of cells, with their bound ``weight (k,)`` of the pair rate and an
            alias table over them.
        total: ``(2,)`` sum of the weights, and bound of the rate beyond the table.
        range: ``(3,)`` int64: least and greatest number of particles, greatest number of candidates, for
            which this layout was made.
    """

    radius: NDArray[np.float64]
    displacements: NDArray[np.int32]
    weight: NDArray[np.float64]
    threshold: NDArray[np.float64]
    other: NDArray[np.int32]
    total: NDArray[np.float64]
    range: NDArray[np.int64]


@njit(cache=True, nogil=True, _nrt=False)
def _schedule(gas, grid, far, queue, rules, k):
    """Draws times for the pairs of particle k with older ones within the near radius."""
    ny, nz = grid.shape[1], grid.shape[2]
    cell = gas.where[k]
    x, y, z = cell // (ny * nz), (cell // nz) % ny, cell % nz
    reach2 = far.radius[0] ** 2
    here = gas.position[k]
    own = gas.serial[k]
    now = gas.clock[g.TIME]
    for step in range(len(grid.near)):
        there = neighbour(grid, x, y, z, grid.near[step])
        if there < 0:
            continue
        for s in range(grid.fill[there]):
            d2 = distance2(grid, here, there, s)
            if d2 < reach2:
                j = grid.slots[there, s]
                if gas.serial[j] >= own or (rules.spins and gas.spin[j] == gas.spin[k]):
                    continue
                rate = tail_rate(math.sqrt(d2))
                if rate > 0.0:
                    push(queue, now + exponential(gas.rng) / rate, own, k, j)


@njit(cache=True, nogil=True, _nrt=False)
def _nearest(gas, grid, far, rules, k):
    """Nearest possible partner within the near radius, or −1."""
    ny, nz = grid.shape[1], grid.shape[2]
    cell = gas.where[k]
    x, y, z = cell // (ny * nz), (cell // nz) % ny, cell % nz
    least = far.radius[0] ** 2
    here = gas.position[k]
    found = -1
    for step in range(len(grid.near)):
        there = neighbour(grid, x, y, z, grid.near[step])
        if there < 0:
            continue
        for s in range(grid.fill[there]):
            d2 = distance2(grid, here, there, s)
            if d2 < least:
                j = grid.slots[there, s]
                if j == k or (rules.spins and gas.spin[j] == gas.spin[k]):
                    continue
                least = d2
                found = j
    return found


@njit(cache=True, nogil=True, _nrt=False)
def schedule_all(gas, grid, far, queue, rules):
    """Draws times for all near pairs; for a new layout, with an empty queue. False if the queue is short."""
    for k in range(gas.tally[g.TOP]):
        if queue.size[N_LATER] + grid.near.shape[0] * grid.slots.shape[1] > len(queue.later):
            return False
        _schedule(gas, grid, far, queue, rules, k)
    return True


@njit(cache=True, nogil=True, _nrt=False)
def _annihilate(gas, grid, i, j):
    remove(grid, gas, i)
    remove(grid, gas, j)
    gas.tally[g.ANNIHILATED] += 1


@njit(cache=True, nogil=True, _nrt=False)
def _arrived(gas, grid, far, queue, rules, k):
    """What happens to a particle that has just come, or flipped its spin."""
    if rules.instant:
        j = _nearest(gas, grid, far, rules, k)
        if j >= 0:
            _annihilate(gas, grid, k, j)
    else:
        _schedule(gas, grid, far, queue, rules, k)


@njit(cache=True, nogil=True, _nrt=False)
def _far_rates(gas, grid, far):
    """Rates of candidates from the table and from beyond it. Slots count, be they empty or not."""
    top = float(gas.tally[g.TOP])
    table = 0.5 * top * far.total[0] * grid.slots.shape[1]
    return table, 0.5 * top * top * far.total[1]


@njit(cache=True, nogil=True, _nrt=False)
def _far_pair(gas, grid, far, rules, from_table):
    """A candidate: the pair that vanishes, or (−1, −1) if it is rejected."""
    rng, top = gas.rng, gas.tally[g.TOP]
    i = below(rng, top)
    if gas.serial[i] < 0:
        return -1, -1
    ny, nz = grid.shape[1], grid.shape[2]
    cell = gas.where[i]
    x, y, z = cell // (ny * nz), (cell // nz) % ny, cell % nz
    if from_table:
        chosen = draw(rng, far.threshold, far.other)
        bound = far.weight[chosen]
        there = neighbour(grid, x, y, z, far.displacements[chosen])
        if there < 0:
            return -1, -1
        s = below(rng, grid.slots.shape[1])
        if s >= grid.fill[there]:
            return -1, -1
        j = grid.slots[there, s]
        d2 = distance2(grid, gas.position[i], there, s)
    else:
        j = below(rng, top)
        bound = far.total[1]
        d2 = 0.0
    if j == i or gas.serial[j] < 0 or (rules.spins and gas.spin[i] == gas.spin[j]):
        return -1, -1
    if not from_table:
        there = gas.where[j]
        steps2 = gap2(grid, there // (ny * nz) - x, (there // nz) % ny - y, there % nz - z)
        if steps2 < far.radius[1] ** 2:
            return -1, -1
        s = 0
        while grid.slots[there, s] != j:
            s += 1
        d2 = distance2(grid, gas.position[i], there, s)
    if d2 < far.radius[0] ** 2 or uniform(rng) * bound >= tail_rate(math.sqrt(d2)):
        return -1, -1
    return i, j


@njit(cache=True, nogil=True, _nrt=False)
def _count_time(gas, until):
    span = until - gas.clock[g.TIME]
    gas.integral[0] += span * gas.tally[g.N]
    gas.integral[1] += span * gas.tally[g.N_UP]
    gas.clock[g.TIME] = until


@njit(cache=True, nogil=True, _nrt=False)
def _flip(gas, k):
    """Turns the spin of a particle, which from then on counts as a new one."""
    count = gas.tally
    count[g.N_UP] -= gas.spin[k]
    gas.spin[k] = -gas.spin[k]
    gas.serial[k] = count[g.SERIAL]
    count[g.SERIAL] += 1
    count[g.FLIPPED] += 1


@njit(cache=True, nogil=True, _nrt=False)
def _scattered_event(gas, grid, far, queue, rules, source, before):
    """Looks for the next generation, flip or annihilation of a far pair up to ``before``, and does it.

    False if there is none; the time of the next candidate is then kept in ``clock[NEXT]``.
    """
    count, clock, rng = gas.tally, gas.clock, gas.rng
    generation, flips = rules.generation[0], rules.flip[0] * count[g.TOP]
    table, beyond = (0.0, 0.0) if rules.instant else _far_rates(gas, grid, far)
    total = generation + flips + table + beyond
    if total <= 0.0:
        clock[g.NEXT] = np.inf
        return False
    now = clock[g.TIME]
    if clock[g.NEXT] < 0.0:
        clock[g.NEXT] = now + exponential(rng) / total
    while clock[g.NEXT] <= before:
        now = clock[g.NEXT]
        choice = uniform(rng) * total - generation
        # Round-off must not choose what has no rate.
        if choice < 0.0 or count[g.TOP] == 0:
            _count_time(gas, now)
            propose(gas, source, rules.spins)
            clock[g.NEXT] = -1.0
            return True
        if choice < flips or table + beyond <= 0.0:
            k = below(rng, count[g.TOP])
            if gas.serial[k] >= 0:
                _count_time(gas, now)
                _flip(gas, k)
                _arrived(gas, grid, far, queue, rules, k)
                clock[g.NEXT] = -1.0
                return True
        else:
            count[g.CANDIDATES] += 1
            i, j = _far_pair(gas, grid, far, rules, choice - flips < table)
            if i >= 0:
                _count_time(gas, now)
                _annihilate(gas, grid, i, j)
                clock[g.NEXT] = -1.0
                return True
            if count[g.CANDIDATES] > far.range[2]:
                _count_time(gas, now)
                clock[g.NEXT] = -1.0
                return False
        clock[g.NEXT] = now + exponential(rng) / total
    return False


@njit(cache=True, nogil=True, _nrt=False)
def _run(gas, grid, far, queue, rules, source, until, max_events):
    # Reference counts of the arrays would cost more than the events: compiled without (`_nrt`), which
    # forbids to allocate here.
    count, clock = gas.tally, gas.clock
    room = grid.near.shape[0] * grid.slots.shape[1]
    done = 0
    while True:
        if count[g.N_FREE] == 0 and count[g.TOP] == len(gas.serial):
            return SLOTS_FULL
        if not rules.instant and queue.size[N_HEAP] + queue.size[N_LATER] + room > len(queue.later):
            return QUEUE_FULL
        if count[g.PENDING]:
            k = settle(grid, gas)
            if k < 0:
                return CELL_FULL
            count[g.GENERATED] += 1
            _arrived(gas, grid, far, queue, rules, k)
        if count[g.N] < far.range[0] or count[g.N] > far.range[1] or count[g.CANDIDATES] > far.range[2]:
            return LAYOUT_WORN
        if done >= max_events:
            return PAUSED
        pair = np.inf if rules.instant else first_time(queue, gas.serial)
        if pair < 0.0:
            return _HEAP_EMPTY
        if not _scattered_event(gas, grid, far, queue, rules, source, min(pair, until)):
            if clock[g.NEXT] < 0.0:
                continue
            if pair > until:
                _count_time(gas, until)
                return ARRIVED
            _count_time(gas, pair)
            _annihilate(gas, grid, queue.heap[0].young, queue.heap[0].old)
            clock[g.NEXT] = -1.0
        done += 1
        count[g.EVENTS] += 1


@njit(cache=True, nogil=True)
def run(gas, grid, far, queue, rules, source, until, max_events):
    """Events up to the time ``until``, or so many that change the gas; says why it came back."""
    start = gas.tally[g.EVENTS]
    while True:
        left = max_events - (gas.tally[g.EVENTS] - start)
        why = _run(gas, grid, far, queue, rules, source, until, left)
        if why != _HEAP_EMPTY:
            return why
        refill(queue, gas.serial)
