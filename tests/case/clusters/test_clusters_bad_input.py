"""Bad input in a case of clusters: one line that names file and key and what would be right, or a warning."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from case_keys import changed
from said import Said, warned
from stochastic_cases import CLUSTER

import fvqp

FLUX_NOISE = Path(__file__).parents[3] / "cases" / "meyer2020" / "flux_noise.toml"

MATERIAL = {
    "electron_phonon_time": "400 ns",
    "density_of_states": "1.72e10 1/eV/um^3",
    "gap": "168 ueV",
}

MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"cluster.annihilation": "-18 um^3/s"}, "cluster.annihilation: must be positive"),
    ({"cluster.annihilation": "0 um^3/s"}, "cluster.annihilation: must be positive"),
    ({"cluster.annihilation": "18 um^2/s"}, "cluster.annihilation: expected a rate constant such as"),
    ({"cluster.annihilation": None}, "cluster.annihilation: missing: give it, or a material"),
    ({"cluster.algebra": "printed"}, 'cluster.algebra: expected "exact" or "paper"'),
    (
        {"cluster.algebra": "paper", "sweep.spin": "ising"},
        'cluster.algebra: is not used without "quantum" in sweep.spin',
    ),
    ({"cluster": {"annihilation": "18 um^3/s"}}, "nothing relaxes the spin"),
    ({"cluster.spin_flip_time": "-1 s"}, "cluster.spin_flip_time: must be positive"),
    ({"sweep.volume": "0 um^3"}, "sweep.volume[0]: must be positive"),
    ({"sweep.volume": ["1 um^3", "1 um^3"]}, "sweep.volume: "),
    ({"sweep.generation": ["-1 1/um^3/s"]}, "sweep.generation[0]: must be positive"),
    ({"sweep.generation": []}, "sweep.generation: must not be empty"),
    ({"sweep.generation": {"from": "1 1/um^3/s", "to": "2 1/um^3/s"}}, "missing or unknown: points"),
    (
        {"sweep.generation": {"from": "1 1/um^3/s", "to": "1 1/um^3/s", "points": 3}},
        "from and to are equal",
    ),
    ({"sweep.equation": "masters"}, 'sweep.equation[0]: expected "master", "simplified"'),
    ({"sweep.spin": "classical"}, 'sweep.spin[0]: expected "quantum" or "ising"'),
    ({"noise.frequency": ["-1 Hz"]}, "noise.frequency[0]: must not be negative"),
    (
        {"noise.arm_width": "0.1 um", "noise.flux_per_spin": 1e-7},
        "noise.flux_per_spin: follows from arm_width",
    ),
    ({"sweep.equation": "mean_field", "output.distribution": False, "solver": {}}, "noise: is not used"),
    ({"trajectory.lifetimes": 100.0}, 'trajectory: is not used without "trajectory" in sweep.equation'),
    ({"evolution.time": ["1 s", "0.1 s"]}, "evolution.time: expected increasing times"),
    ({"evolution.time": ["0 s"]}, "evolution.time[0]: must be positive"),
    ({"evolution.number": 3}, "evolution.time: missing"),
    (
        {"evolution.time": "1 s", "evolution.number": 3, "evolution.flipped": 2},
        "flipped: at most half of the 3 spins",
    ),
    (
        {"evolution.time": "1 s", "evolution.number": 3, "evolution.generation": "1 1/um^3/s"},
        "number: is not used with generation",
    ),
    ({"evolution.time": "1 s", "evolution.runs": 10}, 'evolution.runs: is not used without "trajectory"'),
    (
        {
            "evolution.time": "1 s",
            "evolution.number": 1,
            "sweep.equation": ["mean_field", "trajectory"],
            "evolution.tolerance": 1e-3,
            "noise": None,
            "solver": {},
            "output": {},
        },
        "evolution.tolerance: is not used: none of mean_field, trajectory",
    ),
    (
        {
            "evolution.time": "1 s",
            "sweep.equation": ["master", "mean_field"],
            "cluster.algebra": "paper",
        },
        "mean field starts from at least one quasiparticle",
    ),
    (
        {
            "evolution.time": "1e9 s",
            "sweep.equation": "trajectory",
            "evolution.runs": 100_000,
            "noise": None,
            "solver": {},
            "output": {},
        },
        "evolution.runs: trajectory",
    ),
    (
        {
            "evolution.time": "1 s",
            "evolution.generation": "1e-9 1/um^3/s",
            "cluster.algebra": "paper",
            "cluster.spin_flip_time": None,
        },
        "evolution.generation",
    ),
    (
        {
            "output.relaxation_rates": 2,
            "sweep.equation": "mean_field",
            "noise": None,
            "solver": {},
            "output.distribution": False,
        },
        "output.relaxation_rates: is not used: none of mean_field",
    ),
    ({"output.relaxation_rates": -1}, "output.relaxation_rates: expected at least 0"),
    ({"figures": [{"kind": "evolution"}]}, '"evolution" shows what evolution adds; give it'),
    ({"solver.cells": 10}, 'solver.cells: is not used without "fokker_planck"'),
    ({"solver.lost": 1.5}, "solver.lost: must be less than 1"),
    ({"solver.max_states": 20}, "more than the 20 allowed"),
    (
        {"solver.petsc": {"ts_type": "bdf"}},
        "solver.petsc.ts_type: reaches no solver; they start with cluster_ksp_",
    ),
    ({"solver.petsc": {"cluster_ts_type": "beuler"}}, "solver.petsc.cluster_ts_type: not used"),
    ({"figures": [{"kind": "moments"}]}, 'figures[0].kind: "moments" needs several generations'),
    ({"figures": [{"kind": "phase_diagram"}]}, "needs several generations and volumes"),
    ({"figures": [{"kind": "flipped"}], "output.distribution": False}, "shows what output.distribution adds"),
    ({"figures": [{"kind": "pairs"}]}, 'figures[0].kind: expected "phase_diagram"'),
    (
        {"material": {**MATERIAL, "excess_energy": 0.1}},
        "material.excess_energy: is not used without spin_orbit",
    ),
    ({"material": {**MATERIAL, "spin_orbit": 0.1}}, "material.spin_orbit: is not used: cluster gives"),
    (
        {"material": {**MATERIAL, "gap": "1 Delta0"}},
        'material.gap: expected an energy such as "265 ueV", got 1 Delta0',
    ),
    ({"volume": "1 um^3"}, "volume: unknown key"),
    (
        {
            "sweep.generation": "1e-9 1/um^3/s",
            "cluster.triplet_annihilation": "17 um^3/s",
            "cluster.algebra": "paper",
        },
        "no polarized mean-field solution",
    ),
    (
        {"sweep.equation": "trajectory", "sweep.volume": "1e9 um^3", "noise": None, "output": {}},
        "trajectory.lifetimes",
    ),
    (
        {"sweep.equation": "simplified", "sweep.generation": "1e30 1/um^3/s"},
        "output.distribution: 1 distributions of up to",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=range(len(MISTAKES)))
def test_mistake(said: Said, changes: dict[str, Any], message: str) -> None:
    command = ("run", "--out", "out") if "solver.max_states" in changes else ()
    code, text = said(CLUSTER, changes, *command)
    assert code == 2 and text.startswith("case.toml: ") and message in text, text


MEAN_FIELD = {
    **{key: table for key, table in CLUSTER.items() if key not in ("noise", "output", "solver")},
    "sweep": {**CLUSTER["sweep"], "equation": "mean_field"},
}


def test_a_model_at_its_end_is_said(caplog: pytest.LogCaptureFixture) -> None:
    """Hardly polarized clusters where the equation asks for polarized ones, fewer than one quasiparticle, a
    filled gap edge, slow diffusion: in the log, and in the results."""
    quiet = {"sweep__volume": "0.05 um^3", "sweep__generation": "1000 1/um^3/s"}
    assert warned(caplog, MEAN_FIELD, cluster__spin_flip_time="10 s", **quiet) == ""
    volumes = ["0.3 um^3", "100 um^3", "200 um^3"]
    assert "spins is flipped" not in warned(caplog, MEAN_FIELD, sweep__volume=volumes)
    many = warned(caplog, MEAN_FIELD, sweep__volume=volumes, cluster__algebra="paper")
    assert "the paper's algebra assumes that few" in many and "(and at 1 more points of 3)" in many
    alone = warned(caplog, MEAN_FIELD, sweep__volume="200 um^3", sweep__equation="simplified")
    assert "the equation in N alone assumes that few" in alone
    few = warned(caplog, MEAN_FIELD, sweep__generation="0.1 1/um^3/s")
    assert "below 1" in few
    slow = {**MATERIAL, "diffusivity": "1e-9 cm^2/s"}
    assert "diffusion mixes the trap" in warned(caplog, MEAN_FIELD, material=slow)
    assert "diffusion" not in warned(caplog, MEAN_FIELD, material={**slow, "diffusivity": "20 cm^2/s"})
    filled = {**MATERIAL, "density_of_states": "1e5 1/eV/um^3"}
    assert "the filling" in warned(caplog, MEAN_FIELD, material=filled)


def test_doubts_stand_in_the_log_of_the_run(tmp_path: Path) -> None:
    few = changed(MEAN_FIELD, {"sweep.generation": "0.1 1/um^3/s"})
    found = fvqp.run(few, out=tmp_path / "out").dataset
    assert "below 1" in found.attrs["warnings"]
    assert f"WARNING case: {found.attrs['warnings']}\n" in (tmp_path / "out" / "run.log").read_text()


def test_the_range_of_the_model_is_known_without_a_material() -> None:
    """Constants of aluminium: the device of Meyer et al. (2020), as shipped, fills 5.6 times the states near
    the gap, and quasiparticles arrive faster than diffusion mixes them."""
    case = tomllib.loads(FLUX_NOISE.read_text())
    text = fvqp.check(changed(case, {"sweep.generation": "1.8e15 1/um^3/s"}))
    assert "the filling N/(V ν Δ) = 5.6 of" in text and "not small (aluminium)" in text
    assert "diffusion mixes the trap at 1e+11 1/s (D = 10 cm²/s)" in text


def test_triplets_as_fast_as_singlets(caplog: pytest.LogCaptureFixture) -> None:
    """Γ̄_t = Γ̄ is a case like any other: unpolarized, with the noise of independent spins."""
    changes = {
        "cluster.triplet_annihilation": "18 um^3/s",
        "sweep.equation": "master",
        "sweep.generation": "1e5 1/um^3/s",
    }
    found = fvqp.run(changed(CLUSTER, changes)).dataset.isel(spin=0, equation=0, generation=0, volume=0)
    assert float(found["polarization"]) < 0.5 and float(found["enhancement"]) < 1.0
    assert "S_flux_estimate" not in found
    assert float(found["S_flux"][0]) == pytest.approx(float(found["S_flux_analytic"]), rel=0.3)
