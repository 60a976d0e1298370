"""The cases of proximity show what their READMEs say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy import constants
from test_proximity_limits import exact_minigap

import fvqp

CASES = Path(__file__).parents[2] / "cases"
MICROVOLT = 1e-6


def computed(case: str, *overrides: str) -> xr.Dataset:
    return fvqp.run(CASES / f"{case}.toml", overrides=list(overrides)).dataset


def onset(dataset: xr.Dataset, cell: int, level: float) -> float:
    """Energy (eV) from which on the density of states of a cell exceeds ``level``."""
    dos = dataset["dos"].squeeze().transpose("cell", "energy").values[cell]
    return float(dataset["energy"].values[np.argmax(dos > level)])


@pytest.mark.parametrize("length", [10.0, pytest.param(5.0, marks=pytest.mark.slow)])
def test_minigap_of_a_normal_wire(length: float) -> None:
    """0.776 ħD/L², the same at all places, within a bin."""
    nm = 64.78 * length
    changes = [f'mesh.shape.Lx="{nm} nm"', f'mesh.shape.regions.wire=["0 nm", "{nm} nm"]', "mesh.shape.nx=24"]
    if length < 10.0:
        changes.append("energies.maximum=0.24")
    dataset = computed("proximity/normal_wire", *changes)
    width = float(np.diff(dataset["energy"].values[:2])[0])
    for cell in (4, 12, 23):
        assert abs(onset(dataset, cell, 1e-3) - exact_minigap(length) * 265e-6) < width
    local = computed("proximity/normal_wire", *changes, "spectrum.model=local")
    assert np.all(local["dos"].values == 1.0)


@pytest.mark.slow
def test_wire_of_two_metals() -> None:
    dataset = computed("proximity/sn_wire", "mesh.shape.nx=100")
    gap = dataset["gap"].squeeze().values
    assert np.all(np.diff(gap[30:70]) < 0.0) and np.all(gap[70:] == 0.0)
    assert gap[69] < 0.3 * gap[0] and abs(gap[0] / 263.9e-6 - 1.0) < 5e-3
    assert abs(onset(dataset, 99, 0.3) / (11.0 * MICROVOLT) - 1.0) < 0.1
    local = computed("proximity/sn_wire", "mesh.shape.nx=100", "spectrum.model=local")
    assert np.all(local["dos"].squeeze().transpose("cell", "energy").values[70:] == 1.0)


@pytest.mark.slow
def test_gap_near_an_injector() -> None:
    """The drop of the gap is rounded near the injector, by a few per cent of it."""
    changes = ('sweep.V_inj=["0 Delta0", "1.1 Delta0"]', "mesh.shape.nx=80", "energies.number=120")
    found, local = (
        computed("ryan2026/profile", f"spectrum.model={model}", *changes)["gap"]
        .isel(V_inj=-1)
        .squeeze()
        .values
        for model in ("diffusive", "local")
    )
    drop = local.max() - local.min()
    difference = np.abs(found - local) / drop
    assert 0.005 < difference[40] < 0.05
    assert difference[:30].max() < 0.3 * difference[40]


@pytest.mark.slow
def test_hot_spot() -> None:
    """The gap jumps where it was hardly lowered; diffusive spectra make the flanks smooth."""
    biases = 'sweep.V_inj=["0 Delta0", "0.96 Delta0", "1 Delta0"]'
    found, local = (
        computed("ryan2026/hot_spot", f"spectrum.model={model}", "solver.tolerance=1e-8", biases)["gap"]
        .squeeze()
        .transpose("V_inj", "cell")
        .values
        / 265e-6
        for model in ("diffusive", "local")
    )
    for gap, lowest in ((found, 0.477), (local, 0.315)):
        assert gap[1].min() > 0.98
        assert abs(gap[2].min() - lowest) < 0.01
        # It recovers within a micrometre, and is symmetric.
        assert gap[2, np.r_[:54, 106:160]].min() > 0.95
        np.testing.assert_allclose(gap[2], gap[2, ::-1], atol=1e-4)
    steepest = [np.abs(np.diff(gap[2])).max() for gap in (found, local)]
    assert steepest[0] < 0.3 * steepest[1]


def warm_current(temperature: float) -> float:
    """Critical current, ampere, of the shipped long link where k_BT exceeds the Thouless energy E by far.

    ``eRI = 64πk_BT Σ_n √(2ω_n/E) Δ² e^{−√(2ω_n/E)}/(ω_n + Ω_n + √(2(Ω_n² + ω_nΩ_n)))²``, ``Ω² = Δ² + ω²``
    (F. K. Wilhelm, A. D. Zaikin, G. Schön, J. Low Temp. Phys. 106, 305 (1997)): the pairs of both
    superconductors add up; what they do to one another is smaller by ``e^{−√(2ω_0/E)}``.
    """
    length, gap = 647.8e-9, 265e-6
    thouless = constants.hbar * 16.9e-4 / length**2 / constants.e
    resistance = 100e-9 * length / (150e-9 * 20e-9)
    t = constants.k * temperature / constants.e
    omega = (2 * np.arange(1000) + 1) * np.pi * t
    root, decay = np.sqrt(gap**2 + omega**2), np.sqrt(2.0 * omega / thouless)
    below = omega + root + np.sqrt(2.0 * (root**2 + omega * root))
    return float(64.0 * np.pi * t / resistance * np.sum(decay * gap**2 * np.exp(-decay) / below**2))


@pytest.mark.slow
def test_currents_of_a_warm_weak_link() -> None:
    """A sine of the closed form, to a part in a thousand that cells leave, and its second harmonic."""
    dataset = computed(
        "proximity/weak_link", "sweep.phase=['40 deg', '90 deg']", "sweep.temperature=['200 mK', '300 mK']",
        "output.stored=['dos']", "energies.number=2", "figures=[]",
    )  # fmt: skip
    currents = dataset["I_reservoir"].values[..., 0]
    for (slanted, middle), temperature, harmonic in zip(currents, (0.2, 0.3), (1.7e-3, 4e-4), strict=True):
        critical = warm_current(temperature)
        assert middle == pytest.approx(critical, rel=1e-3)
        assert 0.0 < 1.0 - slanted / (critical * np.sin(np.radians(40.0))) < 1e-3 + 10.0 * harmonic


@pytest.mark.slow
def test_phase_closes_the_minigap_of_the_weak_link() -> None:
    """A little below 3.12 E at phase 0, which is its limit for a large gap; at π none is left."""
    dataset = computed(
        "proximity/weak_link", "sweep.phase=['0 deg', '90 deg', '180 deg']", "sweep.temperature='20 mK'"
    )
    gaps = dataset["minigap"].values[0] / 2.65e-6
    assert gaps[0] == pytest.approx(3.05, abs=0.02)
    assert gaps[1] == pytest.approx(2.34, abs=0.02) and gaps[2] == 0.0
    dos = dataset["dos"].values[0]
    energies = dataset["energy"].values
    for k in range(2):
        # What the broadening, 4e-4 of the minigap, leaves below it.
        assert dos[k][:, energies < 0.9 * gaps[k] * 2.65e-6].max() < 3e-3
    assert dos[2].mean() > 0.5
