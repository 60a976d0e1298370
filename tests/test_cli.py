"""The command line: what it passes on, and how it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from launching import HANGS

import fvqp
from fvqp import cli
from fvqp.errors import CheckpointError, ConvergenceError, MeshError
from fvqp.results import SweepDataset

MESHES = Path(__file__).parents[1] / "meshes" / "ryan_wire"


@pytest.fixture
def calls(monkeypatch):
    """What ``fvqp.run`` and ``fvqp.check`` are called with."""
    seen = []
    monkeypatch.setattr(fvqp, "run", lambda case, **rest: seen.append((case, rest)), raising=False)
    monkeypatch.setattr(fvqp, "check", lambda case, **rest: f"checked {case} {rest}", raising=False)
    return seen


def raising(error):
    def run(*args, **kwargs):
        raise error

    return run


def test_run_passes_everything_on(calls):
    arguments = ["run", "a.toml", "--out", "d", "--set", "x.y=1", "--set", "z=2", "--resume", "--groups", "3"]
    petsc = ["--", "-ksp_type", "gmres", "-fvqp_ksp_rtol", "1e-9", "-shift", "-1.5", "-snes_monitor"]
    assert cli.main(arguments + petsc) == 0
    case, rest = calls[0]
    assert case == "a.toml" and rest["out"] == "d" and rest["resume"] is True
    assert rest["overrides"] == [
        "x.y=1",
        "z=2",
        'solver.petsc.ksp_type="gmres"',
        'solver.petsc.ksp_rtol="1e-9"',
        'solver.petsc.shift="-1.5"',
        "solver.petsc.snes_monitor=true",
        "solver.groups=3",
    ]


@pytest.mark.parametrize(
    ("case", "folder"),
    [
        ("a.toml", "a"),
        ("cases/my.wire.toml", "cases/my.wire"),
        ("plain", "plain_results"),
        (".toml", ".toml_results"),
    ],
)
def test_results_lie_beside_the_case(calls, case, folder):
    assert cli.main(["run", case]) == 0
    assert calls[0][1]["out"] == folder


def test_check_prints(calls, capsys):
    assert cli.main(["check", "a.toml", "--set", "b=1"]) == 0
    assert capsys.readouterr().out == "checked a.toml {'overrides': ['b=1']}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [(MeshError("no such\n  boundary"), 2), (ConvergenceError("at 3"), 2), (CheckpointError("other"), 2)],
)
def test_errors_are_one_line_and_an_exit_code(monkeypatch, capsys, error, code):
    monkeypatch.setattr(fvqp, "run", raising(error), raising=False)
    assert cli.main(["run", "a.toml", "--out", "d"]) == code
    captured = capsys.readouterr()
    assert captured.err == f"fvqp: error: {' '.join(str(error).split())}\n" and captured.out == ""


def test_mistakes_of_a_case_are_a_list(tmp_path, capsys):
    case = tmp_path / "case.toml"
    case.write_text('model = "eliashberg"\ntitel = "a"\n[sweep]\ntemperature = ["1 m"]\n')
    assert cli.main(["check", str(case)]) == 2
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == f"fvqp: error: case.toml: {len(lines)} mistakes" and len(lines) >= 2
    assert lines[0].startswith('  titel: unknown key; did you mean "title"? (allowed: ')
    assert (
        '  sweep.temperature[0]: expected a temperature such as "61 mK", got "1 m", which is a length'
        in lines
    )


def test_interrupt(monkeypatch, capsys):
    monkeypatch.setattr(fvqp, "run", raising(KeyboardInterrupt()), raising=False)
    assert cli.main(["run", "a.toml", "--out", "d"]) == 130
    assert "--resume" in capsys.readouterr().err


def test_termination_signal(monkeypatch, capsys):
    monkeypatch.setattr(fvqp, "run", lambda *a, **k: os.kill(os.getpid(), signal.SIGTERM), raising=False)
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert cli.main(["run", "a.toml", "--out", "d"]) == 143
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "terminated" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["run"],
        ["run", "a.toml", "--out", "d", "--groups", "x"],
        ["run", "a.toml", "--out", "d", "--unknown"],
        ["run", "a.toml", "--out", "d", "--", "ksp_type"],
        ["check", "a.toml", "--", "-ksp_type", "cg"],
        ["mesh", "info", "a.msh", "--unit", "ell"],
        ["mesh", "info", "no-such.msh"],
        ["plot", "no-such-folder"],
        ["symmetry", "no-such.csv", "-o", "out.csv"],
    ],
)
def test_wrong_use(calls, capsys, arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("fvqp: error: ") and captured.err.count("\n") == 1
    assert not calls


def test_plot_redraws(tmp_path, capsys):
    data = SweepDataset({"V_inj": np.linspace(-1e-3, 1e-3, 5)})
    for j in range(5):
        data.record((j,), g_nl=1e-9 * j**2)
    data.write(tmp_path / "results.nc")
    assert cli.main(["plot", str(tmp_path)]) == 2
    assert "no figures" in capsys.readouterr().err
    assert cli.main(["plot", str(tmp_path), "--kind", "g_ss", "--kind", "g_nl"]) == 0
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "figures" / f"{k}.png") for k in ("g_ss", "g_nl")
    ]
    assert (tmp_path / "figures" / "g_ss.png").exists()


def test_symmetry_of_a_table(tmp_path, capsys):
    (tmp_path / "data.csv").write_text("V_inj (mV),g_nl (nS)\n-1,1\n0,0\n1,3\n")
    assert cli.main(["symmetry", str(tmp_path / "data.csv"), "-o", str(tmp_path / "out.csv")]) == 0
    table = np.genfromtxt(tmp_path / "out.csv", delimiter=",", names=True)
    np.testing.assert_allclose(table["g_ss_S"], [2e-9, 0, 2e-9])
    np.testing.assert_allclose(table["g_sa_S"], [-1e-9, 0, 1e-9], atol=1e-24)


def test_the_module_and_its_help():
    done = subprocess.run(
        [sys.executable, "-m", "fvqp.cli", "--help"], capture_output=True, text=True, timeout=HANGS
    )
    assert done.returncode == 0
    for command in ("run", "check", "plot", "symmetry", "mesh", "doctor"):
        assert command in done.stdout


def test_help_loads_no_libraries():
    """Help and version appear at once, without what a run imports."""
    code = (
        "import sys\nfrom fvqp.cli import main\n"
        "try:\n    main(sys.argv[1:])\nexcept SystemExit:\n    pass\n"
        "print([n for n in ('numpy', 'scipy', 'mpi4py', 'petsc4py', 'pydantic') if n in sys.modules])"
    )
    for option in ("--help", "--version"):
        done = subprocess.run(
            [sys.executable, "-c", code, option], capture_output=True, text=True, timeout=HANGS
        )
        assert done.stdout.endswith("\n[]\n"), done.stdout + done.stderr


HANDLED = """
import fvqp.case.usadel.study
from petsc4py import PETSc
assert PETSc.Sys.isInitialized()
masks = dict(line.split() for line in open("/proc/self/status") if line.startswith("Sig"))
print(int(masks["SigCgt:"], 16) >> 12 & 0b111, int(masks["SigIgn:"], 16) >> 12 & 0b111)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="asks Linux")
@pytest.mark.slow
def test_signals_are_python_s():
    """With PETSc there, of SIGPIPE, SIGALRM, SIGTERM none is caught, and the first is ignored."""
    sources = Path(fvqp.__file__).parent.rglob("*.py")
    direct = {path.name for path in sources if "\nimport petsc4py" in path.read_text()}
    assert direct == {"petsc.py"}
    done = subprocess.run([sys.executable, "-c", HANDLED], capture_output=True, text=True, timeout=HANGS)
    assert done.stdout.split() == ["0", "1"], done.stderr


@pytest.mark.slow
def test_a_reader_that_has_gone():
    command = [sys.executable, "-m", "fvqp.cli", "mesh", "info", str(MESHES / "line.msh")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    assert process.stderr.read() == "" and process.wait(timeout=HANGS) == 1
