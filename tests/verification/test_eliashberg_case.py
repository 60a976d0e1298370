"""The published spectra of tin: both axes, and measured numbers, through the case."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import constants

import fvqp

CASE = Path(__file__).parents[2] / "cases" / "boltzphlow2026" / "eliashberg.toml"


@pytest.mark.slow
def test_axes_agree_and_numbers_are_those_of_tin():
    """Real axis and Padé within 0.5 % up to 0.91 T_c; measured 0.15 %."""
    temperatures = 'sweep.temperature=["0.5 K", "3.4 K"]'
    data = fvqp.run(CASE, overrides=[temperatures, "figures=[]"]).dataset
    np.testing.assert_allclose(data["gap"], data["gap_matsubara"], rtol=5e-3)
    np.testing.assert_allclose(data["Z0"], data["Z0_matsubara"], rtol=5e-3)
    assert np.all((data["Z0"] > 1.0) & (data["Z0"] < 1.0 + data.attrs["coupling"] + 0.02))
    # the model spectrum has λ = 0.72; its T_c and gap are those of tin, 3.72 K and 0.593 meV, to 1 %
    assert data.attrs["critical_temperature_K"] == pytest.approx(3.72, rel=0.01)
    assert float(data["gap"][0]) == pytest.approx(0.593e-3, rel=0.015)
    ratio = 2.0 * float(data["gap"][0]) * constants.e / constants.k / data.attrs["critical_temperature_K"]
    assert ratio == pytest.approx(3.70, abs=0.04)
    # states are pushed from below the gap to above it; up to the end of the axis, Δ²/2ε are missing
    width = float(np.diff(data["energy"].values[:2])[0])
    assert abs(width * (data["dos"].values[0] - 1.0).sum()) < 0.01 * float(data["gap"][0])
