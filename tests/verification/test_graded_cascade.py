"""A cascade over the Debye scale in tin: 300 graded bins against 4000 equal ones."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.collisions import (
    Coupling,
    ElectronPhonon,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
    thermal,
)
from fvqp.energy import EnergyAxis, bcs_weights

TIN = Coupling(1.85, 0.041)
"""Δ0/k_BT_c and τ0^pb/τ0."""
MAXIMUM = 29.0
"""Debye energy and end of the axis, Δ0."""
START, WIDTH, PEAK = 18.0, 1.0, 1e-3
STEP, STEPS = 2e-5, 100
"""τ0; about the lifetime at the start in all."""


def moments(grid: EnergyAxis, evaluation: str, rule: str) -> np.ndarray:
    """Number, energy and second moment of quasiparticles, and energy of phonons beyond 5 Δ0, at the end."""
    operator, bin_weights = ElectronPhonon(grid, TIN, evaluation), bcs_weights(grid, 1.0, rule)
    cold = thermal(grid, 0.15)
    f = cold.f + PEAK * np.exp(-0.5 * ((grid.energies - START) / WIDTH) ** 2)
    n = cold.n.copy()
    for _ in range(STEPS):
        half = operator.at(bin_weights, f, n).rates
        full = operator.at(bin_weights, f + 0.5 * STEP * half.f, n + 0.5 * STEP * half.n).rates
        f, n = f + STEP * full.f, n + STEP * full.n
    high = np.where(grid.phonon_energies > 5.0, n, 0.0)
    return np.array(
        [
            quasiparticle_density(bin_weights, f)[0],
            quasiparticle_energy(grid, bin_weights, f)[0],
            bin_weights.dos_weights[0] @ (grid.energies**2 * f[0]),
            phonon_energy(operator, high)[0],
        ]
    )


def uniform(bins: int) -> EnergyAxis:
    return EnergyAxis.uniform(1.0 / round(bins / 28.0), MAXIMUM, start=1.0, phonon_maximum=MAXIMUM)


@pytest.mark.slow
def test_300_graded_bins_reach_4000_equal_ones():
    """The worst of four moments is nearer to the limit than with 4000 bins and their mean density of
    states. (Reconstructed inside 4000 bins it would be an order better than both.)"""
    coarse, fine = (moments(uniform(bins), "fourier", "linear") for bins in (4000, 8000))
    exact = fine + (fine - coarse) / 3.0
    graded = EnergyAxis.from_gap(
        MAXIMUM, gap=1.0, finest=0.02, growth=0.012, largest=0.15, phonon_maximum=MAXIMUM
    )
    assert graded.n <= 300
    few = np.abs(moments(graded, "graded", "linear") / exact - 1.0).max()
    many = np.abs(moments(uniform(4000), "fourier", "bin") / exact - 1.0).max()
    assert few < many
    assert few < 3e-4
