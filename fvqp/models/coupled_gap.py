"""A uniform gap and the distributions that collisions couple, as the unknowns of one Newton iteration.

With the kinetic equations ``F(x, y) = 0`` (`fvqp.models.inelastic`) at ``y = ln Δ`` and the residual r of the
gap equation, a step solves

    ( F_x  F_y ) ( δx )     ( F )
    ( r_x  r_y ) ( δy ) = − ( r )

by GMRES, preconditioned by block elimination with the preconditioner of F_x (theory: electron_electron).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fvqp.errors import ConvergenceError
from fvqp.models.inelastic import Inelastic, InelasticSystem
from fvqp.models.kinetics import KineticState, L, SpectralState
from fvqp.solvers.newton import solve_newton

if TYPE_CHECKING:
    from fvqp.models.usadel import UsadelProblem

Floats = NDArray[np.float64]
log = logging.getLogger(__name__)

#: Step of ln Δ with which spectra are differentiated, over the broadening, which is the width of what moves
#: with the gap; and its limits.
STEP, LEAST_STEP, LARGEST_STEP = 1e-3, 1e-8, 1e-6

#: Slope of the gap equation, distributions following the gap, above which no step is Newton's, since its root
#: may be about to end; it is −1 where they do not follow.
FLATTEST = -0.2

#: Newton steps after which a neighbouring solution counts as not found.
MOST_STEPS = 10


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
        max_steps=MOST_STEPS,
        improve=system.improve,
    )
    f = system.distributions(found.x)
    if not system.steep:
        raise ConvergenceError(f"{what}: the gap is not stable there")
    return system.kinetic.spectral, system.kinetic.kinetic(f, what), len(found.krylov), system.turned


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
        self.h = float(np.clip(STEP * problem.broadening, LEAST_STEP, LARGEST_STEP))
        self.first = self.y = float(np.log(problem.gap_field.uniform_value(gap)))
        self.kinetic = self._at(self.y, None)
        self.weight = self.kinetic.tolerance / tolerance
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
        """Those of a vector of unknowns, with ``kinetic`` in its spectra."""
        y = self._last(z)
        if y != self.y:
            if not abs(y - self.first) <= self.reach:
                raise ConvergenceError(f"{self.what}: the gap leaves the neighbourhood of the first guess")
            self.y, self.kinetic, self._ready = y, self._at(y, self.kinetic.scale), False
            self.problem.gap_field.require_superconducting(self._gap(y), self.what)
        return z[: self.kinetic.size]

    def residual(self, z: Floats) -> Floats:
        f = self.distributions(z)
        return self._joined(self.kinetic.residual(f), self.weight * self._gap_equation(self.y, f))

    def improve(self, z: Floats) -> Floats:
        """Distributions carried over to the spectra of z, by the transport equation of every energy there.

        Where the gap edge moves into a bin, diffusion grows by orders of magnitude, which no derivative
        foretells.
        """
        f = self.distributions(z)
        self.kinetic.linearize(f)
        self._ready = True
        return self._joined(f - self.kinetic.precondition(self.kinetic.residual(f)), self.y)

    def linearize(self, z: Floats) -> None:
        f = self.distributions(z)
        here = self.kinetic.residual(f)
        if not self._ready:
            self.kinetic.linearize(f)
        self._weights = self.problem.gap_field.uniform_weights(
            float(np.exp(self.y)), self.kinetic.spectral.depairing, f.reshape(self.kinetic.shape)[:, L]
        )
        beside = self.y + self.h
        self._along = (self._at(beside, self.kinetic.scale).residual(f) - here) / self.h
        self._slope = (self._gap_equation(beside, f) - self._gap_equation(self.y, f)) / self.h
        self._following = self.kinetic.precondition(self._along)
        self._total = self._slope - self._of_distributions(self._following)
        self.steep = True
        if not self._total <= FLATTEST:
            # On the way only: with this slope y moves by r, as the flow does that stable roots end.
            log.debug("%s: the slope of the gap equation is %.3g", self.what, self._total)
            self.turned |= self._total > 0.0
            self.steep = False
            self._slope, self._total = self._slope - self._total - 1.0, -1.0

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

    def _at(self, y: float, scale: Floats | None) -> InelasticSystem:
        """The kinetic equations at another gap."""
        spectral = self.problem.spectral_state(self._gap(y), self.depairing, None)
        return InelasticSystem(self.inelastic, spectral, self.external, scale)

    def _gap_equation(self, y: float, f: Floats) -> float:
        energy_mode = f.reshape(self.kinetic.shape)[:, L]
        zeta = self.kinetic.spectral.depairing
        return self.problem.gap_field.uniform_residual(float(np.exp(y)), zeta, energy_mode)

    def _of_distributions(self, df: Floats) -> float:
        """Change of the gap equation, which is linear in distributions."""
        average = self.problem.gap_field.average(df.reshape(self.kinetic.shape)[:, L])
        return float(self.comm.bcast(float(self._weights @ average)))

    def _last(self, z: Floats) -> float:
        return float(self.comm.bcast(float(z[-1]) if self.comm.rank == 0 else 0.0))

    def _joined(self, f: Floats, y: float) -> Floats:
        return np.append(f, y) if self.comm.rank == 0 else f
