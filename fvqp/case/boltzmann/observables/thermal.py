"""Results of the thermal distribution of as many quasiparticles, beside those found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample
from fvqp.case.boltzmann.observables import rates, resonator, spectra
from fvqp.case.boltzmann.observables.temperatures import QuasiparticleTemperature
from fvqp.collisions import thermal
from fvqp.results.dataset import QUANTITIES
from fvqp.results.observable import Variable
from fvqp.typing import Floats

COMPARED: tuple[BoltzmannObservable, ...] = (
    spectra.Occupation(),
    rates.RecombinationRate(),
    resonator.DissipativeConductivity(),
    resonator.InductiveConductivity(),
    resonator.InverseQualityFactor(),
    resonator.FrequencyShift(),
)
"""Observables that have a thermal counterpart."""


class Thermal(BoltzmannObservable):
    name, models = "f_thermal", ("boltzmann",)

    def applies(self, run: BoltzmannRun) -> bool:
        return any(figure.compare == "thermal" for figure in run.case.figures)

    def variables(self, run: BoltzmannRun) -> Mapping[str, Variable]:
        found = [item for one in COMPARED if one.applies(run) for item in one.variables(run).items()]
        names = {f"{name}_thermal": variable.dims for name, variable in found}
        return {name: Variable(dims, *QUANTITIES[name]) for name, dims in names.items()}

    def compute(self, at: BoltzmannSample) -> Floats:
        return np.asarray(self.values(at)[self.name])

    def values(self, at: BoltzmannSample) -> Mapping[str, Any]:
        kelvin = QuasiparticleTemperature().compute(at)
        if not np.isfinite(kelvin):
            return {}
        f, n = thermal(at.problem.grid, at.units.temperature(kelvin))
        moment = replace(at.moment, state=replace(at.state, f=f[:, None], n=n[:, None]))
        there = BoltzmannSample(at.run, at.problem, moment)
        found = [item for one in COMPARED if one.applies(at.run) for item in one.values(there).items()]
        return {f"{name}_thermal": value for name, value in found}
