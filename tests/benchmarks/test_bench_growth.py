"""How time and memory of the whole kinetic solution grow with cells and energies."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import pytest
from mpi4py import MPI
from solver_matrices import grid_matrices
from test_phonon_chip import chip, flown
from timing import least
from wire_problems import FILM, FILM_ENERGIES, film, respond_T

from fvqp.mesh import read_mesh
from fvqp.models.usadel.kinetics import BLOCK, Kinetics, SpectralState, T
from fvqp.solvers.linear import LinearSolver
from fvqp.solvers.numbering import Numbering

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


@pytest.mark.parametrize("kind", ["cells", "energies"])
def test_growth_of_a_solid(kind, report):
    """Multigrid in a cube, to the same residual."""
    cubes = [((s, s, s), 16) for s in (24, 36, 54)]
    cases = cubes if kind == "cells" else [((24, 24, 24), n) for n in (8, 16, 32, 64)]

    def solution(shape: tuple[int, ...], n_energies: int) -> Callable[[], object]:
        indptr, indices, values = grid_matrices(shape, n_energies, 0.0)
        n = len(indptr) - 1
        numbering = Numbering(MPI.COMM_SELF, n, np.arange(n))
        solver = LinearSolver(indptr, indices, numbering, symmetric=True, method="multigrid", tolerance=1e-13)
        rhs = np.random.default_rng(0).normal(size=(n, n_energies))

        def solve() -> object:
            solver.set_matrix(values)
            return solver.solve(rhs)

        return solve

    sizes = [np.prod(shape) if kind == "cells" else n for shape, n in cases]
    times = least([solution(*case) for case in cases], 2)
    exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    report(f"solid, time against {kind}: exponent", f"{exponent:.2f}")


@pytest.mark.parametrize("kind", ["cells", "directions", "energies"])
def test_growth_of_a_phonon_chip(kind, tmp_path, report):
    """Flying phonons in a chip with pads, to 1 us: steps, sweeps and collisions together."""
    values = {"cells": [280.0, 200.0, 140.0], "directions": [4, 8, 12], "energies": [1.0, 0.5, 0.25]}[kind]
    path, sizes, runs = tmp_path / "chip.msh", [], []
    for value in values:
        mesh = path.with_stem(f"chip{value}") if kind == "cells" else path
        if not mesh.exists():
            chip(mesh, value if kind == "cells" else 280.0)
        directions = value if kind == "directions" else 4
        width = value if kind == "energies" else 1.0
        sizes.append(
            {"directions": directions**2, "energies": 1.0 / width}.get(kind) or read_mesh(mesh).n_cells
        )
        runs.append(
            lambda mesh=mesh, directions=directions, width=width: flown(
                mesh, directions, width, start="10 ns", end="1 us", tolerance=0.1
            )
        )
    times = least(runs, 1)
    exponent = float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
    seconds = ", ".join(f"{t:.1f}" for t in times)
    report(f"phonon chip, time against {kind}: exponent", f"{exponent:.2f} ({seconds} s)")


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
