"""Response of a microwave resonator to a complex conductivity: frequency, losses, surface impedance.

Local electrodynamics, time dependence ``exp(+iωt)`` with ``σ = σ1 − iσ2`` (theory: conductivity, section on
resonators). Only ratios of σ enter, except in `surface_impedance`, which is in SI units.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.constants import mu_0

from fvqp.errors import CaseError
from fvqp.typing import Complexes, Floats


def film_factor(thickness: ArrayLike) -> Floats:
    """``γ = ½ (1 + (2d/λ)/sinh(2d/λ))``: ½ for a thick film, 1 for a thin one.

    The surface reactance varies as ``σ2^−γ``, and ``R_s/X_s = γ σ1/σ2`` (theory: conductivity, Eq. film).

    Args:
        thickness: d/λ > 0, thickness over penetration depth; `numpy.inf` for bulk.
    """
    x = 2.0 * np.asarray(thickness, dtype=np.float64)
    if not np.all(x > 0.0):
        raise CaseError("resonator: the thickness of the film must be positive")
    # beyond 700 sinh overflows, and the second term has long vanished
    return np.asarray(0.5 * (1.0 + np.where(x < 700.0, x / np.sinh(np.minimum(x, 700.0)), 0.0)))


def frequency_shift(
    sigma2: ArrayLike, reference: ArrayLike, kinetic_fraction: float, film: ArrayLike = 1.0
) -> Floats:
    """``δf/f = γ (α/2) (σ2 − σ2,ref)/σ2,ref``, for small changes (theory: conductivity, Eq. resonator).

    Args:
        sigma2: inductive conductivity.
        reference: the same in the state from which the shift is counted, not zero.
        kinetic_fraction: α, kinetic over total inductance, 0 to 1.
        film: γ of `film_factor`; 1 for a thin film.
    """
    start = np.asarray(reference, dtype=np.float64)
    if not np.all(start > 0.0):
        raise CaseError("resonator: σ2 of the reference state must be positive; is it superconducting?")
    change = (np.asarray(sigma2, dtype=np.float64) - start) / start
    return np.asarray(np.asarray(film) * 0.5 * _fraction(kinetic_fraction) * change)


def internal_loss(
    sigma1: ArrayLike, sigma2: ArrayLike, kinetic_fraction: float, film: ArrayLike = 1.0
) -> Floats:
    """``1/Q_i = γ α σ1/σ2``, losses by quasiparticles (theory: conductivity, Eq. resonator).

    Args:
        sigma1, sigma2: conductivity with σ1 ≪ σ2.
        kinetic_fraction: α, kinetic over total inductance, 0 to 1.
        film: γ of `film_factor`; 1 for a thin film.
    """
    inductive = np.asarray(sigma2, dtype=np.float64)
    if not np.all(inductive > 0.0):
        raise CaseError("resonator: σ2 must be positive; is the film superconducting?")
    return np.asarray(np.asarray(film) * _fraction(kinetic_fraction) * np.asarray(sigma1) / inductive)


def surface_impedance(
    sigma1: ArrayLike, sigma2: ArrayLike, frequency: float, thickness: float = np.inf
) -> Complexes:
    """``Z_s = √(iωμ0/σ) coth(d √(iωμ0σ))`` of a film that is excited from one side, ohm.

    Args:
        sigma1, sigma2: conductivity in siemens a metre, not both zero.
        frequency: in hertz.
        thickness: d in metres; infinite for bulk.
    """
    for name, value in (("frequency", frequency), ("thickness", thickness)):
        if not value > 0.0:
            raise CaseError(f"surface impedance: {name} must be positive, found {value:g}")
    sigma = np.asarray(sigma1, dtype=np.float64) - 1j * np.asarray(sigma2, dtype=np.float64)
    if not np.all(np.isfinite(sigma)) or np.any(sigma == 0.0):
        raise CaseError("surface impedance: the conductivity must be finite and not zero")
    wave = np.sqrt(2j * np.pi * frequency * mu_0 * sigma)
    bulk = wave / sigma
    return np.asarray(bulk if np.isinf(thickness) else bulk / np.tanh(thickness * wave))


def _fraction(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise CaseError(f"resonator: the kinetic inductance fraction must be from 0 to 1, found {value:g}")
    return value
