"""Steady states of transport where phonons fly: found however stiff, or given up soon and with a reason."""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
import pytest
from case_keys import put
from transport_cases import FILM

import fvqp
from fvqp.errors import ConvergenceError
from fvqp.models.boltzmann import steady


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


def flying(path: str, **species: Any) -> dict[str, Any]:
    """The film with cells of 1 µm in which quasiparticles fly between rough walls."""
    data = film("still", "0.1 ns")
    data["quasiparticles"] = {
        "motion": "ordinates",
        "directions": 2,
        "azimuths": 4,
        "fermi_velocity": "1e6 m/s",
        "free_path": path,
    } | species
    return data


def iterations(caplog: pytest.LogCaptureFixture, data: dict[str, Any]) -> tuple[list[int], Any]:
    """Of the linear solves of a steady state, and its results."""
    caplog.clear()
    with caplog.at_level(logging.DEBUG, steady.__name__):
        found = fvqp.run(data).dataset
    said = [record.getMessage() for record in caplog.records if record.name == steady.__name__]
    assert not any("gave up" in line for line in said)
    return [int(line.split()[0]) for line in said if line.endswith(" iterations")], found


@pytest.mark.slow
def test_any_free_path_has_its_steady_state(caplog: pytest.LogCaptureFixture) -> None:
    """A thousandth of a cell to a thousand cells: a particle meets walls or others 10⁵ to 10⁸ times in τ0.

    No solve is given up, and none takes more than three times as many iterations as those of opaque
    cells, with finer cells and at more energies too.
    """
    for scheme in ("upwind", "linear"):
        for path in ("1 nm", "30 nm", "1 um", "30 um", "1 mm"):
            taken, found = iterations(caplog, flying(path, scheme=scheme))
            assert max(taken) <= 80
            assert abs(found["power_residual"].item()) < 1e-13 * found["power_injected"].item()
    for key, value in (("mesh.shape.nx", 24), ("mesh.shape.ny", 8), ("energies.width", "0.06 Delta0")):
        taken, _ = iterations(caplog, put(flying("1 mm", scheme="upwind"), key, value))
        assert max(taken) <= 80
    taken, _ = iterations(caplog, flying("1 mm"))
    assert max(taken) <= 120


@pytest.mark.parametrize("path", ["0.1 nm", "0.02 nm"])
def test_rounding_of_what_scatters(path: str) -> None:
    """Free paths of 10⁻⁴ cells and less end in the diffusion with vℓ/3, and balance: 4e9 collisions in τ0
    left changes of 1e-8 to 1e-7 that did not become smaller."""
    data = flying(path, directions=4, azimuths=8)
    opaque = fvqp.run(data).dataset
    value, unit = path.split()
    data["quasiparticles"] = {
        "motion": "diffusive",
        "diffusivity": f"{float(value) * 1e6 / 3:.12g} {unit}*m/s",
    }
    diffusive = fvqp.run(data).dataset
    np.testing.assert_allclose(opaque["n_qp_cell"], diffusive["n_qp_cell"], rtol=1e-3)
    assert abs(opaque["power_residual"].item()) < 1e-13 * opaque["power_injected"].item()


def test_cells_that_are_too_large_for_slow_particles_are_named() -> None:
    """At 1 m/s what is injected into one cell is gone within a part of the next; smaller cells know how."""
    data = flying("1 um", fermi_velocity="1 m/s", scheme="upwind", walls={"left": {"transmission": 0.5}})
    with pytest.raises(ConvergenceError, match=r"occupations would be negative in places, .* cells smaller"):
        fvqp.run(data)
    put(data, "mesh.shape.ny", 1)
    put(data, "mesh.shape.nx", 48)
    found = fvqp.run(data).dataset
    assert abs(found["power_residual"].item()) < 1e-13 * found["power_injected"].item()


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
