"""How time and memory of the whole kinetic solution grow with cells and energies."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from timing import least
from wire_problems import FILM, FILM_ENERGIES, film, respond_T

from fvqp.models.kinetics import BLOCK, Kinetics, SpectralState, T
from fvqp.solvers.linear import LinearSolver

pytestmark = pytest.mark.benchmark


@pytest.mark.parametrize("kind", ["cells", "energies"])
def test_time_is_linear(kind, report):
    # Films much smaller than these fit into the cache and cost less an unknown.
    sizes = np.array([4, 6, 8, 12])
    if kind == "cells":
        problems = [film((FILM[0] * s // 2, FILM[1]), 2 * BLOCK) for s in sizes]
    else:
        problems = [film((FILM[0] // 2, FILM[1]), BLOCK * s) for s in sizes]
    times = least([lambda p=p: respond_T(p) for p in problems])
    exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    report(f"film, time against {kind}: exponent", f"{exponent:.2f}")
    assert exponent == pytest.approx(1.0, abs=0.1)


def bytes_outside(action: Callable[[], object], monkeypatch: pytest.MonkeyPatch) -> int:
    """Largest memory in numpy arrays during ``action`` beyond what there was before; the interior of the
    linear solver, its matrix and right-hand side excepted, does not count."""
    peaks: list[int] = []
    inside = LinearSolver.solve

    def solve(self: LinearSolver, *args: object, **more: object) -> object:
        peaks.append(tracemalloc.get_traced_memory()[1])
        result = inside(self, *args, **more)  # type: ignore[arg-type]
        tracemalloc.reset_peak()
        return result

    action()
    monkeypatch.setattr(LinearSolver, "solve", solve)
    tracemalloc.start()
    try:
        kept = action()
        peaks.append(tracemalloc.get_traced_memory()[1])
        del kept
    finally:
        tracemalloc.stop()
    return max(peaks)


@pytest.mark.parametrize("gap", ["one gap", "a gap in every cell"])
def test_memory(gap, report, monkeypatch):
    """At most 40 bytes an unknown; the field itself takes 8 of them."""
    problem = film()
    kinetics: Kinetics = problem.kinetics
    cells, energies = problem.device.mesh.n_cells, problem.grid.n
    state = problem.at_rest(0.0)[0]
    if gap != "one gap":
        state = SpectralState(np.linspace(0.99, 1.0, cells), np.zeros(1))
    external = np.zeros((1, 2, len(problem.device.terminals), energies))
    external[0, T, 0] = 1.0
    used = bytes_outside(lambda: kinetics.solve(state, external, only=T), monkeypatch)
    per_unknown = used / (cells * energies)
    report(
        f"film, memory beside the solver's, {gap}",
        f"{per_unknown:.1f} bytes an unknown ({energies} energies, {BLOCK} at a time)",
    )
    assert FILM_ENERGIES == energies
    assert per_unknown < 40.0
