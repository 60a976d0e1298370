"""Counts of a run of the Monte Carlo simulation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fvqp.typing import Floats, Ints


@dataclass(frozen=True)
class Trajectory:
    """Counts between the times ``time[k]`` and ``time[k + 1]``, and numbers of particles at each.

    Attributes:
        time: ``(n + 1,)`` seconds.
        number, up: ``(n + 1,)`` particles, and those with spin up (all, without spin), at these times.
        mean, mean_up: ``(n,)`` time averages over each interval.
        generated, annihilated, flipped: ``(n,)`` events in it; an annihilation removes a pair.
        cells: ``(n, n_cells)`` time averages of the concentration, 1/m^dim; no rows unless asked for.
        volume: m^dim of the domain.
    """

    time: Floats
    number: Ints
    up: Ints
    mean: Floats
    mean_up: Floats
    generated: Ints
    annihilated: Ints
    flipped: Ints
    cells: Floats
    volume: float

    @property
    def concentration(self) -> Floats:
        """``(n,)`` time averages, 1/m^dim."""
        return self.mean / self.volume

    @property
    def polarization(self) -> Floats:
        """``(n,)`` mean of (c↑ − c↓) over mean of c; 0 where there is nothing."""
        return np.where(
            self.mean > 0.0, (2.0 * self.mean_up - self.mean) / np.maximum(self.mean, 1e-300), 0.0
        )
