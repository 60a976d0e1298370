"""What Python callbacks of PETSc's solvers raise comes out as it was raised, with any version of petsc4py."""

from __future__ import annotations

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
