"""Runs on several ranks: the same results, groups of ranks, resuming on other numbers of ranks, endings."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from launching import launched
from mpi4py import MPI
from run_cases import CURRENTS, UNIFORM, as_file, assert_same, device, line, strongly_driven

import fvqp
from fvqp.errors import CaseError, CheckpointError, ConvergenceError, SuperconductivityDestroyed
from fvqp.models.usadel import operating_point
from fvqp.models.usadel.problem import Point, UsadelProblem
from fvqp.results import open_result

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = pytest.mark.mpi
TWO = pytest.mark.ranks(2)

TWO_BIASES = {"sweep": {"V_inj": ["-0.3 mV", "0.4 mV"], "V_det": ["0.1 mV"]}}
STORED = {"output": {"fields": [], "stored": ["gap", "mu_Q", "f_L"]}}


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all ranks."""
    path = tmp_path_factory.mktemp("run") if WORLD.rank == 0 else None
    return WORLD.bcast(path)


ONE_BIAS = {"sweep": {"V_inj": ["0.4 mV"], "V_det": ["0.1 mV"]}}
ONE_CURRENT = {"supercurrent": {**CURRENTS["supercurrent"], "phase_gradient": [0.1], "both_signs": False}}
CASES: dict[str, dict[str, Any]] = {
    "line": line(CURRENTS, TWO_BIASES, STORED),
    "line-uniform": line(UNIFORM, ONE_CURRENT, ONE_BIAS, STORED, energies={"number": 60}),
    "film": device("film", 12, gap={"model": "uniform", "at": "junction_A"}, **ONE_BIAS, **STORED),
    "wire_3d": device("wire_3d", 8, gap={"model": "uniform", "at": "top_A"}, **ONE_BIAS, **STORED),
}


@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param("line-uniform", marks=TWO),
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("film", "line", "wire_3d")),
    ],
)
def test_same_results(name: str, folder: Path) -> None:
    fvqp.run(CASES[name], out=folder / "out")
    if WORLD.rank == 0:
        assert_same(open_result(folder / "out").dataset, fvqp.run(CASES[name], comm=SELF).dataset, 1e-10)


@TWO
@pytest.mark.parametrize("name", ["film", pytest.param("wire_3d", marks=pytest.mark.slow)])
def test_pieces_for_paraview(name: str, folder: Path) -> None:
    output = {"fields": ["gap", "mu_Q", "f_L"], "field_energies": [1.2], "stored": ["mu_Q"]}
    case = device(name, 4, sweep={"V_inj": ["0.4 mV"], "V_det": ["0 V"]}, output=output)
    found = fvqp.run(case, out=folder / "out").dataset
    if WORLD.rank > 0:
        return
    import pyvista  # by the rank that needs it: it takes a second

    (blocks,) = pyvista.get_reader(folder / "out" / "fields.pvd").read()
    assert set(blocks.cell_data) == {"gap (ueV)", "mu_Q (uV)", "f_L at 1.2 Delta0", "cell", "region"}
    cells = blocks["cell"]
    np.testing.assert_array_equal(np.sort(cells), np.arange(found.sizes["cell"]))
    np.testing.assert_allclose(blocks["mu_Q (uV)"], found["mu_Q"].values[0, 0][cells] * 1e6, rtol=1e-12)
    centres = blocks.cell_centers().points * 1e-6
    np.testing.assert_allclose(centres[:, 0], found["x"].values[cells], atol=1e-12)
    pieces = list((folder / "out" / "fields").glob("*.vtu"))
    assert len(pieces) == WORLD.size


def grouped(groups: int, **more: Any) -> dict[str, Any]:
    """Three supercurrents and two detectors, on groups of ranks."""
    case = line(CURRENTS, TWO_BIASES, solver={"groups": groups}, energies={"number": 60}, **more)
    case["junctions"].append({**case["junctions"][1], "name": "C", "on": "point_C"})
    return case


