"""Fit of the published steady state at low rates: exact data, errors, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fvqp.errors import CaseError
from fvqp.models.localized.low_rates import LOW_RATES, fit_low_rates

EXPONENT, FACTOR, PACKING = 0.41, 0.008, 0.605
R = np.linspace(6.5, 19.0, 12)
ALPHA = FACTOR * R ** (EXPONENT - 3.0) * np.exp(-R)
C = PACKING / (4.0 * math.pi / 3.0 * R**3)


def test_exact_data_give_back_what_they_are_made_of() -> None:
    found = fit_low_rates(ALPHA, C, 0.01 * C, (PACKING, 0.0))
    assert ALPHA.max() < LOW_RATES
    assert found.exponent == pytest.approx(EXPONENT, abs=1e-9)
    assert found.factor == pytest.approx(FACTOR, rel=1e-9)
    assert found.misfit < 1e-9


def test_errors_are_the_scatter_of_fits() -> None:
    rng = np.random.default_rng(1)
    fits = [
        fit_low_rates(ALPHA, C * (1.0 + 0.01 * rng.standard_normal(len(C))), 0.01 * C, (PACKING, 0.0))
        for _ in range(150)
    ]
    scatter = np.std([[one.exponent, one.factor] for one in fits], axis=0)
    stated = np.mean([[one.exponent_error, one.factor_error] for one in fits], axis=0)
    # The errors grow with the misfit where that is above what is expected, by 9 % on average.
    np.testing.assert_allclose(stated, scatter, rtol=0.2)


def test_packing_and_misfit_are_in_the_errors() -> None:
    sharp = fit_low_rates(ALPHA, C, 1e-3 * C, (PACKING, 0.0))
    loose = fit_low_rates(ALPHA, C, 1e-3 * C, (PACKING, 0.008))
    moved = fit_low_rates(ALPHA, C, 1e-3 * C, (PACKING + 0.008, 0.0)).exponent - sharp.exponent
    assert loose.exponent_error == pytest.approx(math.hypot(sharp.exponent_error, moved), rel=0.01)
    bent = C * (1.0 + 0.02 * np.cos(R))
    assert fit_low_rates(ALPHA, bent, 1e-3 * C).exponent_error > 10.0 * sharp.exponent_error


def test_bad_input() -> None:
    with pytest.raises(CaseError, match="needs 4 points with A r_c⁶/Γ̄ up to 1e-06, there are 3"):
        fit_low_rates(ALPHA[:3], C[:3], C[:3])
    with pytest.raises(CaseError, match="must be positive"):
        fit_low_rates(ALPHA, C, 0.0 * C)
