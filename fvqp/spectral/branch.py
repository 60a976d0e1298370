"""The retarded root of the local Usadel equation, one energy at a time (numba).

With ``G = cos θ``, ``F = sin θ`` and the complex conjugates of everything (energies ``ε ≥ 0``), the equation
``Δ G + i z F − ζ F G = 0`` becomes, in ``u = π/2 − θ*`` and ``s = Γ + iε``,

    s = Δ tan u − ζ sin u.

The right side maps the half strip ``0 < Re u < π/2``, ``Im u > 0`` onto a region that covers the quadrant
``Γ > 0, ε > 0`` exactly once (argument principle along its boundary), for any Δ > 0 and ζ ≥ 0. So there is
one root in the half strip, and a root found there *is* the retarded one: Newton's method may start anywhere,
and its answer is accepted by where it lies. In ``T = tan(u/2)`` the half strip is the quarter of the unit
disc ``Re T > 0, Im T > 0``; in ``τ = tan(θ*/2) = (1 − T)/(1 + T)`` it is ``Re τ > 0, Im τ < 0``, and both
obey a quartic,

    s T⁴ + 2(Δ + ζ) T³ + 2(Δ − ζ) T − s = 0,      Δ τ⁴ + 2(s − ζ) τ³ + 2(s + ζ) τ − Δ = 0.

T has the small real part (of order Γ) below the gap, τ above it: the variable with the smaller real part is
used, which keeps quantities of order Γ accurate relative to themselves.
"""

from __future__ import annotations

import numpy as np

from fvqp.kernel_cache import njit

# Γ → 0+ is taken here: energies of order Δ are not known any better in double precision.
SMALLEST_BROADENING = 1e-13

#: For calls of compiled functions, which numba compiles once more for a False that it knows.
NO = np.bool_(False)

_ACCEPTED = 1e-15
_MAX_ITERATIONS = 14

Root = tuple[complex, bool, bool]  # value, is it T (not τ), is it the retarded one


@njit(cache=True, nogil=True)
def _newton(x: complex, c4: complex, c3: complex, c1: complex, c0: complex) -> tuple[complex, bool]:
    """Newton's method for ``c4 x⁴ + c3 x³ + c1 x + c0``, steps at most ½: ``(root, converged)``."""
    previous = 1e300
    for _ in range(_MAX_ITERATIONS):
        square = x * x
        slope = square * (4.0 * c4 * x + 3.0 * c3) + c1
        if slope == 0.0:
            return x, False
        step = (square * x * (c4 * x + c3) + c1 * x + c0) / slope
        size = abs(step)
        if size > 0.5:
            step *= 0.5 / size
        x = x - step
        scale = abs(x)
        if size <= _ACCEPTED * scale:
            return x, True
        # At a nearly double root rounding, not the distance, decides the step in the end.
        if size < 1e-6 * scale and size >= 0.5 * previous:
            return x, True
        previous = size
    return x, False


@njit(cache=True, nogil=True)
def _attempt(x: complex, in_t: bool, gap: float, depairing: float, s: complex) -> Root:
    """Newton's method from ``x`` (T if ``in_t``, else τ): ``(root, root is T, root is the retarded one)``."""
    for _ in range(3):
        if in_t:
            x, converged = _newton(x, s, 2.0 * (gap + depairing) + 0j, 2.0 * (gap - depairing) + 0j, -s)
        else:
            x, converged = _newton(x, gap + 0j, 2.0 * (s - depairing), 2.0 * (s + depairing), -gap + 0j)
        # |G| stays below about √(Δ/2Γ); for tiny ζ the quartics have roots with far larger |G| ~ 1/|1 + x²|,
        # of which rounding does not tell on which side of the half strip's border they lie.
        if not converged or x.real <= 0.0 or abs(1.0 + x * x) < 0.5 * np.sqrt(s.real / (s.real + gap)):
            return x, in_t, False
        other = (1.0 - x) / (1.0 + x)
        # The real part of 1 − |x|² decides whether the other variable lies in its half plane.
        if other.real >= x.real:
            inside = x.imag >= 0.0 if in_t else x.imag <= 0.0
            return x, in_t, inside
        x, in_t = other, not in_t
    return x, in_t, x.real > 0.0 and abs(x) < 1.0 and (x.imag >= 0.0 if in_t else x.imag <= 0.0)


