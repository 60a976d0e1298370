"""A uniform gap among the unknowns of Newton's method: derivatives, and the solutions that the walk finds."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest
from newton_counts import recorded
from wire_devices import line_mesh, wire

from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.errors import ConvergenceError
from fvqp.models.usadel import operating_point
from fvqp.models.usadel.coupled_gap import GapAndDistributions, RootBracket
from fvqp.models.usadel.inelastic import InelasticSystem
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem

GRID = EnergyAxis(np.linspace(0.0, 8.0, 161))
BIASES = (0.5, 0.95, 1.0, 1.05, 2.0, 3.25)


def refuse(*_arguments: object, **_more: object) -> None:
    """In place of `solve_with_gap`, which leaves the gap to the walk."""
    raise ConvergenceError("not now")


@pytest.fixture(scope="module")
def problem() -> UsadelProblem:
    device = wire(line_mesh(8, 9), "point_B", "point_A")
    gap = GapModel("uniform", at="point_B", rule="arcsinh")
    return UsadelProblem(device, GRID, 0.02, gap, collisions=InelasticCollisions(2e-4))


def sweep(problem: UsadelProblem) -> list[Solution]:
    found: list[Solution] = []
    for bias in BIASES:
        point = Point(bias * problem.device.voltage_unit)
        found.append(solve_point(problem, point, found[-1] if found else None))
    return found


def test_derivatives(problem: UsadelProblem) -> None:
    """The Jacobian's action along distributions, and along the gap, against central differences."""
    point = Point(3.5 * problem.device.voltage_unit)
    n = problem.device.mesh.n_cells
    assert problem.inelastic is not None
    solution = solve_point(problem, point)
    assert solution.kinetic is not None
    system = GapAndDistributions(
        problem, problem.inelastic, np.full(n, 0.99 * solution.spectral.gap[0]), np.zeros(n),
        problem.external(point), reach=1.0, tolerance=1e-10, what="test",
    )  # fmt: skip
    at = system.start(solution.kinetic)
    system.linearize(at)
    along_gap = np.zeros_like(at)
    along_gap[-1] = 1.0
    random = np.random.default_rng(1).normal(size=at.size)
    random[-1] = 0.0
    # Collisions are of the third order in f, and differences in the gap err by (h/Γ)² and by rounding.
    for step, h, accuracy in ((random, 1e-4, 1e-7), (along_gap, 1e-5, 1e-4)):
        # Scales stay those of the linearization, as in its action.
        action = system.action(step)
        difference = (system.residual(at + h * step) - system.residual(at - h * step)) / (2.0 * h)
        system.residual(at)
        np.testing.assert_allclose(action, difference, atol=accuracy * np.abs(difference[:-1]).max())
        assert action[-1] == pytest.approx(difference[-1], rel=accuracy)


