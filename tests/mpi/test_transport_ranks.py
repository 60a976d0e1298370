"""Cases of the transport model on several ranks: results do not depend on their number."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mpi4py import MPI
from transport_cases import FILM, SPHERE

import fvqp
from fvqp.errors import CaseError
from fvqp.results import open_result

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = pytest.mark.mpi

TOUCHING = {
    "shape": FILM["mesh"]["shape"]
    | {"regions": {"trap": [["1 um", "6 um"], "all"], "strip": [["0 um", "1 um"], "all"]}}
}
FLYING = {
    "mesh": TOUCHING,
    "quasiparticles": {
        "motion": "ordinates",
        "directions": 2,
        "azimuths": 4,
        "fermi_velocity": "1e6 m/s",
        "walls": {"right": {"transmission": 0.2}},
        "interfaces": [{"between": ["trap", "strip"], "transmission": 0.5}],
    },
    "phonons": FILM["phonons"]
    | {
        "motion": "diffusive",
        "sound_velocity": "4 km/s",
        "free_path": "0.1 um",
        "interfaces": [{"between": ["strip", "trap"], "transmission": 0.5}],
    },
    "evolution": {"start": "10 ps", "end": "20 ps", "points_per_decade": 1, "tolerance": 0.1},
}
#: Results that are differences of such amounts as others are.
DIFFERENCES = {
    "energy_residual": "energy_qp",
    "energy_escaped": "energy_ph",
    "escaped_spectrum": "energy_ph_spectrum",
    "energy_escaped_by": "energy_ph",
    "energy_through": "energy_ph",
    "quasiparticles_escaped_by": "n_qp",
    "quasiparticles_through": "n_qp",
    "phonons_escaped_by": "n_qp",
    "phonons_through": "n_qp",
    "quasiparticles_escaped_by_energy": "n_qp_spectrum",
    "quasiparticles_through_by_energy": "n_qp_spectrum",
    "phonons_escaped_by_energy": "n_qp_spectrum",
    "phonons_through_by_energy": "n_qp_spectrum",
}
STEP = {"energies": [0, 1.9, 2.1, 9], "shares": [0.1, 0.1, 0.9, 0.9]}
BOUNDARIES = {
    "quasiparticles": FILM["quasiparticles"] | {"walls": {"left": {"transmission": STEP}}},
    "phonons": {
        "motion": "diffusive",
        "sound_velocity": "4 km/s",
        "free_path": "0.1 um",
        "interfaces": [{"between": ["trap", "strip"], "transmission": STEP}],
    },
    "mesh": TOUCHING,
    "evolution": FILM["evolution"] | {"end": "10 ns"},
}
"""Transmissions by energy of a wall and an interface."""
STRONG = {
    "material": {"name": "Sn"},
    "spectrum": {"model": "eliashberg", "interaction": {"metal": "Sn"}, "renormalization": "energy"},
    "energies": {"maximum": "3 Delta0", "width": "0.5 Delta0"},
    "gap": {"model": "follows"},
    "regions": {},
    "bath": {"temperature": "1.5 K"},
    "evolution": FILM["evolution"] | {"end": "2 ns"},
}
"""A gap of strong coupling that follows."""
SIDES = {"Lx": "100 um", "Ly": "100 um", "Lz": "40 um"}
CRYSTAL = {
    "mesh": {
        "shape": {"kind": "grid3d", "nx": 4, "ny": 4, "nz": 4, **SIDES}
        | {"regions": {"chip": ["all", "all", ["0 um", "30 um"]], "film": ["all", "all", ["30 um", "40 um"]]}}
    },
    "phonons": {
        "motion": "ordinates",
        "directions": 2,
        "azimuths": 4,
        "sound_velocity": "5 km/s",
        "walls": {"back": {"transmission": 0.1}, "left": {"transmission": 0.2}},
        "interfaces": [{"between": ["chip", "film"], "transmission": 0.3}],
    },
    "regions": {
        "chip": {
            "insulator": True,
            "ion_density": "5e28 1/m^3",
            "debye_energy": "60 meV",
            "sound_velocity": "5.9 km/s",
        }
    },
    "injections": [FILM["injections"][0] | {"regions": ["film"]}],
    "evolution": FILM["evolution"] | {"end": "5 ns"},
}
"""A film on a crystal."""
FUNCTIONS = {
    "cross_section": {"thickness": "100 nm"},
    "injections": [
        {
            "of": "phonons",
            "centre": "2.5 Delta0",
            "width": "0.2 Delta0",
            "total_power": "1 nW",
            "profile": "exp(-((x - 2 um)/(1 um))^2)*(y > 1 um)",
            "time_profile": "sin(pi*t/(4 ns))",
            "start": "2 ns",
            "duration": "4 ns",
        }
    ],
    "gap": {"model": "fixed", "profile": "1 - 0.2*exp(-((x - 2 um)/(1 um))^2)"},
    "evolution": FILM["evolution"] | {"end": "10 ns"},
}
"""A source as functions of space and time, a gap as function of space."""
CASES = {
    "functions": FILM | FUNCTIONS,
    "crystal": FILM | CRYSTAL,
    "diffusive": FILM | {"evolution": FILM["evolution"] | {"end": "10 ns"}},
    "strong": FILM | STRONG,
    "ordinates": FILM | FLYING,
    "sphere": SPHERE,
    "boundaries": FILM | BOUNDARIES,
}


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all ranks."""
    path = tmp_path_factory.mktemp("run") if WORLD.rank == 0 else None
    return WORLD.bcast(path)


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("crystal", marks=pytest.mark.slow),
        pytest.param("diffusive", marks=pytest.mark.ranks(2)),
        pytest.param("functions", marks=pytest.mark.slow),
        pytest.param("ordinates", marks=pytest.mark.ranks(2)),
        pytest.param("strong", marks=pytest.mark.ranks(2)),
        pytest.param("boundaries", marks=pytest.mark.slow),
        pytest.param("sphere", marks=pytest.mark.slow),
    ],
)
def test_ranks_agree(name: str, folder: Path) -> None:
    case = copy.deepcopy(CASES[name])
    fvqp.run(case, out=folder / "out", comm=WORLD)
    if WORLD.rank > 0:
        return
    found, alone = open_result(folder / "out").dataset, fvqp.run(case, comm=SELF).dataset
    assert set(found) == set(alone)
    for variable in alone.data_vars:
        size = np.nanmax(np.abs(alone[variable].values)) or 1.0
        if variable in DIFFERENCES:
            size = float(np.nanmax(alone[DIFFERENCES[variable]].values))
        off = np.abs(found[variable].values - alone[variable].values)
        assert np.nanmax(off) <= 1e-10 * size, variable


