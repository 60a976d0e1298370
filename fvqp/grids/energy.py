"""The energy axis: bins of ``ε ≥ 0`` and the exact bin averages of thermal distributions on them.

Energies, biases (times e) and temperatures (times k_B) are in units of the reference gap Δ0.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit

from fvqp.errors import CaseError
from fvqp.typing import Floats, Ints

# A thermal feature at a bias is resolved with steps of t/3 out to 6 t on both sides.
_STEPS_PER_TEMPERATURE = 3.0
_THERMAL_REACH = 6.0
# With a given number of bins, widths may grow at most this fast.
_LARGEST_RATIO = 3.0


@dataclass(frozen=True, eq=False)
class EnergyGrid:
    """Bins on the energy axis.

    Attributes:
        edges: increasing from 0, ``(n + 1,)``; units of Δ0.
    """

    edges: Floats

    def __post_init__(self) -> None:
        edges = np.array(self.edges, dtype=np.float64)
        if edges.ndim != 1 or edges.size < 3:
            raise CaseError("energy grid: needs one row of edges with at least two bins")
        if not np.all(np.isfinite(edges)) or not np.all(np.diff(edges) > 0.0):
            raise CaseError("energy grid: edges must be finite and increase")
        if edges[0] != 0.0:
            raise CaseError(f"energy grid: the first edge must be 0, not {edges[0]:g}")
        edges.flags.writeable = False
        object.__setattr__(self, "edges", edges)

    def __repr__(self) -> str:
        return f"EnergyGrid({self.n} bins up to {self.maximum:.4g} Delta0)"

    @property
    def n(self) -> int:
        """Number of bins."""
        return self.edges.size - 1

    @property
    def widths(self) -> Floats:
        """Bin widths, ``(n,)``."""
        return np.diff(self.edges)

    @property
    def centres(self) -> Floats:
        """Bin midpoints, ``(n,)``."""
        return 0.5 * (self.edges[1:] + self.edges[:-1])

    @property
    def maximum(self) -> float:
        """Upper end of the last bin."""
        return float(self.edges[-1])

    @classmethod
    def uniform(cls, width: float, maximum: float) -> EnergyGrid:
        """Bins of one width; ``maximum`` must be a multiple of ``width``."""
        _positive("energy grid: width", width)
        _positive("energy grid: maximum", maximum)
        count = round(maximum / width)
        if count < 1 or abs(count * width - maximum) > 1e-9 * maximum:
            raise CaseError(
                f"energy grid: maximum {maximum:g} is no multiple of the width {width:g}; "
                f"{max(count, 2) * width:g} would be"
            )
        return cls(np.linspace(0.0, maximum, count + 1))

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
    ) -> EnergyGrid:
        """Bins that shrink towards the spectral edges, where the density of states is singular.

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
        _positive("energy grid: maximum", maximum)
        _positive("energy grid: first step", first)
        _positive("energy grid: largest step", largest)
        if not ratio > 1.0:
            raise CaseError(f"energy grid: ratio must exceed 1, found {ratio:g}")
        features = [(abs(float(e)), 0.0, float(first)) for e in gap_edges]
        for bias, temperature in thermal:
            _positive("energy grid: temperature of a thermal feature", temperature)
            step = temperature / _STEPS_PER_TEMPERATURE
            features.append((abs(float(bias)), _THERMAL_REACH * temperature, step))
        breaks = _breakpoints(maximum, features)
        if number is None:
            counts = np.maximum(np.ceil(_demand(breaks, features, ratio, largest)[1] - 1e-9), 1).astype(int)
        else:
            ratio = _ratio_for(number, breaks, features, largest)
            counts = _shares(_demand(breaks, features, ratio, largest)[1], number)
        positions, _, cumulated = _demand(breaks, features, ratio, largest)
        at_breaks = np.interp(breaks, positions, cumulated)
        pieces = [
            np.interp(np.linspace(low, high, count + 1)[1:-1], cumulated, positions)
            for low, high, count in zip(at_breaks[:-1], at_breaks[1:], counts, strict=True)
        ]
        return cls(np.sort(np.concatenate([breaks, *pieces])))

    def divided(self, low: float, high: float, width: float, most: int) -> EnergyGrid:
        """Return the axis with every bin between two energies cut into equal pieces.

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
        return EnergyGrid(
            np.append(np.repeat(edges[:-1], pieces) + part * np.repeat(self.widths, pieces), edges[-1])
        )

    def averages(self, values: Floats, finer: EnergyGrid) -> Floats:
        """Return bin averages ``(..., n)`` of ``values[..., m]`` in the bins of a divided axis."""
        starts = np.searchsorted(finer.edges, self.edges[:-1])
        return np.add.reduceat(values * finer.widths, starts, axis=-1) / self.widths

    def require_covers(self, energy: float, what: str) -> None:
        """Raise `CaseError` if the grid ends below ``energy``; ``what`` names the source of that energy."""
        if abs(energy) > self.maximum:
            raise CaseError(
                f"energy grid: ends at {self.maximum:g} Δ0, below {what} ({abs(energy):g} Δ0); "
                f"a maximum of {np.ceil(abs(energy) + 1.0):g} Δ0 would do"
            )


def equilibrium(edges: ArrayLike, temperature: ArrayLike) -> Floats:
    """Bin averages of ``tanh(ε/2t)``, exact; the sign function at ``t = 0``.

    Args:
        edges: ``(NE + 1,)``, any sign.
        temperature: t ≥ 0, scalar or any shape ``(...)``.

    Returns:
        ``(..., NE)``.
    """
    t = np.asarray(temperature, dtype=np.float64)[..., None]
    return _mean_tanh(np.asarray(edges, dtype=np.float64), t)


def lead(edges: ArrayLike, bias: ArrayLike, temperature: ArrayLike) -> tuple[Floats, Floats]:
    """Bin averages ``(f_L, f_T)`` of a normal lead: ``½[n0(ε + eV) ± n0(ε − eV)]``, ``n0 = tanh(ε/2t)``.

    (Ryan, Beckmann, Chandrasekhar (2026), Eq. 12.) ``bias`` and ``temperature`` broadcast to a shape
    ``(...)``; the answers are ``(..., NE)``, exact also for biases inside a bin.
    """
    up, down, t = _shifted(edges, bias, temperature)
    plus, minus = _mean_tanh(up, t), _mean_tanh(down, t)
    return 0.5 * (plus + minus), 0.5 * (plus - minus)


def lead_derivative(edges: ArrayLike, bias: ArrayLike, temperature: ArrayLike) -> tuple[Floats, Floats]:
    """Derivatives of `lead` with respect to the bias, exact: what an infinitely small modulation measures.

    At ``t = 0`` they are the finite differences of sign functions over the bin that contains the bias.
    """
    up, down, t = _shifted(edges, bias, temperature)
    plus, minus = _mean_slope(up, t), _mean_slope(down, t)
    return 0.5 * (plus - minus), 0.5 * (plus + minus)


def _shifted(edges: ArrayLike, bias: ArrayLike, temperature: ArrayLike) -> tuple[Floats, Floats, Floats]:
    bounds = np.asarray(edges, dtype=np.float64)
    shift = np.asarray(bias, dtype=np.float64)[..., None]
    return bounds + shift, bounds - shift, np.asarray(temperature, dtype=np.float64)[..., None]


def _mean_tanh(bounds: Floats, temperature: Floats) -> Floats:
    """Mean of ``tanh(ε/2t)`` between neighbouring bounds."""
    _check_temperature(temperature)
    low, high = bounds[..., :-1], bounds[..., 1:]
    cold = (np.abs(high) - np.abs(low)) / (high - low)
    if not np.any(temperature > 0.0):
        return np.asarray(cold + 0.0 * temperature)
    scale = 4.0 * np.where(temperature > 0.0, temperature, 1.0)
    middle, half = (low + high) / scale, (high - low) / scale
    # ln cosh b − ln cosh a = 2 artanh(tanh m tanh h): no cancellation in narrow bins.
    narrow = np.arctanh(np.tanh(middle) * np.tanh(np.minimum(half, 1.0))) / half
    a, b = np.abs(middle - half), np.abs(middle + half)
    wide = (b - a + np.log1p(np.exp(-2.0 * b)) - np.log1p(np.exp(-2.0 * a))) / (2.0 * half)
    return np.where(temperature > 0.0, np.where(half < 1.0, narrow, wide), cold)


def _mean_slope(bounds: Floats, temperature: Floats) -> Floats:
    """Mean of ``d tanh(ε/2t)/dε`` between neighbouring bounds."""
    _check_temperature(temperature)
    low, high = bounds[..., :-1], bounds[..., 1:]
    cold = np.sign(high) - np.sign(low)
    scale = np.where(temperature > 0.0, temperature, 1.0)
    # tanh b − tanh a as a product of positive factors, accurate in both tails.
    warm = -2.0 * expit(-low / scale) * expit(high / scale) * np.expm1(-(high - low) / scale)
    return np.where(temperature > 0.0, warm, cold) / (high - low)


def _check_temperature(temperature: Floats) -> None:
    if not np.all(temperature >= 0.0):
        raise CaseError("temperature: must not be negative")


def _positive(what: str, value: float) -> None:
    if not (np.isfinite(value) and value > 0.0):
        raise CaseError(f"{what} must be positive, found {value:g}")


Feature = tuple[float, float, float]  # position, half width of its plateau, step there


def _breakpoints(maximum: float, features: list[Feature]) -> Floats:
    """0, the features inside the range (no two closer than the finer of their steps) and the maximum."""
    kept = [0.0]
    for position, _, step in sorted(features):
        if position - kept[-1] >= step and maximum - position >= step:
            kept.append(position)
    return np.array([*kept, maximum])


def _demand(
    breaks: Floats, features: list[Feature], ratio: float, largest: float
) -> tuple[Floats, Floats, Floats]:
    """Bins wanted: sample positions, number between neighbouring breakpoints, number up to every sample.

    Widths that grow by ``ratio`` from ``step`` are ``step + (ratio − 1) x`` at the distance x: the density of
    edges is ``(ratio − 1)/(ln ratio · width)``. The finest feature decides.
    """
    maximum = breaks[-1]
    samples = [breaks, np.linspace(0.0, maximum, 2000)]
    for position, plateau, step in features:
        reach = np.geomspace(0.02 * step, max(maximum, step), 1500)
        samples += [position + plateau + reach, position - plateau - reach]
        samples.append(np.linspace(position - plateau, position + plateau, 400))
    positions = np.unique(np.clip(np.concatenate(samples), 0.0, maximum))
    growth = ratio - 1.0
    density = np.full(positions.size, 1.0 / largest)
    for position, plateau, step in features:
        distance = np.maximum(np.abs(positions - position) - plateau, 0.0)
        graded = growth / np.log1p(growth) / (step + growth * distance)
        on_plateau = (distance == 0.0) & (plateau > 0.0)
        density = np.maximum(density, np.where(on_plateau, 1.0 / step, graded))
    parts = 0.5 * (density[1:] + density[:-1]) * np.diff(positions)
    cumulated = np.concatenate([[0.0], np.cumsum(parts)])
    return positions, np.diff(np.interp(breaks, positions, cumulated)), cumulated


def _ratio_for(number: int, breaks: Floats, features: list[Feature], largest: float) -> float:
    """The growth ratio with which the range holds ``number`` bins."""
    low, high = np.log(1e-8), np.log(_LARGEST_RATIO - 1.0)
    fewest = int(np.ceil(_demand(breaks, features, _LARGEST_RATIO, largest)[1].sum()))
    fewest = max(fewest, 2 * (breaks.size - 1))
    if number < fewest:
        raise CaseError(
            f"energy grid: {number} bins cannot resolve this; at least {fewest} are needed "
            f"with a largest step of {largest:g}"
        )

    def surplus(logarithm: float) -> float:
        return float(_demand(breaks, features, 1.0 + np.exp(logarithm), largest)[1].sum()) - number

    if surplus(low) <= 0.0:
        return float(1.0 + np.exp(low))
    return float(1.0 + np.exp(brentq(surplus, low, high, xtol=1e-12)))


def _shares(demand: Floats, number: int) -> Ints:
    """Whole numbers ≥ 1 proportional to ``demand`` that add up to ``number`` (largest remainders)."""
    exact = 1.0 + demand / demand.sum() * (number - demand.size)
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: number - int(counts.sum())]] += 1
    return counts
