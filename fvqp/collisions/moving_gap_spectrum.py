"""Compiled loops of the spectrum of a cell at any gap, and of its gap equation (theory: moving_gap)."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NARROW = 0.03  # up to here the series of ln(1 + x) = 2 artanh z is exact to rounding
_SLACK = 8.0 * np.finfo(np.float64).eps


class Axis(NamedTuple):
    """What the kernels know about grid and gap equation.

    Attributes:
        edges, centres: of the bins, ``(N + 1,)`` and ``(N,)``.
        bounds: first edge, centres, last edge.
        spacing: distances of neighbouring centres, ``(N − 1,)``.
        linear: rule of the bin measure.
        floor: smallest gap that the grid resolves; below it a cell is normal, or (if the grid does not
            reach down to 0) the grid is too short.
        cutoff: of the gap equation, inf for the weak-coupling limit.
    """

    edges: NDArray
    centres: NDArray
    bounds: NDArray
    spacing: NDArray
    linear: bool
    floor: float
    cutoff: float


class Spectrum(NamedTuple):
    """Bin measure at one gap, and what drifts when the gap moves.

    Attributes:
        states, anomalous: ``s`` and ``p`` of the bins, ``(N,)``.
        gap: ``(1,)``.
        drift, upper: ``∫ρ Δ/E dE`` between neighbouring centres, and its part next to the upper one,
            ``(N − 1,)``.
    """

    states: NDArray
    anomalous: NDArray
    drift: NDArray
    upper: NDArray
    gap: NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def room(bins):
    """Arrays of a `Spectrum`, not filled."""
    return Spectrum(np.empty(bins), np.empty(bins), np.empty(bins - 1), np.empty(bins - 1), np.empty(1))


@njit(cache=True, nogil=True)
def copy(source, target):
    """An assignment would compile the message for shapes that differ, which takes longer than a kernel."""
    for i in range(source.size):
        target[i] = source[i]


@njit(cache=True, nogil=True, error_model="numpy")
def copy_spectrum(source, target):
    """Fill a `Spectrum` from another."""
    copy(source.states, target.states)
    copy(source.anomalous, target.anomalous)
    copy(source.drift, target.drift)
    copy(source.upper, target.upper)
    target.gap[0] = source.gap[0]


@njit(cache=True, nogil=True, error_model="numpy")
def _stretches(bounds, gap, xi, number, rise, weight):
    """Between neighbouring bounds: states, ``∫ρ E dE`` less states times lower bound, and ``∫ρ Δ/E dE``."""
    for k in range(bounds.size):
        # Rounding must not place the gap beside a bound that is meant to be the gap: ξ is its square root.
        excess = bounds[k] - gap
        excess = excess if excess > _SLACK * bounds[k] else 0.0
        xi[k] = np.sqrt(excess * (excess + 2.0 * gap))
    near, square = 0, gap * gap
    for k in range(number.size):
        a, b, lower = bounds[k], bounds[k + 1], xi[k]
        width = b - a
        number[k] = width * (a + b) / (lower + xi[k + 1])
        z = (width + number[k]) / (2.0 * (a + lower) + width + number[k])
        near = k + 1 if (lower == 0.0 or z > _NARROW) else near
        y = z * z
        step = 2.0 * z * (1.0 + y * (1 / 3 + y * (1 / 5 + y * (1 / 7 + y * (1 / 9 + y / 11)))))
        rise[k] = 0.5 * (width * xi[k + 1] - (a * number[k] - square * step))
        weight[k] = gap * step
    for k in range(near):
        lower, upper = xi[k], xi[k + 1]
        if upper == 0.0:
            number[k], rise[k], weight[k] = 0.0, 0.0, 0.0
            continue
        start = gap if lower == 0.0 else bounds[k]
        width = bounds[k + 1] - start
        number[k] = width * (bounds[k + 1] + start) / (lower + upper)
        mean = 0.0
        for j in range(_NODES.size):
            x = 0.5 * (lower + upper) + 0.5 * (upper - lower) * _NODES[j]
            mean += 0.5 * _WEIGHTS[j] * np.sqrt(x * x + square)
        rise[k] = number[k] * (mean - bounds[k])
        weight[k] = gap * np.log1p((width + number[k]) / (start + lower)) if gap > 0.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def spectrum(axis, gap, out, scratch):
    """Bin measure and drift at a gap; ``scratch`` is ``(4, N + 2)``."""
    states, anomalous, drift, upper, at = out
    at[0] = gap
    bins = states.size
    xi, number, rise, weight = scratch[0], scratch[1, :-1], scratch[2, :-1], scratch[3, :-1]
    if not axis.linear:
        _stretches(axis.edges, gap, xi[:-1], number[:-1], rise[:-1], weight[:-1])
        for i in range(bins):
            states[i], anomalous[i] = number[i], weight[i]
        for i in range(bins - 1):
            drift[i] = axis.spacing[i]
            upper[i] = axis.edges[i + 1] - axis.centres[i]
        return
    _stretches(axis.bounds, gap, xi, number, rise, weight)
    for i in range(bins):
        states[i], anomalous[i] = 0.0, 0.0
    for i in range(bins - 1):
        drift[i], upper[i] = 0.0, 0.0
    for k in range(bins + 1):
        i = min(max(k - 1, 0), bins - 2)
        origin = axis.centres[i]
        inverse = 1.0 / axis.spacing[i]
        right = (rise[k] + number[k] * (axis.bounds[k] - origin)) * inverse
        states[i] += number[k] - right
        states[i + 1] += right
        # the energy-weighted anomalous density is ρΔ: Δ times the number of states
        right = (gap * number[k] - origin * weight[k]) * inverse
        anomalous[i] += weight[k] - right
        anomalous[i + 1] += right
        drift[i] += weight[k]
        upper[i] += right
    for i in range(bins):
        # what a gap just below a centre leaves to the bin before is a small difference, with any sign
        states[i] = max(states[i], 0.0)
        anomalous[i] = min(max(anomalous[i], 0.0), states[i])


@njit(cache=True, nogil=True, error_model="numpy")
def logarithm(gap, cutoff):
    """What quasiparticles must block: ``ln(Δ0/Δ)``, or its counterpart with a cut-off."""
    return -np.log(gap) if np.isinf(cutoff) else np.arccosh(cutoff / gap) - np.arccosh(cutoff)


@njit(cache=True, nogil=True, error_model="numpy")
def condensate(gap, cutoff):
    """Energy of the condensate, in units of 4 N0 Δ0²."""
    if gap <= 0.0:
        return 0.0
    square = gap * gap
    half = 0.5 * square
    if not np.isinf(cutoff):
        half = square * cutoff / (cutoff + np.sqrt(cutoff * cutoff - square))
    return -0.25 * (half + square * logarithm(gap, cutoff))


@njit(cache=True, nogil=True, error_model="numpy")
def residual(gap, cutoff, anomalous, f):
    """Residual of the gap equation: about ``ln(Δ_solution/Δ)``."""
    blocked = 0.0
    for i in range(f.size):
        blocked += anomalous[i] * f[i]
    return logarithm(gap, cutoff) - 2.0 * blocked / gap
