"""Particles in cells: the arrays that the compiled loops work on, and the geometry of pairs."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from fvqp.models.localized.rng import below, draw, exponential, uniform

Floats = NDArray[np.float64]

# Rows of `Gas.tally`.
N, N_UP, TOP, N_FREE, SERIAL = 0, 1, 2, 3, 4
GENERATED, ANNIHILATED, FLIPPED = 5, 6, 7
PENDING, PENDING_CELL, PENDING_SPIN = 8, 9, 10
CANDIDATES, EVENTS = 11, 12
COUNTS = 13
# Rows of `Gas.clock`.
TIME, NEXT = 0, 1


class Gas(NamedTuple):
    """Slots for particles, and counters. A slot keeps its number as long as its particle lives.

    Attributes:
        position: ``(slots, 3)``, in units of the model's length.
        spin: ``(slots,)`` int8, ±1.
        serial: ``(slots,)`` int64, grows from particle to particle (and flip to flip); −1 for empty.
        born: ``(slots,)`` time from which the particle counts for its cell.
        where: ``(slots,)`` int32, cell of the grid.
        cell: ``(slots,)`` int32, cell of the domain.
        free: ``(slots,)`` int32, stack of empty slots below ``tally[TOP]``.
        tally, clock: see the names of their rows. ``clock[NEXT]``: when generation, a flip or a candidate for
            a far pair comes next; negative if that is to be drawn.
        pending: ``(3,)`` position of a particle that is to be put in first (``tally[PENDING]``).
        rng: ``(4,)`` uint64.
        integral: ``(2,)`` of the number of particles, and of those with spin up, over time.
        dwell: ``(domain cells,)`` integral of the number of particles over time.
    """

    position: Floats
    spin: NDArray[np.int8]
    serial: NDArray[np.int64]
    born: Floats
    where: NDArray[np.int32]
    cell: NDArray[np.int32]
    free: NDArray[np.int32]
    tally: NDArray[np.int64]
    clock: Floats
    pending: Floats
    rng: NDArray[np.uint64]
    integral: Floats
    dwell: Floats


SLOT_ARRAYS = ("position", "spin", "serial", "born", "where", "cell", "free")


class Grid(NamedTuple):
    """Cells in which partners are looked for.

    Attributes:
        slots: ``(cells, capacity)`` int32, particles of a cell.
        at: ``(cells, capacity, 3)`` their positions once more, so that a cell is one stretch of memory.
        fill: ``(cells,)`` int32, how many.
        shape: ``(3,)`` int64, cells along each direction.
        edge, lengths: ``(3,)``; lengths are 0 beyond the dimension.
        periodic: ``(3,)`` bool.
        near: ``(k, 3)`` int32, displacements of cells that can hold a particle within the near radius.
    """

    slots: NDArray[np.int32]
    at: Floats
    fill: NDArray[np.int32]
    shape: NDArray[np.int64]
    edge: Floats
    lengths: Floats
    periodic: NDArray[np.bool_]
    near: NDArray[np.int32]


def empty_gas(slots: int, n_cells: int, rng: NDArray[np.uint64]) -> Gas:
    return Gas(
        position=np.zeros((slots, 3)),
        spin=np.ones(slots, np.int8),
        serial=np.full(slots, -1, np.int64),
        born=np.zeros(slots),
        where=np.zeros(slots, np.int32),
        cell=np.zeros(slots, np.int32),
        free=np.zeros(slots, np.int32),
        tally=np.zeros(COUNTS, np.int64),
        clock=np.array([0.0, -1.0]),
        pending=np.zeros(3),
        rng=rng,
        integral=np.zeros(2),
        dwell=np.zeros(n_cells),
    )


def with_slots(gas: Gas, slots: int) -> Gas:
    """The same gas with more room."""
    new = empty_gas(slots, len(gas.dwell), gas.rng)
    for name in SLOT_ARRAYS:
        old = getattr(gas, name)
        getattr(new, name)[: len(old)] = old
    return new._replace(
        tally=gas.tally, clock=gas.clock, pending=gas.pending, integral=gas.integral, dwell=gas.dwell
    )


@njit(cache=True, nogil=True, _nrt=False)
def distance2(grid, a, cell, s):
    """Square of the distance of a position to that of entry ``s`` of a cell, to the nearest image where the
    box is periodic."""
    total = 0.0
    for k in range(3):
        d = abs(a[k] - grid.at[cell, s, k])
        if grid.periodic[k]:
            d = min(d, grid.lengths[k] - d)
        total += d * d
    return total


@njit(cache=True, nogil=True, _nrt=False)
def gap2(grid, i, j, k):
    """Square of the least distance of two points in cells displaced by (i, j, k)."""
    total = 0.0
    for axis in range(3):
        d = abs(i if axis == 0 else (j if axis == 1 else k))
        if grid.periodic[axis]:
            d = min(d, grid.shape[axis] - d)
        if d > 1:
            total += ((d - 1) * grid.edge[axis]) ** 2
    return total


@njit(cache=True, nogil=True, _nrt=False)
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


@njit(cache=True, nogil=True, _nrt=False)
def neighbour(grid, x, y, z, displacement):
    """Cell displaced from (x, y, z), or −1 outside an open box."""
    x += displacement[0]
    y += displacement[1]
    z += displacement[2]
    nx, ny, nz = grid.shape[0], grid.shape[1], grid.shape[2]
    if x < 0 or x >= nx:
        if not grid.periodic[0]:
            return -1
        x += nx if x < 0 else -nx
    if y < 0 or y >= ny:
        if not grid.periodic[1]:
            return -1
        y += ny if y < 0 else -ny
    if z < 0 or z >= nz:
        if not grid.periodic[2]:
            return -1
        z += nz if z < 0 else -nz
    return (x * ny + y) * nz + z


@njit(cache=True, nogil=True, _nrt=False)
def enter(grid, gas, slot):
    """Lists a particle in its cell; False if the cell is full."""
    cell = cell_of(grid, gas.position[slot])
    n = grid.fill[cell]
    if n == grid.slots.shape[1]:
        return False
    grid.slots[cell, n] = slot
    for k in range(3):
        grid.at[cell, n, k] = gas.position[slot, k]
    grid.fill[cell] = n + 1
    gas.where[slot] = cell
    return True


@njit(cache=True, nogil=True, _nrt=False)
def remove(grid, gas, slot):
    """Takes a particle away."""
    count = gas.tally
    cell = gas.where[slot]
    last = grid.fill[cell] - 1
    for s in range(last):
        if grid.slots[cell, s] == slot:
            grid.slots[cell, s] = grid.slots[cell, last]
            for k in range(3):
                grid.at[cell, s, k] = grid.at[cell, last, k]
            break
    grid.fill[cell] = last
    gas.serial[slot] = -1
    gas.free[count[N_FREE]] = slot
    count[N_FREE] += 1
    count[N] -= 1
    if gas.spin[slot] > 0:
        count[N_UP] -= 1
    gas.dwell[gas.cell[slot]] += gas.clock[TIME] - gas.born[slot]


@njit(cache=True, nogil=True, _nrt=False)
def propose(gas, source, spins):
    """Draws a newcomer: position, cell of the domain, spin; it is pending until it has found a place."""
    rng, count = gas.rng, gas.tally
    simplex = draw(rng, source.threshold, source.other) if len(source.threshold) > 1 else 0
    order = source.order[0]
    total = 0.0
    gas.pending[:] = 0.0
    # Exponential variates divided by their sum are uniform barycentric coordinates.
    for corner in range(order + 1):
        share = exponential(rng) if order > 0 else 1.0
        total += share
        for k in range(3):
            gas.pending[k] += share * source.corners[simplex, corner, k]
    for k in range(3):
        gas.pending[k] /= total
        if source.extent[k] > 0.0:
            gas.pending[k] += source.extent[k] * uniform(rng)
    count[PENDING_CELL] = source.cell[simplex]
    count[PENDING_SPIN] = 1
    if spins and below(rng, 2) == 0:
        count[PENDING_SPIN] = -1
    count[PENDING] = 1


@njit(cache=True, nogil=True, _nrt=False)
def settle(grid, gas):
    """Puts the pending newcomer into a slot and its cell; the slot, or −1 if the cell is full."""
    count = gas.tally
    slot = gas.free[count[N_FREE] - 1] if count[N_FREE] > 0 else count[TOP]
    for k in range(3):
        gas.position[slot, k] = gas.pending[k]
    if not enter(grid, gas, slot):
        return -1
    if count[N_FREE] > 0:
        count[N_FREE] -= 1
    else:
        count[TOP] += 1
    gas.spin[slot] = count[PENDING_SPIN]
    gas.cell[slot] = count[PENDING_CELL]
    gas.born[slot] = gas.clock[TIME]
    gas.serial[slot] = count[SERIAL]
    count[SERIAL] += 1
    count[N] += 1
    if count[PENDING_SPIN] > 0:
        count[N_UP] += 1
    count[PENDING] = 0
    return slot


@njit(cache=True, nogil=True)
def compact(gas):
    """Renumbers the particles so that no slot below ``tally[TOP]`` is empty; cells must be listed anew."""
    count = gas.tally
    to = 0
    for slot in range(count[TOP]):
        if gas.serial[slot] >= 0:
            if to != slot:
                gas.position[to] = gas.position[slot]
                gas.spin[to] = gas.spin[slot]
                gas.serial[to] = gas.serial[slot]
                gas.born[to] = gas.born[slot]
                gas.cell[to] = gas.cell[slot]
                gas.serial[slot] = -1
            to += 1
    count[TOP] = to
    count[N_FREE] = 0


@njit(cache=True, nogil=True)
def enter_all(grid, gas):
    """Lists all particles of a compacted gas; False if a cell is too small."""
    grid.fill[:] = 0
    for slot in range(gas.tally[TOP]):
        if not enter(grid, gas, slot):
            return False
    return True


@njit(cache=True, nogil=True)
def flush(gas):
    """Counts the particles that are there for their cells, up to now."""
    now = gas.clock[TIME]
    for slot in range(gas.tally[TOP]):
        if gas.serial[slot] >= 0:
            gas.dwell[gas.cell[slot]] += now - gas.born[slot]
            gas.born[slot] = now
