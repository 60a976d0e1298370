"""Runs of the Boltzmann model: what results hold, endings, resuming."""

from __future__ import annotations

import copy
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tomlkit
from interrupting import interrupted_after
from kinetic_cases import DRIVEN, PULSE
from scipy import constants

import fvqp
from fvqp import cli
from fvqp.case.boltzmann.recording import BoltzmannRecorder
from fvqp.results import open_result

STRENGTHS = {"sweep": {"temperature": ["0.25 K", "0.3 K"], "strength": [1.0, 10.0, 100.0]}}
FOLLOWED = PULSE | {
    "gap": {},
    "evolution": {"start": "10 ns", "end": "40 ns", "points_per_decade": 3, "tolerance": 1e-2},
}
STEPS = PULSE | {"evolution": FOLLOWED["evolution"]}
#: Phonons of a power that no gap survives.
DESTRUCTIVE = PULSE | {
    "gap": {},
    "initial": {"temperature": "0.3 K"},
    "injections": [{"of": "phonons", "centre": "3 Delta0", "width": "0.2 Delta0", "power": "1 uW/um^3"}],
    "evolution": {"start": "1 ns", "end": "2 ns", "points_per_decade": 1, "tolerance": 1e-2},
}


def case(base: dict[str, Any], *changes: dict[str, Any]) -> dict[str, Any]:
    data = copy.deepcopy(base)
    for change in changes:
        data |= copy.deepcopy(change)
    return data


# -- what comes out --------------------------------------------------------------------------------------


def test_units_of_results():
    """f and n give back densities and energies with the numbers of the material; at T the phonons have
    the Bose distribution."""
    data = fvqp.run(case(PULSE, {"initial": {"temperature": "0.3 K"}})).dataset.isel(temperature=0, time=0)
    kelvin = constants.k / constants.e
    f, n = data["f"].values, data["n"].values
    np.testing.assert_allclose(f, 1.0 / (np.exp(data["energy"].values / (kelvin * 0.3)) + 1.0), rtol=1e-10)
    np.testing.assert_allclose(n, 1.0 / np.expm1(data["omega"].values / (kelvin * 0.3)), rtol=1e-10)
    assert float(data["temperature_qp"]) == pytest.approx(0.3, rel=1e-9)
    assert float(data["temperature_ph"]) == pytest.approx(0.3, rel=1e-9)
    # Debye's law: energy of phonons below the last one, modes 9 n_ion ω²/Ω_D³.
    from fvqp.materials import load_material

    al = load_material("Al")
    omega = np.linspace(1e-3, 1.0, 20_001) * data["omega"].values[-1] * constants.e
    modes = 9.0 * al.ion_density * omega**2 / al.debye_energy**3
    energy = np.sum(modes * omega / np.expm1(omega / (constants.k * 0.3))) * (omega[1] - omega[0])
    assert float(data["energy_ph"]) == pytest.approx(energy, rel=5e-3)
    assert float(data["x_qp"]) == pytest.approx(
        float(data["n_qp"]) / (2.0 * al.dressed_density_of_states * al.gap), rel=1e-12
    )


@pytest.mark.parametrize("base", [PULSE, FOLLOWED], ids=["fixed", "follows"])
def test_energy_of_a_closed_system(base):
    data = fvqp.run(case(base)).dataset
    moved = float(data["energy_qp"].max() - data["energy_qp"].min())
    assert moved > 0.0 and float(abs(data["energy_residual"]).max()) < 1e-12 * float(data["energy_qp"].max())


PHONONS = {"of": "phonons", "centre": "4 Delta0", "width": "0.5 Delta0", "peak": 1e-3}
QUASIPARTICLES = {"of": "quasiparticles", "centre": "2.2 Delta0", "width": "0.25 Delta0", "peak": 1e-3}


@pytest.mark.parametrize(
    ("material", "pulse", "width", "growth"),
    [("Al", PHONONS, "0.08 Delta0", 0.15), ("Nb", QUASIPARTICLES, "0.1 Delta0", 0.05)],
)
def test_a_cold_cascade_on_few_graded_bins(material, pulse, width, growth):
    """Many phonon points are nearly empty, beside others that are not."""
    base = {
        "model": "boltzmann",
        "material": {"name": material},
        "gap": {"model": "fixed"},
        "phonons": {"escape": {"time": "2 ns"}},
        "sweep": {"temperature": "0.1 K"},
        "initial": {"pulses": [pulse]},
        "evolution": {"start": "0.1 ns", "end": "10 ns", "points_per_decade": 1, "tolerance": 1e-2},
    }
    axes = {"width": "0.05 Delta0"}, {"width": width, "spacing": "graded", "growth": growth}
    many, few = (
        fvqp.run(base | {"energies": {"maximum": "5 Delta0"} | axis}).dataset["x_qp"].values.ravel()[1:]
        for axis in axes
    )
    assert np.abs(few / many - 1.0).max() < 0.04


