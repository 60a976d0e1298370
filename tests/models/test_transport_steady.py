"""Steady states of transport where phonons fly: found however stiff, or given up soon and with a reason."""

from __future__ import annotations

import copy
import logging
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

import numpy as np
import pytest
from case_keys import put
from transport_cases import FILM

import fvqp
from fvqp.errors import ConvergenceError
from fvqp.models.transport import steady


def film(motion: str, escape: str, **phonons: Any) -> dict[str, Any]:
    """Generation at one end, a trap at the other, with phonons that escape fast or slowly."""
    data = copy.deepcopy(FILM)
    del data["evolution"]
    data["steady_state"] = {}
    data["phonons"] = {"escape": {"time": escape}}
    if motion == "ordinates":
        data["phonons"] |= {"motion": motion, "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"}
    data["phonons"] |= phonons
    return data


@pytest.mark.slow
def test_phonons_that_leave_at_once_do_not_move() -> None:
    """Escape in 10⁻¹⁶ s, four thousand million times in τ0: flight in that time changes nothing."""
    still, flying = (fvqp.run(film(motion, "1e-16 s")).dataset for motion in ("still", "ordinates"))
    np.testing.assert_allclose(flying["n_qp_cell"], still["n_qp_cell"], rtol=1e-6)
    power = flying["power_injected"].item()
    assert abs(flying["power_residual"].item()) < 1e-9 * power


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["linear", "limited"])
def test_flight_collisions_and_escape_of_one_rate(scheme: str) -> None:
    """All within nanoseconds, and none slow enough to be solved for after the others."""
    data = film("ordinates", "1 ns", scheme=scheme)
    put(data, "mesh.shape.nx", 3)
    put(data, "mesh.shape.ny", 1)
    found = fvqp.run(data).dataset
    assert abs(found["power_residual"].item()) < 1e-12 * found["power_injected"].item()


def test_it_says_how_far_it_is(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(steady, "LINE_EVERY", 0.0)
    with caplog.at_level(logging.INFO, steady.__name__):
        fvqp.run(film("still", "1 ns"))
    assert any("step 2 changed energies by" in record.message for record in caplog.records)


@pytest.mark.slow
def test_changes_that_do_not_become_smaller_end_it() -> None:
    data = film("still", "1 ns")
    data["steady_state"] = {"tolerance": 1e-25}
    with pytest.raises(ConvergenceError, match=r"do not become smaller, 1.0e-25 is wanted"):
        fvqp.run(data)


@pytest.mark.parametrize("gap", ["fixed", "follows"])
def test_power_is_balanced_where_particles_scatter_often(gap: str) -> None:
    """Free paths of a thousandth of a cell, 4e8 of them in τ0: rounding of scattering, 3e-9 of the power
    before, is made up for."""
    data = film("still", "1 ns")
    data["gap"] = {"model": gap}
    data["quasiparticles"] = {
        "motion": "ordinates",
        "directions": 2,
        "azimuths": 4,
        "fermi_velocity": "1e6 m/s",
        "free_path": "1 nm",
        "scheme": "linear",
    }
    if gap == "follows":
        put(data, "energies.lowest_gap", "0.9 Delta0")
        put(data, "regions.trap.gap", None)
    found = fvqp.run(data).dataset
    assert abs(found["power_residual"].item()) < 1e-13 * found["power_injected"].item()
