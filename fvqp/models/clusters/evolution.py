"""Relaxation of a cluster from a start to its stationary state: P(N, t) by every equation of this package.

A start is (N, m) for certain, or another cluster, such as the same trap at another rate of injection, that
has become stationary. Times are in seconds from the start on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.models.clusters import mean_field
from fvqp.models.clusters.fokker_planck import FokkerPlanck
from fvqp.models.clusters.gillespie import ensemble
from fvqp.models.clusters.master import LOST, MAX_STATES, Loss, MasterEquation, stationary_state, widened
from fvqp.models.clusters.rates import Cluster
from fvqp.models.clusters.reduced import NumberChain, largest_number, reduced_chain
from fvqp.models.clusters.states import choose, tail_width, united
from fvqp.typing import Floats

Start = tuple[int, int] | Cluster
"""N and m, or a cluster in its stationary state."""


@dataclass(frozen=True)
class TransientStatistics:
    """Moments and probabilities at a number of times.

    Attributes
    ----------
    number
        (n_times,) ⟨N⟩; in mean field N.
    variance
        (n_times,) ⟨⟨N²⟩⟩; None in mean field.
    flipped
        (n_times,) ⟨m⟩, of Ising spins the mean number in the minority; None where all spins are parallel.
    distribution
        (n_times, n) P(N) on N = 0, 1, ..., of the Fokker-Planck equation interpolated; None in mean field.
    error
        (n_times,) standard error of ⟨N⟩ over random trajectories; None of other equations.
    lost
        Bound on the probability outside the states kept, the largest of all steps; None where there is none.
    """

    number: Floats
    variance: Floats | None = None
    flipped: Floats | None = None
    distribution: Floats | None = None
    error: Floats | None = None
    lost: float | None = None

    @property
    def polarization(self) -> Floats | None:
        """1 − 2⟨m⟩/⟨N⟩, NaN where there is nothing; None where all spins are parallel."""
        if self.flipped is None:
            return None
        some = self.number > 0.0
        return np.where(some, 1.0 - 2.0 * self.flipped / np.where(some, self.number, 1.0), np.nan)


def evolve_master(
    cluster: Cluster,
    start: Start,
    times: ArrayLike,
    *,
    tolerance: float = 1e-7,
    lost: float = LOST,
    comm: MPI.Comm = MPI.COMM_WORLD,
    method: str = "auto",
    max_states: int = MAX_STATES,
) -> TransientStatistics:
    """By the master equation for P(N, m), at increasing `times` ≥ 0.

    States are widened until the bound on the probability outside stays below `lost` at all steps.
    `tolerance` is of the probabilities, against the largest one at the start; the rest is as of
    `MasterEquation`.

    Raises
    ------
    CaseError
        A start that is no state, times that do not increase, or more than `max_states` states.
    ConvergenceError
        Widening does not reach `lost`, or the solver gives up.
    """
    kept = None
    if isinstance(start, Cluster):
        before = stationary_state(
            start, lost=lost, comm=comm, method=method, max_states=max_states, warn=False
        )
        kept = before.equation.states
        M, m, held = (
            np.concatenate(comm.allgather(part)) for part in (before.equation.M, before.equation.m, before.p)
        )
        before.equation.chain.destroy()
    else:
        number, flipped = _checked(cluster, start)
        # Of Ising spins m counts the minority.
        flipped = min(flipped, number - flipped)
        M, m, held = np.array([number - 2 * flipped]), np.array([flipped]), np.ones(1)

    def attempt(widen: tuple[float, float]) -> tuple[TransientStatistics, Loss, int]:
        if kept is None:
            states = choose(cluster, lost, widen, start=(int(M[0]), int(m[0])))
        else:
            states = united(kept, choose(cluster, lost, widen, least=kept.low.size - 1))
        equation = MasterEquation(
            cluster, states=states, comm=comm, method=method, max_states=max_states, warn=False
        )
        chain = equation.chain
        place = states.number(M, m) - chain.first
        own = (place >= 0) & (place < chain.n_owned)
        p = np.zeros(chain.n_owned)
        p[place[own]] = held[own]
        worst = Loss(0.0, 0.0)

        def watch(p: Floats) -> None:
            nonlocal worst
            now = equation.loss(np.maximum(p, 0.0))
            worst = Loss(max(worst.spin, now.spin), max(worst.flipped, now.flipped))

        found = equation.evolve(p, times, tolerance, watch)
        N = equation.N.astype(float)
        evolution = TransientStatistics(
            *_moments(chain.sum(found * N), chain.sum(found * N**2)),
            flipped=chain.sum(found * equation.m),
            distribution=np.array([equation.number_distribution(p) for p in found]),
            lost=worst.total,
        )
        chain.destroy()
        return evolution, worst, states.size

    return widened(attempt, lost)


def evolve_simplified(
    cluster: Cluster,
    start: Start,
    times: ArrayLike,
    *,
    tolerance: float = 1e-7,
    lost: float = LOST,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> TransientStatistics:
    """By the simplified equation for P(N), see `evolve_master`; flipped spins of the start annihilate at
    once."""
    reach = largest_start(cluster, start, lost)
    chain = reduced_chain(cluster, lost=lost, comm=comm, reach=reach)
    if isinstance(start, Cluster):
        p = reduced_chain(start, lost=lost, comm=comm, reach=reach).stationary
    else:
        p = (chain.number == _parallel(cluster, start)).astype(float)
    found = chain.evolve(p, times, tolerance)
    distribution = np.concatenate(comm.allgather(found), axis=1)
    return TransientStatistics(*_of_numbers(chain, found), distribution=distribution)


def evolve_fokker_planck(
    cluster: Cluster,
    start: Start,
    times: ArrayLike,
    *,
    tolerance: float = 1e-7,
    lost: float = LOST,
    cells: int = 400,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> TransientStatistics:
    """By the Fokker-Planck equation in N on equal `cells`, see `evolve_simplified`."""
    edges = np.linspace(0.0, largest_start(cluster, start, lost), cells + 1)
    chain = FokkerPlanck(cluster, edges, comm=comm)
    if isinstance(start, Cluster):
        p = FokkerPlanck(start, edges, comm=comm).stationary
    else:
        place = int(np.searchsorted(edges, _parallel(cluster, start), side="right")) - 1
        p = (np.arange(chain.chain.first, chain.chain.first + chain.number.size) == place).astype(float)
    found = chain.evolve(p, times, tolerance)
    density = np.concatenate(comm.allgather(found), axis=1) / np.diff(edges)
    numbers = np.arange(int(edges[-1]) + 1)
    distribution = np.array([np.interp(numbers, chain.centres, row, right=0.0) for row in density])
    return TransientStatistics(*_of_numbers(chain, found), distribution=distribution)


def evolve_trajectories(
    cluster: Cluster, start: Start, times: ArrayLike, *, runs: int = 200, seed: int = 0
) -> TransientStatistics:
    """By `runs` independent random trajectories, at increasing `times` above 0."""
    if runs < 2:
        raise CaseError(f"trajectory: {runs} runs: expected 2 or more")
    N, m = ensemble(cluster, times, runs=runs, seed=seed, start=start)
    deviation = N.std(axis=0, ddof=1)
    length = int(N.max()) + 1
    return TransientStatistics(
        N.mean(axis=0),
        deviation**2,
        np.minimum(m, N - m).mean(axis=0),
        np.array([np.bincount(row, minlength=length) / runs for row in N.T]),
        deviation / math.sqrt(runs),
    )


def evolve_mean_field(cluster: Cluster, start: Start, times: ArrayLike) -> TransientStatistics:
    """By the mean-field equations; `CaseError` for a start with N − m below 1, of which they know nothing."""
    if isinstance(start, Cluster):
        state = mean_field.stationary(start)
        start_number, start_flipped = state.number, state.flipped
    else:
        start_number, start_flipped = map(float, _checked(cluster, start))
        start_flipped = min(start_flipped, start_number - start_flipped)
    number, flipped = mean_field.evolve(cluster, start_number, start_flipped, times)
    return TransientStatistics(number, flipped=flipped)


def _checked(cluster: Cluster, start: tuple[int, int]) -> tuple[int, int]:
    number, flipped = start
    if not 0 <= flipped <= (number if cluster.spin == "ising" else number // 2):
        raise CaseError(f"cluster: start N = {number}, m = {flipped}: expected 0 <= m <= N/2 (Ising: m <= N)")
    return start


def _parallel(cluster: Cluster, start: tuple[int, int]) -> int:
    """N of a start when those of flipped spin have annihilated."""
    number, flipped = _checked(cluster, start)
    return abs(number - 2 * flipped)


def largest_start(cluster: Cluster, start: Start, lost: float) -> float:
    """Number beyond which less than about `lost` is left of a distribution of N, at any time; without those
    of flipped spin, which annihilate."""
    least = largest_number(cluster, lost)
    if isinstance(start, Cluster):
        return max(least, largest_number(start, lost))
    number = _parallel(cluster, start)
    return max(least, number + float(tail_width(number, math.log(1.0 / lost))))


def _moments(mean: Floats, square: Floats) -> tuple[Floats, Floats]:
    return mean, np.maximum(square - mean**2, 0.0)


def _of_numbers(chain: NumberChain, found: Floats) -> tuple[Floats, Floats]:
    """⟨N⟩ and ⟨⟨N²⟩⟩ of probabilities (n_times, n_owned)."""
    total = chain.chain.sum
    return _moments(total(found * chain.number), total(found * chain.number**2))
