"""Two-point fluxes: polynomials of which the divergence is known, and the matrix of the same fluxes."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from scipy.sparse import csr_matrix
from transport_problems import named, skewed_quads, transport_on

from fvqp.mesh import Mesh, shape_mesh
from fvqp.transport.terminals import Terminal
from fvqp.transport.two_point import TwoPointFlux

#: One vector of compiled loops and a rest.
ENERGIES = 19


def grid() -> Mesh:
    return shape_mesh("grid2d", nx=6, Lx=3.0, ny=5, Ly=1.0, comm=MPI.COMM_SELF)


def flux_on(mesh: Mesh, side: str) -> TwoPointFlux:
    return transport_on(mesh, [Terminal("side", (side,))]).flux


def flows(flux: TwoPointFlux, g: np.ndarray, x: np.ndarray, outside: np.ndarray) -> np.ndarray:
    out = np.zeros((flux.n_owned, *x.shape[1:]))
    flux.add(g, x, outside, out, flux.gradients(x, outside))
    return out


def test_divergence_of_a_parabola() -> None:
    """``∇²x² = 2`` on a uniform grid, away from its boundary."""
    mesh = grid()
    flux = flux_on(mesh, "left")
    inner = mesh.face_cells[:, 1] >= 0
    g = np.zeros((1, mesh.n_faces, 1))
    apart = np.linalg.norm(np.diff(mesh.centroid[mesh.face_cells[inner]], axis=1)[:, 0], axis=1)
    g[0, inner, 0] = mesh.face_area[inner] / apart
    factors = np.arange(2 * ENERGIES).reshape(2, ENERGIES)
    found = flows(flux, g, mesh.centroid[:, :1, None] ** 2 * factors, np.zeros((2, 1, ENERGIES)))
    away = (mesh.centroid[:, 0] > 0.5) & (mesh.centroid[:, 0] < 2.5)
    expected = np.broadcast_to(2.0 * mesh.volume[away, None, None] * factors, found[away].shape)
    assert found[away] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("n_comp", [1, 2, 3])
def test_matrix_is_minus_the_flows(n_comp: int) -> None:
    """On an orthogonal mesh, with conductances by component and energy; a current is what enters."""
    mesh, rng = grid(), np.random.default_rng(n_comp)
    flux = flux_on(mesh, "left")
    g = rng.uniform(size=(n_comp, mesh.n_faces, ENERGIES))
    x, outside = rng.uniform(size=(mesh.n_cells, n_comp, ENERGIES)), rng.uniform(size=(n_comp, 1, ENERGIES))
    values = flux.matrix(g, n_comp)
    indptr, indices = flux.pattern(n_comp)
    entering = flows(flux, g, np.zeros_like(x), outside)
    found = flows(flux, g, x, outside)
    for e in range(ENERGIES):
        matrix = csr_matrix((values[:, e], indices, indptr))
        expected = entering[:, :, e].ravel() - matrix @ x[:, :, e].ravel()
        assert found[:, :, e].ravel() == pytest.approx(expected, rel=1e-12, abs=1e-12)
    current = np.zeros_like(outside)
    flux.add(g, x, outside, np.zeros_like(x), flux.gradients(x, outside), current)
    assert current[:, 0] == pytest.approx(found.sum(axis=0), rel=1e-10)


def test_conductances_that_are_the_same_for_all() -> None:
    """One for all components and energies is as good as one each."""
    mesh, rng = grid(), np.random.default_rng(5)
    flux = flux_on(mesh, "left")
    g = rng.uniform(size=(1, mesh.n_faces, 1))
    x, outside = rng.uniform(size=(mesh.n_cells, 2, ENERGIES)), rng.uniform(size=(2, 1, ENERGIES))
    each = np.broadcast_to(g, (2, mesh.n_faces, ENERGIES)).copy()
    assert flows(flux, g, x, outside) == pytest.approx(flows(flux, each, x, outside), rel=1e-12, abs=1e-12)


def test_values_beside_oblique_faces() -> None:
    """A linear field at the points straight behind every face; outside it is what is prescribed."""
    mesh = named(skewed_quads(6), every=True)
    flux = transport_on(mesh, [Terminal(name, (name,)) for name in mesh.boundaries]).flux
    slope = np.array([0.7, -0.4, 0.0])
    outer = mesh.face_cells[:, 1] < 0
    outside = np.zeros((1, len(mesh.boundaries), 1))
    outside[0, flux.faces.outside[outer], 0] = mesh.face_centroid[outer] @ slope
    inner, beyond = flux.beside((mesh.centroid @ slope)[:, None, None], outside)[:, :, 0, 0].T
    along = np.einsum("fi,fi->f", mesh.face_normal, mesh.face_centroid - mesh.centroid[mesh.face_cells[:, 0]])
    straight = mesh.face_centroid - along[:, None] * mesh.face_normal
    assert flux.gradient is not None
    assert inner == pytest.approx(straight @ slope, abs=1e-12)
    assert beyond[outer] == pytest.approx(mesh.face_centroid[outer] @ slope, abs=1e-12)
