"""A uniform gap and the distributions that collisions couple, as the unknowns of one Newton iteration.

With the kinetic equations ``F(x, y) = 0`` (`fvqp.models.usadel.inelastic`) at ``y = ln Δ`` and the residual r
of the gap equation, a step solves

    ( F_x  F_y ) ( δx )     ( F )
    ( r_x  r_y ) ( δy ) = − ( r )

by GMRES, preconditioned by block elimination with the preconditioner of F_x (theory: electron_electron).
"""

from __future__ import annotations

import logging

import numpy as np

from fvqp.errors import ConvergenceError
from fvqp.models.usadel.inelastic import Inelastic, InelasticSystem
from fvqp.models.usadel.kinetics import KineticState, L, SpectralState
from fvqp.models.usadel.problem import UsadelProblem
from fvqp.solvers.newton import solve_linearized, solve_newton
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Step of ln Δ with which spectra are differentiated, over the broadening, which is the width of what moves
#: with the gap; and its limits.
STEP, MIN_STEP, MAX_STEP = 1e-3, 1e-8, 1e-6

#: Slope of the gap equation, distributions following the gap, above which no step far from a root is
#: Newton's, since the root may be about to end; it is −1 where they do not follow.
FLATTEST = -0.2

#: Slope up to which the preconditioner says well enough what follows, though it errs by up to 0.9; and to
#: what accuracy that is found elsewhere. With sharp edges the slope is what is left of parts of ±25, and at
#: 1e-3 was found to err by 1.
STEEP, FOLLOWING_TOLERANCE = -0.6, 1e-6

#: Part of the length on which the gap equation varies that is walked at least where it rises, or where its
#: root has ended.
MIN_WALK = 0.25

#: Part of the distance between two gaps, with a root between them, by which a step stays off either.
MARGIN = 0.1

#: Newton steps after which a neighbouring solution counts as not found.
MAX_STEPS = 12


def solve_with_gap(
    problem: UsadelProblem,
    start: SpectralState,
    external: Floats,
    guess: KineticState | None,
    *,
    tolerance: float,
    reach: float,
    what: str,
) -> tuple[SpectralState, KineticState, int, bool]:
    """Spectra and distributions of the solution next to a first guess, the Newton steps it took, and whether
    the branch of the first guess ends on the way.

    Args:
        problem: with collisions, local spectra and a uniform gap.
        start: spectra to start from.
        external: distributions of the leads.
        guess: distributions to start from; None for those at rest.
        tolerance: of the residual of the gap equation, close to that of ln Δ.
        reach: how far ln Δ may move.
        what: for messages.

    Raises:
        ConvergenceError: no root within reach at which the gap is stable.
    """
    assert problem.inelastic is not None, "there are collisions"
    n = problem.device.mesh.n_cells
    gap, depairing = np.broadcast_to(start.gap, (n,)), np.broadcast_to(start.depairing, (n,))
    system = GapAndDistributions(
        problem, problem.inelastic, gap, depairing, external, reach=reach, tolerance=tolerance, what=what
    )
    found = solve_newton(
        system,
        system.start(guess),
        comm=system.comm,
        tolerance=system.kinetic.tolerance,
        what=what,
        max_steps=MAX_STEPS,
        improve=system.improve,
    )
    f = system.distributions(found.x)
    if not system.steep:
        raise ConvergenceError(f"{what}: the gap is not stable there")
    f = system.kinetic.closed(f)
    return system.kinetic.spectral, system.kinetic.kinetic(f, what), len(found.krylov), system.turned


class RootBracket:
    """Bracket of a stable root: r has been positive at its lower end, and negative at its upper end."""

    def __init__(self) -> None:
        self._low: tuple[float, float] | None = None
        self._high: tuple[float, float] | None = None

    def add(self, y: float, r: float) -> None:
        """``r`` at ``y``; what was seen on the wrong side of it is forgotten."""
        if r > 0.0:
            self._low = y, r
            self._high = None if self._high is None or self._high[0] <= y else self._high
        elif r < 0.0:
            self._high = y, r
            self._low = None if self._low is None or self._low[0] >= y else self._low

    def admits(self, y: float) -> bool:
        """Return whether a root may be at ``y``."""
        above = self._low is None or y >= self._low[0]
        return above and (self._high is None or y <= self._high[0])

    def root(self) -> float | None:
        """Return the root of the line through both sides, which averages over waves; None if a side is not
        known."""
        if self._low is None or self._high is None:
            return None
        (low, up), (high, down) = self._low, self._high
        return low + (high - low) * float(np.clip(up / (up - down), MARGIN, 1.0 - MARGIN))


