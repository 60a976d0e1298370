"""Annihilation rate of a pair of localized quasiparticles against their distance.

Lengths in units of r_c, rates in Γ̄/r_c³: the pair rate is ``g(X)``, X = R/r_c, of Bespalov et al.,
PRL 117, 117002 (2016), Eq. (7), the overlap of two most probable shapes ``f(r/L)/(2πL³)``, L = 2 r_c,
f(x) = sinh x/(x cosh³x).
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.models.localized.compiled import loop
from fvqp.typing import Floats

RATE_AT_CONTACT = 1.0 / (60.0 * math.pi)
"""g(0)."""

# 60π g(X) as a series in X²: the quotient of the series of 2 + cosh X − 3 sinh X/X and (cosh X − 1)².
_SERIES = (
    1.0,
    -0.11904761904761904,
    0.008333333333333333,
    -0.00045093795093795094,
    2.0925392949202474e-05,
    -8.768237934904602e-07,
    3.416797738693163e-08,
    -1.2611207948260898e-09,
    4.462830569441143e-11,
    -1.5270955840214556e-12,
    5.0838905743352185e-14,
    -1.6542428945465909e-15,
)
# Below, the closed form loses more than three digits; above, the series (radius 2π) needs more terms.
_SERIES_BELOW = 0.8
SMALLEST_RATE = 1e-250
"""Rates below it are zero: a pair further apart than about 570 r_c never meets."""


@loop
def tail_rate(x):
    """g(X) of one distance, to about 1e-13 of its value."""
    if x < _SERIES_BELOW:
        y = x * x
        total = 0.0
        for term in _SERIES[::-1]:
            total = total * y + term
        return total * RATE_AT_CONTACT
    e = math.exp(-x)
    one = 1.0 - e
    rate = e * (2.0 * e + 0.5 * (1.0 + e * e) - 1.5 * (1.0 - e * e) / x) / (math.pi * one * one * one * one)
    return rate if rate > SMALLEST_RATE else 0.0


def pair_rate(distance: ArrayLike) -> Floats:
    """g(X) for an array of distances in r_c; times Γ̄/r_c³ it is the rate Γ(R) at which a pair vanishes.

    ``g(0) = 1/(60π)``, ``g → e^{−X}(1 − 3/X)/(2π)`` far away, and ``∫ g d³X = 1``.
    """
    x = np.asarray(distance, dtype=np.float64)
    if np.any(~np.isfinite(x)) or np.any(x < 0.0):
        raise CaseError("distance of a pair: must be finite and not negative")
    near = np.minimum(x, _SERIES_BELOW) ** 2
    series = np.polynomial.polynomial.polyval(near, np.array(_SERIES)) * RATE_AT_CONTACT
    far = np.maximum(x, _SERIES_BELOW)
    e = np.exp(-far)
    closed = e * (2.0 * e + 0.5 * (1.0 + e * e) - 1.5 * (1.0 - e * e) / far) / (math.pi * (1.0 - e) ** 4)
    closed = np.where(closed > SMALLEST_RATE, closed, 0.0)
    return np.where(x < _SERIES_BELOW, series, closed)


def shape(r: ArrayLike) -> Floats:
    """Probability density ``sinh x/(2π x cosh³x)`` of a localized state, x = r/L, times L³ (their Eq. 4)."""
    x = np.asarray(r, dtype=np.float64)
    safe = np.where(x > 0.0, x, 1.0)
    # sinh/cosh³ = tanh·sech², and sech² by exponentials does not overflow.
    e = np.exp(-2.0 * safe)
    profile = np.tanh(safe) / safe * 4.0 * e / (1.0 + e) ** 2
    return np.where(x > 0.0, profile, 1.0) / (2.0 * math.pi)


@cache
def _quadrature() -> tuple[Floats, Floats]:
    nodes, weights = np.polynomial.legendre.leggauss(200)
    return nodes, weights


def rate_beyond(distance: float) -> float:
    """``∫_{|X| > distance} g d³X``: the part of the mean-field rate that comes from further away."""
    nodes, weights = _quadrature()
    # 60 decay lengths hold all but e^{-60} of what is left.
    x = distance + 30.0 * (nodes + 1.0)
    return float(30.0 * np.sum(weights * 4.0 * math.pi * x * x * pair_rate(x)))
