"""Studies: keys that vary, runs that fail, are finished or go on, and their results together."""

import json
import os
import signal

import numpy as np
import pytest
from run_cases import as_file, line

import fvqp
from fvqp import cli
from fvqp.case import models
from fvqp.errors import CaseError, ConvergenceError
from fvqp.variation.keys import VariedCase, VariedKey
from fvqp.variation.runs import _failure

SMALL = line(energies={"number": 40}, sweep={"V_inj": ["0.1 mV", "0.3 mV"]}, output={"fields": []})
NX = {"mesh.shape.nx": [40, 80, 120]}


@pytest.fixture
def started(monkeypatch):
    """Cells and junction conductances of the runs that were started."""
    seen, run = [], models.run

    def counted(case, *rest):
        seen.append((case.mesh.shape.nx, case.junctions[0].conductance))
        return run(case, *rest)

    monkeypatch.setattr(models, "run", counted)
    return seen


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a.b=1,2.5,1e-3", (1, 2.5, 1e-3)),
        ("a.b=24 uS,30 uS", ("24 uS", "30 uS")),
        ("a=[1, 2],[3]", ([1, 2], [3])),
        ('a="x,y",z', ("x,y", "z")),
        ("a={from = 1, to = 2}", ({"from": 1, "to": 2},)),
    ],
)
def test_values_of_the_command_line(text, values):
    assert VariedKey.of(text).values == values


def test_axes():
    def axis(*values):
        return VariedKey("a", values).coordinate()

    assert axis(1, 2)[1] == "1" and axis("0.1 um", "0.2 um")[0].tolist() == [0.1, 0.2]
    numbers, unit = axis("1 um", "500 nm")
    assert unit == "um" and numbers.tolist() == pytest.approx([1.0, 0.5])
    assert axis("0.1 Delta0", "0.2 Delta0")[1] == "Delta0"
    assert axis("1 um", "1 K")[0].tolist() == ["1 um", "1 K"]
    assert axis("a.msh", "b.msh")[1] == "" and axis(True, False)[1] == ""


def test_names_of_folders():
    case = VariedCase(SMALL)
    one = case.variant({"mesh.shape.nx": 20, "junctions.A.conductance": "24 uS"})
    assert one.name == "junctions.A.conductance=24_uS,mesh.shape.nx=20"
    assert one.label == "mesh.shape.nx = 20, junctions.A.conductance = 24 uS"
    names = {case.variant({"title": text}).name for text in ("a/b", "a:b", "x" * 300, "x" * 301)}
    assert len(names) == 4 and max(map(len, names)) < 140


def test_study(tmp_path, started, capsys):
    keys = NX | {"junctions.0.conductance": ["10 uS", "20 uS"]}
    out = tmp_path / "out"
    result = fvqp.vary(SMALL, keys, out)
    data = result.dataset
    assert dict(data["g_nl"].sizes) == {"mesh.shape.nx": 3, "junctions.0.conductance": 2, "V_inj": 2}
    assert data["junctions.0.conductance"].attrs["units"] == "uS" and data["completed"].all()
    alone = fvqp.run(line(SMALL, mesh={"shape": {**SMALL["mesh"]["shape"], "nx": 80}})).dataset["g_nl"]
    chosen = data["g_nl"].sel({"mesh.shape.nx": 80}).isel({"junctions.0.conductance": 1})
    # A tunnel junction injects in proportion to its conductance, as far as it does not disturb the wire.
    ratio = data["g_nl"].values[:, 1] / data["g_nl"].values[:, 0]
    np.testing.assert_allclose(ratio, 2.0, rtol=0.01)
    assert chosen.values == pytest.approx(alone.squeeze().values * 20.0 / 24.6, rel=0.01)
    table = result.convergence("g_nl")
    assert {one.key for one in table.rows} == set(keys)
    assert "mesh.shape.nx, with junctions.0.conductance at the last value" in str(table)
    assert (out / "convergence.csv").read_text().startswith("key,at,quantity")
    assert "cell has from 20 to 80 values" in json.loads(data.attrs["left_out"]).get(
        "charge_imbalance", ""
    ) or ("charge_imbalance" not in json.loads(data.attrs["left_out"]))
    # What is finished is not computed again; values can be added.
    count = len(started)
    again = fvqp.vary(SMALL, {"mesh.shape.nx": [40, 80, 120, 160], "junctions.0.conductance": ["20 uS"]}, out)
    assert started[count:] == [(160, pytest.approx(20e-6))]
    np.testing.assert_array_equal(again.dataset["g_nl"].values[:3, 0], data["g_nl"].values[:, 1])
    assert np.all(again.dataset["seconds"] > 0.0)
    assert fvqp.open_result(out).dataset["g_nl"].equals(again.dataset["g_nl"])
    capsys.readouterr()
    assert cli.main(["status", str(out)]) == 0
    assert capsys.readouterr().out.count(": finished\n") == 7


