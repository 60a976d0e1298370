"""Pair-breaking efficiency: cascades in a cold film against published numbers, and what cases record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import fvqp
from fvqp.collisions import (
    Coupling,
    ElectronPhonon,
    Line,
    PhononInjection,
    pair_breaking_efficiency,
    phonon_energy,
    quasiparticle_density,
    quasiparticle_energy,
)
from fvqp.collisions.threshold import at_threshold
from fvqp.energy import EnergyAxis, bcs_weights

CASE = Path(__file__).parents[2] / "cases" / "kozorezov2000" / "cascade.toml"


def after_cascade(energy: float, width: float) -> float:
    """η once no phonon above 2Δ is left; so few quasiparticles that they do not recombine."""
    grid = EnergyAxis.uniform(
        width, energy - 1.0 + 2.0 * width, start=1.0, phonon_maximum=energy + 2.0 * width
    )
    coupling = Coupling(kappa=1.764, pair_breaking_time=5e-4)
    operator, bin_weights = ElectronPhonon(grid, coupling, "direct"), bcs_weights(grid, 1.0)
    bin_weights = at_threshold(grid, bin_weights, 1.0)
    f, n = np.zeros((1, grid.n)), np.zeros((1, grid.n_phonon))
    absorbed = 1e-14
    n = PhononInjection(grid, coupling, Line(energy), power=absorbed).at(bin_weights, f, n).rates.n
    step = 1e-5
    while step < 10.0:
        rates, blocks = operator.at(bin_weights, f, n).rates, operator.at(bin_weights, f, n).jacobian()
        # an implicit step, phonons eliminated: they do not act on one another
        own = 1.0 / step - blocks.nn[0]
        back = blocks.fn[0] / own
        matrix = np.eye(grid.n) / step - blocks.ff[0] - back @ blocks.nf[0]
        change = np.linalg.solve(matrix, rates.f[0] + back @ rates.n[0])
        f, n = f + change, n + (rates.n[0] + blocks.nf[0] @ change) / own
        step *= 1.4
    kept = quasiparticle_energy(grid, bin_weights, f) + phonon_energy(operator, n, bin_weights)
    assert kept[0] == pytest.approx(absorbed, rel=1e-12)
    return pair_breaking_efficiency(quasiparticle_density(bin_weights, f), absorbed, 1.0)[0]


@pytest.mark.parametrize("energy", [2.5, 4.0])
def test_one_pair_up_to_four_gaps(energy):
    """Below 4Δ quasiparticles of a broken pair emit no phonon that breaks another."""
    assert after_cascade(energy, 0.1) == pytest.approx(2.0 / energy, rel=1e-9)


def test_high_energy():
    """0.6 of Guruswamy et al., Supercond. Sci. Technol. 28, 054002 (2015), for any metal; 0.590 in the limit
    of narrow bins."""
    coarse, fine = after_cascade(10.0, 0.2), after_cascade(10.0, 0.1)
    assert fine == pytest.approx(0.6, abs=0.02)
    assert fine == pytest.approx(0.59, abs=0.003) and coarse == pytest.approx(0.59, abs=0.01)


def film(
    drive: dict[str, Any], task: dict[str, Any], escape: str, top: float, width: float = 0.1
) -> xr.Dataset:
    """Aluminium at 0.1 K whose phonons break pairs in 0.26 ns, or escape; as good as empty."""
    case = {
        "model": "boltzmann",
        "material": {"name": "Al", "pair_breaking_time": "0.26 ns"},
        "energies": {"maximum": f"{top} Delta0", "width": f"{width} Delta0"},
        "gap": {"model": "fixed"},
        "phonons": {"escape": {"time": escape}},
        "initial": {"temperature": "0.25 K"} if "steady_state" in task else {},
        "sweep": {"temperature": "0.1 K"},
    }
    return fvqp.run(case | drive | task).dataset.isel(temperature=0)


def photons(energy: float) -> dict[str, Any]:
    """So weak a signal that quasiparticles do not meet before they relax."""
    return {"microwaves": [{"photon_energy": f"{energy} Delta0", "coupling": "1 Hz", "photons": 1e-5}]}


STEADY: dict[str, Any] = {"steady_state": {}}


@pytest.mark.parametrize("energy", [2.1, pytest.param(2.5, marks=pytest.mark.slow), 3.5])
def test_steady_state_up_to_four_gaps(energy):
    """Δ for every quasiparticle of a photon: 1 at 2Δ, one half at 4Δ, however fast phonons escape."""
    for escape in ("0.02 ns", "2 ns"):
        found = float(film(photons(energy), STEADY, escape, 4.0)["eta_pb"])
        assert found == pytest.approx(2.0 / energy, rel=1e-4)


def test_phonons_that_escape_are_lost_to_the_cascade():
    """Photons of 5Δ: 0.4 without the phonons above 2Δ that quasiparticles emit, and nearly 0.6 with all.

    Guruswamy et al., Supercond. Sci. Technol. 27, 055012 (2014): loss of phonons takes up to 40 %.
    """
    found = [float(film(photons(5.0), STEADY, time, 5.5)["eta_pb"]) for time in ("1 ps", "0.26 ns", "5 ns")]
    assert found[0] == pytest.approx(0.4, rel=0.01)
    assert found[0] < found[1] < found[2]
    assert found[2] == pytest.approx(0.59, abs=0.03)


def test_strength_of_the_drive_does_not_count():
    """A hundred times the photons make a hundred times as many; thermal quasiparticles do not count."""
    found = film(
        photons(5.0),
        STEADY | {"sweep": {"temperature": ["0.1 K", "0.2 K"], "strength": [1, 100]}},
        "1 ns",
        5.5,
    )
    np.testing.assert_allclose(found["eta_pb"], float(found["eta_pb"][0]), rtol=2e-3)
    warm = film(photons(5.0), STEADY | {"sweep": {"temperature": "0.2 K"}}, "1 ns", 5.5)
    assert float(warm["eta_pb"]) == pytest.approx(float(found["eta_pb"][0]), rel=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("escape", ["0.26 ns", "2.6 ns"])
@pytest.mark.parametrize("of", ["photons", "phonons"])
def test_steady_state_and_rise_agree(of, escape):
    """Found from the phonons of a steady state, and from how the number rises after a cold start."""
    drive = photons(10.0)
    if of == "phonons":
        line = {"of": of, "centre": "10 Delta0", "width": "0.1 Delta0", "power": "1e-3 aW/um^3"}
        drive = {"injections": [line]}
    steady = film(drive, STEADY, escape, 10.5)
    rise = film(drive, {"evolution": {"start": "1 us", "end": "2 us", "points_per_decade": 1}}, escape, 10.5)
    number, absorbed = (np.diff(rise[name].values[-2:])[0] for name in ("n_qp", "energy_injected"))
    gap = float(rise["gap"][-1]) * 1.602176634e-19
    assert gap * number / absorbed == pytest.approx(float(steady["eta_pb"]), rel=1e-3)


@pytest.mark.slow
def test_cascade_of_the_published_case():
    """η goes from 0 to that of the cascade, whatever the bin width; escaping phonons are lost."""
    widths = (0.1, 0.04)
    found = [
        fvqp.run(CASE, overrides=[f'energies.width="{width} Delta0"']).dataset["eta_pb"].values[0]
        for width in widths
    ]
    assert found[1][1] < 0.01 and np.all(np.diff(found[1][:-8]) > 0.0)
    coarse, fine = (values[-1] for values in found)
    assert coarse == pytest.approx(0.59, abs=0.003) and fine == pytest.approx(0.59, abs=0.002)
    escaping = fvqp.run(CASE, overrides=['phonons.escape.time="0.26 ns"']).dataset["eta_pb"].values[0]
    assert escaping.max() == pytest.approx(0.32, abs=0.01)
