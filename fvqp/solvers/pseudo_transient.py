"""The fixed point at which a flow comes to rest, and whether it passed the end of a branch on its way.

``dx/dτ = g(x) − x`` leads to stable fixed points of g only: to the one nearby for as long as it exists, else
to wherever the flow goes from there. Steps of τ = 1 follow it; near a fixed point Newton's method is faster
(C. T. Kelley and D. E. Keyes, SIAM J. Numer. Anal. 35, 508 (1998), on this kind of continuation).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from fvqp.errors import ConvergenceError
from fvqp.petsc import Tell, as_snes
from fvqp.solvers.gmres import gmres
from fvqp.typing import Floats

log = logging.getLogger(__name__)

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
    flow = _Flow(g, comm, what, max_evaluations, int(comm.allreduce(start.size)))
    return as_snes(
        lambda tell: _followed(flow, start, tolerance, where, tell), start, comm=comm, prefix=OPTIONS
    )


def _followed(
    flow: _Flow, start: Floats, tolerance: float, where: Callable[[Floats], str], tell: Tell
) -> PseudoTransientResult:
    """`pseudo_transient_continuation`, step by step."""
    comm, what, max_evaluations = flow.comm, flow.what, flow.most
    x, f = start.copy(), flow.velocity(start)
    speeds = [flow.norm(f)]
    slowest, low = None, (speeds[0], x)
    patience, waited, tau, doubts = STEADY, 0, np.inf, 0
    while True:
        velocity = flow.largest(f)
        still, error = velocity <= tolerance, velocity / flow.least
        if velocity <= CERTAIN * tolerance or (still and error <= tolerance):
            break
        spent = flow.evaluations >= max_evaluations
        if still and (spent or (doubts >= MAX_DOUBTS and not flow.astray)):
            place = where(f)
            if comm.rank == 0:
                log.warning(
                    "%s: an evaluation changes it by %.2g%s, within the tolerance %.2g; it may be wrong by "
                    "%s", what, velocity, place, tolerance, f"{error:.2g}" if error >= 0.0 else "more",
                )  # fmt: skip
            break
        if spent:
            raise ConvergenceError(
                f"{what}: not converged after {flow.evaluations} evaluations, change {velocity:.3g}{where(f)}"
                f", tolerance {tolerance:.3g}"
            )
        found = None
        if waited >= patience or (still and not flow.astray):
            found = flow.implicit(x, f, np.inf if still else tau)
            if found is None:
                doubts += still
                patience, waited = (patience, patience) if tau > SHORT else (2 * max(patience, STEADY), 0)
                tau = SHORT
            else:
                patience, waited = 0, 0
                tau *= LONGER if tau * LONGER < LONG else np.inf
        x, f = found if found is not None else flow.step(x, f)
        if found is None and not still:
            flow.least = np.nan
        speed = flow.norm(f)
        slower = FAST * speeds[-1] < speed < speeds[-1]
        waited = waited + 1 if slower else 0
        speeds.append(speed)
        tell(len(speeds) - 1, flow.largest(f), x)
        if speed < low[0]:
            low = speed, x
        elif slowest is None and speed > GROWTH * low[0] > GROWTH * ROUNDING * tolerance:
            slowest = low[1]
    log.debug("%s: %d evaluations, %d steps", what, flow.evaluations, len(speeds) - 1)
    return PseudoTransientResult(x, flow.evaluations, velocity, error, slowest)


@dataclass
class _Flow:
    """The map with its evaluations counted, and norms over all ranks.

    Attributes:
        least: smallest singular value of ``1 − g'`` that the last Newton step has met.
        astray: whether that step led away from where it started.
    """

    g: Callable[[Floats], Floats]
    comm: MPI.Comm
    what: str
    most: int
    size: int
    evaluations: int = 0
    least: float = np.nan
    astray: bool = False

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

    def step(self, x: Floats, f: Floats) -> tuple[Floats, Floats]:
        """A step of τ = 1."""
        moved = x + f
        return moved, self.velocity(moved)

    def implicit(self, x: Floats, f: Floats, tau: float) -> tuple[Floats, Floats] | None:
        """A linearized implicit step of ``tau``, Newton's if infinite; None where the flow bends before."""

        def action(w: Floats) -> Floats:
            h = DIFFERENCE / self.largest(w)
            return w / tau + (f - self.velocity(x + h * w)) / h

        most = min(MAX_DIRECTIONS, self.size, self.most - self.evaluations - 1)
        if most < 1:
            return None
        change, _, least = gmres(
            action, f, comm=self.comm, prefix=OPTIONS, rtol=LINEAR_RTOL, most=most, singular_values=True
        )
        astray = self.largest(change) > REACH or self.dot(change, f) <= 0.0
        if np.isinf(tau):
            self.least, self.astray = least, astray
        if astray:
            return None
        moved = x + change
        there = self.velocity(moved)
        gain = GAIN if np.isinf(tau) else 1.0
        return (moved, there) if self.norm(there) <= gain * self.norm(f) else None
