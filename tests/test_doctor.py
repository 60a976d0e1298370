"""The report of ``fvqp doctor``: it notices what is ill, names what mends it, and never falls over."""

from __future__ import annotations

import importlib
import importlib.util
import subprocess
import sys
from types import SimpleNamespace

import numpy
import pytest
from launching import HANGS

from fvqp import doctor
from fvqp.doctor import Check


@pytest.fixture(scope="module")
def checks() -> dict[str, Check]:
    """The report without the processes that it starts: those find limits, and nothing that is missing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(doctor, "_try", lambda *_: "")
        return {check.name: check for check in doctor.diagnose()}


def test_the_environment_of_the_tests_is_complete(checks: dict[str, Check]) -> None:
    assert [check for check in checks.values() if check.status == "missing"] == []


def test_versions_are_those_of_the_loaded_libraries(checks: dict[str, Check]) -> None:
    from petsc4py import PETSc

    assert checks["numpy"].detail == numpy.__version__
    assert checks["PETSc"].detail.startswith(".".join(map(str, PETSc.Sys.getVersion())))
    assert f"ranks: {PETSc.COMM_WORLD.size}" in checks["MPI"].detail


@pytest.mark.parametrize("name", ["mumps", "hypre", "superlu_dist"])
def test_petsc_packages_are_those_that_petsc_can_use(checks: dict[str, Check], name: str) -> None:
    from petsc4py import PETSc

    matrix = PETSc.Mat().createAIJ((2, 2), csr=([0, 1, 2], [0, 1], [1.0, 1.0]))
    pc = PETSc.PC().create()
    pc.setOperators(matrix)
    usable = True
    try:
        if name == "hypre":
            pc.setType("hypre")
        else:
            pc.setType("lu")
            pc.setFactorSolverType(name)
        pc.setUp()
    except PETSc.Error:
        usable = False
    assert (checks[f"PETSc: {name}"].status == "ok") == usable


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = ["numpy>=1.26", "no-such-package>=2", "scipy>=1000", "furo; extra == 'docs'"]
    monkeypatch.setattr(doctor.metadata, "requires", lambda name: wanted)
    found = {check.name: check for check in doctor._dependencies()}
    assert found["numpy"].status == "ok"
    assert found["no-such-package"].status == "missing"
    assert found["no-such-package"].remedy.endswith("-m pip install 'no-such-package>=2'")
    assert found["scipy"].status == "missing" and ">=1000" in found["scipy"].detail
    assert "furo" not in found


def test_fvqp_that_is_not_installed_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str]:
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", requires)
    (check,) = doctor._dependencies()
    assert check.status == "missing" and "pip install" in check.remedy


def test_a_library_that_does_not_load_is_a_line_and_not_a_traceback() -> None:
    def ill() -> Check:
        raise ValueError("numpy.dtype size changed")

    detail = "does not load: ValueError: numpy.dtype size changed"
    assert doctor._attempt("PETSc", ill, "missing", "mend") == Check("PETSc", "missing", detail, "mend")


def test_a_process_that_crashes_is_survived() -> None:
    crash = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert doctor._try_python(crash) == "ended by signal 11"
    assert doctor._try_python("import no_such_module").startswith("ModuleNotFoundError: No module named")
    assert doctor._try_python("pass") == ""
    assert doctor._try([sys.executable, "-c", "import time; time.sleep(60)"], {}, 0.2).startswith("no answer")


def test_failed_rendering_limits_but_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_try_python", lambda code: "ended by signal 11")
    check = doctor._rendering()
    assert check.status == "limited" and "libegl1" in check.remedy


def test_a_missing_mpiexec_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    monkeypatch.setattr(doctor.sys, "executable", "/nowhere/python")
    assert doctor._launcher().status == "limited"


def test_what_is_missing_comes_with_a_command(monkeypatch: pytest.MonkeyPatch) -> None:
    bare = SimpleNamespace(Sys=SimpleNamespace(hasExternalPackage=lambda name: False))
    petsc = importlib.import_module("fvqp.petsc")
    monkeypatch.setattr(petsc, "PETSc", bare)
    monkeypatch.setattr(doctor, "_try", lambda *_: "no answer")
    missing = [*doctor._petsc_packages(), doctor._launcher()]
    assert all(check.status == "limited" and check.remedy for check in missing)
    monkeypatch.setattr(doctor.shutil, "which", lambda name: None)
    assert "--download-mumps" in doctor._package_remedy("mumps")


@pytest.mark.parametrize(("status", "code"), [("ok", 0), ("limited", 0), ("missing", 1)])
def test_exit_code_and_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: doctor.Status, code: int
) -> None:
    checks = [Check("Python", "ok", "3.11"), Check("PETSc", status, "some detail", "make it so")]
    monkeypatch.setattr(doctor, "diagnose", lambda: checks)
    assert doctor.main() == code
    text = capsys.readouterr().out
    assert "some detail" in text and "PETSc: make it so" in text
    assert ("fvqp needs: PETSc" in text) == (code == 1)


@pytest.mark.slow
def test_module_runs_by_itself() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fvqp.doctor"], capture_output=True, text=True, timeout=HANGS, check=False
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "fvqp has all that it needs."
