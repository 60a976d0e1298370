"""Streaming in bodies of revolution, on meshes of radius and height: the set, uniform fields, balances."""

from __future__ import annotations

import numpy as np
import pytest
from streaming_problems import (
    SCHEMES,
    SELF,
    SPEEDS,
    UP,
    WALLS,
    assert_positive,
    assert_uniform_and_balanced,
)
from transport_problems import plain

from fvqp.errors import CaseError
from fvqp.mesh import Mesh, build_mesh, shape_mesh
from fvqp.transport.directions import branched, cylindrical, product, revolved
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import MIRROR, AcousticInterface, TransmittingInterface, Wall


def body(kind: str) -> Mesh:
    """A cylinder, a pipe, or a cylinder of triangles whose inner corners are displaced."""
    low = 0.4 if kind == "pipe" else 0.0
    mesh = shape_mesh("cylindrical2d", nx=5, Lx=1.0, ny=4, Ly=0.7, origin=(low, 0.0), comm=SELF)
    if kind != "triangles":
        return mesh
    raw = plain(mesh)
    points, quads = raw.points.copy(), raw.cells[0][1]
    points[:, :2] += 0.03 * np.prod(np.sin(np.pi * points[:, :2] / (1.0, 0.7)), axis=1)[:, None]
    halves = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return build_mesh(points, [("triangle", halves)], {}, {}, SELF, coordinates="cylindrical")


def streaming(kind: str, wall: Wall, scheme: Scheme, gap: bool = False) -> Streaming:
    mesh = body(kind)
    states = np.random.default_rng(3).uniform(0.2, 1.0, (mesh.n_cells, 4)) if gap else None
    return mesh_streaming(mesh, revolved(4, 6), SPEEDS, {}, elsewhere=wall, states=states, scheme=scheme)


def test_directions_are_those_of_a_product_set() -> None:
    """Levels along the axis and equal steps about it, the sign of what whirls averaged over."""
    found, expected = revolved(4, 6), product(4, 12, axis=1).folded(UP)
    orders = [np.lexsort(np.round(one.vectors.T, 9)) for one in (found, expected)]
    assert found.vectors[orders[0]] == pytest.approx(expected.vectors[orders[1]], abs=1e-14)
    assert found.weights[orders[0]] == pytest.approx(expected.weights[orders[1]], rel=1e-13)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", ["cylinder", "pipe", "triangles"])
def test_uniform_and_balanced(kind: str, scheme: Scheme) -> None:
    """A uniform isotropic occupation stays; what any other one loses, the walls take in."""
    rng = np.random.default_rng(1)
    for wall in WALLS.values():
        for gap in (False, True):
            made = streaming(kind, wall, scheme, gap)
            assert_uniform_and_balanced(made, rng)


@pytest.mark.parametrize("scheme", ["upwind", "limited"])
def test_positive(scheme: Scheme) -> None:
    """Steps of the length that is stated keep 0 ≤ f ≤ 1."""
    made = streaming("triangles", Wall(0.5, 0.5, 1.0), scheme)
    assert_positive(made)


def test_a_slope_along_the_axis_is_exact() -> None:
    """f = z flies by at the rate −Ω_z in every cell, those at the axis included, with images beyond."""
    mesh, directions = body("cylinder"), revolved(4, 6)
    made = mesh_streaming(mesh, directions, [1.0], {}, elsewhere=Wall(), scheme="linear")
    f = np.repeat(mesh.centroid[:, 1, None, None], directions.count, axis=1)
    rates, _ = made.rates(f)
    # walls of a vacuum send in no slope
    inner = (mesh.centroid[:, 0] < 0.8) & (abs(mesh.centroid[:, 1] - 0.35) < 0.2)
    assert inner.sum() == 8
    assert rates[inner, :, 0] == pytest.approx(np.tile(-directions.vectors[:, 1], (8, 1)), abs=1e-13)


def test_messages() -> None:
    tube, plane = body("cylinder"), shape_mesh("grid2d", nx=2, ny=2, Lx=1.0, Ly=1.0, comm=SELF)
    for mesh, directions in (
        (tube, product(4, 8).folded(UP)),
        (tube, cylindrical(4, 6)),
        (plane, revolved(4, 6)),
    ):
        with pytest.raises(CaseError, match="meshes of radius and height those of bodies of revolution"):
            mesh_streaming(mesh, directions, [1.0], {}, elsewhere=Wall())
    with pytest.raises(CaseError, match="a body of revolution needs an even number of azimuths, not 5"):
        revolved(4, 5)


def test_equilibrium_across_interfaces_and_in_branches() -> None:
    """Phonons of two media, refracted or of two branches: one occupation stays, and energy is kept."""
    regions = {"core": ((0.0, 0.4), None), "shell": ((0.4, 1.0), None)}
    mesh = shape_mesh("cylindrical2d", nx=5, Lx=1.0, ny=4, Ly=0.7, regions=regions, comm=SELF)
    slower = np.where(mesh.centroid[:, :1] < 0.4, 1.0, 0.6)
    walls = {"right": Wall(bath=0.7), "bottom": MIRROR, "top": Wall(0.0)}
    for directions, interface in (
        (revolved(4, 8), AcousticInterface(("core", "shell"), (1.0, 3.0))),
        (branched(revolved(4, 8), [1.0, 0.5], [0.2, 0.8]), TransmittingInterface(("core", "shell"), 0.3)),
    ):
        made = mesh_streaming(
            mesh,
            directions,
            slower,
            walls,
            elsewhere=Wall(0.0),
            interfaces=[interface],
            states=slower**-3,
        )
        f = np.full((mesh.n_cells, directions.count, 1), 0.7)
        assert np.abs(made.rates(f, 2.0 * slower)[0]).max() * made.largest_step() < 1e-13
        f = np.random.default_rng(2).uniform(size=f.shape)
        rates, lost = made.rates(f, 2.0 * slower)
        turnover = made.content(np.abs(rates)).max()
        assert np.abs(made.content(rates) + lost[: len(made.walls)].sum(axis=0)).max() < 1e-14 * turnover
