"""Normal leads out of equilibrium: the temperature of their electrons from a balance of heat.

What tunnels heats the electrons of a normal lead, or cools them (NIS refrigerator). They give the heat to the
phonons of the lead and, along a wire, to the reservoir that it ends in:

    P + I²R/2 = Σ𝒱(T⁵ − T0⁵) + L0 (T² − T0²)/(2R)      (theory: contacts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from fvqp.energy import thermal as distributions
from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.usadel.kinetics import KineticState, L, T
from fvqp.models.usadel.problem import Point, Solution, UsadelProblem
from fvqp.typing import Floats

#: Temperatures k_BT that the energy axis must reach beyond the bias of a lead.
THERMAL_TAIL = 10.0

#: A lead colder than this part of its phonons and reservoir is not looked for.
COLDEST = 1e-3

#: Temperatures that are tried above the last one, as its factor, before a lead counts as boiling.
HOTTEST = 1e6


@dataclass(frozen=True)
class HeatBalance:
    """Heat of the electrons of every junction's lead, W; zero where the lead has no balance of its own.

    Attributes:
        tunnelled: brought by what tunnels; negative where the lead is cooled.
        dissipated: by the current in the lead's wire.
        phonons, reservoir: taken by them.
    """

    tunnelled: Floats
    dissipated: Floats
    phonons: Floats
    reservoir: Floats


def tunnelled_heat(problem: UsadelProblem, point: Point, kinetic: KineticState) -> Floats:
    """Heat that tunnelling brings to the electrons of every lead, W.

    The work of the source, ``I V``, less the energy that enters the superconductor (`UsadelProblem.ledger`):
    ``(Δ0/e)² ∫ (v j_T + ε j_L) dε`` with ``v = eV/Δ0``, whatever the distributions on both sides.
    """
    grid, unit = problem.grid, problem.device.voltage_unit
    n = len(problem.device.junctions)
    j_l, j_t = kinetic.currents[L, :n], kinetic.currents[T, :n]
    work = problem.biases(point) * (j_t @ grid.widths)
    return (work + j_l @ (grid.widths * grid.energies)) * unit**2 / problem.device.back_action


def heat_balance(problem: UsadelProblem, solution: Solution) -> HeatBalance:
    """The balance of heat of all leads at a solution."""
    junctions = problem.device.junctions
    tunnelled = tunnelled_heat(problem, solution.point, solution.kinetic)
    currents = problem.junction_currents(solution.kinetic.currents)
    columns = np.zeros((4, len(junctions)))
    for n, junction in enumerate(junctions):
        if junction.lead is not None and solution.leads is not None:
            lead, t = junction.lead, float(solution.leads[n])
            columns[:, n] = (
                tunnelled[n],
                lead.joule(float(currents[n])),
                lead.to_phonons(t, junction.temperature),
                lead.to_reservoir(t, junction.temperature),
            )
    return HeatBalance(*columns)


class LeadUnknowns:
    """Temperatures of all leads with a balance of heat as unknowns: logarithms, held by the first rank.

    Args:
        problem: whose leads they are; there may be none.
        what: for messages.
    """

    def __init__(self, problem: UsadelProblem, what: str) -> None:
        self.problem, self.what = problem, what
        junctions = problem.device.junctions
        self._rest = np.array([junction.temperature for junction in junctions])
        self._mine = np.array([n for n, j in enumerate(junctions) if j.lead is not None], dtype=np.int64)

    def of(self, temperatures: Floats | None) -> Floats:
        """Unknowns of temperatures (kelvin) of the leads of all junctions; default: those of their baths."""
        known = self._rest if temperatures is None else temperatures
        return self._packed(known[self._mine])

    def temperatures(self, point: Point, unknowns: Floats) -> Floats:
        """Temperatures of the leads of all junctions, kelvin.

        Raises:
            CaseError: a lead is so hot that the energy axis ends below its thermal tail.
        """
        comm = self.problem.device.mesh.comm
        out = self._rest.copy()
        out[self._mine] = np.exp(comm.bcast(unknowns if comm.rank == 0 else None))
        _require_covered(self.problem, point, out)
        return out

    def balanced(self, solution: Solution) -> Floats:
        """Unknowns at which every lead loses what tunnels, beside the superconductor as it is."""
        found = [_balanced(self.problem, solution, int(n), self.what) for n in self._mine]
        return self._packed(np.array(found))

    def _packed(self, temperatures: Floats) -> Floats:
        return np.log(temperatures) if self.problem.device.mesh.comm.rank == 0 else np.empty(0)


def _balanced(problem: UsadelProblem, solution: Solution, number: int, what: str) -> float:
    """Temperature (K) at which lead ``number`` loses what tunnels, the superconductor being as it is."""
    device, grid = problem.device, problem.grid
    junction = device.junctions[number]
    lead = junction.lead
    assert lead is not None and solution.leads is not None
    now, rest = float(solution.leads[number]), junction.temperature
    heat = float(tunnelled_heat(problem, solution.point, solution.kinetic)[number])
    joule = lead.joule(float(problem.junction_currents(solution.kinetic.currents)[number]))
    dos = problem.kinetics.spectrum(solution.spectral).dos
    under = dos[0] if len(dos) == 1 else problem.average_under(number, dos)
    bias = float(problem.biases(solution.point)[number])
    weights = junction.conductance * device.voltage_unit**2 * under * grid.widths

    def of_lead(temperature: float) -> float:
        f_l, f_t = distributions.lead(grid.edges, bias, temperature / device.thermal_unit)
        return float(weights @ (bias * f_t + grid.energies * f_l))

    here = of_lead(now)

    def surplus(temperature: float) -> float:
        lost = lead.to_phonons(temperature, rest) + lead.to_reservoir(temperature, rest)
        return heat + of_lead(temperature) - here + joule - lost

    low, high = COLDEST * min(now, rest), 1.1 * max(now, rest)
    while surplus(high) > 0.0:
        high *= 2.0
        if high > HOTTEST * rest:
            raise ConvergenceError(f"{what}: lead {junction.name} finds no balance of its heat")
    if surplus(low) <= 0.0:
        raise ConvergenceError(f"{what}: lead {junction.name} is cooled below {low:.3g} K")
    # One number for all ranks: their iterates must not part.
    found = brentq(surplus, low, high, xtol=1e-14 * now, rtol=1e-14)
    return float(device.mesh.comm.bcast(found))


def _require_covered(problem: UsadelProblem, point: Point, temperatures: Floats) -> None:
    device, grid = problem.device, problem.grid
    reach = np.abs(problem.biases(point)) + THERMAL_TAIL * temperatures / device.thermal_unit
    for junction, needed, t in zip(device.junctions, reach, temperatures, strict=True):
        if needed > grid.maximum:
            raise CaseError(
                f"energies.maximum: the electrons of lead {junction.name} heat up to {t:.3g} K; with their "
                f"thermal tail the axis must reach {needed:.3g} Delta0, it ends at {grid.maximum:.4g}"
            )
