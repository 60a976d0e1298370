"""The open question of Ryan et al. (2026): what does not turn the sign of g_nl (docs: The sign of g_nl)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from wire_devices import line_mesh, wire

from fvqp.grids.energy import EnergyGrid
from fvqp.models.device import Lead
from fvqp.models.usadel import GapModel, Point, Solution, UsadelProblem

#: Detector's bias above the gap, injector biases below 3Δ0, in Δ0/e.
DETECTOR, INJECTOR = 1.3, (1.4, 2.0, 2.6)


def problem(injects: bool = True, resistance: float | None = None, **more: object) -> UsadelProblem:
    device = wire(line_mesh(14, 17), "junction_A", "point_B")
    lead = None if resistance is None else Lead(2.4e-20, 2e9, resistance)
    first, second = (replace(junction, lead=lead) for junction in device.junctions)
    device = replace(device, junctions=[first, replace(second, injects=injects)])
    grid = EnergyGrid(np.linspace(0.0, 6.0, 161))
    return UsadelProblem(device, grid, 0.005, GapModel("uniform", at="junction_A", rule="arcsinh"), **more)


def sweep(problem: UsadelProblem, biases: tuple[float, ...], sign: float = 1.0) -> list[Solution]:
    unit = problem.device.voltage_unit
    found: list[Solution] = []
    for bias in (0.0, 0.8, 1.0, *biases):
        point = Point(sign * bias * unit, DETECTOR * unit)
        found.append(problem.solve(point, found[-1] if found else None))
    return found[3:]


def odd_part(problem: UsadelProblem) -> np.ndarray:
    """g_sa at the injector biases, siemens."""
    up, down = (
        np.array([-problem.conductances(solution)[1] for solution in sweep(problem, INJECTOR, sign)])
        for sign in (1.0, -1.0)
    )
    return 0.5 * (up - down)


@pytest.mark.slow
def test_dual_injection_and_leads_leave_the_sign() -> None:
    """Negative at all biases; the detector's own injection makes it smaller."""
    probe, both, leads = (odd_part(problem(**kind)) for kind in ({"injects": False}, {}, {"resistance": 1e3}))
    for part in (probe, both, leads):
        assert np.all(part < 0.0)
    assert np.all(np.abs(both) < np.abs(probe))


@pytest.mark.slow
def test_heat_that_would_be_needed() -> None:
    """The injector would have to heat the detector's lead over a hundred times as much as with 10 ohm."""
    for resistance, factor in ((10.0, 100.0), (1e3, 3.0)):
        solutions = sweep(problem(resistance=resistance), (1.9, 2.1))
        unit = problem().device.thermal_unit
        squares = [float((s.leads[1] / unit) ** 2) for s in solutions if s.leads is not None]
        gaps = [float(s.spectral.gap[0]) for s in solutions]
        needed = 6.0 / np.pi**2 * (DETECTOR**2 - gaps[0] ** 2) / gaps[0] * (gaps[0] - gaps[1])
        assert 0.0 < (squares[1] - squares[0]) * factor < needed


@pytest.mark.slow
def test_current_above_the_gap() -> None:
    """The two slopes that the estimate is made of, by Eq. (above-gap), for a cold and a warmer detector."""
    solved = problem(injects=False)
    unit = solved.device.voltage_unit

    def current(gap: float, kelvin: float) -> float:
        junctions = [solved.device.junctions[0], replace(solved.device.junctions[1], temperature=kelvin)]
        device = replace(solved.device, junctions=junctions)
        grid = EnergyGrid.graded(4.0, gap_edges=[gap], first=2.5e-6, number=800)
        fixed = UsadelProblem(device, grid, 1e-5, GapModel("fixed", value=gap))
        kinetic = fixed.solve(Point(0.0, 1.5 * unit)).kinetic
        return -float(fixed.junction_currents(kinetic.currents)[1]) / (31.4e-6 * unit)

    cold, warm = 0.02, 0.05
    by_gap = (current(1.001, cold) - current(0.999, cold)) / 0.002
    assert by_gap == pytest.approx(1.0 / np.sqrt(1.5**2 - 1.0), rel=0.01)
    squares = [(kelvin / solved.device.thermal_unit) ** 2 for kelvin in (cold, warm)]
    by_heat = (current(1.0, warm) - current(1.0, cold)) / (squares[1] - squares[0])
    assert by_heat == pytest.approx(np.pi**2 / 6.0 / (1.5**2 - 1.0) ** 1.5, rel=0.02)
