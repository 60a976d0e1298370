"""What bounds a step of the transport model: streaming and graded collisions against memory and arithmetic.

A sphere of 200 shells, 16 directions and 300 energies. Processor times of one thread, the least of several,
per cell, direction and energy. Bytes and operations are the fewest that each needs, counted by hand.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from test_bench_bounds import arithmetic, bandwidth
from test_bench_streaming import sphere
from timing import best

from fvqp.collisions import CollisionGrid, Coupling, ElectronPhonon, bcs_measure
from fvqp.transport.streaming import Scheme

pytestmark = pytest.mark.benchmark
SHELLS, DIRECTIONS, ENERGIES = 200, 16, 300
#: Bytes of one read and one write, and of these with scattering: occupations are read twice.
ONCE, TWICE = 24, 32
#: Operations of streaming: face value, flux on both sides, change of direction; gradient, its bounds and
#: limiter; what scattering adds: half-range flux, blend, mean.
UPWIND, LIMITED, BLEND = 12, 40, 12
#: Operations of a pair of bins: mean of exponents, their exponential function, coefficients, sums over bins
#: and phonon points, for rates, gain and loss.
PAIR = 75


def line(seconds: float, size: int, moved: float, flops: float, limits: tuple[float, float]) -> str:
    """Time and how far it is from the longer of the times that memory and arithmetic need."""
    bound = max(moved / limits[0], flops / limits[1])
    return (
        f"{seconds / size * 1e9:6.1f} ns, {moved / size:3.0f} B and {flops / size:4.0f} flop: "
        f"{seconds / bound:.1f} times the bound"
    )


def test_streaming(report: Callable[[str, str], None]) -> None:
    limits = bandwidth(), arithmetic()
    report("memory bandwidth, arithmetic", f"{limits[0] * 1e-9:.1f} GB/s, {limits[1] * 1e-9:.0f} Gflop/s")
    f = np.random.default_rng(1).uniform(size=(SHELLS, DIRECTIONS, ENERGIES))
    out, rate = np.empty_like(f), np.full((1, ENERGIES), 3.0)
    schemes: tuple[tuple[Scheme, int], ...] = (("upwind", UPWIND), ("limited", LIMITED))
    for scheme, flops in schemes:
        streaming = sphere(SHELLS, DIRECTIONS, ENERGIES, scheme)
        opacity = streaming.opacity(rate)
        for what, given, moved, more in (("", None, ONCE, 0), (", scattering", opacity, TWICE, BLEND)):
            seconds = best(lambda: streaming.rates(f, given, out))  # noqa: B023
            measured = line(seconds, f.size, moved * f.size, (flops + more) * f.size, limits)
            report(f"  streaming, {scheme}{what}", measured)
    seconds = best(lambda: streaming.sweep(f, rate))
    report("  sweep", line(seconds, f.size, ONCE * f.size, UPWIND * f.size, limits))


def test_collisions(report: Callable[[str, str], None]) -> None:
    """Rates, gain and loss in all shells; the pairs do not change while 32 cells go through them."""
    limits = bandwidth(), arithmetic()
    grid = CollisionGrid.graded(5.0, gap=[0.6, 1.0], finest=0.0085, growth=0.005)
    operator = ElectronPhonon(grid, Coupling(kappa=1.764, pair_breaking_time=0.04))
    measure = bcs_measure(grid, np.linspace(0.9, 1.0, SHELLS))
    f = np.tile(0.1 * np.exp(-grid.energies), (SHELLS, 1))
    n = np.tile(1.0 / np.expm1(grid.phonon_energies), (SHELLS, 1))
    seconds = best(lambda: operator.balance(measure, f, n), 3)
    events = operator._pairs()
    held = measure.active.sum(axis=1)
    # every pair of bins scatters and recombines, but for phonons beyond the points
    pairs = SHELLS * events.lower.size * float(np.mean(held / grid.n) ** 2)
    moved = pairs / 32.0 * (8 * 5 + 8 * events.shares.size / events.lower.size)
    size = SHELLS * DIRECTIONS * (grid.n + grid.n_phonon)
    report(
        f"  graded collisions, {grid.n} bins, {grid.n_phonon} phonon points",
        line(seconds, size, moved, PAIR * pairs, limits) + f", {seconds / pairs * 1e9:.1f} ns a pair",
    )
    single = ElectronPhonon(grid, operator.coupling)
    alone = best(
        lambda: [single.rates(measure.rows(slice(c, c + 1)), f[c : c + 1], n[c : c + 1]) for c in range(4)], 2
    )
    report("  the same cell by cell, rates alone", f"{alone / 4 / (pairs / SHELLS) * 1e9:.1f} ns a pair")
