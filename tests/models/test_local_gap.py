"""A gap of every cell's own where an injector is driven above it: jumps, normal parts, and the way back."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from wire_devices import CONDUCTANCE, UM, close, line_mesh, wire

from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.energy import thermal as distributions
from fvqp.errors import ConvergenceError
from fvqp.gap import gap_residual
from fvqp.mesh.shapes import shape_mesh
from fvqp.models.usadel import operating_point
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import Supercurrent
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.spectral import bin_averages
from fvqp.typing import Floats

#: Bias below which a normal metal with the two-step distribution of a cold lead pairs again: the root of
#: ``∫_{eV}^{ω_D} dε/ε = 1/λ`` for ω_D = 10.
PAIRS_AGAIN = 10.0 * np.exp(-np.arccosh(10.0))


@pytest.mark.parametrize("width", [0.1, 0.01])
def test_a_normal_metal_pairs_again_below_half_the_gap(width: float) -> None:
    """The gap equation for Δ → 0, with bins that know nothing of the bath's temperature."""
    edges = np.linspace(0.0, 4.0, round(4.0 / width) + 1)
    spectrum = bin_averages(edges, np.array([1e-6]), np.zeros(1), 1e-5)
    for bias, sign in ((0.97 * PAIRS_AGAIN, 1.0), (1.03 * PAIRS_AGAIN, -1.0)):
        f_l = distributions.lead(edges, bias, 1e-3)[0][None]
        r = gap_residual(f_l, edges, spectrum, 0.0, 1e-5, cutoff=10.0, temperature=5e-3)[0]
        assert r == pytest.approx(-np.log(bias / PAIRS_AGAIN), abs=0.05 * width + 1e-3)
        assert np.sign(r) == sign


@pytest.mark.parametrize("strength", [None, pytest.param(2e-4, marks=pytest.mark.slow)])
def test_a_device_of_one_cell_has_one_gap(strength: float | None) -> None:
    """There the flow and the walk of the one number solve the same equation, also across the jump."""
    mesh = shape_mesh("grid1d", nx=1, Lx=2 * UM, regions={"all": (0.0, 2 * UM)})
    conductance = CONDUCTANCE | {"A": 5e-4}
    local, uniform = (
        UsadelProblem(
            wire(mesh, "all", conductance=conductance),
            EnergyAxis.uniform(0.05, 4.0),
            0.05,
            gap=GapModel(kind, at="A" if kind == "uniform" else None),  # type: ignore[arg-type]
            collisions=None if strength is None else InelasticCollisions(strength),
        )
        for kind in ("local", "uniform")
    )
    unit, gaps = local.device.voltage_unit, []
    solutions: list[Solution | None] = [None, None]
    for bias in (0.5, 0.9, 1.5):
        found = [
            solve_point(p, Point(bias * unit), s) for p, s in zip((local, uniform), solutions, strict=True)
        ]
        here, one = (s.spectral.gap[0] for s in found)
        close(here, one, 1e-8)
        close(*(conductances(p, s)[0] for p, s in zip((local, uniform), found, strict=True)), 1e-3)
        gaps.append(here)
        solutions = list(found)
    assert np.all(np.diff(gaps) < 0.0)


