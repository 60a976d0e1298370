"""Kinetics with phonons: what they take is in the ledger, and quasiparticles end at their temperature."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from newton_counts import recorded
from wire_devices import line_mesh, wire

from fvqp.collisions import InelasticCollisions, PhononBath
from fvqp.collisions.quasistatic_phonons import QuasistaticPhonons, QuasistaticState
from fvqp.energy import EnergyAxis
from fvqp.models.usadel.inelastic import BALANCE
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem

GRID = EnergyAxis.uniform(0.1, 4.0)
GRADED = EnergyAxis.graded(4.0, gap_edges=[1.0], first=0.01, number=70)


def cooled(
    strength: float,
    *,
    grid: EnergyAxis = GRID,
    escape: float | None = None,
    electrons: float = 0.0,
    gap: GapModel | None = None,
) -> UsadelProblem:
    """The wire with phonons at its bath temperature."""
    device = wire(line_mesh(6, 9), "point_B", "point_A")
    phonons = PhononBath(strength, 1.764, device.bath, escape, None if escape is None else 1e-2)
    return UsadelProblem(
        device, grid, 0.02, gap or GapModel(), collisions=InelasticCollisions(electrons, phonons=phonons)
    )


@pytest.mark.parametrize("strength", [1e-4, 1.0])
@pytest.mark.parametrize("escape", [None, 1.0])
def test_ledger(strength: float, escape: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Injected = taken by reservoirs + taken by phonons; few iterations at every strength."""
    made = recorded(monkeypatch)
    problem = cooled(strength, escape=escape)
    solution = None
    for bias in (0.9, 1.2, 1.5, 1.8):
        solution = solve_point(problem, Point(bias * problem.device.voltage_unit), solution)
    assert solution is not None
    ledger = problem.ledger(solution)
    assert np.all(np.abs(ledger.residual) <= BALANCE * ledger.scale)
    assert 0.0 < ledger.relaxed[1] < ledger.injected[1]
    if strength == 1.0 and escape is None:
        # Hardly anything reaches the ends of the wire.
        assert ledger.taken[1] < 1e-2 * ledger.injected[1]
    # Recombination is quadratic: from few quasiparticles to many a step of Newton's method halves the excess.
    assert max(len(item.krylov) for item in made) <= 8
    assert max(max(item.krylov, default=0) for item in made) < 20


def test_rest() -> None:
    """Leads at the temperature of bath and phonons do nothing."""
    problem = cooled(1e-2, electrons=1e-3)
    leads = [replace(junction, temperature=0.024) for junction in problem.device.junctions]
    cold = replace(problem, device=replace(problem.device, junctions=leads), transport=None)
    assert np.abs(solve_point(cold, Point()).kinetic.deviation(L)).max() < 1e-8


@pytest.mark.slow
def test_phonons_cool() -> None:
    """The gap under the injector recovers with the strength of cooling, on either kind of axis alike."""
    gaps = {}
    for name, grid in (("uniform", EnergyAxis.uniform(0.025, 4.0)), ("graded", GRADED)):
        for strength in (1e-5, 1e-2):
            problem = cooled(strength, grid=grid, gap=GapModel("uniform", at="point_B"))
            solution = solve_point(problem, Point(1.5 * problem.device.voltage_unit))
            gaps[name, strength] = solution.spectral.gap[0]
    rest = problem.at_rest(0.0)[0].gap[0]
    for name in ("uniform", "graded"):
        assert gaps[name, 1e-5] < gaps[name, 1e-2] < rest
    lost = {key: rest - gap for key, gap in gaps.items()}
    for strength in (1e-5, 1e-2):
        assert lost["graded", strength] == pytest.approx(lost["uniform", strength], rel=0.1)


@pytest.mark.slow
def test_phonons_of_their_own_on_either_axis() -> None:
    """Equal bins and graded ones: what escapes with phonons, what quasiparticles are left."""
    left, escaped = [], []
    for grid in (GRID, GRADED):
        problem = cooled(1e-2, grid=grid, escape=10.0)
        solution = None
        for bias in (0.9, 1.5):
            solution = solve_point(problem, Point(bias * problem.device.voltage_unit), solution)
        assert solution is not None
        ledger = problem.ledger(solution)
        assert np.all(np.abs(ledger.residual) <= BALANCE * ledger.scale)
        escaped.append(ledger.relaxed[1] / ledger.injected[1])
        left.append(solution.kinetic.deviation(L) @ grid.widths)
    # In a bath 97 % of the energy goes to phonons.
    assert 0.5 < escaped[1] < 0.8
    assert escaped[1] == pytest.approx(escaped[0], rel=1e-2)
    np.testing.assert_allclose(left[1], left[0], atol=2e-2 * np.abs(left[0]).max())


@pytest.mark.slow
def test_onset_of_injection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first quasiparticles enter below a narrow edge, Newton's method passes f < 0 on its way.

    Phonons of such an f are found in as few steps as others, and the way is no longer for them.
    """
    made, found, steady = recorded(monkeypatch), [], QuasistaticPhonons.steady

    def watched(phonons: QuasistaticPhonons, states: object, f: np.ndarray) -> QuasistaticState:
        result = steady(phonons, states, f)  # type: ignore[arg-type]
        found.append((int(result.steps.max()), float(1.0 - f[:, 0].max())))
        return result

    monkeypatch.setattr(QuasistaticPhonons, "steady", watched)
    grid = EnergyAxis.graded(6.0, gap_edges=[0.9, 0.95, 0.99], first=2.5e-4, number=80, largest=0.2)
    device = wire(line_mesh(6, 9), "point_B", "point_A")
    phonons = PhononBath(1e-3, 1.764, device.bath, escape_time=20.0, pair_breaking_time=0.05)
    problem = UsadelProblem(
        device,
        grid,
        1e-3,
        GapModel("uniform", at="point_B", rule="arcsinh"),
        collisions=InelasticCollisions(2e-4, phonons=phonons),
    )
    solution = solve_point(problem, Point(0.75 * device.voltage_unit))
    found.clear()
    solution = solve_point(problem, Point(device.voltage_unit), solution)
    assert min(excess for _, excess in found) < -0.1
    assert max(steps for steps, _ in found) <= 12
    assert len(found) <= 40
    assert max(len(item.krylov) for item in made) <= 8
    ledger = problem.ledger(solution)
    assert np.all(np.abs(ledger.residual) <= BALANCE * ledger.scale)
