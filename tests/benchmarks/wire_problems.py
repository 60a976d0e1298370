"""The problems that are timed, and how."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from mpi4py import MPI
from wire_devices import CONDUCTANCE, UM, graded, wire

from fvqp.mesh import Mesh, shape_mesh
from fvqp.models.kinetics import T
from fvqp.models.usadel import UsadelProblem

#: Dynes broadening of the fit to Fig. 10.
GAMMA = 1.53e-3
FILM, FILM_ENERGIES = (1330, 15), 200


class Seconds(NamedTuple):
    """Medians of several calls: on the clock, and of this process's processor time."""

    wall: float
    cpu: float


def median(action: Callable[[], object], repeat: int = 5) -> Seconds:
    """Median times of several calls, after one that compiles and analyses."""
    action()
    times = []
    for _ in range(repeat):
        wall, cpu = time.perf_counter(), time.process_time()
        action()
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    wall, cpu = np.median(times, axis=0)
    return Seconds(float(wall), float(cpu))


def least(actions: list[Callable[[], object]], repeat: int = 7) -> list[float]:
    """Least processor times; the actions take turns, so that all of them meet the same neighbours."""
    times = []
    for _ in range(repeat + 1):
        row = []
        for action in actions:
            start = time.process_time()
            action()
            row.append(time.process_time() - start)
        times.append(row)
    return np.min(times[1:], axis=0).tolist()


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
