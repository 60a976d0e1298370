"""Bad input on several ranks: every rank raises the same error, none is left waiting."""

from __future__ import annotations

from typing import Any

import pytest
from mpi4py import MPI
from transport_cases import FILM

import fvqp
from fvqp.errors import CaseError, ConvergenceError, FvqpError, MeshError

WORLD = MPI.COMM_WORLD
pytestmark = pytest.mark.mpi

LINE: dict[str, Any] = {
    "model": "usadel",
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 12,
            "Lx": "2 um",
            "regions": {"west": ["0 um", "1 um"], "middle": ["0.5 um", "1.5 um"]},
            "boundaries": {"point_A": "1 um", "inside": "0.5 um"},
        }
    },
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "junctions": [{"name": "A", "on": "point_A", "conductance": "24.6 uS", "role": "injector"}],
    "reservoirs": [{"on": ["left", "right"]}],
    "spectrum": {"broadening": 0.01},
    "energies": {"number": 60},
    "sweep": {"V_inj": ["0.4 mV"], "temperature": "50 mK"},
}
UNIFORM = {"gap": {"model": "uniform", "at": "point_A"}, "solver": {"maximum_iterations": 2}}
BETWEEN = {"between": ["west", "middle"], "conductance_per_area": "1 S/um^2"}


def junction(on: str) -> dict[str, Any]:
    return {"junctions": [LINE["junctions"][0] | {"on": on}]}


def raised(changes: dict[str, Any], base: dict[str, Any] = LINE) -> FvqpError:
    """The error that all ranks raise, the same on each."""
    with pytest.raises(FvqpError) as caught:
        fvqp.run(base | changes, comm=WORLD)
    texts = WORLD.allgather(f"{type(caught.value).__name__}: {caught.value}")
    assert len(set(texts)) == 1
    return caught.value


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        (junction("nowhere"), MeshError, "junctions[0].on: the mesh has no region or boundary"),
        ({"reservoirs": [{"on": ["left", "inside"]}]}, CaseError, "must be an outer one"),
        ({"interfaces": [BETWEEN]}, MeshError, "share cells"),
        (
            {"sweep": LINE["sweep"] | {"temperature": "2 K"}},
            CaseError,
            "is not below the critical temperature",
        ),
        pytest.param(
            *(UNIFORM, ConvergenceError, "not converged after 2 evaluations"), marks=pytest.mark.ranks(2)
        ),
        ({"solver": {"groups": 64}}, CaseError, "solver.groups: 64 groups"),
    ],
    ids=["place", "inside", "overlap", "temperature", "convergence", "groups"],
)
def test_all_ranks_raise_the_same(changes, kind, words):
    error = raised(changes)
    assert isinstance(error, kind) and words in str(error)


@pytest.mark.skipif(WORLD.size == 1, reason="needs several ranks")
def test_more_ranks_than_cells():
    """One cell."""
    shape = {"kind": "grid1d", "nx": 1, "Lx": "2 um", "regions": {"west": "all"}}
    error = raised({"mesh": {"shape": shape}, **junction("west")})
    assert isinstance(error, MeshError)
    assert f"mesh.shape: {WORLD.size} MPI ranks for 1 cells: run on at most 1 ranks" in str(error)


@pytest.mark.ranks(2)
def test_groups_share_the_curves():
    """As many groups as ranks: the same numbers."""
    data = LINE | {"junctions": [LINE["junctions"][0] | {"temperature": "50 mK"}]}
    data["sweep"] = {"V_inj": ["0.4 mV"], "temperature": ["40 mK", "50 mK", "60 mK", "70 mK"]}
    one = fvqp.run(data, comm=WORLD).dataset
    many = fvqp.run(data | {"solver": {"groups": WORLD.size}}, comm=WORLD).dataset
    if WORLD.rank == 0:
        assert abs(many["I_inj"] / one["I_inj"] - 1.0).max() < 1e-10


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"regions": {"trap": {"diffusivity": "2e17 m^2/s"}}},
            "regions.trap.diffusivity: makes a diffusivity",
        ),
        ({"regions": {"trop": {"gap": 0.5}}}, 'regions: the mesh has no region "trop"'),
        ({"trapping": [{"rate": "1 MHz", "regions": ["up"]}]}, "trapping[0].regions: the mesh has no region"),
        ({"phonons": {"motion": "diffusive", "sound_velocity": "4 km/s"}}, "phonons.free_path: missing"),
    ],
)
def test_transport(changes: dict[str, Any], words: str) -> None:
    """What is wrong in cells that one rank has is said by all."""
    assert words in str(raised(changes, FILM))


def test_results_that_do_not_fit_beside_rank_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvqp.memory._of_machine", lambda: 2.0**23)
    evolution = FILM["evolution"] | {"points_per_decade": 10_000}
    assert "on rank 0, beside" in str(raised({"evolution": evolution}, FILM))
