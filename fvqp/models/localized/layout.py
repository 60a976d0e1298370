"""Choice of the cells and of the near radius: which pairs get times of their own, which are thinned out.

Nothing here changes the statistics of the model, only the cost of an event.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from scipy.special import pdtrik

from fvqp.errors import CaseError
from fvqp.kernel_cache import njit
from fvqp.models.localized.domain import sphere_volume
from fvqp.models.localized.dynamics import Far
from fvqp.models.localized.gas import Grid, empty_grid, gap2
from fvqp.models.localized.rates import RATE_AT_CONTACT, pair_rate
from fvqp.models.localized.rng import alias_table
from fvqp.typing import Bools, Floats, Ints32

# Nanoseconds of a near pair of a newcomer, of a look into a cell, and at a particle in it.
_NEAR_COST, _CELL_COST, _LOOK_COST = 10.0, 4.0, 3.0
# The same of a candidate for a far pair, and of each try to find a particle for it.
_FAR_COST, _TRY_COST = 40.0, 8.0
# More particles than these are not in the cache when a candidate asks for them, which costs so much more.
_CACHED, _MEMORY = 50_000, 2.0
_MAX_NEAR_PAIRS = 200.0
# The bound of the rate beyond the table may be this part of the rate of events.
_BEYOND_SHARE = 0.1
# A layout serves until the number of particles has changed by this factor (and by more than a few).
_WEAR, _FEW = 1.5, 64
# Candidates for far pairs may exceed the events by this factor before the layout is thought over.
_PATIENCE = 40
_CELLS_PER_PARTICLE = 8
# Most places in all cells, of 32 bytes, and in one, which counts them in 16 bits.
_PLACES, _PLACES_PER_PARTICLE, _FULLEST = 4_000_000, 200, 32_000
# Steps of the table that bounds the rates of near pairs.
_STEPS = 512


@dataclass(frozen=True)
class Plan:
    """``near``: near radius; ``edge``: least edge of a cell; ``capacity``: particles a cell can hold;
    ``beyond``: radius that the table of far cells reaches; ``particles``: how many it is made for."""

    near: float
    edge: float
    capacity: int
    beyond: float
    particles: int


def choose(
    dim: int,
    density: float,
    particles: int,
    events: float,
    near: float | None = None,
    *,
    instant: bool = False,
) -> Plan:
    """The cheapest layout.

    Parameters
    ----------
    density : particles per unit of length to the ``dim`` that a particle sees around it.
    particles : their number.
    events : expected number of events in the whole domain per unit of time.
    near : a near radius to use instead of the cheapest.
    instant : partners annihilate at once within ``near``, which then is needed.
    """
    beyond = _beyond(particles, events)
    if instant:
        assert near is not None
        edge = max(near, (0.5 / density) ** (1.0 / dim))
        return Plan(near, edge, _capacity(density * edge**dim, particles), 0.0, particles)
    spacing = density ** (-1.0 / dim)
    best, cheapest = None, math.inf
    radii = [near] if near is not None else [0.0, *(2.0 ** (0.25 * np.arange(-4, 24)))]
    for radius in radii:
        pairs = density * sphere_volume(dim) * radius**dim
        if pairs > _MAX_NEAR_PAIRS and best is not None:
            break
        for edge in _edges(radius, spacing):
            capacity = _capacity(density * edge**dim, particles)
            cells = (2.0 * math.ceil(radius / edge) + 1.0) ** dim
            candidates = 0.5 * particles * capacity * _total_weight(dim, radius, edge, beyond)
            looked_at = density * edge**dim * cells
            cost = pairs * _NEAR_COST + cells * _CELL_COST + looked_at * _LOOK_COST
            tries = capacity / (density * edge**dim)
            slow = 1.0 if particles < _CACHED else _MEMORY
            cost += slow * (_FAR_COST + _TRY_COST * tries) * candidates / events
            if cost < cheapest:
                cheapest = cost
                best = Plan(radius, edge, capacity, max(beyond, radius), particles)
    assert best is not None
    return best


def _edges(radius: float, spacing: float) -> list[float]:
    """Edges of cells to try, on a fixed ladder, so that their tables are found again in the cache."""
    wanted = [radius, 0.5 * radius, 0.7 * spacing, 1.4 * spacing]
    ladder = {math.ceil(4.0 * math.log2(edge) - 1e-9) for edge in wanted if edge >= 0.3}
    ladder = {step for step in ladder if 2.0 ** (step / 4.0) < 4.0 * max(spacing, radius)} or {0}
    return [2.0 ** (step / 4.0) for step in sorted(ladder)]


def _beyond(particles: int, events: float) -> float:
    """Distance at which the rate, for all pairs together, is a small part of the events."""
    wanted = 2.0 * _BEYOND_SHARE * events / max(particles, 2) ** 2
    x = np.arange(0.5, 200.5, 0.5)
    fine = pair_rate(x) <= wanted
    return float(x[np.argmax(fine)]) if np.any(fine) else float(x[-1])


def _capacity(mean: float, particles: int) -> int:
    """Particles that the fullest cell will hold, if they were independent."""
    mean = min(mean, particles)
    n_cells = max(particles / max(mean, 1e-9), 1.0)
    # Quantile of a Poisson distribution; scipy.stats, which has it by name, takes half a second to import.
    return max(math.ceil(pdtrik(1.0 - min(0.02 / n_cells, 0.5), mean)), 2)


@lru_cache(maxsize=4096)
def _total_weight(dim: int, near: float, edge: float, beyond: float) -> float:
    """Sum of the bounds of the table, without a box; ``beyond`` in steps, because it hardly matters."""
    reach = math.ceil(min(beyond, near + 16.0) / edge) + 1
    if reach > 24:
        # So small are cells only in the dense regime, where the sum is an integral.
        x = np.linspace(0.0, beyond, 400)
        bound = np.minimum(pair_rate(np.maximum(x - edge, near)), RATE_AT_CONTACT)
        shell = dim * sphere_volume(dim) * x ** (dim - 1)
        return float(np.sum(bound * shell) * x[1] / edge**dim)
    step = np.arange(-reach, reach + 1)
    gap = np.maximum(np.abs(step) - 1, 0) * edge
    far = (np.abs(step) + 1) * edge
    axes = [gap**2] * dim
    least = np.sqrt(sum(np.meshgrid(*axes, indexing="ij", sparse=True)))
    most = np.sqrt(sum(np.meshgrid(*[far**2] * dim, indexing="ij", sparse=True)))
    return float(np.sum(pair_rate(np.maximum(least, near)) * (most > near)))


def build(
    plan: Plan, dim: int, lengths: Floats, periodic: Bools, *, instant: bool, homes: bool
) -> tuple[Grid, Far]:
    """Cells and tables of a plan in a box of these ``lengths`` (0 beyond ``dim``); ``homes``: whether the
    domain has several cells.

    Raises `CaseError`: cells for particles that gather in a small part of the domain need too much memory.
    """
    edge = plan.edge
    shape = np.ones(3, np.int64)
    most = _CELLS_PER_PARTICLE * plan.particles + 1000
    while True:
        shape[:dim] = np.maximum(np.minimum(lengths[:dim] / edge, 2**20).astype(np.int64), 1)
        if int(np.prod(shape.astype(object))) <= most:
            break
        edge *= 1.1
    places = int(np.prod(shape)) * plan.capacity
    if plan.capacity > _FULLEST or places > _PLACES + _PLACES_PER_PARTICLE * plan.particles:
        raise CaseError(
            f"generation: {plan.particles} quasiparticles gather in too small a part of the domain: up to "
            f"{plan.capacity} in one of {int(np.prod(shape))} equal cells; take a smaller domain around it"
        )
    bare = empty_grid(shape, lengths, periodic, 0, np.zeros((0, 4), np.int32), homes=homes)
    close, _, _ = _displacements(bare, dim, plan.near)
    near = _rows(close)
    grid = empty_grid(shape, lengths, periodic, plan.capacity, near, homes=homes)
    reach = np.abs(close).max(axis=0)
    grid.narrow[0] = bool(np.any(periodic & (shape < 2 * reach + 2) & (reach > 0)))
    beyond = 0.0 if instant else plan.beyond
    table, least, most_distant = _displacements(grid, dim, beyond)
    weight = pair_rate(np.maximum(least, plan.near))
    used = (most_distant > plan.near) & (weight > 0.0) & (not instant)
    table, weight = table[used], weight[used]
    threshold, other = alias_table(weight) if len(weight) else (np.zeros(0), np.zeros(0, np.int32))
    # Where the table holds every displacement of the box, nothing is beyond it.
    complete = _reaches(grid, dim) < beyond
    rate_beyond = 0.0 if instant or complete else float(pair_rate(max(beyond, plan.near)))
    low = int(plan.particles / _WEAR) - _FEW
    high = int(plan.particles * _WEAR) + _FEW
    candidates = _PATIENCE * (plan.particles + 1000)
    return grid, Far(
        _near_bounds(plan.near, instant=instant),
        np.array([plan.near, beyond]),
        table,
        weight,
        threshold,
        other,
        np.array([weight.sum(), rate_beyond]),
        np.array([low, high, candidates, len(close) * grid.particle.shape[1]]),
    )


def _near_bounds(near: float, *, instant: bool) -> Floats:
    """Steps of the square of the distance over its range, and the greatest rate in each, with one step more
    for round-off."""
    if instant or near == 0.0:
        return np.zeros(2)
    lower = near * np.sqrt(np.arange(_STEPS + 1) / _STEPS)
    # A digit is lost in the rate, and its last ones in the table must not be below those in the loop.
    return np.concatenate([[_STEPS / near**2], pair_rate(lower) * (1.0 + 1e-10)])


def _rows(displacements: Ints32) -> Ints32:
    """``(k, 4)`` displacement in x, in y, first and last one in z, of displacements in this order: those of
    one row have no gaps, because the least distance grows with the displacement."""
    changes = np.any(np.diff(displacements[:, :2], axis=0) != 0, axis=1)
    starts = np.concatenate([[0], np.flatnonzero(changes) + 1])
    ends = np.concatenate([starts[1:], [len(displacements)]]) - 1
    return np.column_stack([displacements[starts], displacements[ends, 2]]).astype(np.int32)


def _reaches(grid: Grid, dim: int) -> float:
    """Greatest of the least distances of two cells of the box."""
    steps = np.where(grid.period < np.inf, grid.shape // 2, grid.shape - 1)[:dim]
    return float(np.linalg.norm(np.maximum(steps - 1, 0) * grid.edge[:dim]))


def _displacements(grid: Grid, dim: int, radius: float) -> tuple[Ints32, Floats, Floats]:
    """Displacements ``(k, 3)`` of cells whose least distance is below ``radius`` (and the cell itself), each
    cell of a periodic box once; their least and greatest distances."""
    axes = []
    for k in range(3):
        n = int(grid.shape[k])
        reach = n if k >= dim else math.ceil(radius / grid.edge[k]) + 1
        low, high = (-((n - 1) // 2), n // 2) if grid.period[k] < np.inf else (1 - n, n - 1)
        axes.append(np.arange(max(low, -reach), min(high, reach) + 1))
    steps = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int32)
    least2 = np.zeros(len(steps))
    _gaps2(grid, steps, least2)
    inside = (least2 < radius * radius) | ~steps.any(axis=1)
    steps, least = steps[inside], np.sqrt(least2[inside])
    folded = np.abs(steps)
    folded = np.where(grid.period < np.inf, np.minimum(folded, grid.shape - folded), folded)
    most = np.linalg.norm((folded + 1) * grid.edge, axis=1)
    return steps, least, most


@njit(cache=True, nogil=True)
def _gaps2(grid, steps, out):
    for row in range(len(steps)):
        out[row] = gap2(grid, steps[row, 0], steps[row, 1], steps[row, 2])


def with_capacity(plan: Plan, capacity: int) -> Plan:
    """The plan with cells for at least so many particles."""
    return replace(plan, capacity=max(plan.capacity, capacity))
