"""Spectra of Eliashberg theory in cases of kinetic models: their solution, and what they cannot tell."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np

from fvqp.case.boltzmann.schema import Spectrum
from fvqp.case.interaction import resolved
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.materials import Material
from fvqp.models.strong_coupling import StrongCoupling, strong_coupling

log = logging.getLogger(__name__)

#: Temperature in T_c up to which the gap is that of zero temperature to 1 %.
WARM = 0.35
#: Part by which the renormalization may differ from that of low energy before a warning says so.
RENORMALIZED = 0.1


def solved_spectrum(given: Spectrum, material: Material, where: str) -> StrongCoupling | None:
    """Solution of the Eliashberg equations, if a case asks for one; ``where`` it does, for messages."""
    if given.interaction is None:
        return None
    try:
        spectrum, coulomb, source = resolved(given.interaction)
        strong = strong_coupling(
            material,
            spectrum,
            coulomb=coulomb,
            cutoff=given.interaction.cutoff_mev,
            temperature=0.0 if given.temperature is None else given.temperature,
        )
    except CaseError as error:
        raise CaseError(f"{where}: {error}") from None
    of = dict.fromkeys(("gap", "critical_temperature", "characteristic_time"), f"Eliashberg theory: {source}")
    return replace(strong, material=replace(strong.material, sources={**strong.material.sources, **of}))


def largest_phonon(strong: StrongCoupling, given: float | None, maximum: float, source: str) -> float:
    """Last phonon energy of an axis, Δ0.

    Args:
        strong: whose α²F has an end.
        given: ``phonon_maximum`` of the case, or None.
        maximum: of quasiparticle energies.
        source: of the case, for messages.

    Raises:
        CaseError: an energy beyond the end.
    """
    end = strong.largest_phonon
    if given is None:
        return min(end, 2.0 * maximum)
    if given > end:
        raise CaseError(
            f"{source}: energies.phonon_maximum: {given:.4g} Delta0 is above the end of the interaction at "
            f"{end:.4g} Delta0"
        )
    return given


def described(strong: StrongCoupling) -> str:
    """One line for ``fvqp check``."""
    return (
        f"Eliashberg theory, {strong.alpha2f.name}: lambda = {strong.alpha2f.coupling:.4g}, mu* = "
        f"{strong.coulomb:.4g}, Tc = {strong.material.critical_temperature:.4g} K, Z(0) = "
        f"{strong.renormalization:.4g}, gap {strong.gap:.4g} Delta0"
    )


def warn(
    strong: StrongCoupling, given: Spectrum, grid: EnergyAxis, unit: float, hottest: float, where: str
) -> None:
    """Warns where a spectrum does not fit the energies or temperatures that it is used for.

    Args:
        strong: the solution.
        given: its table in the case.
        grid, unit: energies, and what they are in, joule.
        hottest: temperature of the case, kelvin.
        where: file and key of the table, for messages.
    """
    edge = strong.gap * strong.material.gap / unit
    off = np.abs(strong.renormalization_of_bins(grid, unit) - 1.0) * (grid.energies > edge)
    if given.renormalization == "constant" and np.any(off > RENORMALIZED):
        log.warning(
            "%s: from %.3g Delta0 on the renormalization differs by more than %.0f %% from that of low "
            'energy, with which rates of quasiparticles are computed; give renormalization = "energy"',
            where,
            grid.energies[np.argmax(off > RENORMALIZED)],
            100.0 * RENORMALIZED,
        )
    critical = strong.material.critical_temperature
    if given.temperature is None and hottest > WARM * critical:
        log.warning(
            "%s.temperature: the spectrum is that of zero temperature, although %g K is above %.2g Tc; give "
            "it",
            where,
            hottest,
            WARM,
        )
