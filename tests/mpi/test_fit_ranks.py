"""A fit on several ranks finds what it finds on one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI

import fvqp

pytestmark = pytest.mark.mpi

CASE = """
model = "usadel"
mesh.shape.kind = "grid1d"
mesh.shape.nx = 36
mesh.shape.Lx = "6 um"
mesh.shape.boundaries = { point_A = "2.5 um", point_B = "3.5 um" }
cross_section = { width = "150 nm", thickness = "8 nm" }
material.name = "Al_ryan2026"
reservoirs = [{ on = ["left", "right"], temperature = "24 mK" }]
spectrum.broadening = 0.02
energies.number = 100
sweep = { V_inj = ["0.4 mV"], V_det = ["0 V"] }

[[junctions]]
name = "A"
on = "point_A"
conductance = "24.6 uS"
role = "injector"
temperature = "61 mK"

[[junctions]]
name = "B"
on = "point_B"
conductance = "31.4 uS"
role = "detector"
temperature = "37 mK"
"""
DATA = "V_inj (mV), g_nl (nS)\n0.28,12\n0.32,20\n0.36,24\n0.40,27\n0.44,28\n"


@pytest.mark.slow
def test_fit(tmp_path_factory: pytest.TempPathFactory) -> None:
    world = MPI.COMM_WORLD
    folder = None
    if world.rank == 0:
        folder = tmp_path_factory.mktemp("fit")
        (folder / "case.toml").write_text(CASE)
        (folder / "data.csv").write_text(DATA)
    folder = Path(world.bcast(folder))
    arguments = (folder / "case.toml", folder / "data.csv", ["spectrum.broadening"])
    together = fvqp.fit(*arguments, out=folder / "together").dataset
    alone = fvqp.fit(*arguments, comm=MPI.COMM_SELF).dataset
    np.testing.assert_allclose(together["value"], alone["value"], rtol=1e-6)
    np.testing.assert_allclose(together["error"], alone["error"], rtol=1e-4)
    world.Barrier()
    assert (folder / "together" / "figures" / "fit.png").exists()
