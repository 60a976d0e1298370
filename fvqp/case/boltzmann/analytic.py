"""Closed forms beside the results: a microwave drive of a cold film, decay by recombination, cold lifetimes.

Results ``<name>_analytic`` are stored where a figure asks for them with ``compare = "analytic"``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from scipy import constants
from scipy.special import ellipe, ellipk, lambertw

from fvqp.case.boltzmann.build import BoltzmannSetup
from fvqp.case.boltzmann.schema import BoltzmannCase
from fvqp.collisions import quasiparticle_density, thermal
from fvqp.errors import CaseError, FvqpError
from fvqp.models.boltzmann.driven import (
    DrivenDensity,
    DrivenDistribution,
    absorption_rate,
    density,
    effective_temperature,
    emission_rate,
)
from fvqp.models.boltzmann.rothwarf_taylor import RothwarfTaylor
from fvqp.results.dataset import SweepDataset
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Kind of a figure → the result beside which it shows a closed form.
SHOWS = {
    "distribution": "f",
    "phonons": "n",
    "density": "n_qp",
    "inverse_density": "n_qp",
    "x_qp": "x_qp",
    "gap_suppression": "gap_suppression",
    "temperatures": "temperature_qp",
    "lifetimes": "rates",
}
#: Kinds of figures that show what a thermal distribution would have.
THERMAL = ("distribution", "recombination", "conductivity", "resonator")
#: What decays have a closed form of.
DECAYS = ("n_qp", "x_qp", "rates")
#: Energy in Δ up to which driven quasiparticles matter for the making of pairs, which begins at 3Δ.
LAST = 6.0


class Driven(NamedTuple):
    """Closed forms of a steady state in a microwave mode.

    Attributes:
        temperature: effective one T_*, Δ0.
        density: of quasiparticles.
        weakening: ``⟨Δ/E⟩``, by how much of x_qp the gap is lowered.
        f: distribution at the energies of the grid, ``(N,)``, with this density; NaN where bins lie below
            the gap, and thermal without photons.
    """

    temperature: float
    density: DrivenDensity
    weakening: float
    f: Floats


class ClosedForms:
    """Closed forms of a case.

    Attributes:
        names: of the results beside which they stand; empty if no figure asks for them.
    """

    def __init__(self, case: BoltzmannCase, setup: BoltzmannSetup) -> None:
        """
        Raises:
            CaseError: a figure asks for a closed form that the case does not have.
        """
        self.case, self.setup = case, setup
        self.names: set[str] = set()
        reason = _missing(case, setup)
        for number, figure in enumerate(case.figures):
            key = f"{case.source}: figures[{number}].compare"
            if figure.compare == "thermal" and figure.kind not in THERMAL:
                shown = ", ".join(f'"{kind}"' for kind in THERMAL)
                raise CaseError(f'{key}: "thermal" is for {shown}, not for "{figure.kind}"')
            if figure.compare != "analytic":
                continue
            if figure.kind not in SHOWS:
                shown = ", ".join(f'"{kind}"' for kind in SHOWS)
                raise CaseError(f'{key}: there are closed forms for {shown}, not for "{figure.kind}"')
            if reason and (figure.kind != "lifetimes" or setup.reference.strong is not None):
                raise CaseError(f"{key}: the case has no closed form: {reason}")
            name = SHOWS[figure.kind]
            if case.evolution is not None and name not in DECAYS:
                raise CaseError(f"{key}: the closed form of a decay is one of densities")
            if name == "temperature_qp" and case.phonons.escape is None:
                raise CaseError(f"{key}: the closed form of the temperature needs phonons.escape")
            self.names.add(name)

    def define(self, sweep: SweepDataset) -> None:
        """Closed forms among the variables of the results."""
        if "f" in self.names:
            sweep.define("f_analytic", ("energy",))
        if "n" in self.names:
            sweep.define("n_analytic", ("omega",))
        if "rates" in self.names:
            sweep.define("rate_scattering_analytic", ("energy",))
            sweep.define("rate_pair_breaking_analytic", ("omega",))

    def lifetimes(self, gap: float) -> dict[str, float | Floats]:
        """Rates without quasiparticles and phonons, of energies above the gap and twice the gap.

        Emission of phonons, and pair breaking (Kaplan et al., Phys. Rev. B 14, 4854 (1976)).

        Args:
            gap: Δ in Δ0.
        """
        if "rates" not in self.names:
            return {}
        coupling, grid = self.setup.reference.coupling, self.setup.grid
        emitted, broken = np.full(grid.n, np.nan), np.full(grid.n_phonon, np.nan)
        if gap > 0.0:
            above, pairs = grid.energies > gap, grid.phonon_energies > 2.0 * gap
            emitted[above] = emission_rate(coupling.kappa, grid.energies[above], gap)
            w = grid.phonon_energies[pairs] / gap
            parameter = ((w - 2.0) / (w + 2.0)) ** 2
            integral = (w + 2.0) * ellipe(parameter) - 4.0 * w / (w + 2.0) * ellipk(parameter)
            broken[pairs] = integral * gap / (np.pi * coupling.pair_breaking_time)
        unit = 1.0 / self.setup.units.time
        return {"rate_scattering_analytic": emitted * unit, "rate_pair_breaking_analytic": broken * unit}

    def steady(
        self, temperature: float, strength: float, found: Mapping[str, float | Floats]
    ) -> dict[str, float | Floats]:
        """Closed forms of a steady state.

        Args:
            temperature: of the bath, kelvin.
            strength: factor of the number of photons, or of the absorbed power.
            found: what is known of the state, by the names of results: at a given power the closed forms are
                those of the photons that it took.
        """
        if not self.names - {"rates"}:
            return {}
        values: dict[str, float | Floats] = {}
        if "temperature_qp" in self.names:
            power = float(found["power_injected"]) * float(found["share_above_2gap"])  # type: ignore[arg-type]
            values["temperature_qp_analytic"] = self.temperature(temperature, power)
        if not self.names - {"rates", "temperature_qp"}:
            return values
        (mode,) = self.case.microwaves
        if mode.photons is None:
            rate, photons = float(found["drive_rate"]), np.inf  # type: ignore[arg-type]
        else:
            assert mode.coupling is not None
            photons = strength * mode.photons
            rate = mode.coupling * photons
        try:
            driven = self.driven(temperature, rate * self.setup.units.time, photons)
        except FvqpError as error:
            log.warning("closed forms at temperature %g K, strength %g: %s", temperature, strength, error)
            return values
        x_qp, gap = float(driven.density.x_qp), self.setup.gap
        values |= {
            "x_qp_analytic": x_qp,
            "n_qp_analytic": 0.5 * x_qp * self.setup.units.density,
            "gap_suppression_analytic": x_qp / gap * driven.weakening,
        }
        if "n" in self.names:
            values["n_analytic"] = self.phonons(temperature, driven.f)
        return values | ({"f_analytic": driven.f} if "f" in self.names else {})

    def phonons(self, temperature: float, f: Floats) -> Floats:
        """Phonons that quasiparticles emit, absorb, and that escape (theory, driven-phonons).

        Args:
            temperature: of the bath, kelvin.
            f: occupation of quasiparticles, ``(N,)``; NaN below the gap.
        """
        setup, escape = self.setup, self.case.phonons.escape
        bath = thermal(setup.grid, setup.units.temperature(temperature)).n
        if escape is None:
            return np.asarray(bath[0])
        rate = setup.units.time / escape.seconds
        parts = setup.collisions.at(setup.bin_weights(setup.gap), np.nan_to_num(f)[None], bath).gain_loss()
        return np.asarray(((parts.in_n + rate * bath) / (parts.out_n - parts.in_n + rate))[0])

    def temperature(self, bath: float, power: float) -> float:
        """Temperature T* at which as many quasiparticles are in equilibrium, kelvin (theory, driven-power).

        Args:
            bath: temperature of the bath, kelvin.
            power: that leaves with phonons above twice the gap, W/m³.
        """
        setup, units, gap = self.setup, self.setup.units, self.setup.gap
        coupling = setup.reference.coupling
        escape = self.case.phonons.escape
        assert escape is not None
        trapping = escape.seconds / units.time / coupling.pair_breaking_time * gap
        # in units of 4 N0 Δ0²/τ0 and Δ: P τ_l/τ_B = 4π κ³ Δ⁵ (T e^(−2/T) − T_b e^(−2/T_b))
        cold = units.temperature(bath) / gap
        balance = power / units.power_density * trapping / (4.0 * np.pi * coupling.kappa**3 * gap**5)
        target = balance + cold * np.exp(-2.0 / cold)
        # T e^(−2/T) = y has T = 2/W(2/y)
        return float(2.0 / lambertw(2.0 / target).real * gap * units.energy / constants.k)

    def driven(self, temperature: float, rate: float, photons: float) -> Driven:
        """Effective temperature, density and distribution in a microwave mode.

        No bins are involved. What ends the gathering of quasiparticles at the gap is their recombination and
        the absorption of phonons of the bath.

        Args:
            temperature: of the bath, kelvin.
            rate: c_phot n̄ in 1/τ0.
            photons: n̄, infinite where spontaneous emission does not count.
        """
        setup, units, gap = self.setup, self.setup.units, self.setup.gap
        coupling, energies = setup.reference.coupling, setup.grid.energies
        (mode,) = self.case.microwaves
        energy, bath = mode.photon_energy.in_delta0(units.energy), units.temperature(temperature)
        effective = float(effective_temperature(coupling.kappa, rate, energy, 1.0, gap))
        escape = self.case.phonons.escape
        # τ_l/τ_B(2Δ); phonons of a bath leave at once
        trapping = 0.0 if escape is None else escape.seconds / units.time / coupling.pair_breaking_time * gap

        def balanced(pair_emission: float, moments: tuple[float, float] | None) -> DrivenDensity:
            # With Δ for Δ0: rates depend on Δ/k_BT_c, and all energies are in Δ.
            forms = density(
                coupling.kappa * gap,
                effective / gap,
                bath=bath / gap,
                trapping=trapping,
                pair_emission=pair_emission,
                moments=moments,
            )
            return forms._replace(
                x_qp=gap * forms.x_qp, thermal=gap * forms.thermal, driven=gap * forms.driven
            )

        above = energies > gap
        found, shape = balanced(0.0, None), np.where(above, thermal(setup.grid, bath).f[0], np.nan)
        weakening = 1.0
        # Phonons of the bath, and recombination of all whether their phonon breaks a pair again or not, keep
        # quasiparticles from gathering at the gap. How many there are hardly depends on these rates.
        for _ in range(2 if rate else 0):
            recombination = (1.0 + trapping) * 2.0 * found.recombination * found.x_qp / gap
            ladders = DrivenDistribution(
                energy,
                rate,
                coupling.kappa,
                maximum=max(float(setup.grid.edges[-1]), LAST * gap),
                photons=photons,
                gap=gap,
                loss=float(recombination + absorption_rate(coupling.kappa, bath, gap)),
            )
            shape[above] = ladders(energies[above])
            x = ladders.energies / gap - 1.0
            found = balanced(ladders.pair_emission(), (ladders.mean(x), ladders.mean(x**2)))
            weakening = ladders.mean(1.0 / (1.0 + x))
        if rate:
            shape *= 0.5 * float(found.x_qp)
        return Driven(effective, found, weakening, shape)

    def decay(self, temperature: float, start: Floats, times: Floats) -> list[dict[str, float]]:
        """Closed forms of a decay at every time.

        Args:
            temperature: of the bath, kelvin.
            start: occupations of quasiparticles ``(1, N)`` at time 0.
            times: seconds.
        """
        if not self.names - {"rates"}:
            return [{} for _ in times]
        setup, units, gap = self.setup, self.setup.units, self.setup.gap
        coupling, escape, trapping = setup.reference.coupling, self.case.phonons.escape, self.case.trapping
        bin_weights = setup.bin_weights(gap)
        bath = thermal(setup.grid, units.temperature(temperature)).f
        model = RothwarfTaylor(
            recombination=8.0 * coupling.kappa**3 * gap**2,
            pair_breaking_time=coupling.pair_breaking_time / gap,
            escape_time=1e-300 if escape is None else escape.seconds / units.time,
            trapping_time=np.inf if trapping is None else 1.0 / (trapping.rate * units.time),
            thermal_density=float(quasiparticle_density(bin_weights, bath)[0]),
        )
        number = float(quasiparticle_density(bin_weights, start)[0])
        found = model.reduced.decay(number, times / units.time)
        return [{"x_qp_analytic": 2.0 * n, "n_qp_analytic": n * units.density} for n in found.tolist()]


def _missing(case: BoltzmannCase, setup: BoltzmannSetup) -> str:
    """Why a case has no closed form; empty if it has one."""
    if setup.reference.strong is not None:
        return 'they are those of spectrum.model = "bcs"'
    if setup.problem.gap_follows:
        return 'it needs gap.model = "fixed"'
    if case.injections:
        return "there is none with injections"
    leaves = case.phonons.escape is not None or case.phonons.model == "bath"
    if case.evolution is not None:
        if case.microwaves:
            return "there is none for an evolution with microwaves"
        return "" if leaves else "phonons cannot leave, so that quasiparticles do not decay"
    if case.trapping is not None:
        return "there is none for a steady state with trapping"
    if len(case.microwaves) != 1:
        return "a steady state has one with exactly one microwave mode"
    frequency = case.microwaves[0].photon_energy.in_delta0(setup.units.energy)
    if frequency >= 2.0 * setup.gap:
        return f"photons of {frequency:.4g} Delta0 break pairs"
    return ""
