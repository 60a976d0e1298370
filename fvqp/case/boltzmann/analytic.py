"""Closed forms beside the results: a microwave drive of a cold film, and decay by recombination.

Results ``<name>_analytic`` are stored where a figure asks for them with ``compare = "analytic"``.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fvqp.case.boltzmann.build import Setup
from fvqp.case.boltzmann.schema import BoltzmannCase
from fvqp.collisions import quasiparticle_density, thermal
from fvqp.errors import CaseError, FvqpError
from fvqp.models.driven import DrivenDensity, DrivenDistribution, density, effective_temperature
from fvqp.models.rothwarf_taylor import RothwarfTaylor
from fvqp.results.dataset import SweepDataset

Floats = NDArray[np.float64]
log = logging.getLogger(__name__)

#: Kind of a figure → the result beside which it shows a closed form.
SHOWS = {"distribution": "f", "density": "n_qp", "x_qp": "x_qp"}
#: Energy in Δ up to which driven quasiparticles matter for the making of pairs, which begins at 3Δ.
LAST = 6.0


class Driven(NamedTuple):
    """Closed forms of a steady state in a microwave mode.

    Attributes:
        temperature: effective one T_*, Δ0.
        density: of quasiparticles.
        distribution: f on the photon ladders, one quasiparticle in all; None without photons.
    """

    temperature: float
    density: DrivenDensity
    distribution: DrivenDistribution | None


class ClosedForms:
    """Closed forms of a case.

    Attributes:
        names: of the results beside which they stand; empty if no figure asks for them.
    """

    def __init__(self, case: BoltzmannCase, setup: Setup) -> None:
        """
        Raises:
            CaseError: a figure asks for a closed form that the case does not have.
        """
        self.case, self.setup = case, setup
        self.names: set[str] = set()
        reason = _missing(case, setup)
        for number, figure in enumerate(case.figures):
            if figure.compare is None:
                continue
            key = f"{case.source}: figures[{number}].compare"
            if figure.kind not in SHOWS:
                shown = ", ".join(f'"{kind}"' for kind in SHOWS)
                raise CaseError(f'{key}: there are closed forms for {shown}, not for "{figure.kind}"')
            if reason:
                raise CaseError(f"{key}: the case has no closed form: {reason}")
            if figure.kind == "distribution" and case.evolution is not None:
                raise CaseError(f"{key}: the closed form of a decay is one of densities, not of spectra")
            self.names.add(SHOWS[figure.kind])

    def define(self, sweep: SweepDataset) -> None:
        """Closed forms among the variables of the results."""
        if "f" in self.names:
            sweep.define("f_analytic", ("energy",))

    def steady(self, temperature: float, strength: float) -> dict[str, float | Floats]:
        """Closed forms of a steady state.

        Args:
            temperature: of the bath, kelvin.
            strength: factor of the number of photons.
        """
        if not self.names:
            return {}
        try:
            found = self.driven(temperature, strength)
        except FvqpError as error:
            log.warning("closed forms at temperature %g K, strength %g: %s", temperature, strength, error)
            return {}
        x_qp = float(found.density.x_qp)
        values: dict[str, float | Floats] = {
            "x_qp_analytic": x_qp,
            "n_qp_analytic": 0.5 * x_qp * self.setup.units.density,
        }
        if "f" in self.names:
            values["f_analytic"] = self._distribution(found, temperature)
        return values

    def driven(self, temperature: float, strength: float) -> Driven:
        """Effective temperature, density and distribution in a microwave mode; arguments as of `steady`."""
        setup, units, gap = self.setup, self.setup.units, self.setup.gap
        coupling = setup.collisions.coupling
        (mode,) = self.case.microwaves
        assert mode.photons is not None and mode.coupling is not None
        photons, rate = strength * mode.photons, mode.coupling * units.time
        energy = mode.photon_energy.in_delta0(units.energy)
        effective = float(effective_temperature(coupling.kappa, rate, energy, photons, gap))
        escape = self.case.phonons.escape
        # τ_l/τ_B(2Δ); phonons of a bath leave at once
        trapping = 0.0 if escape is None else escape.seconds / units.time / coupling.pair_breaking_time * gap
        # The closed forms take Δ for Δ0: rates depend on Δ/k_BT_c, and all energies are in Δ.
        in_gap = {"bath": units.temperature(temperature) / gap, "trapping": trapping}

        def found(pair_emission: float) -> DrivenDensity:
            forms = density(coupling.kappa * gap, effective / gap, pair_emission=pair_emission, **in_gap)
            return forms._replace(
                **{name: gap * getattr(forms, name) for name in ("x_qp", "thermal", "driven")}
            )

        if photons == 0.0:
            return Driven(effective, found(0.0), None)

        def ladders(loss: float) -> DrivenDistribution:
            maximum = max(float(setup.grid.edges[-1]), LAST * gap)
            return DrivenDistribution(
                energy, rate * photons, coupling.kappa, maximum=maximum, photons=photons, gap=gap, loss=loss
            )

        # Recombination, of all whether their phonon breaks a pair again or not, keeps quasiparticles from
        # gathering at the gap. Its rate depends on how many there are, which hardly depends on it.
        forms = found(0.0)
        for _ in range(2):
            loss = float((1.0 + trapping) * 2.0 * forms.recombination * forms.x_qp / gap)
            distribution = ladders(loss)
            forms = found(distribution.pair_emission())
        return Driven(effective, forms, distribution)

    def _distribution(self, driven: Driven, temperature: float) -> Floats:
        """f at the energies of the grid, with the density of the closed form; NaN below the gap."""
        setup = self.setup
        if driven.distribution is None:
            f = thermal(setup.grid, setup.units.temperature(temperature)).f[0]
            return np.where(setup.grid.energies > setup.gap, f, np.nan)
        f = np.full(setup.grid.n, np.nan)
        above = setup.grid.energies > setup.gap
        f[above] = 0.5 * float(driven.density.x_qp) * driven.distribution(setup.grid.energies[above])
        return f

    def decay(self, temperature: float, start: Floats, times: Floats) -> list[dict[str, float]]:
        """Closed forms of a decay at every time.

        Args:
            temperature: of the bath, kelvin.
            start: occupations of quasiparticles ``(1, N)`` at time 0.
            times: seconds.
        """
        if not self.names:
            return [{} for _ in times]
        setup, units, gap = self.setup, self.setup.units, self.setup.gap
        coupling, escape, trapping = setup.collisions.coupling, self.case.phonons.escape, self.case.trapping
        measure = setup.measure(gap)
        bath = thermal(setup.grid, units.temperature(temperature)).f
        model = RothwarfTaylor(
            recombination=8.0 * coupling.kappa**3 * gap**2,
            pair_breaking_time=coupling.pair_breaking_time / gap,
            escape_time=1e-300 if escape is None else escape.seconds / units.time,
            trapping_time=np.inf if trapping is None else 1.0 / (trapping.rate * units.time),
            thermal_density=float(quasiparticle_density(measure, bath)[0]),
        )
        number = float(quasiparticle_density(measure, start)[0])
        found = model.reduced.decay(number, times / units.time)
        return [{"x_qp_analytic": 2.0 * n, "n_qp_analytic": n * units.density} for n in found.tolist()]


def _missing(case: BoltzmannCase, setup: Setup) -> str:
    """Why a case has no closed form; empty if it has one."""
    if setup.follower is not None:
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
    if len(case.microwaves) != 1 or case.microwaves[0].photons is None:
        return "a steady state has one with exactly one microwave mode with a given number of photons"
    frequency = case.microwaves[0].photon_energy.in_delta0(setup.units.energy)
    if frequency >= 2.0 * setup.gap:
        return f"photons of {frequency:.4g} Delta0 break pairs"
    return ""
