"""Spectral functions of diffusive superconductors."""

from fvqp.spectral.usadel import BinnedSpectrum, Spectrum, bin_averages, gap_edge, solve

__all__ = ["BinnedSpectrum", "Spectrum", "bin_averages", "gap_edge", "solve"]
