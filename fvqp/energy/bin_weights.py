"""Bin weights: how many states a quasiparticle bin holds, and their coherence, for any gap in any cell.

Collision operators and observables know the spectrum through these two weights only, so that a state counts
the same in all of them (theory: collisions, Eqs. measure, measure-bcs).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fvqp.energy.axis import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Bools, Floats, Ints

Rule = Literal["bin", "linear"]

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@dataclass(frozen=True, eq=False)
class BinWeights:
    """States and coherence of the quasiparticle bins.

    Any spectrum may be given: normal and anomalous density of states, integrated over the bins. Cells may
    share one row.

    Attributes:
        dos_weights: ``s = ∫ρ dE`` of every bin, ``(cells, N)`` or ``(1, N)``, units of Δ0; 0 below the gap.
        pair_weights: ``p = ∫ρ Δ/E dE`` of every bin, same shape, ``|p| ≤ s``.
        renormalization: number of momentum states ``∫dξ`` of every bin over s, positive, same shape; None
            where that is 1, as in BCS theory (theory: eliashberg, Eq. eli-number).
        phonon_shares: phonon modes of every point over those of its share of the axis, ``(cells, K)`` or
            ``(1, K)``, see `fvqp.collisions.threshold`; None where that is 1.
        pair_shares: the part of these in which modes were not split for the pairs of this spectrum,
            ``(1, K)``: pairs break that much more often in them; None where that is 1.
    """

    dos_weights: Floats
    pair_weights: Floats
    renormalization: Floats | None = None
    phonon_shares: Floats | None = None
    pair_shares: Floats | None = None

    def __post_init__(self) -> None:
        states = np.atleast_2d(np.ascontiguousarray(self.dos_weights, dtype=np.float64))
        anomalous = np.atleast_2d(np.ascontiguousarray(self.pair_weights, dtype=np.float64))
        if states.shape != anomalous.shape:
            raise CaseError(
                f"bin weights: {states.shape} states do not go with {anomalous.shape} anomalous weights"
            )
        if not np.all(np.isfinite(states)) or np.any(states < 0.0):
            raise CaseError("bin weights: numbers of states must be finite and not negative")
        if not np.all(np.abs(anomalous) <= states * (1.0 + 1e-9)):
            raise CaseError("bin weights: an anomalous weight exceeds the number of states of its bin")
        object.__setattr__(self, "dos_weights", states)
        object.__setattr__(self, "pair_weights", np.clip(anomalous, -states, states))
        if self.renormalization is not None:
            factor = np.atleast_2d(np.ascontiguousarray(self.renormalization, dtype=np.float64))
            if factor.shape != states.shape or not np.all(np.isfinite(factor) & (factor > 0.0)):
                raise CaseError("bin weights: renormalization must be positive, one number for each bin")
            object.__setattr__(self, "renormalization", factor)

    @property
    def active(self) -> Bools:
        """Bins that hold states."""
        return self.dos_weights > 0.0

    @property
    def number(self) -> Floats:
        """Number of states of every bin that densities and energies are counted with, same shape."""
        return self.dos_weights if self.renormalization is None else self.dos_weights * self.renormalization

    def per_number(self, rate: Floats) -> Floats:
        """A rate ``∂f/∂t`` of events counted with s, in occupations of the momentum states."""
        return rate if self.renormalization is None else rate / self.renormalization

    def rows(self, cells: slice | Ints) -> BinWeights:
        """Return the weights of some cells; all if they share one row."""
        if len(self.dos_weights) == 1:
            return self
        more = (self.renormalization, self.phonon_shares, self.pair_shares)
        parts = (part if part is None or len(part) == 1 else part[cells] for part in more)
        return BinWeights(self.dos_weights[cells], self.pair_weights[cells], *parts)


def bcs_weights(axis: EnergyAxis, gap: ArrayLike, rule: Rule = "linear") -> BinWeights:
    """Bin weights of the BCS spectrum, exact integrals over the bins (theory: collisions, Eq. measure-bcs).

    Args:
        axis: energies.
        gap: Δ ≥ 0 in units of Δ0, scalar or ``(cells,)``; each may lie inside any bin.
        rule: ``"linear"`` shares every state between the two nearest bin centres such that number and energy
            of the states are exact: sums converge with order 2 in the bin width. Where the gap is below the
            middle of its bin, the bin beneath holds some states too. ``"bin"`` gives a bin the states
            between its edges, none to bins below the gap: order 3/2, with larger errors.

    Raises:
        CaseError: negative gap, or a gap outside the axis.
    """
    gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))
    if gaps.ndim != 1 or not np.all(np.isfinite(gaps)) or np.any(gaps < 0.0):
        raise CaseError("gap of the collision integrals: must be one finite number ≥ 0 a cell")
    low, high = axis.edges[0], axis.edges[-2]
    if np.any(gaps < low * (1.0 - 1e-12)):
        raise CaseError(f"energy axis: starts at {low:g} Δ0, above a gap of {gaps.min():g} Δ0; it must not")
    if np.any(gaps > high):
        raise CaseError(
            f"energy axis: ends at {axis.edges[-1]:g} Δ0 and does not hold a gap of {gaps.max():g} Δ0"
        )
    gaps = gaps[:, None]
    if rule == "bin":
        number, _, anomalous = _integrals(axis.edges, gaps)
        return BinWeights(number, anomalous)
    if rule == "linear":
        return BinWeights(*_linear(axis, gaps))
    raise CaseError(f'bin weights: rule must be "bin" or "linear", not "{rule}"')


def _integrals(bounds: Floats, gap: Floats) -> tuple[Floats, Floats, Floats]:
    """``∫ρ dE``, mean energy of these states, and ``∫ρ Δ/E dE`` between neighbouring bounds."""
    # Rounding must not place the gap beside an edge that is meant to be the gap: ξ is its square root.
    excess = bounds - gap
    excess = np.where(excess > 8.0 * np.finfo(float).eps * bounds, excess, 0.0)
    xi = np.sqrt(excess * (excess + 2.0 * gap))
    lower, upper = xi[:, :-1], xi[:, 1:]
    a, b = gap + excess[:, :-1], gap + excess[:, 1:]
    total = upper + lower
    number = np.divide((b - a) * (b + a), total, out=np.zeros_like(total), where=total > 0.0)
    half, middle = 0.5 * (upper - lower), 0.5 * total
    points = middle[..., None] + half[..., None] * _NODES
    mean = np.hypot(points, gap[..., None]) @ (0.5 * _WEIGHTS)
    # arcosh(b/Δ) − arcosh(a/Δ) without the cancellation of a difference
    start = a + lower
    step = np.log1p(np.divide(b - a + number, start, out=np.zeros_like(total), where=start > 0.0))
    return number, mean, np.where(gap > 0.0, gap * step, 0.0)


def centre_bounds(axis: EnergyAxis) -> Floats:
    """First edge, bin centres and last edge, ``(N + 2,)``: states between two of them are shared as one."""
    return np.concatenate([axis.edges[:1], axis.energies, axis.edges[-1:]])


def shared_between_centres(axis: EnergyAxis, amount: Floats, energy: Floats) -> Floats:
    """Weights of the bins under the rule ``"linear"``, ``(rows, N)``, for any spectral density.

    Args:
        axis: energies.
        amount: integral of the density between `centre_bounds`, ``(rows, N + 1)``.
        energy: integral of energy times density there.
    """
    origin, distance = _origins(axis)
    return _share(amount, (energy - origin * amount) / distance)


def _origins(axis: EnergyAxis) -> tuple[Floats, Floats]:
    """The lower of the two centres that share what lies between two bounds, and their distance."""
    centres = axis.energies
    left = np.clip(np.arange(axis.n + 1) - 1, 0, axis.n - 2)
    return centres[left], centres[left + 1] - centres[left]


def _linear(axis: EnergyAxis, gap: Floats) -> tuple[Floats, Floats]:
    """States shared between neighbouring centres, extrapolating beyond the first and the last centre."""
    origin, distance = _origins(axis)
    number, mean, anomalous = _integrals(centre_bounds(axis), gap)
    # what a gap just below a centre leaves to the bin before is a small difference, with any sign
    states = np.maximum(_share(number, number * (mean - origin) / distance), 0.0)
    # the energy-weighted anomalous density is ρΔ: Δ times the number of states
    pairs = _share(anomalous, (gap * number - origin * anomalous) / distance)
    return states, np.clip(pairs, 0.0, states)


def _share(amount: Floats, right: Floats) -> Floats:
    """``amount`` of N + 1 stretches between bounds, ``right`` of it to the upper of two centres."""
    left = amount - right
    shared = np.zeros((amount.shape[0], amount.shape[1] - 1))
    shared[:, :-1] += left[:, 1:-1]
    shared[:, 1:] += right[:, 1:-1]
    # below the first and above the last centre: extrapolation from the same two
    shared[:, :2] += np.stack([left[:, 0], right[:, 0]], axis=1)
    shared[:, -2:] += np.stack([left[:, -1], right[:, -1]], axis=1)
    return shared