class GapAndDistributions:
    """The equations (`fvqp.solvers.newton.System`): deviations of the owned cells; last, on rank 0, ln Δ.

    Args:
        problem, inelastic, external: as of `solve_with_gap`.
        gap, depairing: of the first guess, ``(n_cells,)``.
        reach: how far ln Δ may move.
        tolerance: of the gap equation.
        what: for messages.
    """

    def __init__(
        self,
        problem: UsadelProblem,
        inelastic: Inelastic,
        gap: Floats,
        depairing: Floats,
        external: Floats,
        *,
        reach: float,
        tolerance: float,
        what: str,
    ) -> None:
        self.problem, self.inelastic, self.external = problem, inelastic, external
        self.depairing, self.reach, self.what = depairing, reach, what
        self.comm = problem.device.mesh.comm
        self.h = float(np.clip(STEP * problem.broadening, MIN_STEP, MAX_STEP))
        self.first = self.y = float(np.log(problem.gap_field.uniform_value(gap)))
        self.kinetic = self._at(self.y, None)
        self.weight = self.kinetic.tolerance / tolerance
        #: ln Δ of the last linearization, and the slope of the gap equation there.
        self._before = self.y, 0.0
        #: Where r has had either sign.
        self._passed = RootBracket()
        #: Whether r has grown on the way: the branch of the first guess ends between it and the root.
        self.turned = False
        #: Whether the last step was Newton's, at a slope that makes roots stable.
        self.steep = False
        #: Whether `kinetic` is linearized, about distributions near enough to precondition.
        self._ready = False

    def start(self, guess: KineticState | None) -> Floats:
        """Vector of unknowns of a guess of the distributions."""
        return self._joined(self.kinetic.start(guess), self.first)

    def distributions(self, z: Floats) -> Floats:
        """Return the distributions of a vector of unknowns, with ``kinetic`` in its spectra."""
        y = self._last(z)
        if y != self.y:
            if not abs(y - self.first) <= self.reach:
                raise ConvergenceError(f"{self.what}: the gap leaves the neighbourhood of the first guess")
            self.y, self.kinetic, self._ready = y, self._at(y, self.kinetic), False
            self.problem.gap_field.require_superconducting(self._gap(y), self.what)
        return z[: self.kinetic.size]

    def residual(self, z: Floats) -> Floats:
        f = self.distributions(z)
        return self._joined(self.kinetic.residual(f), self.weight * self._gap_equation(self.y, f))

    def improve(self, z: Floats) -> Floats:
        """Distributions carried over to the spectra of z, by the transport equation of every energy there.

        Where the gap edge moves into a bin, diffusion grows by orders of magnitude, which no derivative
        foretells: if it has moved by more than it is wide, what the last step made of distributions is first
        limited to what can be.
        """
        f = self.distributions(z)
        if abs(self.y - self._before[0]) > self.problem.broadening:
            f = self._carried_over(self.kinetic.possible(f))
        return self._joined(self._carried_over(f), self.y)

    def _carried_over(self, f: Floats) -> Floats:
        """Return the solution of the transport equation for distributions that scatter as f does."""
        self.kinetic.linearize(f)
        self._ready = True
        return f - self.kinetic.precondition(self.kinetic.residual(f))

    def linearize(self, z: Floats) -> None:
        f = self.distributions(z)
        here = self.kinetic.residual(f)
        if not self._ready:
            self.kinetic.linearize(f)
        self._weights = self.problem.gap_field.uniform_weights(
            float(np.exp(self.y)),
            self.kinetic.spectral.depairing,
            f.reshape(self.kinetic.shape)[:, L],
            self.external[L],
        )
        beside, r = self.y + self.h, self._gap_equation(self.y, f)
        self._along = (self._at(beside, self.kinetic).residual(f) - here) / self.h
        self._slope = (self._gap_equation(beside, f) - r) / self.h
        self._following = self.kinetic.precondition(self._along)
        self._total = self._slope - self._of_distributions(self._following)
        if not self._total <= STEEP:
            # What collisions scatter in, which the preconditioner leaves out, decides here.
            self._following = self._all_that_follows()
            self._total = self._slope - self._of_distributions(self._following)
        r -= self._of_distributions(self.kinetic.precondition(here))
        log.debug("%s: gap %.9g, gap equation %.2e, slope %.3g", self.what, np.exp(self.y), r, self._total)
        slope, length = self._total, self._length(r)
        ended = slope > 0.0 or (slope > FLATTEST and 2.0 * self._curvature() * r > slope**2)
        self._before = self.y, slope
        near = slope < 0.0 and not ended and abs(r) <= -slope * MIN_WALK * length
        self.steep = slope <= FLATTEST or near
        if length > self.problem.broadening:
            # Bins that are wider than the edge have a wave each: roots beyond one are not foretold.
            self.steep &= abs(r) <= length
        self._passed.add(self.y, r)
        between = self._passed.root()
        if self.steep and not near:
            self.steep = self._passed.admits(self.y - r / slope)
        if not self.steep:
            # On the way only: y moves by r, as the flow does that stable roots end; or by a part of a wave,
            # where that does not lead to one; or, where the flow has passed a root, to where the line through
            # both sides has it, which averages over waves. What distributions become no derivative tells.
            least = MIN_WALK * length if ended else 0.0
            self.turned |= ended and between is None
            move = np.copysign(max(abs(r), least), r) if between is None else between - self.y
            self._along, self._following = np.zeros_like(here), np.zeros_like(here)
            self._slope = self._total = -r / move if r != 0.0 else -1.0

    def _curvature(self) -> float:
        """Return the curvature of the gap equation, from its slopes here and at the last linearization; 0
        if that was here."""
        y, slope = self._before
        return (self._total - slope) / (self.y - y) if self.y != y else 0.0

    def _length(self, r: float) -> float:
        """On which the gap equation varies: the broadening, or the widest bin that the edge meets on the way
        that r alone would take it."""
        grid = self.problem.grid
        far = float(np.clip(r, -self.reach, self.reach))
        ends = np.exp([self.y + min(far, 0.0), self.y + max(far, 0.0)])
        passed = np.searchsorted(grid.edges, ends) - 1
        first, last = np.clip(passed, 0, grid.n - 1)
        return max(self.problem.broadening, float(grid.widths[first : last + 1].max()))

    def _all_that_follows(self) -> Floats:
        """``F_x⁻¹ F_y``: minus the change of distributions with the gap."""
        try:
            return solve_linearized(
                self.kinetic, self._along, comm=self.comm, tolerance=FOLLOWING_TOLERANCE,
                what=f"{self.what}: distributions that follow the gap",
            )[0]  # fmt: skip
        except ConvergenceError as error:
            log.debug("%s", error)
            return self._following

    def balanced(self, z: Floats) -> bool:
        f = self.distributions(z)
        return self.kinetic.balanced(f)

    def action(self, step: Floats) -> Floats:
        df, dy = step[: self.kinetic.size], self._last(step)
        balance = self.kinetic.action(df) + self._along * dy
        return self._joined(balance, self.weight * (self._of_distributions(df) + self._slope * dy))

    def precondition(self, residual: Floats) -> Floats:
        change = self.kinetic.precondition(residual[: self.kinetic.size])
        dy = (self._last(residual) / self.weight - self._of_distributions(change)) / self._total
        return self._joined(change - self._following * dy, dy)

    def _gap(self, y: float) -> Floats:
        """Gap of every cell."""
        return np.asarray(np.exp(y) * self.problem.gap_field.profile)

    def _at(self, y: float, like: InelasticSystem | None) -> InelasticSystem:
        """The kinetic equations at another gap."""
        spectral = self.problem.spectral_state(self._gap(y), self.depairing, None)
        return InelasticSystem(self.inelastic, spectral, self.external, like)

    def _gap_equation(self, y: float, f: Floats) -> float:
        energy_mode = f.reshape(self.kinetic.shape)[:, L]
        zeta = self.kinetic.spectral.depairing
        return self.problem.gap_field.uniform_residual(float(np.exp(y)), zeta, energy_mode, self.external[L])

    def _of_distributions(self, df: Floats) -> float:
        """Change of the gap equation, which is linear in distributions."""
        cells, weights = self._weights
        own = float(np.sum(weights * df.reshape(self.kinetic.shape)[cells, L]))
        return float(self.comm.bcast(self.comm.allreduce(own)))

    def _last(self, z: Floats) -> float:
        return float(self.comm.bcast(float(z[-1]) if self.comm.rank == 0 else 0.0))

    def _joined(self, f: Floats, y: float) -> Floats:
        return np.append(f, y) if self.comm.rank == 0 else f
