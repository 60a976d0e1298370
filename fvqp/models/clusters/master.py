"""The master equation of a cluster, for the probabilities P(N, m) (Meyer, Eq. (S4), corrected).

States are numbered by M = N − 2m and, inside, by m (`states`); the rows of the generator are distributed over
the ranks and assembled by each of them from the table of events (`rates.events`), so that columns sum to zero
by construction. Theory: docs/theory/spin_clusters.md.
"""

from __future__ import annotations

import logging
import math
import mmap
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike, NDArray

from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.clusters.mean_field import stationary as mean_field
from fvqp.models.clusters.mean_field import validity
from fvqp.models.clusters.rates import (
    Cluster,
    Rate,
    Step,
    checked_times,
    events,
    spin_events,
    spin_square,
)
from fvqp.models.clusters.states import States, choose, estimate
from fvqp.petsc import PETSc
from fvqp.solvers.markov import MarkovChain
from fvqp.solvers.response import Response
from fvqp.typing import Floats, Ints

log = logging.getLogger(__name__)

MAX_STATES = 5_500_000
"""States that are solved for unless the caller says otherwise: about 4 GiB, all ranks together."""

LOST = 1e-10
"""Probability that a truncation may lose."""

WIDENINGS = 6

COARSEST = 20_000
"""States that multigrid eliminates, at most: they take a second."""

_BLOCK = 1 << 18

_CUSP, _CUSP_WIDTH = 6.0, 8.0

_STEPS = ((2, -1), (2, -2), (1, 0), (0, 0), (0, -1), (-1, 1), (-2, 1), (-2, 0))
"""Steps (ΔM, Δm) in the order of the columns that they come from; (0, 0) is the diagonal."""


@dataclass(frozen=True)
class Loss:
    """Bounds on the probability not kept: above the largest M, and beside the intervals of m."""

    spin: float
    flipped: float

    @property
    def total(self) -> float:
        return self.spin + self.flipped


