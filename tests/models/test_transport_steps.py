"""Time steps of transport: what they do where phonons of an energy run out."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI

from fvqp.collisions import CollisionGrid, Coupling, ElectronPhonon, thermal
from fvqp.mesh import shape_mesh
from fvqp.models.transport import Medium, TransportProblem
from fvqp.models.transport.linearized import DIP, _without_dips
from fvqp.models.transport.stepping import KEPT, Stepper


def test_spectra_without_dips() -> None:
    n = np.array([[1.0, 1e-8, 1e-9, 1e-2, 1e-7, 1e-12]])
    assert np.array_equal(_without_dips(n), [[1.0, DIP * 1e-2, DIP * 1e-2, 1e-2, 1e-7, 1e-12]])


def test_no_occupation_is_cut_to_nothing() -> None:
    """What falls below 0 keeps a part of what it was, and energy stays that of the step."""
    grid = CollisionGrid.uniform(0.25, 3.0)
    line = shape_mesh("grid1d", nx=3, Lx=1e-6, comm=MPI.COMM_SELF)
    medium = Medium(ElectronPhonon(grid, Coupling(1.85, 0.041), "direct"), 1.0)
    problem = TransportProblem(line, grid, medium)
    begin = problem.state(*thermal(grid, 0.3))
    f, n = begin.f.copy(), begin.n.copy()
    n[:, :, -1] *= -0.2  # at all places
    n[1, :, -2] *= -0.2  # at one
    kept_f, kept = Stepper(problem, 0.1, None)._positive(begin, f, n)
    assert np.array_equal(kept_f, f)
    # two cells pay for the third one
    assert np.all(kept >= KEPT * 1.8 / 2.5 * begin.n * (1.0 - 1e-3))
    weight, energies, directions = problem.species[1]
    before, after = (np.einsum("ce,cme,m->e", weight * energies, a, directions) for a in (n, kept))
    assert abs(after.sum() / before.sum() - 1.0) < 1e-14
    # what one cell got at an energy came from the others
    assert abs(after[-2] / before[-2] - 1.0) < 1e-3
