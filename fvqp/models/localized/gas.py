"""Particles in cells: the arrays that the compiled loops work on, and the geometry of pairs.

The particles of a cell lie side by side, so that looking for partners reads few stretches of memory. They
have no place elsewhere: a particle is found again by its cell and its serial number.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvqp.models.localized.compiled import inner, loop
from fvqp.models.localized.rng import below, draw, exponential, uniform
from fvqp.typing import Bools, Floats, Ints, Ints32

# Rows of `Gas.tally`.
N, N_UP, SERIAL, N_USED = 0, 1, 2, 3
GENERATED, ANNIHILATED, FLIPPED = 4, 5, 6
PENDING, PENDING_HOME, PENDING_SPIN = 7, 8, 9
CANDIDATES = 10
ARRIVED, ARRIVED_CELL, ARRIVED_PLACE = 11, 12, 13
NEXT_DRAWN, NEXT_HOME, NEXT_SPIN = 14, 15, 16
COUNTS = 17
# Rows of `Gas.clock`.
TIME, NEXT, END = 0, 1, 2
# Columns of `Grid.particle` after the position.
TAG = 3
NEVER_USED = -1
TOGETHER = 4
"""Places of a cell that are looked at together, whether taken or not: one branch instead of four."""
_LINE = 64


class Gas(NamedTuple):
    """Counters, clock and random numbers.

    Attributes:
        tally, clock: see the names of their rows. ``clock[NEXT]``: when generation, a flip or a candidate for
            a far pair comes next; negative if that is to be drawn. ``clock[END]``: of the epoch (dynamics).
        pending: ``(3,)`` position of a particle that is to be put in first (``tally[PENDING]``).
        following: ``(3,)`` position of the newcomer after that (``tally[NEXT_DRAWN]``), drawn so early that
            the cells around it are in the cache when it comes.
        rng: ``(4,)`` uint64.
        integral: ``(2,)`` of the number of particles, and of those with spin up, over time.
        dwell: ``(domain cells,)`` integral of the number of particles over time; of a single cell it is not
            counted, since ``integral`` has it.
    """

    tally: Ints
    clock: Floats
    pending: Floats
    following: Floats
    rng: NDArray[np.uint64]
    integral: Floats
    dwell: Floats


class Grid(NamedTuple):
    """Cells in which partners are looked for, and the particles in them.

    Attributes:
        particle: ``(cells, capacity, 4)`` position in units of the model's length, and tag: a serial number
            that grows from particle to particle (and flip to flip), negative for spin down; 0 in a free
            place. The capacity is a multiple of `TOGETHER`.
        fill: ``(cells,)`` int16, how many; `NEVER_USED` for a cell in which there has never been one.
        used: ``(cells,)`` int32, the first ``tally[N_USED]`` are the cells that have been used: all of them
            from the start in a periodic box.
        home, born: ``(cells, capacity)`` int32 and time: cell of the domain, and since when the particle
            counts there; of no size where the domain has a single cell.
        shape: ``(3,)`` int64, cells along each direction.
        edge: ``(3,)`` of a cell.
        period: ``(3,)`` length after which the box repeats, infinite if it does not.
        narrow: ``(1,)`` bool, whether two images of a cell can be within the near radius.
        near: ``(k, 4)`` int32, rows of cells that can hold a particle within the near radius: displacement
            in x and in y, first and last one in z.
    """

    particle: Floats
    fill: NDArray[np.int16]
    used: Ints32
    home: Ints32
    born: Floats
    shape: Ints
    edge: Floats
    period: Floats
    narrow: Bools
    near: Ints32


def empty_gas(n_cells: int, rng: NDArray[np.uint64]) -> Gas:
    return Gas(
        tally=np.zeros(COUNTS, np.int64),
        clock=np.array([0.0, -1.0, 0.0]),
        pending=np.zeros(3),
        following=np.zeros(3),
        rng=rng,
        integral=np.zeros(2),
        dwell=np.zeros(n_cells),
    )


def empty_grid(
    shape: Ints,
    lengths: Floats,
    periodic: Bools,
    capacity: int,
    near: Ints32,
    *,
    homes: bool,
) -> Grid:
    """Cells without particles; ``homes``: whether the domain has several cells."""
    n = int(np.prod(shape))
    everywhere = bool(np.all(periodic | (lengths == 0.0))) and not homes
    capacity = -(-capacity // TOGETHER) * TOGETHER
    kept = (n, capacity) if homes else (0, 0)
    return Grid(
        particle=zeros(n * capacity * 4, np.float64).reshape(n, capacity, 4),
        fill=np.full(n, 0 if everywhere else NEVER_USED, np.int16),
        used=np.arange(n, dtype=np.int32),
        home=np.zeros(kept, np.int32),
        born=np.zeros(kept),
        shape=shape,
        edge=lengths / shape,
        period=np.where(periodic, lengths, np.inf),
        narrow=np.zeros(1, np.bool_),
        near=near,
    )


def zeros(size: int, dtype: type[np.generic]) -> NDArray[Any]:
    """Zeros that begin with a line of the cache; they have been written, so that the system can have given
    large pages to them, as it does to NumPy's arrays unless these are zeros from the start."""
    item = np.dtype(dtype).itemsize
    raw = np.empty(size + _LINE // item, dtype)
    raw.fill(0)
    skip = -raw.ctypes.data % _LINE // item
    return raw[skip : skip + size]


class Particles(NamedTuple):
    """All particles, cell by cell: ``at (n, 4)`` position and tag, ``home (n,)``, ``born (n,)``."""

    at: Floats
    home: Ints32
    born: Floats


def particles(grid: Grid) -> Particles:
    """The particles in the cells; ``home`` and ``born`` are empty where the domain has a single cell."""
    there = np.arange(grid.particle.shape[1]) < grid.fill[:, None]
    homes = there if grid.home.size else np.zeros(grid.home.shape, bool)
    return Particles(grid.particle[there], grid.home[homes], grid.born[homes])


@inner
def apart2(grid, x, y, z, cell, s):
    """Square of the distance of a position to that in a place of a cell, see `image`."""
    # An index that has a sign is checked for it.
    u, v = np.uint64(cell), np.uint64(s)
    dx = x - grid.particle[u, v, 0]
    dy = y - grid.particle[u, v, 1]
    dz = z - grid.particle[u, v, 2]
    if grid.narrow[0]:
        dx, dy, dz = abs(dx), abs(dy), abs(dz)
        dx = min(dx, abs(grid.period[0] - dx))
        dy = min(dy, abs(grid.period[1] - dy))
        dz = min(dz, abs(grid.period[2] - dz))
    return dx * dx + dy * dy + dz * dz


@inner
def someone_near(grid, x, y, z, cell, s, reach2):
    """Return whether one of so many places as are looked at `TOGETHER` is closer than a distance."""
    one = min(apart2(grid, x, y, z, cell, s), apart2(grid, x, y, z, cell, s + 1))
    two = min(apart2(grid, x, y, z, cell, s + 2), apart2(grid, x, y, z, cell, s + 3))
    return min(one, two) < reach2


@inner
def distance2(grid, x, y, z, cell, s):
    """Square of the distance of a position to particle ``s`` of a cell, to its nearest image."""
    dx = abs(x - grid.particle[cell, s, 0])
    dy = abs(y - grid.particle[cell, s, 1])
    dz = abs(z - grid.particle[cell, s, 2])
    dx = min(dx, grid.period[0] - dx)
    dy = min(dy, grid.period[1] - dy)
    dz = min(dz, grid.period[2] - dz)
    return dx * dx + dy * dy + dz * dz


@inner
def gap2(grid, i, j, k):
    """Square of the least distance of two points in cells displaced by (i, j, k)."""
    total = 0.0
    for axis in range(3):
        d = abs(i if axis == 0 else (j if axis == 1 else k))
        if grid.period[axis] < np.inf:
            d = min(d, grid.shape[axis] - d)
        if d > 1:
            total += ((d - 1) * grid.edge[axis]) ** 2
    return total


@inner
def wrapped(n, period, step):
    """Number on an axis of ``n`` cells of one up to a whole box outside, or −1 where an open box has none."""
    if 0 <= step < n:
        return step
    if period == np.inf:
        return -1
    return step + n if step < 0 else step - n


@inner
def image(n, period, step, at):
    """Return the cell as `wrapped` does, and a coordinate as seen from that cell: moved by the period if
    the cell is an image."""
    there = wrapped(n, period, step)
    if there == step or there < 0:
        return there, at
    return there, at + period if step < 0 else at - period


@inner
def cell_of(grid, at):
    """Cell that holds a position."""
    number = 0
    for k in range(3):
        n = grid.shape[k]
        step = 0
        if n > 1:
            step = min(int(at[k] / grid.edge[k]), n - 1)
        number = number * n + step
    return number


@inner
def find(grid, cell, serial):
    """Place in the cell of the particle with a serial number, or −1 if it is there no more."""
    for s in range(np.int64(grid.fill[cell])):
        if abs(grid.particle[cell, s, TAG]) == serial:
            return s
    return -1


@inner
def someone(grid, gas):
    """A particle, each with the same probability: its cell and its place. There must be one."""
    rng, capacity = gas.rng, grid.particle.shape[1]
    n = gas.tally[N_USED]
    while True:
        cell = below(rng, n)
        # Where all cells are used their list says nothing, and would only take up room in the cache.
        if n < len(grid.used):
            cell = np.int64(grid.used[cell])
        s = below(rng, capacity)
        if s < grid.fill[cell]:
            return cell, s


@inner
def _enter(grid, gas, cell):
    """The next place in a cell, which is then taken."""
    if grid.fill[cell] == NEVER_USED:
        grid.used[gas.tally[N_USED]] = cell
        gas.tally[N_USED] += 1
        grid.fill[cell] = 0
    s = np.int64(grid.fill[cell])
    grid.fill[cell] = s + 1
    return s


@inner
def remove(grid, gas, cell, s):
    """Takes a particle away; the last one of its cell takes its place."""
    count, particle = gas.tally, grid.particle
    last = np.int64(grid.fill[cell]) - 1
    grid.fill[cell] = last
    count[N] -= 1
    if particle[cell, s, TAG] > 0.0:
        count[N_UP] -= 1
    for k in range(4):
        particle[cell, s, k] = particle[cell, last, k]
    particle[cell, last, 0] = np.inf
    particle[cell, last, TAG] = 0.0
    if len(gas.dwell) > 1:
        gas.dwell[grid.home[cell, s]] += gas.clock[TIME] - grid.born[cell, s]
        grid.home[cell, s] = grid.home[cell, last]
        grid.born[cell, s] = grid.born[cell, last]


@inner
def _draw_next(gas, source, spins):
    """Draws a newcomer: position, cell of the domain, spin."""
    rng, count, at = gas.rng, gas.tally, gas.following
    simplex = draw(rng, source.threshold, source.other) if len(source.threshold) > 1 else 0
    order = source.order[0]
    total = 0.0
    at[:] = 0.0
    # Exponential variates divided by their sum are uniform barycentric coordinates.
    for corner in range(order + 1):
        share = exponential(rng) if order > 0 else 1.0
        total += share
        for k in range(3):
            at[k] += share * source.corners[simplex, corner, k]
    for k in range(3):
        at[k] /= total
        if source.extent[k] > 0.0:
            at[k] += source.extent[k] * uniform(rng)
    count[NEXT_HOME] = source.cell[simplex]
    count[NEXT_SPIN] = 1
    if spins and uniform(rng) < 0.5:
        count[NEXT_SPIN] = -1
    count[NEXT_DRAWN] = 1


@inner
def propose(gas, source, spins):
    """A newcomer is pending until it has found a place; the one after it is drawn, which depends on nothing
    that may happen before."""
    count = gas.tally
    if not count[NEXT_DRAWN]:
        _draw_next(gas, source, spins)
    for k in range(3):
        gas.pending[k] = gas.following[k]
    count[PENDING_HOME], count[PENDING_SPIN] = count[NEXT_HOME], count[NEXT_SPIN]
    count[PENDING] = 1
    _draw_next(gas, source, spins)


@inner
def settle(grid, gas):
    """Puts the pending newcomer into its cell, where it has then arrived; False if the cell is full."""
    count = gas.tally
    cell = cell_of(grid, gas.pending)
    if grid.fill[cell] == grid.particle.shape[1]:
        return False
    s = _enter(grid, gas, cell)
    for k in range(3):
        grid.particle[cell, s, k] = gas.pending[k]
    count[SERIAL] += 1
    grid.particle[cell, s, TAG] = count[SERIAL] * count[PENDING_SPIN]
    if len(gas.dwell) > 1:
        grid.home[cell, s] = count[PENDING_HOME]
        grid.born[cell, s] = gas.clock[TIME]
    count[N] += 1
    if count[PENDING_SPIN] > 0:
        count[N_UP] += 1
    count[PENDING] = 0
    count[GENERATED] += 1
    count[ARRIVED], count[ARRIVED_CELL], count[ARRIVED_PLACE] = 1, cell, s
    return True


@loop
def enter_all(grid, gas, these):
    """Puts `Particles` into empty cells; False if one of these is too small."""
    gas.tally[N_USED] = 0 if grid.fill[0] == NEVER_USED else len(grid.used)
    for k in range(len(these.at)):
        cell = cell_of(grid, these.at[k])
        if grid.fill[cell] == grid.particle.shape[1]:
            return False
        s = _enter(grid, gas, cell)
        for column in range(4):
            grid.particle[cell, s, column] = these.at[k, column]
        if len(gas.dwell) > 1:
            grid.home[cell, s] = these.home[k]
            grid.born[cell, s] = these.born[k]
    return True


def flush(gas: Gas, grid: Grid) -> None:
    """Counts the particles that are there for their cells of the domain, up to now."""
    here = particles(grid)
    now = gas.clock[TIME]
    gas.dwell[:] += np.bincount(here.home, now - here.born, len(gas.dwell))
    grid.born[:] = now
