"""Timings of the collision integrals, against matrices over all pairs and against the transforms they need.

Processor times of one thread, the best of several, and times by the clock of two threads, which say something
only while other programs leave the processors alone. The baseline is plain numpy on one thread and one cell,
which writes the kinetic equations as N × N arrays.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numba import config, set_num_threads
from scipy import fft
from timing import best

from fvqp.collisions import Coupling, ElectronPhonon
from fvqp.energy import EnergyAxis, bcs_weights

pytestmark = pytest.mark.benchmark
CELLS = 256
#: Share of the processors that other programs may take for the clock to count.
QUIET = 0.05
COUPLING = Coupling(kappa=1.764, pair_breaking_time=0.04)


def busy() -> float:
    """Seconds that all processors together have worked for all programs since the start of the machine."""
    fields = [float(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")


def by_the_clock(action: Callable[[], object], seconds: float) -> tuple[float, float]:
    """Least time of calls in a row, and the share of the processors that other programs took meanwhile."""
    action()
    least, wall, own, all_together = np.inf, time.perf_counter(), time.process_time(), busy()
    while time.perf_counter() - wall < seconds:
        start = time.perf_counter()
        action()
        least = min(least, time.perf_counter() - start)
    wall, own = time.perf_counter() - wall, time.process_time() - own
    others = busy() - all_together - own
    return least, max(others, 0.0) / (wall * (os.cpu_count() or 1))


def problem(bins: int, cells: int = CELLS):
    """Bins from the gap to 9 Δ0, phonons up to the sum of two of them; every cell with a gap of its own."""
    width = 8.0 / bins
    grid = EnergyAxis.uniform(width, 9.0, start=1.0)
    bin_weights = bcs_weights(grid, np.linspace(1.0, 1.2, cells))
    f = np.tile(0.1 * np.exp(-(grid.energies - 1.0) / 2.0), (cells, 1))
    n = np.tile(0.1 * np.exp(-grid.phonon_energies / 2.0), (cells, 1))
    return grid, bin_weights, f, n


def pair_matrices(operator, s, p, f, n):
    """Right-hand side of one cell by N × N arrays."""
    grid, a = operator.grid, operator.coupling.strength
    number = np.arange(grid.n)
    lag = number[None, :] - number[:, None]
    up = np.triu(np.ones(lag.shape), 1)
    point = np.abs(lag) - 1
    phonons, omega = n[point], grid.phonon_energies[point]
    w = up * a * omega**2 * (np.outer(s, s) - np.outer(p, p))
    emitted = w * (f[None, :] * (1 - f[:, None]) * (1 + phonons) - f[:, None] * (1 - f[None, :]) * phonons)
    both = 2 * grid.first + number[None, :] + number[:, None]
    phonons, omega = n[both], grid.phonon_energies[both]
    w = a * omega**2 * (np.outer(s, s) + np.outer(p, p))
    paired = w * (np.outer(f, f) * (1 + phonons) - np.outer(1 - f, 1 - f) * phonons)
    total = emitted.sum(axis=1) - emitted.sum(axis=0) - paired.sum(axis=1)
    rate_f = np.divide(total, s, out=np.zeros_like(s), where=s > 0.0)
    rate_n = np.bincount(point[up > 0], emitted[up > 0], n.size)
    rate_n += np.bincount(both.ravel(), 0.5 * paired.ravel(), n.size)
    return rate_f, rate_n / operator.phonon_modes


def test_right_hand_side_at_400_bins(record_property):
    grid, bin_weights, f, n = problem(400)
    assert (grid.n, grid.n_phonon) == (400, 899)
    operator = ElectronPhonon(grid, COUPLING)
    assert operator.chosen(bin_weights, f) == "fourier"
    rates = operator.at(bin_weights, f, n).rates
    plain = pair_matrices(operator, bin_weights.dos_weights[3], bin_weights.pair_weights[3], f[3], n[3])
    np.testing.assert_allclose(rates.f[3], plain[0], rtol=0.0, atol=1e-12 * np.abs(plain[0]).max())
    np.testing.assert_allclose(rates.n[3], plain[1], rtol=0.0, atol=1e-12 * np.abs(plain[1]).max())

    cell = best(lambda: operator.at(bin_weights, f, n).rates) / CELLS
    direct = ElectronPhonon(grid, COUPLING, "direct")
    summed = best(lambda: direct.at(bin_weights, f, n).rates, 3) / CELLS
    numpy_cell = best(
        lambda: pair_matrices(operator, bin_weights.dos_weights[3], bin_weights.pair_weights[3], f[3], n[3])
    )
    length = fft.next_fast_len(2 * grid.n - 1, real=True)
    state, sums = np.ones((8, 4, length)), np.ones((8, 7, length // 2 + 1), dtype=complex)
    bare = best(lambda: (fft.rfft(state), fft.irfft(sums, length)), 30) / 8
    record_property("microseconds_a_cell", 1e6 * cell)
    record_property("direct_sums_microseconds_a_cell", 1e6 * summed)
    record_property("bare_transforms_microseconds_a_cell", 1e6 * bare)
    record_property("numpy_pair_matrices_over_this", numpy_cell / cell)
    assert cell < 100e-6
    assert numpy_cell / cell > 60.0  # on one thread
    # packing, products and sums take some two fifths of what transforms of a batch in the cache do
    assert cell < 2.2 * bare


@pytest.mark.skipif(
    min(os.cpu_count() or 1, config.NUMBA_NUM_THREADS) < 2 or not Path("/proc/stat").exists(),
    reason="needs Linux, two cores and NUMBA_NUM_THREADS=2",
)
def test_right_hand_side_on_two_threads(record_property, report):
    """100 µs a cell and 100 times the baseline by the clock, in batches of 256 cells."""
    grid, bin_weights, f, n = problem(400)
    operator = ElectronPhonon(grid, COUPLING)
    numpy_cell, disturbed = by_the_clock(
        lambda: pair_matrices(operator, bin_weights.dos_weights[3], bin_weights.pair_weights[3], f[3], n[3]),
        2.0,
    )
    set_num_threads(2)
    batch, also = by_the_clock(lambda: operator.at(bin_weights, f, n).rates, 2.0)
    cell, disturbed = batch / CELLS, max(disturbed, also)
    record_property("microseconds_a_cell_on_two_threads", 1e6 * cell)
    record_property("numpy_pair_matrices_over_this", numpy_cell / cell)
    record_property("share_of_other_programs", disturbed)
    measured = (
        f"{1e6 * cell:.0f} us a cell, numpy {numpy_cell / cell:.0f} times as long; "
        f"other programs took {100.0 * disturbed:.0f} % of the processors"
    )
    report(f"collisions at 400 bins, {CELLS} cells on 2 threads, by the clock", measured)
    if disturbed > QUIET:
        pytest.skip(f"says nothing on a busy machine: {measured}")
    assert cell < 100e-6
    assert numpy_cell / cell > 100.0


def test_cost_exponent(record_property):
    times = []
    sizes = (400, 3200)
    for bins in sizes:
        grid, bin_weights, f, n = problem(bins, 32)
        operator = ElectronPhonon(grid, COUPLING, "fourier")
        times.append(best(lambda: operator.at(bin_weights, f, n).rates))  # noqa: B023
    exponent = np.log(times[1] / times[0]) / np.log(sizes[1] / sizes[0])
    record_property("exponent", exponent)
    # the transforms alone have 1.08; the buffers of a cell of 3200 bins fill the cache that 400 bins share
    assert exponent < 1.2
