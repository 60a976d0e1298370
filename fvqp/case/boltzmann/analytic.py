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
        f: distribution at the energies of the grid, ``(N,)``, with this density; NaN where bins lie below
            the gap, and thermal without photons.
    """

    temperature: float
    density: DrivenDensity
    f: Floats


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
        return values | ({"f_analytic": found.f} if "f" in self.names else {})

    def driven(self, temperature: float, strength: float) -> Driven:
        """Effective temperature, density and distribution in a microwave mode; arguments as of `steady`.

        In a cold film the first photon step holds a number of quasiparticles that grows with the logarithm of
        the resolution at the gap. What is taken is their number in the bins of the grid, so that the drive
        makes as many pairs per quasiparticle as it can in a solution on this grid.
        """
        setup, units, gap = self.setup, self.setup.units, self.setup.gap
        coupling, energies = setup.collisions.coupling, setup.grid.energies
        (mode,) = self.case.microwaves
        assert mode.photons is not None and mode.coupling is not None
        photons, rate = strength * mode.photons, mode.coupling * units.time
        energy, bath = mode.photon_energy.in_delta0(units.energy), units.temperature(temperature)
        effective = float(effective_temperature(coupling.kappa, rate, energy, photons, gap))
        escape = self.case.phonons.escape
        # τ_l/τ_B(2Δ); phonons of a bath leave at once
        trapping = 0.0 if escape is None else escape.seconds / units.time / coupling.pair_breaking_time * gap

        def balanced(pair_emission: float) -> DrivenDensity:
            # With Δ for Δ0: rates depend on Δ/k_BT_c, and all energies are in Δ.
            forms = density(
                coupling.kappa * gap,
                effective / gap,
                bath=bath / gap,
                trapping=trapping,
                pair_emission=pair_emission,
            )
            return forms._replace(
                x_qp=gap * forms.x_qp, thermal=gap * forms.thermal, driven=gap * forms.driven
            )

        above = energies > gap
        found, shape = balanced(0.0), np.where(above, thermal(setup.grid, bath).f[0], np.nan)
        # Recombination, of all whether their phonon breaks a pair again or not, keeps quasiparticles from
        # gathering at the gap. Its rate depends on how many there are, which hardly depends on it.
        for _ in range(2 if photons else 0):
            ladders = DrivenDistribution(
                energy,
                rate * photons,
                coupling.kappa,
                maximum=max(float(setup.grid.edges[-1]), LAST * gap),
                photons=photons,
                gap=gap,
                loss=float((1.0 + trapping) * 2.0 * found.recombination * found.x_qp / gap),
            )
            shape[above] = ladders(energies[above])
            # Bins that end above the gap are centred below it, where the ladders know nothing.
            first = np.where(above, shape, shape[above][0])
            number = float(quasiparticle_density(setup.measure(gap), first[None])[0])
            shape /= number
            found = balanced(ladders.pair_emission() / number)
        if photons:
            shape *= 0.5 * float(found.x_qp)
        return Driven(effective, found, shape)

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
