"""Densities of quasiparticles: of the body, of regions, and in ranges of energy."""

from __future__ import annotations

import numpy as np

from fvqp.case.boltzmann.observable import BoltzmannObservable, BoltzmannRun, BoltzmannSample
from fvqp.typing import Floats


class Density(BoltzmannObservable):
    name = "n_qp"

    def compute(self, at: BoltzmannSample) -> float:
        return at.ledger.number / at.run.volume * at.units.density


class RelativeDensity(BoltzmannObservable):
    name = "x_qp"

    def compute(self, at: BoltzmannSample) -> float:
        return 2.0 * at.ledger.number / at.run.volume


class DensityInRanges(BoltzmannObservable):
    models = ("transport",)
    name, units, dims = "n_qp_range", "m-3", ("energy_range",)
    long_name = "density of quasiparticles in a range of energy"

    def compute(self, at: BoltzmannSample) -> Floats:
        count = len(at.run.bounds) - 1
        ranges = np.searchsorted(at.run.bounds, at.problem.grid.energies, side="right") - 1
        inside = (ranges >= 0) & (ranges < count)
        return np.bincount(ranges[inside], at.spectra.f[inside], minlength=count) * at.units.density


class RegionDensity(BoltzmannObservable):
    name, units, dims = "n_qp_region", "m-3", ("region",)
    long_name = "density of quasiparticles in a region"

    def applies(self, run: BoltzmannRun) -> bool:
        return bool(run.regions)

    def compute(self, at: BoltzmannSample) -> Floats:
        return at.in_regions(at.density) * at.units.density


class RelativeRegionDensity(RegionDensity):
    name, units = "x_qp_region", "1"
    long_name = "density of quasiparticles in a region over 2 N0 Delta0 of the reference"

    def compute(self, at: BoltzmannSample) -> Floats:
        return 2.0 * at.in_regions(at.density)


class MeanLocalizedDensity(BoltzmannObservable):
    models = ("transport",)
    name, units = "n_localized", "m-3"
    long_name = "density of localized quasiparticles"

    def applies(self, run: BoltzmannRun) -> bool:
        return run.case.localization is not None

    def compute(self, at: BoltzmannSample) -> float:
        return at.mean(at.problem.localized(at.state)) * at.units.density
