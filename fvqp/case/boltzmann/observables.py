"""What is stored of a state of the Boltzmann model, in SI units."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import constants
from scipy.optimize import brentq

from fvqp.case.boltzmann.build import Setup
from fvqp.case.boltzmann.schema import BoltzmannCase
from fvqp.collisions import (
    MattisBardeen,
    PhononEscape,
    Process,
    SpectralMeasure,
    frequency_shift,
    internal_loss,
    inverse_lifetimes,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
    thermal,
)
from fvqp.collisions.moving_gap import condensate_energy
from fvqp.collisions.resonator import film_factor
from fvqp.results.dataset import SweepDataset

Floats = NDArray[np.float64]
Values = dict[str, float | Floats]

#: Temperatures in Δ0 between which effective temperatures are looked for.
COLDEST, HOTTEST = 1e-3, 1e2


class Observables:
    """Turns states into what results hold."""

    def __init__(self, case: BoltzmannCase, setup: Setup) -> None:
        self.case, self.setup = case, setup
        self._mattis_bardeen: tuple[float, MattisBardeen] | None = None

    def define(self, sweep: SweepDataset) -> None:
        """Spectra among the variables of the results."""
        sweep.define("f", ("energy",))
        sweep.define("n", ("omega",))
        if self.case.output.rates:
            for name in ("rate_scattering", "rate_recombination"):
                sweep.define(name, ("energy",))
            for name in ("rate_pair_breaking", "rate_absorption"):
                sweep.define(name, ("omega",))

    def of(
        self, f: Floats, n: Floats, gap: float, measure: SpectralMeasure, processes: Mapping[str, Process]
    ) -> Values:
        """Observables of a state with occupations ``(1, N)``, ``(1, K)`` and a gap in Δ0."""
        setup, units, grid = self.setup, self.setup.units, self.setup.grid
        number = float(quasiparticle_density(measure, f)[0])
        values: Values = {
            "f": f[0],
            "n": n[0],
            "gap": gap * units.energy / constants.e,
            "n_qp": number * units.density,
            "x_qp": 2.0 * number,
            "energy_qp": float(quasiparticle_energy(grid, measure, f)[0]) * units.energy_density,
            "energy_ph": float(phonon_energy(setup.collisions, n)[0]) * units.energy_density,
            "energy_condensate": float(condensate_energy(gap)) * units.energy_density,
        }
        values |= self._temperatures(measure, number, n)
        values |= self._powers(measure, f, n, processes)
        if self.case.output.rates:
            values |= self._rates(measure, f, n)
        if self.case.resonator is not None and gap > 0.0:
            values |= self._resonator(f, gap)
        return values

    def _temperatures(self, measure: SpectralMeasure, number: float, n: Floats) -> Values:
        """Temperatures at which the density of quasiparticles and the energy of phonons are thermal."""
        setup = self.setup
        grid, kelvin = setup.grid, setup.units.energy / constants.k
        heat = float(phonon_energy(setup.collisions, n)[0])

        def quasiparticles(log_temperature: float) -> float:
            f = thermal(grid, float(np.exp(log_temperature))).f
            return float(quasiparticle_density(measure, f)[0])

        def phonons(log_temperature: float) -> float:
            there = thermal(grid, float(np.exp(log_temperature))).n
            return float(phonon_energy(setup.collisions, there)[0])

        return {
            "temperature_qp": _inverse(quasiparticles, number) * kelvin,
            "temperature_ph": _inverse(phonons, heat) * kelvin,
        }

    def _powers(
        self, measure: SpectralMeasure, f: Floats, n: Floats, processes: Mapping[str, Process]
    ) -> Values:
        """Power of drives and sources, and power that leaves."""
        into = out = 0.0
        for process in processes.values():
            flow = process.energy_flow(measure, f, n)  # type: ignore[attr-defined]
            power = float(flow.quasiparticles[0] + flow.phonons[0])
            if isinstance(process, PhononEscape):
                out -= power
            else:
                into += power
        unit = self.setup.units.power_density
        return {"power_injected": into * unit, "power_escaped": out * unit}

    def _rates(self, measure: SpectralMeasure, f: Floats, n: Floats) -> Values:
        rates = inverse_lifetimes(self.setup.collisions, measure, f, n)
        unit = 1.0 / self.setup.units.time
        # Bins without states have no quasiparticles that could live or die.
        there = np.where(measure.active[0], 1.0, np.nan)
        return {
            "rate_scattering": rates.scattering[0] * there * unit,
            "rate_recombination": rates.recombination[0] * there * unit,
            "rate_pair_breaking": rates.pair_breaking[0] * unit,
            "rate_absorption": rates.absorption[0] * unit,
        }

    def _resonator(self, f: Floats, gap: float) -> Values:
        resonator = self.case.resonator
        assert resonator is not None
        grid, delta0 = self.setup.grid, self.setup.units.energy
        if self._mattis_bardeen is None or self._mattis_bardeen[0] != gap:
            frequency = resonator.photon_energy.in_delta0(delta0)
            self._mattis_bardeen = gap, MattisBardeen(grid, gap, frequency)
        conductivity = self._mattis_bardeen[1]
        sigma1, sigma2 = (float(part[0]) for part in conductivity(f))
        # The shift is that of quasiparticles and of the gap that they have changed.
        empty = MattisBardeen(grid, 1.0, conductivity.frequency).cold if gap != 1.0 else conductivity.cold
        share = resonator.kinetic_inductance_fraction
        film = 1.0 if resonator.thickness is None else float(film_factor(resonator.thickness))
        return {
            "sigma1": sigma1,
            "sigma2": sigma2,
            "inverse_quality_factor": float(internal_loss(sigma1, sigma2, share, film)),
            "frequency_shift": float(frequency_shift(sigma2, empty.sigma2[0], share, film)),
        }


def _inverse(function: Callable[[float], float], value: float) -> float:
    """Temperature at which an increasing ``function`` of its logarithm has a value; NaN if none has."""
    low, high = np.log(COLDEST), np.log(HOTTEST)
    if not (value > 0.0 and function(low) < value < function(high)):
        return float("nan")
    target = np.log(value)
    return float(np.exp(brentq(lambda x: np.log(max(function(x), 1e-300)) - target, low, high, xtol=1e-12)))
