"""Random trajectories of (N, m) by Gillespie's exact algorithm, straight from the table of events.

Independent of the master equation: its own rates, in the numbers N and m, without truncation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.kernel_cache import njit
from fvqp.models.clusters.mean_field import approximate_number
from fvqp.models.clusters.rates import Cluster
from fvqp.typing import Floats, Ints

FORGOTTEN = 20.0
"""Times N0²/AV after which a trajectory has forgotten its start."""


ISING, PAPER, EXACT = 0, 1, 2
"""Tables of rates of the kernel."""


@njit(cache=True, nogil=True)
def _simulate(
    injection: float, singlet: float, triplet: float, flip: float, algebra: int,
    number: int, flipped: int, ends: Floats, rng: np.random.Generator,
    sampled: Ints, means: Floats, residence: Floats,
) -> tuple[int, int]:  # fmt: skip
    """Fills (N, m) at the ends of the intervals, time integrals of N, N², m over them, and the time spent at
    every N.

    Returns the number of events and the largest N seen, also where `residence` is too short for it.
    """
    step_n = np.array([1, 1, -2, 0, 0, -2, -2, -2])
    step_m = np.array([0, 1, -1, 1, -1, 0, -1, -2])
    rate = np.empty(8)
    events, largest = 0, number
    now = 0.0
    k = 0
    end = ends[0]
    while True:
        N, m = number, flipped
        u = N - m
        twice = N - 2.0 * m
        if algebra == EXACT:
            below = max(twice - 1.0, 0.0) / (twice + 1.0)
            above = (twice + 3.0) / (twice + 1.0)
            rate[0] = 0.5 * injection * (twice + 2.0) / (twice + 1.0)
            rate[1] = injection - rate[0]
            rate[2] = singlet * (u + 1.0) * m
            rate[3] = flip * (u + 1.0) * below
            rate[4] = flip * m * above
            rate[5] = 0.5 * triplet * u * (u + 1.0) * below
            rate[6] = triplet * (u + 1.0) * m * (1.0 if twice > 0.0 else 0.5)
            rate[7] = 0.5 * triplet * m * (m - 1.0) * above
        else:
            asymmetry = 1.0 / (u + 1.0) if algebra == PAPER else 0.0
            rate[0] = 0.5 * injection * (1.0 + asymmetry)
            rate[1] = 0.5 * injection * (1.0 - asymmetry)
            rate[2] = singlet * u * m
            rate[3] = flip * u
            rate[4] = flip * m
            rate[5] = 0.5 * triplet * u * (u - 1.0)
            rate[6] = triplet * u * m
            rate[7] = 0.5 * triplet * m * (m - 1.0)
        if algebra == PAPER:
            # No event leaves 0 <= m <= N/2, and every arrival is counted.
            if twice == 0.0:
                rate[0] = injection
            for e in range(8):
                if 2 * (m + step_m[e]) > N + step_n[e]:
                    rate[e] = 0.0
        total = rate.sum()
        wait = -math.log(1.0 - rng.random()) / total
        while now + wait >= end:
            part = end - now
            wait -= part
            means[k, 0] += part * N
            means[k, 1] += part * N * N
            means[k, 2] += part * m
            if N < residence.size:
                residence[N] += part
            sampled[k, 0] = N
            sampled[k, 1] = m
            now = end
            k += 1
            if k == ends.size:
                return events, largest
            end = ends[k]
        means[k, 0] += wait * N
        means[k, 1] += wait * N * N
        means[k, 2] += wait * m
        if N < residence.size:
            residence[N] += wait
        now += wait
        chosen = rng.random() * total
        e = 0
        while e < 7 and chosen >= rate[e]:
            chosen -= rate[e]
            e += 1
        while rate[e] == 0.0:
            e -= 1
        number += step_n[e]
        flipped += step_m[e]
        largest = max(largest, number)
        events += 1


@dataclass(frozen=True)
class ClusterTrajectory:
    """One realization of N(t), m(t).

    Attributes
    ----------
    interval
        s, between samples.
    number, flipped
        (samples,) N and m at the ends of the intervals; of Ising spins m counts those that point down.
    means
        (samples, 3) time averages of N, N² and m over the intervals.
    residence
        Fraction of the time spent at N = 0, 1, ...
    events
        How many took place.
    seed
        Of the random numbers.
    """

    interval: float
    number: Ints
    flipped: Ints
    means: Floats
    residence: Floats
    events: int
    seed: int

    def average(self, batches: int = 20) -> tuple[Floats, Floats]:
        """⟨N⟩, ⟨N²⟩, ⟨m⟩ and their standard errors from the scatter of batch means.

        Batches must be long against the correlation time for the errors to hold.
        """
        length = len(self.means) // batches
        if batches < 2 or length < 1:
            raise CaseError(
                f"trajectory: {batches} batches of {len(self.means)} samples: expected 2 or more batches"
            )
        batch = self.means[: batches * length].reshape(batches, length, 3).mean(axis=1)
        return batch.mean(axis=0), batch.std(axis=0, ddof=1) / math.sqrt(batches)

    def correlation(self, lags: int) -> Floats:
        """C(t) = ⟨δN(t) δN(0)⟩ at t = 0, 1, ..., lags − 1 intervals, averaged over the trajectory."""
        n = self.number.size
        if not 0 < lags <= n:
            raise CaseError(f"trajectory: {lags} lags of {n} samples: expected 1 to {n}")
        deviation = self.number - self.number.mean()
        power = np.abs(np.fft.rfft(deviation, 2 * n)) ** 2
        return np.asarray(np.fft.irfft(power)[:lags] / (n - np.arange(lags)))


def simulate(
    cluster: Cluster,
    *,
    duration: float,
    samples: int,
    seed: int,
    start: tuple[int, int] = (0, 0),
) -> ClusterTrajectory:
    """A trajectory of length `duration` (s) from (N, m) = `start`, sampled at equal intervals.

    Raises
    ------
    CaseError
        A start that is no state, or no time or samples.
    """
    if not (math.isfinite(duration) and duration > 0.0 and samples > 0):
        raise CaseError(f"trajectory: duration {duration} s, {samples} samples: expected both above 0")
    _check_beginning(cluster, start, seed)
    number, flipped = start
    length = 1024
    while True:
        sampled = np.zeros((samples, 2), np.int64)
        means, residence = np.zeros((samples, 3)), np.zeros(length)
        events, largest = _simulate(
            cluster.injection, cluster.singlet, cluster.triplet, cluster.flip, _table(cluster),
            number, flipped, (np.arange(samples) + 1.0) * (duration / samples), np.random.default_rng(seed),
            sampled, means, residence,
        )  # fmt: skip
        if largest < length:
            break
        # The same seed gives the same trajectory, so nothing is lost but time.
        length = 2 * largest
    return ClusterTrajectory(
        interval=duration / samples,
        number=sampled[:, 0],
        flipped=sampled[:, 1],
        means=means * (samples / duration),
        residence=residence[: largest + 1] / duration,
        events=events,
        seed=seed,
    )


def ensemble(
    cluster: Cluster, times: ArrayLike, *, runs: int, seed: int, start: tuple[int, int] | Cluster = (0, 0)
) -> tuple[Ints, Ints]:
    """N and m, both (runs, n_times), at increasing `times` above 0 (s) of independent trajectories.

    `start`: N and m at 0; or the cluster that it was before, for so long that it had become stationary: 20
    times N0²/AV, in which it forgets.

    Raises
    ------
    CaseError
        A start that is no state, or times that do not increase.
    """
    ends = np.array(times, float)
    if ends.ndim != 1 or ends.size == 0 or not (np.diff(ends, prepend=0.0) > 0.0).all():
        raise CaseError("trajectory: times: expected one or more increasing numbers above 0 (s)")
    if not isinstance(start, Cluster):
        _check_beginning(cluster, start, seed)
    found = np.zeros((runs, ends.size, 2), np.int64)
    means, residence = np.zeros((ends.size, 3)), np.zeros(0)
    for run, own in enumerate(np.random.SeedSequence(seed).spawn(runs)):
        rng = np.random.default_rng(own)
        number, flipped = (0, 0) if isinstance(start, Cluster) else start
        stages = [(cluster, ends, found[run])]
        if isinstance(start, Cluster):
            number = round(approximate_number(start))
            forgotten = FORGOTTEN * approximate_number(start) ** 2 / start.injection
            stages.insert(0, (start, np.array([forgotten]), np.zeros((1, 2), np.int64)))
        for stage, until, sampled in stages:
            _simulate(
                stage.injection, stage.singlet, stage.triplet, stage.flip, _table(stage),
                number, flipped, until, rng, sampled, means, residence,
            )  # fmt: skip
            number, flipped = int(sampled[-1, 0]), int(sampled[-1, 1])
    return found[..., 0], found[..., 1]


def _table(cluster: Cluster) -> int:
    if cluster.spin == "ising":
        return ISING
    return EXACT if cluster.algebra == "exact" else PAPER


def _check_beginning(cluster: Cluster, start: tuple[int, int], seed: int) -> None:
    number, flipped = start
    if seed < 0:
        raise CaseError(f"trajectory: seed {seed}: expected 0 or above")
    if not 0 <= flipped <= (number // 2 if cluster.spin == "quantum" else number):
        raise CaseError(
            f"trajectory: start N = {number}, m = {flipped}: expected 0 <= m <= N/2 (Ising: m <= N)"
        )
