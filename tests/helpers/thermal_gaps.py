"""The gap equation of bins in equilibrium: its gap, and the temperature at which that vanishes."""

from __future__ import annotations

from scipy.optimize import brentq

from fvqp.collisions import thermal
from fvqp.gap import SelfConsistentGap


def thermal_gap(bins: SelfConsistentGap, temperature: float) -> float:
    """Gap at ``k_BT/Δ0``."""
    return float(bins.gap(thermal(bins.grid, temperature).f)[0])


def critical_temperature(bins: SelfConsistentGap) -> float:
    """``k_BT_c/Δ0`` of bins that begin at 0."""

    def residual(temperature: float) -> float:
        return float(bins.residual(thermal(bins.grid, temperature).f, 0.0)[0])

    return float(brentq(residual, 0.1, 1.0, xtol=1e-14))
