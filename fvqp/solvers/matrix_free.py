"""PETSc's Krylov methods and Newton's method for operators that are functions."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from mpi4py import MPI

from fvqp.petsc import PETSc, own_errors
from fvqp.solvers.elimination import defaults
from fvqp.typing import Floats

Action = Callable[[Floats], Floats]
"""Linear map of this rank's parts of vectors; it must not change what it is given."""
Test = Callable[[PETSc.SNES, int, tuple[float, float, float]], int]
"""Called after every step with its number and PETSc's norms; returns a `PETSc.SNES.ConvergedReason`."""

REASONS = {
    value: name
    for name, value in vars(PETSc.SNES.ConvergedReason).items()
    if isinstance(value, int) and value < 0
}
"""PETSc's words for why a SNES found no solution."""


class LinearSolution(NamedTuple):
    """Approximate solution of linear equations.

    Attributes:
        x: this rank's part.
        residual: over that of zero.
        iterations: made.
        reason: why PETSc stopped, negative where the accuracy is not reached.
    """

    x: Floats
    residual: float
    iterations: int
    reason: int


def gmres(
    action: Action,
    right: Floats,
    *,
    comm: MPI.Comm,
    prefix: str,
    rtol: float,
    most: int,
    restart: int | None = None,
    weights: Floats | float = 1.0,
    precondition: Action | None = None,
) -> LinearSolution:
    """Return an approximate solution of ``action(x) = right``, from zero. Collective.

    Args:
        action: linear map of this rank's parts.
        right: this rank's part, of any shape.
        comm: ranks that share the vectors.
        prefix: of PETSc's options, such as ``fvqp_slope_`` for ``-fvqp_slope_ksp_monitor``.
        rtol: residual over that of zero at which to stop.
        most: iterations at which to stop.
        restart: directions that are kept; default: all.
        weights: of the squares of unknowns in the scalar product, positive. Unknowns that several ranks have
            share a weight among these.
        precondition: approximate inverse of the action, from the right, by flexible GMRES: it need not be
            quite linear, and what is made small is the residual itself.
    """
    root = np.sqrt(np.broadcast_to(weights, right.shape))

    def in_metric(map: Action) -> Callable[[object, PETSc.Vec, PETSc.Vec], None]:
        def apply(_owner: object, x: PETSc.Vec, y: PETSc.Vec) -> None:
            y.array = (root * map(x.array_r.reshape(right.shape) / root)).ravel()

        return apply

    b = PETSc.Vec().createMPI((right.size, PETSc.DECIDE), comm=comm)
    b.array = (root * right).ravel()
    x = b.duplicate()
    matrix = _shell(b, comm, SimpleNamespace(mult=in_metric(action)))
    ksp = PETSc.KSP().create(comm)
    try:
        ksp.setOptionsPrefix(prefix)
        ksp.setOperators(matrix)
        if precondition is None:
            use_gmres(ksp, restart or most)
        else:
            use_fgmres(ksp, restart or most, SimpleNamespace(apply=in_metric(precondition)))
        ksp.setTolerances(rtol=rtol, atol=0.0, max_it=most)
        ksp.setConvergenceHistory(most + 1)
        ksp.setFromOptions()
        with own_errors():
            ksp.solve(b, x)
        norms = ksp.getConvergenceHistory()
        found = x.array_r.reshape(right.shape) / root
        residual = float(norms[-1] / norms[0]) if norms[0] > 0.0 else 0.0
        return LinearSolution(found, residual, ksp.getIterationNumber(), ksp.getConvergedReason())
    finally:
        for item in (ksp, matrix, x, b):
            item.destroy()


def use_gmres(ksp: PETSc.KSP, restart: int) -> None:
    """GMRES without a preconditioner."""
    ksp.setType("gmres")
    ksp.setGMRESRestart(restart)
    ksp.getPC().setType("none")


def use_fgmres(ksp: PETSc.KSP, restart: int, context: object) -> None:
    """Flexible GMRES with a preconditioner, from the right, that is the ``apply`` of a Python object."""
    ksp.setType("fgmres")
    ksp.setPCSide(PETSc.PC.Side.RIGHT)
    ksp.setGMRESRestart(restart)
    ksp.getPC().setType("python")
    ksp.getPC().setPythonContext(context)


class NewtonResult(NamedTuple):
    """End of Newton's method.

    Attributes:
        x: this rank's part.
        steps: made.
        reason: why PETSc stopped, negative where no solution is found.
    """

    x: Floats
    steps: int
    reason: int


def newtonls(
    residual: Callable[[Floats], Floats],
    start: Floats,
    *,
    comm: MPI.Comm,
    prefix: str,
    test: Test,
    max_steps: int,
    action: Action | None = None,
    linearize: Callable[[PETSc.SNES, Floats], object] = lambda snes, x: None,
    configure: Callable[[PETSc.SNES], object] = lambda snes: None,
    search: str = "basic",
) -> NewtonResult:
    """Run PETSc's Newton method ``newtonls`` with a test of ours for its end. Collective.

    Args:
        residual: F(x) of this rank's part of x, which is valid during the call only.
        start: first guess (this rank's part).
        comm: ranks that share x.
        prefix: of PETSc's options.
        test: after every step, before the first one as step 0.
        max_steps: at which PETSc stops.
        action: the Jacobian times a step; None where the preconditioner is its inverse.
        linearize: makes ``action`` that of x.
        configure: chooses linear solver and preconditioner, and what else differs.
        search: line search, unless an option says otherwise; ``basic`` takes full steps.
    """

    def function(_snes: PETSc.SNES, x: PETSc.Vec, f: PETSc.Vec) -> None:
        f.array = residual(x.array_r)

    def mult(_matrix: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        assert action is not None, "nothing multiplies by a matrix whose inverse is known"
        y.array = action(x.array_r)

    def jacobian(snes: PETSc.SNES, x: PETSc.Vec, j: PETSc.Mat, _p: PETSc.Mat) -> None:
        linearize(snes, x.array_r)
        j.assemble()

    x = PETSc.Vec().createMPI((start.size, PETSc.DECIDE), comm=comm)
    x.array = start
    f = x.duplicate()
    matrix = _shell(x, comm, SimpleNamespace(mult=mult))
    snes = PETSc.SNES().create(comm)
    try:
        snes.setOptionsPrefix(prefix)
        snes.setType("newtonls")
        snes.setFunction(function, f)
        snes.setJacobian(jacobian, matrix, matrix)
        snes.setConvergenceTest(test)
        # Ours is the only test: a step that is too small for PETSc's taste can still be the last one needed.
        snes.setTolerances(rtol=0.0, atol=0.0, stol=0.0, max_it=max_steps)
        configure(snes)
        with defaults(prefix, {"snes_linesearch_type": search}):
            snes.setFromOptions()
        with own_errors():
            snes.solve(None, x)
        return NewtonResult(x.array_r.copy(), snes.getIterationNumber(), snes.getConvergedReason())
    finally:
        for item in (snes, matrix, f, x):
            item.destroy()


def _shell(like: PETSc.Vec, comm: MPI.Comm, context: object) -> PETSc.Mat:
    """A matrix whose product is the ``mult`` of a Python object."""
    sizes = (like.getLocalSize(), like.getSize())
    matrix = PETSc.Mat().createPython((sizes, sizes), context, comm=comm)
    matrix.setUp()
    return matrix
