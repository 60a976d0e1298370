"""Gap, densities and energies of every cell."""

from __future__ import annotations

from scipy import constants

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample
from fvqp.typing import Floats


class CellGap(BoltzmannObservable):
    name, dims = "gap", ("cell",)

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.state.gap * at.units.energy / constants.e


class CellDensity(BoltzmannObservable):
    models = ("transport",)
    name, units, dims = "n_qp_cell", "m-3", ("cell",)
    long_name = "density of quasiparticles in a cell"

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.density * at.units.density


class CellQuasiparticleEnergy(BoltzmannObservable):
    models = ("transport",)
    name, units, dims = "energy_qp_cell", "J m-3", ("cell",)
    long_name = "energy of quasiparticles in a cell"

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.problem.quasiparticle_energies(at.state) * at.units.energy_density


class CellPhononEnergy(BoltzmannObservable):
    models = ("transport",)
    name, units, dims = "energy_ph_cell", "J m-3", ("cell",)
    long_name = "energy of phonons in a cell"

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.problem.phonon_energies(at.state) * at.units.energy_density


class CellLocalizedDensity(BoltzmannObservable):
    models = ("transport",)
    name, units, dims = "n_localized_cell", "m-3", ("cell",)
    long_name = "density of localized quasiparticles in a cell"

    def applies(self, run: BoltzmannRun) -> bool:
        return run.case.localization is not None

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.problem.localized(at.state) * at.units.density