@pytest.mark.slow
def test_same_solutions_as_by_steps(problem: UsadelProblem, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the walk along the gap equation finds, in a third of its Newton steps."""
    made = recorded(monkeypatch)
    together, steps = sweep(problem), sum(len(item.krylov) for item in made)
    assert max(len(item.krylov) for item in made) <= 5
    assert max(max(item.krylov) for item in made) <= 10

    monkeypatch.setattr(operating_point, "solve_with_gap", refuse)
    made.clear()
    apart = sweep(replace(problem, transport=None))
    assert steps < 0.5 * sum(len(item.krylov) for item in made)
    for one, other in zip(together, apart, strict=True):
        assert one.spectral.gap[0] == pytest.approx(other.spectral.gap[0], abs=1e-9)
        np.testing.assert_allclose(one.kinetic.currents, other.kinetic.currents, atol=1e-9 * 25e-6)


@pytest.mark.slow
def test_a_branch_that_ends_at_a_bin(
    problem: UsadelProblem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """With bins far wider than the broadening the gap skips the edge of one, by either way to the root.

    It moves by less than two bins, which is no jump to warn of.
    """
    made = recorded(monkeypatch)
    coarse = replace(problem, grid=EnergyAxis.uniform(0.05, 8.0), broadening=1e-5, transport=None)
    unit = coarse.device.voltage_unit
    before = solve_point(coarse, Point(3.0 * unit))
    made.clear()
    with caplog.at_level(logging.DEBUG, "fvqp"):
        solution = solve_point(coarse, Point(3.3 * unit), before)
    assert before.spectral.gap[0] > 0.95 > solution.spectral.gap[0]
    assert len(made) == 1 and len(made[0].krylov) <= 8
    (said,) = [record for record in caplog.records if "the gap jumps" in record.message]
    assert said.levelno == logging.DEBUG and "finer bins" not in caplog.text

    monkeypatch.setattr(operating_point, "solve_with_gap", refuse)
    made.clear()
    walked = solve_point(replace(coarse, transport=None), Point(3.3 * unit), before)
    assert walked.spectral.gap[0] == pytest.approx(solution.spectral.gap[0], abs=1e-9)
    assert sum(len(item.krylov) for item in made) > 10


@pytest.fixture(scope="module")
def sharp() -> UsadelProblem:
    """A broadening a hundred times smaller than most bins that the gap edge passes."""
    edges = np.linspace(0.87, 0.995, 6).tolist()
    grid = EnergyAxis.graded(8.0, gap_edges=edges, first=1e-4, number=150, largest=0.2)
    gap = GapModel("uniform", at="point_B", rule="arcsinh")
    return UsadelProblem(
        wire(line_mesh(14, 9), "point_B"), grid, 1e-4, gap, collisions=InelasticCollisions(2e-4)
    )


def test_the_onset_of_injection_with_sharp_edges(
    sharp: UsadelProblem, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gap passes several bins at once, each with a wave of its own, without the walk."""
    monkeypatch.setattr(operating_point.Iteration, "_jumps_in_small_steps", lambda *_: False)
    made = recorded(monkeypatch)
    solution: Solution | None = None
    biases = (0.9, 1.0, 1.1, 1.2)
    for bias in biases:
        solution = solve_point(sharp, Point(bias * sharp.device.voltage_unit), solution)
    assert solution is not None and solution.spectral.gap[0] < 0.975
    assert len(made) == len(biases)
    assert max(len(item.krylov) for item in made) <= 9
    assert max(max(item.krylov) for item in made) < 30


@pytest.mark.slow
def test_an_onset_in_one_step_is_no_jump(
    sharp: UsadelProblem, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """From far below its edge to it the gap falls by many bins, and passes their waves.

    The walk loses the solution at a wave, finds it again continuously in smaller steps of the bias, and warns
    of nothing; nor does Newton's method, which need not lose it.
    """
    unit = sharp.device.voltage_unit
    said = {}
    for way in ("together", "walk"):
        if way == "walk":
            monkeypatch.setattr(operating_point, "solve_with_gap", refuse)
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "fvqp"):
            found = solve_point(sharp, Point(unit), solve_point(sharp, Point(0.6 * unit)))
        assert found.spectral.gap[0] < 0.98
        said[way] = [record.levelno for record in caplog.records if "the gap jumps" in record.message]
    assert logging.WARNING not in said["together"] and said["walk"] == [logging.DEBUG]


def test_slope_of_the_gap_equation(sharp: UsadelProblem) -> None:
    """Distributions follow: against differences of solutions in given spectra."""
    n = sharp.device.mesh.n_cells
    assert sharp.inelastic is not None
    point = Point(3.8 * sharp.device.voltage_unit)
    external = sharp.external(point)

    def followed(y: float) -> tuple[GapAndDistributions, np.ndarray, float]:
        system = GapAndDistributions(
            sharp, sharp.inelastic, np.full(n, np.exp(y)), np.zeros(n), external,
            reach=1.0, tolerance=1e-10, what="test",
        )  # fmt: skip
        kinetic = sharp.energy_mode(system.kinetic.spectral, external, None, "test")
        z = system.start(kinetic)
        return system, z, system._gap_equation(y, system.distributions(z))

    y, h = float(np.log(solve_point(sharp, point).spectral.gap[0])), 1e-6
    system, z, _ = followed(y)
    system.linearize(z)
    slope = (followed(y + h)[2] - followed(y - h)[2]) / (2.0 * h)
    by_preconditioner = system._slope - system._of_distributions(system.kinetic.precondition(system._along))
    assert system.steep
    assert system._total == pytest.approx(slope, rel=3e-3)
    assert by_preconditioner > slope + 0.3


def test_a_root_that_has_been_passed_is_looked_for_between_both_sides() -> None:
    """The nearest of either side count, the line through them is taken, and what contradicts is forgotten."""
    passed = RootBracket()
    passed.add(1.0, -3.0)
    assert passed.root() is None
    assert passed.admits(0.5)
    assert not passed.admits(1.5)
    passed.add(0.0, 1.0)
    assert passed.root() == pytest.approx(0.25)
    passed.add(0.25, -1e-9)
    assert passed.root() == pytest.approx(0.225)
    assert not passed.admits(0.5)
    passed.add(0.5, 1.0)
    assert passed.root() is None
    assert passed.admits(2.0)


def test_possible_occupations(sharp: UsadelProblem) -> None:
    """Distributions are limited to occupations between 0 and 1; those that exist stay as they are."""
    n = sharp.device.mesh.n_cells
    assert sharp.inelastic is not None
    state = sharp.spectral_state(np.full(n, 0.95), np.zeros(n), None)
    system = InelasticSystem(sharp.inelastic, state, sharp.external(Point(0.0)))
    whole = np.array([-3.0, -0.5, 0.7, 2.0])
    limited = np.array([-1.0, -0.5, 0.7, 1.0])
    x = np.zeros(system.shape)
    x[:, 0, :4] = whole - system.rest[:4]
    found = system.possible(x.ravel()).reshape(system.shape)
    np.testing.assert_allclose(found[:, 0, :4] + system.rest[:4], np.tile(limited, (len(x), 1)), atol=1e-15)
    assert not found[:, 0, 4:].any()
