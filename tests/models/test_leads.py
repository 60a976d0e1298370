"""Heat of normal leads: closed forms, quadrature, published numbers of NIS refrigerators, balances."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from wire_devices import line_mesh, wire

from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.models.usadel import slopes
from fvqp.models.usadel.device import LORENZ, Device, Lead
from fvqp.models.usadel.leads import heat_balance, tunnelled_heat
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances

WEAK = 1e-12
"""Siemens: a junction that the wire does not feel."""
BROADENING = 1e-5


def one_junction(
    lead: Lead | None, temperature: float, gap: float = 1.0, maximum: float = 12.0
) -> UsadelProblem:
    """A weak junction on a wire, all of it at ``temperature`` (kelvin), with a fixed gap (Δ0)."""
    device = wire(line_mesh(10, 9), "point_B", bath=temperature)
    junction = replace(device.junctions[0], conductance=WEAK, temperature=temperature, lead=lead)
    grid = EnergyAxis.graded(maximum, gap_edges=[1.0], first=BROADENING / 4, number=800)
    return UsadelProblem(
        replace(device, junctions=[junction]), grid, BROADENING, GapModel("fixed", value=gap)
    )


def heat(problem: UsadelProblem, bias: float) -> float:
    """Heat into the lead over G (Δ0/e)²."""
    unit = problem.device.voltage_unit
    solution = solve_point(problem, Point(bias * unit))
    return float(tunnelled_heat(problem, solution.point, solution.kinetic)[0]) / (WEAK * unit**2)


def integral(bias: float, t: float) -> float:
    """∫ (E − eV) N(E) [f(E) − f(E − eV)]: minus the heat that leaves a normal metal through an NIS junction.

    ε = cosh u takes the singularity of N = ε/√(ε² − 1) away.
    """

    def side(sign: float) -> float:
        def integrand(u: float) -> float:
            e = sign * np.cosh(u)
            difference = 1.0 / (np.exp((e - bias) / t) + 1.0) - 1.0 / (np.exp(e / t) + 1.0)
            return -(e - bias) * difference * np.cosh(u)

        return float(quad(integrand, 0.0, np.arccosh(12.0), limit=200)[0])

    return side(1.0) + side(-1.0)


def test_heat_of_nis_junctions() -> None:
    """Against quadrature, heating and cooling; at k_BT = 0.3 Δ the greatest cooling is 0.06 Δ²/e²R.

    (M. Nahum, T. M. Eiles, J. M. Martinis, Appl. Phys. Lett. 65, 3123 (1994); M. M. Leivo, J. P. Pekola,
    D. V. Averin, Appl. Phys. Lett. 68, 1996 (1996).)
    """
    t = 0.3
    unit = one_junction(None, 0.1).device.thermal_unit
    problem = one_junction(None, t * unit)
    for bias in (0.3, 0.8, 1.0, 1.5):
        assert heat(problem, bias) == pytest.approx(integral(bias, t), rel=1e-3, abs=2e-5)
        assert heat(problem, -bias) == pytest.approx(heat(problem, bias), rel=1e-9)
    biases = np.linspace(0.6, 1.0, 41)
    cooling = -np.array([heat(problem, bias) for bias in biases])
    assert cooling.max() == pytest.approx(0.06, abs=0.001)
    assert biases[cooling.argmax()] == pytest.approx(1.0 - 0.66 * t, abs=0.04)


def test_cold_refrigerator() -> None:
    """k_BT ≪ Δ: at the best bias, eV = Δ − 0.66 k_BT, the lead loses 0.59 (Δ²/e²R) (k_BT/Δ)^{3/2}."""
    t = 0.01
    problem = one_junction(None, t * one_junction(None, 0.1).device.thermal_unit, maximum=2.0)
    biases = 1.0 - t * np.linspace(0.3, 1.1, 33)
    cooling = -np.array([heat(problem, bias) for bias in biases])
    assert cooling.max() == pytest.approx(0.59 * t**1.5, rel=0.015)
    assert (1.0 - biases[cooling.argmax()]) / t == pytest.approx(0.66, abs=0.05)


def test_normal_junction_heats_both_sides_alike() -> None:
    """Half of GV² each; by the law of Wiedemann and Franz T² = T0² + (2R/L0)(GV²/2 + I²R/2)."""
    rest, resistance, bias = 0.05, 2e10, 2.0
    problem = one_junction(Lead(1e-30, 1.0, resistance), rest, gap=0.0)
    unit = problem.device.voltage_unit
    solution = solve_point(problem, Point(bias * unit))
    volts = bias * unit
    balance = heat_balance(problem, solution)
    assert solution.leads is not None
    # What flows by the difference of temperatures obeys the law of Wiedemann and Franz, too.
    warmer = 0.5 * LORENZ * WEAK * (solution.leads[0] ** 2 - rest**2)
    assert balance.tunnelled[0] == pytest.approx(0.5 * WEAK * volts**2 - warmer, rel=1e-4)
    expected = balance.tunnelled[0] + 0.5 * (WEAK * volts) ** 2 * resistance
    assert solution.leads[0] ** 2 == pytest.approx(rest**2 + 2.0 * resistance / LORENZ * expected, rel=1e-9)


def test_phonons_alone() -> None:
    """ΣV (T⁵ − T0⁵) takes all heat where the lead has no wire; it can also be colder than its phonons."""
    rest = 0.3
    problem = one_junction(Lead(1e-27, 2e9), rest)
    unit = problem.device.voltage_unit
    for bias, sign in ((0.9, -1.0), (2.0, 1.0)):
        solution = solve_point(problem, Point(bias * unit))
        assert solution.leads is not None
        t = float(solution.leads[0])
        balance = heat_balance(problem, solution)
        assert 2e-18 * (t**5 - rest**5) == pytest.approx(balance.tunnelled[0], rel=1e-8)
        assert sign * (t - rest) > 1e-3 * rest


def both() -> UsadelProblem:
    device = wire(line_mesh(12, 9), "point_A", "point_B")
    junctions = [replace(junction, lead=Lead(6e-20, 2e9, 500.0)) for junction in device.junctions]
    model = GapModel("uniform", at="point_A")
    grid = EnergyAxis(np.linspace(0.0, 6.0, 121))
    return UsadelProblem(replace(device, junctions=junctions), grid, 0.01, model)


def test_work_of_the_sources_is_accounted_for() -> None:
    """What the sources give is the energy that enters the superconductor and the heat of the leads."""
    problem = both()
    unit = problem.device.voltage_unit
    solution = solve_point(problem, Point(1.6 * unit, 1.2 * unit))
    work = problem.junction_currents(solution.kinetic.currents) @ [1.6 * unit, 1.2 * unit]
    balance = heat_balance(problem, solution)
    energy = problem.ledger(solution).injected[1]
    assert energy + balance.tunnelled.sum() == pytest.approx(work, rel=1e-12)
    gone = balance.phonons + balance.reservoir
    np.testing.assert_allclose(balance.tunnelled + balance.dissipated, gone, rtol=1e-7)
    # What one junction injects heats the other's lead.
    alone = solve_point(problem, Point(0.0, 1.2 * unit))
    assert solution.leads is not None and alone.leads is not None
    assert solution.leads[1] > 1.001 * alone.leads[1]


def refined_slope(problem: UsadelProblem, solution: Solution, step: float) -> np.ndarray:
    """dI/dV from solutions at four biases around one, error of fourth order in the step (Δ0/e)."""
    unit, point = problem.device.voltage_unit, solution.point

    def current(s: float) -> np.ndarray:
        near = solve_point(problem, replace(point, V_inj=point.V_inj + s * unit), solution)
        return np.asarray(problem.junction_currents(near.kinetic.currents))

    one, two = ((current(s) - current(-s)) / (2.0 * s * unit) for s in (step, 2.0 * step))
    return np.asarray((4.0 * one - two) / 3.0)


@pytest.mark.parametrize(
    "gap", ["uniform", "fixed", pytest.param("fixed with collisions", marks=pytest.mark.slow)]
)
def test_conductance_follows_the_leads(gap: str) -> None:
    """dI/dV with gap and temperatures that follow, against solutions at other biases."""
    problem = both()
    if gap != "uniform":
        collisions = InelasticCollisions(2e-3) if "collisions" in gap else None
        problem = replace(problem, gap=GapModel("fixed", value=0.9), collisions=collisions, transport=None)
    unit = problem.device.voltage_unit
    # The current also heats its own lead's wire.
    for bias in (0.85,) if gap == "uniform" else (0.85, 2.0):
        solution = solve_point(problem, Point(bias * unit, 1.2 * unit))
        found = conductances(problem, solution)
        np.testing.assert_allclose(found, refined_slope(problem, solution, 2e-3), rtol=2e-5)
        cold = replace(solution, leads=None)
        apart = replace(problem, device=with_leads(problem.device, None), transport=None)
        assert not np.allclose(conductances(apart, cold), found, rtol=1e-4)


def with_leads(device: Device, lead: Lead | None) -> Device:
    return replace(device, junctions=[replace(junction, lead=lead) for junction in device.junctions])


def hot_spot() -> UsadelProblem:
    """A gap of every cell beside leads of copper."""
    device = with_leads(wire(line_mesh(4, 9), "junction_A", "point_B"), Lead(2.4e-20, 2e9, 10.0))
    return UsadelProblem(
        device, EnergyAxis.uniform(0.125, 5.0), 0.02, GapModel("local"), collisions=InelasticCollisions(2e-4)
    )


@pytest.mark.slow
def test_conductance_with_leads_in_a_hot_spot(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """dI/dV before and behind the jump of a gap of every cell; NaN, with a message, where it is not found."""
    problem = hot_spot()
    unit, solution = problem.device.voltage_unit, None
    for bias, low, high in ((0.8, 0.9, 1.0), (1.2, 0.3, 0.6), (1.6, 0.3, 0.6)):
        solution = solve_point(problem, Point(bias * unit, 1.2 * unit), solution)
        assert low < solution.spectral.gap.min() < high
        slope = refined_slope(problem, solution, 5e-4)
        np.testing.assert_allclose(conductances(problem, solution), slope, rtol=1e-4, atol=1e-5 * slope[0])
    assert solution is not None
    monkeypatch.setattr(slopes, "MAX_DIRECTIONS", 1)
    assert np.isnan(conductances(problem, solution)).all()
    assert "slopes of gaps and phase are not found" in caplog.text


def test_axis_too_short_for_a_hot_lead() -> None:
    problem = one_junction(Lead(1e-26, 2e9), 0.1, maximum=3.0)
    with pytest.raises(CaseError, match=r"energies\.maximum: the electrons of lead A heat up to"):
        solve_point(problem, Point(2.0 * problem.device.voltage_unit))
