"""The diffusion to which streaming tends: the same fluxes, exact solutions, what walls take in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.special import gammainc
from shells import bounds, radial_streaming, shell_mesh
from streaming_problems import SELF, meshes, sided, sphere_or_cylinder
from transport_problems import skewed_quads

from fvqp.errors import CaseError
from fvqp.mesh import shape_mesh
from fvqp.transport.diffusive_limit import DiffusiveLimit
from fvqp.transport.directions import gauss_legendre, product, spherical
from fvqp.transport.face_diffusion import diffusive_share
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Streaming
from fvqp.transport.walls import MIRROR, BathFunction, Wall

WALL = Wall([0.2, 0.9, 1.0], 0.0, 0.4)
SPEED = np.array([0.5, 1.0, 2.0])


def test_share_of_diffusion() -> None:
    """An incomplete gamma function of order 2, at any depth, on either side of where its series ends."""
    depth = np.append(np.geomspace(1e-9, 1e3, 2000), [0.0, np.inf])
    np.testing.assert_allclose(diffusive_share(depth), gammainc(2.0, depth), rtol=5e-13)


def bodies() -> dict[str, Streaming]:
    out = {
        geometry: radial_streaming(
            shell_mesh([0.0, 0.3, 0.4, 1.0], geometry),
            sphere_or_cylinder(geometry, 6),
            SPEED,
            WALL,
            scheme="linear",
        )
        for geometry in ("spherical", "cylindrical")
    }
    for kind, (mesh, directions) in meshes().items():
        states = 1.0 + 0.3 * np.sin(np.arange(mesh.n_cells)[:, None] + np.arange(3))
        out[kind] = mesh_streaming(
            mesh, directions, SPEED, {}, elsewhere=WALL, states=states, scheme="linear"
        )
    return out


@pytest.mark.parametrize("kind", ["spherical", "cylindrical", "line", "quads", "triangles", "mixed solid"])
def test_opaque_streaming_is_this_diffusion(kind: str) -> None:
    """Rates of streaming tend to those of the limit, also at oblique faces, walls and steps of g."""
    streaming = bodies()[kind]
    rate = np.array([[3e6, 1e6, 5e6]])
    limit = DiffusiveLimit(streaming, rate)
    mean = np.random.default_rng(3).uniform(size=(streaming.layout.n_cells, 3))
    f = np.repeat(mean[:, None, :], streaming.directions.count, axis=1)
    rates, lost = streaming.rates(f, rate)
    expected, taken = limit.rates(mean)
    # Streaming sums directions of rates of order v/h to one of order v λ/h².
    assert streaming.directions.mean(rates) == pytest.approx(expected, rel=1e-7, abs=1e-13)
    assert lost == pytest.approx(taken, rel=1e-7, abs=1e-13)
    content = (streaming.capacity * expected).sum(axis=0)
    assert content + taken.sum(axis=0) == pytest.approx(np.zeros(3), abs=1e-18)
    even, none = limit.rates(np.full_like(mean, 0.4))
    assert np.abs(even).max() < 1e-17
    assert np.abs(none).max() < 1e-17


def test_matrix() -> None:
    """The matrix is the operator where faces are not oblique."""
    streaming = bodies()["cylindrical"]
    limit = DiffusiveLimit(streaming, np.array([[3.0, 1.0, 5.0]]))
    removal = np.array([[0.2, 0.0, 1.0]])
    values = limit.matrix(removal)
    mean = np.random.default_rng(4).uniform(size=(3, 3))
    constant, _ = limit.rates(np.zeros_like(mean))
    rates, _ = limit.rates(mean)
    for e in range(3):
        matrix = csr_matrix((values[:, e], limit.flux.indices, limit.flux.indptr)).toarray()
        assert np.array_equal(matrix, matrix.T)
        expected = streaming.capacity[:, 0] * (removal[0, e] * mean[:, e] - (rates - constant)[:, e])
        assert matrix @ mean[:, e] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("geometry", "dim"), [("spherical", 3), ("cylindrical", 2)])
def test_production_in_a_body(geometry: str, dim: int) -> None:
    """``f = 3(R² − r²)/(2dλ) + R_G R/d``: second order in the shells, Marshak's wall."""
    rate, eta = 7.0, 0.4
    errors = []
    for n in (10, 20, 40):
        shells = shell_mesh(np.linspace(0.0, 2.0, n + 1), geometry)
        directions = spherical(4) if dim == 3 else sphere_or_cylinder(geometry, 4)
        streaming = radial_streaming(shells, directions, [1.0], Wall(eta))
        limit = DiffusiveLimit(streaming, np.array([[rate]]))
        values = limit.matrix(np.zeros((1, 1)))[:, 0]
        matrix = csr_matrix((values, limit.flux.indices, limit.flux.indptr)).toarray()
        f = np.linalg.solve(matrix, shells.volume)
        quarter = directions.half_range((1.0, 0.0, 0.0)) / 4.0
        surface = (1.0 - eta / 2.0) / (quarter * eta) * 2.0 / dim
        square = (dim / (dim + 2.0)) * np.diff(bounds(shells) ** (dim + 2)) / np.diff(bounds(shells) ** dim)
        exact = surface + 3.0 * rate * (4.0 - square) / (2.0 * dim)
        errors.append(float(shells.volume @ np.abs(f - exact)))
    assert np.log2(errors[-2] / errors[-1]) > 1.9


