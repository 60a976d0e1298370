"""Distributions over the energy, of the body and of its cells."""

from __future__ import annotations

import numpy as np

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample
from fvqp.typing import Floats


class DensitySpectrum(BoltzmannObservable):
    models = ("transport",)
    name, units, dims = "n_qp_spectrum", "m-3", ("energy",)
    long_name = "density of quasiparticles in a bin"

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.spectra.f * at.units.density


class PhononEnergySpectrum(BoltzmannObservable):
    models = ("transport",)
    name, units, dims = "energy_ph_spectrum", "J m-3", ("omega",)
    long_name = "energy of phonons at a phonon point"

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.spectra.n * at.problem.grid.phonon_energies * at.units.energy_density


class EscapedSpectrum(BoltzmannObservable):
    models = ("transport",)
    name, units, dims = "escaped_spectrum", "J m-3", ("omega",)
    long_name = "energy that has left with phonons of an energy"

    def compute(self, at: BoltzmannSample) -> Floats:
        energies = at.problem.grid.phonon_energies
        lost = sum((one.n for one in at.escaped), np.zeros_like(energies))
        return lost * energies * at.units.energy_density / at.run.volume


class Occupation(BoltzmannObservable):
    name, dims = "f", ("cell", "energy")

    def applies(self, run: BoltzmannRun) -> bool:
        return run.film or run.case.output.occupations

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.f


class PhononOccupation(Occupation):
    name, dims = "n", ("cell", "omega")

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.n
