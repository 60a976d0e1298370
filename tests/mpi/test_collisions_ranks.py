"""Collisions with phonons and of the charge mode, and branches of solutions, on several ranks."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from wire_devices import line_mesh, wire

from fvqp.collisions import InelasticCollisions, PhononBath
from fvqp.energy import EnergyAxis
from fvqp.models.usadel.branches import follow_gap
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.models.usadel.slopes import conductances

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = pytest.mark.mpi
BATH = 0.024


def pair(
    collisions: InelasticCollisions | None, gap: GapModel, conductance: float = 24.6e-6
) -> list[UsadelProblem]:
    """The same problem on all ranks together and on each by itself."""
    strong = {"A": conductance, "B": 31.4e-6}
    return [
        UsadelProblem(
            wire(line_mesh(10, 9, comm), "point_A", "point_B", conductance=strong),
            EnergyAxis.uniform(0.1, 4.0),
            0.05,
            gap,
            collisions=collisions,
        )
        for comm in (WORLD, SELF)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["charge", "own phonons"])
def test_collisions(kind: str) -> None:
    thermal = BATH / wire(line_mesh(10, 9, SELF), "point_A").thermal_unit
    phonons = PhononBath(1e-3, 1.764, thermal, *((None, None) if kind == "charge" else (1.0, 1e-2)))
    chosen = InelasticCollisions(1e-3, phonons=phonons, charge=kind == "charge")
    found, expected = pair(chosen, GapModel("uniform", at="point_A"))
    point = Point(4e-4)
    here, serial = solve_point(found, point), solve_point(expected, point)
    np.testing.assert_allclose(here.spectral.gap, serial.spectral.gap, rtol=1e-9)
    for mine, theirs in (
        (conductances(found, here), conductances(expected, serial)),
        (found.ledger(here).relaxed, expected.ledger(serial).relaxed),
    ):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-9 * np.abs(theirs).max())


@pytest.mark.slow
@pytest.mark.ranks(2, 4)
@pytest.mark.parametrize("kind", ["uniform", "local"])
def test_branches(kind: str) -> None:
    gap = GapModel("uniform", at="point_A") if kind == "uniform" else GapModel("local")
    found, expected = pair(None, gap, 2e-3 if kind == "uniform" else 1e-4)
    biases = [0.7 * found.device.voltage_unit, 0.85 * found.device.voltage_unit]
    here, serial = (follow_gap(problem, Point(), biases) for problem in (found, expected))
    np.testing.assert_allclose(here.biases, serial.biases, rtol=1e-6, atol=1e-12)
    np.testing.assert_allclose(here.fold_biases, serial.fold_biases, rtol=1e-6)
    for bias in biases:
        assert len(here.crossings[bias]) == len(serial.crossings[bias])
