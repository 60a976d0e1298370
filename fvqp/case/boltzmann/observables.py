"""Observables of a state of the Boltzmann model, in SI units."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from scipy import constants
from scipy.optimize import brentq

from fvqp.case.boltzmann.build import BoltzmannSetup
from fvqp.case.boltzmann.resonator import shown
from fvqp.case.boltzmann.schema import BoltzmannCase
from fvqp.collisions import (
    BinWeights,
    MattisBardeen,
    PhononEscape,
    Process,
    inverse_lifetimes,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
    thermal,
)
from fvqp.collisions.process import is_sink
from fvqp.results.dataset import SweepDataset
from fvqp.typing import Floats

Values = dict[str, float | Floats]

#: Temperatures in Δ0 between which effective temperatures are looked for.
COLDEST, HOTTEST = 1e-3, 1e2


class Observables:
    """Turns states into what results hold."""

    def __init__(self, case: BoltzmannCase, setup: BoltzmannSetup) -> None:
        self.case, self.setup = case, setup
        self._mattis_bardeen: tuple[float, MattisBardeen] | None = None
        #: Whether results of the thermal distribution with as many quasiparticles stand beside those found.
        self.thermal = any(figure.compare == "thermal" for figure in case.figures)

    def define(self, sweep: SweepDataset) -> None:
        """Spectra among the variables of the results, and how figures read the strength."""
        read = _strength(self.case)
        if read is not None and "strength" in sweep.dataset.coords:
            sweep.dataset["strength"].attrs.update(
                zip(("symbol", "factor", "shown_units"), read, strict=True)
            )
        sweep.define("f", ("energy",))
        sweep.define("n", ("omega",))
        if self.thermal:
            sweep.define("f_thermal", ("energy",))
        if self.case.output.rates:
            for name in ("rate_scattering", "rate_recombination"):
                sweep.define(name, ("energy",))
            for name in ("rate_pair_breaking", "rate_absorption"):
                sweep.define(name, ("omega",))

    def of(
        self, f: Floats, n: Floats, gap: float, bin_weights: BinWeights, processes: Mapping[str, Process]
    ) -> Values:
        """Observables of a state with occupations ``(1, N)``, ``(1, K)`` and a gap in Δ0."""
        setup, units, grid = self.setup, self.setup.units, self.setup.grid
        number = float(quasiparticle_density(bin_weights, f)[0])
        values: Values = {
            "f": f[0],
            "n": n[0],
            "gap": gap * units.energy / constants.e,
            "n_qp": number * units.density,
            "x_qp": 2.0 * number,
            "energy_qp": float(quasiparticle_energy(grid, bin_weights, f)[0]) * units.energy_density,
            "energy_ph": float(phonon_energy(setup.collisions, n, bin_weights)[0]) * units.energy_density,
        }
        values |= self._temperatures(bin_weights, number, n)
        values |= self._powers(bin_weights, f, n, processes, gap)
        if setup.strong is None or setup.self_consistent is not None:
            values["energy_condensate"] = float(setup.condensate(gap)) * units.energy_density
            values["gap_suppression"] = self._gap_suppression(bin_weights, f, gap)
        values["recombination_rate"] = self._recombination(bin_weights, f, n)
        if self.case.output.rates:
            values |= self._rates(bin_weights, f, n)
        if self.case.resonator is not None and gap > 0.0:
            values |= self._resonator(f, gap)
        if self.thermal:
            values |= self._of_thermal(bin_weights, float(values["temperature_qp"]), gap)  # type: ignore[arg-type]
        return values

    def _gap_suppression(self, bin_weights: BinWeights, f: Floats, gap: float) -> float:
        """``1 − Δ/Δ0`` by the gap equation ``ln(Δ0/Δ) = 2∫f/E dξ``, first order in f where Δ is fixed."""
        if gap == 0.0:
            return 1.0
        if self.setup.strong is not None:
            return 1.0 - gap
        return float(-np.expm1(-2.0 * (bin_weights.pair_weights * f).sum() / gap))

    def _recombination(self, bin_weights: BinWeights, f: Floats, n: Floats) -> float:
        """Mean rate at which a quasiparticle recombines, 1/s."""
        lost = self.setup.collisions.gain_loss(bin_weights, f, n, "pairs").out_f
        number = float((bin_weights.number * f).sum())
        if number == 0.0:
            return 0.0
        return float((bin_weights.number * f * lost).sum()) / number / self.setup.units.time

    def _of_thermal(self, bin_weights: BinWeights, kelvin: float, gap: float) -> Values:
        """Return observables of the thermal distribution at a temperature."""
        if not np.isfinite(kelvin):
            return {}
        f, n = thermal(self.setup.grid, self.setup.units.temperature(kelvin))
        values: Values = {"f": f[0], "recombination_rate": self._recombination(bin_weights, f, n)}
        if self.case.resonator is not None and gap > 0.0:
            values |= self._resonator(f, gap)
        return {f"{name}_thermal": value for name, value in values.items()}

    def _temperatures(self, bin_weights: BinWeights, number: float, n: Floats) -> Values:
        """Temperatures at which the density of quasiparticles and the energy of phonons are thermal."""
        setup = self.setup
        grid, kelvin = setup.grid, setup.units.energy / constants.k
        heat = float(phonon_energy(setup.collisions, n, bin_weights)[0])

        def quasiparticles(log_temperature: float) -> float:
            f = thermal(grid, float(np.exp(log_temperature))).f
            return float(quasiparticle_density(bin_weights, f)[0])

        def phonons(log_temperature: float) -> float:
            there = thermal(grid, float(np.exp(log_temperature))).n
            return float(phonon_energy(setup.collisions, there, bin_weights)[0])

        return {
            "temperature_qp": _inverse(quasiparticles, number) * kelvin,
            "temperature_ph": _inverse(phonons, heat) * kelvin,
        }

    def _powers(
        self, bin_weights: BinWeights, f: Floats, n: Floats, processes: Mapping[str, Process], gap: float
    ) -> Values:
        """Power of drives and sources, power that leaves, with the share that could break pairs, and power
        that collisions pass from quasiparticles to phonons."""
        into = out = 0.0
        share = np.nan
        weight = self.setup.collisions.modes(bin_weights)[0] * self.setup.grid.phonon_energies
        for process in processes.values():
            flow = process.energy_flow(bin_weights, f, n)  # type: ignore[attr-defined]
            power = float(flow.quasiparticles[0] + flow.phonons[0])
            if isinstance(process, PhononEscape):
                out -= power
                lost = weight * process.rates(bin_weights, f, n).n[0]
                breaking = self.setup.grid.phonon_energies >= self._threshold(bin_weights, gap)
                share = float(lost[breaking].sum() / total) if (total := float(lost.sum())) else np.nan
            elif is_sink(process):
                out -= power
            else:
                into += power
        unit = self.setup.units.power_density
        passed = self.setup.collisions.rates(bin_weights, f, n).n[0] @ weight
        return {
            "power_injected": into * unit,
            "power_escaped": out * unit,
            "power_to_phonons": float(passed) * unit,
            "share_above_2gap": share,
        }

    def _threshold(self, bin_weights: BinWeights, gap: float) -> float:
        """Energy of the first phonon point that breaks pairs, in Δ0, less rounding."""
        least = gap
        if bin_weights.phonon_shares is not None and bin_weights.active.any():
            least = float(self.setup.grid.energies[np.argmax(bin_weights.active[0])])
        return 2.0 * least * (1.0 - 1e-12)

    def _rates(self, bin_weights: BinWeights, f: Floats, n: Floats) -> Values:
        rates = inverse_lifetimes(self.setup.collisions, bin_weights, f, n)
        unit = 1.0 / self.setup.units.time
        # Bins without states have no quasiparticles that could live or die.
        there = np.where(bin_weights.active[0], 1.0, np.nan)
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
        return {**shown(resonator, sigma1, sigma2, float(empty.sigma2[0]))}


def _strength(case: BoltzmannCase) -> tuple[str, float, str] | None:
    """Symbol, factor and unit of what a strength stands for; None where it stands for several things."""
    if len(case.microwaves) + len(case.injections) != 1:
        return None
    if case.microwaves:
        (mode,) = case.microwaves
        if mode.photons is not None:
            return "$\\bar n$", mode.photons, "1"
        assert mode.absorbed_power is not None
        return "$P$", mode.absorbed_power, "W m-3"
    return "$P$", case.injections[0].power, "W m-3"


def _inverse(function: Callable[[float], float], value: float) -> float:
    """Temperature at which an increasing ``function`` of its logarithm has a value; NaN if none has."""
    low, high = np.log(COLDEST), np.log(HOTTEST)
    if not (value > 0.0 and function(low) < value < function(high)):
        return float("nan")
    target = np.log(value)
    return float(np.exp(brentq(lambda x: np.log(max(function(x), 1e-300)) - target, low, high, xtol=1e-12)))
