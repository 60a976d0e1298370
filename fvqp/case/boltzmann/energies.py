"""Energy axes of kinetic models: limits from the gaps that an axis has to hold, and bins between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from fvqp.case.boltzmann.materials import CaseMaterial
from fvqp.case.boltzmann.schema import MAX_BINS, Energies
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError


class AxisLimits(NamedTuple):
    """Limits of an axis, Δ0 of the reference.

    Attributes:
        width, maximum: of bins, and end of the last one.
        lowest, highest: gaps that it holds.
        phonons: largest phonon energy; None for all that collisions can emit.
    """

    width: float
    maximum: float
    lowest: float
    highest: float
    phonons: float | None


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
    return AxisLimits(width, maximum, lowest, highest, top)


def spaced_axis(energies: Energies, source: str, limits: AxisLimits, *, below: int = 1) -> EnergyAxis:
    """Return uniform or graded bins; raise `CaseError` where they are too many, or contradict the limits.

    Args:
        energies, source, limits: see `axis_limits`.
        below: bins below the lowest gap: where a gap is below the middle of its bin, the bin beneath holds
            states too.
    """
    width, maximum, lowest, highest, top = limits
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
            maximum, gap=(start, highest), finest=width, growth=growth, phonon_maximum=top
        )
    except CaseError as error:
        raise CaseError(f"{source}: energies: {error}") from None
