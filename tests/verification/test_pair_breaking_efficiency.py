"""Cascade of a high-energy phonon in a cold film that keeps its phonons, against published efficiencies."""

from __future__ import annotations

import numpy as np
import pytest

from fvqp.collisions import (
    CollisionGrid,
    Coupling,
    ElectronPhonon,
    Line,
    PhononInjection,
    bcs_measure,
    pair_breaking_efficiency,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
)


def after_cascade(energy: float, width: float) -> float:
    """η once no phonon above 2Δ is left; so few quasiparticles that they do not recombine."""
    grid = CollisionGrid.uniform(
        width, energy - 1.0 + 2.0 * width, start=1.0, phonon_maximum=energy + 2.0 * width
    )
    coupling = Coupling(kappa=1.764, pair_breaking_time=5e-4)
    operator, measure = ElectronPhonon(grid, coupling, "direct"), bcs_measure(grid, 1.0)
    f, n = np.zeros((1, grid.n)), np.zeros((1, grid.n_phonon))
    absorbed = 1e-14
    n = PhononInjection(grid, coupling, Line(energy), power=absorbed).rates(measure, f, n).n
    step = 1e-5
    while step < 10.0:
        rates, blocks = operator.rates(measure, f, n), operator.jacobian(measure, f, n)
        # an implicit step, phonons eliminated: they do not act on one another
        own = 1.0 / step - blocks.nn[0]
        back = blocks.fn[0] / own
        matrix = np.eye(grid.n) / step - blocks.ff[0] - back @ blocks.nf[0]
        change = np.linalg.solve(matrix, rates.f[0] + back @ rates.n[0])
        f, n = f + change, n + (rates.n[0] + blocks.nf[0] @ change) / own
        step *= 1.4
    kept = quasiparticle_energy(grid, measure, f) + phonon_energy(operator, n)
    assert kept[0] == pytest.approx(absorbed, rel=1e-12)
    return pair_breaking_efficiency(quasiparticle_density(measure, f), absorbed, 1.0)[0]


@pytest.mark.parametrize("energy", [2.5, 4.0])
def test_one_pair_up_to_four_gaps(energy):
    """Below 4Δ quasiparticles of a broken pair emit no phonon that breaks another."""
    assert after_cascade(energy, 0.1) == pytest.approx(2.0 / energy, rel=1e-9)


def test_high_energy():
    """0.6 of Guruswamy et al., Supercond. Sci. Technol. 28, 054002 (2015), for any metal.

    Of order 1 in the bin width, because 1/τ_B jumps at 2Δ; extrapolated to 0.590.
    """
    coarse, fine = after_cascade(10.0, 0.2), after_cascade(10.0, 0.1)
    assert fine == pytest.approx(0.6, abs=0.02)
    assert 2.0 * fine - coarse == pytest.approx(0.59, abs=0.003)
