"""A small film to write results of."""

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.mesh import shape_mesh
from fvqp.results import SweepDataset


@pytest.fixture
def film():
    return shape_mesh("grid2d", nx=6, ny=4, Lx=6e-7, Ly=4e-7, comm=MPI.COMM_SELF)


@pytest.fixture
def sweep():
    """Non-local conductance with all four symmetries over supercurrent and bias."""
    current = np.linspace(-10e-6, 10e-6, 5)
    bias = np.linspace(-1e-3, 1e-3, 11)
    coordinates = {"phase_gradient": (("supercurrent",), current / 30e-6)}
    data = SweepDataset(
        {"supercurrent": current, "V_det": [0.0], "V_inj": bias}, coordinates, {"title": "test"}
    )
    for i, current_at in enumerate(current / 1e-5):
        for j, bias_at in enumerate(bias / 1e-3):
            g = 1 + bias_at**2 + 0.3 * bias_at + 0.2 * current_at * bias_at**2 + 0.1 * current_at * bias_at
            data.record(
                (i, 0, j), g_nl=1e-9 * g, gap=265e-6 * (1 - 0.1 * abs(bias_at)), I_s=current_at * 1e-5
            )
    return data
