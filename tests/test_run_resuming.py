"""Runs that are stopped, fail or go on: what stays in the results folder, and what a run ends with."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from interrupting import interrupted_after
from launching import HANGS
from mpi4py import MPI
from run_cases import CURRENTS, LINE, UNIFORM, as_file, assert_same, line, line_file, strongly_driven

import fvqp
from fvqp import cli
from fvqp.case.usadel.recording import UsadelRecorder
from fvqp.errors import CheckpointError, ConvergenceError, SuperconductivityDestroyed
from fvqp.models.usadel import operating_point
from fvqp.models.usadel.problem import Point, UsadelProblem
from fvqp.results import open_result

UNIFORM_CURRENTS = {**UNIFORM, "supercurrent": {**CURRENTS["supercurrent"], "phase_gradient": [0.1]}}
LOCAL = {"gap": {"model": "local"}, "sweep": {"V_inj": {"from": "-0.3 mV", "to": "0.3 mV", "points": 5}}}
COLLIDING = {
    **UNIFORM,
    "energies": {"spacing": "uniform"},
    "collisions": {"electron_electron": 1e-3},
    "sweep": {"V_inj": {"from": "-1.2 mV", "to": "1.2 mV", "points": 5}},
}
COLLIDING_CURRENT = {**COLLIDING, **CURRENTS, "gap": {}}
BOTH_MODES = {
    **COLLIDING,
    "collisions": {"electron_electron": 1e-3, "electron_phonon": "1 us", "charge": True},
}
WITH_PHASE = {
    **UNIFORM,
    "supercurrent": {
        "current": ["1 uA"],
        "from": "left",
        "to": "right",
        "self_consistent_phase": True,
        "both_signs": False,
    },
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run; its case file is beside it."""
    folder = tmp_path_factory.mktemp("finished")
    fvqp.run(as_file(line(UNIFORM), folder / "case.toml"), out=folder / "out")
    return folder / "out"


# -- resuming
# --------------------------------------------------------------------------------------------------


def count_solves(monkeypatch: pytest.MonkeyPatch) -> list[Point]:
    """The points that are solved from now on."""
    solved: list[Point] = []
    original = operating_point.solve_point

    def solve(problem: UsadelProblem, point: Point, *rest: object) -> object:
        solved.append(point)
        return original(problem, point, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("fvqp.study.sweep.solve_point", solve)
    return solved


@pytest.mark.parametrize(
    ("changes", "points"),
    [
        ({}, (2,)),
        pytest.param(UNIFORM, (1, 2, 4), marks=pytest.mark.slow),
        pytest.param(UNIFORM_CURRENTS, (4, 7), marks=pytest.mark.slow),
        pytest.param(COLLIDING, (2,), marks=pytest.mark.slow),
        pytest.param(COLLIDING_CURRENT, (2,), marks=pytest.mark.slow),
        pytest.param(BOTH_MODES, (2,), marks=pytest.mark.slow),
        pytest.param(LOCAL, (2,), marks=pytest.mark.slow),
        pytest.param(WITH_PHASE, (2,), marks=pytest.mark.slow),
    ],
    ids=[
        "fixed",
        "uniform",
        "uniform-currents",
        "colliding",
        "colliding-current",
        "both-modes",
        "local",
        "phase",
    ],
)
def test_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], points: tuple[int, ...]
) -> None:
    case = line(changes)
    whole = fvqp.run(case).dataset
    for number in points:
        out = tmp_path / str(number)
        with monkeypatch.context() as patch:
            interrupted_after(number, UsadelRecorder, patch)
            with pytest.raises(KeyboardInterrupt):
                fvqp.run(case, out=out)
        partial = open_result(out).dataset
        done = partial["completed"].values.astype(bool)
        assert done.sum() == number
        np.testing.assert_array_equal(partial["I_inj"].values[done], whole["I_inj"].values[done])
        assert np.isnan(partial["I_inj"].values[~done]).all()
        with monkeypatch.context() as patch:
            solved = count_solves(patch)
            found = fvqp.run(case, out=out, resume=True).dataset
        # Beside a current, conductances are differences of solutions next to a point.
        swept = [point for point in solved if point.V_inj in whole["V_inj"].values]
        assert len(swept) == done.size - number
        # Reading back is exact, so nothing but attributes of the provenance differs.
        assert_same(found, whole, 1e-14)
        assert_same(open_result(out).dataset, whole, 1e-14)


