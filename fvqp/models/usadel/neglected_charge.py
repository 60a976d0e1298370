"""Estimate of the charge imbalance that collisions would relax, where they are computed without f_T.

In the spectra and with the f_L of a solution, f_T would obey ``b − A f_T − c I_T(f_L, f_T) = 0`` with the
collision integral of both modes (theory: charge_mode). With J its derivative by f_T, what a small change of
the bias of the injectors adds to f_T changes from ``A⁻¹ b_V`` to ``(A + cJ)⁻¹ b_V`` (f_L fixed). Every energy
by itself preconditions the solution, with the loss rate of collisions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from mpi4py import MPI

from fvqp.collisions import Spectra
from fvqp.models.usadel.kinetics import L, T
from fvqp.models.usadel.problem import Solution, UsadelProblem
from fvqp.solvers.matrix_free import gmres
from fvqp.typing import Floats

#: Accuracy of the estimate, and GMRES directions at most.
RTOL, MAX_DIRECTIONS = 1e-2, 60
#: Prefix of PETSc's options of its linear solve.
OPTIONS = "fvqp_charge_"


def neglected_relaxation(problem: UsadelProblem, solution: Solution) -> float:
    """Return by how much collisions of f_T would change the charge imbalance of superconducting cells.

    Of what a small change of the bias of the injectors adds to it, ``∫ N ∂f_T/∂V dε``, or of all of it where
    no bias is varied, the largest change over the largest value; 0 without superconducting cells or without
    imbalance. Collective.

    Args:
        problem: with collisions that leave out f_T.
        solution: a solution of it.
    """
    assert problem.collisions is not None, "there are collisions"
    kinetics, mesh, grid, spectral = problem.kinetics, problem.device.mesh, problem.grid, solution.spectral
    n, comm = mesh.n_owned, mesh.comm
    gapped = np.broadcast_to(spectral.gap > 0.0, (mesh.n_cells,))[:n]
    spectrum = kinetics.kept_spectrum(spectral)
    rows = slice(None) if len(spectrum.dos) == 1 else slice(n)

    def largest(f_t: Floats) -> float:
        charge = np.abs((spectrum.dos[rows] * f_t) @ grid.widths)[gapped]
        return float(comm.allreduce(float(charge.max(initial=0.0)), MPI.MAX))

    f = np.stack([solution.kinetic.deviation(c, slice(n)) for c in (L, T)], axis=1)
    driven = f[:, [T]]
    slope = problem.external_slope(solution.point, solution.leads)
    if np.any(slope[T] != 0.0):
        slope[L] = 0.0
        (by_bias,) = kinetics.solve(spectral, slope[None], only=T)
        driven = by_bias.deviation(T, slice(n))[:, None]
    whole = largest(driven[:, 0])
    if whole == 0.0:
        return 0.0
    f[:, L] += np.tanh(grid.energies / (2.0 * problem.device.bath))
    collisions = replace(problem.collisions, charge=True).on(grid)
    collided = collisions.at(Spectra(spectrum.dos[rows], spectrum.pairing[rows], spectrum.re_F[rows]), f)
    capacity = kinetics.transport.capacity[:, None, None]
    operator = kinetics.transport.at(kinetics.coefficients(spectral, spectrum, (T,)))
    leads = np.zeros((1, *solution.kinetic.external.shape[1:]))
    loss = capacity * np.maximum(collided.loss[:, [T]], 0.0)
    invert: Callable[[Floats], Floats] = kinetics.solver.preconditioner(operator, loss)

    def collided_by(step: Floats) -> Floats:
        both = np.concatenate([np.zeros_like(step), step], axis=1)
        return np.asarray(-capacity * collided.jvp(both)[:, [T]])

    def action(step: Floats) -> Floats:
        everywhere = np.empty((mesh.n_cells, 1, grid.n))
        everywhere[:n] = step
        mesh.exchange(everywhere)
        return np.asarray(collided_by(step) - operator.residual(everywhere, leads))

    driving = -collided_by(driven)
    if not comm.allreduce(bool(np.any(driving)), MPI.LOR):
        return 0.0
    # From the left: residuals are measured as errors of f_T.
    change = gmres(
        lambda step: invert(action(step)),
        invert(driving),
        comm=comm,
        prefix=OPTIONS,
        rtol=RTOL,
        most=MAX_DIRECTIONS,
    ).x
    return largest(change[:, 0]) / whole
