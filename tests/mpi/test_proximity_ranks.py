"""Spatially coupled spectra are the same on any number of ranks."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from proximity_devices import UNIT, line, slab

from fvqp.energy import EnergyAxis
from fvqp.mesh import Mesh
from fvqp.models.usadel.device import Device, Junction
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = [pytest.mark.mpi, pytest.mark.ranks(2)]
GRID = EnergyAxis.uniform(0.25, 3.5)


def everywhere(mesh: Mesh, values: np.ndarray) -> np.ndarray:
    """A cell quantity of all ranks, by the cells' numbers in the file, on every rank."""
    out = np.zeros((mesh.n_global, *values.shape[1:]))
    out[mesh.global_id[: mesh.n_owned]] = values[: mesh.n_owned]
    mesh.comm.Allreduce(MPI.IN_PLACE, out)
    return out


def assert_same(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_allclose(found, expected, rtol=0.0, atol=1e-10 * float(np.abs(expected).max()))


def solved(device: Device, gap: str) -> UsadelProblem:
    return UsadelProblem(device, GRID, 0.05, gap=GapModel(gap), spectra="diffusive")  # type: ignore[arg-type]


@pytest.mark.parametrize("gap", ["equilibrium", pytest.param("local", marks=pytest.mark.slow)])
def test_wire_with_a_normal_part(gap: str) -> None:
    junctions = (Junction("A", "tip", 1e-3 * UNIT, "injector", 0.05),)
    both = []
    for comm in (WORLD, SELF):
        device = line(
            12.0, 12, normal=(8.0, 12.0), right=1.0, barrier=1.0, junctions=junctions, points={"tip": 4.0},
            comm=comm,
        )  # fmt: skip
        problem = solved(device, gap)
        solution = solve_point(problem, Point(5e-4))
        spectrum = problem.kinetics.spectrum(solution.spectral)
        ledger = problem.ledger(solution)
        assert np.all(np.abs(ledger.residual) <= 1e-10 * np.abs(ledger.injected))
        fields = (
            solution.spectral.gap[:, None],
            spectrum.dos,
            spectrum.diffusion_T,
            solution.kinetic.deviation(0),
        )
        both.append([everywhere(device.mesh, values) for values in fields])
        both[-1].append(problem.junction_currents(solution.kinetic.currents))
    for found, expected in zip(*both, strict=True):
        assert_same(found, expected)


@pytest.mark.slow
def test_skewed_cells() -> None:
    both = []
    for comm in (WORLD, SELF):
        device = slab(6, 3.0, comm)
        problem = solved(device, "equilibrium")
        spectrum = problem.kinetics.spectrum(problem.at_rest(0.0)[0])
        both.append(everywhere(device.mesh, spectrum.dos))
    assert_same(*both)