def test_resuming_a_finished_run_computes_nothing(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = open_result(finished).dataset
    with h5py.File(finished / "checkpoint.h5") as file:
        gap = file["arrays/gap"][()]
    solved = count_solves(monkeypatch)
    fvqp.run(finished.parent / "case.toml", out=finished, resume=True)
    assert not solved
    assert_same(open_result(finished).dataset, before, 0.0)
    assert open_result(finished).ledger.rows.keys() == {"particles", "charge", "energy"}
    with h5py.File(finished / "checkpoint.h5") as file:
        np.testing.assert_array_equal(file["arrays/gap"][()], gap)


def test_folders_of_others(finished: Path, tmp_path: Path) -> None:
    case = finished.parent / "case.toml"
    with pytest.raises(CheckpointError, match="holds results of this case already; --resume"):
        fvqp.run(case, out=finished)
    for resume in (True, False):
        with pytest.raises(CheckpointError, match="belongs to another case"):
            fvqp.run(case, out=finished, overrides=["spectrum.broadening=0.02"], resume=resume)
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="not empty and not a results folder"):
        fvqp.run(LINE, out=tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["note.txt"]


def test_checkpoint_of_another_mesh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mesh = line_file(tmp_path / "wire.msh", [0.0, 1.0, 2.0, 3.0, 4.0], (2, 3))
    case = line()
    case["mesh"] = {"file": str(mesh), "length_unit": "um"}
    with monkeypatch.context() as patch:
        interrupted_after(2, UsadelRecorder, patch)
        with pytest.raises(KeyboardInterrupt):
            fvqp.run(case, out=tmp_path / "out")
    line_file(mesh, [0.0, 1.0, 2.1, 3.0, 4.0], (2, 3))
    with pytest.raises(CheckpointError, match=r"belongs to another mesh \(of 4 cells\)"):
        fvqp.run(case, out=tmp_path / "out", resume=True)


# -- how a run ends
# --------------------------------------------------------------------------------------------


def test_destroyed_superconductivity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Strong injection everywhere in the middle of the wire: the gap closes at some bias.
    case = line(
        UNIFORM, sweep={"V_inj": {"from": "0 mV", "to": "1.5 mV", "points": 6}}, energies={"number": 100}
    )
    case["junctions"][0]["conductance"] = "50 mS"
    file = as_file(case, tmp_path / "case.toml")
    assert cli.main(["run", str(file), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and message.startswith(
        "fvqp: error: case.toml: self-consistent gap at V_inj = "
    )
    assert "superconductivity is destroyed" in message or "not converged" in message
    found = open_result(tmp_path / "out").dataset
    done = found["completed"].values[0].astype(bool)
    assert 0 < done.sum() < 6 and np.isfinite(found["I_inj"].values[0][done]).all()
    assert f"of 6 points: {6 - done.sum()} without superconductivity" in message
    assert np.isnan(found["I_inj"].values[0][~done]).all()
    np.testing.assert_array_equal(found["outcome"].values[0], np.where(done, 1, 2))
    assert "2 no superconducting solution" in found["outcome"].meanings
    said, _, _ = message.split("case.toml: ")[1].strip().partition("; of ")
    failed = float(message.partition("V_inj = ")[2].partition(" V")[0])
    biases = found["V_inj"].values
    # Named is a bias of the step in which it happened.
    assert biases[done].max() < failed <= biases[~done].min() + 1e-4
    assert said in (tmp_path / "out" / "run.log").read_text()


@pytest.mark.slow
def test_every_row_of_a_map(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    original, tried = operating_point.solve_point, []

    def solve(problem: UsadelProblem, point: Point, guess: object = None) -> object:
        tried.append(point)
        if failing and point.V_inj > 0.0 and point.V_det == 0.0:
            raise ConvergenceError(f"V_inj = {point.V_inj} V: not converged")
        return original(problem, point, guess)  # type: ignore[arg-type]

    monkeypatch.setattr("fvqp.study.sweep.solve_point", solve)
    failing = True
    with pytest.raises(ConvergenceError, match="; of 8 points: 2 without .*, 1 not converged, 2 beyond") as e:
        fvqp.run(strongly_driven(), out=tmp_path)
    assert not isinstance(e.value, SuperconductivityDestroyed) and "V_inj = 1.25e-05" in str(e.value)
    first = open_result(tmp_path).dataset
    assert first["outcome"].values.tolist() == [[1, 3, 0, 0], [1, 1, 2, 2]]
    # Only what is missing is tried again.
    failing, tried[:] = False, []
    with pytest.raises(SuperconductivityDestroyed, match="; of 8 points: 4 without superconductivity; "):
        fvqp.run(strongly_driven(), out=tmp_path, resume=True)
    assert tried and {point.V_det for point in tried} == {0.0}
    found = open_result(tmp_path).dataset
    assert found["outcome"].values.tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert found["completed"].values.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0]]
    np.testing.assert_array_equal(np.isfinite(found["gap"].values[..., 0]), found["completed"].values == 1)
    np.testing.assert_array_equal(found["gap"].values[1], first["gap"].values[1])
    tried[:] = []
    with pytest.raises(SuperconductivityDestroyed, match="^case: of 8 points: 4 without superconductivity; "):
        fvqp.run(strongly_driven(), out=tmp_path, resume=True)
    assert not tried


def test_above_the_depairing_current(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = line(supercurrent={"current": ["1 mA"], "from": "left", "to": "right"})
    file = as_file(case, tmp_path / "case.toml")
    assert cli.main(["run", str(file), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "supercurrent.current: 0.001 A is more than the device" in message
    # Nothing was computed, and nothing is in the way of the next run.
    fvqp.run(line(CURRENTS), out=tmp_path / "out")


def test_failures_name_their_point() -> None:
    petsc = {"method": "gamg", "petsc": {"ksp_max_it": 1, "pc_type": "none"}}
    case = line(solver=petsc, sweep={"V_inj": ["0.3 mV"], "V_det": ["0.1 mV"]})
    case["sweep"]["temperature"] = ["50 mK"]
    del case["reservoirs"][0]["temperature"]
    with pytest.raises(ConvergenceError) as failure:
        fvqp.run(case)
    assert str(failure.value).startswith("case: temperature 0.05 K, V_inj = 0.0003 V, V_det = 0.0001 V: ")
    assert "energy" in str(failure.value)


@pytest.mark.slow
def test_a_step_that_fails_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fvqp.run(line(UNIFORM)).dataset
    original = operating_point.solve_point
    failed = []

    def solve(problem: UsadelProblem, point: Point, guess: object = None) -> object:
        from_ = 0.0 if guess is None else guess.point.V_inj  # type: ignore[attr-defined]
        if abs(point.V_inj - from_) > 1.5e-4:
            failed.append(point)
            raise ConvergenceError("step too large")
        return original(problem, point, guess)  # type: ignore[arg-type]

    monkeypatch.setattr("fvqp.study.sweep.solve_point", solve)
    found = fvqp.run(line(UNIFORM)).dataset
    assert len(failed) == 4
    # Another way to the same solution, to the tolerance of the gap.
    np.testing.assert_allclose(found["gap"], whole["gap"], rtol=1e-9)


def launch(case: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    """``fvqp run`` in a process of its own that waits a little after every point."""
    program = (
        "import sys, time\n"
        "from fvqp import cli\n"
        "from fvqp.case.usadel.recording import UsadelRecorder\n"
        "from fvqp.results import folder\n"
        "folder.WRITE_EVERY = 0.05\n"
        "original = UsadelRecorder.record\n"
        "def record(self, *arguments):\n"
        "    original(self, *arguments)\n"
        "    print(self.sweep.completed.sum(), flush=True)\n"
        "    time.sleep(0.1)\n"
        "UsadelRecorder.record = record\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    command = [sys.executable, "-c", program, "run", str(case), "--out", str(out), "--quiet", *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts processes")
@pytest.mark.slow
def test_ctrl_c_and_kill(tmp_path: Path) -> None:
    case = line(UNIFORM, sweep={"V_inj": {"from": "-0.4 mV", "to": "0.4 mV", "points": 21}})
    file, out = as_file(case, tmp_path / "case.toml"), tmp_path / "out"
    known = 0
    for how, code, options in ((signal.SIGINT, 130, ()), (signal.SIGKILL, -signal.SIGKILL, ("--resume",))):
        process = launch(file, out, *options)
        assert process.stdout is not None
        for said in process.stdout:
            if int(said) >= known + 5:
                break
        time.sleep(0.05)
        os.kill(process.pid, how)
        _, errors = process.communicate(timeout=HANGS)
        assert process.returncode == code and "Traceback" not in errors
        if code == 130:
            assert errors.count("\n") == 1 and "--resume goes on from there" in errors
        done = int(open_result(out).dataset["completed"].values.sum())
        assert known < done < 21
        known = done
    found = fvqp.run(file, out=out, resume=True).dataset
    assert_same(found, fvqp.run(file).dataset, 1e-14)
