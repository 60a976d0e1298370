"""Published form of the steady state at low rates of generation, fitted with errors.

``α = b r̃^(β−3) e^(−r̃)``, α = A r_c⁶/Γ̄, with r̃ = r/r_c and ``c = C_p/(4π r³/3)``: Bespalov et al., PRL 117,
117002 (2016), Eq. (9), where β = 0.41 and b = 0.008.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.typing import Floats

LOW_RATES = 1e-6
"""Greatest α that is fitted: up to it the form agrees with the simulation within 1.1 %."""
MIN_POINTS = 4
PACKING = (0.605, 0.001)
"""C_p of bursting bubbles, and the error that it has here: both are in the errors of the fit."""
PUBLISHED = {"exponent": 0.41, "factor": 0.008}
PUBLISHED_PACKING = (0.605, 0.008)


class LowRates(NamedTuple):
    """The fit.

    Attributes:
        exponent, exponent_error: β and its standard error.
        factor, factor_error: b and its standard error.
        misfit: root of the mean square of the relative deviations of c. The form is no exact one: deviations
            that are more than the errors of c make β and b less certain in proportion.
    """

    exponent: float
    exponent_error: float
    factor: float
    factor_error: float
    misfit: float


def fit_low_rates(
    alpha: ArrayLike,
    concentration: ArrayLike,
    error: ArrayLike,
    packing: tuple[float, float] = PACKING,
) -> LowRates:
    """β and b from the points with α up to `LOW_RATES`.

    Parameters
    ----------
    alpha : ``(n,)`` A r_c⁶/Γ̄.
    concentration, error : ``(n,)`` c r_c³ and its standard error, which weights the point.
    packing : C_p and its standard error, which moves all r together.

    Raises `CaseError`: fewer than four such points, errors that are not positive.
    """
    a, c, e = (np.asarray(values, dtype=np.float64) for values in (alpha, concentration, error))
    low = (a > 0.0) & (a <= LOW_RATES * (1.0 + 1e-9)) & np.isfinite(c)
    if np.count_nonzero(low) < MIN_POINTS:
        raise CaseError(
            f"fit of low rates: needs {MIN_POINTS} points with A r_c⁶/Γ̄ up to {LOW_RATES:g}, "
            f"there are {np.count_nonzero(low)}"
        )
    a, c, e = a[low], c[low], e[low]
    if np.any(c <= 0.0) or not np.all(e > 0.0):
        raise CaseError("fit of low rates: concentrations and their errors must be positive")
    mean, spread = packing
    line, covariance, misfit = _line(a, c, e / c, mean)
    ends = [_line(a, c, e / c, mean + sign * spread)[0] for sign in (-1.0, 1.0)]
    moved = 0.5 * (ends[1] - ends[0])
    exponent_error, log_error = np.sqrt(np.diag(covariance) + moved**2)
    factor = math.exp(line[1])
    return LowRates(float(line[0]), float(exponent_error), factor, factor * float(log_error), misfit)


def _line(alpha: Floats, c: Floats, relative: Floats, packing: float) -> tuple[Floats, Floats, float]:
    """``ln α + r̃ + 3 ln r̃ = β ln r̃ + ln b``: (β, ln b), their covariance, and the misfit of c."""
    r = np.cbrt(3.0 * packing / (4.0 * math.pi * c))
    # dy/d ln c of the left-hand side y.
    slope = (r + 3.0) / 3.0
    weight = 1.0 / (slope * relative)
    columns = np.column_stack([np.log(r), np.ones_like(r)])
    left = np.log(alpha) + r + 3.0 * np.log(r)
    line = np.linalg.lstsq(columns * weight[:, None], left * weight, rcond=None)[0]
    deviation = (left - columns @ line) / slope
    # Where the form misses by more than the errors of the points, its misses count as their errors (Birge).
    ratio = max(1.0, float(np.sum((deviation / relative) ** 2)) / (len(c) - 2))
    covariance = ratio * np.linalg.inv((columns * weight[:, None] ** 2).T @ columns)
    return np.asarray(line, dtype=np.float64), covariance, float(np.sqrt(np.mean(deviation**2)))
