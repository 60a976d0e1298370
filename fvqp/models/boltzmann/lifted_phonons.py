"""Phonons that a moving gap takes across 2Δ, on a grid that splits phonon modes there.

Modes above 2Δ break pairs, modes below do not, and with the gap modes pass from one phonon point to
another. Phonons that a falling gap lifts above 2Δ break pairs within τ0^pb. If they stayed with their modes,
occupations of the points next to 2Δ would jump with every move of the gap, and steps would have to follow
their decay. So they break pairs at once where a step is longer than that (theory: collisions, section on
the threshold of pair breaking).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fvqp.collisions import ElectronPhonon, GainLoss, Pair
from fvqp.collisions.threshold import broken_pairs, carried_phonons, first_of_pairs
from fvqp.energy import BinWeights
from fvqp.typing import Floats

#: Length of a step, in lifetimes of a phonon at 2Δ, at which ``1/e`` of lifted phonons keep to their modes.
#: This share falls as a Gaussian of the length, so that it is 0 in the long steps of an evolution.
RESOLVED = 0.25


def kept_share(collisions: ElectronPhonon, length: float, before: Floats, after: Floats) -> Floats:
    """Share of lifted phonons that keep to their modes in a step, ``(cells,)``; 1 in normal cells.

    Args:
        collisions: whose τ0^pb counts; phonons at 2Δ have the lifetime ``τ0^pb Δ0/Δ``.
        length: of the step, in τ0.
        before, after: gaps, ``(cells,)``.
    """
    lifetimes = length * np.minimum(before, after) / collisions.coupling.pair_breaking_time
    return np.asarray(np.exp(-((lifetimes / RESOLVED) ** 2)))


def cross_threshold(
    collisions: ElectronPhonon,
    before: BinWeights,
    after: BinWeights,
    f: Floats,
    n: Floats,
    kept: Floats,
    gain_loss: Callable[[Floats, Floats], GainLoss],
) -> Pair:
    """f and n after a move of the gap, with the energy of both before.

    Points above 2Δ keep their occupation, and points that come to lie there take the one at which gain and
    loss are equal. The rest of what their modes bring along breaks pairs, or takes some back if it is
    negative. Points below 2Δ take what modes bring. In cells whose f would leave its bounds, all phonons keep
    to their modes.

    Args:
        collisions: on a uniform grid.
        before, after: measures at both gaps, which split phonon modes.
        f: ``(cells, N)``, already moved with the gap.
        n: ``(cells, K)`` before.
        kept: share of the rest that stays with its modes instead, ``(cells,)``.
        gain_loss: coefficients of f and n at the measure ``after``.
    """
    grid = collisions.grid
    carried = carried_phonons(grid, before, after, n)
    moved = before.phonon_shares != after.phonon_shares
    if np.all(kept == 1.0) or not np.any(moved):
        return Pair(f, carried)
    points = np.arange(grid.n_phonon)
    first, last = (first_of_pairs(grid, bin_weights)[:, None] for bin_weights in (before, after))
    wanted = np.where(moved & (points >= last), n, carried)
    new = moved & (points >= last) & (points < first)
    if np.any(new):
        parts = gain_loss(f, n)
        net = parts.out_n - parts.in_n
        wanted = np.where(new, np.divide(parts.in_n, net, out=carried.copy(), where=net > 0.0), wanted)
    wanted += kept[:, None] * (carried - wanted)
    out = f + broken_pairs(grid, after, collisions.modes(after) * (carried - wanted))
    within = np.all((out >= 0.0) & (out <= 1.0), axis=1)[:, None]
    return Pair(np.where(within, out, f), np.where(within, wanted, carried))
