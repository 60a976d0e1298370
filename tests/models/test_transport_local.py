"""Collisions in the cells of a body: what earlier calls leave to later ones."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from shells import radial_streaming, shell_mesh

import fvqp.threads
import fvqp.transport.streaming
from fvqp.collisions import Coupling, ElectronPhonon, thermal
from fvqp.energy import EnergyAxis
from fvqp.mesh import shape_mesh
from fvqp.models.boltzmann import BoltzmannProblem, Medium, cell_solver
from fvqp.models.boltzmann.state import Local
from fvqp.transport.directions import spherical
from fvqp.transport.walls import Wall

GRID = EnergyAxis.uniform(0.2, 3.0, start=1.0)


@pytest.fixture
def three_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fvqp.threads, "_numba_threads", lambda: 3)


def test_eliminations_serve_similar_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the cell that changes, and of all for another length, there is a new one; all keep the energy."""
    made: list[float] = []

    class Counted(cell_solver.EliminatedLU):
        def factor(self, at: np.ndarray, blocks: cell_solver.Arrow, shift: np.ndarray) -> None:
            made.extend(1.0 / shift)
            super().factor(at, blocks, shift)

    monkeypatch.setattr(cell_solver, "EliminatedLU", Counted)
    mesh = shape_mesh("grid1d", nx=3, Lx=3e-6, comm=MPI.COMM_SELF)
    problem = BoltzmannProblem(mesh, GRID, Medium(ElectronPhonon(GRID, Coupling(1.8, 0.04))))
    f, n = (np.repeat(a, 3, axis=0) for a in thermal(GRID, 0.3))
    right = np.sin(np.arange(f.size)).reshape(f.shape) * f, 0.1 * n
    local = problem.at(problem.gap_at_rest).local
    weights = local.weight_f * GRID.energies, local.weight_n * GRID.phonon_energies

    def solved(length: float, f: np.ndarray) -> Local:
        made.clear()
        x = local.implicit(length, f, n)(*right)
        energies = [
            sum(np.sum(w * a, axis=1) for w, a in zip(weights, y, strict=True)) for y in (x[:2], right)
        ]
        assert energies[0] == pytest.approx(energies[1], rel=1e-12)
        return x

    first = solved(1.0, f)
    assert made == [1.0] * 3
    again = solved(1.1, f)
    assert made == []
    assert again.f == pytest.approx(first.f, abs=1e-12 * np.abs(first.f).max())
    more = f.copy()
    more[1] = np.minimum(0.5, 5.0 * f[1])
    solved(1.1, more)
    assert made == [1.1]
    solved(2.0, f)
    assert made == [2.0] * 3
    problem.forget()
    solved(2.0, f)
    assert made == [2.0] * 3


def test_eliminations_without_room_are_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cells of five that are kept, or none, make no difference."""
    mesh = shape_mesh("grid1d", nx=5, Lx=5e-6, comm=MPI.COMM_SELF)
    problem = BoltzmannProblem(mesh, GRID, Medium(ElectronPhonon(GRID, Coupling(1.8, 0.04))))
    local = problem.at(problem.gap_at_rest).local
    f, n = (a * np.linspace(0.5, 1.0, 5)[:, None] for a in thermal(GRID, 0.3))
    right = np.sin(np.arange(f.size)).reshape(f.shape) * f, 0.1 * n
    found = []
    for cells in (5, 2, 0):
        monkeypatch.setattr(
            cell_solver, "MEMORY", cells * cell_solver.EliminatedLU.kept(GRID.n, GRID.n_phonon)
        )
        problem.forget()
        found.append(local.implicit(1.0, f, n)(*right))
        assert problem.eliminations.missing.sum() == 5 - cells
    for other in found[1:]:
        assert np.array_equal(other.f, found[0].f) and np.array_equal(other.n, found[0].n)


def test_insulators_take_no_room_of_eliminations(monkeypatch: pytest.MonkeyPatch) -> None:
    """A film of two cells behind three of a crystal: there is room for two, and both are kept."""
    mesh = shape_mesh("grid1d", nx=5, Lx=5e-6, comm=MPI.COMM_SELF)
    film = Medium(ElectronPhonon(GRID, Coupling(1.8, 0.04)))
    crystal = Medium(None, None, modes=np.ones(GRID.n_phonon))
    f, n = (a * np.linspace(0.5, 1.0, 5)[:, None] for a in thermal(GRID, 0.3))
    right = np.sin(np.arange(f.size)).reshape(f.shape) * f, 0.1 * n
    alone = BoltzmannProblem(mesh, GRID, film)
    expected = alone.at(alone.gap_at_rest).local.implicit(1.0, f, n)(*right)
    monkeypatch.setattr(cell_solver, "MEMORY", 2 * cell_solver.EliminatedLU.kept(GRID.n, GRID.n_phonon))
    problem = BoltzmannProblem(mesh, GRID, [(np.arange(3), crystal), (np.array([3, 4]), film)])
    found = problem.at(problem.gap_at_rest).local.implicit(1.0, f, n)(*right)
    assert len(problem.eliminations.missing) == 2 and not problem.eliminations.missing.any()
    assert np.array_equal(found.f[3:], expected.f[3:]) and np.array_equal(found.n[3:], expected.n[3:])
    assert np.array_equal(found.n[:3], right[1][:3])


def test_threads_share_energies(three_threads: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streaming on three threads is streaming on one."""
    monkeypatch.setattr(fvqp.transport.streaming, "_WORTH_A_THREAD", 1)
    found = []
    for least in (None, 10**9):
        body = shell_mesh(np.linspace(0.0, 1.0, 9), "spherical")
        streaming = radial_streaming(body, spherical(6), np.linspace(0.1, 1.0, 70), Wall(0.3, 0.5, 0.2))
        if least is not None:
            streaming._shared = lambda loop, *given: loop(0, 70, *given)  # type: ignore[method-assign]
        f = 0.5 + 0.4 * np.sin(np.arange(8 * 6 * 70.0)).reshape(8, 6, 70)
        rate = np.geomspace(0.01, 100.0, 70)[None]
        found.append((*streaming.rates(f, rate), streaming.sweep(f, rate)))
    for here, there in zip(*found, strict=True):
        assert np.array_equal(here, there)
