"""The gap equation of every cell, ``|Δ| = λ ∫_0^{ω_D} Im F f_L dε`` (Ryan et al. (2026), Eq. 8).

It is used as

    r(Δ) = (1/Δ) ∫_0^{ω_D} Im F f_L dε − 1/λ = 0,

where ``r`` is close to ``ln(Δ_solution/Δ)``: well conditioned from Δ → 0 up, and ``Δ exp r`` is the next
iterate of a fixed point. What f_L = 1 or an equilibrium contributes is integrated to rounding; only the
deviation from it meets the bins. Energies and temperatures are in units of Δ0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq

from fvqp.energy import equilibrium
from fvqp.errors import CaseError
from fvqp.kernel_cache import njit
from fvqp.spectral import BinnedSpectrum, bin_averages, supercurrent_integral
from fvqp.spectral.branch import NO, SMALLEST_BROADENING, parts, retarded_root
from fvqp.spectral.integrals import PAIRING, antiderivative
from fvqp.spectral.usadel import check_parameters
from fvqp.typing import Floats

Rule = Literal["arccosh", "arcsinh"]

SMALLEST_GAP = 1e-8
"""Stands for Δ → 0 where a quotient by Δ is formed; smaller solutions are the normal state (0)."""

_FERMI_RANGE = 40.0  # 1 − tanh(ε/2t) is below rounding beyond so many t
_COLDEST = 1e-9  # contributions of order t² below rounding
_LARGEST_GAP = 4.0


def coupling(cutoff: float, rule: Rule = "arccosh") -> float:
    """Coupling constant λ that belongs to the cut-off ``ω_D``.

    ``"arccosh"``: ``1/arccosh(ω_D/Δ0)``, with which Δ = Δ0 exactly at zero temperature, Γ and ζ.
    ``"arcsinh"``: ``1/arcsinh(ω_D/Δ0)``, with which Δ is ``ω_D/√(1 + ω_D²)`` there.
    """
    return 1.0 / _inverse_coupling(cutoff, rule)


def gap_residual(
    f_L: Floats,
    edges: ArrayLike,
    spectrum: BinnedSpectrum,
    depairing: ArrayLike,
    broadening: ArrayLike,
    *,
    cutoff: float | None,
    rule: Rule = "arccosh",
    temperature: float | None = None,
    beyond: ArrayLike = 0.0,
) -> Floats:
    """``r(Δ)`` of every cell for given distributions: 0 at the solution, else about ``ln(Δ_solution/Δ)``.

    Args:
        f_L: bin averages ``(cells, bins)``; 1 (as at zero temperature) is assumed above the last bin.
        edges: of the bins, ``(bins + 1,)``.
        spectrum: of the trial gaps (`fvqp.spectral.bin_averages`).
        depairing, broadening: those of ``spectrum``; scalar or ``(cells,)``.
        cutoff: ω_D, or None for the weak-coupling limit ω_D → ∞, where ``1/λ = ln(2 ω_D/Δ0)``.
        rule: see `coupling`; without effect if ``cutoff`` is None.
        temperature: of an equilibrium close to ``f_L``: its part is then integrated exactly and the bins
            carry the rest, so that ``f_L`` in equilibrium has the gap of `equilibrium_gap`.
        beyond: what an equilibrium of this temperature adds to the integral where ``spectrum`` is not that of
            a cell by itself, ``∫ Im(F − F_local) tanh(ε/2t) dε``; scalar or ``(cells,)``.

    Returns:
        ``(cells,)``.
    """
    bounds = np.asarray(edges, dtype=np.float64)
    gap = np.maximum(spectrum.gap[:, 0], SMALLEST_GAP)
    zeta, gamma = _per_cell(depairing, gap.size), _per_cell(broadening, gap.size)
    pairing = spectrum.pairing / gap[:, None]
    tiny = spectrum.gap[:, 0] < SMALLEST_GAP
    if np.any(tiny):
        pairing[tiny] = bin_averages(bounds, gap[tiny], zeta[tiny], gamma[tiny]).pairing / SMALLEST_GAP
    top = np.inf if cutoff is None else cutoff
    measure = np.clip(np.minimum(bounds[1:], top) - bounds[:-1], 0.0, None)
    reference = 1.0 if temperature is None else equilibrium(bounds, temperature)
    binned = np.einsum("ce,ce,e->c", pairing, f_L - reference, measure)
    t = 0.0 if temperature is None else float(temperature)
    temperatures = np.full(gap.size, t)
    more = np.asarray(beyond) / gap
    exact = _equilibrium_residuals(gap, zeta, gamma, temperatures, *_bounds(cutoff, rule)) + more
    if temperature is not None:
        below = _bath_below(min(float(bounds[-1]), top), gap, zeta, gamma, t) + more
        binned += _emptied(f_L, np.asarray(reference)) * (pairing @ (reference * measure) - below)
    return np.asarray(binned + exact)


def gap_weights(
    f_L: Floats,
    edges: ArrayLike,
    spectrum: BinnedSpectrum,
    depairing: ArrayLike,
    broadening: ArrayLike,
    *,
    cutoff: float,
    temperature: float,
) -> Floats:
    """Derivative of `gap_residual` by f_L of every bin, ``(cells, bins)``; arguments as there."""
    bounds = np.asarray(edges, dtype=np.float64)
    gap = np.maximum(spectrum.gap[:, 0], SMALLEST_GAP)
    measure = np.clip(np.minimum(bounds[1:], cutoff) - bounds[:-1], 0.0, None)
    weights = spectrum.pairing / gap[:, None] * measure
    reference = equilibrium(bounds, temperature)
    share = _emptied(f_L, reference)
    below = _bath_below(min(float(bounds[-1]), cutoff), gap, depairing, broadening, temperature)
    missing = np.where((share > 0.0) & (share < 1.0), weights @ reference - below, 0.0)
    weights[:, 0] -= missing / max(float(reference[0]), 1e-300)
    return weights


def _bath_below(
    top: float, gap: Floats, depairing: ArrayLike, broadening: ArrayLike, temperature: float
) -> Floats:
    """``(1/Δ) ∫_0^top Im F tanh(ε/2t) dε`` of every cell, to rounding, ``(cells,)``; arguments as above."""
    zeta, gamma = _per_cell(depairing, gap.size), _per_cell(broadening, gap.size)
    return _equilibrium_residuals(gap, zeta, gamma, np.full(gap.size, float(temperature)), top, 0.0)


def _emptied(f_L: Floats, reference: Floats) -> Floats:
    """Share of an equilibrium that is not in ``f_L`` at the lowest energies, between 0 and 1, ``(cells,)``.

    Bins err in what an equilibrium contributes where ``tanh(ε/2t)`` and, in a metal without a gap, Im F vary
    in the lowest ones; it is integrated to rounding for the share that is there, and left to bins for the
    other, which with the distribution itself adds up to nothing.
    """
    return np.asarray(np.clip(1.0 - f_L[:, 0] / max(float(reference[0]), 1e-300), 0.0, 1.0))


def equilibrium_residual(
    gap: ArrayLike,
    depairing: ArrayLike,
    broadening: ArrayLike,
    temperature: float,
    *,
    cutoff: float | None,
    rule: Rule = "arccosh",
) -> Floats:
    """`gap_residual` of every cell in equilibrium, without a grid.

    Args:
        gap: Δ > 0, ``(cells,)``.
        depairing, broadening: scalar or ``(cells,)``.
        temperature, cutoff, rule: as in `gap_residual`.
    """
    gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))
    zeta, gamma = _per_cell(depairing, gaps.size), _per_cell(broadening, gaps.size)
    temperatures = np.full(gaps.size, float(temperature))
    return _equilibrium_residuals(gaps, zeta, gamma, temperatures, *_bounds(cutoff, rule))


def equilibrium_gap(
    temperature: ArrayLike,
    depairing: ArrayLike = 0.0,
    broadening: ArrayLike = 0.0,
    *,
    cutoff: float | None = None,
    rule: Rule = "arccosh",
) -> Floats:
    """Gap in equilibrium, to about 1e-13; 0 in the normal state.

    Args:
        temperature: t ≥ 0.
        depairing, broadening: ζ, Γ ≥ 0. All three broadcast.
        cutoff, rule: as in `gap_residual`.
    """
    t, zeta, gamma = _checked(temperature, depairing, broadening)
    bounds = _bounds(cutoff, rule)

    def residual(square: float, *at: float) -> float:
        """``r`` by Δ², in which it is nearly linear towards T_c."""
        return float(_equilibrium_residual(np.sqrt(square), *at, *bounds))

    cells = zip(*(a.ravel().tolist() for a in (zeta, gamma, t)), strict=True)
    squares = [_root(residual, SMALLEST_GAP**2, _LARGEST_GAP**2, *at) for at in cells]
    return np.asarray(np.sqrt(squares).reshape(t.shape))


def critical_temperature(
    depairing: ArrayLike = 0.0,
    broadening: ArrayLike = 0.0,
    *,
    cutoff: float | None = None,
    rule: Rule = "arccosh",
) -> Floats:
    """Temperature k_B T_c/Δ0 at which the equilibrium gap vanishes; 0 if there is none at any temperature."""
    _, zeta, gamma = _checked(0.0, depairing, broadening)
    bounds = _bounds(cutoff, rule)

    def residual(t: float, *at: float) -> float:
        return float(_equilibrium_residual(SMALLEST_GAP, *at, t, *bounds))

    cells = zip(zeta.ravel().tolist(), gamma.ravel().tolist(), strict=True)
    return np.array([_root(residual, 0.0, _LARGEST_GAP, *at) for at in cells]).reshape(zeta.shape)


def superfluid_density(
    f_L: Floats,
    edges: ArrayLike,
    spectrum: BinnedSpectrum,
    depairing: ArrayLike,
    broadening: ArrayLike,
) -> Floats:
    """Supercurrent per phase gradient, ``I_s/(I0 ξ∇φ) = ∫_0^∞ j_ε f_L dε`` (Eq. 6), with exact bins and tail.

    Arguments as in `gap_residual`; ``(cells,)``. With ``ζ = ½ (ξ∇φ)²`` its product with ``ξ∇φ`` has its
    maximum, the depairing current, at about 0.75 for zero temperature.
    """
    bounds = np.asarray(edges, dtype=np.float64)
    gap = spectrum.gap[:, 0]
    zeta, gamma = _per_cell(depairing, gap.size), _per_cell(broadening, gap.size)
    total = supercurrent_integral(np.inf, gap, zeta, gamma)
    below = supercurrent_integral(bounds[0], gap, zeta, gamma)
    binned = np.einsum("ce,ce,e->c", spectrum.supercurrent, f_L - 1.0, np.diff(bounds))
    return np.asarray(total - below + binned)


def _inverse_coupling(cutoff: float, rule: str) -> float:
    if rule not in ("arccosh", "arcsinh"):
        raise CaseError(f'coupling rule: expected "arccosh" or "arcsinh", got {rule!r}')
    if not cutoff > 1.0:
        raise CaseError(f"cutoff: ω_D must exceed the gap Δ0, found {cutoff:g} Δ0")
    return float(np.arccosh(cutoff) if rule == "arccosh" else np.arcsinh(cutoff))


def _bounds(cutoff: float | None, rule: Rule) -> tuple[float, float]:
    """Cut-off and 1/λ for the kernels; the weak-coupling limit is a cut-off of inf."""
    return (np.inf, 0.0) if cutoff is None else (float(cutoff), _inverse_coupling(cutoff, rule))


def _root(residual: Callable[..., float], low: float, high: float, *at: float) -> float:
    """Root of a falling ``residual(x, *at)``, to rounding; 0 if it is not positive at ``low``."""
    if residual(low, *at) <= 0.0:
        return 0.0
    rtol = 4.0 * np.finfo(np.float64).eps
    return float(brentq(residual, low, high, at, xtol=1e-300, rtol=rtol, maxiter=400))


def _per_cell(values: ArrayLike, cells: int) -> Floats:
    return np.broadcast_to(np.asarray(values, dtype=np.float64).reshape(-1), (cells,)).copy()


def _checked(*values: ArrayLike) -> list[Floats]:
    t, zeta, gamma = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in values))
    check_parameters(np.ones(1), zeta, gamma)
    if not np.all(t >= 0.0) or not np.all(np.isfinite(t)):
        raise CaseError("temperature: must be finite and not negative")
    return [t, zeta, gamma]


_PANEL = 0.3
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


@njit(cache=True, nogil=True)
def _thermal_part(gap: float, depairing: float, broadening: float, t: float, cutoff: float) -> float:
    """``(1/Δ) ∫_0^{ω_D} Im F (1 − tanh(ε/2t)) dε``: panels no longer than t, graded to the gap edge."""
    if t < _COLDEST:
        return 0.0
    gamma = max(broadening, SMALLEST_BROADENING)
    difference = np.cbrt(gap) ** 2 - np.cbrt(depairing) ** 2
    edge = max(difference, 0.0) ** 1.5
    width = gamma + max(-difference, 0.0) ** 1.5
    top = min(cutoff, _FERMI_RANGE * t)
    total = 0.0
    low = np.arcsinh(-edge / width)
    last = np.arcsinh((top - edge) / width)
    x, in_t, given = 0j, NO, NO
    while low < last:
        reach = edge + width * np.sinh(low) + t
        high = min(low + _PANEL, np.arcsinh((reach - edge) / width), last)
        for n in range(_NODES.size):
            angle = 0.5 * (low + high) + 0.5 * (high - low) * _NODES[n]
            energy = max(edge + width * np.sinh(angle), 0.0)
            x, in_t, given = retarded_root(gap, depairing, complex(gamma, energy), x, in_t, given)
            weight = 0.5 * (high - low) * _WEIGHTS[n] * width * np.cosh(angle)
            total += weight * parts(x, in_t)[3] * 2.0 / (np.exp(energy / t) + 1.0)
        low = high
    return total / gap


@njit(cache=True, nogil=True)
def _equilibrium_residual(
    gap: float, depairing: float, broadening: float, t: float, cutoff: float, inverse_coupling: float
) -> float:
    """``r(Δ)`` in equilibrium."""
    start = antiderivative(PAIRING, 0.0, gap, depairing, broadening)
    # The antiderivative tends to ln 2ω_D, which is 1/λ of the weak-coupling limit.
    whole = (
        -start if np.isinf(cutoff) else antiderivative(PAIRING, cutoff, gap, depairing, broadening) - start
    )
    return whole - inverse_coupling - _thermal_part(gap, depairing, broadening, t, cutoff)


@njit(cache=True, nogil=True)
def _equilibrium_residuals(
    gaps: Floats,
    depairings: Floats,
    broadenings: Floats,
    temperatures: Floats,
    cutoff: float,
    inverse_coupling: float,
) -> Floats:
    out = np.empty(gaps.size)
    for c in range(gaps.size):
        out[c] = _equilibrium_residual(
            gaps[c], depairings[c], broadenings[c], temperatures[c], cutoff, inverse_coupling
        )
    return out
