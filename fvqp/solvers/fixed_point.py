"""Fixed points ``x = g(x)`` of distributed vectors by PETSc's SNES, with Anderson acceleration by default."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc, own_errors
from fvqp.solvers.matrix_free import REASONS
from fvqp.typing import Floats

log = logging.getLogger(__name__)

DEPTH = 6
"""Earlier iterates that Anderson's acceleration mixes."""


@dataclass(frozen=True)
class FixedPoint:
    """A converged fixed point: ``x`` (this rank's part), number of evaluations, last ``max |g(x) − x|``."""

    x: Floats
    evaluations: int
    residual: float


def solve_fixed_point(
    g: Callable[[Floats], Floats],
    start: Floats,
    *,
    comm: MPI.Comm,
    tolerance: float,
    what: str,
    max_evaluations: int = 60,
    prefix: str = "fvqp_gap_",
) -> FixedPoint:
    """Find ``x`` with ``max |g(x) − x| ≤ tolerance``.

    Anderson's least squares amplify rounding: on different numbers of ranks the last iterates differ by up to
    the tolerance.

    Args:
        g: collective map of this rank's part of ``x`` to its part of ``g(x)``.
        start: first guess (this rank's part; may be empty).
        comm: ranks that share ``x``.
        tolerance: largest accepted difference, in the units of ``x``.
        what: name of the quantity, for messages.
        max_evaluations: give up after that many.
        prefix: of the SNES's options (``-fvqp_gap_snes_type``, ``-fvqp_gap_snes_monitor``).

    Raises:
        ConvergenceError: not converged, or ``g`` returned something that is not finite.
    """
    history: list[float] = []

    def bin_weights(difference: Floats) -> float:
        largest = float(np.max(np.abs(difference), initial=0.0))
        if not np.all(np.isfinite(difference)):
            largest = np.inf
        return float(comm.allreduce(largest, MPI.MAX))

    def function(_snes: PETSc.SNES, x: PETSc.Vec, f: PETSc.Vec) -> None:
        here = np.array(x.array_r)
        f.array[:] = here - g(here)
        history.append(bin_weights(f.array_r))
        if not np.isfinite(history[-1]):
            raise ConvergenceError(
                f"{what}: the iteration left the physical range (evaluation {len(history)})"
            )

    def converged(
        _snes: PETSc.SNES, _iteration: int, _norms: tuple[float, float, float]
    ) -> PETSc.SNES.ConvergedReason | int:
        if history and history[-1] <= tolerance:
            return PETSc.SNES.ConvergedReason.CONVERGED_FNORM_ABS
        if len(history) >= max_evaluations:
            return PETSc.SNES.ConvergedReason.DIVERGED_MAX_IT
        return PETSc.SNES.ConvergedReason.ITERATING

    x = PETSc.Vec().createMPI((len(start), PETSc.DECIDE), comm=comm)
    x.array[:] = start
    if x.getSize() == 0:
        return FixedPoint(start.copy(), 0, 0.0)
    f = x.duplicate()
    snes = PETSc.SNES().create(comm)
    snes.setOptionsPrefix(prefix)
    snes.setType("anderson")
    options = PETSc.Options(prefix)
    if not options.hasName("snes_anderson_m"):
        options.setValue("snes_anderson_m", DEPTH)
    snes.setFunction(function, f)
    snes.setConvergenceTest(converged)
    snes.setTolerances(max_it=max_evaluations)
    snes.setFromOptions()
    try:
        with own_errors():
            snes.solve(None, x)
        reason = snes.getConvergedReason()
        last = history[-1]
        result = FixedPoint(np.array(x.array_r), len(history), last)
    finally:
        for item in (snes, f, x):
            item.destroy()
    if reason <= 0 or last > tolerance:
        raise ConvergenceError(
            f"{what}: not converged after {result.evaluations} evaluations, change {last:.3g}, "
            f"tolerance {tolerance:.3g} ({REASONS.get(reason, reason)})"
        )
    log.debug("%s: %d evaluations, residual %.2e", what, result.evaluations, last)
    return result
