"""The states (M, m) that a truncated master equation keeps, and an estimate of their probabilities.

M = N − 2m is twice the spin, m the number of flipped spins. At a given M, m relaxes fast to a narrow,
Poisson-like distribution around m*(M), where injections and spin flips balance annihilation. So the states
kept are, for every M from 0 to a largest one, the m of an interval around m*(M).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from fvqp.models.clusters.mean_field import stationary
from fvqp.models.clusters.rates import Cluster, check_lost, events
from fvqp.typing import Floats, Ints


@dataclass(frozen=True)
class States:
    """The m ≥ 0 between `lower[M]` and `upper[M]`, for every M from 0 to `lower.size - 1`; numbered with m
    inside M.

    The edges are real numbers: bounds on what is lost follow how they change with M, and integers would make
    stairs of that.
    """

    lower: Floats
    upper: Floats

    @cached_property
    def low(self) -> Ints:
        """(n_M,) least m."""
        return np.maximum(np.ceil(self.lower), 0.0).astype(np.int64)

    @cached_property
    def high(self) -> Ints:
        """(n_M,) largest m."""
        return np.floor(self.upper).astype(np.int64)

    @cached_property
    def offsets(self) -> Ints:
        """(n_M + 1,) number of the first state of every M."""
        return np.concatenate([[0], np.cumsum(self.high - self.low + 1)])

    @property
    def size(self) -> int:
        return int((self.high - self.low + 1).sum())

    def at(self, first: int, last: int) -> tuple[Ints, Ints]:
        """M and m of the states numbered from `first` to `last` (exclusive)."""
        offsets = self.offsets
        number = np.arange(first, last)
        M = np.searchsorted(offsets, number, side="right") - 1
        return M, number - offsets[M] + self.low[M]

    def number(self, M: Ints, m: Ints) -> Ints:
        """Numbers of states; −1 for those that are not kept."""
        inside = (M >= 0) & (M < self.low.size)
        safe = np.where(inside, M, 0)
        inside &= (m >= self.low[safe]) & (m <= self.high[safe])
        return np.where(inside, self.offsets[safe] + m - self.low[safe], -1)

    def coarsened(self) -> States:
        """Every other M and m, and as many at the edges as `interpolation` needs."""
        n = self.low.size
        pairs = n // 2 + 1
        # M from -1 to 2 `pairs` - 1, of which three belong to each coarser M.
        low, high = np.full(2 * pairs + 1, np.iinfo(np.int64).max), np.full(2 * pairs + 1, -1)
        low[1 : n + 1], high[1 : n + 1] = self.low, self.high
        low = np.minimum.reduce([low[k : 2 * pairs - 1 + k : 2] for k in range(3)])
        high = np.maximum.reduce([high[k : 2 * pairs - 1 + k : 2] for k in range(3)])
        return States(np.floor(low / 2.0), np.ceil(high / 2.0))

    def interpolation(self, coarse: States, first: int, last: int) -> tuple[Ints, Ints, Floats]:
        """CSR rows of bilinear interpolation from `coarse`, which is `coarsened`, to the states numbered from
        `first` to `last` (exclusive)."""
        M, m = self.at(first, last)
        columns = np.full((M.size, 4), -1)
        for k, (dM, dm) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
            between = (dM <= M % 2) & (dm <= m % 2)
            columns[between, k] = coarse.number(M[between] // 2 + dM, m[between] // 2 + dm)
        entry = columns >= 0
        per_row = entry.sum(axis=1)
        return np.concatenate([[0], np.cumsum(per_row)]), columns[entry], np.repeat(1.0 / per_row, per_row)


def choose(
    cluster: Cluster,
    lost: float,
    widen: tuple[float, float] = (1.0, 1.0),
    start: tuple[int, int] | None = None,
    least: int = 0,
) -> States:
    """States of all but about `lost` of the probability, by the estimates of this module.

    `widen`: factors on the logarithms of the probabilities cut off in M and in m; `start`: M and m from which
    the stationary state is to be reached as well; `least`: M up to which states are kept in any case.
    """
    check_lost(lost)
    spins, log_p = slow_estimate(cluster)
    tail = np.logaddexp.accumulate(log_p[::-1])[::-1]
    # The bound that is asked for later is some ten times the probability cut off.
    kept = max(int(np.count_nonzero(tail > widen[0] * math.log(0.03 * lost))), 8, least + 1)
    if start is not None:
        kept = max(kept, start[0] + math.ceil(tail_width(start[0], widen[0] * math.log(1.0 / lost))))
    spins = np.arange(kept, dtype=float)
    centre, variance = fast_estimate(cluster, spins)
    exponent = widen[1] * math.log(1.0 / lost)
    lower = centre - np.sqrt(2.0 * exponent * variance)
    upper = centre + tail_width(variance, exponent) + 1.0
    if start is not None and not lower[start[0]] <= start[1] <= upper[start[0]]:
        # m relaxes while M diffuses, how far is not asked.
        lower = np.minimum(lower, start[1])
        upper = np.maximum(upper, start[1] + tail_width(0.0, exponent))
    return States(lower, upper)


def tail_width(variance: ArrayLike, exponent: float) -> Floats:
    """Return the distance above the mean of a Poisson-like variable beyond which e^{−exponent} is left, by
    Bernstein's inequality."""
    return np.asarray(exponent / 3.0 + np.sqrt(exponent**2 / 9.0 + 2.0 * exponent * np.asarray(variance)))


