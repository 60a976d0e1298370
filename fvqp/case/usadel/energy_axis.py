"""End of the energy axis of a case, and the keys of the case that determine it."""

from __future__ import annotations

from scipy import constants

from fvqp.case.usadel.schema import UsadelCase
from fvqp.study.energy_axis import MIN_MAXIMUM, reach


def largest_bias(case: UsadelCase, delta0: float) -> tuple[float, str]:
    """Largest |V| of any junction or reservoir in volt, and where the case says it; ``delta0`` in joule."""
    found = [(0.0, "the bias")]
    found += [
        (axis.largest(delta0), f"the largest of sweep.{key}")
        for key, axis in (("V_inj", case.sweep.V_inj), ("V_det", case.sweep.V_det))
        if axis is not None
    ]
    fixed = [(f"junctions[{n}].bias", entry.bias) for n, entry in enumerate(case.junctions)]
    fixed += [(f"reservoirs[{n}].voltage", entry.voltage) for n, entry in enumerate(case.reservoirs)]
    found += [(abs(bias.in_volt(delta0)), key) for key, bias in fixed if bias is not None]
    return max(found, key=lambda entry: entry[0])


def largest_temperature(case: UsadelCase) -> float:
    """Highest temperature that the case names, in kelvin."""
    given = [junction.temperature for junction in case.junctions]
    given += [reservoir.temperature for reservoir in case.reservoirs]
    own = [temperature for temperature in given if temperature is not None]
    return max([0.0, *own, *(case.sweep.temperature or ())])


def energy_maximum(case: UsadelCase, delta0: float) -> float:
    """Last edge of the energy axis in Δ0: as given, or the larger of 3 Δ0 and what bias and 30 k_BT need.

    Where electrons collide, one can come out with the energy of two.
    """
    if case.energies.maximum is not None:
        return case.energies.maximum.in_delta0(delta0)
    return max(MIN_MAXIMUM, sum(_needed(case, delta0)))


def _needed(case: UsadelCase, delta0: float) -> tuple[float, float]:
    """Return the end of the energy axis that the largest bias and the highest temperature need, Δ0."""
    electrons = 1 if case.collisions is None or case.collisions.electron_electron is None else 2
    return reach(largest_bias(case, delta0)[0], largest_temperature(case), delta0, electrons)


def axis_end(case: UsadelCase, delta0: float) -> str:
    """Return the end of the energy axis and its reason."""
    end = f"the axis ends at {energy_maximum(case, delta0):.4g} Delta0"
    bias, tail = _needed(case, delta0)
    if case.energies.maximum is not None:
        return f"{end}, as energies.maximum says"
    if bias + tail <= MIN_MAXIMUM:
        return f"{end}, the least that is taken"
    if tail > bias:
        return f"{end} because of temperatures up to {largest_temperature(case):.4g} K; are they right?"
    volts, key = largest_bias(case, delta0)
    return f"{end} because {key} is {volts:.4g} V, {volts * constants.e / delta0:.4g} Delta0/e; is it right?"