def test_power_balance_of_steady_states():
    data = fvqp.run(case(DRIVEN, STRENGTHS)).dataset
    np.testing.assert_allclose(data["power_escaped"], data["power_injected"], rtol=1e-6)
    # A weak drive takes quasiparticles to where they recombine faster: at first there are fewer.
    weak, stronger, strongest = data["n_qp"].isel(temperature=0).values
    assert 0.98 * weak < stronger < weak < 0.1 * strongest
    np.testing.assert_allclose(data["power_to_phonons"], data["power_injected"], rtol=1e-6)


def test_power_that_phonons_receive_is_what_quasiparticles_lose():
    """At a fixed gap, in a time that is short against the relaxation."""
    times = {"start": "10 ns", "end": "10.1 ns", "points_per_decade": 2, "tolerance": 1e-6}
    data = fvqp.run(case(PULSE, {"evolution": times})).dataset.isel(temperature=0)
    time, energy, power = (data[name].values[1:] for name in ("time", "energy_qp", "power_to_phonons"))
    lost = -(energy[-1] - energy[0]) / (time[-1] - time[0])
    assert np.mean(power) == pytest.approx(lost, rel=1e-3)


def test_normal_state_is_a_result(caplog):
    """Steps do not become shorter and shorter towards the smallest gap that the axis resolves."""
    with caplog.at_level("WARNING", logger="fvqp"):
        data = fvqp.run(case(DESTRUCTIVE)).dataset.isel(temperature=0)
    assert data["gap"].values[0] > 0.0 and data["gap"].values[-1] == 0.0
    assert "temperature 0.2 K: the superconductor is normal at 1e-09 s" in caplog.text
    assert bool(data["completed"].all()) and np.isfinite(data["n_qp"].values).all()


def test_quasiparticles_at_the_end_of_the_axis_are_told(caplog):
    """A strong drive takes them there; what they would do beyond is not in the numbers."""
    with caplog.at_level("WARNING", logger="fvqp"):
        fvqp.run(case(DRIVEN, {"sweep": {"temperature": "0.25 K", "strength": [1.0, 1e5]}}))
    told = [line for line in caplog.messages if "in the last tenth of the axis" in line]
    assert len(told) == 1 and told[0].startswith("temperature 0.25 K, strength 100000: 0.")


def test_check_prints_sizes():
    text = fvqp.check(case(DRIVEN, STRENGTHS))
    assert "31 bins up to 4 Delta0, 79 phonon energies" in text
    assert "6 points, 2 temperature, 3 strength" in text


# -- endings ---------------------------------------------------------------------------------------------


def test_steps_that_collapse_name_the_stiff_process(tmp_path, monkeypatch, capsys):
    """A Newton iteration that is given no steps makes the integrator shorten its own without end."""
    monkeypatch.chdir(tmp_path)
    Path("case.toml").write_text(tomlkit.dumps(case(PULSE, {"solver": {"petsc": {"ts_snes_max_it": 0}}})))
    assert cli.main(["run", "case.toml", "--out", "out", "-q"]) == 2
    text = capsys.readouterr().err
    assert "temperature 0.2 K: steps collapse at time 0" in text
    assert "mostly by electron-phonon collisions at a rate of" in text
    assert int(open_result("out").dataset["completed"].sum()) == 1


@pytest.mark.slow
def test_no_steady_state(tmp_path, monkeypatch, capsys):
    """What was found stays, and a resumed run with more steps goes on from it."""
    monkeypatch.chdir(tmp_path)
    data = case(DRIVEN, {"sweep": {"temperature": "0.25 K", "strength": [1.0, 1e6]}})
    Path("case.toml").write_text(tomlkit.dumps(data | {"steady_state": {"maximum_iterations": 5}}))
    assert cli.main(["run", "case.toml", "--out", "out", "-q"]) == 2
    text = capsys.readouterr().err
    assert "case.toml: temperature 0.25 K, strength 1e+06: no steady state after 5 steps: " in text
    assert "; raise steady_state.maximum_iterations or steady_state.tolerance (" in text
    found = open_result("out").dataset
    assert found["completed"].values.tolist() == [[1, 0]] and np.isfinite(found["n_qp"].values[0, 0])
    Path("case.toml").write_text(tomlkit.dumps(data))
    assert cli.main(["run", "case.toml", "--out", "out", "--resume", "-q"]) == 0
    np.testing.assert_allclose(
        open_result("out").dataset["n_qp"], fvqp.run(copy.deepcopy(data)).dataset["n_qp"], rtol=1e-9
    )


@pytest.mark.slow
def test_power_that_hardly_anything_absorbs():
    """From the bath with 1e-51 quasiparticles up to the state that absorbs the power."""
    photons = [{"photon_energy": "0.2 Delta0", "absorbed_power": "1 pW/um^3"}]
    data = fvqp.run(case(DRIVEN, {"microwaves": photons, "sweep": {"temperature": "0.02 K"}})).dataset
    assert float(data["power_injected"].squeeze()) == pytest.approx(1e-12 / 1e-18, rel=1e-6)
    assert float(data["power_escaped"].squeeze()) == pytest.approx(1e-12 / 1e-18, rel=1e-6)


