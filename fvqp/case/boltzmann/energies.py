"""Energy axes of films and bodies: limits from the gaps that an axis has to hold, and bins between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from fvqp.case.boltzmann.materials import CaseMaterial, stationary_gap
from fvqp.case.boltzmann.schema import MAX_BINS, AnyCase, BoltzmannCase, Energies, Region
from fvqp.case.process import given_processes
from fvqp.case.processes.microwaves import Microwave
from fvqp.case.scales import Units
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError

#: Bins above which photon steps have to be asked for; the uniform axis is far smaller then.
MAX_BY_DEFAULT = 3000


class AxisLimits(NamedTuple):
    """Limits of an axis, Δ0 of the reference.

    Attributes:
        width, maximum: of bins, and end of the last one.
        lowest, highest: gaps that it holds.
        phonons: largest phonon energy; None for all that collisions can emit.
        fixed: the gaps, if none of them moves or varies in space.
        feet: of the first photon steps above them, where photons gather quasiparticles.
    """

    width: float
    maximum: float
    lowest: float
    highest: float
    phonons: float | None
    fixed: tuple[float, ...] = ()
    feet: tuple[float, ...] = ()


def energy_axis(
    case: AnyCase, units: Units, reference: CaseMaterial, own: Mapping[str, CaseMaterial]
) -> EnergyAxis:
    """Return bins of quasiparticles and energies of phonons; raise `CaseError`.

    Args:
        case, units: as named.
        reference: the material of the case.
        own: those of regions that have another one.
    """
    film = isinstance(case, BoltzmannCase)
    if case.energies.spacing == "steps" and not film:
        raise CaseError(
            'energies.spacing: "steps" is for model = "boltzmann"; expected "uniform" or "graded"'
        )
    places = {"": Region(), **case.regions}
    found = [stationary_gap(case, units, own.get(name, reference), region) for name, region in places.items()]
    gaps = [gap for gap in found if gap is not None]
    varies = case.gap.model == "follows" or case.gap_profile is not None
    limits = axis_limits(case.energies, case.source, [reference, *own.values()], gaps, follows=varies)
    if isinstance(case, BoltzmannCase):
        gap = gaps[0] if gaps else 1.0
        if limits.phonons is not None and limits.phonons < 2.0 * max(gap, limits.lowest):
            raise CaseError(
                f"{case.source}: energies.phonon_maximum: {limits.phonons:.4g} Delta0 is below twice the "
                "gap: no phonon could break a pair, and quasiparticles could not recombine"
            )
        if grid := _stepped(case, units.energy, gap, limits.phonons):
            return grid
    elif case.resonator is not None:
        probe = case.resonator.photon_energy.in_delta0(units.energy)
        if probe >= limits.maximum:
            raise CaseError(
                f"resonator.photon_energy: {probe:.4g} Delta0 is not below energies.maximum of "
                f"{limits.maximum:.4g} Delta0: what photons lift would be off the axis"
            )
    modes = [process for _, process in given_processes(case) if isinstance(process, Microwave)]
    photons = [mode.photon_energy.in_delta0(units.energy) for mode in modes]
    limits = limits._replace(
        feet=tuple(gap + photon for gap in limits.fixed for photon in photons if photon < 2.0 * gap)
    )
    # without localized states, a gap inside a bin of a body shares its states between two
    below = 1 if film or case.localization is None else 2
    return spaced_axis(case.energies, case.source, limits, below=below)


def axis_limits(
    energies: Energies,
    source: str,
    materials: Sequence[CaseMaterial],
    gaps: Sequence[float],
    *,
    follows: bool,
) -> AxisLimits:
    """Return the limits of an axis; raise `CaseError` where it does not hold the gaps.

    Args:
        energies: table of the case ``source``.
        materials: superconductors of the case, the reference first.
        gaps: those that are fixed, Δ0.
        follows: True if others follow.
    """
    delta0, key = materials[0].material.gap, f"{source}: energies"
    width, maximum = energies.width.in_delta0(delta0), energies.maximum.in_delta0(delta0)
    top = None if energies.phonon_maximum is None else energies.phonon_maximum.in_delta0(delta0)
    if materials[0].strong is not None:
        end = materials[0].strong.largest_phonon
        if top is not None and top > end:
            raise CaseError(
                f"{key}.phonon_maximum: {top:.4g} Delta0 is above the end of the interaction at "
                f"{end:.4g} Delta0"
            )
        top = min(end, 2.0 * maximum) if top is None else top
    cold = [one.material.gap / delta0 for one in materials[1:]]
    # Damping leaves states everywhere below the gap of a spectrum at a temperature.
    warm = any(one.spectrum.temperature is not None for one in materials)
    lowest, highest = 0.0 if follows or warm else min(gaps), max([1.0, *gaps, *cold])
    if energies.lowest_gap is not None:
        lowest, least = energies.lowest_gap.in_delta0(delta0), min(gaps or [1.0, *cold])
        if lowest > least:
            raise CaseError(f"{key}.lowest_gap: {lowest:g} Delta0 is above a gap of {least:g} Delta0")
    if maximum <= highest + 2.0 * width:
        raise CaseError(
            f"{key}.maximum: {maximum:.4g} Delta0 leaves no room above a gap of {highest:.4g} Delta0; "
            'expected several Delta0, such as "4 Delta0"'
        )
    fixed = () if follows or warm or energies.lowest_gap is not None else tuple(sorted(set(gaps)))
    return AxisLimits(width, maximum, lowest, highest, top, fixed)


def spaced_axis(energies: Energies, source: str, limits: AxisLimits, *, below: int = 1) -> EnergyAxis:
    """Return uniform or graded bins; raise `CaseError` where they are too many, or contradict the limits.

    Args:
        energies, source, limits: see `axis_limits`.
        below: bins below the lowest gap: where a gap is below the middle of its bin, the bin beneath holds
            states too.
    """
    width, maximum, lowest, highest, top, fixed, feet = limits
    spacing, bins = energies.spacing or "uniform", (maximum - lowest) / width
    if spacing == "uniform" and bins > MAX_BINS:
        raise CaseError(
            f"{source}: energies.width: makes {bins:.3g} bins, at most {MAX_BINS} are possible; "
            'choose wider ones, or spacing = "graded"'
        )
    start = max(lowest - below * width, 0.0)
    try:
        if spacing == "uniform":
            return EnergyAxis.uniform(width, maximum, start=start, phonon_maximum=top)
        growth = 0.05 if energies.growth is None else energies.growth
        return EnergyAxis.from_gap(
            maximum,
            gap=fixed or (lowest, highest),
            finest=width,
            growth=growth,
            phonon_maximum=top,
            fixed=bool(fixed),
            start=None if fixed and below == 1 else start,
            feet=feet,
        )
    except CaseError as error:
        raise CaseError(f"{source}: energies: {error}") from None


def _stepped(case: BoltzmannCase, delta0: float, gap: float, top: float | None) -> EnergyAxis | None:
    """Bins that repeat at every photon step; None where the case has other ones.

    Args:
        case: as named.
        delta0: joule.
        gap: that stays, and largest phonon energy or None; Δ0.
    """
    energies, photons = case.energies, {mode.photon_energy.in_delta0(delta0) for mode in case.microwaves}
    if energies.spacing not in (None, "steps"):
        return None
    key = f"{case.source}: energies.spacing"
    step = max(photons, default=0.0)
    reason = ""
    if len(photons) != 1 or not step < 2.0 * gap:
        reason = "microwaves of one photon energy below twice the gap"
    elif case.gap.model != "fixed":
        reason = 'gap.model = "fixed"'
    elif case.spectrum.model != "bcs":
        reason = 'spectrum.model = "bcs"'
    elif case.collisions.evaluation == "direct":
        reason = 'collisions.evaluation = "graded" or "auto"'
    elif any(injection.of == "quasiparticles" for injection in case.injections):
        # They are shared between neighbouring bins, however narrow one of them is.
        reason = "no injections of quasiparticles"
    if energies.spacing is None and (reason or energies.rule == "linear" or energies.lowest_gap is not None):
        return None
    if reason:
        raise CaseError(f'{key}: "steps" needs {reason}')
    width, maximum = (energy.in_delta0(delta0) for energy in (energies.width, energies.maximum))
    at_least = (maximum - gap) / min(step, width)
    if at_least <= MAX_BINS:
        try:
            grid = EnergyAxis.stepped(maximum, gap=gap, step=step, width=width, phonon_maximum=top)
        except CaseError as error:
            raise CaseError(f"{case.source}: energies: {error}") from None
        if grid.n <= (MAX_BINS if energies.spacing else MAX_BY_DEFAULT):
            return grid
        at_least = grid.n
    if energies.spacing is None:
        return None
    raise CaseError(f'{key}: "steps" makes {at_least:.3g} bins or more, at most {MAX_BINS} are possible')
