"""Response of the resonator of a case."""

from __future__ import annotations

from fvqp.case.boltzmann.observable import HomogeneousObservable, HomogeneousRun, HomogeneousSample


class FilmDissipativeConductivity(HomogeneousObservable):
    name = "sigma1"

    def applies(self, run: HomogeneousRun) -> bool:
        return run.case.resonator is not None

    def compute(self, at: HomogeneousSample) -> float:
        return at.resonator.get(self.name, float("nan"))


class FilmInductiveConductivity(FilmDissipativeConductivity):
    name = "sigma2"


class FilmInverseQualityFactor(FilmDissipativeConductivity):
    name = "inverse_quality_factor"


class FilmFrequencyShift(FilmDissipativeConductivity):
    name = "frequency_shift"
