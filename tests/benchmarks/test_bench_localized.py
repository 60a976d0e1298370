"""Kinetic Monte Carlo of localized quasiparticles: events per second against density and number."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest

from fvqp.models.localized import (
    AnnihilationLaw,
    BurstingBubbles,
    Simulation,
    TailAnnihilation,
    box,
    measure_steady,
)

pytestmark = pytest.mark.benchmark
LAW = TailAnnihilation(1.0, 1.0)
LEAST = {1e-3: 3e5}
"""Events per second of an idle core, averages of a run, where candidates for far pairs are many."""
MIN_ELSEWHERE = 5e5


def speed(alpha: float, particles: int, events: int) -> float:
    """Events per second of processor time in the steady state."""
    c = float(AnnihilationLaw(LAW).stationary(alpha))
    edge = (particles / c) ** (1 / 3)
    simulation = Simulation(box((edge,) * 3), LAW, generation=alpha, seed=1)
    simulation.place(np.random.default_rng(0).uniform(0.0, edge, (particles, 3)))
    simulation.advance([0.5 * c / alpha])
    before, start = simulation.events, time.process_time()
    simulation.advance([simulation.time + events / (1.5 * alpha * edge**3)])
    return (simulation.events - before) / (time.process_time() - start)


@pytest.mark.parametrize("alpha", [1e-14, 1e-9, 1e-6, 1e-3, 1.0])
def test_events_of_ten_thousand(alpha: float, report: Callable[[str, str], None]) -> None:
    found = speed(alpha, 10_000 if alpha < 1.0 else 20_000, 1_800_000)
    report(f"localized, α = {alpha:g}, 1e4 particles", f"{found:.3g} events/s")
    assert found > LEAST.get(alpha, MIN_ELSEWHERE)


@pytest.mark.parametrize("alpha", [1e-9, 1e-6, 1e-3, 1.0])
def test_cost_does_not_depend_on_the_number(alpha: float, report: Callable[[str, str], None]) -> None:
    few = speed(alpha, 10_000 if alpha < 1.0 else 20_000, 1_800_000)
    many = speed(alpha, 1_000_000, 600_000)
    report(
        f"localized, α = {alpha:g}, 1e6 particles",
        f"{many:.3g} events/s, {few / many:.2g} times fewer than at 1e4",
    )
    assert many > 0.5 * LEAST.get(alpha, MIN_ELSEWHERE)


def test_one_point_to_a_percent(report: Callable[[str, str], None]) -> None:
    start = time.perf_counter()
    alpha, edge = 1e-10, (2000.0 / 8.8e-5) ** (1 / 3)
    found = measure_steady(Simulation(box((edge,) * 3), LAW, generation=alpha, seed=2), 0.01)
    taken = time.perf_counter() - start
    report("localized, c(A) at α = 1e-10 to 1 %", f"{taken:.2g} s, {found.events} events")
    assert taken < 60.0


def test_bubbles(report: Callable[[str, str], None]) -> None:
    simulation = Simulation(box((30.0,) * 3), BurstingBubbles(1.0), generation=1.0, spins=True, seed=3)
    simulation.advance([2.0])
    before, start = simulation.events, time.process_time()
    simulation.advance([20.0])
    report(
        "bursting bubbles with spin",
        f"{(simulation.events - before) / (time.process_time() - start):.3g} events/s",
    )
