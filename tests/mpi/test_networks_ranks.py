"""Lines joined at nodes on any number of ranks: the same mesh, the same distributions."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from networks import CROSS, LOOP, TEE, Network
from wire_devices import ALUMINIUM, CONDUCTANCE, TEMPERATURE, THICKNESS, UM, WIDTH, graded

from fvqp.materials import Material
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.phase import Supercurrent
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.models.usadel.weak_link import WeakLink
from fvqp.results.checkpoint import mesh_hash

pytestmark = pytest.mark.mpi
WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF


@pytest.mark.parametrize("network", [TEE, LOOP, CROSS])
def test_mesh(network: Network) -> None:
    mesh, serial = network.mesh(8.0, WORLD), network.mesh(8.0, SELF)
    assert mesh_hash(mesh) == mesh_hash(serial) and mesh.n_global == serial.n_global
    assert mesh.total(mesh.volume) == pytest.approx(network.lengths.sum(), rel=1e-14)
    own = mesh.nodes[mesh.nodes < mesh.n_owned]
    assert WORLD.allreduce(len(own)) == len(serial.nodes)
    # Every owned node has all its arms here.
    arms = np.bincount(mesh.face_cells[mesh.face_cells >= 0], minlength=mesh.n_cells)[own]
    of = dict(
        zip(serial.nodes, np.bincount(serial.face_cells[serial.face_cells >= 0])[serial.nodes], strict=True)
    )
    assert [of[int(g)] for g in mesh.global_id[own]] == list(arms)


@pytest.mark.ranks(2)
def test_supercurrents_of_three_phases() -> None:
    """A normal T between superconductors."""
    normal = Material("N", 0.0, ALUMINIUM.diffusivity, ALUMINIUM.resistivity)
    found = []
    for comm in (WORLD, SELF):
        mesh = TEE.mesh(12.0, comm, 1e-7)
        regions = {"wire": normal, "side": normal}
        ends = [Reservoir(f"S{k}", (f"end{k}",), 0.1, ALUMINIUM.gap) for k in range(3)]
        device = Device(mesh, ALUMINIUM, [], ends, width=WIDTH, thickness=THICKNESS, regions=regions)
        link = WeakLink(device, 1e-3)
        states = link.dos([0.1], [0.0, 1.0, 2.0])[:, 0]
        found.append([*link.currents([0.0, 1.0, 2.0]), mesh.total(states * mesh.volume)])
    assert abs(sum(found[0][:3])) < 1e-9 * abs(found[0][0])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-7)


@pytest.mark.ranks(2)
@pytest.mark.slow
def test_branched_wire() -> None:
    """A loop with a supercurrent and a gap that follows: as on one rank, and balanced."""
    found = []
    for comm in (WORLD, SELF):
        mesh = LOOP.mesh(16.0, comm, UM)
        junctions = [
            Junction("A", "fork", CONDUCTANCE["A"], "injector", TEMPERATURE["A"]),
            Junction("B", "long", CONDUCTANCE["B"], "detector", TEMPERATURE["B"]),
        ]
        ends = [Reservoir("ends", ("end0", "end1"), 0.024)]
        device = Device(mesh, ALUMINIUM, junctions, ends, width=WIDTH, thickness=THICKNESS)
        drive = Supercurrent("end0", "end1", "phase_gradient", (0.1,))
        problem = UsadelProblem(
            device, graded(0.02, 48), 0.02, gap=GapModel("uniform", at="fork"), supercurrent=drive
        )
        solution = solve_point(problem, Point(3e-4, 0.0, 0.1))
        ledger = problem.ledger(solution)
        assert np.all(np.abs(ledger.residual) <= 1e-10 * np.abs(ledger.injected))
        assert solution.phase is not None
        found.append([*problem.junction_currents(solution.kinetic.currents), solution.phase.current])
    np.testing.assert_allclose(found[0], found[1], rtol=1e-7)
