"""State of a run: what it writes while it goes on, and what others read."""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from run_cases import UNIFORM, line

import fvqp
from fvqp import cli
from fvqp.errors import FvqpError
from fvqp.results import SweepDataset, SweepProgress
from fvqp.results.status import FILE, RunState, StatusFile, run_status


@pytest.fixture
def folder(tmp_path):
    """A results folder with two of three points."""
    (tmp_path / "case.toml").write_text("")
    data = SweepDataset({"time": [0.0, 1.0, 2.0]})
    for number in range(2):
        data.record((number,), x_qp=1e-6 * (number + 1), gap=1.8e-4)
    data.write(tmp_path / "results.nc")
    return tmp_path


def written(folder, **facts):
    (folder / FILE).write_text(json.dumps({"host": socket.gethostname(), "updated": time.time(), **facts}))
    (found,) = run_status(folder)
    return found


def test_a_run_tells_while_it_goes_on(folder, film, monkeypatch, capsys):
    monkeypatch.setattr("fvqp.results.status.EVERY", 0.0)
    with StatusFile(folder, 2) as status, SweepProgress(3, film.comm, done=1, status=status) as progress:
        progress.within(
            "the way to t = 1 s", np.float64(0.25), "steps of 0.1 s, limited by phonons", "0:01:00"
        )
        progress.advance("t = 1 s, x_qp = 2e-06")
        progress.within("the way to t = 2 s", 0.5, "steps of 0.2 s, limited by the film", "0:00:07")
        assert cli.main(["status", str(folder)]) == RunState.RUNNING.value
    text = capsys.readouterr().out
    for expected in (
        f"{folder}: running",
        "points   2 of 3; last t = 1 s, x_qp = 2e-06",
        "now      50 % of the way to t = 2 s; steps of 0.2 s, limited by the film",
        "left     0:00:07",
        "steps    2, ",
        "values   x_qp = 2e-06, gap = 0.00018 eV",
        f"process {os.getpid()} on {socket.gethostname()}, 2 ranks; last sign",
    ):
        assert expected in text
    assert cli.main(["status", str(folder)]) == RunState.FINISHED.value


def test_times_of_resumed_runs_add_up(folder):
    first = written(folder, state="stopped", seconds=100.0)
    assert first.seconds == 100.0
    with StatusFile(folder, 1):
        pass
    assert 100.0 < run_status(folder)[0].seconds < 200.0


def test_stopped_runs(folder, capsys):
    with pytest.raises(FvqpError), StatusFile(folder, 1):
        raise FvqpError("steps collapse")
    assert cli.main(["status", str(folder)]) == RunState.STOPPED.value
    assert f"{folder}: stopped: steps collapse\n" in capsys.readouterr().out
    with pytest.raises(KeyboardInterrupt), StatusFile(folder, 1):
        raise KeyboardInterrupt
    assert run_status(folder)[0].reason == "interrupted"


def test_dead_processes_do_not_run(folder):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    found = written(folder, state="running", process=ended.pid)
    assert found.state is RunState.STOPPED
    assert found.reason == f"process {ended.pid} has ended without a word"
    # Its number has been given to another process.
    assert written(folder, state="running", process=os.getpid(), process_start="1").state is RunState.STOPPED


def test_other_machines_give_signs_of_life(folder):
    there = {"state": "running", "process": 1, "host": "elsewhere"}
    assert written(folder, **there).state is RunState.RUNNING
    found = written(folder, **there, updated=time.time() - 1000.0)
    assert found.state is RunState.STOPPED
    assert found.reason == "no sign of life from process 1 on elsewhere for 1000 s"


def test_no_results_folder(tmp_path, capsys):
    assert cli.main(["status", str(tmp_path)]) == 2
    assert f"{tmp_path}: holds no case.toml; a results folder is what" in capsys.readouterr().err


def test_a_run_leaves_its_status(tmp_path, caplog):
    case = line(UNIFORM, energies={"number": 60}, sweep={"V_inj": ["0 mV", "0.1 mV"]})
    with caplog.at_level("DEBUG", logger="fvqp"):
        fvqp.run(case, out=tmp_path / "out")
    (found,) = run_status(tmp_path / "out")
    assert found.state is RunState.FINISHED and found.points == (2, 2) and found.seconds > 0.0
    # Of every point the progress tells the conductance.
    assert "2 of 2: V_inj = 0.1 mV" in caplog.text and ", g_nl = " in caplog.text
    assert any(text.startswith("g_nl = ") for text in found.values)