# -- resuming --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sweep", "points"),
    [
        ({"sweep": {"temperature": "0.25 K", "strength": [1.0, 10.0]}}, 1),
        pytest.param(STRENGTHS, 4, marks=pytest.mark.slow),
    ],
)
def test_resumed_steady_states(tmp_path, monkeypatch, sweep, points):
    whole = fvqp.run(case(DRIVEN, sweep)).dataset
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted_after(points, BoltzmannRecorder, patch)
        fvqp.run(case(DRIVEN, sweep), out=tmp_path / "out")
    assert int(open_result(tmp_path / "out").dataset["completed"].sum()) == points
    found = fvqp.run(case(DRIVEN, sweep), out=tmp_path / "out", resume=True).dataset
    for name in ("f", "n", "n_qp", "power_escaped"):
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-7)


@pytest.mark.parametrize(
    ("base", "points"),
    [
        pytest.param(FOLLOWED, 2, id="follows"),
        pytest.param(FOLLOWED, 1, id="follows-start", marks=pytest.mark.slow),
        pytest.param(STEPS, 2, id="fixed", marks=pytest.mark.slow),
    ],
)
def test_resumed_evolution(tmp_path, monkeypatch, base, points):
    """A run that was stopped and resumed is the one that was not, to rounding, with the same steps."""
    whole = fvqp.run(case(base)).dataset
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted_after(points, BoltzmannRecorder, patch)
        fvqp.run(case(base), out=tmp_path / "out")
    before = open_result(tmp_path / "out").dataset
    assert before["completed"].values.sum() == points
    found = fvqp.run(case(base), out=tmp_path / "out", resume=True).dataset
    for name in ("f", "n", "gap", "n_qp", "energy_injected"):
        np.testing.assert_array_equal(found[name].values[:, :points], whole[name].values[:, :points])
    for name in ("f", "n", "gap", "n_qp", "power_to_phonons", "next_step", "gap_rate"):
        largest = float(abs(whole[name]).max())
        np.testing.assert_allclose(found[name], whole[name], rtol=1e-11, atol=1e-13 * largest)
    assert float(abs(found["energy_residual"]).max()) < 1e-12 * float(found["energy_qp"].max())


def test_coarse_bins_name_the_error_of_the_density(caplog):
    """That in equilibrium is the sum over bins against Bessel functions; linear sums are of order 2."""
    # Of a gap that follows, graded sums do not split phonon modes at 2Δ.
    shared = PULSE | {"collisions": {"evaluation": "graded"}, "gap": {"model": "follows"}}

    def said(base: dict[str, Any], width: float) -> str:
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            fvqp.check(base | {"energies": {"maximum": "3 Delta0", "width": f"{width} Delta0"}})
        return caplog.text

    widths, kt = (0.1, 0.05, 0.02), constants.k * 0.2 / constants.e / 180e-6
    found = [
        re.search(r"off by (\S+) % in equilibrium, by up to (\S+) % out", said(shared, w)) for w in widths
    ]
    assert found[0] and found[1] and found[2]
    assert [float(one[2]) for one in found] == pytest.approx([60.0 * w / kt for w in widths], rel=0.05)
    assert 3.0 < float(found[0][1]) / float(found[1][1]) < 5.5
    assert "do not resolve" not in said(shared, 0.01)
    # Phonon modes that are split at twice the gap have no error of first order.
    for base in (PULSE, PULSE | {"collisions": {"evaluation": "graded"}}):
        assert "in equilibrium; a tenth" in said(base, 0.1) and "do not resolve" not in said(base, 0.02)


@pytest.mark.slow
def test_density_of_a_film_that_keeps_its_phonons():
    """The error that the warning names bounds that of modes that are not split at 2Δ; 5 ns are 20 τ0^pb."""
    kt, found = constants.k * 0.2 / constants.e / 180e-6, {}
    for evaluation, part in (
        ("graded", 3),
        ("graded", 9),
        ("graded", 11),
        ("auto", 5),
        ("auto", 11),
        ("auto", 44),
    ):
        data = fvqp.run(
            {
                "model": "boltzmann",
                "material": {"name": "Al", "gap": "180 ueV"},
                "energies": {"maximum": "2.6 Delta0", "width": f"{kt / part} Delta0"},
                "gap": {"model": "follows"},
                "collisions": {"evaluation": evaluation},
                "phonons": {"escape": {"time": "5 ns"}},
                "injections": [{"of": "quasiparticles", "centre": 1.5, "width": 0.1, "power": "1 aW/um^3"}],
                "steady_state": {},
                "sweep": {"temperature": "0.2 K"},
            }
        ).dataset
        found[evaluation, part] = data["n_qp"].item()
    missing = {key: 1.0 - value / found["auto", 44] for key, value in found.items()}
    for part in (3, 9, 11):
        assert 0.0 < missing["graded", part] < 0.6 / part
    assert abs(missing["auto", 11]) < 0.05 * missing["graded", 11]
    assert abs(missing["auto", 5]) < 0.05 * missing["graded", 9]
