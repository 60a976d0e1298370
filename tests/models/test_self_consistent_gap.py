"""The gap in equilibrium and under injection: one gap for the device, and one in every cell."""

from __future__ import annotations

import logging
import re
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from scipy.optimize import brentq
from wire_devices import ALUMINIUM, CONDUCTANCE, THICKNESS, UM, WIDTH, close, graded, line_mesh, wire

from fvqp.case.usadel.comparison import elastic_sweep
from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.errors import ConvergenceError
from fvqp.mesh import shape_mesh
from fvqp.models.usadel.device import Device
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import Supercurrent
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.study.sweep import Sweep

MILLIVOLT = 1e-3
KAPPA = CONDUCTANCE["A"] * ALUMINIUM.resistivity * ALUMINIUM.coherence_length / (WIDTH * THICKNESS)


@pytest.fixture(scope="module")
def device() -> Device:
    return wire(line_mesh(40, 41), "point_A", "point_B")


@pytest.mark.parametrize(("reduced", "gap"), [(0.3, 0.99712), (0.5, 0.95689), (0.7, 0.82877), (0.9, 0.52634)])
@pytest.mark.parametrize("kind", ["equilibrium", "local", "uniform"])
def test_equilibrium(reduced: float, gap: float, kind: str) -> None:
    """Without bias every model has the BCS gap of the bath, in every cell (Mühlschlegel's table)."""
    temperature = reduced * ALUMINIUM.critical_temperature
    lead = dict.fromkeys("ABC", temperature)
    device = wire(line_mesh(10, 21), "point_A", temperature=lead, bath=temperature)
    model = GapModel(kind, at="A" if kind == "uniform" else None, debye_energy=1e3)  # type: ignore[arg-type]
    problem = UsadelProblem(device, graded(1e-6, 80), 1e-6, gap=model)
    close(solve_point(problem, Point()).spectral.gap, gap, 5e-5)


def test_fixed_gap_is_used(device: Device) -> None:
    problem = UsadelProblem(device, graded(5e-3, 60), 5e-3, gap=GapModel("fixed", value=0.8))
    assert np.all(solve_point(problem, Point(6e-4)).spectral.gap == 0.8)


def uniform_gap(
    broadening: float,
    temperature: float,
    volts: float,
    device: Device,
    arms: tuple[float, float] = (5.2 * UM, 5.8 * UM),
) -> float:
    """The gap whose equation is met with f_L under a point injector in a wire between reservoirs.

    With ``δf_L = δf_lead κN/(κN + D_L ξ (1/L₁ + 1/L₂))``, a fine sum over energies, Dynes' spectra and
    ``1/λ = arccosh ω_D``; nothing of the package's grid, spectra or gap equation.
    """
    e = np.arange(0.5, 2e5) * 5e-5  # up to ω_D = 10
    z = e + 1j * broadening
    ends = ALUMINIUM.coherence_length * (1 / arms[0] + 1 / arms[1])
    t, bias = 0.061 / device.thermal_unit, volts / device.voltage_unit
    lead = 0.5 * (np.tanh((e + bias) / (2 * t)) + np.tanh((e - bias) / (2 * t)))
    bath = np.tanh(e / (2 * temperature))

    def mismatch(gap: float) -> float:
        root = np.sqrt(gap - z) * np.sqrt(gap + z)
        normal, anomalous = -1j * z / root, gap / root
        dos = normal.real
        spread = 0.5 * (1 + np.abs(normal) ** 2 - np.abs(anomalous) ** 2)
        f_l = bath + (lead - bath) * KAPPA * dos / (KAPPA * dos + spread * ends)
        return float((anomalous.imag * f_l).sum() * 5e-5 / gap - np.arccosh(10.0))

    return float(brentq(mismatch, 0.5, 1.1, xtol=1e-9))


def centred(n: int) -> Device:
    """A point injector in the middle of 2 µm of ``n`` cells."""
    mesh = shape_mesh("grid1d", Lx=2.0 * UM, nx=n, boundaries={"point_A": UM}, comm=MPI.COMM_SELF)
    return wire(mesh, "point_A")


def injected(device: Device, **options: Any) -> float:
    """Gap that follows the injector, at 1.3 Δ0/e."""
    problem = UsadelProblem(device, gap=GapModel("uniform", at="A"), **options)
    return float(solve_point(problem, Point(1.3 * device.voltage_unit)).spectral.gap[0])


def test_uniform_gap_follows_the_value_at_a_point_injector() -> None:
    """Without collisions f_L is linear on both sides of it, and every mesh has the closed form's gap."""
    grid, broadening = graded(5e-3, 400), 5e-3
    gaps = [injected(centred(n), grid=grid, broadening=broadening) for n in (2, 30)]
    close(gaps[0], gaps[1], 1e-9)
    device = centred(2)
    close(gaps[1], uniform_gap(broadening, device.bath, 1.3 * device.voltage_unit, device, (UM, UM)), 2e-5)