@pytest.mark.parametrize(
    ("spectra", "strength"), [("local", None), pytest.param("diffusive", 2e-4, marks=pytest.mark.slow)]
)
def test_the_tolerance_is_that_of_the_gap(
    spectra: Literal["local", "diffusive"], strength: float | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Before and behind a jump, against a solution a thousand times closer; nothing is left open."""
    tolerance = 1e-5
    problem = UsadelProblem(
        wire(line_mesh(4, 9), "junction_A", "point_B"), EnergyAxis.uniform(0.125, 5.0), 0.02,
        gap=GapModel("local"), spectra=spectra, tolerance=tolerance,
        collisions=None if strength is None else InelasticCollisions(strength),
    )  # fmt: skip
    closer = replace(problem, tolerance=1e-3 * tolerance, transport=None)
    unit, solution = problem.device.voltage_unit, None
    for bias in (0.8, 1.2):
        solution = solve_point(problem, Point(bias * unit, 1.2 * unit), solution)
        expected = solve_point(closer, solution.point, solution).spectral.gap
        np.testing.assert_allclose(solution.spectral.gap, expected, rtol=0.0, atol=tolerance)
    assert solution is not None and solution.spectral.gap.min() < 0.6
    assert "may be wrong" not in caplog.text


@pytest.mark.slow
def test_a_current_through_a_gap_of_every_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors below the tolerance up to the end of the branch, by either iteration; then the path is lost."""
    tolerance, current = 1e-5, 1e-6
    problem = UsadelProblem(
        wire(line_mesh(4, 9), "junction_A", "point_B"), EnergyAxis.uniform(0.125, 5.0), 0.02,
        gap=GapModel("local"), supercurrent=Supercurrent("left", "right", "current", (current,)),
        tolerance=tolerance,
    )  # fmt: skip
    closer = replace(problem, tolerance=1e-4 * tolerance, transport=None)
    unit = problem.device.voltage_unit
    evaluations, update = [0], operating_point.Iteration.update

    def counted(iteration: operating_point.Iteration, iterate: Floats) -> Floats:
        evaluations[0] += 1
        return update(iteration, iterate)

    monkeypatch.setattr(operating_point.Iteration, "update", counted)
    solution = None
    for bias in (0.9, 1.0):
        before = solution
        solution = solve_point(problem, Point(bias * unit, 1.2 * unit, current), before)
        expected = solve_point(closer, solution.point, solution).spectral.gap
        np.testing.assert_allclose(solution.spectral.gap, expected, rtol=0.0, atol=tolerance)
    assert evaluations[0] < 100
    assert solution.phase is not None and solution.phase.current == pytest.approx(current, rel=1e-9)
    evaluations[0] = 0
    with pytest.raises(ConvergenceError, match="no superconducting path"):
        solve_point(problem, Point(1.05 * unit, 1.2 * unit, current), solution)
    assert evaluations[0] < 60


@pytest.mark.parametrize("kind", [pytest.param("local", marks=pytest.mark.slow), "uniform"])
def test_the_map_with_a_current_has_no_memory(kind: str) -> None:
    """The phase drops that couple f_L and f_T are those of the iterate, whatever was evaluated before.

    At the stop they are those of the conserved current: both are judged, the gap and the phase.
    """
    mesh, current = line_mesh(8, 9), 2e-6
    problem = UsadelProblem(
        wire(mesh, "point_A", "point_B", conductance={"A": 5e-6, "B": 5e-6}),
        EnergyAxis.uniform(0.1, 4.0), 0.05,
        gap=GapModel(kind, at="A" if kind == "uniform" else None),  # type: ignore[arg-type]
        supercurrent=Supercurrent("left", "right", "current", (current,)),
    )  # fmt: skip
    point = Point(0.8 * problem.device.voltage_unit, 0.0, current)
    solution = solve_point(problem, point)
    assert solution.phase is not None and solution.spectral.supercurrent_conductance is not None
    tolerance = problem.tolerance / abs(solution.phase.gradient)
    np.testing.assert_allclose(
        solution.spectral.supercurrent_conductance, solution.phase.supercurrent_conductance, rtol=tolerance
    )
    # Drops times the superfluid density at the face carry the same current through every face.
    density = solution.phase.superfluid
    c0, c1 = mesh.face_cells.T
    weight = problem.kinetics.transport.faces.weight
    at_face = weight * density[c0] + (1.0 - weight) * density[np.where(c1 >= 0, c1, c0)]
    through = np.abs(at_face * solution.spectral.supercurrent_conductance) * problem.device.voltage_unit
    np.testing.assert_allclose(through, current, rtol=tolerance)
    iteration = operating_point.Iteration(problem, point, problem.external(point), solution)
    start = iteration.start
    first = iteration.update(start)
    assert not np.array_equal(iteration.update(1.01 * start), first)
    np.testing.assert_array_equal(iteration.update(start), first)


@pytest.mark.slow
def test_the_way_up_and_down(caplog: pytest.LogCaptureFixture) -> None:
    """A solution at every bias; a part turns normal where its branch ends, and is filled by the lead."""
    device = wire(line_mesh(12, 21), "junction_A")
    problem = UsadelProblem(device, EnergyAxis.uniform(0.05, 5.0), 0.005, gap=GapModel("local"))
    unit, solution = problem.device.voltage_unit, None
    found = {}
    with caplog.at_level(logging.WARNING):
        for bias in (0.9, 1.0, 1.1, 4.0, 1.0, 0.55):
            solution = solve_point(problem, Point(bias * unit), solution)
            found[bias] = solution
            assert np.all(np.abs(problem.ledger(solution).residual) <= 1e-10 * problem.ledger(solution).scale)
    messages = " ".join(record.message for record in caplog.records)
    assert "several coexist there, and the gap jumps, most near" in messages
    assert "superconductivity is destroyed in 0." in messages
    field, x = problem.gap_field, device.mesh.centroid[:, 0]
    assert not field.lost(found[0.9].spectral.gap).any()
    for bias in (4.0, 0.55):
        normal = field.lost(found[bias].spectral.gap)
        assert normal.any() and not normal.all()
        assert abs(np.mean(x[normal]) / UM + 0.3) < 0.3  # around the injector
        # What cannot leave has the distribution of the lead.
        below = problem.grid.energies < 0.5
        lead = distributions.lead(problem.grid.edges, bias, 0.061 / problem.device.thermal_unit)[0]
        f_l = problem.distribution(found[bias], L)[normal]
        np.testing.assert_allclose(
            f_l[:, below], np.broadcast_to(lead[below], f_l[:, below].shape), atol=0.06
        )
    back = solve_point(problem, Point(0.4 * unit), solution)
    assert not field.lost(back.spectral.gap).any()
    close(back.spectral.gap, solve_point(problem, Point(0.4 * unit)).spectral.gap, 1e-7)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spectra", "broadening", "strength"),
    [("local", 5e-3, None), ("local", 1e-4, None), ("diffusive", 5e-3, 2e-4)],
)
def test_all_biases_of_the_wire(spectra: str, broadening: float, strength: float | None) -> None:
    """Junction A at its own conductance, biases up to four times the gap."""
    device = wire(line_mesh(12, 25) if strength is None else line_mesh(8, 17), "junction_A")
    # Gaps with collisions need hundreds of evaluations where they jump.
    number, tolerance = (160, 1e-10) if strength is None else (90, 1e-7)
    grid = EnergyAxis.graded(8.0, gap_edges=[0.99], first=broadening / 4, number=number, largest=0.1)
    problem = UsadelProblem(
        device, grid, broadening, gap=GapModel("local"), spectra=spectra,  # type: ignore[arg-type]
        collisions=None if strength is None else InelasticCollisions(strength), tolerance=tolerance,
    )  # fmt: skip
    solution, lowest = None, {}
    for bias in (0.0, 0.5, 0.9, 1.0, 1.5, 2.0, 3.0, 4.0) if strength is None else (0.0, 0.9, 1.2, 4.0):
        solution = solve_point(problem, Point(bias * device.voltage_unit), solution)
        lowest[bias] = float(solution.spectral.gap.min())
    assert lowest[0.9] > 0.9
    if strength is None:
        assert lowest[4.0] < 1e-4
    else:
        # Collisions take away what would destroy it.
        assert 0.3 < lowest[4.0] < 0.6
