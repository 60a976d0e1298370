"""cases/devices/films_on_crystal: balance of energy, time of flight, and the time in which a film cools."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

import fvqp
from fvqp.case.boltzmann.build import build_setup
from fvqp.case.reading import case_from_dict

CASE = Path(__file__).parents[2] / "cases" / "devices" / "films_on_crystal.toml"
COARSE = ["energies.width=0.25 Delta0", "energies.growth=0.15", "evolution.points_per_decade=4"]


@pytest.mark.slow
def test_a_film_cools_at_the_rate_of_its_surface() -> None:
    """Phonons leave a film of thickness d, from which a share η passes, in 4d/ηv if both sides have as many
    states × speed: S. B. Kaplan, J. Low Temp. Phys. 37, 343 (1979). Corrections are of order η/2."""
    eta, thickness = 0.05, 0.1e-6
    data: dict[str, Any] = tomllib.loads(CASE.read_text())
    data["mesh"]["file"] = str(CASE.parent / data["mesh"]["file"])
    data |= {"collisions": {"inelastic": False}, "quasiparticles": {}, "output": {}, "figures": []}
    data |= {"energies": {"maximum": "4 Delta0", "width": "0.5 Delta0"}}
    data["phonons"]["interfaces"][0]["transmission"] = eta
    data["phonons"]["azimuths"] = 8
    del data["injections"]
    data["initial"] = {
        "pulses": [
            {
                "of": "phonons",
                "centre": "4 Delta0",
                "width": "1 Delta0",
                "peak": 0.01,
                "regions": ["injector"],
            }
        ]
    }
    # What leaves comes back from the bottom of the crystal after 6.7 ns.
    data["evolution"] = {"start": "0.5 ns", "end": "5 ns", "points_per_decade": 3, "tolerance": 0.05}
    media = build_setup(case_from_dict(data), MPI.COMM_SELF).problem.media
    film = next(one for one in media if one.has_quasiparticles)
    crystal = next(one for one in media if not one.has_quasiparticles)
    across = min(1.0, float(crystal.modes[0] * 6e3 / (film.modes[0] * 4e3)))
    expected = 4.0 * thickness / (eta * across * 4e3)
    found = fvqp.run(data).dataset
    here = (found["y"].values > 0.0) & (found["x"].values < 0.0)
    energy = found["energy_ph_cell"].values[1:, here].sum(axis=1)
    times = found["time"].values[1:]
    times_found = -np.diff(times) / np.diff(np.log(energy))
    assert times_found == pytest.approx(np.full(len(times) - 1, expected), rel=0.05)


@pytest.mark.slow
def test_pairs_break_when_phonons_arrive() -> None:
    """From edge to edge over the mirrored bottom it is 44.7 um, 7.5 ns."""
    found = fvqp.run(CASE, overrides=[*COARSE, "evolution.start=5 ns", "evolution.end=50 ns"]).dataset
    moved = found["energy_injected"].values[-1]
    assert np.abs(found["energy_residual"].values).max() < 1e-12 * moved
    made = found["x_qp_region"].sel(region="detector").values
    times = found["time"].values
    late = made[times > 45e-9]
    assert np.all(made[times < 44.7e-6 / 6e3] < 1e-3 * late)
    assert np.all(np.diff(made[times > 1e-8]) > 0.0)
    assert late < 0.02 * found["x_qp_region"].sel(region="injector").values[-1]
