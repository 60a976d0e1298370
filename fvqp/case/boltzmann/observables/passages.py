"""Numbers and energies that have passed walls, losses and interfaces since the start."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample
from fvqp.collisions import Pair
from fvqp.typing import Floats


class QuasiparticlesByExit(BoltzmannObservable):
    models = ("transport",)
    name, units = "quasiparticles_escaped_by", "m-3"
    dims: ClassVar[tuple[str, ...]] = ("exit",)
    long_name = "quasiparticles that have left through a wall or with a loss"

    def applies(self, run: BoltzmannRun) -> bool:
        return run.case.evolution is not None and bool(run.exits)

    def passed(self, at: BoltzmannSample) -> list[Pair]:
        """Return the particles that passed, by energy, in 4 N0 Δ0 times volume."""
        return at.escaped

    def number(self, passed: Pair) -> float:
        """Return the number of particles that is counted."""
        return float(passed.f.sum())

    def compute(self, at: BoltzmannSample) -> Floats:
        numbers = np.array([self.number(one) for one in self.passed(at)])
        return numbers * at.units.density / at.run.volume


class PhononsByExit(QuasiparticlesByExit):
    name = "phonons_escaped_by"
    long_name = "phonons that have left through a wall or with a loss"

    def number(self, passed: Pair) -> float:
        return float(passed.n.sum())


class EnergyByExit(QuasiparticlesByExit):
    """Parts of `EscapedEnergy`."""

    name, units = "energy_escaped_by", "J m-3"
    long_name = "energy that has left through a wall or with a loss"

    def compute(self, at: BoltzmannSample) -> Floats:
        grid = at.problem.grid
        parts = [one.f @ grid.energies + one.n @ grid.phonon_energies for one in self.passed(at)]
        return np.array(parts) * at.units.energy_density / at.run.volume


class QuasiparticlesThroughInterface(QuasiparticlesByExit):
    name = "quasiparticles_through"
    dims: ClassVar[tuple[str, ...]] = ("interface",)
    long_name = "quasiparticles that have passed an interface, less those that came back"

    def applies(self, run: BoltzmannRun) -> bool:
        return run.case.evolution is not None and bool(run.interfaces)

    def passed(self, at: BoltzmannSample) -> list[Pair]:
        return at.crossed


class PhononsThroughInterface(QuasiparticlesThroughInterface, PhononsByExit):
    name = "phonons_through"
    long_name = "phonons that have passed an interface, less those that came back"


class EnergyThroughInterface(QuasiparticlesThroughInterface, EnergyByExit):
    name, units = "energy_through", "J m-3"
    long_name = "energy that has passed an interface, less what came back"


class QuasiparticlesByExitAndEnergy(QuasiparticlesByExit):
    """Parts of `QuasiparticlesByExit`."""

    name, dims = "quasiparticles_escaped_by_energy", ("exit", "energy")
    long_name = "quasiparticles of a bin that have left through a wall or with a loss"

    def spectrum(self, passed: Pair) -> Floats:
        """Return the numbers of particles by energy."""
        return passed.f

    def compute(self, at: BoltzmannSample) -> Floats:
        spectra = np.array([self.spectrum(one) for one in self.passed(at)])
        return spectra * at.units.density / at.run.volume


class PhononsByExitAndEnergy(QuasiparticlesByExitAndEnergy):
    """Parts of `PhononsByExit`."""

    name, dims = "phonons_escaped_by_energy", ("exit", "omega")
    long_name = "phonons of an energy that have left through a wall or with a loss"

    def spectrum(self, passed: Pair) -> Floats:
        return passed.n


class QuasiparticlesThroughInterfaceByEnergy(QuasiparticlesThroughInterface, QuasiparticlesByExitAndEnergy):
    """Parts of `QuasiparticlesThroughInterface`."""

    name, dims = "quasiparticles_through_by_energy", ("interface", "energy")
    long_name = "quasiparticles of a bin that have passed an interface, less those that came back"


class PhononsThroughInterfaceByEnergy(QuasiparticlesThroughInterface, PhononsByExitAndEnergy):
    """Parts of `PhononsThroughInterface`."""

    name, dims = "phonons_through_by_energy", ("interface", "omega")
    long_name = "phonons of an energy that have passed an interface, less those that came back"
