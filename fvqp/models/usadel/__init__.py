"""Usadel kinetics of wires and films: spectra, gap, phase, f_L and f_T, and what is measured at the leads."""
