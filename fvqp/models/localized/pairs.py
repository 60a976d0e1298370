"""Pair approximation of the steady state: an explicit law c(α) that is exact when dense.

A third particle takes part only through the rate k/2 = A/c at which every particle vanishes. The density of
pairs at distance X then obeys ``0 = 2 A c − (g + k) ρ₂``, and ``A = ∫ g ρ₂`` gives, in units of r_c and
r_c³/Γ̄, ``c = 1/(2 V(k))``, ``α = k c/2`` with ``V(k) = ∫ g/(g + k) d³X``: the volume in which a newcomer
would annihilate before anything else happens to either (theory, localized, Eq. pairs).
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from scipy.interpolate import PchipInterpolator

from fvqp.models.localized.rates import pair_rate
from fvqp.typing import Floats

# Range of k of the table, natural logarithm: α from 1e-100 to 1e12.
_LOG_K = (-228.0, 16.0)


def volume(k: Floats) -> Floats:
    """V(k) for an array of k, to about 1e-10."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    reach = max(0.0, -math.log(float(np.min(k)))) + 45.0
    edges = np.arange(0.0, reach, 0.5)
    x = (edges[:, None] + 0.25 * (nodes + 1.0)).ravel()
    shell = 4.0 * math.pi * x * x * np.tile(0.25 * weights, len(edges))
    rate = pair_rate(x)
    return np.array([float(np.sum(shell * rate / (rate + one))) for one in np.atleast_1d(k)])


@cache
def table() -> tuple[Floats, Floats]:
    """``(ln α, ln c)`` along the law, both increasing."""
    k = np.exp(np.arange(_LOG_K[0], _LOG_K[1], 0.25))
    c = 0.5 / volume(k)
    return np.log(0.5 * k * c), np.log(c)


@cache
def curve() -> PchipInterpolator:
    """ln c as a function of ln α."""
    return PchipInterpolator(*table())


def stationary(alpha: Floats) -> Floats:
    """c r_c³ in the pair approximation; ``alpha`` = A r_c⁶/Γ̄."""
    return np.exp(curve()(np.log(alpha)))
