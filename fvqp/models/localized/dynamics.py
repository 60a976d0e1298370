"""The event loop: generation, spin flips, and annihilation of pairs, each at its exact rate.

Pairs within the *near radius* get the time at which they would vanish when they come into being; the
earliest time of all is the next annihilation (first-reaction method, exact because a pair's rate never
changes). Only times before the end of the *epoch* are kept: then those of the pairs that are left are drawn
anew, which an exponential law allows at any moment. So most pairs, one of whose particles will be gone long
before, cost a uniform variate and a look into a table.

Pairs further apart are thinned out: candidates come at a rate that bounds the true one from above, cell by
cell, and are accepted in proportion. So every pair of the box counts with its exact rate, wherever the near
radius lies; its choice only moves cost between the two ways.

Where pairs annihilate at once (bursting bubbles) a newcomer meets the nearest partner within the near radius.

A particle is named by its cell and its place in it, which may change at every annihilation in that cell.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from fvqp.models.localized import gas as g
from fvqp.models.localized.compiled import fetch, inner, loop
from fvqp.models.localized.gas import (
    TAG,
    TOGETHER,
    apart2,
    cell_of,
    distance2,
    find,
    gap2,
    image,
    propose,
    remove,
    settle,
    someone,
    someone_near,
    wrapped,
)
from fvqp.models.localized.queue import N_FREE, N_HEAP, first_time, push
from fvqp.models.localized.rates import tail_rate
from fvqp.models.localized.rng import below, draw, exponential, uniform
from fvqp.typing import Floats, Ints, Ints32

# Cells that take more numbers than these are not in the cache.
_CACHED = 1 << 17
# Why the loop came back. All but the first two: call again after making room, a new layout or epoch.
ARRIVED, PAUSED, CELL_FULL, QUEUE_FULL, LAYOUT_WORN, EPOCH_OVER = 0, 1, 2, 3, 4, 5


class Rules(NamedTuple):
    """Rates in the model's units of time, and what kind of model.

    Attributes:
        generation: ``(1,)`` newcomers per time in the whole domain.
        flip: ``(1,)`` spin flips per time and particle.
        spins: only opposite spins annihilate.
        instant: partners within the near radius annihilate at once, others never.
    """

    generation: Floats
    flip: Floats
    spins: bool
    instant: bool


class Far(NamedTuple):
    """Bounds of the rates of pairs within the near radius, and candidates for those beyond.

    Attributes:
        near: ``(1 + k,)`` the number of steps k over the square of the near radius, and the bound of the rate
            in each step of the square of the distance.
        radius: ``(2,)`` near radius, and radius beyond which cells are not in the table.
        displacements: ``(k, 3)`` int32 of cells, with their bound ``weight (k,)`` of the pair rate and an
            alias table over them.
        total: ``(2,)`` sum of the weights, and bound of the rate beyond the table.
        limits: ``(4,)`` int64: least and greatest number of particles and greatest number of candidates for
            which this layout was made; entries of the queue that one event can add.
    """

    near: Floats
    radius: Floats
    displacements: Ints32
    weight: Floats
    threshold: Floats
    other: Ints32
    total: Floats
    limits: Ints


@inner
def _fetch_around(grid, cell):
    """Asks for the cells in which the partners of a particle in this cell will be looked for."""
    nx, ny, nz = grid.shape[0], grid.shape[1], grid.shape[2]
    i, j, k = cell // (ny * nz), (cell // nz) % ny, cell % nz
    places = grid.particle.shape[1] * 4
    for row in range(len(grid.near)):
        a, b = (
            wrapped(nx, grid.period[0], i + grid.near[row, 0]),
            wrapped(ny, grid.period[1], j + grid.near[row, 1]),
        )
        if a < 0 or b < 0:
            continue
        line = (a * ny + b) * nz
        first, last = max(k + grid.near[row, 2], 0), min(k + grid.near[row, 3], nz - 1)
        fetch(grid.fill, line + first)
        for c in range(first, last + 1):
            # Two particles a line of the cache: those that are looked at together are in two.
            fetch(grid.particle, (line + c) * places)
            fetch(grid.particle, (line + c) * places + 8)


@inner
def _schedule(gas, grid, far, queue, rules, cell, s):
    """Draws times within the epoch for the pairs of a particle with older ones within the near radius."""
    nx, ny, nz = grid.shape[0], grid.shape[1], grid.shape[2]
    i, j, k = cell // (ny * nz), (cell // nz) % ny, cell % nz
    reach2 = far.radius[0] ** 2
    x, y, z = grid.particle[cell, s, 0], grid.particle[cell, s, 1], grid.particle[cell, s, 2]
    tag = grid.particle[cell, s, TAG]
    own = abs(tag)
    now = gas.clock[g.TIME]
    span = gas.clock[g.END] - now
    for row in range(len(grid.near)):
        a, u = image(nx, grid.period[0], i + grid.near[row, 0], x)
        b, v = image(ny, grid.period[1], j + grid.near[row, 1], y)
        if a < 0 or b < 0:
            continue
        for step in range(np.int64(grid.near[row, 2]), np.int64(grid.near[row, 3]) + 1):
            c, w = image(nz, grid.period[2], k + step, z)
            if c < 0:
                continue
            there = (a * ny + b) * nz + c
            for t in range(0, np.int64(grid.fill[there]), TOGETHER):
                if not someone_near(grid, u, v, w, there, t, reach2):
                    continue
                for q in range(t, t + TOGETHER):
                    other = grid.particle[there, q, TAG]
                    d2 = apart2(grid, u, v, w, there, q)
                    if d2 < reach2 and 0.0 < abs(other) < own and not (rules.spins and other * tag > 0.0):
                        # The exponential variate −ln(1 − p) is no less than p.
                        p = uniform(gas.rng)
                        if p < span * far.near[1 + int(d2 * far.near[0])]:
                            wait = -math.log(1.0 - p)
                            rate = tail_rate(math.sqrt(d2))
                            if wait < span * rate:
                                push(queue, now + wait / rate, own, abs(other), cell, there)


@inner
def _nearest(grid, far, rules, cell, s):
    """Cell and place of the nearest possible partner within the near radius; place −1 if there is none."""
    nx, ny, nz = grid.shape[0], grid.shape[1], grid.shape[2]
    i, j, k = cell // (ny * nz), (cell // nz) % ny, cell % nz
    least = far.radius[0] ** 2
    x, y, z = grid.particle[cell, s, 0], grid.particle[cell, s, 1], grid.particle[cell, s, 2]
    tag = grid.particle[cell, s, TAG]
    found, place = 0, -1
    for row in range(len(grid.near)):
        a, u = image(nx, grid.period[0], i + grid.near[row, 0], x)
        b, v = image(ny, grid.period[1], j + grid.near[row, 1], y)
        if a < 0 or b < 0:
            continue
        for step in range(np.int64(grid.near[row, 2]), np.int64(grid.near[row, 3]) + 1):
            c, w = image(nz, grid.period[2], k + step, z)
            if c < 0:
                continue
            there = (a * ny + b) * nz + c
            for t in range(0, np.int64(grid.fill[there]), TOGETHER):
                if not someone_near(grid, u, v, w, there, t, least):
                    continue
                for q in range(t, t + TOGETHER):
                    other = grid.particle[there, q, TAG]
                    d2 = apart2(grid, u, v, w, there, q)
                    if (
                        d2 < least
                        and other != 0.0
                        and other != tag
                        and not (rules.spins and other * tag > 0.0)
                    ):
                        least = d2
                        found, place = there, q
    return found, place


@inner
def _queue_short(queue, far):
    """Return whether the queue might not hold what one event adds."""
    room = far.limits[3]
    return queue.size[N_HEAP] + room > len(queue.heap) or queue.size[N_FREE] < room


@loop
def schedule_all(gas, grid, far, queue, rules, first):
    """Draws times for all near pairs, for a new layout and a new queue; from place ``first`` on.

    The place (they are counted through all cells) at which the queue must get more room, or −1 at the end.
    """
    capacity = grid.particle.shape[1]
    for cell in range(first // capacity, len(grid.fill)):
        for s in range(np.int64(grid.fill[cell])):
            if cell * capacity + s >= first:
                if queue.size[N_FREE] < far.limits[3]:
                    return cell * capacity + s
                _schedule(gas, grid, far, queue, rules, cell, s)
    return -1


@inner
def _annihilate(gas, grid, here, one, there, other):
    """Removes two particles by their cells and serial numbers."""
    remove(grid, gas, here, find(grid, here, one))
    remove(grid, gas, there, find(grid, there, other))
    gas.tally[g.ANNIHILATED] += 1


@inner
def _serial(grid, cell, s):
    return abs(grid.particle[cell, s, TAG])


@inner
def _arrived(gas, grid, far, queue, rules, cell, s):
    """Treat a particle that has just come, or flipped its spin."""
    if rules.instant:
        there, t = _nearest(grid, far, rules, cell, s)
        if t >= 0:
            _annihilate(gas, grid, cell, _serial(grid, cell, s), there, _serial(grid, there, t))
    else:
        _schedule(gas, grid, far, queue, rules, cell, s)


@inner
def _far_rates(gas, grid, far):
    """Rates of candidates from the table and from beyond it. Places in cells count, be they taken or not."""
    n = float(gas.tally[g.N])
    return 0.5 * n * far.total[0] * grid.particle.shape[1], 0.5 * n * n * far.total[1]


@inner
def _far_pair(gas, grid, far, rules, from_table):
    """A candidate for a pair that vanishes; whether it does. Then it has done so."""
    rng = gas.rng
    nx, ny, nz = grid.shape[0], grid.shape[1], grid.shape[2]
    cell, s = someone(grid, gas)
    i, j, k = cell // (ny * nz), (cell // nz) % ny, cell % nz
    if from_table:
        chosen = draw(rng, far.threshold, far.other)
        bound = far.weight[chosen]
        a = wrapped(nx, grid.period[0], i + far.displacements[chosen, 0])
        b = wrapped(ny, grid.period[1], j + far.displacements[chosen, 1])
        c = wrapped(nz, grid.period[2], k + far.displacements[chosen, 2])
        if a < 0 or b < 0 or c < 0:
            return False
        there = (a * ny + b) * nz + c
        t = below(rng, grid.particle.shape[1])
        if t >= grid.fill[there]:
            return False
    else:
        there, t = someone(grid, gas)
        bound = far.total[1]
        steps2 = gap2(grid, there // (ny * nz) - i, (there // nz) % ny - j, there % nz - k)
        if steps2 < far.radius[1] ** 2:
            return False
    one, other = grid.particle[cell, s, TAG], grid.particle[there, t, TAG]
    if one == other or (rules.spins and one * other > 0.0):
        return False
    x, y, z = grid.particle[cell, s, 0], grid.particle[cell, s, 1], grid.particle[cell, s, 2]
    d2 = distance2(grid, x, y, z, there, t)
    if d2 < far.radius[0] ** 2 or uniform(rng) * bound >= tail_rate(math.sqrt(d2)):
        return False
    _annihilate(gas, grid, cell, abs(one), there, abs(other))
    return True


@inner
def _count_time(gas, until):
    span = until - gas.clock[g.TIME]
    gas.integral[0] += span * gas.tally[g.N]
    gas.integral[1] += span * gas.tally[g.N_UP]
    gas.clock[g.TIME] = until


@inner
def _flip(gas, grid, cell, s):
    """Turns the spin of a particle, which from then on counts as one that has just arrived."""
    count = gas.tally
    up = grid.particle[cell, s, TAG] > 0.0
    count[g.SERIAL] += 1
    count[g.N_UP] += -1 if up else 1
    count[g.FLIPPED] += 1
    grid.particle[cell, s, TAG] = -count[g.SERIAL] if up else count[g.SERIAL]
    count[g.ARRIVED], count[g.ARRIVED_CELL], count[g.ARRIVED_PLACE] = 1, cell, s


@inner
def _scattered_event(gas, grid, far, rules, source, before):
    """Looks for the next generation, flip or annihilation of a far pair up to ``before``, and does it.

    False if there is none; the time of the next candidate is then kept in ``clock[NEXT]``.
    """
    count, clock, rng = gas.tally, gas.clock, gas.rng
    generation, flips = rules.generation[0], rules.flip[0] * count[g.N]
    table, beyond = (0.0, 0.0) if rules.instant else _far_rates(gas, grid, far)
    total = generation + flips + table + beyond
    if total <= 0.0:
        clock[g.NEXT] = np.inf
        return False
    if clock[g.NEXT] < 0.0:
        clock[g.NEXT] = clock[g.TIME] + exponential(rng) / total
    while clock[g.NEXT] <= before:
        now = clock[g.NEXT]
        choice = uniform(rng) * total - generation
        # Round-off must not choose what has no rate.
        if choice < 0.0 or count[g.N] == 0:
            _count_time(gas, now)
            propose(gas, source, rules.spins)
            if grid.particle.size > _CACHED:
                _fetch_around(grid, cell_of(grid, gas.following))
            clock[g.NEXT] = -1.0
            return True
        if choice < flips or table + beyond <= 0.0:
            _count_time(gas, now)
            cell, s = someone(grid, gas)
            if grid.particle.size > _CACHED:
                _fetch_around(grid, cell)
            _flip(gas, grid, cell, s)
            clock[g.NEXT] = -1.0
            return True
        count[g.CANDIDATES] += 1
        # The particles count up to now, whether or not two of them go.
        _count_time(gas, now)
        if _far_pair(gas, grid, far, rules, choice - flips < table):
            clock[g.NEXT] = -1.0
            return True
        if count[g.CANDIDATES] > far.limits[2]:
            clock[g.NEXT] = -1.0
            return False
        clock[g.NEXT] = now + exponential(rng) / total
    return False


@loop
def run(gas, grid, far, queue, rules, source, until, max_events):
    """Events up to the time ``until``, or so many that change the gas; says why it came back."""
    # Reference counts of the arrays would cost more than the events: compiled without (`_nrt`), which
    # forbids to allocate here.
    count, clock = gas.tally, gas.clock
    done = 0
    while True:
        if not rules.instant and _queue_short(queue, far):
            return QUEUE_FULL
        if count[g.PENDING] and not settle(grid, gas):
            return CELL_FULL
        if count[g.ARRIVED]:
            count[g.ARRIVED] = 0
            _arrived(gas, grid, far, queue, rules, count[g.ARRIVED_CELL], count[g.ARRIVED_PLACE])
        if count[g.N] < far.limits[0] or count[g.N] > far.limits[1] or count[g.CANDIDATES] > far.limits[2]:
            return LAYOUT_WORN
        if done >= max_events:
            return PAUSED
        pair = np.inf if rules.instant else first_time(queue, grid)
        if pair < 0.0:
            return QUEUE_FULL
        stop = until if rules.instant else min(until, clock[g.END])
        if not _scattered_event(gas, grid, far, rules, source, min(pair, stop)):
            if clock[g.NEXT] < 0.0:
                continue
            if pair > stop:
                _count_time(gas, stop)
                return ARRIVED if stop == until else EPOCH_OVER
            _count_time(gas, pair)
            entry = queue.heap[0]
            _annihilate(gas, grid, np.int64(entry.here), entry.young, np.int64(entry.there), entry.old)
            clock[g.NEXT] = -1.0
        done += 1
