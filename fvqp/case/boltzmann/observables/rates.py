"""Rate of recombination, and inverse lifetimes at every energy."""

from __future__ import annotations

import numpy as np

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample
from fvqp.typing import Floats


class RecombinationRate(BoltzmannObservable):
    """Mean rate at which a quasiparticle recombines."""

    name, models = "recombination_rate", ("boltzmann",)

    def compute(self, at: BoltzmannSample) -> float:
        held = at.bin_weights.number * at.f
        if not held.sum():
            return 0.0
        lost = at.collisions.at(at.bin_weights, at.f, at.n).gain_loss("pairs").out_f
        return float((held * lost).sum()) / float(held.sum()) / at.units.time


class ScatteringRate(BoltzmannObservable):
    models = ("boltzmann",)
    name, dims = "rate_scattering", ("energy",)

    def applies(self, run: BoltzmannRun) -> bool:
        return run.case.output.rates

    def rates(self, at: BoltzmannSample) -> Floats:
        """Return rates of all bins in 1/τ0."""
        return at.lifetimes.scattering[0]

    def compute(self, at: BoltzmannSample) -> Floats:
        # Bins without states have no quasiparticles that could live or die.
        there = np.where(at.bin_weights.active[0], 1.0, np.nan)
        return self.rates(at) * there / at.units.time


class BinRecombinationRate(ScatteringRate):
    name = "rate_recombination"

    def rates(self, at: BoltzmannSample) -> Floats:
        return at.lifetimes.recombination[0]


class PairBreakingRate(BoltzmannObservable):
    models = ("boltzmann",)
    name, dims = "rate_pair_breaking", ("omega",)

    def applies(self, run: BoltzmannRun) -> bool:
        return run.case.output.rates

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.lifetimes.pair_breaking[0] / at.units.time


class AbsorptionRate(PairBreakingRate):
    name = "rate_absorption"

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.lifetimes.absorption[0] / at.units.time
