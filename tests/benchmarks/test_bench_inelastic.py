"""Timings of electron-electron collisions: the operator, and the inelastic sweep of Ryan et al. (2026).

Processor times of one thread; the peer of the operator is the sum over all events, compiled.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from newton_counts import recorded
from numba import njit
from timing import best
from wire_devices import line_mesh, wire

from fvqp.collisions import ElectronElectron, InelasticCollisions, Spectra
from fvqp.energy import EnergyAxis
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.spectral import bin_averages

pytestmark = pytest.mark.benchmark
CELLS = 128


def operator(bins: int, kernel: str = "fermi_liquid") -> tuple[Callable[[], object], Callable[[], object]]:
    """Integral and Jacobian's action, of all cells."""
    grid = EnergyAxis(np.linspace(0.0, 10.0, bins + 1))
    spectrum = bin_averages(grid.edges, np.linspace(0.9, 1.0, CELLS), 0.0, 0.005)
    spectra = Spectra(spectrum.dos, spectrum.pairing, spectrum.re_F)
    f = np.tile(np.tanh(grid.energies / 0.5), (CELLS, 1, 1))
    collisions = ElectronElectron(grid, 2e-4, kernel)  # type: ignore[arg-type]
    found = collisions.at(spectra, f)
    return lambda: collisions.at(spectra, f), lambda: found.jvp(f)


@njit
def all_events(states: np.ndarray, pairs: np.ndarray, h: np.ndarray) -> np.ndarray:
    n = h.size
    out = np.zeros(n)
    for a in range(n // 2, n):
        for b in range(n):
            first = states[a] * states[b] - pairs[a] * pairs[b]
            for c in range(max(0, b - a), min(n, n + b - a)):
                d = c + a - b
                weight = first * (states[c] * states[d] - pairs[c] * pairs[d])
                out[a] += weight * ((h[a] - h[b]) * (1.0 - h[c] * h[d]) + (h[c] - h[d]) * (1.0 - h[a] * h[b]))
    return out


def test_operator_at_400_energies(report) -> None:
    h = np.linspace(-1.0, 1.0, 800)
    summed = best(lambda: all_events(np.abs(h), h, h), 1)
    for kernel in ("fermi_liquid", "diffusive_1d"):
        cell, action = (best(work) / CELLS for work in operator(400, kernel))
        report(
            f"collisions, 400 energies, {kernel}",
            f"{1e6 * cell:.0f} us, Jacobian {1e6 * action:.0f} us a cell",
        )
        assert cell < 150e-6
        assert action < 150e-6
        assert summed / cell > 1000.0
    report("the same, sum over all events", f"{1e3 * summed:.0f} ms a cell")


def test_growth_of_the_operator(report) -> None:
    times = [best(operator(bins)[0]) for bins in (400, 3200)]
    exponent = float(np.log(times[1] / times[0]) / np.log(8.0))
    report("collisions, exponent in the number of energies", f"{exponent:.2f}")
    assert exponent < 1.2


def test_inelastic_sweep(report, monkeypatch) -> None:
    """51 biases, 400 energies, 198 cells, self-consistent."""
    made = recorded(monkeypatch)
    problem = UsadelProblem(
        wire(line_mesh(80, 41), "point_B"),
        EnergyAxis(np.linspace(0.0, 10.0, 401)),
        0.005,
        GapModel("uniform", at="point_B", rule="arcsinh"),
        collisions=InelasticCollisions(2e-4),
    )
    solve_point(problem, Point())
    start, solution = time.process_time(), None
    for bias in np.linspace(0.0, 5.0, 51):
        solution = solve_point(problem, Point(bias * problem.device.voltage_unit), solution)
    seconds = time.process_time() - start
    report("inelastic sweep, 51 biases, 400 energies, 198 cells", f"{seconds:.1f} s of one processor")
    report(
        "its Newton steps a solve, Krylov iterations a step, at most",
        f"{max(len(item.krylov) for item in made)}, {max(max(item.krylov, default=0) for item in made)}",
    )
    assert seconds < 60.0
