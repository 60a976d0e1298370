"""What a case asks for and no machine or set of directions has: one line, before anything is computed."""

from __future__ import annotations

import copy
import json
import mmap
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
from case_keys import changed
from launching import HANGS
from mpi4py import MPI
from petsc_log import counted
from said import Said
from transport_cases import FILM, SPHERE

import fvqp
from fvqp import memory
from fvqp.errors import CaseError


def test_available_memory() -> None:
    """Of one machine, shared by its ranks."""
    found = memory.available(MPI.COMM_SELF)
    assert 2**20 < found < 2**50
    assert memory.available(MPI.COMM_WORLD) <= found * 1.5


def test_control_groups(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A container has less than its machine, unless it has no limit."""
    limit, used = tmp_path / "max", tmp_path / "current"
    limit.write_text("5000000\n")
    used.write_text("1000000\n")
    monkeypatch.setattr(memory, "GROUPS", ((str(limit), str(used)), (str(tmp_path / "a"), "b")))
    assert memory.available(MPI.COMM_SELF) == 4e6
    limit.write_text("max\n")
    assert memory.available(MPI.COMM_SELF) > 4e6


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="asks Linux")
def test_memory_is_what_is_said() -> None:
    """Peak of a run, and of a solution that takes all its iterations, against the estimate."""
    script = Path(__file__).parents[2] / "helpers" / "transport_memory.py"
    out = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True, timeout=HANGS)
    found, expected = (json.loads(out.stdout)[key] for key in ("found", "said"))
    for key in ("usual", "largest"):
        assert 0.8 < found[key] / expected[key] < 1.25, (key, found, expected)


def test_unknowns_beyond_memory(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvqp.case.boltzmann.sizes.available", lambda comm, first=0.0: 2.0**15)
    # 11 bins and 23 phonon energies, with four directions of both in the sphere.
    flying = "body.shells or quasiparticles.directions or phonons.directions"
    for base, unknowns, keys in ((SPHERE, 4 * 34, flying), (FILM, 34, "mesh.shape")):
        code, text = said(base, {})
        assert code == 2
        assert text.startswith("case.toml: needs at least")
        assert f"for {unknowns} unknowns in every cell, and 3.05e-05 GiB are left; " in text
        assert text.endswith(f"make {keys} smaller or energies.width larger, or use more machines")


def test_collisions_beyond_memory(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """Graded bins are as fine all the way up to a gap that follows: every pair of them takes memory."""
    monkeypatch.setattr("fvqp.case.boltzmann.sizes.available", lambda comm, first=0.0: 2.0**30)
    fine = {"energies.spacing": "graded", "energies.width": "0.0003 Delta0", "gap.model": "follows"}
    code, text = said(FILM, fine)
    assert code == 2 and "needs at least 4." in text and "energies.width larger" in text
    homogeneous = {
        "model": "boltzmann",
        "material": {"name": "Al"},
        "energies": {"maximum": "4 Delta0", "spacing": "graded", "width": "0.0003 Delta0"},
        "gap": {"model": "follows"},
        "phonons": {"model": "bath"},
        "steady_state": {},
        "sweep": {"temperature": "0.2 K"},
    }
    code, text = said(homogeneous, {})
    assert code == 2 and "energies: collisions of 3458 bins with one another need 4.45 GiB" in text


def test_results_beyond_the_disk(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where results of all times do not fit, keys that make them smaller are named."""
    usage = shutil.disk_usage(".")._replace(free=2**22)
    monkeypatch.setattr("fvqp.case.boltzmann.sizes.shutil.disk_usage", lambda path: usage)
    code, text = said(FILM, {"evolution.points_per_decade": 10_000})
    assert code == 2
    assert text.startswith(
        "case.toml: results of all times take 0.0932 GiB of disk in . while they are written, "
    )
    assert text.endswith(" GiB are left; make evolution.points_per_decade smaller")
    code, text = said(FILM, {"evolution.points_per_decade": 1000, "output": {"occupations": True}})
    assert code == 2
    assert text.endswith("leave out output.occupations, or make evolution.points_per_decade smaller")
    code, _ = said(FILM, {})
    assert code == 0
    code, text = said(FILM, {"evolution.points_per_decade": 10_000}, "run", "--out", "deep/out")
    assert code == 2
    assert "of disk in deep/out while" in text
    assert not Path("deep").exists()


def test_results_beyond_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a folder they are in memory."""
    monkeypatch.setattr("fvqp.memory._of_machine", lambda: 2.0**22)
    data = copy.deepcopy(FILM)
    data["evolution"]["points_per_decade"] = 10_000
    with pytest.raises(
        CaseError, match=r"take 0\.0311 GiB on rank 0, beside .* give a results folder, which "
    ):
        fvqp.run(data)


@pytest.mark.parametrize("base", [pytest.param(SPHERE, marks=pytest.mark.slow), FILM])
def test_results_on_the_disk_are_those_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, base: dict[str, Any]
) -> None:
    """Files that take large arrays are gone at the end; a resumed run goes on from the same numbers."""
    data = changed(base, {"output.occupations": True, "evolution.end": "10 ns"})
    expected = fvqp.run(copy.deepcopy(data)).dataset
    monkeypatch.setattr("fvqp.results.spool.LARGE", 1)
    monkeypatch.setattr("fvqp.results.dataset.LARGE", 1)
    for resume in (False, True):
        found = fvqp.run(copy.deepcopy(data), out=tmp_path / "out", resume=resume).dataset
        assert isinstance(found["f"].variable._data.base, np.memmap | mmap.mmap)
        for name in expected.data_vars:
            np.testing.assert_array_equal(found[name].values, expected[name].values)
    assert not [path.name for path in (tmp_path / "out").iterdir() if "part" in path.name]


def test_what_rank_0_takes_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_of_machine", lambda: 100.0)
    assert memory.available(MPI.COMM_SELF, 30.0) == 70.0
    assert memory.available(MPI.COMM_SELF, 300.0) == 0.0


@pytest.mark.parametrize(
    ("base", "key", "most"),
    [
        (SPHERE, "quasiparticles.directions", 1000),
        (SPHERE, "phonons.directions", 1000),
        (SPHERE, "evolution.points_per_decade", 10_000),
    ],
)
def test_numbers_that_are_slips(said: Said, base: dict[str, Any], key: str, most: int) -> None:
    code, text = said(base, {key: 100_000})
    assert code == 2
    assert text.startswith(f"case.toml: {key}: ") and str(most) in text


@pytest.mark.parametrize("base", [SPHERE, FILM])
def test_memory_is_counted_before_anything_is_made(
    said: Said, monkeypatch: pytest.MonkeyPatch, base: dict[str, Any]
) -> None:
    def made(*given: object, **named: object) -> None:
        raise AssertionError("made before its memory was counted")

    monkeypatch.setattr("fvqp.case.boltzmann.sizes.available", lambda comm, first=0.0: 2.0**15)
    monkeypatch.setattr("fvqp.case.boltzmann.build.shape_mesh", made)
    monkeypatch.setattr("fvqp.case.boltzmann.build.distributed_mesh", made)
    monkeypatch.setattr("fvqp.case.boltzmann.build.MediaBuilder", made)
    code, text = said(base, {})
    assert code == 2 and "needs at least" in text


def test_check_does_not_solve(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    def solved(*given: object, **named: object) -> None:
        raise AssertionError("solved by check")

    monkeypatch.setattr("fvqp.case.boltzmann.build.SteadySolver", solved)
    case = copy.deepcopy(FILM)
    case["initial"] = {"steady": True}
    with caplog.at_level("INFO", logger="fvqp"):
        text = fvqp.check(case)
    first = caplog.records[0].getMessage()
    assert first.startswith("memory: about ") and "MiB on a rank" in first
    assert first.removeprefix("memory: ").partition(";")[0] in text
    with pytest.raises(AssertionError, match="solved by check"):
        fvqp.run(case)


def test_a_mesh_beyond_memory(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fvqp.case.geometry.available", lambda comm: 2.0**30)
    code, text = said(FILM, {"mesh.shape.nx": 1_000_000})
    assert code == 2
    said_of_it = "2e+06 cells take 4.66 GiB while the mesh is made, and 1 GiB are left; use fewer"
    assert text == f"case.toml: mesh.shape: {said_of_it}"


def test_memory_that_runs_out(said: Said, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*given: object, **named: object) -> None:
        raise MemoryError("Unable to allocate 9 TiB")

    monkeypatch.setattr("fvqp.case.boltzmann.build.BoltzmannProblem", full)
    code, text = said(FILM, {})
    assert code == 2
    assert text == "case.toml: out of memory: Unable to allocate 9 TiB; use a coarser mesh or grid"


def slanted(path: Path) -> None:
    """A strip of triangles whose right end is oblique, in micrometres."""
    x = np.linspace(0.0, 6.0, 7)
    points = np.concatenate([np.stack([x, 0 * x], 1), np.stack([x * 7.5 / 6.0, 0 * x + 2.0], 1)])
    i = np.arange(6)
    cells = np.concatenate([np.stack([i, i + 1, i + 8], 1), np.stack([i, i + 8, i + 7], 1)])
    ends = np.array([[6, 13]])
    meshio.write(
        path,
        meshio.Mesh(
            points,
            [("triangle", cells), ("line", ends)],
            cell_data={
                name: [np.full(12, 1), np.full(1, 2)] for name in ("gmsh:physical", "gmsh:geometrical")
            },
            field_data={"film": np.array([1, 2]), "end": np.array([2, 1])},
        ),
        file_format="gmsh22",
        binary=False,
    )


@pytest.mark.parametrize("quadrature", ["product", "lebedev"])
def test_a_mirror_that_directions_cannot_represent(said: Said, tmp_path: Path, quadrature: str) -> None:
    """A specular wall that is oblique to a set; the same wall may be rough."""
    slanted(tmp_path / "film.msh")
    given = {
        "product": {"directions": 2, "azimuths": 4},
        "lebedev": {"degree": 5},
    }[quadrature]
    changes = {
        "mesh": {"file": "film.msh", "length_unit": "um"},
        "regions": {},
        "injections": [],
        "phonons": {"motion": "ordinates", "quadrature": quadrature, "sound_velocity": "4 km/s", **given},
        "phonons.walls": {"end": {"specularity": 0.5}},
    }
    code, text = said(FILM, changes)
    assert code == 2
    assert "wall 'end' of" in text and "film.msh" in text
    assert "a specular wall with normal (0.8, -0.6, 0) takes" in text
    assert "align the wall with the axes of the set or make it diffuse" in text
    code, _ = said(FILM, {**changes, "phonons.walls": {"end": {"specularity": 0.0}}})
    assert code == 0


def test_phonons_of_the_bath() -> None:
    """The limit of a short escape time, and the homogeneous model with phonons of the bath."""
    data = copy.deepcopy(FILM) | {
        "mesh": {"shape": {"kind": "grid1d", "nx": 2, "Lx": "2 um"}},
        "regions": {},
        "injections": [],
        "initial": {"pulses": [{"centre": "2 Delta0", "width": "0.25 Delta0", "peak": 0.1}]},
        "evolution": {"start": "1 ns", "end": "4 ns", "points_per_decade": 1, "tolerance": 0.005},
    }
    found = {
        name: fvqp.run(copy.deepcopy(data) | {"phonons": phonons}).dataset["n_qp"].values[-1]
        for name, phonons in (
            ("bath", {"model": "bath"}),
            ("short", {"escape": {"time": "1 fs"}}),
            ("long", {"escape": {"time": "1 ns"}}),
        )
    }
    alone = {key: data[key] for key in ("material", "energies", "gap", "initial")} | {
        "model": "boltzmann",
        "phonons": {"model": "bath"},
        "sweep": {"temperature": data["bath"]["temperature"]},
        "evolution": data["evolution"] | {"tolerance": 1e-4},
    }
    assert found["bath"] == pytest.approx(found["short"], rel=1e-5)
    assert found["bath"] == pytest.approx(float(fvqp.run(alone).dataset["n_qp"][0, -1]), rel=2e-4)
    assert found["long"] > 1.01 * found["bath"]


@pytest.mark.slow
def test_petsc_makes_the_steps(capfd: pytest.CaptureFixture[str]) -> None:
    """Its log counts steps, stages and solves, and its monitors print them."""
    data = changed(SPHERE, {"gap": {"model": "fixed"}, "evolution.end": "1 us"})
    data["solver"] = {
        "petsc": {
            "transport_ts_monitor": True,
            "transport_ksp_converged_reason": True,
            "transport_linear_ksp_converged_reason": True,
        }
    }
    with counted("TSStep", "TSFunctionEval", "SNESSolve", "KSPSolve", "PCApply", "MatMult") as calls:
        fvqp.run(data)
    assert min(calls.values()) >= 5, calls
    said = capfd.readouterr().out
    for line in ("5 TS dt", "Linear fvqp_transport_ solve", "Linear fvqp_transport_linear_ solve converged"):
        assert line in said


@pytest.mark.slow
def test_petsc_options_of_steps_move_a_number() -> None:
    """The whole Jacobian by PETSc's flexible GMRES instead of residuals that remember directions."""
    evolution = {"evolution.end": "100 ns", "evolution.tolerance": 0.05}
    data = changed(SPHERE, {"gap": {"model": "fixed"}} | evolution)
    kept = fvqp.run(data).dataset["n_qp"].values
    data["solver"] = {"petsc": {"transport_linear_ksp_type": "fgmres", "transport_linear_ksp_rtol": 1e-3}}
    other = fvqp.run(data).dataset["n_qp"].values
    assert 0.0 < np.abs(other / kept - 1.0).max() < 0.02


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("transport_snes_max_it", "reaches no solver"),
        ("transport_ts_type", "evolution.method says it"),
        ("transport_ts_rosw_type", "evolution.method says it"),
        ("steady_ksp_max_it", r"not used: it reaches \[steady_state\]"),
        ("transport_ksp_bcgsl_ell", "no solver of this case reads it"),
    ],
)
def test_petsc_options_without_a_solver(key: str, message: str) -> None:
    data = SPHERE | {"solver": {"petsc": {key: 3}}}
    with pytest.raises(CaseError, match=f"solver.petsc.{key}: .*{message}"):
        fvqp.check(data)


def test_a_steady_state_is_a_snes(capfd: pytest.CaptureFixture[str]) -> None:
    data = changed(FILM, {"evolution": None}) | {
        "steady_state": {},
        "solver": {"petsc": {"steady_snes_monitor": True, "steady_ksp_converged_reason": True}},
    }
    fvqp.run(data)
    said = capfd.readouterr().out
    assert "1 SNES Function norm" in said and "Linear fvqp_steady_ solve converged" in said
    data["solver"] = {"petsc": {"steady_snes_rtol": 1e-3}}
    with pytest.raises(CaseError, match="steady_snes_rtol: steady_state.tolerance says it"):
        fvqp.check(data)
