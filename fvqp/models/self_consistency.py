"""Self-consistency of an operating point: gap and phase gradients follow the distributions they shape."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fvqp.errors import ConvergenceError
from fvqp.models.gap_field import TRAPS
from fvqp.models.kinetics import KineticState, L, SpectralState, T
from fvqp.models.phase import PhaseField
from fvqp.models.points import Guess, Point, Solution
from fvqp.solvers.fixed_point import solve_fixed_point

if TYPE_CHECKING:
    from fvqp.models.usadel import UsadelProblem

Floats = NDArray[np.float64]


def solve_self_consistent(
    problem: UsadelProblem, point: Point, external: Floats, guess: Guess | Solution | None
) -> Solution:
    """Fixed point of gap and phase gradients at an operating point.

    The iterate is the gap (one number for a uniform one, else one a cell) and, where a current flows, ``ξ∇φ``
    of every cell; the depairing follows from it. Its three components carry the direction of the current,
    which the depairing alone would not.

    Args:
        problem: the problem.
        point: what is prescribed; ``external``: the lead distributions that belong to it.
        guess: a neighbouring solution to start from.

    Raises:
        ConvergenceError: no fixed point is found, or superconductivity is destroyed.
    """
    iteration = _Iteration(problem, point, external, guess)
    try:
        result = solve_fixed_point(
            iteration.update,
            iteration.start,
            comm=problem.device.mesh.comm,
            tolerance=problem.tolerance,
            what=iteration.what,
            max_evaluations=problem.maximum_iterations,
        )
    except ConvergenceError as error:
        if problem.gap.kind != "local" or TRAPS in str(error):
            raise
        raise ConvergenceError(f"{error}; {TRAPS}") from None
    spectral, kinetic = iteration.spectral, iteration.kinetic
    assert kinetic is not None, "the fixed point evaluates its map at least once"
    if iteration.energy_only and spectral.drop is None:
        # f_T does not act back on the gap: it is found once, at the end.
        (charge,) = problem.kinetics.solve(spectral, external[None], only=T)
        kinetic = kinetic.plus(charge)
    return Solution(point, spectral, kinetic, iteration.phase, result.evaluations)


class _Iteration:
    """The map of the fixed point and what its last evaluation found."""

    def __init__(
        self, problem: UsadelProblem, point: Point, external: Floats, guess: Guess | Solution | None
    ) -> None:
        self.problem, self.point, self.external = problem, point, external
        self.mesh = problem.device.mesh
        if guess is None or guess.point.supercurrent != point.supercurrent:
            # Another supercurrent lends nothing: its phase drops may even have the opposite sign.
            self.spectral, self.phase = problem.at_rest(point.supercurrent)
        else:
            self.spectral, self.phase = guess.spectral, guess.phase
        self.kinetic: KineticState | None = guess.kinetic if isinstance(guess, Solution) else None
        self.energy_only = not problem.self_consistent_phase
        self.flows = self.phase is not None and (point.supercurrent != 0.0 or problem.self_consistent_phase)
        self.uniform = problem.gap.kind == "uniform"
        self.what = f"self-consistent gap at V_inj = {point.V_inj:.6g} V, V_det = {point.V_det:.6g} V"
        if point.supercurrent:
            self.what += f", supercurrent {point.supercurrent:g}"

    @property
    def start(self) -> Floats:
        """First iterate."""
        gap = np.broadcast_to(self.spectral.gap, (self.mesh.n_cells,))
        return self._packed(gap, self.phase)

    def update(self, iterate: Floats) -> Floats:
        """Spectra of the iterate, distributions in these spectra, gap and phase from these distributions."""
        problem = self.problem
        gap, depairing = self._expanded(iterate)
        spectral: SpectralState = problem.spectral_state(gap, depairing, self.phase)
        only = L if self.energy_only else None
        (kinetic,) = problem.kinetics.solve(spectral, self.external[None], only=only, guess=self.kinetic)
        f_l = kinetic.deviation(L)
        new_gap = problem.gap_field.update(gap, depairing, f_l)
        problem.gap_field.require_superconducting(new_gap, self.what)
        self.spectral, self.kinetic = spectral, kinetic
        if self.flows:
            source = None if self.energy_only else problem.kinetics.condensate_source(spectral, kinetic)
            self.phase = problem.phase_for(gap, depairing, f_l, self.point.supercurrent, source)
        return self._packed(new_gap, self.phase)

    def _packed(self, gap: Floats, phase: PhaseField | None) -> Floats:
        if self.uniform:
            # Any superconducting cell tells the one number; the root holds it.
            here = gap / np.where(
                self.problem.gap_field.profile > 0.0, self.problem.gap_field.profile, np.inf
            )
            numbers = self.mesh.comm.allgather(float(here.max(initial=0.0)))
            head = np.array([max(numbers)] if self.mesh.comm.rank == 0 else [])
        else:
            head = gap[: self.mesh.n_owned]
        return np.concatenate([head, phase.gradients.ravel() if self.flows and phase is not None else []])

    def _expanded(self, iterate: Floats) -> tuple[Floats, Floats]:
        """Gap and depairing of every cell, ghosts included."""
        mesh, problem = self.mesh, self.problem
        n = mesh.n_owned
        gap = np.zeros(mesh.n_cells)
        if self.uniform:
            root = mesh.comm.rank == 0
            gap[:] = max(mesh.comm.bcast(float(iterate[0]) if root else 0.0), 0.0) * problem.gap_field.profile
            rest = iterate[1:] if root else iterate
        else:
            gap[:n] = np.maximum(iterate[:n], 0.0)
            mesh.exchange(gap)
            rest = iterate[n:]
        if not self.flows:
            return gap, np.broadcast_to(self.spectral.depairing, (mesh.n_cells,)).copy()
        depairing = np.zeros(mesh.n_cells)
        depairing[:n] = problem.depairing + 0.5 * np.sum(rest.reshape(n, 3) ** 2, axis=1)
        mesh.exchange(depairing)
        return gap, depairing