@pytest.mark.ranks(4)
@pytest.mark.skipif(WORLD.size < 2, reason="groups need ranks")
def test_groups(folder: Path) -> None:
    more = {
        "output": {"fields": ["mu_Q"], "stored": ["f_T"]},
        "supercurrent": {"both_signs": False},
        **ONE_BIAS,
    }
    expected = fvqp.run(grouped(1, **more), comm=SELF).dataset if WORLD.rank == 0 else None
    fvqp.run(grouped(2, **more), out=folder / "out")
    if expected is not None:
        assert_same(open_result(folder / "out").dataset, expected, 1e-10)
    assert len(list((folder / "out").glob("fields_supercurrent_*.pvd"))) == 2
    # The groups do not belong to what is computed: another number of them goes on.
    fvqp.run(grouped(1, **more), out=folder / "out", resume=True)
    if expected is not None:
        assert_same(open_result(folder / "out").dataset, expected, 1e-10)


def test_too_many_groups() -> None:
    with pytest.raises(CaseError, match=rf"groups: 9 groups for 3 curve\(s\) .* on {WORLD.size} rank"):
        fvqp.run(grouped(9))


def failing_at(bias: float, supercurrent: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the solutions at a bias, with one sign of the supercurrent or any, not converge."""
    original = operating_point.solve_point

    def solve(problem: UsadelProblem, point: Point, guess: Any = None) -> object:
        if point.V_inj == bias and supercurrent in (None, point.supercurrent):
            raise ConvergenceError(f"no solution at {point.V_inj:g} V")
        return original(problem, point, guess)

    monkeypatch.setattr("fvqp.study.sweep.solve_point", solve)


@pytest.mark.skipif(WORLD.size < 2, reason="groups need ranks")
@pytest.mark.parametrize("supercurrent", [-0.1, 0.1])
@TWO
@pytest.mark.slow
def test_a_group_that_fails(folder: Path, monkeypatch: pytest.MonkeyPatch, supercurrent: float) -> None:
    """All ranks end with its error, after all other points are done; resuming mends it."""
    case = grouped(2)
    with monkeypatch.context() as patch:
        failing_at(4e-4, supercurrent, patch)
        with pytest.raises(ConvergenceError, match=r"no solution at 0.0004 V"):
            fvqp.run(case, out=folder / "out")
    found = open_result(folder / "out").dataset
    done = found["completed"].values[:, 0].astype(bool)
    # The curves are -0.1, 0, 0.1. With a gap of the bath points do not start from one another.
    expected = {-0.1: [[1, 0], [1, 1], [1, 1]], 0.1: [[1, 1], [1, 1], [1, 0]]}[supercurrent]
    np.testing.assert_array_equal(done, np.array(expected, bool))
    np.testing.assert_array_equal(found["outcome"].values[:, 0], np.where(done, 1, 3))
    assert np.isfinite(found["g_nl_C"].values[:, 0][done]).all()
    fvqp.run(case, out=folder / "out", resume=True)
    assert_same(open_result(folder / "out").dataset, fvqp.run(grouped(1), comm=SELF).dataset, 1e-10)


@pytest.mark.slow
@pytest.mark.ranks(2)
@pytest.mark.parametrize(
    ("first", "second"),
    [(SELF, WORLD), (WORLD, SELF)],
    ids=["1-to-n", "n-to-1"],
)
def test_resumed_on_other_ranks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, first: MPI.Comm, second: MPI.Comm
) -> None:
    # Every cell has its own gap and phase, so that they must come back to where they were.
    phase = {"supercurrent": {**ONE_CURRENT["supercurrent"], "self_consistent_phase": True}}
    sweep = {"V_inj": ["0.1 mV", "0.25 mV"]}
    case = line(
        phase, gap={"model": "local"}, sweep=sweep, energies={"number": 90}, output={"fields": ["gap"]}
    )
    out = folder / "out"
    with monkeypatch.context() as patch:
        failing_at(2.5e-4, None, patch)
        if first.size > 1 or WORLD.rank == 0:
            with pytest.raises(ConvergenceError, match="no solution"):
                fvqp.run(case, out=out, comm=first)
    WORLD.Barrier()
    assert open_result(out).dataset["completed"].values[0].sum() == 1
    WORLD.Barrier()
    if second.size > 1 or WORLD.rank == 0:
        fvqp.run(case, out=out, resume=True, comm=second)
    WORLD.Barrier()
    if WORLD.rank == 0:
        assert_same(open_result(out).dataset, fvqp.run(case, comm=SELF).dataset, 1e-10)
        import pyvista

        reader = pyvista.get_reader(next(out.glob("*.pvd")))
        np.testing.assert_allclose(reader.time_values, [0.1, 0.25])
        for value in reader.time_values:
            reader.set_active_time_value(value)
            assert reader.read()[0].n_cells == 40


@TWO
def test_refused_on_all_ranks(folder: Path) -> None:
    case = line(ONE_BIAS, energies={"number": 40})
    fvqp.run(case, out=folder / "out")
    with pytest.raises(CheckpointError, match="belongs to another case"):
        fvqp.run(case | {"spectrum": {"broadening": 0.02}}, out=folder / "out", resume=True)
    with pytest.raises(CheckpointError, match="holds results of this case already"):
        fvqp.run(case, out=folder / "out")
    current = {"supercurrent": {"current": ["1 mA"], "from": "left", "to": "right"}}
    with pytest.raises(CaseError, match="is more than the device carries"):
        fvqp.run(line(current))


#: ``fvqp run`` whose third point fails on rank 1 only.
ALONE = """
import sys
from mpi4py import MPI
from fvqp import cli, terminal
from fvqp.study import sweep
from fvqp.errors import ConvergenceError
from fvqp.models.usadel import operating_point
terminal.PATIENCE = sweep.PATIENCE = 1.0
original = operating_point.solve_point
def solve(problem, point, *rest):
    if point.V_inj == 4e-4 and MPI.COMM_WORLD.rank == 1:
        raise ConvergenceError("no root at energy 1.2")
    return original(problem, point, *rest)
sweep.solve_point = solve
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(WORLD.size > 1, reason="starts ranks itself")
def test_endings_under_mpiexec(tmp_path: Path) -> None:
    def message(done: subprocess.CompletedProcess[str]) -> str:
        lines = [text for text in done.stderr.splitlines() if text.startswith("fvqp: ")]
        assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
        return lines[0]

    case = as_file(line(CURRENTS, TWO_BIASES), tmp_path / "case.toml")
    done = launched(2, case, tmp_path / "out", "--groups", "4")
    assert done.returncode == 2 and "4 groups for 3 curve(s) of the sweep on 2 rank(s)" in message(done)
    done = launched(2, case, tmp_path / "out", "--groups", "2")
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert_same(open_result(tmp_path / "out").dataset, fvqp.run(case).dataset, 1e-10)
    strong = line(
        UNIFORM, energies={"number": 100}, sweep={"V_inj": {"from": "0 mV", "to": "1.5 mV", "points": 4}}
    )
    strong["junctions"][0]["conductance"] = "50 mS"
    done = launched(2, as_file(strong, tmp_path / "strong.toml"), tmp_path / "strong")
    assert done.returncode == 2 and "self-consistent gap at V_inj = " in message(done)
    assert open_result(tmp_path / "strong").dataset["completed"].values[0, 0] == 1
    uniform = as_file(line(UNIFORM, TWO_BIASES), tmp_path / "uniform.toml")
    done = launched(2, uniform, tmp_path / "alone", program=("-c", ALONE))
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("no root at energy 1.2") == 1 and "Traceback" not in done.stderr


@TWO
@pytest.mark.skipif(WORLD.size < 2, reason="groups need ranks")
def test_destroyed_points_of_groups(folder: Path) -> None:
    case = {**strongly_driven(), "solver": {"groups": 2}}
    for resume in (False, True):
        with pytest.raises(SuperconductivityDestroyed, match="of 8 points: 4 without superconductivity"):
            fvqp.run(case, out=folder, resume=resume)
        if WORLD.rank == 0:
            outcome = open_result(folder).dataset["outcome"].values.tolist()
            assert outcome == [[1, 1, 2, 2], [1, 1, 2, 2]]
        WORLD.barrier()
