"""Energies of quasiparticles and phonons that exchange energy: one pair of grids for all cells.

Energies are in units of the reference gap Δ0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.typing import Floats

#: First bin of a photon step in steps: 1e-9 Δ for photons of a tenth of the gap, where rounding leaves seven
#: digits of its width, and which holds 2 % of the quasiparticles of a film that is driven hard at 0.08 T_c.
FOOT = 1e-8
#: Widening of the bins of a photon step with the distance from its foot: by a factor of 2.7 from bin to bin.
WIDENING = 1.0


@dataclass(frozen=True, eq=False)
class CollisionGrid:
    """Quasiparticle bins and phonon points.

    A quasiparticle of bin i has the energy ``energies[i]``, the middle of the bin, whatever the gap of the
    cell. On a uniform grid all sums and differences of these energies are phonon points, so that every
    collision conserves energy without any splitting (theory: collisions, section on grids).

    Attributes:
        edges: bin edges, increasing, ``(N + 1,)``; the first at or below the smallest gap.
        phonon_energies: phonon points ω > 0, increasing, ``(K,)``.
        width: bin width of a uniform grid (phonon points at its multiples); 0 on any other grid.
        first: on a uniform grid, the number of widths below the first edge.
        step: distance after which the bins repeat, a photon energy; 0 where they do not.
    """

    edges: Floats
    phonon_energies: Floats
    width: float = field(default=0.0)
    first: int = field(default=0)
    step: float = field(default=0.0)

    def __post_init__(self) -> None:
        for name, least in (("edges", 3), ("phonon_energies", 2)):
            values = np.array(getattr(self, name), dtype=np.float64)
            if values.ndim != 1 or values.size < least:
                raise CaseError(f"collision grid: {name} must be one row of at least {least} energies")
            if not np.all(np.isfinite(values)) or not np.all(np.diff(values) > 0.0):
                raise CaseError(f"collision grid: {name} must be finite and increase")
            values.flags.writeable = False
            object.__setattr__(self, name, values)
        if self.edges[0] < 0.0:
            raise CaseError(f"collision grid: the first edge must not be negative, found {self.edges[0]:g}")
        if not self.phonon_energies[0] > 0.0:
            raise CaseError("collision grid: phonon energies must be positive")

    @property
    def n(self) -> int:
        """Number of quasiparticle bins."""
        return self.edges.size - 1

    @property
    def n_phonon(self) -> int:
        """Number of phonon points."""
        return self.phonon_energies.size

    @property
    def is_uniform(self) -> bool:
        """True if all differences and sums of quasiparticle energies are multiples of one phonon energy."""
        return self.width > 0.0

    @property
    def energies(self) -> Floats:
        """Quasiparticle energies, ``(N,)``."""
        if self.is_uniform:
            return (self.first + 0.5 + np.arange(self.n, dtype=np.float64)) * self.width
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def phonon_widths(self) -> Floats:
        """Share of the ω axis of every phonon point, ``(K,)``: half the distance of its neighbours."""
        points = self.phonon_energies
        beyond = 2.0 * points[-1] - points[-2]
        extended = np.concatenate([[0.0], points, [beyond]])
        return 0.5 * (extended[2:] - extended[:-2])

    @classmethod
    def uniform(
        cls, width: float, maximum: float, *, start: float = 0.0, phonon_maximum: float | None = None
    ) -> CollisionGrid:
        """Bins of one width from ``start`` to ``maximum``, phonon points at all multiples of the width.

        Args:
            width: of the bins; h ≲ k_BT/10 resolves a thermal distribution.
            maximum: upper end of the bins, rounded to a multiple of the width. Under a sub-gap drive it
                must exceed 3Δ, where quasiparticles emit pair-breaking phonons.
            start: lower end, rounded down to a multiple of the width; at most the smallest gap of all cells.
            phonon_maximum: last phonon energy (Debye energy); by default the largest that a collision
                within the grid can involve, nearly ``2 maximum``. Collisions that need more are left out.
        """
        _positive("width", width)
        if not (np.isfinite(maximum) and np.isfinite(start) and start >= 0.0):
            raise CaseError(f"collision grid: needs finite 0 ≤ start < maximum, found {start:g}, {maximum:g}")
        first = int(np.floor(start / width + 1e-9))
        last = round(maximum / width)
        if last < first + 2:
            raise CaseError(
                f"collision grid: from {start:g} to {maximum:g} there is no room for two bins of {width:g}"
            )
        top = 2 * last - 1
        if phonon_maximum is not None:
            _positive("phonon_maximum", phonon_maximum)
            top = min(top, int(np.floor(phonon_maximum / width + 1e-9)))
        if top < 2:
            raise CaseError(f"collision grid: phonon_maximum {phonon_maximum:g} is below two bin widths")
        edges = np.arange(first, last + 1, dtype=np.float64) * width
        return cls(edges, np.arange(1, top + 1, dtype=np.float64) * width, width=float(width), first=first)

    @classmethod
    def graded(
        cls,
        maximum: float,
        *,
        gap: ArrayLike,
        finest: float,
        growth: float = 0.05,
        largest: float = np.inf,
        phonon_maximum: float | None = None,
    ) -> CollisionGrid:
        """Bins that are ``finest`` wide at the gap and widen as ``growth`` times the distance from it.

        Phonon points are fine at low energies and at twice the gap, and widen in the same way between and
        above.

        Args:
            maximum: upper end of the bins.
            gap: the gap, or all gaps that occur: bins are ``finest`` from the smallest to the largest.
            finest: bin width at the gap.
            growth: widening with distance; 0.05 makes a bin at a distance of 1 wider by 0.05.
            largest: no bin is wider.
            phonon_maximum: last phonon energy (Debye energy); twice ``maximum`` by default.
        """
        gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))
        low, high = float(gaps.min()), float(gaps.max())
        top = 2.0 * maximum if phonon_maximum is None else float(phonon_maximum)
        for name, value in (("finest", finest), ("growth", growth), ("largest", largest)):
            if not value > 0.0:
                raise CaseError(f"collision grid: {name} must be positive, found {value:g}")
        if not (np.isfinite(maximum) and 0.0 <= low and high + 2.0 * finest < maximum):
            raise CaseError(
                f"collision grid: gaps from {low:g} to {high:g} do not fit below the maximum {maximum:g}"
            )
        if not (np.isfinite(top) and top > 2.0 * finest):
            raise CaseError(f"collision grid: phonon_maximum {top:g} must exceed two of the finest bins")
        edges = _graded_points(low, maximum, [(low, high)], finest, growth, largest)
        zones = [(0.0, 0.0)] + ([(2.0 * low, 2.0 * high)] if 2.0 * low < top else [])
        points = _graded_points(0.0, top, zones, finest, growth, largest)[1:]
        return cls(edges, points)

    @classmethod
    def stepped(
        cls, maximum: float, *, gap: float, step: float, width: float, phonon_maximum: float | None = None
    ) -> CollisionGrid:
        """Bins that begin anew at the foot of every photon step Δ + kω0, where they are finest.

        Photons connect a bin with one and the same bin of the next step. Under a drive below the gap f goes
        as the inverse square root of the distance from the foot, down to where recombination and thermal
        phonons end that: bins of `FOOT` steps at the foot widen as `WIDENING` times the distance from it.
        Phonon points are half as far apart as the widest bins are wide, and as fine as those at the foot at
        twice the gap (theory: drives, section on the foot of a photon step).

        Args:
            maximum: end of the bins, raised to the end of a photon step.
            gap: Δ > 0, which stays.
            step: photon energy ω0.
            width: of the widest bins.
            phonon_maximum: last phonon energy (Debye energy); twice the end of the bins by default.
        """
        for name, value in (("gap", gap), ("step", step), ("width", width)):
            _positive(name, value)
        if not (np.isfinite(maximum) and maximum > gap):
            raise CaseError(f"collision grid: a gap of {gap:g} does not fit below the maximum {maximum:g}")
        number = max(int(np.ceil((maximum - gap) / step - 1e-9)), 1)
        top = 2.0 * (gap + number * step) if phonon_maximum is None else float(phonon_maximum)
        finest = FOOT * step
        if not (np.isfinite(top) and top > 2.0 * gap + finest):
            raise CaseError(f"collision grid: phonon_maximum {top:g} must exceed twice the gap {gap:g}")
        foot = _graded_points(0.0, step, [(0.0, 0.0)], finest, WIDENING, width)[:-1]
        edges = gap + np.append((np.arange(number)[:, None] * step + foot).ravel(), number * step)
        below, above = (
            _graded_points(0.0, end, [(0.0, 0.0)], finest, WIDENING, 0.5 * min(width, step))
            for end in (2.0 * gap, top - 2.0 * gap)
        )
        points = np.concatenate([(2.0 * gap - below)[-2:0:-1], 2.0 * gap + above])
        return cls(edges, points, step=float(step))


def _graded_points(
    low: float,
    high: float,
    zones: list[tuple[float, float]],
    finest: float,
    growth: float,
    largest: float,
) -> Floats:
    """Points from ``low`` to ``high`` whose spacing is ``finest`` in the zones and grows with distance."""
    reach = np.concatenate([[0.0], np.geomspace(0.02 * finest, high + finest, 2000)])
    samples = [np.linspace(low, high, 4000)]
    for start, end in zones:
        samples += [start - reach, end + reach]
    at = np.unique(np.clip(np.concatenate(samples), low, high))
    distance = np.min([np.maximum(np.maximum(start - at, at - end), 0.0) for start, end in zones], axis=0)
    spacing = np.minimum(finest + growth * distance, largest)
    counted = np.concatenate([[0.0], np.cumsum(0.5 * (1 / spacing[1:] + 1 / spacing[:-1]) * np.diff(at))])
    number = max(int(np.ceil(counted[-1] - 1e-9)), 2)
    points = np.interp(np.linspace(0.0, counted[-1], number + 1), counted, at)
    points[0], points[-1] = low, high
    return points


def _positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0.0):
        raise CaseError(f"collision grid: {name} must be positive, found {value:g}")
