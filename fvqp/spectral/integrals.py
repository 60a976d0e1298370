"""Exact energy integrals of the spectral functions, for any depairing and broadening.

In the angle of `fvqp.spectral.branch` (``s = Γ + iε = Δ tan u − ζ sin u``, conjugates of G and F) the
integrands are elementary:

    ∫ sin u ds  = Δ/cos u − ζ sin²u / 2                       → dos
    ∫ cos u ds  = 2Δ artanh T − ζ (u/2 + sin 2u / 4)          → pairing, Re F
    ∫ cos²u ds  = Δ u − ζ (sin u − sin³u / 3)                 → supercurrent

with ``dε = −i ds``. No logarithm crosses its cut, because T stays in a quarter of the unit disc.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.kernel_cache import njit
from fvqp.spectral.branch import NO, SMALLEST_BROADENING, retarded_root
from fvqp.spectral.usadel import check_parameters
from fvqp.typing import Floats

#: Number of the integral of Im F; as a literal, numba would compile `antiderivative` once more for it.
PAIRING = np.int64(1)


def dos_integral(energy: ArrayLike, gap: ArrayLike, depairing: ArrayLike, broadening: ArrayLike) -> Floats:
    """``∫_0^ε N dε'``; arguments as in `fvqp.spectral.solve`, energies ≥ 0."""
    return _integral(0, energy, gap, depairing, broadening)


def pairing_integral(
    energy: ArrayLike, gap: ArrayLike, depairing: ArrayLike, broadening: ArrayLike
) -> Floats:
    """``(1/Δ) ∫_0^ε Im F dε'``, the integral of the gap equation; finite also at Δ = 0."""
    return _integral(PAIRING, energy, gap, depairing, broadening)


def supercurrent_integral(
    energy: ArrayLike, gap: ArrayLike, depairing: ArrayLike, broadening: ArrayLike
) -> Floats:
    """``∫_0^ε Im F² dε'``; converges for ε → ∞, and ``energy`` may be ``inf``."""
    return _integral(2, energy, gap, depairing, broadening)


def _integral(
    which: int | np.int64, energy: ArrayLike, gap: ArrayLike, depairing: ArrayLike, broadening: ArrayLike
) -> Floats:
    energies, gaps, depairings, broadenings = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (energy, gap, depairing, broadening))
    )
    check_parameters(gaps, depairings, broadenings)
    if not np.all(energies >= 0.0):
        raise CaseError("energy: integrals start at 0 and need energies that are not negative")
    flat = [a.flatten() for a in (energies, gaps, depairings, broadenings)]
    return _integrals(which, *flat).reshape(energies.shape)


@njit(cache=True, nogil=True)
def antiderivative(which: int, energy: float, gap: float, depairing: float, broadening: float) -> float:
    """Indefinite integral number ``which`` (dos, pairing over Δ, supercurrent) at one energy ≥ 0."""
    s = complex(max(broadening, SMALLEST_BROADENING), energy)
    if np.isinf(energy):
        return 0.5 * np.pi * gap - 2.0 / 3.0 * depairing if which == 2 else np.inf
    if gap == 0.0:
        if which == 0:
            return energy
        return np.log(2.0 * abs(s + depairing)) if which == 1 else 0.5 * np.pi * gap - 2.0 / 3.0 * depairing
    x, in_t, _ = retarded_root(gap, depairing, s, 0j, NO, NO)
    if in_t:
        square = x * x
        cos_u = (1.0 - square) / (1.0 + square)
        sin_u = 2.0 * x / (1.0 + square)
        u = 2.0 * np.arctan(x)
    else:
        square = x * x
        cos_u = 2.0 * x / (1.0 + square)
        sin_u = (1.0 - square) / (1.0 + square)
        u = 0.5 * np.pi - 2.0 * np.arctan(x)
    if which == 0:
        return (gap / cos_u - 0.5 * depairing * sin_u * sin_u).imag
    if which == 2:
        return (gap * u - depairing * sin_u * (1.0 - sin_u * sin_u / 3.0)).real
    # −ln(τ/Δ) instead of −ln τ, and the ζ term from u = π/2, keep the quotient by Δ regular at Δ → 0.
    tau = (1.0 - x) / (1.0 + x) if in_t else x
    theta = 2.0 * np.arctan(tau)
    if abs(theta) < 0.03:
        square = theta * theta
        term = theta * square * (1.0 / 3.0 - square * (1.0 / 15.0 - square * 2.0 / 315.0))
    else:
        term = 0.5 * theta - 0.25 * np.sin(2.0 * theta)
    return -np.log(abs(tau) / gap) + (depairing * term).real / gap


@njit(cache=True, nogil=True)
def _integrals(which: int, energies: Floats, gaps: Floats, depairings: Floats, broadenings: Floats) -> Floats:
    out = np.empty(energies.size)
    for k in range(energies.size):
        high = antiderivative(which, energies[k], gaps[k], depairings[k], broadenings[k])
        out[k] = high - antiderivative(which, 0.0, gaps[k], depairings[k], broadenings[k])
    return out
