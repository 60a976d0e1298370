"""Energies of a case of the transport model: gaps that stay, and the axis that they need."""

from __future__ import annotations

from fvqp.case.boltzmann.schema import MAX_BINS
from fvqp.case.boltzmann.strong import largest_phonon
from fvqp.case.scales import Units
from fvqp.case.transport.schema import Region, TransportCase
from fvqp.case.transport.substances import Substance
from fvqp.collisions import CollisionGrid
from fvqp.errors import CaseError


def energy_grid(
    case: TransportCase, units: Units, reference: Substance, own: dict[str, Substance]
) -> CollisionGrid:
    """Bins of quasiparticles and energies of phonons, Δ0 of the reference; raises :class:`CaseError`.

    Args:
        case, units: as named.
        reference: the material of the case.
        own: those of regions that have another one.
    """
    delta0 = units.energy
    energies = case.energies
    if energies.spacing == "steps":
        raise CaseError(
            f'{case.source}: energies.spacing: "steps" is for model = "boltzmann"; '
            'expected "uniform" or "graded"'
        )
    spacing = energies.spacing or "uniform"
    width, maximum = energies.width.in_delta0(delta0), energies.maximum.in_delta0(delta0)
    top = None if energies.phonon_maximum is None else energies.phonon_maximum.in_delta0(delta0)
    strong = reference.strong
    if strong is not None:
        top = largest_phonon(strong, top, maximum, case.source)
    places = {"": Region(), **case.regions}
    found = [stationary_gap(case, units, own.get(name, reference), region) for name, region in places.items()]
    gaps = [gap for gap in found if gap is not None]
    # Damping leaves states everywhere below the gap of a spectrum at a temperature.
    warm = any(one.spectrum.temperature is not None for one in (reference, *own.values()))
    lowest = 0.0 if case.gap.model == "follows" or warm else min(gaps)
    if energies.lowest_gap is not None:
        given = energies.lowest_gap.in_delta0(delta0)
        least = min(gaps or [1.0, *(one.material.gap / delta0 for one in own.values())])
        if given > least:
            raise CaseError(
                f"{case.source}: energies.lowest_gap: {given:g} Delta0 is above a gap of {least:g} Delta0"
            )
        lowest = given
    if spacing == "uniform" and (maximum - lowest) / width > MAX_BINS:
        raise CaseError(f"{case.source}: energies.width: makes more than {MAX_BINS} bins; choose wider ones")
    cold = [one.material.gap / delta0 for one in own.values()]
    highest = max([1.0, *gaps, *cold])
    if maximum <= highest + 2.0 * width:
        raise CaseError(
            f"{case.source}: energies.maximum: {maximum:.4g} Delta0 leaves no room above a gap of "
            f"{highest:.4g} Delta0"
        )
    if case.resonator is not None:
        probe = case.resonator.photon_energy.in_delta0(delta0)
        if probe >= maximum:
            raise CaseError(
                f"{case.source}: resonator.photon_energy: {probe:.4g} Delta0 is not below energies.maximum "
                f"of {maximum:.4g} Delta0: what photons lift would be off the axis"
            )
    # localized states have a bin below those that a gap inside a bin shares between two
    start = max(lowest - (width if case.localization is None else 2.0 * width), 0.0)
    try:
        if spacing == "uniform":
            return CollisionGrid.uniform(width, maximum, start=start, phonon_maximum=top)
        growth = 0.05 if energies.growth is None else energies.growth
        return CollisionGrid.graded(
            maximum, gap=(start, highest), finest=width, growth=growth, phonon_maximum=top
        )
    except CaseError as error:
        raise CaseError(f"{case.source}: energies: {error}") from None


def stationary_gap(case: TransportCase, units: Units, here: Substance, region: Region) -> float | None:
    """Fixed gap of a region made of ``here``, in Δ0 of the reference; None where there is no such."""
    if region.insulator:
        return None
    unit = units.energy
    cold = here.material.gap / unit
    if here.strong is not None and case.gap.model == "fixed":
        return here.strong.gap * cold
    if region.gap is not None:
        return region.gap.in_joule(here.material.gap) / unit
    given = case.gap
    if given.model == "follows":
        return None
    return cold if given.value is None or region.material is not None else given.value.in_delta0(unit)
