"""Response of the resonator of a case."""

from __future__ import annotations

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample


class DissipativeConductivity(BoltzmannObservable):
    name = "sigma1"

    def applies(self, run: BoltzmannRun) -> bool:
        return run.case.resonator is not None

    def compute(self, at: BoltzmannSample) -> float:
        return at.resonator[self.name]


class InductiveConductivity(DissipativeConductivity):
    name = "sigma2"


class InverseQualityFactor(DissipativeConductivity):
    name = "inverse_quality_factor"


class FrequencyShift(DissipativeConductivity):
    name = "frequency_shift"
