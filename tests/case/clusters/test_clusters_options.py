"""Every key of a case of clusters moves a number: a key without an entry fails, and so does one without
effect."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import changed, keys, put
from matplotlib.image import imread
from options import dataset
from stochastic_cases import CLUSTER

import fvqp
from fvqp.case.clusters.schema import ClustersCase
from fvqp.models.clusters import singlet_constant, spin_flip_time


@dataclass(frozen=True)
class Option:
    """A value that differs from the one of the base case; ``number``: the variable that it moves by more than
    the factor ``by``; ``around``: tables in place of those of the base case."""

    value: Any
    number: str = "N_mean"
    around: dict[str, Any] = field(default_factory=dict)
    by: float = 1e-3


MATERIAL: dict[str, Any] = {
    "material": {
        "electron_phonon_time": "400 ns",
        "density_of_states": "1.72e10 1/eV/um^3",
        "gap": "168 ueV",
        "gap_ratio": 1.76,
        "spin_orbit": 0.1,
        "suppression": 1.0,
        "excess_energy": 0.05,
    },
    "cluster": {},
}
WALK = {
    "sweep": {**CLUSTER["sweep"], "equation": ["trajectory"]},
    "trajectory": {"lifetimes": 100.0},
    "noise": None,
    "solver": {},
}
FILLING = {"noise": None, "evolution": {"time": ["0.001 s", "0.02 s"], "tolerance": 1e-4}}
FILLED = {**FILLING, "evolution": {**FILLING["evolution"], "number": 6}}
WALKS = WALK | {"evolution": {"time": ["0.02 s"], "runs": 20}}
LIMIT = {"sweep": {**CLUSTER["sweep"], "equation": "fokker_planck"}}

OPTIONS: dict[str, Option] = {
    "material.electron_phonon_time": Option("40 ns", around=MATERIAL),
    "material.density_of_states": Option("1e10 1/eV/um^3", around=MATERIAL),
    "material.gap": Option("0.3 meV", around=MATERIAL),
    "material.gap_ratio": Option(2.0, around=MATERIAL),
    "material.spin_orbit": Option(0.2, around=MATERIAL),
    "material.suppression": Option(0.1, around=MATERIAL),
    "material.excess_energy": Option(0.2, around=MATERIAL),
    "cluster.annihilation": Option("9 um^3/s", by=1e-4),
    "cluster.triplet_annihilation": Option("0.09 um^3/s"),
    "cluster.spin_flip_time": Option("2 s"),
    "cluster.algebra": Option("paper", by=0.01),
    "sweep.generation": Option("200 1/um^3/s"),
    "sweep.volume": Option("0.6 um^3"),
    "sweep.spin": Option("ising"),
    "sweep.equation": Option(["master", "fokker_planck"]),
    "noise.frequency": Option(["0.1 Hz", "20 Hz"], "S_N"),
    "noise.time": Option("0.2 s", "C_N", around={"noise": {"frequency": "1 Hz", "time": "0.1 s"}}),
    "noise.arm_width": Option("0.2 um", "S_flux"),
    "noise.flux_per_spin": Option(2e-7, "S_flux"),
    "noise.tolerance": Option(0.3, "noise_error"),
    "trajectory.lifetimes": Option(200.0, around=WALK),
    "trajectory.seed": Option(1, around=WALK, by=1e-4),
    "evolution.time": Option(["0.001 s", "0.05 s"], "N_mean_evolution", around=FILLING),
    "evolution.number": Option(9, "N_mean_evolution", around=FILLING),
    "evolution.flipped": Option(3, "polarization_evolution", around=FILLED),
    "evolution.generation": Option("10 1/um^3/s", "N_mean_evolution", around=FILLING),
    "evolution.tolerance": Option(0.01, "P_evolution", around=FILLING, by=1e-4),
    "evolution.runs": Option(30, "N_mean_evolution", around=WALKS),
    "output.distribution": Option(False, "P"),
    "output.relaxation_rates": Option(2, "relaxation_rate", around={"output": {"relaxation_rates": 1}}),
    "solver.lost": Option(1e-4, by=1e-9),
    "solver.cells": Option(20, "S_N", around=LIMIT),
}
"""Keys whose effect is in the dataset."""

ELSEWHERE = {
    "title",
    "model",
    "material.diffusivity",
    "sweep.results.folder",
    "sweep.results.variable",
    "sweep.results.at",
    "sweep.results.capture_time",
    "sweep.results.density_of_states",
    "sweep.results.minimum_energy",
    "sweep.results.region",
    "solver.tolerance",
    "solver.method",
    "solver.max_states",
    "solver.petsc",
    "figures.kind",
    "figures.file",
    "figures.title",
}
"""Keys with a test of their own below, with the bad input, or in test_clusters_arrivals.py."""


def case(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """The base case with tables replaced, or left out where None."""
    return changed(CLUSTER, changes)


def test_every_key_has_a_test() -> None:
    assert keys(ClustersCase) == set(OPTIONS) | ELSEWHERE
    assert not set(OPTIONS) & ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("key", OPTIONS)
def test_option_moves_a_number(key: str) -> None:
    option = OPTIONS[key]
    around = case(option.around)
    changed = put(copy.deepcopy(around), key, option.value)
    if option.number == "P":
        assert "P" in dataset(around) and "P" not in dataset(changed)
        return
    before, after = (
        np.ravel(dataset(data)[option.number].values.astype(float)) for data in (around, changed)
    )
    assert np.isfinite(before).any()
    if key == "output.relaxation_rates":
        assert after.size == 2 * before.size
    if before.shape == after.shape:
        assert np.nanmax(np.abs(after - before)) > option.by * np.nanmax(np.abs(before))


def test_trajectories_of_an_evolution_have_seeds() -> None:
    first, second = (dataset(put(case(WALKS), "trajectory.seed", seed)) for seed in (0, 1))
    assert (first.attrs["seed"], second.attrs["seed"]) == (0, 1)
    assert (first["N_mean_evolution"].values != second["N_mean_evolution"].values).all()


def test_correlations_and_spin_noise() -> None:
    """C(0+) is the variance; S_N/3 is the paper's estimate of the noise of the spin, which is 5 to 25 times
    as large, relaxes at 2/τ_s + Γ̄_t N/V, and is what the flux follows from."""
    changes = {
        "noise": {"frequency": "1 Hz", "time": ["1e-9 s", "0.05 s"]},
        "output": {"relaxation_rates": 1},
    }
    found = dataset(case(changes)).isel(spin=0, generation=0, volume=0)
    correlation, variance = found["C_N"].values, found["N_variance"].values
    np.testing.assert_allclose(correlation[:, 0], variance, rtol=1e-5)
    # Nothing decays more slowly than at the slowest rate.
    slowest = found["relaxation_rate"].values[:, 0]
    assert np.all(correlation[:, 1] <= variance * np.exp(-0.05 * slowest) * 1.05)
    np.testing.assert_allclose(found["S_spin_estimate"].values, found["S_N"].values / 3.0)
    ratio = (found["S_spin"] / found["S_spin_estimate"]).values
    assert np.all((ratio > 5.0) & (ratio < 25.0))
    np.testing.assert_allclose(found["S_flux"].values, 1e-14 * found["S_spin"].values)


@pytest.mark.slow
def test_solvers_of_an_evolution() -> None:
    """Another integrator, chosen by a PETSc option, and iterative solves instead of elimination give the same
    to the tolerance."""
    changes = {**FILLING, "sweep": {**CLUSTER["sweep"], "equation": "master"}}
    expected = dataset(case(changes))["N_mean_evolution"].values
    for key, value in (("solver.petsc", {"cluster_ts_rosw_type": "2p"}), ("solver.method", "multigrid")):
        found = dataset(put(case(changes), key, value))["N_mean_evolution"].values
        assert 0.0 < np.abs(found / expected - 1.0).max() < 0.02


@pytest.mark.slow
def test_equations_of_an_evolution() -> None:
    """Every equation fills the same variables, from where it starts to where it ends."""
    equations = ["master", "simplified", "fokker_planck", "trajectory", "mean_field"]
    changes = {
        "sweep": {**CLUSTER["sweep"], "equation": equations},
        "trajectory": {"lifetimes": 100.0},
        "noise": None,
        "evolution": {"time": ["1e-6 s", "5 s"], "generation": "1000 1/um^3/s", "tolerance": 1e-4},
        "output": {"distribution": True, "relaxation_rates": 2},
        "figures": [{"kind": "evolution"}],
    }
    found = dataset(case(changes)).isel(spin=0, generation=0, volume=0)
    before = dataset(case({**changes, "sweep": {**changes["sweep"], "generation": "1000 1/um^3/s"}}))
    start = before["N_mean"].values.ravel()
    number = found["N_mean_evolution"].values
    # Trajectories to their statistical error, the rest to what cells of finite width leave.
    np.testing.assert_allclose(
        number[:, 0], start, rtol=0.02, atol=4.0 * np.nanmax(found["N_mean_error_evolution"])
    )
    end = found["N_mean"].values
    np.testing.assert_allclose(number[[0, 1, 2, 4], 1], end[[0, 1, 2, 4]], rtol=2e-3)
    assert abs(number[3, 1] - end[0]) < 4.0 * found["N_mean_error_evolution"].values[3, 1]
    total = found["P_evolution"].values[[0, 1, 3]].sum(axis=2)
    np.testing.assert_allclose(total, 1.0, atol=1e-6)
    assert found["lost_evolution"].values[0] < 1e-8
    rates = found["relaxation_rate"].values
    assert np.isfinite(rates[:3]).all() and np.isnan(rates[3:]).all()
    np.testing.assert_allclose(rates[1], rates[0], rtol=0.02)


def test_constants_of_a_material() -> None:
    found = dataset(case(MATERIAL)).attrs
    assert found["annihilation_m3_per_s"] == pytest.approx(
        1e-18 * singlet_constant(400e-9, 1.72e10, 168e-6, 1.76)
    )
    assert found["triplet_annihilation_m3_per_s"] == pytest.approx(0.01 * found["annihilation_m3_per_s"])
    assert found["spin_flip_time_s"] == pytest.approx(spin_flip_time(400e-9, 0.1, 0.05))


def test_results_agree_with_one_another() -> None:
    """Distributions have the stored moments, spectra their variances; equations approach one another."""
    found = dataset(case()).isel(spin=0, generation=0, volume=0)
    number = found["N"].values
    for k in range(2):
        p = found["P"].values[k]
        assert p.sum() == pytest.approx(1.0, abs=1e-6)
        assert p @ number == pytest.approx(float(found["N_mean"][k]), rel=1e-5)
    flipped = found["P_flipped"].values[0] @ found["m"].values
    assert flipped == pytest.approx(float(found["m_mean"][0]), rel=1e-5)
    assert float(found["polarization"][0]) == pytest.approx(
        1.0 - 2.0 * flipped / float(found["N_mean"][0]), rel=1e-6
    )
    assert found["S_flux_one_sided"].values == pytest.approx(2.0 * found["S_flux"].values)
    assert found["S_flux"].values == pytest.approx(1e-14 * found["S_spin"].values)
    assert float(found["N_mean"][0]) == pytest.approx(float(found["N_mean"][1]), rel=0.1)
    walk = dataset(case(WALK)).isel(spin=0, generation=0, volume=0, equation=0)
    assert abs(float(walk["N_mean"]) - float(found["N_mean"][0])) < 5.0 * float(walk["N_mean_error"])


def test_methods_agree_and_tolerance_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """The method and tolerance change how P is found, not P."""
    from fvqp.models.clusters.master import MasterEquation

    expected = dataset(case())["N_mean"].values[0, 0]
    asked: list[float] = []
    original = MasterEquation.stationary

    def stationary(self: MasterEquation, tolerance: float = 1e-9) -> Any:
        asked.append(tolerance)
        assert self.chain.method == "multigrid"
        return original(self, tolerance)

    monkeypatch.setattr(MasterEquation, "stationary", stationary)
    data = put(put(case(), "solver.method", "multigrid"), "solver.tolerance", 1e-7)
    found = fvqp.run(data).dataset
    assert set(asked) == {1e-7}
    assert found["N_mean"].values[0, 0] == pytest.approx(expected, rel=1e-6)


@pytest.mark.slow
def test_title_figures_and_resume(tmp_path: Path) -> None:
    figures = [
        {"kind": "distribution"},
        {"kind": "flipped"},
        {"kind": "noise", "file": "named.png", "title": "Another title"},
        {"kind": "moments"},
        {"kind": "phase_diagram"},
    ]
    sweep = {
        "generation": {"from": "30 1/um^3/s", "to": "100 1/um^3/s", "points": 2},
        "volume": ["0.2 um^3", "0.3 um^3"],
        "equation": ["master", "mean_field"],
    }
    data = case({"title": "Two traps", "figures": figures, "sweep": sweep})
    result = fvqp.run(data, out=tmp_path / "out")
    assert result.folder is not None and result.dataset.attrs["title"] == "Two traps"
    drawn = {path.stem: imread(path) for path in (result.folder / "figures").iterdir()}
    assert set(drawn) == {"distribution", "flipped", "named", "moments", "phase_diagram"}
    assert all(float(np.ptp(image[..., :3])) > 0.5 for image in drawn.values())
    again = fvqp.run(data, out=tmp_path / "out", resume=True)
    for name in result.dataset.data_vars:
        np.testing.assert_array_equal(again.dataset[name].values, result.dataset[name].values)
