"""Steady states and independent runs: how long to run, how well the mean is known, who runs what."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.errors import CaseError, ConvergenceError, FvqpError
from fvqp.models.localized.longrun import LongRun
from fvqp.models.localized.montecarlo import Progress, Simulation
from fvqp.models.localized.statistics import (
    Estimate,
    autocorrelation_time,
    combined,
    estimate,
    steady_from,
)
from fvqp.models.localized.trajectory import Trajectory
from fvqp.parallel import raise_first_error
from fvqp.typing import Floats

# Averages in the first attempt, and their length in lifetimes of a particle.
_AVERAGES, _LENGTH = 320, 0.25
# The tail of the transient hides in the noise: at least this part of a series is left out.
_LEFT_OUT = 0.25


@dataclass(frozen=True)
class SteadyEnsemble:
    """A steady state.

    Attributes:
        concentration: 1/m^dim, its error with autocorrelation; the length of an average is ``interval``.
        interval: seconds.
        discarded: averages left out at the start.
        series: all averages of the concentration.
        polarization: of the averages that count.
        events: events of the run.
    """

    concentration: Estimate
    interval: float
    discarded: int
    series: Floats
    polarization: Floats
    events: int


def measure_steady(
    simulation: Simulation | LongRun,
    relative_error: float = 0.01,
    *,
    max_events: float = 1e9,
    progress: Progress | None = None,
) -> SteadyEnsemble:
    """Runs until the mean concentration is known to ``relative_error``, starting from what there is.

    The transient is found and left out (`steady_from`), at least a quarter of the series.
    ``progress(part, events)`` gets the part of the way
    that the error has gone. Raises `CaseError` without generation, `ConvergenceError` when ``max_events``
    are not enough.
    """
    if not 0.0 < relative_error < 1.0:
        raise CaseError(f"relative_error: must lie between 0 and 1, got {relative_error}")
    total = float(np.sum(simulation.generation * simulation.domain.cell_volume))
    if total <= 0.0:
        raise CaseError("a steady state needs generation; set a positive rate")
    interval = _LENGTH * simulation.expected_number / total
    parts: list[Trajectory] = []
    length = _AVERAGES
    reached = np.inf
    while True:
        times = simulation.time + interval * np.arange(1, length + 1)
        parts.append(simulation.advance(times))
        series = np.concatenate([part.concentration for part in parts])
        try:
            least = int(_LEFT_OUT * len(series))
            start = max(steady_from(series), least)
            # The start was chosen for a short autocorrelation time: by itself that time is too short.
            found = estimate(series[start:], autocorrelation_time(series[least:]))
            reached = found.error / found.mean if found.mean > 0.0 else np.inf
        except ConvergenceError:
            found = None
        if found is not None and found.reliable and reached <= relative_error:
            mean_up = np.concatenate([part.polarization for part in parts])[start:]
            return SteadyEnsemble(found, interval, start, series, mean_up, simulation.events)
        if progress is not None:
            progress(min((relative_error / reached) ** 2, 1.0), simulation.events)
        if simulation.events > max_events:
            raise ConvergenceError(
                f"after {simulation.events} events the relative error of the concentration is {reached:.2g}, "
                f"not {relative_error:.2g}; allow more events or a larger error"
            )
        length = len(series)


@dataclass(frozen=True)
class Ensemble:
    """Independent runs: ``trajectories``, and the ``seeds`` (entropy and spawn keys) that repeat each."""

    trajectories: list[Trajectory]
    seeds: list[tuple[Any, tuple[int, ...]]]

    def concentration(self, start: int = 0) -> Estimate:
        """Mean over all runs of the averages from ``start`` on."""
        return combined([estimate(one.concentration[start:]) for one in self.trajectories])

    def average(self, name: str) -> tuple[Floats, Floats]:
        """Mean over the runs of an array of `Trajectory` (``"mean"``, ``"number"``, ``"cells"``, …), and the
        standard error of it."""
        values = np.stack([np.asarray(getattr(one, name), dtype=np.float64) for one in self.trajectories])
        n = len(values)
        if n < 2:
            raise CaseError("average: an error needs at least two runs")
        return values.mean(axis=0), values.std(axis=0, ddof=1) / np.sqrt(n)


def run_ensemble(
    make: Callable[[np.random.SeedSequence], Simulation],
    times: ArrayLike,
    *,
    runs: int,
    seed: int = 0,
    program: Callable[[Simulation], None] | None = None,
    cells: bool = False,
    comm: MPI.Comm = MPI.COMM_WORLD,
    progress: Progress | None = None,
) -> Ensemble:
    """Runs independent simulations, shared among the ranks; the same result on any number. Collective.

    Parameters
    ----------
    make : a new simulation for a seed; called on one rank at a time, so it must not be collective (gather
        fields of a mesh before).
    times : seconds after ``program``, see `Simulation.advance`.
    runs : how many; run ``k`` has the ``k``-th child of ``SeedSequence(seed)``.
    program : what to do with a simulation first, such as to reach the steady state and to switch off.
    """
    if runs < 1:
        raise CaseError(f"runs: at least one, got {runs}")
    seeds = np.random.SeedSequence(seed).spawn(runs)
    mine: list[tuple[int, Trajectory]] = []
    problem: FvqpError | None = None
    own = range(comm.rank, runs, comm.size)
    try:
        for place, k in enumerate(own):
            simulation = make(seeds[k])
            if program is not None:
                program(simulation)
            start = simulation.time
            mine.append((k, simulation.advance(start + np.asarray(times, dtype=np.float64), cells=cells)))
            if progress is not None:
                progress((place + 1) / len(own), simulation.events)
    except FvqpError as error:
        problem = error
    raise_first_error(comm, problem)
    found = dict(entry for part in comm.allgather(mine) for entry in part)
    return Ensemble([found[k] for k in range(runs)], [(one.entropy, one.spawn_key) for one in seeds])
