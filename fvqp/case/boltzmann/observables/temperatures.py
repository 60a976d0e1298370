"""Temperatures at which the density of quasiparticles and the energy of phonons are thermal."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from scipy import constants
from scipy.optimize import brentq

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannSample
from fvqp.collisions import Pair, phonon_energy, quasiparticle_density, thermal

#: Temperatures in Δ0 between which effective temperatures are looked for.
COLDEST, HOTTEST = 1e-3, 1e2


class _Temperature(BoltzmannObservable):
    """Temperature of which a quantity is the one in thermal equilibrium; NaN if none is."""

    models = ("boltzmann",)

    @abstractmethod
    def amount(self, at: BoltzmannSample, pair: Pair) -> float:
        """Return the quantity at occupations."""

    def compute(self, at: BoltzmannSample) -> float:
        value = self.amount(at, Pair(at.f, at.n))

        def excess(log_temperature: float) -> float:
            amount = self.amount(at, thermal(at.problem.grid, float(np.exp(log_temperature))))
            return float(np.log(max(amount, 1e-300)) - np.log(value))

        low, high = np.log(COLDEST), np.log(HOTTEST)
        if not (value > 0.0 and excess(low) < 0.0 < excess(high)):
            return float("nan")
        return float(np.exp(brentq(excess, low, high, xtol=1e-12))) * at.units.energy / constants.k


class QuasiparticleTemperature(_Temperature):
    name = "temperature_qp"

    def amount(self, at: BoltzmannSample, pair: Pair) -> float:
        return float(quasiparticle_density(at.bin_weights, pair.f)[0])


class PhononTemperature(_Temperature):
    name = "temperature_ph"

    def amount(self, at: BoltzmannSample, pair: Pair) -> float:
        return float(phonon_energy(at.collisions, pair.n, at.bin_weights)[0])
