"""Restartable Monte Carlo runs: averages and state are saved to a file at intervals."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fvqp.errors import CheckpointError
from fvqp.models.localized.domain import Domain
from fvqp.models.localized.montecarlo import Simulation
from fvqp.models.localized.restart import read_state, write_state
from fvqp.models.localized.trajectory import Trajectory
from fvqp.typing import Floats, Ints

SAVE_EVERY = 5.0
"""Least seconds between two savings; they take a tenth of the time at most."""
_COUNTS = 5


@dataclass(frozen=True)
class _Interval:
    """Counts of an interval: time, numbers and events at its end, averages over it."""

    time: float
    counts: Ints
    means: Floats
    cells: Floats


class LongRun:
    """A simulation whose averages are kept in a file together with its state.

    A program that asks for the same times in the same order finds the intervals that were done before a stop,
    and goes on from there, bit for bit as if there had been none.

    Parameters
    ----------
    simulation : a new one.
    path : the file, used if it is there.
    key : what the file must agree with to be used; otherwise it is written anew.

    Raises `CheckpointError`: a damaged file, or one of another domain or law.
    """

    def __init__(self, simulation: Simulation, path: Path, key: str) -> None:
        # The one that knows the present rates, and the one that runs: ahead while intervals are found.
        self._asked = self._running = simulation
        self._path, self._key = path, key
        self._done: list[_Interval] = []
        self._next = 0
        self._due = time.monotonic() + SAVE_EVERY
        if path.is_file():
            state = read_state(path)
            if str(state.get("key", [""])[0]) == key:
                self._running = Simulation.restored(state, simulation.domain, simulation.law, str(path))
                self._done = _intervals(state, path)

    @property
    def domain(self) -> Domain:
        return self._asked.domain

    @property
    def spins(self) -> bool:
        return self._asked.spins

    @property
    def generation(self) -> Floats:
        """See `Simulation.generation`."""
        return self._asked.generation

    @property
    def expected_number(self) -> float:
        """See `Simulation.expected_number`."""
        return self._asked.expected_number

    @property
    def time(self) -> float:
        """Seconds since the start."""
        return self._done[self._next - 1].time if self._next else 0.0

    @property
    def events(self) -> int:
        """Events that changed the gas so far."""
        return int(self._done[self._next - 1].counts[2:].sum()) if self._next else 0

    def set_generation(self, generation: ArrayLike) -> None:
        """See `Simulation.set_generation`."""
        self._asked.set_generation(generation)
        # The state belongs to the last interval: what came before that is in it.
        if self._next == len(self._done) and self._running is not self._asked:
            self._running.set_generation(generation)

    def advance(self, times: ArrayLike, *, cells: bool = False) -> Trajectory:
        """See `Simulation.advance`."""
        start = self.time
        before = self._done[self._next - 1].counts if self._next else np.zeros(_COUNTS, np.int64)
        found = [self._interval(float(stop), cells) for stop in np.atleast_1d(times)]
        counts = np.stack([before, *(one.counts for one in found)])
        means = np.stack([one.means for one in found])
        events = np.diff(counts[:, 2:], axis=0)
        return Trajectory(
            time=np.array([start, *(one.time for one in found)]),
            number=counts[:, 0],
            up=counts[:, 1],
            mean=means[:, 0],
            mean_up=means[:, 1],
            generated=events[:, 0],
            annihilated=events[:, 1],
            flipped=events[:, 2],
            cells=np.stack([one.cells for one in found]) if cells else np.zeros((0, self.domain.n_cells)),
            volume=self.domain.volume,
        )

    def _interval(self, stop: float, cells: bool) -> _Interval:
        """The next interval: found, or simulated."""
        self._next += 1
        if self._next <= len(self._done):
            return self._done[self._next - 1]
        running = self._running
        before = self._done[-1].counts[2:] if self._done else np.zeros(3, np.int64)
        part = running.advance([stop], cells=cells)
        events = before + np.array([part.generated[0], part.annihilated[0], part.flipped[0]])
        one = _Interval(
            running.time,
            np.array([part.number[-1], part.up[-1], *events]),
            np.array([part.mean[0], part.mean_up[0]]),
            part.cells[0] if cells else np.zeros(0),
        )
        self._done.append(one)
        begin = time.monotonic()
        if begin >= self._due:
            self.save()
            now = time.monotonic()
            self._due = now + max(SAVE_EVERY, 9.0 * (now - begin))
        return one

    def save(self) -> None:
        """Writes the file; whole or not at all."""
        done = self._done
        by_cell = [one.cells for one in done if one.cells.size]
        intervals = {
            "interval_time": np.array([one.time for one in done]),
            "interval_counts": np.stack([one.counts for one in done]),
            "interval_means": np.stack([one.means for one in done]),
            # Asked for in some of the intervals only.
            "interval_has_cells": np.array([one.cells.size > 0 for one in done]),
            "interval_cells": np.stack(by_cell) if by_cell else np.zeros((0, 0)),
        }
        write_state(self._path, {**self._running.state(), **intervals, "key": np.array([self._key])})


def _intervals(state: dict[str, NDArray[np.generic]], path: Path) -> list[_Interval]:
    try:
        rows = iter(state["interval_cells"])
        return [
            _Interval(float(t), counts, means, next(rows) if has_cells else np.zeros(0))
            for t, counts, means, has_cells in zip(
                *(state[f"interval_{name}"] for name in ("time", "counts", "means", "has_cells")), strict=True
            )
        ]
    except (KeyError, ValueError, StopIteration) as error:
        raise CheckpointError(f"{path}: damaged, {error}") from None
