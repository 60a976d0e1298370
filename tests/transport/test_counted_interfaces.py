"""Counters of interfaces: what one region loses through them and the other gains."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from streaming_problems import SCHEMES, SPEEDS, meshes
from test_refraction import halves, slabs
from transport_problems import plain

from fvqp.mesh import Mesh, build_mesh
from fvqp.models.boltzmann.streaming import StreamingSolver
from fvqp.transport.diffusive_limit import DiffusiveLimit
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import MIRROR, AcousticInterface, TransmittingInterface, Wall
from fvqp.typing import Floats

SELF = MPI.COMM_SELF
SCATTERING = np.array([[0.0, 1.0, 300.0, 5.0]])
TRANSMISSIONS = {("middle", "west"): [0.0, 0.3, 0.5, 1.0], ("middle", "east"): 1.0, ("west", "east"): 0.7}


def parted(mesh: Mesh) -> Mesh:
    """A mesh of three regions along x."""
    x = mesh.centroid[:, 0]
    third = np.digitize(x, np.quantile(x, [0.34, 0.67]))
    regions = {name: np.flatnonzero(third == k) for k, name in enumerate(("west", "middle", "east"))}
    return build_mesh(mesh.points, plain(mesh).cells, regions, {}, SELF)


def gains(streaming: Streaming, mesh: Mesh, rates: Floats) -> dict[str, Floats]:
    """Rate of change of what every region holds, by energy."""
    held = streaming.capacity * (streaming.directions.mean(rates) if rates.ndim == 3 else rates)
    return {name: held[cells].sum(axis=0) for name, cells in mesh.regions.items()}


def assert_counted(made: dict[str, Floats], streaming: Streaming, passed: Floats) -> None:
    """What regions gain is what interfaces count; walls, which are closed, count nothing."""
    walls, size = len(streaming.walls), max(np.abs(gain).max() for gain in made.values())
    assert size > 1e-3
    assert np.abs(passed[:walls]).max() < 1e-14 * size
    for name, gain in made.items():
        expected = np.zeros_like(gain)
        for (first, second), number in zip(streaming.interfaces, passed[walls:], strict=True):
            expected += number * ((second == name) - (first == name))
        assert np.abs(gain - expected).max() < 2e-14 * size


@pytest.mark.parametrize("kind", ["line", "quads", "triangles", "mixed solid"])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_regions_change_by_what_interfaces_count(kind: str, scheme: Scheme) -> None:
    """In flight with and without collisions, and in diffusion, also at oblique faces."""
    mesh, directions = meshes()[kind]
    mesh = parted(mesh)
    rng = np.random.default_rng(2)
    streaming = mesh_streaming(
        mesh,
        directions,
        SPEEDS,
        {},
        elsewhere=Wall(transmission=0.0),
        states=1.0 + 0.3 * np.sin(np.arange(mesh.n_cells)[:, None] + np.arange(4)),
        interfaces=[
            TransmittingInterface(pair, share)
            for pair, share in TRANSMISSIONS.items()
            if len(mesh.faces_between(*pair))
        ],
        scheme=scheme,
    )
    f = rng.uniform(size=(mesh.n_cells, directions.count, 4))
    for scattering in (None, SCATTERING):
        rates, passed = streaming.rates(f, scattering)
        assert_counted(gains(streaming, mesh, rates), streaming, passed)
    limit = DiffusiveLimit(streaming, np.array([[3.0, 1.0, 5.0, 1.0]]))
    mean = f[:, 0].copy()
    rates, passed = limit.rates(mean)
    assert_counted(gains(streaming, mesh, rates), streaming, passed)
    moved, row = streaming.capacity * mean, np.repeat(np.arange(mesh.n_cells), np.diff(limit.flux.indptr))
    np.subtract.at(moved, row, limit.matrix(np.ones((1, 4))) * mean[limit.flux.indices])
    made = {name: moved[cells].sum(axis=0) for name, cells in mesh.regions.items()}
    assert_counted(made, streaming, limit.two_point_passed(mean))


@pytest.mark.parametrize("kind", ["line", "film", "solid"])
def test_refracting_interfaces_count(kind: str) -> None:
    mesh, directions = halves(kind)
    streaming = slabs(mesh, directions, lambda _: MIRROR, "limited")
    f = np.random.default_rng(3).uniform(size=(mesh.n_cells, directions.count, 4))
    for scattering in (None, SCATTERING):
        rates, passed = streaming.rates(f, scattering)
        made = gains(streaming, mesh, rates)
        assert passed[-1] == pytest.approx(made["east"], rel=1e-13, abs=1e-15)
        assert passed[-1] == pytest.approx(-made["west"], rel=1e-13, abs=1e-15)
    assert np.abs(passed[-1, :3]).min() > 1e-5


@pytest.mark.parametrize("law", ["shares", "refraction"])
def test_a_steady_flow_passes_every_interface_and_wall(law: str) -> None:
    """From a black wall on the left through the interface to one on the right, also of a solver's solution;
    isotropic particles of speed v and occupation 1 bring v/4 times the transmission."""
    mesh, directions = halves("film")
    walls = {"left": Wall(bath=1.0), "right": Wall(), "bottom": MIRROR, "top": MIRROR}
    interface = TransmittingInterface(("west", "east"), 0.2)
    if law == "refraction":
        interface = AcousticInterface(("west", "east"), (1.0, 3.0))
    streaming = mesh_streaming(mesh, directions, [1.0, 2.0], walls, interfaces=[interface], scheme="upwind")
    solver = StreamingSolver(streaming, 1e-13)
    solver.solve(np.zeros((mesh.n_owned, directions.count, 2)), np.full((1, 2), 1e-30), np.zeros((1, 2)))
    left, right, *_, through = solver.passed
    assert through == pytest.approx(right, rel=1e-11)
    assert through == pytest.approx(-left, rel=1e-11)
    share = 0.75 if law == "refraction" else 0.2  # 4 Z Z'/(Z + Z')², all angles alike as the speeds are
    arriving = directions.half_range((1.0, 0.0, 0.0)) * np.array([0.25, 0.5])
    assert through == pytest.approx(share * arriving, rel=1e-9)
