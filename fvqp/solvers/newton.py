"""Newton-Krylov for distributed systems F(x) = 0 by PETSc: matrix-free, with a preconditioner that knows the
problem, and a line search."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc, own_errors
from fvqp.typing import Floats

log = logging.getLogger(__name__)

PREFIX = "fvqp_newton_"
"""Prefix of PETSc options that reach the solver: ``-fvqp_newton_snes_monitor``, ``-fvqp_newton_ksp_rtol``."""

LINEAR_RTOL = 1e-4
"""Accuracy of a Newton step: about four digits are gained in every one."""

FULL_STEPS = 8
"""Newton steps that are tried in full before they are cut back."""

RESTART = 60
"""Basis vectors of flexible GMRES, and as many preconditioned ones."""

_REASONS = {
    value: name
    for name, value in vars(PETSc.SNES.ConvergedReason).items()
    if isinstance(value, int) and value < 0
}


class LinearizedSystem(Protocol):
    """Linear equations J x = b; all calls are collective."""

    def action(self, step: Floats) -> Floats:
        """J step at the point of the last `System.linearize`."""

    def precondition(self, residual: Floats) -> Floats:
        """A cheap, linear approximation of J⁻¹ residual there."""


class System(LinearizedSystem, Protocol):
    """Equations F(x) = 0, scaled so that F is an error of x; all calls are collective."""

    def residual(self, x: Floats) -> Floats:
        """F(x): this rank's part for this rank's part of x."""

    def linearize(self, x: Floats) -> None:
        """Make `action` and `precondition` those of x."""

    def balanced(self, x: Floats) -> bool:
        """Return whether sums of F(x) that stand for what is conserved are small; asked where all of F is.

        The same on all ranks.
        """


@dataclass(frozen=True)
class NewtonSolution:
    """A root: ``x`` (this rank's part), Krylov iterations of every Newton step, the last ``max |F|``."""

    x: Floats
    krylov: tuple[int, ...]
    residual: float


def solve_newton(
    system: System,
    start: Floats,
    *,
    comm: MPI.Comm,
    tolerance: float,
    what: str,
    max_steps: int = 30,
    improve: Callable[[Floats], Floats] | None = None,
) -> NewtonSolution:
    """Find ``x`` with ``max |F(x)| ≤ tolerance``, after at least one step.

    Where that leaves what is conserved out of balance, one step more is taken.

    Full steps first; if they do not lead there, once more from the start with steps cut back such that
    simplified Newton corrections shrink (P. Deuflhard, Newton Methods for Nonlinear Problems, Springer 2011,
    NLEQ-ERR; PETSc's line search ``nleqerr``). The norm of F itself is no guide: where fast collisions meet
    slow diffusion it grows on the way.

    Args:
        system: the equations.
        start: first guess (this rank's part).
        comm: ranks that share x.
        tolerance: largest accepted residual.
        what: name of the quantity, for messages.
        max_steps: Newton steps before giving up; in full only, if these are no more than `FULL_STEPS`.
        improve: a map of x to something nearer to the root that is taken before every step (a nonlinear
            preconditioner on the right: P. R. Brune et al., SIAM Rev. 57, 535 (2015)); steps are then
            taken in full only.

    Raises:
        ConvergenceError: names the residual, the number of steps and PETSc's reason.
    """
    if improve is not None or max_steps <= FULL_STEPS:
        return _search(system, start, comm, tolerance, what, "basic", max_steps, improve)
    failure: ConvergenceError | None = None
    for search, steps in (("basic", FULL_STEPS), ("nleqerr", max_steps)):
        try:
            return _search(system, start, comm, tolerance, what, search, steps)
        except ConvergenceError as error:
            failure = error
            log.debug("%s", error)
    assert failure is not None
    raise failure


def _search(
    system: System,
    start: Floats,
    comm: MPI.Comm,
    tolerance: float,
    what: str,
    search: str,
    max_steps: int,
    improve: Callable[[Floats], Floats] | None = None,
) -> NewtonSolution:
    """One attempt of `solve_newton` with a line search of PETSc's."""
    norms: list[float] = []
    krylov: list[int] = []
    accepted: list[Floats] = []

    def function(_snes: PETSc.SNES, x: PETSc.Vec, f: PETSc.Vec) -> None:
        f.array[:] = system.residual(np.array(x.array_r))

    def jacobian(_snes: PETSc.SNES, x: PETSc.Vec, _j: PETSc.Mat, _p: PETSc.Mat) -> None:
        system.linearize(np.array(x.array_r))

    def before_step(snes: PETSc.SNES, _step: int) -> None:
        assert improve is not None
        at = snes.getSolution()
        at.array[:] = improve(np.array(at.array_r))
        function(snes, at, snes.getFunction()[0])

    def converged(snes: PETSc.SNES, step: int, _norms: Any) -> PETSc.SNES.ConvergedReason | int:
        here = snes.getFunction()[0].array_r
        largest = float(np.max(np.abs(here), initial=0.0)) if np.all(np.isfinite(here)) else np.inf
        norms.append(float(comm.allreduce(largest, MPI.MAX)))
        if step > 0:
            krylov.append(snes.getKSP().getIterationNumber())
        log.debug("%s: Newton step %d, residual %.2e, Krylov %s", what, step, norms[-1], krylov[-1:])
        # A guess within the tolerance is still improved: a small residual can mean a larger error of x.
        if norms[-1] <= tolerance and (step > 0 or norms[-1] == 0.0):
            accepted.append(np.array(snes.getSolution().array_r))
            if len(accepted) > 1 or step >= max_steps or system.balanced(accepted[-1]):
                return PETSc.SNES.ConvergedReason.CONVERGED_FNORM_ABS
            return PETSc.SNES.ConvergedReason.ITERATING
        if accepted:
            # Rounding is as large as the tolerance: another step does not gain anything.
            norms.pop()
            return PETSc.SNES.ConvergedReason.CONVERGED_FNORM_ABS
        if not np.isfinite(norms[-1]):
            return PETSc.SNES.ConvergedReason.DIVERGED_FNORM_NAN
        if step >= max_steps:
            return PETSc.SNES.ConvergedReason.DIVERGED_MAX_IT
        return PETSc.SNES.ConvergedReason.ITERATING

    x = PETSc.Vec().createMPI((len(start), PETSc.DECIDE), comm=comm)
    x.array[:] = start
    f = x.duplicate()
    matrix = _shell(system, x, comm)
    snes = PETSc.SNES().create(comm)
    try:
        snes.setOptionsPrefix(PREFIX)
        snes.setType("newtonls")
        snes.setFunction(function, f)
        snes.setJacobian(jacobian, matrix)
        _configure(snes.getKSP(), system, LINEAR_RTOL)
        snes.setConvergenceTest(converged)
        if improve is not None:
            snes.setUpdate(before_step)
        # A step that is too small for PETSc's taste can still be the one that reaches the tolerance.
        snes.setTolerances(max_it=max_steps + 1, stol=0.0, rtol=0.0, atol=0.0)
        with _unless_given(f"{PREFIX}snes_linesearch_type", search):
            snes.setFromOptions()
        with own_errors():
            snes.solve(None, x)
        reason, found = snes.getConvergedReason(), accepted[-1] if accepted else np.array(x.array_r)
    finally:
        for item in (snes, matrix, f, x):
            item.destroy()
    if norms[-1] > tolerance:
        raise ConvergenceError(
            f"{what}: not converged after {len(krylov)} Newton steps, residual {norms[-1]:.3g}, tolerance "
            f"{tolerance:.3g} ({_REASONS.get(reason, reason)})"
        )
    return NewtonSolution(found, tuple(krylov), norms[-1])


@contextlib.contextmanager
def _unless_given(name: str, value: str) -> Iterator[None]:
    """An option that the user has not set, for a while: line searches are chosen by options only."""
    options = PETSc.Options()
    if options.hasName(name):
        yield
        return
    options.setValue(name, value)
    try:
        yield
    finally:
        options.delValue(name)


def solve_linearized(
    system: LinearizedSystem,
    rhs: Floats,
    *,
    comm: MPI.Comm,
    tolerance: float,
    what: str,
) -> tuple[Floats, int]:
    """``J⁻¹ rhs`` at the point of the last `System.linearize`, and the iterations it took.

    Args:
        system: the equations.
        rhs: this rank's part.
        comm: ranks that share it.
        tolerance: residual to reach, relative to ``rhs``.
        what: name of the quantity, for messages.

    Raises:
        ConvergenceError: the residual does not fall by ``tolerance``.
    """
    b = PETSc.Vec().createMPI((len(rhs), PETSc.DECIDE), comm=comm)
    b.array[:] = rhs
    x = b.duplicate()
    matrix = _shell(system, x, comm)
    ksp = PETSc.KSP().create(comm)
    try:
        ksp.setOptionsPrefix(f"{PREFIX}tangent_")
        ksp.setOperators(matrix)
        _configure(ksp, system, tolerance)
        ksp.setFromOptions()
        with own_errors():
            ksp.solve(b, x)
        reason, iterations = ksp.getConvergedReason(), ksp.getIterationNumber()
        found = np.array(x.array_r)
    finally:
        for item in (ksp, matrix, x, b):
            item.destroy()
    if reason <= 0:
        raise ConvergenceError(f"{what}: the linear solve gave up after {iterations} iterations ({reason})")
    return found, iterations


def _configure(ksp: PETSc.KSP, system: LinearizedSystem, rtol: float) -> None:
    # Flexible, since a preconditioner that iterates is not quite linear; on the right, so that what GMRES
    # makes small is the residual itself.
    ksp.setType("fgmres")
    ksp.setPCSide(PETSc.PC.Side.RIGHT)
    ksp.setGMRESRestart(RESTART)
    ksp.setTolerances(rtol=rtol, atol=0.0, max_it=5 * RESTART)
    pc = ksp.getPC()
    pc.setType("python")
    pc.setPythonContext(_Preconditioner(system))


def _shell(system: LinearizedSystem, like: PETSc.Vec, comm: MPI.Comm) -> PETSc.Mat:
    sizes = (like.getLocalSize(), like.getSize())
    matrix = PETSc.Mat().createPython((sizes, sizes), context=_Action(system), comm=comm)
    matrix.setUp()
    return matrix


class _Action:
    def __init__(self, system: LinearizedSystem) -> None:
        self._system = system

    def mult(self, _matrix: PETSc.Mat, x: PETSc.Vec, y: PETSc.Vec) -> None:
        y.array[:] = self._system.action(np.array(x.array_r))


class _Preconditioner:
    def __init__(self, system: LinearizedSystem) -> None:
        self._system = system

    def apply(self, _pc: PETSc.PC, x: PETSc.Vec, y: PETSc.Vec) -> None:
        y.array[:] = self._system.precondition(np.array(x.array_r))
