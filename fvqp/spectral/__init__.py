"""Spectral functions of diffusive superconductors."""

from fvqp.spectral.integrals import dos_integral, pairing_integral, supercurrent_integral
from fvqp.spectral.usadel import BinnedSpectrum, SpectralFunctions, bin_averages, gap_edge, solve

__all__ = [
    "BinnedSpectrum",
    "SpectralFunctions",
    "bin_averages",
    "dos_integral",
    "gap_edge",
    "pairing_integral",
    "solve",
    "supercurrent_integral",
]
