"""Electron-electron collisions in the wire of Ryan et al. (2026): what Figs. 11 and 12 show."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from wire_devices import line_mesh, wire

import fvqp
from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances

pytestmark = pytest.mark.slow
CASE = Path(__file__).parents[2] / "cases" / "ryan2026" / "fig11.toml"
BIASES = np.arange(0.0, 5.01, 0.25)


def wire_problem(
    strength: float | None, *, bins: int = 200, coarse: int = 14, fine: int = 9
) -> UsadelProblem:
    """The paper's parameters: Γ = 0.005, ω_D = 10, γ_ee = 2e-4, one gap from f_L at the injector."""
    return UsadelProblem(
        wire(line_mesh(coarse, fine), "point_B"),
        EnergyAxis(np.linspace(0.0, 10.0, bins + 1)),
        0.005,
        GapModel("uniform", at="point_B", rule="arcsinh"),
        collisions=None if strength is None else InelasticCollisions(strength),
    )


def sweep(problem: UsadelProblem, biases: np.ndarray = BIASES) -> list[Solution]:
    solutions: list[Solution] = []
    for bias in biases:
        point = Point(bias * problem.device.voltage_unit)
        solutions.append(solve_point(problem, point, solutions[-1] if solutions else None))
    return solutions


def gaps(solutions: list[Solution]) -> np.ndarray:
    return np.array([solution.spectral.gap[0] for solution in solutions])


@pytest.fixture(scope="module")
def inelastic() -> tuple[UsadelProblem, list[Solution]]:
    problem = wire_problem(2e-4)
    return problem, sweep(problem)


@pytest.fixture(scope="module")
def elastic() -> tuple[UsadelProblem, list[Solution]]:
    problem = wire_problem(None)
    return problem, sweep(problem)


def test_onset_plateau_and_fall(inelastic, elastic) -> None:
    """Fig. 11a: flat to Δ0, a sharp drop, a plateau; from 3Δ0 a near-linear fall with collisions only."""
    with_, without = gaps(inelastic[1]), gaps(elastic[1])
    for gap in (with_, without):
        at_rest, before, after, plateau = gap[[0, 3, 5, 10]]
        assert at_rest == pytest.approx(0.990, abs=1e-3)
        assert at_rest - before < 2e-3
        assert before - after > 0.02
        assert 0.0 < after - plateau < 0.012
    assert np.abs(with_ - without)[:11].max() < 3e-3
    assert without[12] - without[20] < 5e-3
    falling = np.polynomial.Polynomial.fit(BIASES[12:], with_[12:], 1)
    slope = falling.convert().coef[1]
    assert -0.036 < slope < -0.028
    # Near-linear: within a few percent of what the fall comes to, 2Δ0 long.
    assert np.abs(with_[12:] - falling(BIASES[12:])).max() < 0.04 * abs(2.0 * slope)


def test_distribution(inelastic, elastic) -> None:
    """Fig. 11b: enhanced at low energy, a step at 3Δ with the Δ of the bias, below the elastic one beyond."""
    problem, solutions = inelastic
    energy = problem.grid.energies
    middle = problem.device.mesh.n_cells // 2
    here, there = (-s[-1].kinetic.deviation(L)[middle] for s in (solutions, elastic[1]))
    gap = solutions[-1].spectral.gap[0]
    low, high = (energy > 1.05) & (energy < 1.5), (energy > 3.3 * gap) & (energy < 4.7)
    assert np.all(here[low] > 1.5 * there[low])
    assert np.all(here[high] < 0.9 * there[high])
    assert here[high][-1] < 0.4 * there[high][-1]
    # The decay rate sets in at 3Δ, where the distribution has its largest curvature but for the edges.
    inner = (energy > 1.8) & (energy < 4.5)
    bend = -np.gradient(np.gradient(here, energy), energy)[inner]
    assert abs(energy[inner][np.argmax(bend)] - 3.0 * gap) < 2.5 * problem.grid.widths[0]
    # Below 3Δ0 collisions leave f_L close to its elastic value.
    before, before_elastic = (-s[10].kinetic.deviation(L)[middle] for s in (solutions, elastic[1]))
    assert np.abs(before - before_elastic)[energy > 1.3].max() < 0.1 * before_elastic[energy > 1.3].max()


def test_pairs_are_broken_from_three_gaps_on(inelastic) -> None:
    """Without recombination to speak of, quasiparticles multiply once a bias reaches 3Δ."""
    problem, solutions = inelastic
    ledgers = [problem.ledger(solution) for solution in solutions]
    multiplied = np.array([-item.relaxed[0] / item.injected[0] for item in ledgers[5:]])
    assert np.abs(multiplied[BIASES[5:] < 2.6]).max() < 0.02
    assert np.all(np.diff(multiplied[BIASES[5:] > 2.9]) > 0.0)
    assert multiplied[-1] > 0.3
    for item in ledgers[5:]:
        assert np.all(np.abs(item.residual) < 1e-9 * np.abs(item.injected))


