"""Compiled loops of the spectrum of a cell at any gap, and of its gap equation (theory: moving_gap)."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvqp.kernel_cache import njit

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
_NARROW = 0.03  # up to here the series of ln(1 + x) = 2 artanh z is exact to rounding
_SLACK = 8.0 * np.finfo(np.float64).eps


class Axis(NamedTuple):
    """Energy axis, spectrum and gap equation for the compiled kernels.

    Quasiparticles have the energies E(ξ) at which ``X(E)² = ξ² + y² φ(E)²`` (theory: moving_gap, Eq. family):
    X = E, φ = 1 and y = Δ in BCS theory.

    Attributes:
        edges, centres: of the bins, ``(N + 1,)`` and ``(N,)``.
        bounds: of the stretches whose states are counted: edges, or first edge, centres, last edge.
        spacing: distances of neighbouring centres, ``(N − 1,)``.
        linear: rule of the bin weights.
        floor: smallest gap that the grid resolves; below it a cell is normal, or (if the grid does not
            reach down to 0) the grid is too short.
        weak: whether the spectrum is that of BCS theory.
        x, phi: X and φ at the bounds.
        per_x, bend: dE/dX and d(φ²)/d(X²) of every stretch.
        x_centre, phi_centre, per_x_centre, bend_centre: the same at the centres.
        law: κ, c0, c1 of the gap equation (`fvqp.gap.SpectralFamily`).
    """

    edges: NDArray
    centres: NDArray
    bounds: NDArray
    spacing: NDArray
    linear: bool
    floor: float
    weak: bool
    x: NDArray
    phi: NDArray
    per_x: NDArray
    bend: NDArray
    x_centre: NDArray
    phi_centre: NDArray
    per_x_centre: NDArray
    bend_centre: NDArray
    law: NDArray


class GapSpectrum(NamedTuple):
    """Bin weights at one gap, and what drifts when the gap moves.

    Attributes:
        states, anomalous: number of momentum states and ``p`` of the bins, ``(N,)``.
        pairing: y, ``(1,)``.
        drift, upper: ``∫ρ Δ/E dE`` between neighbouring centres, and its part next to the upper one,
            ``(N − 1,)``.
    """

    states: NDArray
    anomalous: NDArray
    drift: NDArray
    upper: NDArray
    pairing: NDArray


@njit(cache=True, nogil=True, error_model="numpy")
def room(bins):
    """Arrays of a `GapSpectrum`, not filled."""
    return GapSpectrum(np.empty(bins), np.empty(bins), np.empty(bins - 1), np.empty(bins - 1), np.empty(1))


@njit(cache=True, nogil=True)
def copy(source, target):
    """An assignment would compile the message for shapes that differ, which takes longer than a kernel."""
    for i in range(source.size):
        target[i] = source[i]


@njit(cache=True, nogil=True, error_model="numpy")
def copy_spectrum(source, target):
    """Fill a `GapSpectrum` from another."""
    copy(source.states, target.states)
    copy(source.anomalous, target.anomalous)
    copy(source.drift, target.drift)
    copy(source.upper, target.upper)
    target.pairing[0] = source.pairing[0]


@njit(cache=True, nogil=True, error_model="numpy")
def workspace(bins):
    """Scratch of `spectrum`."""
    return np.empty((5, bins + 2))


@njit(cache=True, nogil=True, error_model="numpy")
def pairing(axis, gap):
    """y of the spectrum with this edge; the gap itself in BCS theory."""
    if axis.weak:
        return gap
    low, high = 0, axis.bounds.size - 1  # of the stretch that holds the gap
    while high - low > 1:
        middle = (low + high) // 2
        if axis.bounds[middle] <= gap:
            low = middle
        else:
            high = middle
    x = axis.x[low] + (gap - axis.bounds[low]) / axis.per_x[low]
    return x / np.sqrt(axis.phi[low] ** 2 + axis.bend[low] * (x * x - axis.x[low] ** 2))


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def _hyperbola(axis, y, k):
    """Return r and g of the stretch in which φ² is linear in X², ``X² = (r ξ)² + g²``."""
    if axis.weak:
        return 1.0, y
    square = y * y
    steep = 1.0 / (1.0 - square * axis.bend[k])
    edge = steep * square * (axis.phi[k + 1] ** 2 - axis.bend[k] * axis.x[k + 1] ** 2)
    return np.sqrt(steep), np.sqrt(max(edge, 0.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _stretches(axis, y, xi, number, rise, weight, lift):
    """Between neighbouring bounds: ``∫dξ``, ``∫(E − a) dξ``, ``∫ϕ dE``, ``∫(E − a) ϕ dE``, a the lower bound.

    ξ at the bounds, and ϕ = yφ/ξ.
    """
    x, phi = axis.x, axis.phi
    for k in range(x.size):
        # Rounding must not place the gap beside a bound that is meant to be the gap: ξ is its square root.
        edge = y * phi[k]
        excess = x[k] - edge
        excess = excess if excess > _SLACK * x[k] else 0.0
        xi[k] = np.sqrt(excess * (excess + 2.0 * edge))
    near = 0
    for k in range(number.size):
        root, gap = _hyperbola(axis, y, k)
        a, lower, upper = x[k], root * xi[k], root * xi[k + 1]
        width = x[k + 1] - a
        number[k] = width * (a + x[k + 1]) / (lower + upper)
        z = (width + number[k]) / (2.0 * (a + lower) + width + number[k])
        near = k + 1 if (lower == 0.0 or z > _NARROW) else near
        square = z * z
        step = (
            2.0
            * z
            * (1.0 + square * (1 / 3 + square * (1 / 5 + square * (1 / 7 + square * (1 / 9 + square / 11)))))
        )
        rise[k] = 0.5 * (width * upper - (a * number[k] - gap * gap * step))
        weight[k] = step
    for k in range(near):
        root, gap = _hyperbola(axis, y, k)
        lower, upper = root * xi[k], root * xi[k + 1]
        if upper == 0.0:
            number[k], rise[k], weight[k] = 0.0, 0.0, 0.0
            continue
        start = gap if lower == 0.0 else x[k]
        width = x[k + 1] - start
        number[k] = width * (x[k + 1] + start) / (lower + upper)
        mean = 0.0
        for j in range(_NODES.size):
            at = 0.5 * (lower + upper) + 0.5 * (upper - lower) * _NODES[j]
            mean += 0.5 * _WEIGHTS[j] * np.sqrt(at * at + gap * gap)
        rise[k] = number[k] * (mean - x[k])
        weight[k] = np.log1p((width + number[k]) / (start + lower)) if gap > 0.0 else 0.0
    for k in range(number.size):
        pair = y * phi[k] if axis.weak else 0.5 * y * (phi[k] + phi[k + 1])
        # the energy-weighted anomalous density is ρΔ: Δ times the number of states
        lift[k] = pair * (number[k] - x[k] * weight[k])
        weight[k] *= pair
        if not axis.weak:
            root, gap = _hyperbola(axis, y, k)
            per_x = axis.per_x[k]
            lift[k] *= root * per_x * per_x
            weight[k] *= root * per_x
            rise[k] *= per_x / root
            number[k] /= root


@njit(cache=True, nogil=True, error_model="numpy")
def spectrum(axis, gap, out, scratch):
    """Bin weights and drift at a gap; ``scratch`` is a `workspace`."""
    states, anomalous, drift, upper, at = out
    y = pairing(axis, gap)
    at[0] = y
    bins, stretches = states.size, axis.bounds.size - 1
    xi = scratch[0, : stretches + 1]
    number, rise, weight, lift = (
        scratch[1, :stretches],
        scratch[2, :stretches],
        scratch[3, :stretches],
        scratch[4, :stretches],
    )
    _stretches(axis, y, xi, number, rise, weight, lift)
    if axis.linear:
        for i in range(bins):
            states[i], anomalous[i] = 0.0, 0.0
        for i in range(bins - 1):
            drift[i], upper[i] = 0.0, 0.0
        for k in range(stretches):
            i = min(max(k - 1, 0), bins - 2)
            inverse, offset = 1.0 / axis.spacing[i], axis.bounds[k] - axis.centres[i]
            right = (rise[k] + number[k] * offset) * inverse
            states[i] += number[k] - right
            states[i + 1] += right
            right = (lift[k] + weight[k] * offset) * inverse
            anomalous[i] += weight[k] - right
            anomalous[i + 1] += right
            drift[i] += weight[k]
            upper[i] += right
        for i in range(bins):
            # what a gap just below a centre leaves to the bin before is a small difference, with any sign
            states[i] = max(states[i], 0.0)
    else:
        for i in range(bins):
            states[i], anomalous[i] = number[i], weight[i]
        for i in range(bins - 1):
            drift[i] = axis.spacing[i]
            upper[i] = axis.edges[i + 1] - axis.centres[i]
    for i in range(bins):
        most = states[i] if axis.weak else states[i] / mass(axis, y, i)
        anomalous[i] = min(max(anomalous[i], 0.0), most)


@njit(cache=True, nogil=True, error_model="numpy", inline="always")
def mass(axis, y, i):
    """Momentum states of a bin over ``∫ρ dE``."""
    return (1.0 - y * y * axis.bend_centre[i]) / axis.per_x_centre[i]


@njit(cache=True, nogil=True, error_model="numpy")
def logarithm(axis, y):
    """Return the logarithm that blocking by quasiparticles balances: ``ln(Δ0/Δ)``, or its counterpart."""
    left = 1.0 - y * y
    return -axis.law[0] * np.log(y) + left * (axis.law[1] + left * axis.law[2])


@njit(cache=True, nogil=True, error_model="numpy")
def condensate(axis, gap):
    """Energy of the condensate, in units of 4 N0 Δ0²."""
    if gap <= 0.0:
        return 0.0
    y = pairing(axis, gap)
    square = y * y
    left = 1.0 - square
    bent = axis.law[1] * (left * left - 1.0) / 2.0 + axis.law[2] * (left**3 - 1.0) / 3.0
    return -0.25 * (axis.law[0] * square * (0.5 - np.log(y)) - bent)


@njit(cache=True, nogil=True, error_model="numpy")
def residual(axis, y, anomalous, f):
    """Residual of the gap equation: about ``ln(Δ_solution/Δ)``."""
    blocked = 0.0
    for i in range(f.size):
        blocked += axis.phi_centre[i] * anomalous[i] * f[i]
    return logarithm(axis, y) - 2.0 * blocked / y
