"""Electron-electron collisions of f_L, or of f_L and f_T, on a uniform energy axis.

Two electrons of energies ε1, ε3 become two of ε2, ε4 with ω = ε1 − ε2 = ε4 − ε3 (Bobkova and Bobkov, Phys.
Rev. B 93, 024513 (2016), Eq. 16; normalised as in Ryan, Beckmann, Chandrasekhar (2026)). All sums run over
whole events of the axis, by transforms in O(N log N), so that energy is kept and ``tanh(ε/2t)`` stands still
to round-off (theory: electron_electron). Energies are in units of Δ0, rates in Δ0/ħ.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy import fft

from fvqp.collisions.convolutions import EqualBins, TransformedSums, correlate, correlate_step
from fvqp.collisions.integrals import Spectra, SummedRates
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.materials import BCS_RATIO
from fvqp.typing import Complexes, Floats

Kernel = Literal["fermi_liquid", "diffusive_2d", "diffusive_1d"]

#: Powers of |ω|/k_BTc in the matrix element of every kernel.
POWERS: dict[Kernel, float] = {"fermi_liquid": 0.0, "diffusive_2d": -1.0, "diffusive_1d": -1.5}


class ElectronElectron:
    """The collision integrals ``I_L`` and ``I_T``, ``N ∂f_{L,T}/∂t = … − I_{L,T}``.

    Args:
        grid: uniform energy bins from 0; their centres are the energies of the electrons.
        strength: γ_ee = ħ/(Δ0 τ_ee), the rate in the normal state at the Fermi energy and T_c.
        kernel: how the matrix element depends on the energy ω that is exchanged: not at all, as |ω|⁻¹ or as
            |ω|^(−3/2) (electrons that diffuse in two dimensions or one); it is the same at ω = k_BT_c.

    Raises:
        CaseError: bins of different widths, a negative strength, or an unknown kernel.
    """

    rounding, unkept_rate = 0.0, 0.0

    def __init__(self, grid: EnergyAxis, strength: float, kernel: Kernel = "fermi_liquid") -> None:
        width = grid.maximum / grid.n
        if not grid.is_uniform or grid.first:
            raise CaseError(
                "electron-electron collisions: energies that are exchanged must be whole bins; the energy "
                'axis must be uniform (energies.spacing = "uniform")'
            )
        if not (np.isfinite(strength) and strength >= 0.0):
            raise CaseError(f"electron-electron collisions: γ_ee must not be negative, found {strength:g}")
        if kernel not in POWERS:
            raise CaseError(
                f'electron-electron collisions: kernel must be one of {", ".join(POWERS)}, not "{kernel}"'
            )
        self.grid, self.strength, self.kernel = grid, strength, kernel
        #: Weights of what collisions keep, energy and charge.
        self.kept = grid.energies * grid.widths, grid.widths
        self.bins = EqualBins(grid)
        critical, length = 1.0 / BCS_RATIO, self.bins.length
        self._scale = 0.5 * strength / (np.pi * critical) ** 2 * width**2
        lag = np.minimum(np.arange(length), length - np.arange(length)) * width / critical
        # Nothing is exchanged at ω = 0: there the bracket of the integral vanishes.
        self._matrix = np.zeros(length)
        self._matrix[1:] = lag[1:] ** POWERS[kernel]

    @property
    def largest_rate(self) -> float:
        """Loss rate of an electron at the end of the axis, in a cold normal metal."""
        return self.strength * (self.grid.maximum * BCS_RATIO / np.pi) ** 2

    def at(self, spectra: Spectra, f: Floats) -> SummedRates:
        """The rates at distributions ``f[cell, component, bin]`` (the whole, not a deviation)."""
        return SummedRates(TransformedSums(self, spectra, spectra.products, f), spectra, f, self.kept)

    def correlated(self, weights: Floats, state: Floats) -> Complexes:
        """See `fvqp.collisions.convolutions.Exchange`; with matrix element and prefactor."""
        out = np.empty((len(state), self.bins.phase.size), np.complex128)
        correlate(self._scale, weights, state, out)
        return self._exchanged(out)

    def correlated_step(self, weights: Floats, state: Floats, moved: Floats) -> Complexes:
        """Change of `correlated`."""
        out = np.empty((len(state), self.bins.phase.size), np.complex128)
        correlate_step(self._scale, weights, state, moved, out)
        return self._exchanged(out)

    def _exchanged(self, spectra: Complexes) -> Complexes:
        """Correlations times the matrix element, which depends on their lag."""
        if POWERS[self.kernel] == 0.0:
            return spectra
        lags = fft.irfft(spectra, self.bins.length)
        lags *= self._matrix
        return np.asarray(fft.rfft(lags))
