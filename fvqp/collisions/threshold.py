"""Phonon modes at the threshold of pair breaking, 2Δ, where occupation and lifetime of phonons jump.

A phonon point next to 2Δ stands for modes that break pairs and for modes that do not. These have very
different occupations, and one number for both makes everything that phonons do of order 1 in the bin width.
So a point that pairs of bins reach stands for the modes above 2Δ alone, as many as make its rate of pair
breaking exact, and those below belong to the point beneath (theory: collisions, Eq. threshold-share).

Energies are in units of Δ0.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numba import njit
from numpy.typing import ArrayLike
from scipy.special import ellipe, ellipk

from fvqp.collisions.grid import CollisionGrid
from fvqp.collisions.measure import Rule, SpectralMeasure, bcs_measure
from fvqp.typing import Floats

#: Largest phonon energy, in Δ, whose rate of pair breaking is made exact. The sums converge with order 2
#: there; the rates of single points at 2Δ are wrong by parts that do not depend on the bin width.
HIGHEST = 3.0
#: Bins at the top of the axis that share states which lie beyond their centres.
TOP = 3


def pair_integral(ratio: ArrayLike) -> Floats:
    """``½∫ρ(E)ρ(ω−E)[1 + Δ²/E(ω−E)] dE`` over Δ at ``ω/Δ = ratio`` ≥ 2 (theory: Eq. cold-breaking)."""
    w = np.asarray(ratio, dtype=np.float64)
    square = ((w - 2.0) / (w + 2.0)) ** 2
    return np.asarray(0.5 * ((w + 2.0) * ellipe(square) - 4.0 * w / (w + 2.0) * ellipk(square)))


def threshold_shares(grid: CollisionGrid, gap: ArrayLike, rule: Rule = "linear") -> Floats:
    """Modes of every phonon point over those of its share of the axis, ``(cells, K)``.

    Energy ``Σ g ω`` of one phonon a mode is that of the axis. 1 in normal cells, and in those whose 2Δ does
    not lie between the phonon points.

    Args:
        grid: uniform.
        gap: Δ ≥ 0, scalar or ``(cells,)``.
        rule: of the bin measure.
    """
    gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))
    omega, width = grid.phonon_energies, grid.width
    measure = bcs_measure(grid, gaps, rule)
    pairs = np.zeros((gaps.size, omega.size))
    _pair_sums(measure.states, measure.anomalous, 2 * grid.first, pairs)
    highest = np.minimum(HIGHEST * gaps, grid.edges[-1] + gaps - TOP * width)[:, None]
    made = (pairs > 0.0) & (omega <= highest)
    first = np.argmax(made, axis=1)
    split = made.any(axis=1) & (first > 0)
    made &= split[:, None]
    ratio = np.maximum(omega / np.where(split, gaps, 1.0)[:, None], 2.0)
    exact = width * np.where(split, gaps, 1.0)[:, None] * pair_integral(ratio)
    shares = np.where(made, pairs / exact, 1.0)
    beneath = np.maximum(first - 1, 0)
    missing = ((1.0 - shares) * omega**3).sum(axis=1)
    shares[np.arange(gaps.size), beneath] += missing / omega[beneath] ** 3
    return np.asarray(shares)


def at_threshold(
    grid: CollisionGrid, measure: SpectralMeasure, gap: ArrayLike, rule: Rule = "linear"
) -> SpectralMeasure:
    """The measure with phonon modes split at 2Δ; as it is on grids that are not uniform."""
    if not grid.is_uniform:
        return measure
    return replace(measure, phonon_shares=threshold_shares(grid, gap, rule))


@njit(cache=True, nogil=True)
def _pair_sums(states, anomalous, offset, pairs):
    """``½Σ(s_i s_j + p_i p_j)`` over all bins i and j that recombine into a phonon point."""
    bins, points = states.shape[1], pairs.shape[1]
    for c in range(pairs.shape[0]):
        s, p = states[c], anomalous[c]
        for k in range(offset, min(points, offset + 2 * bins - 1)):
            both = k - offset
            total = 0.0
            for i in range(max(0, both - bins + 1), min(bins, both + 1)):
                total += s[i] * s[both - i] + p[i] * p[both - i]
            pairs[c, k] = 0.5 * total
