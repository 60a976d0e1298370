"""Bin averages of thermal distributions on an energy axis, exact.

Energies, biases (times e) and temperatures (times k_B) are in units of the reference gap Δ0.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import expit

from fvqp.errors import CaseError
from fvqp.typing import Floats


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
    widths = np.diff(bounds)
    scale = np.where(temperature > 0.0, temperature, 1.0)
    # tanh b − tanh a as a product of positive factors, accurate in both tails.
    low, high = bounds[..., :-1] / scale, bounds[..., 1:] / scale
    warm = -2.0 * expit(-low) * expit(high) * np.expm1(-widths / scale)
    if np.all(temperature > 0.0):
        return np.asarray(warm / widths)
    return np.where(temperature > 0.0, warm, np.diff(np.sign(bounds))) / widths


def _check_temperature(temperature: Floats) -> None:
    if not np.all(temperature >= 0.0):
        raise CaseError("temperature: must not be negative")
