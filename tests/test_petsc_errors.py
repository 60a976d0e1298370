"""What Python callbacks of PETSc's solvers raise comes out as it was raised, with any version of petsc4py."""

from __future__ import annotations

import subprocess
import sys

import pytest

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc, own_errors


@pytest.mark.parametrize("error", [ConvergenceError("left the range"), KeyboardInterrupt()])
def test_errors_of_callbacks(error: BaseException) -> None:
    def function(snes: PETSc.SNES, x: PETSc.Vec, f: PETSc.Vec) -> None:
        raise error

    x = PETSc.Vec().createSeq(2)
    snes = PETSc.SNES().create(PETSc.COMM_SELF)
    snes.setType("anderson")
    snes.setFunction(function, x.duplicate())
    with pytest.raises(type(error)) as found, own_errors():
        snes.solve(None, x)
    assert found.value is error


def test_errors_of_petsc() -> None:
    with pytest.raises(PETSc.Error), own_errors():
        PETSc.PC().create(PETSc.COMM_SELF).setType("no such type")


END = """
from types import SimpleNamespace
from fvqp.petsc import PETSc, own_errors

def main():
    def function(snes, x, f):
        raise RuntimeError("in a callback")

    x = PETSc.Vec().createSeq(2)
    snes = PETSc.SNES().create(PETSc.COMM_SELF)
    snes.setFunction(function, x.duplicate())
    snes.getKSP().getPC().setType("python")
    snes.getKSP().getPC().setPythonContext(SimpleNamespace(reset=lambda pc: None))
    try:
        with own_errors():
            snes.solve(None, x)
    finally:
        snes.destroy()

main()
"""


def test_a_program_that_ends_by_an_error_of_a_callback() -> None:
    """Says the error and ends with 1; PETSc's solver is gone before PETSc ends."""
    done = subprocess.run([sys.executable, "-c", END], capture_output=True, text=True, check=False)
    assert done.stderr.rstrip().endswith("RuntimeError: in a callback")
    assert done.returncode == 1


AFTER = """
import fvqp
from fvqp.solvers.elimination import ShiftedSolver

def fails(self, *arguments):
    raise fvqp.errors.ConvergenceError("no solution")

ShiftedSolver.solve = fails
try:
    fvqp.run({
        "model": "boltzmann",
        "material": {"name": "Al"},
        "energies": {"maximum": "4 Delta0", "width": "0.1 Delta0"},
        "sweep": {"temperature": "0.3 K"},
        "initial": {"pulses": [{"of": "phonons", "centre": "3 Delta0", "width": "0.3 Delta0", "peak": 1e-3}]},
        "evolution": {"start": "1 ns", "end": "2 ns"},
    })
except fvqp.errors.ConvergenceError as error:
    print(error)
"""


def test_a_program_that_goes_on_after_a_failed_run(tmp_path) -> None:
    """And ends as if nothing had been left of it."""
    done = subprocess.run(
        [sys.executable, "-c", AFTER], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert "no solution" in done.stdout, done.stderr
    assert done.returncode == 0
