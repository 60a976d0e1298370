"""Branches of phonons in cases: shares of modes, times of flight, what they do not go with."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import xarray as xr
from case_keys import changed
from said import Said
from transport_cases import APART, FILM, FLYING, SPHERE

import fvqp

BRANCHES = [{"sound_velocity": "4 km/s", "polarizations": 8}, {"sound_velocity": "2 km/s"}]
"""As many modes in both."""
IN_BRANCHES: dict[str, Any] = APART | {
    "phonons": {key: value for key, value in APART["phonons"].items() if key != "sound_velocity"}
    | {"branches": BRANCHES},
    "evolution": {"start": "3.4 ns", "end": "6 ns", "points_per_decade": 5, "tolerance": 0.02},
}


def flight(**changes: Any) -> xr.Dataset:
    """Phonons that leave a sphere of 10 µm."""
    data = changed(SPHERE, IN_BRANCHES | changes)
    found = fvqp.run(data).dataset
    total = found["energy_ph"].values[0]
    assert np.abs(found["energy_residual"].values).max() < 1e-12 * total
    return found


@pytest.mark.slow
def test_every_branch_arrives_in_its_time() -> None:
    """Half leaves around 2.5 ns and half around 5 ns, each as without the other one; with an eighth of the
    polarizations a ninth of all leaves early."""
    stored = flight()["energy_ph"].values
    left = stored / stored[0]
    assert left[1] == pytest.approx(0.5, abs=0.02)
    alone = [
        flight(**{"phonons.branches": None, "phonons.sound_velocity": speed})["energy_ph"].values
        for speed in ("4 km/s", "2 km/s")
    ]
    expected = 0.5 * (alone[0] / alone[0][0] + alone[1] / alone[1][0])
    np.testing.assert_allclose(left, expected, atol=0.01)
    few = copy.deepcopy(BRANCHES)
    few[0]["polarizations"] = 1
    stored = flight(**{"phonons.branches": few, "evolution.end": "4 ns"})["energy_ph"].values
    assert stored[1] / stored[0] == pytest.approx(8.0 / 9.0, abs=0.02)


@pytest.mark.slow
def test_scattering_makes_one_diffusion_of_branches() -> None:
    """In an opaque sphere they decay as phonons with their root of the mean square speed do."""
    opaque = {"phonons.free_path": "0.3 um", "evolution.end": "60 ns", "evolution.points_per_decade": 1}
    both = flight(**opaque)["energy_ph"].values
    speed = np.sqrt(0.5 * (4e3**2 + 2e3**2))
    one = flight(**opaque, **{"phonons.branches": None, "phonons.sound_velocity": f"{speed} m/s"})
    left = one["energy_ph"].values
    assert left[-1] < 0.5 * left[0]
    # they differ by the mean speed at the walls and (kl)^2 of the slowest mode, 0.4 % of its rate
    np.testing.assert_allclose(both, left, rtol=0.01)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"phonons.sound_velocity": "2 km/s"}, "phonons.sound_velocity: is not used with phonons.branches"),
    ({"phonons.branches": [{}]}, "phonons.branches[0].sound_velocity: missing"),
    (
        {"phonons.branches": [{"sound_velocity": "2 km/s"}, {"sound_velocity": "2000 m/s"}]},
        "phonons.branches: two have the same speed; give one, with the polarizations of both",
    ),
    (
        {"phonons": {"motion": "diffusive", "branches": BRANCHES, "free_path": "1 um"}},
        'phonons.branches: need motion = "ordinates"',
    ),
    ({"phonons": {"branches": BRANCHES}}, "phonons.branches: is not used with motion"),
    (
        {"phonons.dispersion": {"model": "table", "file": __file__}},
        "phonons.branches: are not used with a table of speeds",
    ),
]


@pytest.mark.parametrize(("changes", "words"), WRONG, ids=[words for _, words in WRONG])
def test_messages(said: Said, changes: dict[str, Any], words: str) -> None:
    code, text = said(SPHERE, IN_BRANCHES | changes)
    assert code == 2 and words in text and "case.toml" in text


def test_refraction_is_of_one_branch(said: Said) -> None:
    flying = {**FLYING["phonons"], "branches": BRANCHES}
    del flying["sound_velocity"]
    refracting = {"between": ["rest", "trap"], "mass_densities": ["1 g/cm^3", "2 g/cm^3"]}
    changes = {**FLYING, "phonons": flying | {"interfaces": [refracting]}}
    code, text = said(FILM, changes)
    assert code == 2 and "phonons.interfaces[0].mass_densities: refraction is that of one branch" in text
