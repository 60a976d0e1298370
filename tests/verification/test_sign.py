"""The open question of Ryan et al. (2026): what does not turn the sign of g_nl (docs: The sign of g_nl)."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from mpi4py import MPI
from wire_devices import line_mesh, wire

import fvqp
from fvqp.case import load_case
from fvqp.case.usadel.build import build_mesh, build_problems
from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.models.usadel.device import Lead
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances

ROOT = Path(__file__).parents[2]

#: Detector's bias above the gap, injector biases below 3Δ0, in Δ0/e.
DETECTOR, INJECTOR = 1.3, (1.4, 2.0, 2.6)


def problem(injects: bool = True, resistance: float | None = None, **more: object) -> UsadelProblem:
    device = wire(line_mesh(14, 17), "junction_A", "point_B")
    lead = None if resistance is None else Lead(2.4e-20, 2e9, resistance)
    first, second = (replace(junction, lead=lead) for junction in device.junctions)
    device = replace(device, junctions=[first, replace(second, injects=injects)])
    grid = EnergyAxis(np.linspace(0.0, 6.0, 161))
    return UsadelProblem(device, grid, 0.005, GapModel("uniform", at="junction_A", rule="arcsinh"), **more)


def sweep(problem: UsadelProblem, biases: tuple[float, ...], sign: float = 1.0) -> list[Solution]:
    unit = problem.device.voltage_unit
    found: list[Solution] = []
    for bias in (0.0, 0.8, 1.0, *biases):
        point = Point(sign * bias * unit, DETECTOR * unit)
        found.append(solve_point(problem, point, found[-1] if found else None))
    return found[3:]


def odd_part(problem: UsadelProblem) -> np.ndarray:
    """g_sa at the injector biases, siemens."""
    up, down = (
        np.array([-conductances(problem, solution)[1] for solution in sweep(problem, INJECTOR, sign)])
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
        grid = EnergyAxis.graded(4.0, gap_edges=[gap], first=2.5e-6, number=800)
        fixed = UsadelProblem(device, grid, 1e-5, GapModel("fixed", value=gap))
        kinetic = solve_point(fixed, Point(0.0, 1.5 * unit)).kinetic
        return -float(fixed.junction_currents(kinetic.currents)[1]) / (31.4e-6 * unit)

    cold, warm = 0.02, 0.05
    by_gap = (current(1.001, cold) - current(0.999, cold)) / 0.002
    assert by_gap == pytest.approx(1.0 / np.sqrt(1.5**2 - 1.0), rel=0.01)
    squares = [(kelvin / solved.device.thermal_unit) ** 2 for kelvin in (cold, warm)]
    by_heat = (current(1.0, warm) - current(1.0, cold)) / (squares[1] - squares[0])
    assert by_heat == pytest.approx(np.pi**2 / 6.0 / (1.5**2 - 1.0) ** 1.5, rel=0.02)


def page() -> dict[str, dict[float, float]]:
    """Variant → injector bias → g_sa in nS, of the tables of docs/theory/sign_of_gnl.md that hold it."""
    text = (ROOT / "docs" / "theory" / "sign_of_gnl.md").read_text()
    found = {}
    for table in re.findall(r"^\| \$g_\\mathrm\{sa\}\$ \(nS\).*?\n\n", text, re.MULTILINE | re.DOTALL):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.strip().splitlines()]
        biases = [float(cell) for cell in rows[0][1:]]
        for label, *cells in rows[2:]:
            known = zip(biases, cells, strict=True)
            found[label] = {bias: float(cell) for bias, cell in known if cell}
    return found


def figures() -> ModuleType:
    """docs/figures.py, which computes every variant."""
    spec = importlib.util.spec_from_file_location("site_figures", ROOT / "docs" / "figures.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_page_has_every_variant() -> None:
    """Negative between the gap and three gaps, but for hot spots under both junctions."""
    table, site = page(), figures()
    variants = site.SIGN | site.OWN_GAPS
    assert set(table) == {variant.label for variant in variants.values()}
    for name, (label, *_) in variants.items():
        turned = name.startswith("sign_spots") and name != "sign_spots_probe"
        assert (table[label][1.4] > 0.0) == turned, label
        assert all(value < 0.0 for value in table[label].values()) != turned, label


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "bias"),
    [
        ("sign", 2.0),
        ("sign_probe", 2.0),
        ("sign_leads", 2.0),
        ("sign_phase", 2.0),
        ("sign_charge", 2.0),
        ("sign_at_detector", 2.0),
        ("sign_smeared", 2.0),
        ("sign_local", 1.4),
        ("sign_local_probe", 1.4),
    ],
)
def test_table_of_the_page(name: str, bias: float) -> None:
    """The shipped case in a variant gives the number of the page, whatever path leads to it."""
    site = figures()
    variant = (site.SIGN | site.OWN_GAPS)[name]
    case = ROOT / "cases" / "ryan2026" / f"{variant.case}.toml"
    changes = [*variant.overrides, site.biases(bias), "figures=[]"]
    found = fvqp.run(case, overrides=changes).dataset["g_sa"].squeeze()
    assert 1e9 * float(found[-1]) == pytest.approx(page()[variant.label][bias], rel=0.01, abs=0.5)


@pytest.mark.slow
@pytest.mark.parametrize("spectra", ["local", "diffusive"])
def test_gap_of_every_cell(spectra: str) -> None:
    """Both junctions inject: the current of the detector grows with the injector's bias at every bias between
    the gap and three gaps, and more than with one gap."""

    def slopes(gap: GapModel, spectra: str) -> np.ndarray:
        device = wire(line_mesh(8, 17), "junction_A", "point_B")
        grid = EnergyAxis.uniform(0.1, 5.0)
        solved = UsadelProblem(
            device, grid, 0.05, gap, spectra=spectra, collisions=InelasticCollisions(2e-4), tolerance=1e-6
        )
        biases = (1.2, 1.6, 2.0, 2.4, 2.8)
        found = sweep(solved, biases)
        currents = [-solved.junction_currents(solution.kinetic.currents)[1] for solution in found]
        return np.diff(currents) / np.diff(biases) / device.voltage_unit

    own = slopes(GapModel("local"), spectra)
    assert np.all(own < 0.0)
    assert np.all(own < slopes(GapModel("uniform", at="junction_A"), "local"))


@pytest.mark.slow
def test_hot_spots_turn_the_sign() -> None:
    """With a smaller broadening the gaps under both junctions jump to half of Δ0; from there on that of the
    detector rises with the injector's bias, and g_sa is positive, as the page has it."""
    case = load_case(ROOT / "cases" / "ryan2026" / "sign_hot_spots.toml")
    solved = build_problems(case, build_mesh(case, MPI.COMM_SELF))[0]
    unit = solved.device.voltage_unit
    gaps, solution = [], None
    for bias in (0.0, 1.0, 1.2, 1.4):
        solution = solve_point(solved, Point(bias * unit, DETECTOR * unit), solution)
        gaps.append(float(solved.average_under(1, solution.spectral.gap[:, None]).item()))
    assert solution is not None
    assert gaps[0] > 0.9 and max(gaps[1:]) < 0.5
    assert np.all(np.diff(gaps[1:]) > 0.0)
    mirrored = solve_point(solved, Point(-1.4 * unit, DETECTOR * unit), solution)
    up, down = (-conductances(solved, side)[1] for side in (solution, mirrored))
    label = figures().OWN_GAPS["sign_spots"].label
    assert 0.5e9 * float(up - down) == pytest.approx(page()[label][1.4], abs=0.5)
