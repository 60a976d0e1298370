"""Both junctions of the wire of Ryan et al. (2026) driven at once: what Figs. 5 and 6 show, symmetries."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from wire_devices import CONDUCTANCE, line_mesh, wire

from fvqp.energy import EnergyAxis
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances


def both(
    injects: bool = True, gap: GapModel | None = None, bins: int = 240, stronger: float = 1.0
) -> UsadelProblem:
    conductance = {name: stronger * value for name, value in CONDUCTANCE.items()}
    device = wire(line_mesh(14, 17), "junction_A", "point_B", conductance=conductance)
    device = replace(device, junctions=[device.junctions[0], replace(device.junctions[1], injects=injects)])
    model = gap or GapModel("uniform", at="junction_A", rule="arcsinh")
    return UsadelProblem(device, EnergyAxis(np.linspace(0.0, 6.0, bins + 1)), 0.005, model)


def at(problem: UsadelProblem, v_inj: float, v_det: float, guess: Solution | None = None) -> Solution:
    unit = problem.device.voltage_unit
    return solve_point(problem, Point(v_inj * unit, v_det * unit), guess)


def g_nl(problem: UsadelProblem, v_inj: float, v_det: float) -> float:
    """Followed from rest in steps of the bias."""
    solution = None
    for part in np.linspace(0.0, 1.0, 4)[1:]:
        solution = at(problem, part * v_inj, v_det, solution)
    assert solution is not None
    return -float(conductances(problem, solution)[1])


def test_back_action_of_the_detector() -> None:
    """Fig. 5: the gap at the injector falls by some 6 % of Δ0 once the detector's bias passes the gap."""
    problem = both()
    rest, below, above = (float(at(problem, 0.0, v).spectral.gap[0]) for v in (0.0, 0.8, 1.3))
    assert rest - below < 0.05 * (rest - above)
    assert 0.03 < 1.0 - above / rest < 0.09
    probe = both(injects=False)
    rest, above = (float(at(probe, 0.0, v).spectral.gap[0]) for v in (0.0, 1.3))
    assert above == pytest.approx(rest, abs=1e-9)


@pytest.mark.slow
def test_what_back_action_depends_on() -> None:
    """Nearly in proportion to the conductances; stronger where every cell has its own gap, which traps."""

    def lowered(problem: UsadelProblem) -> float:
        solution = at(problem, 0.0, 0.0)
        rest = problem.average_under(0, gaps(solution))
        for bias in (0.6, 0.9, 1.0, 1.1, 1.3):
            solution = at(problem, 0.0, bias, solution)
        return 1.0 - float((problem.average_under(0, gaps(solution)) / rest).item())

    def gaps(solution: Solution) -> np.ndarray:
        return np.broadcast_to(solution.spectral.gap, (problem.device.mesh.n_cells,))[:, None]

    problem = both()
    one, twice = lowered(problem), lowered(both(stronger=2.0))
    assert 1.6 < twice / one < 2.0
    weak = lowered(both(stronger=0.25, bins=120))
    own = lowered(both(stronger=0.25, bins=120, gap=GapModel("local", rule="arcsinh")))
    assert 1.2 < own / weak < 1.5


def test_gap_is_lowered_by_either_and_more_by_both() -> None:
    problem = both()
    gaps = [float(at(problem, *bias).spectral.gap[0]) for bias in ((1.3, 0.0), (0.0, 1.3), (1.3, 1.3))]
    assert gaps[2] < min(gaps[:2]) - 0.01


@pytest.mark.slow
def test_spikes_at_both_gap_edges() -> None:
    """Fig. 6: around (±Δ0, ±Δ0) the signal, odd in both biases, exceeds charge imbalance several hundred
    times."""
    problem = both()
    spike = max(abs(g_nl(problem, v, v)) for v in (0.95, 0.98, 1.01))
    charge = g_nl(problem, 1.3, 0.0)
    assert spike > 400.0 * charge > 0.0


@pytest.mark.slow
def test_reversing_both_biases_changes_nothing() -> None:
    problem = both()
    first, second = g_nl(problem, 1.6, 1.2), g_nl(problem, -1.6, -1.2)
    assert second == pytest.approx(first, rel=1e-6)
    assert g_nl(problem, -1.6, 1.2) == pytest.approx(g_nl(problem, 1.6, -1.2), rel=1e-6)


def test_energy_of_both_sources_is_accounted_for() -> None:
    """Charge and energy that both junctions put in are what reservoirs take and the condensate receives."""
    problem = both()
    ledger = problem.ledger(at(problem, 1.7, 1.3))
    assert np.all(np.abs(ledger.residual) < 1e-9 * ledger.scale)
    separate = both(gap=GapModel("fixed", value=0.95))
    parts = [separate.ledger(at(separate, *bias)).injected for bias in ((1.7, 1.3), (1.7, 0.0), (0.0, 1.3))]
    # In given spectra the elastic equations are linear in what the leads hold, but for rest itself.
    rest = separate.ledger(at(separate, 0.0, 0.0)).injected
    np.testing.assert_allclose(parts[0] + rest, parts[1] + parts[2], rtol=1e-10, atol=1e-12 * parts[0].max())