def test_trap() -> None:
    """Below the gap of the ends nothing leaves the middle; above it f is linear whatever the gap."""
    mesh = shape_mesh("grid1d", nx=12, Lx=1.0, comm=SELF)
    energy = np.array([0.8, 1.3])
    gap = np.where(np.abs(mesh.centroid[:, 0] - 0.5) < 0.25, 0.1, 1.0)[:, None]
    velocity = np.sqrt(np.maximum(1.0 - (gap / energy) ** 2, 0.0))
    states = np.divide(1.0, velocity, out=np.zeros_like(velocity), where=velocity > 0)
    walls = {"left": Wall(bath=1.0), "right": Wall()}
    streaming = mesh_streaming(mesh, gauss_legendre(4), velocity, walls, states=states)
    limit = DiffusiveLimit(streaming, velocity / 1e-3)
    f = np.random.default_rng(5).uniform(size=(12, 2))
    rates, lost = limit.rates(f)
    closed = gap[:, 0] > 0.8
    assert np.all(rates[closed, 0] == 0.0)
    assert np.all(lost[:, 0] == 0.0)
    # A line with 1 and 0 at its walls, beyond which the occupation extrapolates by 2ℓ/3.
    f[:, 1] = 1.0 - (mesh.centroid[:, 0] + 2e-3 / 3.0) / (1.0 + 4e-3 / 3.0)
    rates, lost = limit.rates(f)
    assert np.abs(rates[:, 1]).max() < 1e-15
    assert lost[1, 1] == pytest.approx(1e-3 / 3.0 / (1.0 + 4e-3 / 3.0), rel=1e-12)


def test_linear_on_oblique_faces() -> None:
    """A linear occupation between mirrors: no rates in cells away from the walls' gradients."""
    mesh = sided(skewed_quads(6))
    streaming = mesh_streaming(
        mesh, product(2, 4).folded((0.0, 0.0, 1.0)), [1.0], {}, elsewhere=MIRROR, scheme="linear"
    )
    limit = DiffusiveLimit(streaming, np.array([[10.0]]))
    rates, _ = limit.rates(0.3 + mesh.centroid[:, :1] - 0.4 * mesh.centroid[:, 1:2])
    inner = np.setdiff1d(np.arange(mesh.n_cells), mesh.face_cells[mesh.outer_faces, 0])
    assert np.abs(rates[inner]).max() < 1e-13


@pytest.mark.parametrize("kind", ["line", "quads", "triangles", "mixed solid"])
def test_a_linear_occupation_that_walls_are_given_does_not_change(kind: str) -> None:
    """On cells of any form, with walls of infinite surface velocity, which ordinates refuse."""
    mesh, directions = meshes()[kind]
    few = replace(gauss_legendre(2) if kind == "line" else product(2, 4), means_only=True)
    slope = np.array([1.0, 0.5, 0.25])

    def outside(points: np.ndarray, time: float) -> np.ndarray:
        return 2.0 + np.repeat((points @ slope)[:, None], 3, axis=1)

    given = Wall(velocity=np.inf, bath=BathFunction(outside))
    made = mesh_streaming(mesh, few, SPEED, {}, elsewhere=given, scheme="linear")
    rates, _ = DiffusiveLimit(made, np.array([[3.0, 1.0, 5.0]])).rates(outside(mesh.centroid, 0.0))
    assert np.abs(rates).max() < 1e-12
    with pytest.raises(CaseError, match="needs diffusion"):
        mesh_streaming(mesh, directions, SPEED, {}, elsewhere=given)
