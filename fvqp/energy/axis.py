"""The energy axis: bins of quasiparticles, and phonon energies where phonons are computed.

Energies are in units of the reference gap Δ0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from fvqp.energy.spacing import Spacing, Zone
from fvqp.errors import CaseError
from fvqp.typing import Floats

# A thermal feature at a bias is resolved with steps of t/3 out to 6 t on both sides.
_STEPS_PER_TEMPERATURE = 3.0
_THERMAL_REACH = 6.0
#: First bin of a photon step in steps: 1e-9 Δ for photons of a tenth of the gap, where rounding leaves seven
#: digits of its width, and which holds 2 % of the quasiparticles of a film that is driven hard at 0.08 T_c.
FOOT = 1e-8
#: Widening of the bins of a photon step with the distance from its foot: by a factor of 2.7 from bin to bin.
WIDENING = 1.0


@dataclass(frozen=True, eq=False)
class EnergyAxis:
    """Quasiparticle bins and phonon points, for all cells.

    A quasiparticle of bin i has the energy ``energies[i]``, the middle of the bin, whatever the gap of the
    cell. On a uniform axis all sums and differences of these energies are multiples of the width: with phonon
    points there, every collision conserves energy without any splitting (theory: collisions, section on
    grids).

    Attributes:
        edges: bin edges, not negative, increasing, ``(N + 1,)``.
        phonon_energies: phonon points ω > 0, increasing, ``(K,)``; empty where no phonons are computed.
        width: bin width of a uniform axis (phonon points at its multiples); 0 on any other. Found from the
            edges of an axis without phonon points.
        first: on a uniform axis, the number of widths below the first edge.
        step: distance after which the bins repeat, a photon energy; 0 where they do not.
    """

    edges: Floats
    phonon_energies: Floats = field(default_factory=lambda: np.empty(0))
    width: float = field(default=0.0)
    first: int = field(default=0)
    step: float = field(default=0.0)

    def __post_init__(self) -> None:
        edges, points = (np.array(values, dtype=np.float64) for values in (self.edges, self.phonon_energies))
        if edges.ndim != 1 or edges.size < 3:
            raise CaseError("energy axis: needs one row of edges with at least two bins")
        if points.ndim != 1 or points.size == 1:
            raise CaseError("energy axis: phonon energies must be one row of at least two, or none")
        for name, values in (("edges", edges), ("phonon energies", points)):
            if not np.all(np.isfinite(values)) or not np.all(np.diff(values) > 0.0):
                raise CaseError(f"energy axis: {name} must be finite and increase")
            values.flags.writeable = False
        if edges[0] < 0.0:
            raise CaseError(f"energy axis: the first edge must not be negative, found {edges[0]:g}")
        if points.size and not points[0] > 0.0:
            raise CaseError("energy axis: phonon energies must be positive")
        object.__setattr__(self, "edges", edges)
        object.__setattr__(self, "phonon_energies", points)
        if not points.size and self.width == 0.0:
            width = float(edges[-1] - edges[0]) / self.n
            first = round(edges[0] / width)
            if np.all(np.abs(edges - (first + np.arange(edges.size)) * width) <= 1e-9 * width):
                object.__setattr__(self, "width", width)
                object.__setattr__(self, "first", first)

    def __repr__(self) -> str:
        phonons = f", {self.n_phonon} phonon energies" if self.n_phonon else ""
        return f"EnergyAxis({self.n} bins up to {self.maximum:.4g} Delta0{phonons})"

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
        """True if all differences and sums of quasiparticle energies are multiples of one energy, which are
        the phonon points where there are any."""
        return self.width > 0.0

    @property
    def energies(self) -> Floats:
        """Quasiparticle energies, the middles of the bins, ``(N,)``."""
        if self.is_uniform:
            return (self.first + 0.5 + np.arange(self.n, dtype=np.float64)) * self.width
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def widths(self) -> Floats:
        """Bin widths, ``(N,)``."""
        return np.diff(self.edges)

    @property
    def maximum(self) -> float:
        """Upper end of the last bin."""
        return float(self.edges[-1])

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
    ) -> EnergyAxis:
        """Bins of one width from ``start`` to ``maximum``, phonon points at all multiples of the width.

        Args:
            width: of the bins; h ≲ k_BT/10 resolves a thermal distribution.
            maximum: upper end of the bins, rounded to a multiple of the width. Under a sub-gap drive it
                must exceed 3Δ, where quasiparticles emit pair-breaking phonons.
            start: lower end, rounded down to a multiple of the width; at most the smallest gap of all cells.
            phonon_maximum: last phonon energy (Debye energy); by default the largest that a collision
                within the axis can involve, nearly ``2 maximum``. Collisions that need more are left out.
        """
        _positive("width", width)
        if not (np.isfinite(maximum) and np.isfinite(start) and start >= 0.0):
            raise CaseError(f"energy axis: needs finite 0 ≤ start < maximum, found {start:g}, {maximum:g}")
        first = int(np.floor(start / width + 1e-9))
        last = round(maximum / width)
        if last < first + 2:
            raise CaseError(
                f"energy axis: from {start:g} to {maximum:g} there is no room for two bins of {width:g}"
            )
        top = 2 * last - 1
        if phonon_maximum is not None:
            _positive("phonon_maximum", phonon_maximum)
            top = min(top, int(np.floor(phonon_maximum / width + 1e-9)))
        if top < 2:
            raise CaseError(f"energy axis: phonon_maximum {phonon_maximum:g} is below two bin widths")
        edges = np.arange(first, last + 1, dtype=np.float64) * width
        return cls(edges, np.arange(1, top + 1, dtype=np.float64) * width, width=float(width), first=first)

    @classmethod
    def graded(
        cls,
        maximum: float,
        *,
        gap_edges: Iterable[float],
        first: float,
        ratio: float = 1.5,
        number: int | None = None,
        largest: float = 0.1,
        thermal: Iterable[tuple[float, float]] = (),
    ) -> EnergyAxis:
        """Bins from 0 that shrink towards spectral edges, where the density of states is singular.

        Args:
            maximum: upper end.
            gap_edges: energies to resolve (`fvqp.spectral.gap_edge`), each of them becomes a bin edge.
            first: width of the bins at a gap edge; Γ/4 resolves a peak broadened by Γ.
            ratio: growth of the width from one bin to the next.
            number: exact number of bins; ``ratio`` then follows from it.
            largest: no bin is wider (up to rounding the number of bins).
            thermal: pairs (bias, temperature): around every bias bins are no wider than a third of the
                temperature.

        Raises:
            CaseError: parameters out of range, or ``number`` too small for the other wishes.
        """
        _positive("maximum", maximum)
        _positive("first step", first)
        _positive("largest step", largest)
        if not ratio > 1.0:
            raise CaseError(f"energy axis: ratio must exceed 1, found {ratio:g}")
        zones = [Zone(abs(float(e)), abs(float(e)), float(first)) for e in gap_edges]
        for bias, temperature in thermal:
            _positive("temperature of a thermal feature", temperature)
            middle, reach = abs(float(bias)), _THERMAL_REACH * temperature
            zones.append(Zone(middle - reach, middle + reach, temperature / _STEPS_PER_TEMPERATURE))
        breaks = [0.0]
        # No two closer than the finer of their steps.
        for middle, step in sorted((0.5 * (zone.low + zone.high), zone.step) for zone in zones):
            if middle - breaks[-1] >= step and maximum - middle >= step:
                breaks.append(middle)
        ends = np.array([*breaks, maximum])
        spacing = Spacing(zones, 1.0, maximum, largest, samples=(2000, 1500))
        spacing = spacing.by_ratio(ratio) if number is None else spacing.of_number(number, ends)
        return cls(spacing.points(ends, number))

    @classmethod
    def from_gap(
        cls,
        maximum: float,
        *,
        gap: ArrayLike,
        finest: float,
        growth: float = 0.05,
        largest: float = np.inf,
        phonon_maximum: float | None = None,
        fixed: bool = False,
        start: float | None = None,
        feet: Iterable[float] = (),
    ) -> EnergyAxis:
        """Bins from the gap up, ``finest`` wide there, that widen as ``growth`` times the distance from it.

        Phonon points are fine at low energies and at twice the gap, and widen in the same way between and
        above.

        Args:
            maximum: upper end of the bins.
            gap: the gap, or all gaps that occur: bins are ``finest`` from the smallest to the largest.
            finest: bin width at the gap.
            growth: widening with distance; 0.05 makes a bin at a distance of 1 wider by 0.05.
            largest: no bin is wider.
            phonon_maximum: last phonon energy (Debye energy); twice ``maximum`` by default.
            fixed: whether these gaps stay. Bins are then ``finest`` at each of them, which is the middle of
                one, and what pairs of this and the next bin emit are phonon points, so that modes can be
                split at twice the gap (`fvqp.collisions.threshold`); not so a gap within two bins of another.
            start: of the bins; by default the smallest gap, or of the bin that has it in its middle.
            feet: energies above gaps that stay, at which bins are ``finest`` too: those of photon steps.
        """
        gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))
        low, high = float(gaps.min()), float(gaps.max())
        top = 2.0 * maximum if phonon_maximum is None else float(phonon_maximum)
        for name, value in (("finest", finest), ("growth", growth), ("largest", largest)):
            if not value > 0.0:
                raise CaseError(f"energy axis: {name} must be positive, found {value:g}")
        if not (np.isfinite(maximum) and 0.0 <= low and high + 2.0 * finest < maximum):
            raise CaseError(
                f"energy axis: gaps from {low:g} to {high:g} do not fit below the maximum {maximum:g}"
            )
        if not (np.isfinite(top) and top > 2.0 * finest):
            raise CaseError(f"energy axis: phonon_maximum {top:g} must exceed two of the finest bins")
        if start is None:
            start = max(low - 0.5 * finest, 0.0) if fixed else low
        found = sorted(set(gaps.tolist()))
        middles = _apart(found, start, 2.0 * finest) if fixed else []
        below = sorted(one for one in feet if one < maximum - 2.0 * finest)
        beside = [one for one in below if np.all(np.abs(one - gaps) > 2.0 * finest)]
        steps = _apart(beside, start, 2.0 * finest) if fixed else []
        zones = [(one, one) for one in found + steps] if fixed else [(start, high)]
        around = [one + side * finest for one in middles + steps for side in (-0.5, 0.5)]
        breaks = np.unique(np.maximum([start, *around, maximum], start))
        edges = _widening(breaks, zones, finest, growth, largest)
        emitted = [lowest_pairs(0.5 * (edges[1:] + edges[:-1]), one) for one in middles]
        emitted = [points for points in emitted if points[-1] + finest < top]
        if not emitted:
            zones = [(0.0, 0.0)] + ([(2.0 * start, 2.0 * high)] if 2.0 * start < top else [])
            return cls(edges, _widening(np.array([0.0, top]), zones, finest, growth, largest)[1:])
        zones = [(0.0, 0.0), *((points[0], points[-1]) for points in emitted)]
        starts, ends = [0.0, *(points[-1] for points in emitted)], [*(points[0] for points in emitted), top]
        between = [
            _widening(np.array(stretch), zones, finest, growth, largest)
            for stretch in zip(starts, ends, strict=True)
        ]
        return cls(edges, np.unique(np.concatenate([*between, *emitted]))[1:])

    @classmethod
    def stepped(
        cls, maximum: float, *, gap: float, step: float, width: float, phonon_maximum: float | None = None
    ) -> EnergyAxis:
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
            raise CaseError(f"energy axis: a gap of {gap:g} does not fit below the maximum {maximum:g}")
        number = max(int(np.ceil((maximum - gap) / step - 1e-9)), 1)
        top = 2.0 * (gap + number * step) if phonon_maximum is None else float(phonon_maximum)
        finest = FOOT * step
        if not (np.isfinite(top) and top > 2.0 * gap + finest):
            raise CaseError(f"energy axis: phonon_maximum {top:g} must exceed twice the gap {gap:g}")
        foot = _widening(np.array([0.0, step]), [(0.0, 0.0)], finest, WIDENING, width)[:-1]
        edges = gap + np.append((np.arange(number)[:, None] * step + foot).ravel(), number * step)
        below, above = (
            _widening(np.array([0.0, end]), [(0.0, 0.0)], finest, WIDENING, 0.5 * min(width, step))
            for end in (2.0 * gap, top - 2.0 * gap)
        )
        points = np.concatenate([(2.0 * gap - below)[-2:0:-1], 2.0 * gap + above])
        return cls(edges, points, step=float(step))

    def with_phonons(self) -> EnergyAxis:
        """Return the bins with phonon points that suit them.

        On a uniform axis these are all multiples of the width, on any other what pairs of one bin, or of two
        neighbours, emit: where quasiparticles are resolved at the gap edge, phonons are at twice its energy.
        Below the first of these points they halve down to what neighbouring bins exchange.
        """
        if self.is_uniform:
            return EnergyAxis.uniform(self.width, self.maximum, start=float(self.edges[0]))
        points = np.sort(np.concatenate([2.0 * self.energies, 2.0 * self.edges[1:]]))
        halvings = int(np.ceil(np.log2(points[0] / self.widths.min())))
        return EnergyAxis(self.edges, np.concatenate([points[0] * 0.5 ** np.arange(halvings, 0, -1), points]))

    def divided(self, low: float, high: float, width: float, most: int) -> EnergyAxis:
        """Return the bins of the axis with every one between two energies cut into equal pieces.

        Args:
            low, high: bins that reach between these energies are cut.
            width: of a piece at most, but for
            most: pieces that a bin is cut into at most.
        """
        edges = self.edges
        pieces = np.clip(np.ceil(self.widths / width - 1e-9), 1, most).astype(np.int64)
        pieces[(edges[1:] <= low) | (edges[:-1] >= high)] = 1
        first = np.repeat(np.cumsum(pieces) - pieces, pieces)
        part = (np.arange(pieces.sum()) - first) / np.repeat(pieces, pieces)
        return EnergyAxis(
            np.append(np.repeat(edges[:-1], pieces) + part * np.repeat(self.widths, pieces), edges[-1])
        )

    def averages(self, values: Floats, finer: EnergyAxis) -> Floats:
        """Return bin averages ``(..., N)`` of ``values[..., m]`` in the bins of a divided axis."""
        starts = np.searchsorted(finer.edges, self.edges[:-1])
        return np.add.reduceat(values * finer.widths, starts, axis=-1) / self.widths

    def require_covers(self, energy: float, what: str) -> None:
        """Raise `CaseError` if the axis ends below ``energy``; ``what`` names the source of that energy."""
        if abs(energy) > self.maximum:
            raise CaseError(
                f"energy axis: ends at {self.maximum:g} Δ0, below {what} ({abs(energy):g} Δ0); "
                f"a maximum of {np.ceil(abs(energy) + 1.0):g} Δ0 would do"
            )

    def require_from_zero(self) -> None:
        """Raise `CaseError` unless the first bin begins at 0, as bins of f_L and f_T have to."""
        if self.edges[0] != 0.0:
            raise CaseError(f"energy axis: the first edge must be 0, not {self.edges[0]:g}")

    def require_phonons(self) -> None:
        """Raise `CaseError` if the axis has no phonon energies."""
        if not self.n_phonon:
            raise CaseError(
                "energy axis: has no phonon energies, which collisions with phonons need; give "
                "phonon_energies, or use EnergyAxis.uniform, from_gap or stepped"
            )


def _widening(
    breaks: Floats,
    zones: list[tuple[float, float]],
    finest: float,
    growth: float,
    largest: float,
) -> Floats:
    """Points from the first to the last of ``breaks``, which are points themselves, that are ``finest`` apart
    in the zones and less close beside them."""
    fine = [Zone(start, end, finest) for start, end in zones]
    return Spacing(fine, growth, breaks[-1] + finest, largest).points(breaks)


def _apart(gaps: list[float], start: float, distance: float) -> list[float]:
    """Gaps > 0, in order, that are farther than ``distance`` from the one before and a quarter of it from the
    start of the bins."""
    out: list[float] = []
    for gap in gaps:
        inside = gap > 0.0 and gap - 0.25 * distance >= start * (1.0 - 1e-12)
        if inside and (not out or gap - out[-1] > distance):
            out.append(gap)
    return out


def lowest_pairs(energies: Floats, gap: float) -> Floats:
    """Three phonon energies, those that pairs of the lowest two bins at a gap emit."""
    one, other = energies[lowest_bin(energies, gap) :][:2]
    return np.array([2.0 * one, one + other, 2.0 * other])


def lowest_bin(energies: Floats, gap: float) -> int:
    """The lowest bin that holds states of a gap where they are shared between the middles of bins."""
    return max(int(np.searchsorted(energies, gap * (1.0 + 1e-12), side="right")) - 1, 0)


def _positive(name: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0.0):
        raise CaseError(f"energy axis: {name} must be positive, found {value:g}")
