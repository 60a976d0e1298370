"""Response of the resonator of a case."""

from __future__ import annotations

from fvqp.case.boltzmann.observable import HomogeneousObservable, HomogeneousRun, HomogeneousSample


class DissipativeConductivity(HomogeneousObservable):
    name = "sigma1"

    def applies(self, run: HomogeneousRun) -> bool:
        return run.case.resonator is not None

    def compute(self, at: HomogeneousSample) -> float:
        return at.resonator.get(self.name, float("nan"))


class InductiveConductivity(DissipativeConductivity):
    name = "sigma2"


class InverseQualityFactor(DissipativeConductivity):
    name = "inverse_quality_factor"


class FrequencyShift(DissipativeConductivity):
    name = "frequency_shift"
