"""Energies of the body by volume, and what came and went since the start."""

from __future__ import annotations

from abc import abstractmethod

from fvqp.case.transport.observable import BoltzmannObservable, BoltzmannSample


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
        return at.moment.ledger.quasiparticles


class PhononEnergy(_Energy):
    name = "energy_ph"

    def energy(self, at: BoltzmannSample) -> float:
        return at.moment.ledger.phonons


class CondensateEnergy(_Energy):
    name = "energy_condensate"

    def energy(self, at: BoltzmannSample) -> float:
        return at.moment.ledger.condensate


class InjectedEnergy(_Energy):
    name = "energy_injected"

    def energy(self, at: BoltzmannSample) -> float:
        return at.exchanged[0]


class EscapedEnergy(_Energy):
    name = "energy_escaped"

    def energy(self, at: BoltzmannSample) -> float:
        return at.exchanged[1]


class EnergyResidual(_Energy):
    name = "energy_residual"

    def energy(self, at: BoltzmannSample) -> float:
        injected, escaped = at.exchanged
        return at.moment.ledger.stored - at.start + escaped - injected
