"""The problems that are timed."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI
from wire_devices import CONDUCTANCE, UM, graded, wire

from fvqp.mesh import Mesh, shape_mesh
from fvqp.models.usadel.kinetics import T
from fvqp.models.usadel.problem import UsadelProblem

#: Dynes broadening of the fit to Fig. 10.
GAMMA = 1.53e-3
FILM, FILM_ENERGIES = (1330, 15), 200


def film_mesh(shape: tuple[int, int] = FILM, comm: MPI.Comm = MPI.COMM_SELF) -> Mesh:
    """The wire of 11 µm × 150 nm in equal quads, junctions A and B on 150 nm of its length."""
    nx, ny = shape
    return shape_mesh(
        "grid2d",
        dx=np.full(nx, 11 * UM / nx),
        dy=np.full(ny, 0.15 * UM / ny),
        origin=(-5.5 * UM, 0.0, 0.0),
        regions={"junction_A": (-0.375 * UM, -0.225 * UM), "junction_B": (-0.075 * UM, 0.075 * UM)},
        comm=comm,
    )


def film(
    shape: tuple[int, int] = FILM, energies: int = FILM_ENERGIES, comm: MPI.Comm = MPI.COMM_SELF
) -> UsadelProblem:
    """The film with its spectra at rest already known."""
    device = wire(film_mesh(shape, comm), "junction_A", "junction_B", conductance=CONDUCTANCE)
    problem = UsadelProblem(device, graded(GAMMA, energies), GAMMA)
    problem.at_rest(0.0)
    return problem


def respond_T(problem: UsadelProblem) -> np.ndarray:
    """f_T of every cell and energy for one in the injector's lead: spectra, matrices, solution, check."""
    external = np.zeros((1, 2, len(problem.device.terminals), problem.grid.n))
    external[0, T, 0] = 1.0
    (state,) = problem.kinetics.solve(problem.at_rest(0.0)[0], external, only=T)
    return state.deviation(T)
