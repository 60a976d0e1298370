"""Sources that act for a time, in a film and in a body: exact energies, resuming."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from case_keys import changed
from interrupting import interrupted_after
from kinetic_cases import PULSE
from said import Said
from transport_cases import FILM as BODY

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
    PULSE,
    {
        "injections": [SOURCE],
        "initial": {},
        "evolution": {"start": "1 ns", "end": "50 ns", "points_per_decade": 1, "tolerance": 1e-2},
    },
)
PLACED = changed(
    BODY,
    {
        "cross_section": {"thickness": "100 nm"},
        "injections": [SOURCE | {"profile": "exp(-((x - 2 um)/(1 um))^2)*(y > 1 um)"}],
        "injections.0.power": None,
        "injections.0.total_power": "1 nW",
        "evolution.end": "100 ns",
    },
)


def injected(case) -> tuple[np.ndarray, np.ndarray]:
    """Times in nanoseconds, and energy that came in, in that which the source brings in one of them; what is
    stored and has escaped is as much."""
    data = fvqp.run(case).dataset.squeeze()
    unit = 1e3 * 1e-9 if case["model"] == "boltzmann" else 1e-18 / float(data["cell_volume"].sum())
    brought = data["energy_injected"].values
    np.testing.assert_allclose(data["energy_residual"], 0.0, atol=1e-8 * brought[-1])
    return data["time"].values * 1e9, brought / unit


BOTH = pytest.mark.parametrize("case", [pytest.param(FILM, id="film"), pytest.param(PLACED, id="body")])
FILM_FIRST = pytest.mark.parametrize(
    "case", [pytest.param(FILM, id="film"), pytest.param(PLACED, id="body", marks=pytest.mark.slow)]
)
"""The body with the slow tests."""


@FILM_FIRST
def test_a_source_brings_its_power_times_its_duration(case):
    time, found = injected(case)
    np.testing.assert_allclose(found, np.clip(time - 5.0, 0.0, 20.0), rtol=1e-10, atol=2e-9)


@FILM_FIRST
def test_a_source_follows_its_profile_in_time(case):
    time, found = injected(changed(case, {"injections.0.time_profile": "sin(pi*t/(20 ns))^2"}))
    since = np.clip(time - 5.0, 0.0, 20.0)
    wanted = 0.5 * since - 20.0 / (4 * np.pi) * np.sin(2 * np.pi * since / 20.0)
    np.testing.assert_allclose(found[-1], wanted[-1], rtol=1e-9)
    np.testing.assert_allclose(found, wanted, atol=1e-3 * wanted[-1])


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
    empty = {"initial": {}, "evolution.end": "2 ns"}
    bath = fvqp.run(changed(FILM, changes | empty)).dataset["n_qp"].squeeze()[0]
    found = (trapped["n_qp"] - bath) / (rested["n_qp"] - bath)
    np.testing.assert_allclose(found[[0, -1]], share[[0, -1]], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("case", "points", "names"),
    [
        pytest.param(FILM, 4, ("n_qp", "energy_injected", "f"), id="film"),
        pytest.param(PLACED, 4, ("n_qp", "energy_injected", "energy_ph_cell"), id="body"),
    ],
)
def test_resumed_within_a_profile(case, points, names, tmp_path, monkeypatch):
    changes = {"evolution.points_per_decade": 2, "evolution.end": "12 ns", "evolution.start": "1 ns"}
    case = changed(case, changes | {"injections.0.time_profile": "t/(1 ns)"})
    whole = fvqp.run(copy.deepcopy(case)).dataset
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupted_after(points, BoltzmannRecorder, patch)
        fvqp.run(copy.deepcopy(case), out=tmp_path)
    resumed = fvqp.run(copy.deepcopy(case), out=tmp_path, resume=True).dataset
    for name in names:
        np.testing.assert_allclose(resumed[name], whole[name], rtol=1e-12, err_msg=name)


@BOTH
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"injections.0.start": "1 us"},
            "injections[0].start: 1e-06 s is not before evolution.end, ",
        ),
        (
            {"evolution": None, "steady_state": {}, "phonons": {"model": "bath"}},
            "injections[0].duration: needs [evolution]; nothing changes in a steady state",
        ),
        (
            {"evolution": None, "steady_state": {}, "phonons": {"escape": {"time": "1 ns"}}},
            "injections[0].start: needs [evolution]",
        ),
    ],
)
def test_times_that_mean_nothing_are_refused(said: Said, case, changes, message):
    code, text = said(case, changes)
    assert code == 2 and message in text, text


def test_a_film_has_no_places(said: Said):
    code, text = said(FILM, {"injections.0.profile": "x"})
    assert code == 2 and "injections[0].profile: is not used: all is homogeneous" in text
