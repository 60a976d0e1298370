"""States and grids that the tests of collisions share."""

from __future__ import annotations

import numpy as np

from fvqp.collisions import Coupling, ElectronPhonon, Pair
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.typing import Floats

COUPLING = Coupling(kappa=1.764, pair_breaking_time=0.04)
GAPS = np.array([0.9, 0.937, 1.0, 1.013])
UNIFORM = EnergyAxis.uniform(0.05, 3.5, start=0.9)
DEBYE = EnergyAxis.uniform(0.05, 3.5, start=0.7, phonon_maximum=3.1)
GRADED = EnergyAxis.from_gap(12.0, gap=GAPS, finest=0.02, growth=0.1, phonon_maximum=15.0)

#: Every evaluation on the grids it serves.
EVALUATIONS = [
    ("direct", UNIFORM),
    ("direct", DEBYE),
    ("fourier", UNIFORM),
    ("fourier", DEBYE),
    ("graded", UNIFORM),
    ("graded", DEBYE),
    ("graded", GRADED),
]


def random_state(grid: EnergyAxis, cells: int = GAPS.size, seed: int = 1) -> tuple[Floats, Floats]:
    """Any occupations: 0 < f < 1, 0 < n."""
    random = np.random.default_rng(seed)
    f = random.uniform(0.0, 1.0, (cells, grid.n))
    return f, random.uniform(0.05, 2.0, (cells, grid.n_phonon))


def thermal_state(grid: EnergyAxis, temperature: float, cells: int = GAPS.size) -> tuple[Floats, Floats]:
    """Fermi and Bose functions."""
    f = 1.0 / (np.exp(grid.energies / temperature) + 1.0)
    n = 1.0 / np.expm1(grid.phonon_energies / temperature)
    return np.tile(f, (cells, 1)), np.tile(n, (cells, 1))


def powers(operator: ElectronPhonon, bin_weights: BinWeights, rates: Pair) -> tuple[Floats, Floats, Floats]:
    """Power into quasiparticles, into phonons, and what is moved in all, of every cell."""
    into_f = bin_weights.dos_weights * operator.grid.energies * rates.f
    into_n = operator.phonon_modes * operator.grid.phonon_energies * rates.n
    moved = np.abs(into_f).sum(axis=1) + np.abs(into_n).sum(axis=1)
    return into_f.sum(axis=1), into_n.sum(axis=1), moved


def scattering_only(grid: EnergyAxis) -> EnergyAxis:
    """The grid without phonons that break pairs of the smallest gap."""
    keep = grid.phonon_energies < 2.0 * grid.energies[0] - 1e-9
    return EnergyAxis(grid.edges, grid.phonon_energies[keep], width=grid.width, first=grid.first)