def test_uniform_gap_is_of_second_order() -> None:
    """With collisions, which bend f_L on both sides of the injector."""
    options = {
        "grid": EnergyAxis.uniform(0.1, 4.0),
        "broadening": 0.05,
        "collisions": InelasticCollisions(4e-3),
    }
    gaps = [injected(centred(n), **options) for n in (8, 16, 32)]
    assert 3.5 < (gaps[0] - gaps[1]) / (gaps[1] - gaps[2]) < 4.5


def test_gap_without_collisions_beside_wide_bins() -> None:
    """The curve beside one with collisions, whose bins are five times the broadening: the closed form's."""
    device, broadening = centred(2), 5e-3
    problem = UsadelProblem(
        device, EnergyAxis.uniform(1 / 40, 10.0), broadening, gap=GapModel("uniform", at="A"),
        collisions=InelasticCollisions(2e-4),
    )  # fmt: skip
    volts = tuple(np.array([0.9, 3.0]) * device.voltage_unit)
    found = list(elastic_sweep([problem], Sweep(V_inj=volts)))
    for bias, (_, _, solution) in zip(volts, found, strict=True):
        expected = uniform_gap(broadening, device.bath, bias, device, (UM, UM))
        assert float(solution.spectral.gap[0]) == pytest.approx(expected, abs=1e-4)
    # f_L as it is stored: energies of the wide bins.
    _, fine, solution = found[-1]
    f_l = problem.grid.averages(fine.distribution(solution, L), fine.grid)
    assert f_l.shape == (2, problem.grid.n)
    np.testing.assert_allclose(
        f_l @ problem.grid.widths, fine.distribution(solution, L) @ fine.grid.widths, rtol=1e-12
    )


@pytest.mark.slow
def test_uniform_gap_under_injection() -> None:
    """As in the elastic Fig. 11: flat up to eV = Δ, sharp drop there, plateau beyond."""
    device, broadening = wire(line_mesh(40, 81), "point_A"), 5e-3
    grid = EnergyAxis.graded(6.0, gap_edges=[0.97, 0.995], first=broadening / 8, number=500)
    problem = UsadelProblem(device, grid, broadening, gap=GapModel("uniform", at="A"))
    onset = device.voltage_unit
    volts = np.array([0.0, 0.5, 0.8, 0.9, 0.96, 1.0, 1.06, 1.2, 1.6, 2.2, 3.0, 4.0]) * onset
    gaps, guess = [], None
    for v in volts:
        guess = solve_point(problem, Point(float(v)), guess)
        gaps.append(float(guess.spectral.gap[0]))
        close(gaps[-1], uniform_gap(broadening, device.bath, float(v), device), 2e-4)
    gap = np.array(gaps)
    assert np.all(np.diff(gap) < 1e-9)
    below, across, beyond = gap[0] - gap[3], gap[3] - gap[6], gap[7] - gap[-1]
    assert below < 0.2 * across and across > 0.01
    # Slopes: over 0.16 Δ0/e across the edge, 2.8 Δ0/e beyond.
    assert beyond / 2.8 < 0.05 * across / 0.16
    # The path does not matter: the last bias from scratch.
    close(solve_point(problem, Point(float(volts[-1]))).spectral.gap, gap[-1], 1e-8)


@pytest.mark.slow
def test_local_gap_under_weak_injection() -> None:
    """Lowest under the injector, back at rest towards the reservoirs; the ledger still closes."""
    weak = {**CONDUCTANCE, "A": 2e-6}
    device = wire(line_mesh(30, 41), "junction_A", "point_B", conductance=weak)
    problem = UsadelProblem(device, EnergyAxis.uniform(1 / 40, 4.0), 0.02, gap=GapModel("local"))
    rest = float(problem.at_rest(0.0)[0].gap[0])
    solution: Solution | None = None
    for v in (0.2, 0.3, 0.5):
        solution = solve_point(problem, Point(v * MILLIVOLT), solution)
    assert solution is not None
    gap, x = solution.spectral.gap, device.mesh.centroid[:, 0]
    assert abs(x[np.argmin(gap)] + 0.3 * UM) < 0.08 * UM
    assert 1e-4 < rest - gap.min() < 0.1
    order = np.argsort(x)
    here = int(np.argmin(gap[order]))
    assert np.all(np.diff(gap[order][here:]) > 0) and np.all(np.diff(gap[order][: here + 1]) < 0)
    assert rest - gap[order][[0, -1]].min() < 0.05 * (rest - gap.min())
    ledger = problem.ledger(solution)
    assert np.all(np.abs(ledger.residual) <= 1e-10 * np.abs(ledger.injected))
    assert solution.evaluations < 40


