"""Phonon modes at the threshold of pair breaking, 2Δ, where occupation and lifetime of phonons jump.

A phonon point next to 2Δ stands for modes that break pairs and for modes that do not. These have very
different occupations, and one number for both makes everything that phonons do of order 1 in the bin width.
So a point that pairs of bins reach stands for the modes above 2Δ alone, as many as make its rate of pair
breaking exact, and those below belong to the point beneath (theory: collisions, Eq. threshold-share).

Energies are in units of Δ0.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import ellipe, ellipk

from fvqp.collisions.pair_sums_nonuniform import collisions, pairs_and_points
from fvqp.energy import EnergyAxis
from fvqp.energy.axis import lowest_bin, lowest_pairs
from fvqp.energy.bin_weights import BinWeights, Rule, bcs_weights
from fvqp.kernel_cache import njit
from fvqp.typing import Floats, Ints

#: Largest phonon energy, in Δ, whose rate of pair breaking is made exact on a uniform axis. The sums there
#: converge with order 2; the rates of single points at 2Δ are wrong by parts that do not depend on the width.
HIGHEST = 3.0
#: Points from 2Δ up whose rate is made exact on a graded axis, those that pairs of the lowest two bins emit.
#: Farther up errors of the shares have both signs, and modes of wide bins do not fit into the point beneath.
LOWEST = 3
#: Bins at the top of the axis that share states which lie beyond their centres.
TOP = 3


def pair_integral(ratio: ArrayLike) -> Floats:
    """``½∫ρ(E)ρ(ω−E)[1 + Δ²/E(ω−E)] dE`` over Δ at ``ω/Δ = ratio`` ≥ 2 (theory: Eq. cold-breaking)."""
    w = np.asarray(ratio, dtype=np.float64)
    square = ((w - 2.0) / (w + 2.0)) ** 2
    return np.asarray(0.5 * ((w + 2.0) * ellipe(square) - 4.0 * w / (w + 2.0) * ellipk(square)))


def threshold_shares(grid: EnergyAxis, gap: ArrayLike, rule: Rule = "linear") -> Floats:
    """Modes of every phonon point over those of its share of the axis, ``(cells, K)``.

    Energy ``Σ g ω`` of one phonon a mode is that of the axis. 1 in normal cells, and in those whose 2Δ does
    not lie between the phonon points.

    Args:
        grid: uniform, or graded with phonon points that pairs of the lowest bins emit
            (`EnergyAxis.from_gap`, ``fixed``).
        gap: Δ ≥ 0, scalar or ``(cells,)``.
        rule: of the bin weights.
    """
    gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))
    omega, widths = grid.phonon_energies, grid.phonon_widths
    bin_weights = bcs_weights(grid, gaps, rule)
    highest = np.minimum(HIGHEST * gaps, grid.edges[-1] + gaps - TOP * grid.widths[-1])
    ends = np.searchsorted(omega, highest, side="right")
    if grid.is_uniform:
        pairs = np.zeros((gaps.size, omega.size))
        _pair_sums(bin_weights.dos_weights, bin_weights.pair_weights, 2 * grid.first, ends, pairs)
    else:
        pairs = np.where(np.arange(omega.size) < ends[:, None], _graded_pair_sums(grid, bin_weights), 0.0)
    made = pairs > 0.0
    first = np.argmax(made, axis=1)
    if not grid.is_uniform:
        made &= np.arange(omega.size) < first[:, None] + LOWEST
    split = made.any(axis=1) & (first > 0)
    made &= split[:, None]
    ratio = np.maximum(omega / np.where(split, gaps, 1.0)[:, None], 2.0)
    exact = widths * np.where(split, gaps, 1.0)[:, None] * pair_integral(ratio)
    shares = np.where(made, pairs / exact, 1.0)
    beneath, energy = np.maximum(first - 1, 0), omega**3 * widths
    missing = ((1.0 - shares) * energy).sum(axis=1)
    shares[np.arange(gaps.size), beneath] += missing / energy[beneath]
    return np.asarray(shares)


def shares_of_gaps(grid: EnergyAxis, gaps: Iterable[float], rule: Rule = "linear") -> dict[float, Floats]:
    """`threshold_shares` ``(K,)`` of gaps that meet in one body; of none where two are closer than two bins,
    or a graded axis has no phonon points for them.

    Phonon points of a body have one number of modes in all of its cells: the product of these (theory:
    collisions, section on the threshold of pair breaking).
    """
    found = sorted(set(gaps))
    lowest = np.array([lowest_bin(grid.energies, gap) for gap in found])
    if not found or np.any(np.diff(lowest) < 2):
        return {}
    if not grid.is_uniform:
        points = np.array([lowest_pairs(grid.energies, gap) for gap in found])
        if np.abs(points[..., None] - grid.phonon_energies).min(axis=2).max() > 1e-9:
            return {}
    return dict(zip(found, threshold_shares(grid, found, rule), strict=True))


def product_of_shares(shares: Iterable[Floats]) -> Floats | None:
    """Modes of the points of a body over those of their shares of the axis; None where that is 1."""
    found = list(shares)
    return np.asarray(np.prod(found, axis=0)) if found else None


def at_threshold(
    grid: EnergyAxis, bin_weights: BinWeights, gap: ArrayLike, rule: Rule = "linear"
) -> BinWeights:
    """Bin weights with phonon modes split at 2Δ."""
    return replace(bin_weights, phonon_shares=threshold_shares(grid, gap, rule))


def carried_phonons(grid: EnergyAxis, before: BinWeights, after: BinWeights, n: Floats) -> Floats:
    """Occupations after modes have passed between points because the gap has moved, ``(cells, K)``.

    Modes keep their phonons, in the order of their energy; the energy of all phonons stays to rounding, and
    so do bounds and uniform occupations.

    Args:
        grid: uniform.
        before, after: bin weights at both gaps.
        n: occupations ``(cells, K)`` before.
    """
    out = n.copy()
    if before.phonon_shares is not None and after.phonon_shares is not None:
        weight = grid.phonon_energies**3
        _carry(before.phonon_shares * weight, after.phonon_shares * weight, n, out)
    return out


def first_of_pairs(grid: EnergyAxis, bin_weights: BinWeights) -> Ints:
    """Index of the lowest phonon point that breaks pairs on a uniform grid, ``(cells,)``."""
    return np.asarray(2 * (grid.first + np.argmax(bin_weights.active, axis=1)))


def broken_pairs(grid: EnergyAxis, bin_weights: BinWeights, phonons: Floats) -> Floats:
    """Change of f where phonons of a uniform grid break pairs, ``(cells, N)``.

    A pair has its bins as often as pairs of a cold superconductor that phonons of the point break.

    Args:
        grid: uniform.
        bin_weights: one row a cell.
        phonons: how many of every point, ``(cells, K)``; 0 below `first_of_pairs`.
    """
    made = np.zeros(bin_weights.dos_weights.shape)
    _break_pairs(bin_weights.dos_weights, bin_weights.pair_weights, 2 * grid.first, phonons, made)
    return np.divide(made, bin_weights.number, out=np.zeros_like(made), where=bin_weights.active)


@njit(cache=True, nogil=True)
def _break_pairs(states, anomalous, offset, phonons, made):
    """Quasiparticles of every bin from phonons, two of each."""
    bins, points = states.shape[1], phonons.shape[1]
    for c in range(phonons.shape[0]):
        s, p = states[c], anomalous[c]
        for k in range(offset, min(points, offset + 2 * bins - 1)):
            if phonons[c, k] == 0.0:
                continue
            both = k - offset
            low, high = max(0, both - bins + 1), min(bins, both + 1)
            total = 0.0
            for i in range(low, high):
                total += s[i] * s[both - i] + p[i] * p[both - i]
            for i in range(low, high):
                made[c, i] += 2.0 * phonons[c, k] * (s[i] * s[both - i] + p[i] * p[both - i]) / total


@njit(cache=True, nogil=True)
def _carry(before, after, n, out):
    """Means of n over new pieces of an axis on which every point had a piece as long as its weight."""
    for c in range(n.shape[0]):
        old, new = before[c], after[c]
        low, high = 0, new.size - 1
        while low < high and old[low] == new[low]:
            low += 1
        while high > low and old[high] == new[high]:
            high -= 1
        # From above: n falls, and sums from below would lose its small values.
        source, left = high, old[high]
        for k in range(high, low, -1):
            wanted, total = new[k], 0.0
            while left <= wanted and source > low:
                total += left * n[c, source]
                wanted -= left
                source -= 1
                left = old[source]
            out[c, k] = (total + wanted * n[c, source]) / new[k]
            left -= wanted
        total = left * n[c, source]
        for k in range(low, source):
            total += old[k] * n[c, k]
        out[c, low] = total / new[low]


def _graded_pair_sums(grid: EnergyAxis, bin_weights: BinWeights) -> Floats:
    """``½Σ(s_i s_j + p_i p_j)`` over all bins i and j, with the shares of points in what they emit and as
    much energy."""
    ones = np.ones(grid.n_phonon)
    events = collisions(grid, 1.0, ones, ones)
    pair, point = pairs_and_points(events)
    emitted = csr_array((events.shares, (point, pair)), shape=(grid.n_phonon, events.lower.size))
    s, p = bin_weights.dos_weights, bin_weights.pair_weights
    both = s[:, events.lower] * s[:, events.upper] + p[:, events.lower] * p[:, events.upper]
    strength = np.where(events.sign > 0.0, events.factor, 0.0)
    return np.asarray((emitted @ (strength * both).T).T / grid.phonon_energies**2)


@njit(cache=True, nogil=True)
def _pair_sums(states, anomalous, offset, ends, pairs):
    """``½Σ(s_i s_j + p_i p_j)`` over all bins i and j that recombine into a phonon point before the end."""
    bins = states.shape[1]
    for c in range(pairs.shape[0]):
        s, p = states[c], anomalous[c]
        for k in range(offset, min(ends[c], offset + 2 * bins - 1)):
            both = k - offset
            total = 0.0
            for i in range(max(0, both - bins + 1), min(bins, both + 1)):
                total += s[i] * s[both - i] + p[i] * p[both - i]
            pairs[c, k] = 0.5 * total