def test_failed_and_interrupted_runs(tmp_path, monkeypatch):
    run = models.run

    def failing(case, *rest):
        if case.mesh.shape.nx == 80:
            raise ConvergenceError("no solution")
        return run(case, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(models, "run", failing)
        data = fvqp.vary(SMALL, NX, tmp_path).dataset
    assert data["completed"].values.tolist() == [1, 0, 1]
    assert data["failure"].values.tolist() == ["", "no solution", ""]
    assert np.isnan(data["g_nl"].values[1]).all() and np.isfinite(data["g_nl"].values[[0, 2]]).all()
    # One that was stopped goes on.
    folder = tmp_path / "runs" / "mesh.shape.nx=120"
    status = json.loads((folder / "status.json").read_text())
    (folder / "status.json").write_text(json.dumps(status | {"state": "stopped"}))
    resumed = []
    with monkeypatch.context() as patch:
        patch.setattr(models, "run", lambda case, *rest: (resumed.append(rest[1]), run(case, *rest)))
        data = fvqp.vary(SMALL, NX, tmp_path).dataset
    assert resumed == [False, True] and data["completed"].all()


def test_mistakes_are_said_before_anything_runs(tmp_path, said, started):
    def told(*arguments):
        return said(SMALL, {}, "study", "--out", "out", *arguments)

    for arguments, message in (
        ((), "no key varies: name one with --vary KEY=VALUE,VALUE,... (keys=)"),
        (("--vary", "mesh.shape.nx"), "--vary mesh.shape.nx: expected KEY=VALUE,VALUE,..., such as"),
        (("--vary", "mesh.shape.nx="), "--vary mesh.shape.nx: no values"),
        (("--vary", "mesh.shape.nx=20,20"), "--vary mesh.shape.nx: 20 is given more than once"),
        (("--vary", "mesh.shape.nx=20", "--vary", "mesh.shape.nx=30"), "--vary mesh.shape.nx: is given more"),
        (("--vary", "mesh.shape.n=20"), "case.toml: mesh.shape.n: unknown key; did you mean"),
        (("--vary", "mesh.shape.nx=20,0"), "case.toml: mesh.shape.nx: "),
        (
            ("--vary", "junctions.C.conductance=20"),
            "case.toml: --vary junctions.C.conductance=20: no entry",
        ),
        (
            ("--vary", "junctions.0.conductance=20 um"),
            "case.toml: junctions[0].conductance: expected a c",
        ),
        (("--vary", "mesh.shape.nx=20,30", "--jobs", "0"), "--jobs 0: expected at least 1"),
    ):
        code, text = told(*arguments)
        assert code == 2 and text.startswith(message), text
    assert not started
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("")
    code, text = told("--vary", "mesh.shape.nx=20,40")
    assert code == 2 and "out: is not empty and holds no runs; choose another folder" in text


def test_folders_lie_beside_the_case(tmp_path, monkeypatch, capsys):
    seen = []

    def stopped(*given, **rest):
        seen.append(str(given[-1]))
        raise CaseError("stopped")

    monkeypatch.setattr(fvqp, "vary", stopped, raising=False)
    monkeypatch.setattr(fvqp, "refine", stopped, raising=False)
    assert cli.main(["study", "cases/my.wire.toml", "--vary", "a=1"]) == 2
    assert cli.main(["refine", "wire.toml", "--for", "g_nl", "--to", "1%"]) == 2
    assert cli.main(["refine", "wire.toml", "--for", "g_nl", "--to", "1%", "--out", "there"]) == 2
    assert seen == ["cases/my.wire_study", "wire_refined", "there"]


def test_other_cases_are_not_taken_over(tmp_path, monkeypatch):
    """Keys of solvers count too: a study of them must not find the results of others."""
    fvqp.vary(SMALL, {"mesh.shape.nx": [40]}, tmp_path)
    with pytest.raises(fvqp.errors.CheckpointError, match="holds results of another case, see its case.toml"):
        fvqp.vary(
            SMALL, {"mesh.shape.nx": [40]}, tmp_path / ".", overrides=['solver.petsc.ksp_type="preonly"']
        )


def test_messages_of_processes():
    assert _failure(0, "warning: x\n") == ""
    assert _failure(2, "warning: x\nfvqp: error: case.toml: 2 mistakes\n  a: b\n  c: d\n") == (
        "case.toml: 2 mistakes a: b c: d"
    )
    assert _failure(-signal.SIGKILL, "") == "killed by signal 9"
    assert _failure(1, "Traceback\nValueError: y\n") == "exit code 1: ValueError: y"


@pytest.mark.slow
def test_processes_find_the_same(tmp_path, capsys):
    """Runs in processes of their own; one of them fails."""
    bad = {"mesh.shape.nx": [40, 80], "energies.number": [60, 5]}
    case = as_file(SMALL, tmp_path / "case.toml")
    arguments = ["study", str(case), "--vary", "mesh.shape.nx=40,80", "--vary", "energies.number=60,5"]
    assert cli.main([*arguments, "--jobs", "2", "--out", str(tmp_path / "two"), "--for", "g_nl"]) == 0
    assert "failed" in capsys.readouterr().out
    here = fvqp.vary(SMALL, bad, tmp_path / "one").dataset
    there = fvqp.open_result(tmp_path / "two").dataset
    np.testing.assert_array_equal(here["g_nl"].values, there["g_nl"].values)
    assert "energies.number" in str(there["failure"].values[0, 1]) and os.environ.get("OMP_NUM_THREADS")
