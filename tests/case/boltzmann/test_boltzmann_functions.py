"""Sources with a start and a duration in a film: exact energies with every method, resuming."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from case_keys import changed
from interrupting import interrupted_after
from kinetic_cases import PULSE
from said import Said

import fvqp
from fvqp.case.boltzmann.recording import BoltzmannRecorder

SOURCE = {
    "of": "phonons",
    "centre": "2.5 Delta0",
    "width": "0.1 Delta0",
    "power": "1 fW/um^3",
    "start": "5 ns",
    "duration": "20 ns",
}
FILM = changed(
    PULSE, {"injections": [SOURCE], "initial": {}, "evolution.end": "50 ns", "evolution.start": "1 ns"}
)


def test_a_source_brings_its_power_times_its_duration():
    data = fvqp.run(changed(FILM, {"evolution.end": "30 ns"})).dataset.squeeze()
    wanted = 1e3 * np.clip(data["time"].values - 5e-9, 0.0, 20e-9)
    np.testing.assert_allclose(data["energy_injected"], wanted, rtol=1e-10, atol=1e-10 * wanted[-1])
    stored = data["energy_qp"] + data["energy_ph"]
    gained = stored - stored[0] + data["energy_escaped"]
    np.testing.assert_allclose(gained, data["energy_injected"], rtol=1e-8, atol=1e-10 * float(stored[-1]))


def test_a_source_follows_its_profile_in_time():
    data = fvqp.run(changed(FILM, {"injections.0.time_profile": "exp(-t/(4 ns))"})).dataset.squeeze()
    wanted = 1e3 * 4e-9 * (1.0 - np.exp(-20 / 4))
    np.testing.assert_allclose(data["energy_injected"][-1], wanted, rtol=1e-9)


@pytest.mark.slow
def test_microwaves_act_for_a_time():
    """From equilibrium they do later what they do at once."""

    def driven(end, **times):
        drive = {"photon_energy": "0.3 Delta0", "coupling": "1 Hz", "photons": 1e6} | times
        changes = {
            "injections": [],
            "microwaves": [drive],
            "sweep.temperature": "0.5 K",
            "evolution.end": end,
            "evolution.tolerance": 1e-3,
        }
        return fvqp.run(changed(FILM, changes)).dataset["energy_injected"].squeeze().values

    at_once = driven("20 ns")[-1]
    later = driven("50 ns", start="5 ns", duration="20 ns")
    assert later[0] == later[1] == 0.0 < later[2] < later[-1]
    np.testing.assert_allclose(later[-1], at_once, rtol=3e-3)


@pytest.mark.slow
def test_strength_of_microwaves_is_their_number():
    drive = {"photon_energy": "0.3 Delta0", "coupling": "1 Hz", "duration": "20 ns"}
    one = (
        {"photons": 1e6, "time_profile": "1 + t/(20 ns)"},
        {"photons": 2e6, "time_profile": "0.5 + t/(40 ns)"},
    )
    changes = {"injections": [], "sweep.temperature": "0.5 K", "evolution.end": "20 ns"}
    first, second = (
        fvqp.run(changed(FILM, changes | {"microwaves": [drive | times]}))
        .dataset["energy_injected"]
        .squeeze()
        for times in one
    )
    np.testing.assert_allclose(first, second, rtol=1e-4)


def test_traps_act_for_a_time():
    """Quasiparticles above those of the bath decay by exp(-rate × duration) where they hardly collide."""
    trap = {"rate": "0.1 GHz", "start": "5 ns", "duration": "20 ns", "time_profile": "2*t/(20 ns)"}
    changes = {
        "initial": PULSE["initial"],
        "injections": [],
        "material": {"name": "Al", "characteristic_time": "1 s", "pair_breaking_time": "1 s"},
    }
    rested = fvqp.run(changed(FILM, changes)).dataset.squeeze()
    trapped = fvqp.run(changed(FILM, changes | {"trapping": trap})).dataset.squeeze()
    time = trapped["time"].values
    share = np.exp(-0.1 * 20 * np.clip((time * 1e9 - 5) / 20, 0.0, 1.0) ** 2)
    bath = fvqp.run(changed(FILM, changes | {"initial": {}})).dataset["n_qp"].squeeze()[0]
    found = (trapped["n_qp"] - bath) / (rested["n_qp"] - bath)
    np.testing.assert_allclose(found[[0, -1]], share[[0, -1]], rtol=1e-4)


@pytest.mark.slow
def test_resumed_within_a_profile(tmp_path, monkeypatch):
    case = changed(
        FILM,
        {"injections.0.time_profile": "t/(1 ns)", "evolution.points_per_decade": 2, "evolution.end": "12 ns"},
    )
    whole = fvqp.run(copy.deepcopy(case)).dataset
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted_after(4, BoltzmannRecorder, patch)
        fvqp.run(copy.deepcopy(case), out=tmp_path)
    resumed = fvqp.run(copy.deepcopy(case), out=tmp_path, resume=True).dataset
    for name in ("n_qp", "energy_injected", "f"):
        np.testing.assert_allclose(resumed[name], whole[name], rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"injections.0.profile": "x"}, "injections[0].profile: is not used: all is homogeneous"),
        ({"injections.0.start": "1 us"}, "injections[0].start: 1e-06 s is not before evolution.end"),
        (
            {"evolution": None, "steady_state": {}, "phonons": {"model": "bath"}},
            "injections[0].duration: needs [evolution]; nothing changes in a steady state",
        ),
    ],
)
def test_what_means_nothing_is_refused(said: Said, changes, message):
    code, text = said(FILM, changes)
    assert code == 2 and message in text, text
