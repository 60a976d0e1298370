"""Norms of changes of a state: energies of both species, relative to those held there.

Errors of time steps are measured in regions, convergence of steady states in every cell.
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from fvqp.models.boltzmann.problem import BoltzmannEquations
from fvqp.typing import Floats

#: Cells are measured by what they hold, or this part of what the fullest one holds.
FLOOR = 1e-3
#: Or this part of the energy in the fullest cell, of whichever species: less is not followed closely.
TRIFLE = 1e-6
#: Regions are measured by what they hold and this part of the energy of all.
REGION_FLOOR = 1e-3
#: And this part of the energy that has left: a decay is followed over four decades.
GONE_FLOOR = 1e-4
#: Unknowns are measured by what they hold, or this part of an equal share of what their cell holds.
MIN_SHARE = 1e-3


def energies(at: BoltzmannEquations, f: Floats, n: Floats) -> list[Floats]:
    """Energy density of occupations of both species, whatever their sign, ``(n_owned,)`` each."""
    return [
        np.einsum("ce,cme,m->c", one.weight * one.energies, np.abs(y), one.directions)
        / at.problem.cells.volume
        for y, one in zip((f, n), at.species, strict=True)
    ]


def energy_scales(at: BoltzmannEquations, f: Floats, n: Floats) -> list[Floats]:
    """Energy densities against which changes are measured, ``(n_owned,)`` each. Collective."""
    held = energies(at, f, n)
    largest = np.array([of_cells.max(initial=0.0) for of_cells in held])
    at.problem.cells.comm.Allreduce(MPI.IN_PLACE, largest, MPI.MAX)
    return [
        of_cells + FLOOR * full + TRIFLE * largest.max() for of_cells, full in zip(held, largest, strict=True)
    ]


def largest_change(at: BoltzmannEquations, change: tuple[Floats, Floats], scale: list[Floats]) -> float:
    """Return the largest change ``(f, n)`` over `energy_scales`, of both species, all cells. Collective."""
    worst = 0.0
    for of_cells, reference in zip(energies(at, *change), scale, strict=True):
        ratio = np.divide(of_cells, reference, out=np.zeros_like(of_cells), where=reference > 0.0)
        worst = max(worst, float(ratio.max(initial=0.0)) if np.all(np.isfinite(ratio)) else np.inf)
    return float(at.problem.cells.comm.allreduce(worst, MPI.MAX))


def region_energies(at: BoltzmannEquations, f: Floats, n: Floats) -> Floats:
    """Energy of occupations of both species, whatever their sign, in every region, ``(2, regions)``.
    Collective."""
    body = at.problem.cells
    own = np.array(
        [np.bincount(body.region, body.volume * one, len(body.region_names)) for one in energies(at, f, n)]
    )
    body.comm.Allreduce(MPI.IN_PLACE, own)
    return own


def region_scales(at: BoltzmannEquations, f: Floats, n: Floats, gone: float) -> Floats:
    """Energies against which errors of regions are measured, ``(2, regions)``. Collective.

    Args:
        gone: energy that has left all regions before.
    """
    held = region_energies(at, f, n)
    return np.asarray(held + REGION_FLOOR * held.sum() + GONE_FLOOR * gone)


def region_errors(at: BoltzmannEquations, change: tuple[Floats, Floats], scales: Floats) -> Floats:
    """Sums of the changes ``(f, n)`` in regions over `region_scales`, ``(2, regions)``. Collective."""
    changed = region_energies(at, *change)
    out = np.divide(changed, scales, out=np.zeros_like(changed), where=scales > 0.0)
    return np.asarray(np.where(np.isfinite(changed), out, np.inf))


def region_error(at: BoltzmannEquations, change: tuple[Floats, Floats], scales: Floats) -> float:
    """Return the largest of `region_errors`. Collective."""
    return float(np.max(region_errors(at, change, scales)))


def error_weights(at: BoltzmannEquations, f: Floats, n: Floats, scale: list[Floats]) -> list[Floats]:
    """Units of occupations in which sums of squares measure a change, shaped as f and n.

    With ``p`` the part of the energy of a cell that an occupation ``y`` holds, a change ``δ`` counts
    ``p (δ/y)²``: the sum over a cell is no less than the square of `largest_change` there.
    """
    out = []
    for y, one, of_cells in zip((f, n), at.species, scale, strict=True):
        density = one.weight * (one.energies / at.problem.cells.volume[:, None])
        energy = density[:, None, :] * one.directions[:, None]
        full = of_cells[:, None, None]
        held = np.maximum(energy * y, MIN_SHARE / (y.shape[1] * y.shape[2]) * full)
        out.append(
            np.divide(np.sqrt(held * full), energy, out=np.ones_like(y), where=(energy > 0.0) & (full > 0.0))
        )
    return out