def onset_and_slope(*overrides: str) -> dict[str, tuple[float, float]]:
    """Of both curves of fig11.toml: the bias at which half of the drop between 0.9 and 1.1 Δ0/e is done, and
    the slope of Δ from 3.25 to 5 Δ0/e. Cells of 37 nm at the junctions unless a mesh is given."""
    biases = np.array([0.0, 0.9, 0.97, 0.98, 0.99, 1.0, 1.1, 3.25, 4.0, 5.0])
    listed = "sweep.V_inj=[" + ", ".join(f'"{v} Delta0"' for v in biases) + "]"
    coarse = 'mesh.file="../../meshes/ryan_wire/line_coarse.msh"'
    only = 'figures=[{kind="gap", compare="elastic"}]'
    dataset = fvqp.run(CASE, overrides=[coarse, listed, only, *overrides]).dataset
    found = {}
    for name in ("gap", "gap_elastic"):
        gap = dataset[name].squeeze().values / dataset.attrs["delta0_eV"]
        gap = gap.reshape(len(biases), -1)[:, 0]
        near, high = slice(1, 7), slice(7, None)
        half = 0.5 * (gap[1] + gap[6])
        onset = float(np.interp(-half, -gap[near], biases[near]))
        found[name] = onset, float(np.polyfit(biases[high], gap[high], 1)[0])
    return found


def test_error_bars_of_onset_and_slope() -> None:
    """What bins twice as wide change, elastic and inelastic, next to the stated values."""
    base, wide = onset_and_slope(), onset_and_slope("energies.number=200")
    for name, onset, slope in (("gap", 0.9806, -0.0315), ("gap_elastic", 0.9810, -0.0022)):
        assert base[name][0] == pytest.approx(onset, abs=2e-4)
        assert base[name][1] == pytest.approx(slope, abs=1e-4)
        assert abs(wide[name][0] - base[name][0]) < 6e-3
        assert abs(wide[name][1] - base[name][1]) < 4e-4


def test_refinement() -> None:
    """Error bars: twice the energies or the cells, or half as long again an axis, move the gap little."""
    biases = np.array([0.0, 0.8, 1.1, 2.0, 3.0, 3.75, 4.5])

    def gap(**more: int) -> float:
        return float(gaps(sweep(wire_problem(2e-4, **more), biases))[-1])

    base = gap(bins=400)
    assert abs(gap(bins=800) - base) < 1e-3
    assert abs(gap(bins=400, coarse=28, fine=17) - base) < 1e-3
    longer = UsadelProblem(
        wire(line_mesh(14, 9), "point_B"),
        EnergyAxis(np.linspace(0.0, 15.0, 601)),
        0.005,
        GapModel("uniform", at="point_B", rule="arcsinh"),
        collisions=InelasticCollisions(2e-4),
    )
    assert abs(float(gaps(sweep(longer, biases))[-1]) - base) < 1e-5


def test_refinement_at_the_onset() -> None:
    """Error bars where the injector's bias meets the gap: of the gap, and of g_sa at V_det = 1.3."""

    def at_onset(bins: int, coarse: int, fine: int) -> tuple[float, float]:
        problem = wire_problem(2e-4, bins=bins, coarse=coarse, fine=fine)
        device = wire(line_mesh(coarse, fine), "point_B", "point_A")
        problem, unit = replace(problem, device=device, transport=None), device.voltage_unit
        up = solve_point(
            problem, Point(unit, 1.3 * unit), solve_point(problem, Point(0.9 * unit, 1.3 * unit))
        )
        down = solve_point(problem, Point(-unit, 1.3 * unit), up)
        slopes = [conductances(problem, each)[1] for each in (up, down)]
        return float(up.spectral.gap[0]), 0.5 * float(slopes[0] - slopes[1])

    gap, odd = at_onset(400, 14, 9)
    for finer, of_gap, of_odd in (((800, 14, 9), 3e-3, 0.12), ((400, 28, 17), 5e-4, 0.02)):
        other, change = at_onset(*finer)
        assert abs(other - gap) < of_gap
        assert abs(change - odd) < of_odd * abs(odd)


def test_detector_sees_the_gap_fall() -> None:
    """Fig. 12: g_sa, odd in both biases, has peaks at Δ0 and a tail from 3Δ0 on, none without collisions."""

    def part(strength: float | None, bias: float, detector: float) -> float:
        problem = UsadelProblem(
            wire(line_mesh(14, 9), "point_A", "point_B"),
            EnergyAxis(np.linspace(0.0, 10.0, 161)),
            0.005,
            GapModel("uniform", at="point_A", rule="arcsinh"),
            collisions=None if strength is None else InelasticCollisions(strength),
        )
        unit = problem.device.voltage_unit
        solution = None
        for step in np.linspace(0.0, bias, max(2, int(4 * bias)))[1:]:
            solution = solve_point(problem, Point(step * unit, detector * unit), solution)
        assert solution is not None
        up = -conductances(problem, solution)[1]
        mirrored = solve_point(problem, Point(-bias * unit, detector * unit), solution)
        return 0.5 * (up + conductances(problem, mirrored)[1])

    tail = part(2e-4, 4.1, 0.5)
    assert abs(part(2e-4, 4.1, -0.5) + tail) < 1e-6 * abs(tail)
    assert abs(part(None, 4.1, 0.5)) < 0.2 * abs(tail)
    assert abs(part(2e-4, 2.1, 0.5)) < 0.3 * abs(tail)
    assert abs(part(2e-4, 1.0, 0.5)) > 2.0 * abs(tail)
