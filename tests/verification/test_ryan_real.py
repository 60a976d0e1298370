"""Figs. 11 and 12 of Ryan et al. (2026) with the numbers of the device: the cases, coarser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import fvqp

CASES = Path(__file__).parents[2] / "cases" / "ryan2026"
COARSE = [
    "energies.number=240",
    "energies.maximum=8",
    "output.fields=[]",
    "output.every=1",
    "output.spectra=[]",
    "figures=[]",
]


@pytest.mark.slow
def test_gap_of_the_device() -> None:
    """A steeper onset than with the broadening of the paper's calculation, the same plateau and fall."""
    biases = (
        'sweep.V_inj=["0 V", "0.8 Delta0", "1.2 Delta0", "2 Delta0", "2.8 Delta0", "3.4 Delta0", "4 Delta0"]'
    )
    real = fvqp.run(CASES / "fig11_real.toml", overrides=[*COARSE, "output.field_energies=[]", biases])
    gap = real.dataset["gap"].isel(junction=0).values / float(real.dataset.attrs["delta0_eV"])
    # At rest Γ takes what the closed form of the gap equation says, Γ/Δ0 of the gap to first order.
    assert gap[0] == pytest.approx(1.0 - 1.53e-3, abs=2e-4)
    assert gap[0] - gap[1] < 2e-3
    assert 0.025 < gap[1] - gap[2] < 0.05
    assert 0.0 < gap[2] - gap[4] < 0.015
    slope = (gap[6] - gap[5]) / 0.6
    assert -0.045 < slope < -0.02


@pytest.mark.slow
def test_signal_of_the_device() -> None:
    """g_sa is odd in both biases, with peaks at Δ0 and a tail from 3Δ0 on."""
    small = [
        *COARSE,
        'sweep.V_inj=["-4 Delta0", "-2 Delta0", "-1 Delta0", "1 Delta0", "2 Delta0", "4 Delta0"]',
        'sweep.V_det=["-0.6 Delta0", "0.6 Delta0"]',
    ]
    part = (
        fvqp.run(CASES / "fig12_real.toml", overrides=small)
        .dataset["g_sa"]
        .transpose("V_det", "V_inj")
        .values
    )
    np.testing.assert_allclose(part[0], -part[1], rtol=1e-4, atol=1e-4 * np.abs(part).max())
    np.testing.assert_allclose(part, -part[:, ::-1], rtol=1e-6, atol=1e-9 * np.abs(part).max())
    edge, between, tail = np.abs(part[1, 3:])
    assert edge > tail > 2.0 * between
