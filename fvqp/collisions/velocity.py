"""Velocity of quasiparticles, which scales their elastic scattering and diffusion too.

Energies are in units of Δ0 (theory: drives, section on impurities).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fvqp.energy import EnergyAxis
from fvqp.energy.bin_weights import BinWeights, Rule, bcs_weights
from fvqp.typing import Floats

#: Energies in gaps up to which a density of states does not fall below that of the normal metal.
NEAR = 1.5


def relative_velocity(
    grid: EnergyAxis, gap: ArrayLike, rule: Rule = "linear", bin_weights: BinWeights | None = None
) -> Floats:
    """``v/v_F = |ξ|/E``, the mean over the states of every bin, ``(cells, N)``; 0 where there are none.

    The density of states times the velocity is 1 above the gap: ``s v/v_F`` is the part of a bin above the
    gap, measured like s (theory: drives, Eq. velocity). It is also the ratio ``τ_n/τ_s`` of elastic
    scattering, and ``D/D_N`` of diffusion. All this holds for the number of momentum states of any spectrum
    (theory: transport, Eq. transport-group).

    Args:
        grid: energies.
        gap: Δ, scalar or ``(cells,)``.
        rule: that of the bin weights.
        bin_weights: of another spectrum than that of BCS theory, with ``gap`` as its edge.
    """
    weak = bin_weights is None
    bin_weights = bcs_weights(grid, gap, rule) if bin_weights is None else bin_weights
    gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))[:, None]
    if rule == "bin":
        open_part = np.maximum(grid.edges[1:] - np.maximum(grid.edges[:-1], gaps), 0.0)
    else:
        centres = grid.energies
        bounds = np.maximum(np.concatenate([grid.edges[:1], centres, grid.edges[-1:]]), gaps)
        left = np.clip(np.arange(grid.n + 1) - 1, 0, grid.n - 2)
        length = np.diff(bounds, axis=1)
        middle = 0.5 * (bounds[:, 1:] + bounds[:, :-1])
        right = length * (middle - centres[left]) / np.diff(centres)[left]
        open_part = np.zeros_like(bin_weights.dos_weights)
        np.add.at(open_part.T, left, (length - right).T)
        np.add.at(open_part.T, left + 1, right.T)
    velocity = np.divide(
        open_part, bin_weights.dos_weights, out=np.zeros_like(open_part), where=bin_weights.active
    )
    # Beside the edge sharing between bins leaves single ones too much; phonons take ρ below 1 far above only.
    bounded = np.array(True) if weak else grid.energies < NEAR * gaps
    return bin_weights.per_number(np.clip(velocity, 0.0, np.where(bounded, 1.0, np.inf)))