def test_slope_of_a_self_consistent_current() -> None:
    """dI/dV of the self-consistent solution against differences of its current over a wider step."""
    device = wire(line_mesh(20, 21), "point_A", "point_B")
    problem = UsadelProblem(device, graded(0.02, 150), 0.02, gap=GapModel("uniform", at="A"))
    at, step = 0.35 * MILLIVOLT, 2e-6
    solution = solve_point(problem, Point(at))
    sides = [solve_point(problem, Point(at + s), solution) for s in (-step, step)]
    low, high = (problem.junction_currents(side.kinetic.currents) for side in sides)
    close(conductances(problem, solution), (high - low) / (2 * step), 2e-3)
    # The gap's dependence on bias is part of it.
    frozen = UsadelProblem(
        device, problem.grid, 0.02, gap=GapModel("fixed", value=float(solution.spectral.gap[0]))
    )
    ratio = conductances(frozen, solve_point(frozen, Point(at)))[0] / conductances(problem, solution)[0]
    assert abs(ratio - 1.0) > 1e-4


@pytest.mark.slow
def test_guess_from_the_opposite_supercurrent() -> None:
    device = wire(line_mesh(20, 21), "point_A", "point_B")
    drive = Supercurrent("left", "right", "phase_gradient", (0.2,))
    problem = UsadelProblem(
        device, EnergyAxis.uniform(1 / 40, 4.0), 0.02, gap=GapModel("uniform", at="A"), supercurrent=drive
    )
    other = solve_point(problem, Point(2e-4, 0.0, -0.2))
    one, again = (
        solve_point(problem, Point(2e-4, 0.0, 0.2)),
        solve_point(problem, Point(2e-4, 0.0, 0.2), other),
    )
    assert one.phase is not None and one.phase.current > 0.0 > other.phase.current  # type: ignore[union-attr]
    close(again.spectral.gap, one.spectral.gap, 1e-8)
    close(
        problem.junction_currents(again.kinetic.currents),
        problem.junction_currents(one.kinetic.currents),
        1e-6,
    )


@pytest.mark.parametrize("kind", ["uniform", "local"])
def test_destroyed_superconductivity_is_said(kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A device without any ends the run; a part of it that is normal does not."""
    strong = {**CONDUCTANCE, "A": 5e-2}
    device = wire(line_mesh(10, 21), "junction_A", conductance=strong)
    model = GapModel(kind, at="A" if kind == "uniform" else None)  # type: ignore[arg-type]
    problem = UsadelProblem(device, EnergyAxis.uniform(1 / 40, 4.0), 0.02, gap=model)
    if kind == "uniform":
        with pytest.raises(ConvergenceError, match="V_inj = 0.0005 V.*superconductivity is destroyed$"):
            solve_point(problem, Point(5e-4))
        return
    gap = solve_point(problem, Point(5e-4)).spectral.gap
    assert gap.min() < 1e-5 and gap.max() > 0.5
    assert any("V_inj = 0.0005 V" in r.message and "is destroyed in 0." in r.message for r in caplog.records)


def test_a_jump_is_said_with_the_gaps_of_both_solutions(caplog: pytest.LogCaptureFixture) -> None:
    """Where the branch ends the gap that is predicted is none of a solution; bins are wider than the edge."""
    device = wire(line_mesh(10, 9), "point_B", conductance={"A": 2e-3})
    model = GapModel("uniform", at="point_B", rule="arcsinh")
    problem = UsadelProblem(device, EnergyAxis.uniform(0.05, 4.0), 0.04, gap=model)
    solutions: list[Solution] = []
    with caplog.at_level(logging.WARNING):
        for bias in (0.76, 0.8, 0.84, 0.88):
            point = Point(bias * device.voltage_unit)
            solutions.append(solve_point(problem, point, solutions[-1] if solutions else None))
    before, after = (solution.spectral.gap[0] for solution in solutions[1:3])
    assert before - after > 0.3
    jump, bins = (record.message for record in caplog.records)
    assert jump.endswith(f"the gap jumps from {before:.6g} to {after:.6g} Delta0")
    assert "finer bins tell whether the jump stays" in bins


def test_too_few_iterations_are_said(device: Device) -> None:
    problem = UsadelProblem(
        device, EnergyAxis.uniform(1 / 40, 4.0), 0.02, gap=GapModel("uniform", at="A"), maximum_iterations=2
    )
    with pytest.raises(ConvergenceError, match="V_inj = 0.0003 V.*not converged after"):
        solve_point(problem, Point(3e-4))


def test_an_unfinished_flow_says_where_it_is() -> None:
    """Gaps of all cells that do not come to rest in time change most under the injector that lowers them."""
    mesh = line_mesh(40, 41)
    problem = UsadelProblem(
        wire(mesh, "point_A", "point_B"), graded(0.02, 60), 0.02, gap=GapModel("local"), maximum_iterations=2
    )
    with pytest.raises(ConvergenceError, match="not converged after 2 evaluations") as caught:
        solve_point(problem, Point(3e-4))
    place = re.search(r"most of the gap near \[([-\d.]+), .*\] um", str(caught.value))
    injector = mesh.face_centroid[mesh.require_boundary("point_A"), 0].mean()
    assert place is not None and abs(float(place[1]) * UM - injector) < 0.3 * UM
