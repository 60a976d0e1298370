"""Points of an axis from the distance wanted between them, whose inverse is the density of points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from fvqp.errors import CaseError
from fvqp.typing import Floats, Ints

#: With a given number of bins, widths may grow at most this fast.
_LARGEST_RATIO = 3.0


class Zone(NamedTuple):
    """Energies from ``low`` to ``high`` between which points are ``step`` apart."""

    low: float
    high: float
    step: float


class Spacing(NamedTuple):
    """Distance wanted between points.

    Attributes:
        zones: where points are finest; the finest of all zones decides.
        growth: increase of the distance between points with the distance from a zone.
        largest: distance between points.
        crowding: points of a zone, and around it, over those that distances ask for.
        reach: distance from a zone up to which the density of points is sampled the finer, the closer.
        samples: of that density, along the axis and on each side of every zone.
    """

    zones: Sequence[Zone]
    growth: float
    reach: float
    largest: float = np.inf
    crowding: float = 1.0
    samples: tuple[int, int] = (4000, 2000)

    def by_ratio(self, ratio: float) -> Spacing:
        """Return the spacing whose distances grow by ``ratio`` from one to the next, beginning with a step.

        They are ``step + (ratio − 1) x`` where a bin begins at the distance x from a zone. Inside a bin x is
        larger: the density of points is ``(ratio − 1)/ln ratio`` times their inverse.
        """
        growth = ratio - 1.0
        return self._replace(growth=growth, crowding=float(growth / np.log1p(growth)))

    def points(self, breaks: Floats, number: int | None = None) -> Floats:
        """Return points from the first to the last of ``breaks``, which are points themselves.

        Args:
            breaks: increasing.
            number: of bins; by default as many as the spacing asks for, and two at least.
        """
        positions, cumulated = self._cumulated(breaks)
        at_breaks = np.interp(breaks, positions, cumulated)
        if number is None:
            least = 2 if len(breaks) == 2 else 1
            counts = np.maximum(np.ceil(np.diff(at_breaks) - 1e-9), least).astype(int)
        else:
            counts = _shares(np.diff(at_breaks), number)
        pieces = [
            np.interp(np.linspace(low, high, count + 1)[1:-1], cumulated, positions)
            for low, high, count in zip(at_breaks[:-1], at_breaks[1:], counts, strict=True)
        ]
        return np.sort(np.concatenate([breaks, *pieces]))

    def of_number(self, number: int, breaks: Floats) -> Spacing:
        """Return the spacing `by_ratio` that makes ``number`` bins; raise `CaseError` if they are too few."""

        def wanted(ratio: float) -> float:
            return float(self.by_ratio(ratio)._cumulated(breaks)[1][-1])

        fewest = max(int(np.ceil(wanted(_LARGEST_RATIO))), 2 * (breaks.size - 1))
        if number < fewest:
            raise CaseError(
                f"energy axis: {number} bins cannot resolve this; at least {fewest} are needed "
                f"with a largest step of {self.largest:g}"
            )
        low, high = np.log(1e-8), np.log(_LARGEST_RATIO - 1.0)
        if wanted(1.0 + np.exp(low)) > number:
            low = brentq(lambda at: wanted(1.0 + np.exp(at)) - number, low, high, xtol=1e-12)
        return self.by_ratio(float(1.0 + np.exp(low)))

    def _cumulated(self, breaks: Floats) -> tuple[Floats, Floats]:
        """Positions, and the number of bins wanted up to each of them."""
        low, high = breaks[0], breaks[-1]
        along, beside = self.samples
        samples = [breaks, np.linspace(low, high, along)]
        for start, end, step in self.zones:
            reach = np.concatenate([[0.0], np.geomspace(0.02 * step, self.reach, beside)])
            samples += [start - reach, end + reach]
        positions = np.unique(np.clip(np.concatenate(samples), low, high))
        density = np.full(positions.size, 1.0 / self.largest)
        for start, end, step in self.zones:
            distance = np.maximum(np.maximum(start - positions, positions - end), 0.0)
            density = np.maximum(density, self.crowding / (step + self.growth * distance))
        parts = 0.5 * (density[1:] + density[:-1]) * np.diff(positions)
        return positions, np.concatenate([[0.0], np.cumsum(parts)])


def _shares(demand: Floats, number: int) -> Ints:
    """Whole numbers ≥ 1 proportional to ``demand`` that add up to ``number`` (largest remainders)."""
    exact = 1.0 + demand / demand.sum() * (number - demand.size)
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: number - int(counts.sum())]] += 1
    return counts