@njit(cache=True, nogil=True)
def _continuation(gap: float, depairing: float, s: complex) -> Root:
    """The retarded root followed from a large broadening down to ``s.real``; the step in ln Γ adapts."""
    target = s.real
    broadening = 10.0 * (gap + depairing + abs(s))
    here = complex(broadening, s.imag)
    root, in_t, _ = _attempt(gap / (2.0 * (here + depairing)), NO, gap, depairing, here)
    factor = 0.2
    while broadening > target:
        trial = max(broadening * factor, target)
        x, t, inside = _attempt(root, in_t, gap, depairing, complex(trial, s.imag))
        if inside:
            root, in_t, broadening = x, t, trial
            factor = max(factor * factor, 0.02)
        else:
            factor = np.sqrt(factor)
            if factor > 1.0 - 1e-9:
                return root, in_t, False
    return root, in_t, True


@njit(cache=True, nogil=True)
def _root_of_sum(gap: float, s: complex) -> complex:
    """``√(Δ² + s²)`` without cancellation at ``s ≈ iΔ``."""
    return np.sqrt(complex(gap + s.imag, -s.real) * complex(gap - s.imag, s.real))


@njit(cache=True, nogil=True)
def retarded_root(
    gap: float, depairing: float, s: complex, guess: complex, guess_in_t: bool, guess_given: bool
) -> Root:
    """Half-angle tangent of the retarded solution at ``s = Γ + iε``, ε ≥ 0, Γ > 0.

    Returns ``(x, in_t, found)``: ``x`` is T if ``in_t``, otherwise τ. ``guess`` (of kind ``guess_in_t``) is
    used if ``guess_given``; it influences the cost, never the answer.
    """
    if gap == 0.0:
        return 0j, False, True
    if depairing == 0.0:
        # Closed form; the quartics have spurious roots ±i, 1 here, close to the edge's own.
        root = _root_of_sum(gap, s)
        t, tau = s / (gap + root), gap / (s + root)
        return (t, True, True) if t.real <= tau.real else (tau, False, True)
    if guess_given:
        x, in_t, found = _attempt(guess, guess_in_t, gap, depairing, s)
        if found:
            return x, in_t, True
    # Depairing acts as a broadening ζG: none of it below the gap, all of it (G = 1) far above it.
    shifted = s + depairing if (depairing > gap or s.imag > gap) else s
    root = _root_of_sum(gap, shifted)
    x, in_t, found = _attempt(gap / (shifted + root), NO, gap, depairing, s)
    if found:
        return x, in_t, True
    return _continuation(gap, depairing, s)


@njit(cache=True, nogil=True)
def parts(x: complex, in_t: bool) -> tuple[float, float, float, float, float, float]:
    """``Re G, Im G, Re F, Im F, D_L, D_T`` from the half-angle tangent, as quotients of positive terms.

    With ``X = 2 Re T``, ``Y = 1 − |T|²``, ``p = 1 + |T|²``, ``m = 2 Im T``, ``Q = X² + Y²``:
    ``Re G = Xp/Q``, ``Re F = Yp/Q``, ``Im F = Xm/Q``, ``Im G = −Ym/Q``, ``D_L = X²/Q``, ``D_T = p²/Q``;
    the same with X and Y exchanged for τ.
    """
    square = x.real * x.real + x.imag * x.imag
    a = 2.0 * x.real
    b = 1.0 - square
    p = 1.0 + square
    m = 2.0 * abs(x.imag)
    if not in_t:
        a, b = b, a
    q = a * a + b * b
    return a * p / q, -b * m / q, b * p / q, a * m / q, a * a / q, p * p / q
