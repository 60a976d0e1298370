"""PETSc's GMRES for operators that are close to a multiple of 1 but for a few directions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from fvqp.petsc import PETSc, own_errors
from fvqp.typing import Floats


class GmresSolution(NamedTuple):
    """Approximate solution.

    Attributes:
        x: this rank's part.
        residual: over that of zero.
        least: smallest singular value of the operator on the directions that were tried; 1/``least`` is how
            many times longer than its residual an error can be. NaN unless asked for.
    """

    x: Floats
    residual: float
    least: float


def gmres(
    action: Callable[[Floats], Floats],
    right: Floats,
    *,
    comm: MPI.Comm,
    prefix: str,
    rtol: float,
    most: int,
    weights: Floats | float = 1.0,
    precondition: Callable[[Floats], Floats] | None = None,
    singular_values: bool = False,
) -> GmresSolution:
    """Return an approximate solution of ``action(x) = right``, from zero and without restarts. Collective.

    Args:
        action: linear map of this rank's parts.
        right: this rank's part, of any shape; not zero.
        comm: ranks that share the vectors.
        prefix: of PETSc's options, such as ``fvqp_slope_`` for ``-fvqp_slope_ksp_monitor``.
        rtol: residual over that of zero at which to stop.
        most: directions at which to stop.
        weights: of the squares of unknowns in the scalar product, positive. Unknowns that several ranks have
            share a weight among these.
        precondition: approximate inverse of the action, from the left: residuals are then those of
            ``precondition(action(x)) = precondition(right)``.
        singular_values: whether ``least`` is wanted.
    """
    root = np.sqrt(np.broadcast_to(weights, right.shape))

    def mult(_matrix: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        y.array = (root * action(x.array_r.reshape(right.shape) / root)).ravel()

    def apply(_pc: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        assert precondition is not None
        y.array = (root * precondition(x.array_r.reshape(right.shape) / root)).ravel()

    b = PETSc.Vec().createMPI((right.size, PETSc.DECIDE), comm=comm)
    b.array = (root * right).ravel()
    x = b.duplicate()
    sizes = (b.getLocalSize(), b.getSize())
    matrix = PETSc.Mat().createPython((sizes, sizes), SimpleNamespace(mult=mult), comm=comm)
    matrix.setUp()
    ksp = PETSc.KSP().create(comm)
    ksp.setOptionsPrefix(prefix)
    ksp.setType("gmres")
    ksp.getPC().setType("none")
    try:
        ksp.setOperators(matrix)
        if precondition is not None:
            ksp.getPC().setType("python")
            ksp.getPC().setPythonContext(SimpleNamespace(apply=apply))
        ksp.setGMRESRestart(most)
        ksp.setTolerances(rtol=rtol, atol=0.0, max_it=most)
        ksp.setComputeSingularValues(singular_values)
        ksp.setConvergenceHistory(most + 1)
        ksp.setFromOptions()
        with own_errors():
            ksp.solve(b, x)
        norms = ksp.getConvergenceHistory()
        least = float(ksp.computeExtremeSingularValues()[1]) if singular_values else np.nan
        found = x.array_r.reshape(right.shape) / root
    finally:
        for item in (ksp, matrix, x, b):
            item.destroy()
    return GmresSolution(found, float(norms[-1] / norms[0]), least)
