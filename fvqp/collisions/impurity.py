"""Elastic scattering by impurities: directions mix, energies stay.

Energies are in units of Δ0, times in units of τ0; any one unit of velocity and diffusivity (theory: drives,
section on impurities).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fvqp.collisions.bin_weights import BinWeights, Rule, bcs_weights
from fvqp.collisions.grid import CollisionGrid
from fvqp.errors import CaseError
from fvqp.typing import Floats

#: Energies in gaps up to which a density of states does not fall below that of the normal metal.
NEAR = 1.5


def relative_velocity(
    grid: CollisionGrid, gap: ArrayLike, rule: Rule = "linear", bin_weights: BinWeights | None = None
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


def diffusivity(
    grid: CollisionGrid, gap: ArrayLike, normal: ArrayLike = 1.0, rule: Rule = "linear"
) -> Floats:
    """``D(E) = D_N √(1 − Δ²/E²)`` of the bins, ``(cells, N)``, in the unit of ``normal``."""
    d = np.asarray(normal, dtype=np.float64)
    if not np.all(np.isfinite(d)) or np.any(d < 0.0):
        raise CaseError("diffusion of quasiparticles: the normal diffusivity must be finite and not negative")
    return np.asarray((d[:, None] if d.ndim == 1 else d) * relative_velocity(grid, gap, rule))


class ImpurityScattering:
    """Isotropic elastic scattering ``∂f/∂t = (f̄ − f)/τ_s(E)``, ``1/τ_s = (|ξ|/E)/τ_n``.

    f̄ is the mean over directions at one energy, so that number and energy are kept energy by energy. The
    rate contains the coherence factor ξ²/E² within one branch and the density E/|ξ| of final states.

    Attributes:
        rate: 1/τ_s, ``(cells, N)`` or ``(1, N)``.
        weights: of the directions, their sum is 1.
    """

    def __init__(self, velocity: ArrayLike, time: ArrayLike, weights: ArrayLike) -> None:
        """
        Args:
            velocity: ``|ξ|/E`` of the bins from `relative_velocity`, ``(cells, N)``.
            time: τ_n of the normal metal, scalar or ``(cells,)``; the transport time where scattering is
                anisotropic; infinite without impurities.
            weights: of the directions of f, positive, any sum.
        """
        v = np.atleast_2d(np.asarray(velocity, dtype=np.float64))
        if v.ndim != 2 or not np.all((v >= 0.0) & (v <= 1.0)):
            raise CaseError(
                "impurity scattering: relative velocities must be between 0 and 1, one row a cell"
            )
        tau = np.atleast_1d(np.asarray(time, dtype=np.float64))
        if tau.ndim != 1 or not np.all(tau > 0.0):
            raise CaseError("impurity scattering: the time must be positive, one number or one a cell")
        w = np.asarray(weights, dtype=np.float64)
        if w.ndim != 1 or w.size < 1 or not np.all(np.isfinite(w)) or np.any(w <= 0.0):
            raise CaseError("impurity scattering: weights of directions must be one row of positive numbers")
        self.rate: Floats = v / tau[:, None]
        self.weights: Floats = w / w.sum()

    def rates(self, f: Floats) -> Floats:
        """``∂f/∂t`` of f, ``(cells, directions, N)``."""
        return np.asarray((self._mean(f) - f) * self.rate[:, None, :])

    def step(self, f: Floats, duration: float) -> Floats:
        """f after ``duration``, exact: ``f̄ + (f − f̄) exp(−t/τ_s)``; 0 ≤ f ≤ 1 stays so."""
        if not duration >= 0.0:
            raise CaseError(f"impurity scattering: a step must last 0 or longer, found {duration:g}")
        mean = self._mean(f)
        return np.asarray(mean + (f - mean) * np.exp(-duration * self.rate)[:, None, :])

    def _mean(self, f: Floats) -> Floats:
        """Mean over directions, ``(cells, 1, N)``."""
        cells, bins = self.rate.shape
        if f.ndim != 3 or f.shape[1:] != (self.weights.size, bins) or (cells != 1 and cells != f.shape[0]):
            raise CaseError(
                f"impurity scattering: needs f of shape (cells, {self.weights.size}, {bins}), found {f.shape}"
            )
        mean = np.einsum("cde,d->ce", f, self.weights)
        # rounding must not take a mean of equal occupations beyond them
        return np.asarray(np.clip(mean, f.min(axis=1), f.max(axis=1))[:, None, :])
