"""Timings of driven steady states and of hot pulses; processor times, which include both threads of BLAS."""

from __future__ import annotations

import time

import numpy as np
import pytest

from fvqp.collisions import Coupling, ElectronPhonon, PhotonDrive, thermal
from fvqp.collisions.sources import PhononEscape
from fvqp.collisions.threshold import threshold_shares
from fvqp.energy import EnergyAxis
from fvqp.models.boltzmann import BoltzmannProblem, Medium, balanced_state, evolve, separate_cells

pytestmark = pytest.mark.benchmark
COUPLING = Coupling(kappa=1.764, pair_breaking_time=5.5e-4)  # aluminium
ESCAPE = 4e-4


def aluminium(bins_per_gap: int, rate: float, bath: float) -> BoltzmannProblem:
    """Aluminium up to 10 Δ0 with phonons that escape, driven at a tenth of the gap.

    The resolution is that of Fischer and Catelani, Phys. Rev. Applied 19, 054087 (2023).
    """
    grid = EnergyAxis.uniform(1.0 / bins_per_gap, 10.0, start=1.0)
    processes = {
        "drive": PhotonDrive.classical(grid, 0.1, rate),
        "escape": PhononEscape(grid, COUPLING, ESCAPE, thermal(grid, bath).n),
    }
    return cell(grid, processes)


def cell(grid: EnergyAxis, processes=None) -> BoltzmannProblem:
    collisions, shares = ElectronPhonon(grid, COUPLING, "direct"), threshold_shares(grid, 1.0)[0]
    medium = Medium(collisions, processes=processes or {}, phonon_shares=shares)
    return BoltzmannProblem(separate_cells(), grid, medium)


@pytest.mark.parametrize(("bins_per_gap", "rate"), [(60, 1.0), (180, 1.0), (180, 10.0)])
def test_driven_steady_state(bins_per_gap, rate, record_property, report):
    problem = aluminium(bins_per_gap, rate, 0.05)
    grid, guess = problem.grid, problem.thermal(0.05)
    wall, start = time.perf_counter(), time.process_time()
    found = balanced_state(problem, guess)
    taken, wall = time.process_time() - start, time.perf_counter() - wall
    record_property("seconds", taken)
    report(
        f"steady state, {grid.n} bins and {grid.n_phonon} phonon points, drive {rate:g}/τ0",
        f"{taken:.1f} s of processor, {wall:.1f} s, {found.iterations} steps from the bath temperature",
    )
    assert found.residual <= 1e-9
    if rate == 1.0:
        assert taken < 10.0


def test_hot_pulse(record_property, report):
    grid = EnergyAxis.uniform(8.0 / 400, 9.0, start=1.0)
    problem = cell(grid)
    f, n = thermal(grid, 0.15)
    state = problem.state(f + 0.1 * np.exp(-0.5 * ((grid.energies - 4.0) / 0.3) ** 2), n)
    before = problem.ledger(state).stored
    start = time.process_time()
    for moment in evolve(problem, state, np.geomspace(2.3e-7, 2.3e3, 41), method="arkimex", tolerance=1e-3):  # noqa: B007
        pass
    taken = time.process_time() - start
    record_property("seconds", taken)
    report(
        "hot pulse over ten decades of time, 400 bins and 899 phonon points",
        f"{taken:.1f} s of processor, {moment.steps} steps",
    )
    np.testing.assert_allclose(moment.ledger.stored, before, rtol=1e-12)
