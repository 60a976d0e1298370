"""FiPy solves the charge mode at one energy, D_T ∇²f = R_T f, on the same mesh."""

from __future__ import annotations

import os
from unittest import mock

import numpy as np
import pytest
from mpi4py import MPI
from wire_devices import ALUMINIUM, THICKNESS, WIDTH

from fvqp.energy import EnergyAxis
from fvqp.mesh import Mesh, shape_mesh
from fvqp.models.usadel.device import Device, Reservoir
from fvqp.models.usadel.kinetics import T
from fvqp.models.usadel.problem import GapModel, UsadelProblem

XI = ALUMINIUM.coherence_length
WIDTHS = np.geomspace(0.2, 1.5, 24) * XI
HEIGHTS = np.full(7, 0.4) * XI


def referee(dim: int, diffusion: float, reaction: float, value: float) -> np.ndarray:
    """FiPy's solution in units of ξ: ``value`` on the left, 0 on the right, walls, a source of one."""
    # For this import alone: runs on several ranks that other tests start cannot use these solvers.
    with mock.patch.dict(os.environ, FIPY_SOLVERS="scipy"):
        import fipy

    more = {key: list(HEIGHTS / XI) for key in ("dy", "dz")[: dim - 1]}
    make = (fipy.Grid1D, fipy.Grid2D, fipy.Grid3D)[dim - 1]
    mesh = make(dx=list(WIDTHS / XI), communicator=fipy.tools.serialComm, **more)
    f = fipy.CellVariable(mesh=mesh, value=0.0)
    f.constrain(value, mesh.facesLeft)
    f.constrain(0.0, mesh.facesRight)
    equation = fipy.DiffusionTerm(coeff=diffusion) - fipy.ImplicitSourceTerm(coeff=reaction) + 1.0
    equation.solve(var=f, solver=fipy.solvers.LinearLUSolver(tolerance=1e-15, iterations=20))
    return np.array(f.value)


def ours(mesh: Mesh, diffusion: float, reaction: float, value: float) -> tuple[np.ndarray, UsadelProblem]:
    """The same on our transport operator, in siemens; conductances carry the transverse size of the wire."""
    from fvqp.models.linear import TransportSolver
    from fvqp.transport.operator_tables import Coefficients

    device = Device(
        mesh,
        ALUMINIUM,
        [],
        [Reservoir("left", ("left",), 0.1), Reservoir("right", ("right",), 0.1)],
        width=WIDTH if mesh.dim == 1 else None,
        thickness=THICKNESS if mesh.dim < 3 else None,
    )
    problem = UsadelProblem(device, EnergyAxis.uniform(0.1, 3.0), 0.1, gap=GapModel("fixed", value=1.0))
    transport = device.transport()
    operator = transport.at(
        Coefficients(
            diffusion=np.full((1, 1, 1), diffusion),
            reaction=np.full((1, 1, 1), reaction),
        )
    )
    x = TransportSolver(transport).solve(
        operator,
        np.array([[[[value], [0.0]]]]),
        source=transport.capacity[None, :, None, None],
        what=lambda _: "the referee's problem",
    )
    return x[0, :, 0, 0], problem


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("energy", [3, 10, 25])
def test_fipy_agrees_to_round_off(dim: int, energy: int) -> None:
    """Below, at and above the gap; relative to the largest value, with the spectra of that energy bin."""
    more = {key: HEIGHTS for key in ("dy", "dz")[: dim - 1]}
    mesh = shape_mesh(f"grid{dim}d", dx=WIDTHS, comm=MPI.COMM_SELF, **more)  # type: ignore[arg-type]
    _, problem = ours(mesh, 1.0, 1.0, 1.0)
    state, _ = problem.at_rest(0.0)
    spectrum = problem.kinetics.spectrum(state)
    coefficients = problem.kinetics.coefficients(state, spectrum, (T,))
    diffusion = float(coefficients.diffusion[0, 0, energy])
    reaction = float(coefficients.reaction[0, 0, energy])
    assert diffusion > 0.0 and reaction > 0.0
    found, _ = ours(mesh, diffusion, reaction, 0.7)
    expected = referee(dim, diffusion, reaction, 0.7)
    assert np.abs(found - expected).max() < 1e-12 * np.abs(expected).max()
