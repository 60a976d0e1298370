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
