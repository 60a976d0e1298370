"""Branches of particles with speeds of their own: the moments, balances and limits of sets of directions."""

from __future__ import annotations

import numpy as np
import pytest
from shells import radial_streaming, shell_mesh
from streaming_problems import SELF, SPEEDS, meshes, sphere_or_cylinder

from fvqp.mesh import shape_mesh
from fvqp.transport.diffusive_limit import DiffusiveLimit
from fvqp.transport.directions import FULL, RadialDirections, branched, gauss_legendre
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Streaming
from fvqp.transport.walls import Wall

LAW = (5.0, 3.0), (0.2, 0.8)
"""Speeds and shares."""
WALL = Wall([0.2, 0.9, 1.0, 0.5], 0.4, 0.4)
KINDS = ["spherical", "cylindrical", "line", "quads", "mixed solid"]


def body(kind: str, wall: Wall = WALL) -> Streaming:
    if kind.endswith("ical"):
        about = branched(sphere_or_cylinder(kind, 6), *LAW)
        assert isinstance(about, RadialDirections)
        return radial_streaming(shell_mesh([0.0, 0.3, 0.4, 1.0], kind), about, SPEEDS, wall, scheme="linear")
    mesh, directions = meshes()[kind]
    states = 1.0 + 0.3 * np.sin(np.arange(mesh.n_cells)[:, None] + np.arange(4))
    here = branched(directions, *LAW)
    return mesh_streaming(mesh, here, SPEEDS, {}, elsewhere=wall, states=states, scheme="linear")


@pytest.mark.parametrize("kind", KINDS)
def test_moments_and_levels(kind: str) -> None:
    here = body(kind, Wall(0.5)).directions
    w, v = here.weights, here.vectors
    assert w.sum() == pytest.approx(FULL, rel=1e-14)
    axes = [0] if kind.endswith("ical") else np.flatnonzero(np.abs(v).max(axis=0) > 0)
    assert np.abs(w @ v[:, axes]).max() < 1e-14
    second = (v.T * w @ v)[np.ix_(axes, axes)]
    assert second == pytest.approx(FULL / 3.0 * np.eye(len(axes)), abs=1e-13)
    moving = np.any(v, axis=1)
    w, v = w[moving], v[moving]
    half = len(w) // 2
    assert w[:half] == pytest.approx(0.25 * w[half:])
    assert v[:half] == pytest.approx(5.0 / 3.0 * v[half:])
    if isinstance(here, RadialDirections):
        assert here.after - here.before == pytest.approx(-w * v[:, 0], abs=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_uniform_balanced_and_diffusive_where_opaque(kind: str) -> None:
    wall = Wall(WALL.transmission, 0.0, 0.4)
    streaming = body(kind, wall)
    f = np.full((streaming.layout.n_cells, streaming.directions.count, 4), 0.4)
    rates, lost = streaming.rates(f)
    assert np.abs(rates).max() * streaming.largest_step() < 1e-13 and np.abs(lost).max() < 1e-13
    random = np.random.default_rng(3)
    rates, lost = streaming.rates(random.uniform(size=f.shape))
    turnover = streaming.content(np.abs(rates)).max()
    assert np.abs(streaming.content(rates) + lost.sum(axis=0)).max() < 1e-14 * turnover
    rate = np.array([[3e6, 1e6, 5e6, 1.0]])
    mean = random.uniform(size=(streaming.layout.n_cells, 4))
    rates, lost = streaming.rates(np.repeat(mean[:, None, :], f.shape[1], axis=1), rate)
    expected, taken = DiffusiveLimit(streaming, rate).rates(mean)
    assert streaming.directions.mean(rates) == pytest.approx(expected, rel=1e-7, abs=1e-13)
    assert lost == pytest.approx(taken, rel=1e-7, abs=1e-13)


def test_branches_fly_with_their_speeds() -> None:
    """Mean places after a short time, forward halves of either branch."""
    line = shape_mesh("grid1d", nx=200, Lx=1.0, comm=SELF)
    here = branched(gauss_legendre(4), *LAW)
    streaming = mesh_streaming(line, here, [1.0], {}, elsewhere=Wall(), scheme="linear")
    x = line.centroid[:, 0]
    f = np.repeat(np.exp(-0.5 * ((x - 0.5) / 0.05) ** 2)[:, None, None], here.count, axis=1)
    start = (x[:, None] * f[:, :, 0]).sum(axis=0) / f[:, :, 0].sum(axis=0)
    rate, _ = streaming.rates(f)
    moved = (x[:, None] * rate[:, :, 0]).sum(axis=0) / f[:, :, 0].sum(axis=0)
    speed = np.repeat(np.array(LAW[0]) / np.sqrt(0.2 * 25.0 + 0.8 * 9.0), 4)
    cosine = np.tile(gauss_legendre(4).vectors[:, 0], 2)
    np.testing.assert_allclose(start, 0.5, rtol=1e-12)
    np.testing.assert_allclose(moved, speed * cosine, rtol=1e-9)
