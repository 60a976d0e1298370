"""Numbers and energies that pass walls, losses and interfaces."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xarray as xr
from case_keys import changed
from mpi4py import MPI
from transport_cases import FILM

import fvqp
from fvqp.case.boltzmann.recording import COUNTERS
from fvqp.case.boltzmann.study import BoltzmannStudy
from fvqp.case.reading import case_from_dict
from fvqp.errors import CheckpointError

LENGTH, SOUND, SHARE = 5e-6, 4e3, 0.2
"""Of one of two slabs, of phonons, and of those that pass the face between them."""
SLABS: dict[str, Any] = {
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 10,
            "Lx": "10 um",
            "regions": {"left half": ["0 um", "5 um"], "right half": ["5 um", "10 um"]},
        }
    },
    "regions": {},
    "injections": [],
    "quasiparticles": {},
    "collisions": {"inelastic": False},
    "phonons": {
        "motion": "ordinates",
        "directions": 4,
        "sound_velocity": f"{SOUND} m/s",
        "walls": {"left": {"specularity": 1.0}, "right": {"transmission": 1.0}},
        "interfaces": [{"between": ["left half", "right half"], "transmission": SHARE}],
    },
    "initial": {
        "pulses": [
            {
                "of": "phonons",
                "centre": "3 Delta0",
                "width": "0.5 Delta0",
                "peak": 0.1,
                "regions": ["left half"],
            }
        ]
    },
    "bath": {"temperature": "10 mK"},
    "energies": {"maximum": "4 Delta0", "width": "0.5 Delta0"},
    "evolution": {"start": "0.2 ns", "end": "2 ns", "tolerance": 1e-2},
}
"""Phonons in one of two slabs, which fly through the face between them; nothing collides."""


def computed(changes: dict[str, Any]) -> xr.Dataset:
    return fvqp.run(changed(FILM, changes)).dataset


def phonons(data: xr.Dataset) -> np.ndarray:
    """Number of phonons by volume at every time."""
    return (data["energy_ph_spectrum"] / (data["omega"] * 1.602176634e-19)).sum("omega").values


def test_phonons_in_flight_pass_a_face_at_the_rate_of_kinetic_theory() -> None:
    """A quarter of density, speed and transmission, until the first come back from the mirror."""
    data = computed(SLABS)
    time, density = data["time"].values, phonons(data)[0]
    expected = 0.25 * SHARE * SOUND * time * density / LENGTH
    through = data["phonons_through"].sel(interface="left half to right half").values
    np.testing.assert_allclose(through, expected, rtol=5e-4)
    # all energies alike: energy is number times the mean energy, and what has not come back has passed
    mean = data["energy_ph"].values[0] / density
    np.testing.assert_allclose(data["energy_through"].values[:, 0], through * mean, rtol=1e-6)
    held = data["energy_ph_region"].sel(region="right half").values
    out = data["energy_escaped_by"].sel(exit="right").values
    gained = 0.5 * (held - held[0]) + out
    np.testing.assert_allclose(gained, data["energy_through"].values[:, 0], rtol=1e-4)


def test_numbers_by_exit_are_what_is_missing() -> None:
    """Walls and escape take phonons, which nothing else makes or takes; reversed interfaces count as one."""
    data = computed(
        SLABS
        | {
            "phonons.walls.left": {"transmission": 0.3},
            "phonons.escape": {"time": "1 ns"},
            "evolution.end": "5 ns",
            "quasiparticles": {
                "motion": "diffusive",
                "diffusivity": "20 cm^2/s",
                "interfaces": [{"between": ["right half", "left half"], "transmission": 0.5}],
                "walls": {"left": {"transmission": 0.3}},
            },
        }
    )
    assert list(data["exit"].values) == ["left", "right", "escape"]
    assert list(data["interface"].values) == ["right half to left half"]
    lost = data["phonons_escaped_by"]
    assert np.all(lost.values[-1] > 0.0)
    held = phonons(data)
    np.testing.assert_allclose(lost.sum("exit"), held[0] - held, atol=1e-10 * held[0])
    assert np.all(data["phonons_through"].values[1:] < 0.0)


def test_quasiparticles_by_exit_and_interface() -> None:
    """Mobile quasiparticles that do not collide leave through a wall or stay."""
    walls = {"left": {"transmission": 0.4}, "right": {"transmission": 0.1}}
    pulse = {"centre": "2 Delta0", "width": "0.5 Delta0", "peak": 0.1, "regions": ["left half"]}
    data = computed(
        SLABS
        | {
            "phonons": {},
            "quasiparticles": {
                "motion": "diffusive",
                "diffusivity": "20 cm^2/s",
                "walls": walls,
                "interfaces": [{"between": ["left half", "right half"], "transmission": 1.0}],
            },
            "initial": {"pulses": [pulse]},
            "evolution.end": "20 ns",
        }
    )
    held, lost = data["n_qp"].values, data["quasiparticles_escaped_by"]
    np.testing.assert_allclose(lost.sum("exit"), held[0] - held, atol=1e-10 * held[0])
    assert lost.sel(exit="left").values[-1] > lost.sel(exit="right").values[-1] > 0.0
    right = 0.5 * data["n_qp_region"].sel(region="right half").values
    gained = right - right[0] + lost.sel(exit="right").values
    through = data["quasiparticles_through"].values[:, 0]
    np.testing.assert_allclose(gained, through, atol=1e-4 * through[-1])
    assert through[-1] > 0.05 * held[0]
    # nothing is counted where nothing is named
    plain = computed(SLABS | {"phonons": {}, "initial": {"pulses": [pulse]}})
    assert "interface" not in plain.dims and "energy_through" not in plain
    with pytest.raises(KeyError):
        plain["quasiparticles_escaped_by"]


def test_numbers_by_energy() -> None:
    """They add up to numbers, and times energies to energies; a wall that is open above 2 Delta0 alone takes
    nothing else; in free flight every energy leaves in proportion to what there is of it."""
    step = {"energies": [0, 1.9, 2.1, 9], "shares": [0, 0, 0.5, 0.5]}
    data = computed(
        SLABS
        | {
            "phonons.walls": {"left": {"transmission": step}, "right": {"transmission": 1.0}},
            "quasiparticles": {
                "motion": "diffusive",
                "diffusivity": "20 cm^2/s",
                "walls": {"left": {"transmission": 0.3}},
                "interfaces": [{"between": ["left half", "right half"], "transmission": 0.5}],
            },
            "phonons.escape": {"time": "1 ns"},
        }
    )
    volts = 1.602176634e-19
    for place, kind in (("exit", "escaped_by"), ("interface", "through")):
        energy = np.zeros((data.sizes["time"], data.sizes[place]))
        for species, axis in (("quasiparticles", "energy"), ("phonons", "omega")):
            spectrum = data[f"{species}_{kind}_energy" if place == "exit" else f"{species}_{kind}_by_energy"]
            assert spectrum.dims == ("time", place, axis)
            np.testing.assert_allclose(spectrum.sum(axis), data[f"{species}_{kind}"], rtol=1e-12)
            energy += (spectrum * data[axis] * volts).sum(axis).values
        np.testing.assert_allclose(energy, data[f"energy_{kind}"], rtol=1e-12)
    spectrum, omega = data["phonons_escaped_by_energy"], data["omega"].values / data.attrs["delta0_eV"]
    out = (spectrum * data["omega"] * volts).sum("exit").values
    np.testing.assert_allclose(out, data["escaped_spectrum"], rtol=1e-12)
    left = spectrum.sel(exit="left").values[-1]
    assert np.all(left[omega < 1.9] == 0.0)
    assert np.all(left[omega > 2.1] > 0.0)
    through = data["phonons_through_by_energy"].values[-1, 0]
    held = (data["energy_ph_spectrum"].values[0] / data["omega"].values)[omega < 1.9]
    np.testing.assert_allclose(through[omega < 1.9] / through[0], held / held[0], rtol=1e-3)


def test_a_checkpoint_without_interfaces_is_refused() -> None:
    """Those of earlier versions counted walls alone."""
    study = BoltzmannStudy(case_from_dict(changed(FILM, SLABS)), MPI.COMM_SELF, None)
    recorder, state = study.recorder(None), study.setup.state
    numbers = dict(zip(COUNTERS, study.setup.problem.no_counters(), strict=True))
    numbers["lost_n"] = numbers["lost_n"][:-1]
    arrays = {"f": state.f, "n": state.n, "gap": state.gap, "gap_rate": state.gap}
    earlier = SimpleNamespace(arrays=arrays, numbers=numbers)
    with pytest.raises(CheckpointError, match="lost_n counts what passed 2 places, this program needs 3"):
        recorder.restored(earlier)
