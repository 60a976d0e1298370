"""Energies by volume, what came and went since the start, and by how much the gap is lowered."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample
from fvqp.gap import condensate_energy
from fvqp.typing import Floats


class _Energy(BoltzmannObservable):
    """An energy of the whole body."""

    @abstractmethod
    def energy(self, at: BoltzmannSample) -> float:
        """Return the energy in 4 N0 Δ0² times volume."""

    def compute(self, at: BoltzmannSample) -> float:
        return self.energy(at) * at.units.energy_density / at.run.volume


class QuasiparticleEnergy(_Energy):
    name = "energy_qp"

    def energy(self, at: BoltzmannSample) -> float:
        return at.ledger.quasiparticles


class PhononEnergy(_Energy):
    name = "energy_ph"

    def energy(self, at: BoltzmannSample) -> float:
        return at.ledger.phonons


class CondensateEnergy(_Energy):
    name = "energy_condensate"

    def applies(self, run: BoltzmannRun) -> bool:
        # fixed spectra of Eliashberg theory keep the energy of the condensate
        return not run.film or run.setup.reference.strong is None or run.problem.gap_follows

    def energy(self, at: BoltzmannSample) -> float:
        if at.run.film and not at.problem.gap_follows:
            return float(condensate_energy(at.gap))
        return at.ledger.condensate


class InjectedEnergy(_Energy):
    name = "energy_injected"

    def applies(self, run: BoltzmannRun) -> bool:
        return not run.film or run.case.evolution is not None

    def energy(self, at: BoltzmannSample) -> float:
        return at.exchanged[0]


class EscapedEnergy(InjectedEnergy):
    name = "energy_escaped"

    def energy(self, at: BoltzmannSample) -> float:
        return at.exchanged[1]


class EnergyResidual(InjectedEnergy):
    name = "energy_residual"

    def energy(self, at: BoltzmannSample) -> float:
        injected, escaped = at.exchanged
        return at.ledger.stored - at.start + escaped - injected


class RegionQuasiparticleEnergy(BoltzmannObservable):
    models = ("transport",)
    name, units, dims = "energy_qp_region", "J m-3", ("region",)
    long_name = "energy of quasiparticles in a region"

    def applies(self, run: BoltzmannRun) -> bool:
        return bool(run.regions)

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.in_regions(at.problem.quasiparticle_energies(at.state)) * at.units.energy_density


class RegionPhononEnergy(RegionQuasiparticleEnergy):
    name = "energy_ph_region"
    long_name = "energy of phonons in a region"

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.in_regions(at.problem.phonon_energies(at.state)) * at.units.energy_density


class GapSuppression(BoltzmannObservable):
    """``1 − Δ/Δ0`` by the gap equation ``ln(Δ0/Δ) = 2∫f/E dξ``, first order in f where Δ is fixed."""

    name, models = "gap_suppression", ("boltzmann",)

    def applies(self, run: BoltzmannRun) -> bool:
        return CondensateEnergy().applies(run)

    def compute(self, at: BoltzmannSample) -> float:
        if at.gap == 0.0:
            return 1.0
        if at.run.setup.reference.strong is not None:
            return 1.0 - at.gap
        return float(-np.expm1(-2.0 * (at.bin_weights.pair_weights * at.f).sum() / at.gap))
