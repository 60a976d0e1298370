"""A diffusive film with energies, phonons and pair breaking: a step against the same written cell by cell.

Processor times of one thread. The peer is what one writes first: a loop over cells with numpy over energies,
collisions as arrays over pairs of bins, fluxes from the neighbours of a cell, Heun's step. It is given bin
averages and conductances, keeps what does not depend on occupations, and is checked to give the same step. A
second one loops over bins too, with numpy over their partners, and needs no arrays of bins × bins a cell.

Where occupations span more than nine decades, as in cold films, the program sums directly: transforms would
lose the small ones.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from timing import best

from fvqp.collisions import Coupling, ElectronPhonon, PhononEscape, thermal
from fvqp.energy import EnergyAxis
from fvqp.mesh import shape_mesh
from fvqp.models.boltzmann import BoltzmannProblem, Diffusion, Medium, State

pytestmark = pytest.mark.benchmark
COUPLING = Coupling(kappa=1.764, pair_breaking_time=0.04)
ESCAPE, CELL = 0.5, 1e-6
#: Step in τ0, short against all rates.
STEP = 1e-6


def film(bins: int, side: int, temperature: float) -> tuple[BoltzmannProblem, State, ElectronPhonon]:
    """A square of ``side × side`` cells, hot in a corner."""
    grid = EnergyAxis.uniform(6.0 / bins, 7.0, start=1.0)
    operator = ElectronPhonon(grid, COUPLING)
    bath = thermal(grid, temperature)
    escape = PhononEscape(grid, COUPLING, ESCAPE, bath.n[0])
    medium = Medium(operator, fermi_velocity=1e-3, free_path=1e-7, processes={"escape": escape})
    mesh = shape_mesh("grid2d", nx=side, ny=side, Lx=side * CELL, Ly=side * CELL)
    problem = BoltzmannProblem(mesh, grid, medium, quasiparticles=Diffusion())
    hot = np.exp(-np.hypot(*mesh.centroid.T[:2]) / (4.0 * CELL))[:, None, None]
    pulse = 0.1 * hot * np.exp(-(((grid.energies - 3.0) / 0.5) ** 2))
    return problem, problem.state(bath.f + pulse, bath.n * (1.0 + hot)), operator


def ours(problem: BoltzmannProblem, state: State) -> tuple[np.ndarray, np.ndarray]:
    """Heun's step with the rates of the model."""
    f, n = state.f[:, 0], state.n[:, 0]

    def rates(f: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        here = problem.at(state.gap)
        local = here.local.rates(f, n)
        return local.f + here.moving_f.rates(f[:, None], local.f).y[:, 0], local.n

    first = rates(f, n)
    second = rates(f + STEP * first[0], n + STEP * first[1])
    return tuple(y + 0.5 * STEP * (a + b) for y, a, b in zip((f, n), first, second, strict=True))


class Peer:
    """The same step, cell by cell, all pairs of bins at once."""

    def __init__(self, problem: BoltzmannProblem, operator: ElectronPhonon, temperature: float) -> None:
        grid, bin_weights = operator.grid, problem.at(problem.gap_at_rest).local.bin_weights[0]
        self.s, p = bin_weights.dos_weights[0], bin_weights.pair_weights[0]
        number = np.arange(grid.n)
        lag = number[None, :] - number[:, None]
        self.emitted, self.paired = np.abs(lag) - 1, 2 * grid.first + number[None, :] + number[:, None]
        self.upper = np.triu(np.ones(lag.shape, bool), 1)
        strength = operator.coupling.strength * grid.phonon_energies**2
        outer = np.outer(self.s, self.s), np.outer(p, p)
        self.scatter = np.triu(strength[self.emitted], 1) * (outer[0] - outer[1])
        self.pair = strength[self.paired] * (outer[0] + outer[1])
        self.bath, self.capacity = thermal(grid, temperature).n[0], operator.phonon_modes
        streaming = problem.moving_f.streaming
        self.conductance = problem.moving_f._limit.conductance
        self.heat = streaming.capacity
        pairs = streaming.layout.face_cells
        self.faces = [
            [(face, pairs[face].sum() - cell) for face in np.flatnonzero((pairs == cell).any(axis=1))]
            for cell in range(problem.cells.n_owned)
        ]
        self.inner = (pairs >= 0).all(axis=1)

    def collide(self, f: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """One cell."""
        phonons = n[self.emitted]
        down = self.scatter * (f * (1 - f[:, None]) * (1 + phonons) - f[:, None] * (1 - f) * phonons)
        phonons = n[self.paired]
        pairs = self.pair * (f * f[:, None] * (1 + phonons) - (1 - f) * (1 - f[:, None]) * phonons)
        total = down.sum(axis=1) - down.sum(axis=0) - pairs.sum(axis=1)
        rate_f = np.divide(total, self.s, out=np.zeros_like(total), where=self.s > 0.0)
        rate_n = np.bincount(self.emitted[self.upper], down[self.upper], n.size)
        rate_n += np.bincount(self.paired.ravel(), 0.5 * pairs.ravel(), n.size)
        return rate_f, rate_n / self.capacity

    def rates(self, f: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rate_f, rate_n = np.empty_like(f), np.empty_like(n)
        for cell in range(len(f)):
            rate_f[cell], rate_n[cell] = self.collide(f[cell], n[cell])
            rate_n[cell] += (self.bath - n[cell]) / ESCAPE
            for face, other in self.faces[cell]:
                if self.inner[face]:
                    rate_f[cell] += self.conductance[face] * (f[other] - f[cell]) / self.heat[cell]
        return rate_f, rate_n

    def step(self, state: State) -> tuple[np.ndarray, np.ndarray]:
        f, n = state.f[:, 0], state.n[:, 0]
        first = self.rates(f, n)
        second = self.rates(f + STEP * first[0], n + STEP * first[1])
        return tuple(y + 0.5 * STEP * (a + b) for y, a, b in zip((f, n), first, second, strict=True))


class PlainPeer(Peer):
    """The same step, cell by cell and bin by bin."""

    def collide(self, f: np.ndarray, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total, rate_n = np.zeros_like(f), np.zeros_like(n)
        for i in range(f.size):
            if i + 1 < f.size:
                phonons = n[: f.size - 1 - i]
                above = f[i + 1 :]
                down = self.scatter[i, i + 1 :] * (
                    above * (1 - f[i]) * (1 + phonons) - f[i] * (1 - above) * phonons
                )
                total[i] += down.sum()
                total[i + 1 :] -= down
                rate_n[: f.size - 1 - i] += down
            here = slice(self.paired[i, 0], self.paired[i, 0] + f.size)
            phonons = n[here]
            pairs = self.pair[i] * (f * f[i] * (1 + phonons) - (1 - f) * (1 - f[i]) * phonons)
            total[i] -= pairs.sum()
            rate_n[here] += 0.5 * pairs
        return np.divide(total, self.s, out=np.zeros_like(total), where=self.s > 0.0), rate_n / self.capacity


@pytest.mark.parametrize(
    ("bins", "temperature", "ratio"), [(400, 0.35, 28.0), (1000, 0.35, 80.0), (1000, 0.2, 20.0)]
)
def test_step_of_a_film(
    bins: int, temperature: float, ratio: float, report: Callable[[str, str], None]
) -> None:
    problem, state, operator = film(bins, 3, temperature)
    peers = [kind(problem, operator, temperature) for kind in (Peer, PlainPeer)]
    for peer in peers:
        for found, expected, before in zip(
            ours(problem, state), peer.step(state), (state.f[:, 0], state.n[:, 0]), strict=True
        ):
            assert np.abs(found - expected).max() < 1e-10 * np.abs(expected - before).max()
    pairs, loop = (best(partial(peer.step, state), 1) / problem.cells.n_owned for peer in peers)
    problem, state, _ = film(bins, 12, temperature)
    cell = best(lambda: ours(problem, state), 7) / problem.cells.n_owned
    report(
        f"step of a diffusive film, {bins} bins, bath at {temperature:g} Delta0, a cell",
        f"{cell * 1e6:.0f} us; in numpy, all pairs of a cell {pairs * 1e3:.1f} ms, ratio {pairs / cell:.0f}; "
        f"bin by bin {loop * 1e3:.1f} ms, ratio {loop / cell:.0f}",
    )
    assert pairs > ratio * cell
