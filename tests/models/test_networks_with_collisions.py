"""Electron-electron collisions on networks whose wires leave the plane, with any kind of gap and spectra."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from networks import Network
from wire_devices import ALUMINIUM, CONDUCTANCE, TEMPERATURE, THICKNESS, UM, WIDTH

from fvqp.collisions import InelasticCollisions
from fvqp.energy import EnergyAxis
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem

#: A wire with injector A and detector B on either side of a node, where an arm leaves it across y and z.
CROSSING = Network(
    points=[(-1, 0, 0), (-0.2, 0, 0), (0, 0, 0), (0.1, 0, 0), (1.1, 0, 0), (0, 0.3, 0.4)],
    wires=[(0, 1), (1, 2), (2, 3), (3, 4), (2, 5)],
    regions={},
    marks={"A": 1, "B": 3},
)


def crossing(gap: GapModel, spectra: Literal["local", "diffusive"], *, bent: bool = False) -> UsadelProblem:
    """The network; ``bent`` turns the arm into the plane, where it is as long."""
    points = [*CROSSING.points[:5], (0, 0.5, 0)] if bent else CROSSING.points
    network = Network(points=points, wires=CROSSING.wires, regions={}, marks=CROSSING.marks)
    junctions = [
        Junction(name, name, CONDUCTANCE[name], role, TEMPERATURE[name])  # type: ignore[arg-type]
        for name, role in (("A", "injector"), ("B", "detector"))
    ]
    ends = Reservoir("ends", tuple(f"end{k}" for k in range(len(network.ends))), 0.024)
    device = Device(
        network.mesh(20.0, scale=UM), ALUMINIUM, junctions, [ends], width=WIDTH, thickness=THICKNESS
    )
    grid = EnergyAxis.uniform(0.1, 5.0)
    return UsadelProblem(
        device, grid, 0.05, gap, collisions=InelasticCollisions(2e-4), spectra=spectra, tolerance=1e-7
    )


@pytest.mark.parametrize(
    ("gap", "spectra"),
    [
        (GapModel("uniform", at="A"), "local"),
        pytest.param(GapModel("uniform", at="A"), "diffusive", marks=pytest.mark.slow),
        pytest.param(GapModel("local"), "local", marks=pytest.mark.slow),
        pytest.param(GapModel("local"), "diffusive", marks=pytest.mark.slow),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind,
)
def test_balances(gap: GapModel, spectra: Literal["local", "diffusive"]) -> None:
    problem = crossing(gap, spectra)
    assert np.ptp(problem.device.mesh.centroid[:, 2]) > 0.3 * UM
    solution = None
    for bias in (0.8, 1.2, 2.0, 3.6):
        solution = solve_point(problem, Point(bias * problem.device.voltage_unit), solution)
    assert solution is not None
    ledger = problem.ledger(solution)
    assert np.all(np.abs(ledger.residual) < 1e-10 * np.abs(ledger.injected))
    assert abs(ledger.relaxed[1]) < 1e-11 * ledger.injected[1]
    # Above three gaps pairs are broken beside those that are injected.
    assert ledger.relaxed[0] < -1e-3 * ledger.injected[0]
    if gap.kind == "uniform" and spectra == "local":
        # The equations know lengths, not directions.
        flat = crossing(gap, spectra, bent=True)
        same = solve_point(flat, Point(3.6 * flat.device.voltage_unit), solution)
        np.testing.assert_allclose(same.spectral.gap, solution.spectral.gap, rtol=1e-6)
        np.testing.assert_allclose(
            flat.junction_currents(same.kinetic.currents),
            problem.junction_currents(solution.kinetic.currents),
            rtol=1e-6,
        )