def united(one: States, other: States) -> States:
    """The states of either, and at every M those between."""
    size = max(one.lower.size, other.lower.size)

    def long(edge: Floats, beyond: float) -> Floats:
        return np.concatenate([edge, np.full(size - edge.size, beyond)])

    return States(
        np.minimum(long(one.lower, math.inf), long(other.lower, math.inf)),
        np.maximum(long(one.upper, -math.inf), long(other.upper, -math.inf)),
    )


def fast_estimate(cluster: Cluster, M: Floats) -> tuple[Floats, Floats]:
    """m*(M) where births and deaths of flipped spins balance, and the variance about it."""
    births = 0.5 * cluster.injection + cluster.flip * M
    # Deaths by pairs of opposite spins, (M + m) m, and by those of flipped ones, 2 · m²/2.
    mixed, pairs = cluster.singlet + cluster.triplet, cluster.singlet + 2.0 * cluster.triplet
    centre = (np.sqrt((mixed * M) ** 2 + 4.0 * pairs * births) - mixed * M) / (2.0 * pairs)
    return centre, births / (mixed * M + 2.0 * pairs * centre)


def slow_estimate(cluster: Cluster, least: int = 0) -> tuple[Floats, Floats]:
    """M, at least up to `least`, and the logarithm of P(M) of the one-dimensional Fokker-Planck equation in M
    with m = m*(M)."""
    quantum = stationary(cluster.replace(spin="quantum"))
    reach = 8.0 * max(quantum.number, cluster.unpolarized_number) + 50.0
    M = np.arange(max(int(reach), least + 1), dtype=float)
    centre, _ = fast_estimate(cluster, M)
    drift, diffusion = np.zeros_like(M), np.zeros_like(M)
    for (step, _), rate in events(cluster).items():
        drift += step * rate(M, centre)
        diffusion += step**2 * rate(M, centre)
    slope = 2.0 * drift / diffusion
    log_p = np.concatenate([[0.0], np.cumsum(0.5 * (slope[1:] + slope[:-1]))]) - np.log(diffusion)
    return M, log_p - np.logaddexp.reduce(log_p)


def estimate(cluster: Cluster, states: States, first: int, last: int) -> Floats:
    """Estimated probabilities of the states numbered from `first` to `last` (exclusive).

    P(M) of `slow_estimate` times the stationary distribution in m at fixed M, which is the product of the
    ratios of births to deaths.
    """
    if last <= first:
        return np.empty(0)
    offsets = states.offsets
    ends = np.searchsorted(offsets, [first, last - 1], side="right") - 1
    start, stop = int(offsets[ends[0]]), int(offsets[ends[1] + 1])
    M, m = states.at(start, stop)
    spin, flipped = M.astype(float), m.astype(float)
    births, deaths = np.zeros(M.size), np.zeros(M.size)
    for (_, step), rate in events(cluster).items():
        if step > 0:
            births += rate(spin, flipped)
        elif step < 0:
            deaths -= step * rate(spin, flipped)
    head = offsets[ends[0] : ends[1] + 1] - start
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.concatenate([[0.0], np.log(births[:-1]) - np.log(deaths[1:])])
    ratio[head] = 0.0
    ratio[~np.isfinite(ratio)] = 0.0
    log_p = np.cumsum(ratio)
    row = M - M[0]
    log_p -= log_p[head][row]
    log_p -= np.maximum.reduceat(log_p, head)[row]
    total = np.add.reduceat(np.exp(log_p), head)
    _, slow = slow_estimate(cluster, states.low.size - 1)
    return np.exp(log_p + slow[M] - np.log(total)[row])[first - start : last - start]
