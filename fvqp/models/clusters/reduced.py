"""The simplified master equation for P(N): every flipped spin annihilates at once (Meyer, Eq. (S5)).

Valid for m ≪ N. Also home of what one-dimensional chains in N share: `NumberChain` is this equation,
`FokkerPlanck` its continuum limit.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.models.clusters.mean_field import approximate_number
from fvqp.models.clusters.rates import (
    Cluster,
    check_lost,
    checked_times,
    kept_spin,
    spin_square,
)
from fvqp.solvers.markov import MarkovChain
from fvqp.solvers.response import Response
from fvqp.typing import Floats, Ints


def one_dimensional(
    steps: Mapping[int, Floats],
    weight: Floats,
    slow: float,
    comm: MPI.Comm,
    kept: Mapping[int, Floats] | None = None,
    decay: Floats | None = None,
) -> MarkovChain:
    """The chain on 0, 1, ..., n − 1 with (n,) rates of the steps; those that leave are dropped.

    `kept`: (n,) factors by which what makes a step arrives, 1 by default; `decay`: (n,) rates at which states
    lose besides. With one of them the total is not conserved.
    """
    n = weight.size
    first, last = comm.rank * n // comm.size, (comm.rank + 1) * n // comm.size
    row = np.arange(first, last)
    order = [
        *sorted((s for s in steps if s > 0), reverse=True),
        0,
        *sorted((s for s in steps if s < 0), reverse=True),
    ]
    columns = np.empty((row.size, len(order)), np.int64)
    rates = np.zeros((row.size, len(order)))
    for k, step in enumerate(order):
        columns[:, k] = np.where((row - step >= 0) & (row - step < n), row - step, -1)
        if step == 0:
            diagonal = k
            continue
        source = columns[:, k] >= 0
        from_ = columns[source, k]
        rates[source, k] = steps[step][from_] * (1.0 if kept is None else kept[step][from_])
    for step, rate in steps.items():
        rates[:, diagonal] -= np.where((row + step >= 0) & (row + step < n), rate[row], 0.0)
    if decay is not None:
        rates[:, diagonal] -= decay[row]
    entry = columns >= 0
    indptr = np.concatenate([[0], np.cumsum(entry.sum(axis=1))])
    return MarkovChain(
        comm,
        indptr,
        columns[entry],
        rates[entry],
        weight[first:last],
        slow,
        prefix="fvqp_cluster_",
        conserving=kept is None and decay is None,
    )


def stationary_weight(cluster: Cluster, number: ArrayLike) -> Floats:
    """ln W(N) of the stationary P(N) ∝ W: 2 ln N − 2Γ̄_t N³/(3AV²) − 2N²/(AVτ_s) (Meyer, Eq. (7)); of Ising
    spins without the first term (S12)."""
    N = np.asarray(number, float)
    exponent = (2.0 * cluster.triplet / 3.0 * N**3 + 2.0 * cluster.flip * N**2) / cluster.injection
    if cluster.spin == "ising":
        return np.asarray(-exponent)
    with np.errstate(divide="ignore"):
        return np.asarray(2.0 * np.log(N) - exponent)


def largest_number(cluster: Cluster, lost: float) -> float:
    """N above which Eq. (7) has less than `lost` of its probability.

    In x = N/N0 the exponent of Eq. (7) is at least min(x², 2x³/3 + ...) ≥ (2/3) min(x², x³): beyond N0 the
    weight falls at least like x² exp(−2x²/3).
    """
    check_lost(lost)
    number = approximate_number(cluster)
    x = np.linspace(0.0, 3.0 + 2.0 * np.sqrt(np.log(1.0 / lost)), 4000)[1:]
    log_w = stationary_weight(cluster, number * x)
    tail = np.cumsum(np.exp(log_w - log_w.max())[::-1])[::-1]
    return float(number * x[np.argmax(tail < lost * tail[0])])


class NumberChain:
    """A one-dimensional chain in N: stationary state, evolution and response.

    Attributes
    ----------
    chain
        The chain.
    number
        (n_owned,) N of the states of this rank.
    """

    def __init__(self, cluster: Cluster, chain: MarkovChain, number: Floats) -> None:
        self.cluster = cluster
        self.chain = chain
        self.number = number[chain.first : chain.first + chain.n_owned]
        self._stationary: Floats | None = None

    @property
    def stationary(self) -> Floats:
        """(n_owned,) stationary probabilities."""
        if self._stationary is None:
            self._stationary = self.chain.stationary(1e-11)
        return self._stationary

    def moment(self, k: int) -> float:
        """⟨N^k⟩ in the stationary state."""
        return float(self.chain.sum(self.number**k * self.stationary))

    @property
    def mean_number(self) -> float:
        return self.moment(1)

    @property
    def variance(self) -> float:
        return float(self.chain.sum((self.number - self.mean_number) ** 2 * self.stationary))

    def distribution(self) -> Floats:
        """Stationary probabilities of all states, on every rank."""
        return np.concatenate(self.chain.comm.allgather(self.stationary))

    def evolve(self, start: Floats, times: ArrayLike, rtol: float = 1e-7) -> Floats:
        """(n_times, n_owned) probabilities at `times` (s, increasing) from `start` at 0."""
        return self.chain.evolve(start, checked_times(times), rtol)

    def response(self, frequencies: ArrayLike, tolerance: float = 1e-6) -> Response:
        """Spectrum and correlation of N, accurate at `frequencies` (rad/s)."""
        return Response(self.chain, self.stationary, self.number, frequencies, tolerance)

    def spin_response(self, frequencies: ArrayLike, tolerance: float = 1e-6) -> Response:
        """Spectrum and correlation of one component of M = N, as `response`."""
        chain, weight = self.spin_chain()
        found = Response(chain, weight, np.ones(chain.n_owned), frequencies, tolerance)
        chain.destroy()
        return found

    def spin_chain(self) -> tuple[MarkovChain, Floats]:
        """The generator of the probability of each N times the mean of one component of the spin, and its
        (n_owned,) weights P ⟨M_z²⟩."""
        number = np.concatenate(self.chain.comm.allgather(self.number))
        weight = self.distribution() * spin_square(self.cluster, number)
        steps = reduced_steps(self.cluster, number.astype(np.int64))
        kept = {step: kept_spin(self.cluster, number, step) for step in steps}
        decay = unchanged_flips(self.cluster, number)
        chain = one_dimensional(steps, weight, self.chain.slow, self.chain.comm, kept, decay)
        return chain, weight[chain.first : chain.first + chain.n_owned]


def reduced_steps(cluster: Cluster, number: Ints) -> dict[int, Floats]:
    """Rates (1/s) of the steps of N: +1, −1 (a flipped spin comes, a pair annihilates), −2 (flip or triplet).

    Of N parallel spins a flip lowers the total spin at the rate (N − 1)/τ_s, and leaves it with the rest; the
    paper and Ising spins have N/τ_s. A single quasiparticle that flips finds no partner: at N = 1 there is no
    step −2, although Eq. (S5) has the loss 1/τ_s there without the gain. Ising spins: |M|, mirrored at 0.
    """
    N = number.astype(float)
    half = 0.5 * cluster.injection
    exact = cluster.spin == "quantum" and cluster.algebra == "exact"
    lowering = np.maximum(N - 1.0, 0.0) if exact else N
    pairs = lowering * cluster.flip + 0.5 * cluster.triplet * N * (N - 1.0)
    if cluster.spin == "ising":
        first = number == 0
        return {1: np.where(first, 2.0 * half, half), -1: np.where(first, 0.0, half), -2: pairs}
    return {1: half * (1.0 + 1.0 / (N + 1.0)), -1: half * (1.0 - 1.0 / (N + 1.0)), -2: pairs}


def unchanged_flips(cluster: Cluster, number: Floats) -> Floats:
    """Rates (1/s) at which flips that leave N parallel spins parallel take from the mean spin, so that all
    flips together take 2/τ_s."""
    if cluster.spin == "quantum" and cluster.algebra == "exact":
        return 2.0 * cluster.flip / np.maximum(number, 1.0)
    return np.where(number == 1.0, 2.0 * cluster.flip, 0.0)


def reduced_chain(
    cluster: Cluster, *, lost: float = 1e-10, comm: MPI.Comm = MPI.COMM_WORLD, reach: float = 0.0
) -> NumberChain:
    """The simplified master equation on N = 0, 1, ... up to where about `lost` of the probability is left, at
    least up to `reach`."""
    number = np.arange(int(max(largest_number(cluster, lost), reach)) + 20)
    log_w = stationary_weight(cluster, number + 1.0)
    slow = cluster.injection / max(approximate_number(cluster), 1.0) ** 2
    chain = one_dimensional(reduced_steps(cluster, number), np.exp(log_w - log_w.max()), slow, comm)
    return NumberChain(cluster, chain, number.astype(float))
