"""Energies by volume, and the gap."""

from __future__ import annotations

import numpy as np
from scipy import constants

from fvqp.case.boltzmann.observable import HomogeneousObservable, HomogeneousRun, HomogeneousSample
from fvqp.collisions import phonon_energy, quasiparticle_energy


class FilmGap(HomogeneousObservable):
    name = "gap"

    def compute(self, at: HomogeneousSample) -> float:
        return at.gap * at.units.energy / constants.e


class FilmQuasiparticleEnergy(HomogeneousObservable):
    name = "energy_qp"

    def compute(self, at: HomogeneousSample) -> float:
        energy = quasiparticle_energy(at.setup.grid, at.bin_weights, at.f)
        return float(energy[0]) * at.units.energy_density


class FilmPhononEnergy(HomogeneousObservable):
    name = "energy_ph"

    def compute(self, at: HomogeneousSample) -> float:
        energy = phonon_energy(at.setup.collisions, at.n, at.bin_weights)
        return float(energy[0]) * at.units.energy_density


class FilmCondensateEnergy(HomogeneousObservable):
    name = "energy_condensate"

    def applies(self, run: HomogeneousRun) -> bool:
        # spectra of Eliashberg theory stay, and with them the energy of the condensate
        return run.setup.strong is None or run.setup.self_consistent is not None

    def compute(self, at: HomogeneousSample) -> float:
        return float(at.setup.condensate(at.gap)) * at.units.energy_density


class GapSuppression(FilmCondensateEnergy):
    """``1 − Δ/Δ0`` by the gap equation ``ln(Δ0/Δ) = 2∫f/E dξ``, first order in f where Δ is fixed."""

    name = "gap_suppression"

    def compute(self, at: HomogeneousSample) -> float:
        if at.gap == 0.0:
            return 1.0
        if at.setup.strong is not None:
            return 1.0 - at.gap
        return float(-np.expm1(-2.0 * (at.bin_weights.pair_weights * at.f).sum() / at.gap))
