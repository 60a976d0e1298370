"""How long something takes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Seconds(NamedTuple):
    """Medians of several calls: on the clock, and of this process's processor time."""

    wall: float
    cpu: float


def median(action: Callable[[], object], repeat: int = 5) -> Seconds:
    """Median times of several calls, after one that compiles and analyses."""
    action()
    times = []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = np.median(times, axis=0)
    return Seconds(float(wall), float(cpu))


def least(actions: list[Callable[[], object]], repeat: int = 7) -> list[float]:
    """Least processor times after a call that compiles; the actions take turns, with the same neighbours."""
    times = []
    for _ in range(repeat + 1):
        row = []
        for action in actions:
            start = time.process_time()
            action()
            row.append(time.process_time() - start)
        times.append(row)
    return np.min(times[1:], axis=0).tolist()


def best(action: Callable[[], object], repeat: int = 7) -> float:
    """Least processor time of several calls, after one that compiles."""
    return least([action], repeat)[0]
