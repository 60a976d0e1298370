"""Energy axes of Usadel problems, from the biases of a sweep and the spectra at rest."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
from mpi4py import MPI
from scipy import constants

from fvqp.energy import EnergyAxis
from fvqp.models.usadel.problem import UsadelProblem
from fvqp.spectral.usadel import gap_edge

MIN_MAXIMUM = 3.0
"""Δ0 that an axis reaches at least, unless its end is given."""
THERMAL_REACH = 30.0
"""Temperatures k_BT that an axis reaches beyond the largest bias."""
COARSE = 200
"""Bins of the axis on which spectra at rest are found."""
MAX_WIDTH = 0.1
"""Widest bin of a graded axis in Δ0, unless it is given."""
LOWEST_EDGE = 0.9
"""Part of the gap edge at rest down to which bins stay fine where the gap follows the bias."""


def reach(bias: float, temperature: float, delta0: float, electrons: int = 1) -> tuple[float, float]:
    """Return the parts of an axis that the largest bias and the highest temperature need, in Δ0.

    Args:
        bias: largest size of a voltage, volt.
        temperature: highest one, kelvin.
        delta0: unit of energy, joule.
        electrons: whose energies one electron can have: 2 where electrons collide with one another.
    """
    return electrons * bias * constants.e / delta0, THERMAL_REACH * temperature * constants.k / delta0


def coarse_axis(maximum: float, broadening: float) -> EnergyAxis:
    """Return the axis on which spectra at rest are found, around which the one of a sweep is graded."""
    number = max(COARSE, math.ceil(COARSE * maximum / 10.0))
    first = min(0.01, max(broadening, 1e-4))
    return EnergyAxis.graded(maximum, gap_edges=[1.0], first=first, number=number)


def fitted_axis(
    problems: Sequence[UsadelProblem],
    number: int,
    spacing: Literal["graded", "uniform"] = "graded",
    largest: float | None = None,
) -> EnergyAxis:
    """Return uniform bins, or bins graded towards the edges of all spectra at rest. Collective.

    Args:
        problems: on coarse axes of one maximum, which the result keeps; with all values of their
            supercurrents.
        number: of bins.
        spacing: of the bins.
        largest: width of a bin of a graded axis in Δ0; default `MAX_WIDTH`.

    Raises:
        CaseError: the number is too small.
        ConvergenceError: the device does not carry a supercurrent.
    """
    maximum = problems[0].grid.maximum
    if spacing == "uniform":
        return EnergyAxis(np.linspace(0.0, maximum, number + 1))
    edges: set[float] = set()
    for problem in problems:
        comm = problem.device.mesh.comm
        for value in sorted({abs(value) for value in problem.drives}):
            state, _ = problem.at_rest(value)
            here = gap_edge(state.gap, state.depairing)
            if problem.proximity is not None:
                # Elsewhere neighbours wash the edges out.
                here = np.array(problem.proximity.sharp_edges(state.gap, state.depairing))
            # Along a wire the edge hardly varies; the largest and the smallest bracket what there is.
            low = comm.allreduce(float(here.min(initial=np.inf)), MPI.MIN)
            high = comm.allreduce(float(here.max(initial=0.0)), MPI.MAX)
            edges |= {round(low, 6), round(high, 6)}
            if problem.gap.follows_bias:
                edges |= set(np.round(np.linspace(LOWEST_EDGE * low, low, 6), 6).tolist())
    return EnergyAxis.graded(
        maximum,
        gap_edges=sorted(e for e in edges if 0.0 < e < maximum),
        first=max(problems[0].broadening / 4.0, 1e-6),
        number=number,
        largest=MAX_WIDTH if largest is None else largest,
    )


def axis_maximum(problem: UsadelProblem, biases: Iterable[float]) -> float:
    """Return the end in Δ0 of an axis for a sweep of ``biases`` (volt)."""
    device, collisions = problem.device, problem.collisions
    volts = [*biases, *(reservoir.voltage for reservoir in device.reservoirs)]
    volts += [junction.bias for junction in device.junctions if junction.bias is not None]
    kelvin = [junction.temperature for junction in device.junctions]
    kelvin += [reservoir.temperature for reservoir in device.reservoirs]
    electrons = 1 if collisions is None or collisions.electron_electron == 0.0 else 2
    largest = max((abs(bias) for bias in volts), default=0.0)
    return max(MIN_MAXIMUM, sum(reach(largest, max(kelvin), device.material.gap, electrons)))
