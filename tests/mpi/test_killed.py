"""Runs of every model that lose a rank, after a point or while they write, go on with other ranks.

The transport model has a file of its own, `test_transport_killed.py`.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kinetic_cases import DEBYE, DRIVEN, PULSE
from launching import launched
from mpi4py import MPI
from run_cases import UNIFORM, as_file, line
from stage_cases import TRAP
from stochastic_cases import BUBBLES, CLUSTER, TAIL

import fvqp
from fvqp.results import open_result

pytestmark = [pytest.mark.slow, pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts ranks itself")]

LINK: dict[str, Any] = {
    "model": "weak_link",
    "mesh": {"shape": {"kind": "grid1d", "Lx": "130 nm", "nx": 10}},
    "cross_section": {"width": "150 nm", "thickness": "20 nm"},
    "superconductor": {"gap": "265 ueV"},
    "metal": {"diffusivity": "16.9 cm^2/s", "resistivity": "100 nohm*m"},
    "reservoirs": [{"on": ["left"], "phase": "0 rad"}, {"on": ["right"]}],
    "spectrum": {"broadening": 1e-3},
    "sweep": {"phase": ["30 deg", "60 deg", "90 deg", "120 deg"], "temperature": ["300 mK"]},
}
THREE = {"temperature": ["0.2 K", "0.25 K", "0.3 K"]}
CASES: dict[str, dict[str, Any]] = {
    "usadel": line(UNIFORM),
    "weak_link": LINK,
    "boltzmann": DRIVEN | {"sweep": THREE | {"strength": [1.0, 10.0]}},
    "evolution": PULSE | {"sweep": THREE},
    "eliashberg": DEBYE | {"sweep": {"temperature": ["3 K", "5 K", "7 K"]}},
    "localized": BUBBLES,
    "tail": TAIL | {"sweep": {"generation": ["1 1/um^3/s", "2 1/um^3/s", "4 1/um^3/s"]}},
    "clusters": CLUSTER | {"sweep": {**CLUSTER["sweep"], "generation": ["50 1/um^3/s", "100 1/um^3/s"]}},
    "stages": TRAP,
}
#: Models whose ranks share the cells of a mesh; in others rank 0 takes the points of all.
MESHES = {"usadel", "stages"}

KILLED = """
import os, signal, sys
from mpi4py import MPI
from fvqp import cli
from fvqp.results import ResultsFolder, checkpoint, files
victim, where, saves = {victim}, {where!r}, []
def die():
    if MPI.COMM_WORLD.rank == victim % MPI.COMM_WORLD.size:
        os.kill(os.getpid(), signal.SIGKILL)
def before(work):
    def killed(*given, **options):
        if len(saves) == {points}:
            die()
        return work(*given, **options)
    return killed
save = ResultsFolder.save
def always(self, mesh, state, force=False):
    done = save(self, mesh, state, force=True)
    saves.append(done)
    if where == "after" and len(saves) == {points}:
        die()
    return done
ResultsFolder.save = always
if where == "gathering":
    checkpoint.FileOrder.gathered = before(checkpoint.FileOrder.gathered)
elif where == "sealing":
    checkpoint.seal = files.seal = before(files.seal)
elif where == "replacing":
    files.os.replace = before(os.replace)
if {parts}:
    checkpoint.parallel_hdf5 = lambda comm: False
sys.exit(cli.main(sys.argv[1:]))
"""


def interrupted(
    data: dict[str, Any], tmp_path: Path, before: int, after: int, **how: Any
) -> tuple[int, tuple[float, str]]:
    """Kill a rank, go on with other ranks; complete points when it was killed, and the largest error
    relative to the largest value of its variable."""
    case, out = as_file(copy.deepcopy(data), tmp_path / "case.toml"), tmp_path / "out"
    program = KILLED.format(**({"victim": 0, "where": "after", "points": 1, "parts": False} | how))
    ended = launched(before, case, out, program=("-c", program))
    assert ended.returncode != 0 and "Traceback" not in ended.stderr and "fvqp: error" not in ended.stderr
    first = out / data["stages"][0]["name"] if "stages" in data else out
    partial = open_result(first).dataset["completed"].values
    assert 0 < partial.sum() < partial.size
    going_on = launched(after, case, out, "--resume")
    assert going_on.returncode == 0, going_on.stderr
    assert not [file for file in out.rglob("*") if file.name.endswith(".part")]
    found, whole = open_result(out).dataset, fvqp.run(copy.deepcopy(data), out=tmp_path / "whole").dataset
    assert set(found) == set(whole) and found["completed"].values.all()
    errors = [(0.0, "")]
    for name in map(str, whole.data_vars):
        one, other = whole[name].values, found[name].values
        if one.dtype.kind not in "fi" or name.endswith("residual"):
            continue
        np.testing.assert_array_equal(np.isnan(one), np.isnan(other), err_msg=name)
        # Parts of a conductance, and balances, are differences of what is larger.
        size = np.nanmax(np.abs(whole["g_nl"].values if name.startswith("g_s") else one), initial=0.0) or 1.0
        errors.append((np.nanmax(np.abs(one - other), initial=0.0) / size, name))
    return int(partial.sum()), max(errors)


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
@pytest.mark.parametrize("name", CASES)
def test_a_lost_rank(name: str, before: int, after: int, tmp_path: Path) -> None:
    # The last rank where ranks share a mesh, the one that collects the points elsewhere.
    victim = -1 if name in MESHES else 0
    _, error = interrupted(CASES[name], tmp_path, before, after, victim=victim)
    assert error[0] <= 1e-10, error


@pytest.mark.parametrize("parts", [False, True], ids=["together", "parts"])
@pytest.mark.parametrize(("where", "victim"), [("gathering", 1), ("sealing", 0), ("replacing", 0)])
def test_a_lost_rank_while_writing(where: str, victim: int, parts: bool, tmp_path: Path) -> None:
    known, error = interrupted(
        line(UNIFORM), tmp_path, 2, 1, where=where, victim=victim, points=2, parts=parts
    )
    # Results come before the checkpoint, whose writing gathers.
    assert known == (3 if where == "gathering" else 2)
    assert error[0] <= 1e-10, error
