"""The film, 2e4 quads, 200 energies, against FiPy energy by energy."""

from __future__ import annotations

import fipy
import numpy as np
import pytest
from timing import median
from wire_devices import ALUMINIUM, THICKNESS, UM
from wire_problems import FILM, FILM_ENERGIES, film, respond_T

from fvqp.models.usadel.problem import UsadelProblem

pytestmark = pytest.mark.benchmark
#: Energies that FiPy solves; its time for one is taken for all.
SAMPLE = (20, 60, 100, 140, 180)


class Peer:
    """``∇·(D_T ∇f) = R_T f + t (f − f_lead)`` by FiPy on the same mesh, with the same spectral functions."""

    def __init__(self, problem: UsadelProblem) -> None:
        nx, ny = FILM
        xi = ALUMINIUM.coherence_length
        self.mesh = fipy.Grid2D(
            nx=nx,
            ny=ny,
            dx=11 * UM / nx / xi,
            dy=0.15 * UM / ny / xi,
            communicator=fipy.tools.serialComm,
        )
        self.spectrum = problem.kinetics.spectrum(problem.at_rest(0.0)[0])
        device, regions = problem.device, problem.device.mesh.regions
        cells = device.mesh.n_cells
        # Siemens of a junction over those of charge relaxation in the same volume, σ V/ξ².
        volume = 11 * UM * 0.15 * UM * THICKNESS / cells
        per_cell = ALUMINIUM.conductivity * volume / xi**2
        self.tunnel, self.driven = np.zeros(cells), np.zeros(cells)
        for number, junction in enumerate(device.junctions):
            place = regions[junction.on]
            share = junction.conductance / len(place) / per_cell
            self.tunnel[place] += share
            if number == 0:
                self.driven[place] += share

    def solve(self, energy: int) -> np.ndarray:
        dos = self.spectrum.dos[0, energy]
        f = fipy.CellVariable(mesh=self.mesh, value=0.0)
        f.constrain(0.0, self.mesh.facesLeft)
        f.constrain(0.0, self.mesh.facesRight)
        loss = self.spectrum.relaxation_T[0, energy] + dos * self.tunnel
        equation = (
            fipy.DiffusionTerm(coeff=self.spectrum.diffusion_T[0, energy])
            - fipy.ImplicitSourceTerm(coeff=fipy.CellVariable(mesh=self.mesh, value=loss))
            + fipy.CellVariable(mesh=self.mesh, value=dos * self.driven)
        )
        equation.solve(var=f, solver=fipy.solvers.LinearLUSolver(tolerance=1e-12, iterations=1))
        return np.array(f.value)


def test_film(benchmark, report):
    problem = film()
    found = benchmark.pedantic(lambda: respond_T(problem), rounds=7, warmup_rounds=1)
    ours = median(lambda: respond_T(problem))
    peer = Peer(problem)
    difference = max(np.abs(peer.solve(e) / found[:, e] - 1.0)[found[:, e] > 1e-9].max() for e in SAMPLE)
    times = [median(lambda e=e: peer.solve(e), 3) for e in SAMPLE]
    wall, cpu = (FILM_ENERGIES * float(np.median(column)) for column in zip(*times, strict=True))
    report("film, ours: all energies", f"{ours.wall:.2f} s, processor {ours.cpu:.2f} s")
    report(f"  FiPy (SuperLU), {FILM_ENERGIES}/{len(SAMPLE)} × these", f"{wall:.1f} s, processor {cpu:.1f} s")
    report("  FiPy / ours", f"{wall / ours.wall:.0f}, by processor time {cpu / ours.cpu:.0f}")
    report("  largest relative difference", f"{difference:.1e}")
    assert difference < 1e-8
    assert wall > 20.0 * ours.wall