class MasterEquation:
    """The generator of P(N, m) on a set of states; every call is collective on `comm`.

    Parameters
    ----------
    cluster
        Its parameters.
    lost
        Probability that the choice of the states aims to lose at most (an estimate; `loss` bounds it).
    states
        The states to keep, instead of that choice.
    comm
        Communicator over which the rows are distributed.
    method
        `auto`, `mumps` or `multigrid` (see `fvqp.solvers.markov`).
    max_states
        Above it, `CaseError` before memory is spent.
    warn
        Whether `warnings` are logged as well.

    Attributes
    ----------
    states, chain
        The states kept and the chain (`fvqp.solvers.markov.MarkovChain`).
    M, m, N
        (n_owned,) numbers of the states of this rank.
    warnings
        What speaks against the model (`mean_field.validity`).
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        lost: float = LOST,
        states: States | None = None,
        comm: MPI.Comm = MPI.COMM_WORLD,
        method: str = "auto",
        max_states: int = MAX_STATES,
        warn: bool = True,
    ) -> None:
        if method not in ("auto", "mumps", "multigrid"):
            raise CaseError(f'cluster: method "{method}": expected "auto", "mumps" or "multigrid"')
        self.cluster = cluster
        self.warnings = validity(cluster)
        for warning in self.warnings if warn else ():
            log.warning("cluster: %s", warning)
        self.states = choose(cluster, lost) if states is None else states
        n = self.states.size
        if n > max_states:
            raise CaseError(
                f"cluster: the master equation needs {n} states, about {0.75e-6 * n:.1f} GB, more than the "
                f"{max_states} allowed; the cluster is hardly polarized there, or "
                "large. Use the simplified P(N) or the Fokker-Planck equation, a larger lost, or allow more"
            )
        first, last = comm.rank * n // comm.size, (comm.rank + 1) * n // comm.size
        self.M, self.m = self.states.at(first, last)
        self.N = self.M + 2 * self.m
        weight = np.concatenate(
            [estimate(cluster, self.states, k, min(k + _BLOCK, last)) for k in range(first, last, _BLOCK)]
            or [np.empty(0)]
        )
        self._method = method
        rows = self._rows(first, events(cluster))
        # No method of this object: a cycle would leave PETSc's objects to the garbage collector of each rank.
        self._coarsening = partial(_interpolations, self.states, comm)
        self.chain = MarkovChain(
            comm,
            *rows,
            weight,
            slow_rate(cluster),
            method=method,
            coarsening=self._coarsening,
            prefix="fvqp_cluster_",
        )

    def spin_chain(self, p: Floats) -> MarkovChain:
        """The generator of the probability of each state times the mean of one component of its spin, with
        the weights p ⟨M_z²⟩ of stationary probabilities p (see `rates.spin_events`)."""
        return MarkovChain(
            self.chain.comm,
            *self._rows(self.chain.first, spin_events(self.cluster)),
            p * spin_square(self.cluster, self.M),
            slow_rate(self.cluster),
            method=self._method,
            coarsening=self._coarsening,
            prefix="fvqp_cluster_",
            conserving=False,
        )

    def _rows(self, first: int, gains: dict[Step, Rate]) -> tuple[Ints, Ints, Floats]:
        """CSR rows: `gains` from the states that events come from, and on the diagonal what leaves for states
        that are kept."""
        n = self.M.size
        indptr = np.zeros(n + 1, PETSc.IntType)
        columns = _apart(n * len(_STEPS), PETSc.IntType)
        rates = _apart(n * len(_STEPS), np.float64)
        filled = 0
        # Block by block, because what is left over here would be missed where memory is needed most.
        for start in range(0, n, _BLOCK):
            stop = min(start + _BLOCK, n)
            per_row, some, values = self._block(first, start, stop, gains)
            indptr[start + 1 : stop + 1] = filled + np.cumsum(per_row)
            columns[filled : filled + some.size] = some
            rates[filled : filled + some.size] = values
            filled += some.size
        return indptr, columns[:filled], rates[:filled]

    def _block(self, first: int, start: int, stop: int, gains: dict[Step, Rate]) -> tuple[Ints, Ints, Floats]:
        """Entries in each row, columns and rates of some of the rows of this rank."""
        table = events(self.cluster)
        M, m = self.M[start:stop], self.m[start:stop]
        columns = np.empty((M.size, len(_STEPS)), np.int64)
        rates = np.zeros((M.size, len(_STEPS)))
        kept = np.zeros(M.size)
        for k, (dM, dm) in enumerate(_STEPS):
            if (dM, dm) == (0, 0):
                columns[:, k] = np.arange(first + start, first + stop)
                diagonal = k
                continue
            inside = self.states.number(M + dM, m + dm) >= 0
            kept += np.where(inside, table[dM, dm](M.astype(float), m.astype(float)), 0.0)
            columns[:, k] = self.states.number(M - dM, m - dm)
            source = columns[:, k] >= 0
            rates[source, k] = gains[dM, dm]((M[source] - dM).astype(float), (m[source] - dm).astype(float))
        rates[:, diagonal] = -kept
        if (0, 0) in gains:
            rates[:, diagonal] += gains[0, 0](M.astype(float), m.astype(float))
        entry = columns >= 0
        return entry.sum(axis=1), columns[entry], rates[entry]

    def loss(self, p: Floats) -> Loss:
        """Bounds, to first order in the loss, on the stationary probability outside the states kept.

        It is the probability current that the truncation cuts, times the mean time before it would be back;
        that time is at most the distance overshot over the slowest mean velocity back (spin_clusters,
        Truncation). Infinite where there is no velocity back.
        """
        table = events(self.cluster)
        M, m = self.M.astype(float), self.m.astype(float)
        low, high = self.states.low, self.states.high
        top = low.size - 1
        current = {"spin": 0.0, "high": 0.0, "low": 0.0}
        for (dM, dm), rate in table.items():
            to_M, to_m = self.M + dM, self.m + dm
            flow = rate(M, m) * p
            within = (to_M >= 0) & (to_M <= top)
            place = np.where(within, to_M, 0)
            current["spin"] += float(flow[to_M > top].sum())
            current["high"] += float(flow[within & (to_m > high[place])].sum())
            current["low"] += float(flow[within & (to_m < low[place]) & (to_m >= 0)].sum())
        names = sorted(current)
        totals = dict(
            zip(names, self.chain.comm.allreduce(np.array([current[k] for k in names])), strict=True)
        )
        edge = np.arange(high[top] + 1.0)
        spin_back = -sum(dM * rate(np.full(edge.size, float(top)), edge) for (dM, _), rate in table.items())
        return Loss(
            spin=_ratio(3.0 * totals["spin"], float(np.min(spin_back))),
            flipped=sum(
                totals[name] * self._time_outside(edge, side) if totals[name] > 0.0 else 0.0
                for name, edge, side in (("high", self.states.upper, 1), ("low", self.states.lower, -1))
            ),
        )

    def _time_outside(self, edge: Floats, side: int) -> float:
        """Bound on the mean time of an excursion beyond an edge of m, s: what f = ±(m − edge(M)) can fall,
        over the least mean velocity at which it falls in the states next to the edge.

        Below the lower edge f has a cusp at M = 0, where spins that flip, which would raise m, cannot arrive.
        """
        M = np.arange(edge.size)
        cusp = _CUSP * np.exp(-M / _CUSP_WIDTH) if side < 0 else np.zeros(edge.size)
        f_edge = edge - side * cusp
        m = np.floor(edge) + 1.0 if side > 0 else np.ceil(edge) - 1.0
        exists = m >= 0.0
        M, m = M[exists], m[exists]
        if M.size == 0:
            return 0.0
        rise = np.zeros(M.size)
        for (dM, dm), rate in events(self.cluster).items():
            to_M = np.minimum(M + dM, edge.size - 1)
            moved = side * (dm - (f_edge[np.maximum(to_M, 0)] - f_edge[M]))
            rise += np.where(to_M >= 0, moved * rate(M.astype(float), m), 0.0)
        slope = float(np.abs(np.diff(edge)).max(initial=0.0))
        return _ratio(3.0 + 4.0 * slope + float(cusp.max()), -float(rise.max()))

    def stationary(self, tolerance: float = 1e-9) -> ClusterState:
        """The stationary state on these states. Raises `ConvergenceError` if the solver stalls."""
        p = self.chain.stationary(tolerance)
        return ClusterState(self, p, self.loss(p))

    def evolve(
        self,
        start: Floats,
        times: ArrayLike,
        rtol: float = 1e-7,
        watch: Callable[[Floats], None] | None = None,
    ) -> Floats:
        """(n_times, n_owned) probabilities at `times` (s, increasing) from `start` at 0, see
        `fvqp.solvers.markov.MarkovChain.evolve`."""
        return self.chain.evolve(start, checked_times(times), rtol, watch)

    def certain(self, number: int, flipped: int) -> Floats:
        """(n_owned,) probabilities of a cluster that has N and m for certain. `CaseError` if not a state."""
        found = int(self.states.number(np.array([number - 2 * flipped]), np.array([flipped]))[0])
        if found < 0:
            raise CaseError(
                f"cluster: N = {number}, m = {flipped} is not among the states kept: M = N - 2m from 0 to "
                f"{self.states.low.size - 1}, and m near its mean field"
            )
        p = np.zeros(self.chain.n_owned)
        if 0 <= found - self.chain.first < p.size:
            p[found - self.chain.first] = 1.0
        return p

    def number_distribution(self, p: Floats) -> Floats:
        """P(N), N = 0, 1, ..., on every rank."""
        length = self.chain.comm.allreduce(int(self.N.max(initial=0)), MPI.MAX) + 1
        found = np.bincount(self.N, weights=p, minlength=length).astype(float)
        self.chain.comm.Allreduce(MPI.IN_PLACE, found)
        return found


def _interpolations(fine: States, comm: MPI.Comm) -> list[PETSc.Mat]:
    """Matrices of interpolation between sets of states, each with every other M and m of the one before; one
    at least, and until few states are left."""
    found: list[PETSc.Mat] = []
    while not found or fine.size > COARSEST:
        coarse = fine.coarsened()
        (first, last), (start, stop) = (
            (comm.rank * n // comm.size, (comm.rank + 1) * n // comm.size) for n in (fine.size, coarse.size)
        )
        indptr, columns, weights = fine.interpolation(coarse, first, last)
        csr = (indptr.astype(PETSc.IntType), columns.astype(PETSc.IntType), weights)
        shape = ((last - first, fine.size), (stop - start, coarse.size))
        found.append(PETSc.Mat().createAIJ(shape, csr=csr, comm=comm))
        fine = coarse
    return found


def _apart(size: int, dtype: type[np.generic]) -> NDArray[Any]:
    """An array that goes back to the system when it is freed. Others need not: MPI libraries make the
    allocator keep what it has."""
    memory = mmap.mmap(-1, max(size * np.dtype(dtype).itemsize, 1))
    return np.frombuffer(memory, dtype, size)


def _ratio(current: float, velocity: float) -> float:
    """Infinite if nothing drives back."""
    return 0.0 if current == 0.0 else current / velocity if velocity > 0.0 else math.inf


def slow_rate(cluster: Cluster) -> float:
    """Estimate of the slowest relaxation rate, AV/N0² with the mean-field number (1/s)."""
    number = max(mean_field(cluster.replace(spin="quantum")).number, 1.0)
    return cluster.injection / number**2


@dataclass(frozen=True)
class ClusterState:
    """The stationary state of a cluster.

    Attributes
    ----------
    equation
        The master equation; `equation.N`, `equation.m` are the states of this rank.
    p
        (n_owned,) their probabilities.
    loss
        Bound on what the truncation leaves out.
    """

    equation: MasterEquation
    p: Floats
    loss: Loss

    def mean(self, values: Floats) -> float:
        """⟨·⟩ of a function of the states, (n_owned,)."""
        return float(self.equation.chain.sum(values * self.p))

    @property
    def mean_number(self) -> float:
        """⟨N⟩."""
        return self.mean(self.equation.N.astype(float))

    @property
    def variance(self) -> float:
        """⟨⟨N²⟩⟩ = ⟨N²⟩ − ⟨N⟩²."""
        return self.mean((self.equation.N.astype(float) - self.mean_number) ** 2)

    @property
    def mean_flipped(self) -> float:
        """⟨m⟩; of Ising spins, the mean number in the minority."""
        return self.mean(self.equation.m.astype(float))

    @property
    def polarization(self) -> float:
        """1 − 2⟨m⟩/⟨N⟩."""
        return 1.0 - 2.0 * self.mean_flipped / self.mean_number

    def number_distribution(self) -> Floats:
        """P(N), N = 0, 1, ..., on every rank."""
        return self.equation.number_distribution(self.p)

    def joint(self) -> tuple[Ints, Ints, Floats]:
        """N, m and P(N, m) of all states, on every rank; of Ising spins m runs over 0..N."""
        comm = self.equation.chain.comm
        N, m, p = (np.concatenate(comm.allgather(a)) for a in (self.equation.N, self.equation.m, self.p))
        if self.equation.cluster.spin == "ising":
            twice = 2 * m < N
            p = np.where(twice, 0.5 * p, p)
            N = np.concatenate([N, N[twice]])
            m, p = np.concatenate([m, (N[: m.size] - m)[twice]]), np.concatenate([p, p[twice]])
        return N, m, p

    def response(self, frequencies: ArrayLike, tolerance: float = 1e-6) -> Response:
        """Spectrum and correlation of N, accurate at `frequencies` (rad/s); see `fvqp.solvers.response`."""
        return Response(self.equation.chain, self.p, self.equation.N.astype(float), frequencies, tolerance)

    def spin_response(self, frequencies: ArrayLike, tolerance: float = 1e-6) -> Response:
        """Spectrum and correlation of one component of M = 2S, as `response`."""
        self.equation.chain.release_factors()
        chain = self.equation.spin_chain(self.p)
        weight = self.p * spin_square(self.equation.cluster, self.equation.M)
        found = Response(chain, weight, np.ones(chain.n_owned), frequencies, tolerance)
        chain.destroy()
        return found


def stationary_state(
    cluster: Cluster,
    *,
    lost: float = LOST,
    tolerance: float = 1e-9,
    comm: MPI.Comm = MPI.COMM_WORLD,
    method: str = "auto",
    max_states: int = MAX_STATES,
    warn: bool = True,
) -> ClusterState:
    """Stationary P(N, m) on states that are widened until the bound on the lost probability is below `lost`.

    Parameters are those of `MasterEquation`.

    Raises
    ------
    CaseError
        More than `max_states` states.
    ConvergenceError
        The solver stalls, or widening does not reach `lost`.
    """

    def attempt(widen: tuple[float, float]) -> tuple[ClusterState, Loss, int]:
        equation = MasterEquation(
            cluster,
            states=choose(cluster, lost, widen),
            comm=comm,
            method=method,
            max_states=max_states,
            warn=warn and widen == (1.0, 1.0),
        )
        state = equation.stationary(tolerance)
        if state.loss.total > lost:
            equation.chain.destroy()
        return state, state.loss, equation.states.size

    return widened(attempt, lost)


Found = TypeVar("Found")


def widened(attempt: Callable[[tuple[float, float]], tuple[Found, Loss, int]], lost: float) -> Found:
    """Return the result of `attempt` on states wide enough that the bound on the lost probability is below
    `lost`.

    It gets `widen` of `states.choose`, and returns what it found, the bound, and how many states there were.
    `ConvergenceError` if widening does not help.
    """
    widen = (1.0, 1.0)
    for _ in range(WIDENINGS):
        found, loss, size = attempt(widen)
        log.info(
            "cluster: %d states, lost probability below %.3g (spin) + %.3g (flips)",
            size, loss.spin, loss.flipped,
        )  # fmt: skip
        if loss.total <= lost:
            return found
        widen = (
            widen[0] * (1.3 if loss.spin > 0.5 * lost else 1.0),
            widen[1] * (1.3 if loss.flipped > 0.5 * lost else 1.0),
        )
    raise ConvergenceError(
        f"cluster: the truncation still loses {loss.total:.3g} with {size} states, expected {lost:.3g}"
    )
