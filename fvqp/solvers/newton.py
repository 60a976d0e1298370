"""Newton-Krylov for distributed systems F(x) = 0 by PETSc: matrix-free, with a preconditioner that knows the
problem, and a line search."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc
from fvqp.solvers.matrix_free import REASONS, gmres, newtonls, use_fgmres
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

    def configure(snes: PETSc.SNES) -> None:
        def apply(_pc: PETSc.PC, r: PETSc.Vec, out: PETSc.Vec) -> None:
            out.array = system.precondition(r.array_r.copy())

        use_fgmres(snes.getKSP(), RESTART, SimpleNamespace(apply=apply))
        snes.getKSP().setTolerances(rtol=LINEAR_RTOL, atol=0.0, max_it=5 * RESTART)
        if improve is not None:
            snes.setUpdate(before_step)

    def before_step(snes: PETSc.SNES, _step: int) -> None:
        assert improve is not None
        at = snes.getSolution()
        at.array = improve(at.array_r.copy())
        snes.getFunction()[0].array = system.residual(at.array_r.copy())

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

    found = newtonls(
        lambda x: system.residual(x.copy()),
        start,
        comm=comm,
        prefix=PREFIX,
        test=converged,
        max_steps=max_steps + 1,
        action=lambda step: system.action(step.copy()),
        linearize=lambda _snes, x: system.linearize(x.copy()),
        configure=configure,
        search=search,
    )
    if norms[-1] > tolerance:
        raise ConvergenceError(
            f"{what}: not converged after {len(krylov)} Newton steps, residual {norms[-1]:.3g}, tolerance "
            f"{tolerance:.3g} ({REASONS.get(found.reason, found.reason)})"
        )
    return NewtonSolution(accepted[-1] if accepted else found.x, tuple(krylov), norms[-1])


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
    found = gmres(
        system.action, rhs, comm=comm, prefix=f"{PREFIX}tangent_", rtol=tolerance, most=5 * RESTART,
        restart=RESTART, precondition=system.precondition,
    )  # fmt: skip
    if found.reason <= 0:
        raise ConvergenceError(
            f"{what}: the linear solve gave up after {found.iterations} iterations ({found.reason})"
        )
    return found.x, found.iterations
