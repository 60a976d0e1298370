"""What bounds a step of the transport model: streaming and graded collisions against memory and arithmetic.

A sphere of 200 shells, 16 directions and 300 energies. Processor times of one thread, the least of several,
per cell, direction and energy. Bytes and operations are the fewest that each needs, counted by hand; what
memory and arithmetic can do is measured in the same run, in between.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from test_bench_bounds import arithmetic, bandwidth
from test_bench_streaming import sphere
from timing import best

from fvqp.collisions import Coupling, ElectronPhonon
from fvqp.collisions.pair_sums_batched import TOGETHER
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.transport.streaming import Scheme, Streaming

pytestmark = pytest.mark.benchmark
SHELLS, DIRECTIONS, ENERGIES = 200, 16, 300
#: Bytes of one read and one write, and of these with scattering: occupations are read twice.
ONCE, TWICE = 24, 32
#: Operations of streaming: face value, flux on both sides, change of direction; gradient, its bounds and
#: limiter; what scattering adds: half-range flux, blend, mean.
UPWIND, LIMITED, BLEND = 12, 40, 12
#: Operations of a pair of bins with two phonon points, for rates, gain and loss: mean of exponents 3; Bose's
#: function, an exponential function to full precision and a division, 38; strength, and strength times
#: occupation, 6; sums of gain and loss 6; what is emitted and absorbed 7; sums over both bins 2, over the two
#: points 8. A point more takes 6.
PAIR, POINT = 70, 6


class Work(NamedTuple):
    """Seconds, bytes and operations of all unknowns."""

    seconds: float
    moved: float
    flops: float

    def __add__(self, other: Work) -> Work:  # type: ignore[override]
        return Work(*(a + b for a, b in zip(self, other, strict=True)))

    def excess(self, limits: tuple[float, float]) -> float:
        """Time over the longer of those that memory and arithmetic need."""
        return self.seconds / max(self.moved / limits[0], self.flops / limits[1])

    def line(self, size: int, limits: tuple[float, float]) -> str:
        """Time and how far it is from the bound."""
        return (
            f"{self.seconds / size * 1e9:6.1f} ns, {self.moved / size:3.0f} B and "
            f"{self.flops / size:4.0f} flop: {self.excess(limits):.1f} times the bound"
        )


def test_streaming(report: Callable[[str, str], None]) -> None:
    limits = bandwidth(), arithmetic()
    report("memory bandwidth, arithmetic", f"{limits[0] * 1e-9:.1f} GB/s, {limits[1] * 1e-9:.0f} Gflop/s")
    f = np.random.default_rng(1).uniform(size=(SHELLS, DIRECTIONS, ENERGIES))
    rate = np.full((1, ENERGIES), 3.0)
    schemes: tuple[tuple[Scheme, int], ...] = (("upwind", UPWIND), ("limited", LIMITED))
    for scheme, flops in schemes:
        streaming = sphere(SHELLS, DIRECTIONS, ENERGIES, scheme)
        for what, scattering in (("", None), (", scattering", rate)):
            report(
                f"  streaming, {scheme}{what}",
                streamed(streaming, flops, f, scattering).line(f.size, limits),
            )
    seconds = best(lambda: streaming.sweep(f, rate))
    report("  sweep", Work(seconds, ONCE * f.size, UPWIND * f.size).line(f.size, limits))


def streamed(streaming: Streaming, flops: int, f: np.ndarray, scattering: np.ndarray | None) -> Work:
    """Rates of streaming."""
    out = np.empty_like(f)
    if scattering is None:
        return Work(best(lambda: streaming.rates(f, None, out)), ONCE * f.size, flops * f.size)
    opacity = streaming.opacity(scattering)
    return Work(best(lambda: streaming.rates(f, opacity, out)), TWICE * f.size, (flops + BLEND) * f.size)


def test_collisions(report: Callable[[str, str], None]) -> None:
    """Rates, gain and loss in all shells; the pairs do not change while 32 cells go through them."""
    limits = bandwidth(), arithmetic()
    grid = EnergyAxis.from_gap(5.0, gap=[0.6, 1.0], finest=0.0085, growth=0.005)
    operator = ElectronPhonon(grid, Coupling(kappa=1.764, pair_breaking_time=0.04))
    bin_weights = bcs_weights(grid, np.linspace(0.9, 1.0, SHELLS))
    f = np.tile(0.1 * np.exp(-grid.energies), (SHELLS, 1))
    n = np.tile(1.0 / np.expm1(grid.phonon_energies), (SHELLS, 1))
    events = operator.events
    held = bin_weights.active.sum(axis=1)
    # every pair of bins scatters and recombines, but for phonons beyond the points
    pairs = SHELLS * events.lower.size * float(np.mean(held / grid.n) ** 2)
    points = events.shares.size / events.lower.size
    collided = Work(
        best(lambda: operator.at(bin_weights, f, n).rates, 5),
        pairs / TOGETHER * 8 * (4 + points),
        pairs * (PAIR + POINT * (points - 2)),
    )
    size = SHELLS * DIRECTIONS * (grid.n + grid.n_phonon)
    report(
        f"  graded collisions, {grid.n} bins, {grid.n_phonon} phonon points",
        f"{collided.line(size, limits)}, {collided.seconds / pairs * 1e9:.1f} ns a pair",
    )
    both = collided
    for energies in (grid.n, grid.n_phonon):
        y = np.random.default_rng(1).uniform(size=(SHELLS, DIRECTIONS, energies))
        both += streamed(
            sphere(SHELLS, DIRECTIONS, energies, "limited"), LIMITED, y, np.full((1, energies), 3.0)
        )
    report("  limited streaming with scattering and collisions", both.line(size, limits))
    single = ElectronPhonon(grid, operator.coupling)
    alone = best(
        lambda: [
            single.at(bin_weights.rows(slice(c, c + 1)), f[c : c + 1], n[c : c + 1]).rates for c in range(4)
        ],
        2,
    )
    report("  collisions cell by cell, rates alone", f"{alone / 4 / (pairs / SHELLS) * 1e9:.1f} ns a pair")
    # other programs on the machine may take half of the bandwidth at one moment and not at another
    assert both.excess(limits) < 4.0
