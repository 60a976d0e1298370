"""A film on a crystal: phonons fly in the crystal, quasiparticles diffuse in the film, one interface."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from case_keys import changed
from transport_cases import FILM

import fvqp

CHIP = 10e-6
"""Thickness of the crystal, with the film on its right, metres."""
ON_CRYSTAL: dict[str, Any] = {
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "dx": ["2 um"] * 5 + ["0.05 um"] * 2,
            "regions": {"chip": ["0 um", "10 um"], "film": ["10 um", "10.1 um"]},
        }
    },
    "quasiparticles": {"motion": "diffusive", "diffusivity": "60 cm^2/s"},
    "phonons": {
        "motion": "ordinates",
        "directions": 4,
        "sound_velocity": "4 km/s",
        "walls": {"left": {"transmission": 1.0}},
    },
    "regions": {
        "chip": {
            "insulator": True,
            "ion_density": "5e28 1/m^3",
            "debye_energy": "55.6 meV",
            "sound_velocity": "6 km/s",
        }
    },
}


def computed(changes: dict[str, Any]) -> xr.Dataset:
    data = changed(FILM, ON_CRYSTAL | changes)
    return fvqp.run(data).dataset


@pytest.mark.slow
def test_quasiparticles_of_a_film_are_made_by_what_passes_its_interface() -> None:
    """Phonons fly 10 um in 1.7 ns: before, the film is empty; then it holds quasiparticles in proportion to
    the transmission, as long as few phonons come back. Energy is kept to rounding."""
    made = []
    for eta in (0.1, 0.2):
        found = computed(
            {
                "phonons.interfaces": [{"between": ["chip", "film"], "transmission": eta}],
                "injections": [],
                "initial.pulses": [
                    {
                        "of": "phonons",
                        "centre": "3.5 Delta0",
                        "width": "0.5 Delta0",
                        "size": "1 um",
                        "peak": 1e-3,
                        "regions": ["chip"],
                    }
                ],
                "bath.temperature": "50 mK",
                "evolution": {"start": "0.5 ns", "end": "3 ns", "points_per_decade": 1, "tolerance": 0.1},
            }
        )
        size = found["energy_ph"].values.max()
        assert np.abs(found["energy_residual"].values).max() < 1e-12 * size
        film = found["x"].values > CHIP
        made.append(found["n_qp_cell"].values[:, film].mean(axis=1))
    early, late = np.array(made)[:, 1], np.array(made)[:, -1]
    assert np.all(early < 0.2 * late)
    assert 1.7 < late[1] / late[0] < 2.0
