"""The fixed point at which a flow comes to rest, and whether it passed the end of a branch on its way.

``dx/dτ = g(x) − x`` leads to stable fixed points of g only: to the one nearby for as long as it exists, else
to wherever the flow goes from there. Steps of τ = 1 follow it; near a fixed point Newton's method is faster
(C. T. Kelley and D. E. Keyes, SIAM J. Numer. Anal. 35, 508 (1998), on this kind of continuation).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.petsc import PETSc
from fvqp.solvers.matrix_free import newtonls, use_gmres
from fvqp.typing import Floats

log = logging.getLogger(__name__)

_REASON = PETSc.SNES.ConvergedReason

#: Steps of the flow, each slower than the one before, after which Newton's method is tried; every time that
#: it fails twice as many.
STEADY = 3
#: Factor by which a step reduces the velocity that Newton's method need not improve.
FAST = 0.3
#: Factor by which a step of Newton's method must reduce the velocity: another has not found a root nearby.
GAIN = 0.5
#: First implicit step where Newton's does not succeed, factor by which the next are longer, and length from
#: which on they are Newton's.
SHORT, LONGER, LONG = 8.0, 4.0, 1e3
#: How far a step of Newton's method may lead, in the units of x.
REACH = 0.1
#: Step of differences, in the units of x.
DIFFERENCE = 1e-6
#: Accuracy of linear solves, which decides how many digits a Newton step gains; most directions of GMRES.
LINEAR_RTOL, MAX_DIRECTIONS = 1e-2, 40
#: Prefix of PETSc's options: ``-fvqp_flow_snes_monitor``, ``-fvqp_flow_ksp_rtol``.
OPTIONS = "fvqp_flow_"
#: Part of the tolerance below which a velocity leaves no doubt of where the flow ends.
CERTAIN = 1e-4
#: How often Newton's method may fail from a point that hardly moves before it is accepted with a warning.
MAX_DOUBTS = 3
#: Growth of the velocity that says that a fixed point was missed, and does not come from rounding.
GROWTH, ROUNDING = 2.0, 1e2


@dataclass(frozen=True)
class PseudoTransientResult:
    """Fixed point that the flow has reached.

    Attributes:
        x: the fixed point (this rank's part).
        evaluations: of the map.
        residual: last ``max |g(x) − x|``.
        error: estimate of ``max |x − x*|``, x* being the fixed point; NaN where it was not asked for.
        slowest: the first point at which the flow was slow before it went on faster: a branch of fixed points
            ends near there. None if it only slowed down.
    """

    x: Floats
    evaluations: int
    residual: float
    error: float
    slowest: Floats | None


def pseudo_transient_continuation(
    g: Callable[[Floats], Floats],
    start: Floats,
    *,
    comm: MPI.Comm,
    tolerance: float,
    what: str,
    max_evaluations: int,
    where: Callable[[Floats], str] = lambda velocity: "",
) -> PseudoTransientResult:
    """Follow ``dx/dτ = g(x) − x`` to a fixed point x*, until ``max |x − x*| ≤ tolerance``.

    Velocities say little of that where the flow is slow. Once the velocity is below the tolerance Newton's
    method is tried: the error is the velocity over the least singular value of ``1 − g'`` that GMRES meets.
    Where the method leads far away no fixed point is near, and the flow goes on; where rounding or a kink of
    g stops it, the point is accepted with a warning. The slopes of ``g(x) − x`` must not lie much below −1,
    so that steps of τ = 1 do follow the flow.

    Args:
        g: collective map of this rank's part of x to its part of g(x).
        start: first point (this rank's part; may be empty).
        comm: ranks that share x.
        tolerance: of x, in its units.
        what: name of the quantity, for messages.
        max_evaluations: of g, at which to give up.
        where: collective; says of a velocity where it is largest, for messages.

    Raises:
        ConvergenceError: not at rest by then, or ``g`` returned something that is not finite.
    """
    flow = _Flow(g, comm, what, max_evaluations, int(comm.allreduce(start.size)), tolerance, where)

    def configure(snes: PETSc.SNES) -> None:
        ksp = snes.getKSP()
        use_gmres(ksp, MAX_DIRECTIONS)
        ksp.setComputeSingularValues(True)
        snes.setMaxLinearSolveFailures(MAX_DIRECTIONS * max_evaluations)
        snes.setLineSearchPreCheck(flow.accept_or_flow, (ksp,))

    found = newtonls(
        flow.residual,
        start,
        comm=comm,
        prefix=OPTIONS,
        test=flow.test,
        max_steps=max_evaluations + 1,
        action=flow.action,
        linearize=flow.choose_step,
        configure=configure,
    )
    log.debug("%s: %d evaluations, %d steps", what, flow.evaluations, found.steps)
    if found.reason < 0:
        raise flow.failure()
    return PseudoTransientResult(found.x, flow.evaluations, flow.speed, flow.error, flow.slowest)


@dataclass
class _Flow:
    """The map with its evaluations counted, the choice of steps, and when to stop.

    All steps are those of PETSc's Newton method: the Jacobian is ``1/τ + 1 − g'`` in an implicit step, and 1
    in an explicit one.

    Attributes:
        speed: largest velocity at x; error: estimate of the distance from x to the fixed point.
        slowest: see `PseudoTransientResult`.
        f: velocity at x; still: whether it is within the tolerance.
        tau: length of the next implicit step; length: that of the step at hand, 0 for an explicit one.
        waited: explicit steps, each slower than the one before, after as many as ``patience`` of which an
            implicit one is tried; tried: whether the step at hand is one.
        least: smallest singular value of ``1 − g'`` that the last Newton step has met.
        astray: whether that step led away from where it started.
        doubts: how often Newton's method has failed from a point that hardly moves.
    """

    g: Callable[[Floats], Floats]
    comm: MPI.Comm
    what: str
    most: int
    size: int
    tolerance: float
    where: Callable[[Floats], str]
    evaluations: int = 0
    speed: float = np.inf
    error: float = np.nan
    slowest: Floats | None = None
    f: Floats = field(default_factory=lambda: np.zeros(0))
    still: bool = False
    tau: float = np.inf
    length: float = 0.0
    patience: int = STEADY
    waited: int = 0
    tried: bool = False
    least: float = np.nan
    astray: bool = False
    doubts: int = 0

    def __post_init__(self) -> None:
        self._before = np.inf
        self._low: tuple[float, Floats] = (np.inf, self.f)
        self._ahead: tuple[Floats, Floats] | None = None

    # -- callbacks of PETSc

    def residual(self, x: Floats) -> Floats:
        """``x − g(x)``."""
        here, ahead = x.copy(), self._ahead
        known = ahead is not None and self.comm.allreduce(np.array_equal(here, ahead[0]), MPI.LAND)
        self._ahead = None
        return -(ahead[1] if known and ahead is not None else self.velocity(here))

    def choose_step(self, snes: PETSc.SNES, _x: Floats) -> None:
        """Take an implicit step, or an explicit one."""
        most = min(MAX_DIRECTIONS, self.size, self.most - self.evaluations - 1)
        self.tried = self.waited >= self.patience or (self.still and not self.astray)
        self.length = 0.0 if not self.tried or most < 1 else np.inf if self.still else self.tau
        snes.getKSP().setTolerances(rtol=LINEAR_RTOL, atol=0.0, max_it=max(most, 1))

    def action(self, step: Floats) -> Floats:
        """The Jacobian of the step at hand times a step."""
        if self.length == 0.0:
            return step
        h = DIFFERENCE / self.largest(step)
        return np.asarray(step / self.length + (self.f - self.velocity(self._x + h * step)) / h)

    def accept_or_flow(self, x: PETSc.Vec, step: PETSc.Vec, ksp: PETSc.KSP) -> bool:
        """Replace an implicit step by an explicit one where the flow bends before."""
        taken = self.length > 0.0 and self._leads_on(ksp, x.array_r, step.array_r)
        if taken:
            self.patience, self.waited = 0, 0
            self.tau *= LONGER if self.tau * LONGER < LONG else np.inf
            return False
        if self.tried:
            self.doubts += self.still
            if not self.tau > SHORT:
                self.patience, self.waited = 2 * max(self.patience, STEADY), 0
            else:
                self.waited = self.patience
            self.tau = SHORT
        if not self.still:
            self.least = np.nan
        step.array = -self.f
        return True

    def test(self, snes: PETSc.SNES, iteration: int, _norms: tuple[float, float, float]) -> int:
        """End at a fixed point, or after too many evaluations."""
        self._x, self.f = snes.getSolution().array_r.copy(), -snes.getFunction()[0].array_r
        self._note_speed(iteration)
        self.speed = self.largest(self.f)
        self.still, self.error = self.speed <= self.tolerance, self.speed / self.least
        certain = self.speed <= CERTAIN * self.tolerance
        if certain or (self.still and self.error <= self.tolerance):
            return int(_REASON.CONVERGED_FNORM_ABS)
        spent = self.evaluations >= self.most
        if self.still and (spent or (self.doubts >= MAX_DOUBTS and not self.astray)):
            place = self.where(self.f)
            if self.comm.rank == 0:
                log.warning(
                    "%s: an evaluation changes it by %.2g%s, within the tolerance %.2g; it may be wrong by "
                    "%s", self.what, self.speed, place, self.tolerance,
                    f"{self.error:.2g}" if self.error >= 0.0 else "more",
                )  # fmt: skip
            return int(_REASON.CONVERGED_FNORM_ABS)
        if spent:
            return int(_REASON.DIVERGED_MAX_IT)
        return int(_REASON.ITERATING)

    # -- parts

    def failure(self) -> ConvergenceError:
        """Error that says how far it came. Collective."""
        return ConvergenceError(
            f"{self.what}: not converged after {self.evaluations} evaluations, change {self.speed:.3g}"
            f"{self.where(self.f)}, tolerance {self.tolerance:.3g}"
        )

    def velocity(self, x: Floats) -> Floats:
        f = self.g(x) - x
        self.evaluations += 1
        if not np.isfinite(self.largest(f)):
            raise ConvergenceError(
                f"{self.what}: the iteration left the physical range (evaluation {self.evaluations})"
            )
        return f

    def dot(self, a: Floats, b: Floats) -> float:
        return float(self.comm.allreduce(float(a @ b))) / max(self.size, 1)

    def norm(self, f: Floats) -> float:
        return float(np.sqrt(self.dot(f, f)))

    def largest(self, f: Floats) -> float:
        here = float(np.max(np.abs(f), initial=0.0)) if np.all(np.isfinite(f)) else np.inf
        return float(self.comm.allreduce(here, MPI.MAX))

    def _note_speed(self, iteration: int) -> None:
        """Count steps that slow down, and notice where the flow was slowest."""
        speed = self.norm(self.f)
        if iteration > 0:
            self.waited = self.waited + 1 if FAST * self._before < speed < self._before else 0
        if speed < self._low[0]:
            self._low = speed, self._x
        elif self.slowest is None and speed > GROWTH * self._low[0] > GROWTH * ROUNDING * self.tolerance:
            self.slowest = self._low[1]
        self._before = speed

    def _leads_on(self, ksp: PETSc.KSP, x: Floats, step: Floats) -> bool:
        """Return whether an implicit step, to ``x − step``, is to be taken."""
        newton = np.isinf(self.length)
        astray = self.largest(step) > REACH or self.dot(step, self.f) >= 0.0
        if newton:
            self.least, self.astray = float(ksp.computeExtremeSingularValues()[1]), astray
        if astray:
            return False
        moved = x - step
        self._ahead = moved, self.velocity(moved)
        return self.norm(self._ahead[1]) <= (GAIN if newton else 1.0) * self.norm(self.f)
