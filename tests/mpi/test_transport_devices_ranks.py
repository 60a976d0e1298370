"""Steady states, drives and probes of transport cases on several ranks."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from transport_cases import FILM

import fvqp
from fvqp.errors import CaseError

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
CASES = Path(__file__).parents[2] / "cases"
pytestmark = pytest.mark.mpi


@pytest.mark.ranks(2)
@pytest.mark.slow
def test_a_steady_state_does_not_depend_on_the_number_of_ranks() -> None:
    """A film with a trap, drive, loss and probe; a step of Newton's method is refined to rounding."""
    case = copy.deepcopy(FILM)
    del case["evolution"]
    case |= {
        "steady_state": {"tolerance": 1e-10},
        "microwaves": [{"photon_energy": "40 GHz", "coupling": "10 kHz", "photons": 100.0}],
        "trapping": [{"rate": "1 MHz", "regions": ["strip"]}],
        "resonator": {"photon_energy": "5 GHz"},
    }
    found, alone = fvqp.run(case, comm=WORLD).dataset, fvqp.run(case, comm=SELF).dataset
    if WORLD.rank > 0:
        return
    for name in ("n_qp_cell", "energy_ph_cell", "x_qp_region", "power_injected", "sigma1", "frequency_shift"):
        expected = alone[name].values
        assert np.abs(found[name].values - expected).max() <= 1e-10 * np.abs(expected).max(), name
    assert abs(found["power_residual"].item()) < 1e-10 * found["power_injected"].item()


@pytest.mark.ranks(2)
def test_localized_quasiparticles_do_not_depend_on_the_number_of_ranks() -> None:
    """The shipped film with fewer cells and bins, and a weaker source: they outlive all others by far."""
    case = CASES / "bespalov2016" / "film.toml"
    fewer = ["mesh.shape.nx=5", "mesh.shape.Lx='50 um'", "energies.width='0.4 Delta0'", "figures=[]"]
    fewer.append("injections[0].power='1e-3 W/m^3'")
    found, alone = (fvqp.run(case, overrides=fewer, comm=comm).dataset for comm in (WORLD, SELF))
    if WORLD.rank > 0:
        return
    for name in ("n_localized_cell", "n_qp_cell", "energy_qp_cell", "energy_ph_cell"):
        assert found[name].values == pytest.approx(alone[name].values, rel=1e-10, abs=0.0), name


@pytest.mark.ranks(2)
def test_conditions_at_walls_do_not_depend_on_the_number_of_ranks() -> None:
    """Occupations that vary along a wall and in time, and a surface velocity; the ledger of every wall."""
    given = {"kind": "dirichlet", "occupation": "0.1*exp(-E/(1 meV))*y/(2 um)*t/(2 ns)", "duration": "2 ns"}
    velocity = {"kind": "robin", "velocity": "10 km/s", "temperature": "1 K"}
    case = copy.deepcopy(FILM)
    case["quasiparticles"]["walls"] = {"left": given, "right": velocity}
    case["evolution"] = {"start": "0.1 ns", "end": "2 ns", "points_per_decade": 1, "tolerance": 0.1}
    found, alone = (fvqp.run(case, comm=comm).dataset for comm in (WORLD, SELF))
    if WORLD.rank > 0:
        return
    for name in ("n_qp_cell", "energy_ph_cell", "quasiparticles_escaped_by", "energy_escaped_by"):
        expected = alone[name].values
        assert np.abs(found[name].values - expected).max() <= 1e-10 * np.abs(expected).max(), name
    size = np.abs(found["energy_escaped_by"].values).max()
    assert np.abs(found["energy_residual"].values).max() < 1e-10 * size


@pytest.mark.ranks(2)
def test_wrong_occupations_are_said_on_all_ranks() -> None:
    """One rank has the faces where an occupation is negative."""
    case = copy.deepcopy(FILM)
    case["quasiparticles"]["walls"] = {"top": {"kind": "dirichlet", "occupation": "0.1*(4 um - x)/(1 um)"}}
    with pytest.raises(CaseError, match="walls.top.occupation: .* is -0"):
        fvqp.run(case, comm=WORLD)
