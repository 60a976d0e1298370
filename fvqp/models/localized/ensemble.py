"""Steady states: the length of a run and the error of its mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.localized.longrun import LongRun
from fvqp.models.localized.montecarlo import Progress, Simulation
from fvqp.models.localized.statistics import (
    Estimate,
    autocorrelation_time,
    estimate,
    steady_from,
)
from fvqp.models.localized.trajectory import Trajectory
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