@pytest.mark.ranks(2)
def test_a_source_that_acts_nowhere_is_refused_on_all_ranks() -> None:
    case = copy.deepcopy(FILM)
    case["injections"][0] |= {"position": ["1 mm", "1 um", "0 um"], "size": "2 um"}
    with pytest.raises(CaseError, match="acts nowhere"):
        fvqp.run(case, comm=WORLD)


@pytest.mark.ranks(2)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"injections": [FILM["injections"][0] | {"profile": "3 um - x", "regions": []}]},
            r"profile: .* is -",
        ),
        ({"gap": {"model": "fixed", "profile": "3 um - x"}, "regions": {}}, r"gap\.profile: .* is -"),
        ({"gap": {"model": "fixed", "profile": "where(x < 1 um, 2, 1)"}, "regions": {}}, "spectrum reaches"),
        (
            {
                "initial": {
                    "pulses": [
                        {
                            "centre": "2 Delta0",
                            "width": "0.3 Delta0",
                            "peak": 0.1,
                            "profile": "3e5*(3 um - x)",
                        }
                    ]
                }
            },
            r"pulses\[0\]\.profile: .* is -",
        ),
    ],
    ids=["source", "gap", "below", "pulse"],
)
def test_a_function_that_one_rank_refuses_is_refused_on_all(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CaseError, match=message):
        fvqp.run(copy.deepcopy(FILM) | changes, comm=WORLD)
