"""Results of the thermal distribution of as many quasiparticles, beside those found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from fvqp.case.boltzmann.observable import HomogeneousObservable, HomogeneousRun, HomogeneousSample
from fvqp.case.boltzmann.observables import occupations, rates, resonator
from fvqp.case.boltzmann.observables.temperatures import QuasiparticleTemperature
from fvqp.collisions import thermal
from fvqp.results.dataset import QUANTITIES
from fvqp.results.observable import Variable
from fvqp.typing import Floats

COMPARED: tuple[HomogeneousObservable, ...] = (
    occupations.FilmOccupation(),
    rates.RecombinationRate(),
    resonator.FilmDissipativeConductivity(),
    resonator.FilmInductiveConductivity(),
    resonator.FilmInverseQualityFactor(),
    resonator.FilmFrequencyShift(),
)
"""Observables that have a thermal counterpart."""


class Thermal(HomogeneousObservable):
    name = "f_thermal"

    def applies(self, run: HomogeneousRun) -> bool:
        return run.thermal

    def variables(self, run: HomogeneousRun) -> Mapping[str, Variable]:
        names = {f"{one.name}_thermal": one.dims for one in COMPARED if one.applies(run)}
        return {name: Variable(dims, *QUANTITIES[name]) for name, dims in names.items()}

    def compute(self, at: HomogeneousSample) -> Floats:
        return np.asarray(self.values(at)[self.name])

    def values(self, at: HomogeneousSample) -> Mapping[str, Any]:
        kelvin = QuasiparticleTemperature().compute(at)
        if not np.isfinite(kelvin):
            return {}
        f, n = thermal(at.setup.grid, at.units.temperature(kelvin))
        there = HomogeneousSample(at.run, at.problem, replace(at.state, f=f[:, None], n=n[:, None]))
        return {f"{one.name}_thermal": one.compute(there) for one in COMPARED if one.applies(at.run)}
