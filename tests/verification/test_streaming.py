"""Streaming against exact solutions and published numbers: free flight, slabs, spheres, cylinders, films."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from shells import bounds, mean_radii, radial_streaming, shell_mesh
from streaming_problems import SELF, UP, advanced, flying_apart_error, sided
from transport_problems import mixed_cells, named, skewed_quads

from fvqp.mesh import Mesh, RawMesh, shape_mesh
from fvqp.models.boltzmann.streaming import StreamingSolver
from fvqp.transport.directions import (
    RadialDirections,
    cylindrical,
    gauss_legendre,
    product,
    spherical,
)
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme
from fvqp.transport.walls import MIRROR, Wall

NONE = np.zeros((1, 1))

#: Flux through a slab between black walls in radiative equilibrium, relative to their emission: M. A.
#: Heaslet, R. F. Warming, Int. J. Heat Mass Transfer 8, 979 (1965).
SLAB = {0.1: 0.9157, 0.5: 0.7040, 1.0: 0.5532, 2.0: 0.3900, 5.0: 0.2077}

#: Extrapolation length of Milne's problem in free paths (E. Hopf, 1934).
HOPF = 0.710446

#: Critical radii in free paths at 1.4 and 1.1 secondaries a collision: A. Sood, R. A. Forster, D. K. Parsons,
#: Prog. Nucl. Energy 42, 55 (2003), problems PUb-1-0-SP and PUb-1-0-CY; H. G. Kaper, A. J. Lindeman, G. K.
#: Leaf, Nucl. Sci. Eng. 54, 94 (1974).
CRITICAL = [("spherical", 1.4, 1.9853434), ("spherical", 1.1, 4.8727), ("cylindrical", 1.4, 1.396979)]


def order(errors: list[float]) -> float:
    return float(np.log2(errors[-2] / errors[-1]))


# -- free flight


@pytest.mark.parametrize(
    ("scheme", "sizes", "least"),
    [("upwind", (40, 80), 0.9), ("linear", (24, 48), 1.8), ("limited", (24, 48), 1.8)],
)
@pytest.mark.parametrize("geometry", ["spherical", pytest.param("cylindrical", marks=pytest.mark.slow)])
def test_order_in_shells(geometry: str, scheme: Scheme, sizes: tuple[int, int], least: float) -> None:
    """A Gaussian that flies apart; shells and directions are refined together."""
    if geometry == "cylindrical":
        sizes = (2 * sizes[0], 2 * sizes[1])
    assert order([flying_apart_error(geometry, scheme, n, 2 * (n // 6)) for n in sizes]) > least


def flight_error(mesh: Mesh, scheme: Scheme, width: float, time: float) -> float:
    directions = product(2, 4) if mesh.dim == 3 else product(2, 8).folded(UP)
    streaming = mesh_streaming(mesh, directions, [1.0], {}, elsewhere=Wall(), scheme=scheme)
    inside = np.array([1.0, 1.0, 1.0 if mesh.dim == 3 else 0.0])

    def exact(t: float) -> np.ndarray:
        away = (mesh.centroid[:, None, :] - 0.5 - directions.vectors * t) * inside
        return np.exp(-(away**2).sum(axis=2) / (2.0 * width**2))[:, :, None]

    f = advanced(streaming, exact(0.0), time)
    weight = mesh.volume[:, None, None] * directions.weights[:, None]
    return float((weight * np.abs(f - exact(time))).sum() / (weight * exact(time)).sum())


@pytest.mark.parametrize(
    ("scheme", "sizes", "least"),
    [("upwind", (48, 96), 0.9), ("linear", (20, 40), 1.8), ("limited", (20, 40), 1.8)],
)
def test_order_on_distorted_quads(scheme: Scheme, sizes: tuple[int, int], least: float) -> None:
    meshes = [named(skewed_quads(n), every=False) for n in sizes]
    assert order([flight_error(m, scheme, 0.13, 0.15) for m in meshes]) > least


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["linear", "limited"])
def test_order_in_mixed_solids(scheme: Scheme) -> None:
    """Hexes, pyramids and wedges."""
    meshes = [named(mixed_cells(n), every=False) for n in (8, 16)]
    assert order([flight_error(m, scheme, 0.14, 0.1) for m in meshes]) > 1.8


def test_spreading_with_collisions() -> None:
    """``⟨r²⟩ = 3a² + 2v²τ[t − τ(1 − e^−t/τ)]`` of an isotropic Gaussian, free to diffusive."""
    width, tau, end = 0.3, 0.2, 0.6
    shells = shell_mesh(np.linspace(0.0, 2.4, 61), "spherical")
    streaming = radial_streaming(shells, spherical(12), [1.0], Wall(), scheme="linear")
    directions = streaming.directions
    f = np.exp(-(mean_radii(shells) ** 2) / (2.0 * width**2))[:, None, None] * np.ones((1, 12, 1))
    square = 0.6 * np.diff(bounds(shells) ** 5) / np.diff(bounds(shells) ** 3)

    def rates(now: np.ndarray) -> np.ndarray:
        return streaming.rates(now)[0] + (directions.mean(now)[:, None, :] - now) / tau

    def spread(now: np.ndarray) -> float:
        content = shells.volume * directions.mean(now)[:, 0]
        return float(content @ square / content.sum())

    start = spread(f)
    count = int(np.ceil(end / streaming.largest_step()))
    for _ in range(count):
        euler = f + end / count * rates(f)
        f = 0.5 * (f + euler + end / count * rates(euler))
    expected = 2.0 * tau * (end - tau * (1.0 - np.exp(-end / tau)))
    # Of second order in shells and directions: 3.3 % with half as many of both, 0.8 % here.
    assert spread(f) - start == pytest.approx(expected, rel=1e-2)


# -- slabs


def slab_flux(mesh: Mesh, depths: np.ndarray, count: int = 16) -> np.ndarray:
    """Flux from a black wall on the left to one on the right, relative to what the left one sends."""
    directions = gauss_legendre(count) if mesh.dim == 1 else product(count, 8, axis=0).folded(UP)
    walls = {name: MIRROR for name in mesh.boundaries} | {"left": Wall(bath=1.0), "right": Wall()}
    streaming = mesh_streaming(mesh, directions, np.ones(len(depths)), walls, scheme="linear")
    scattering = depths[None, :]
    shape = (mesh.n_owned, directions.count, len(depths))
    f = StreamingSolver(streaming).solve(np.zeros(shape), NONE, scattering)
    _, lost = streaming.rates(f, scattering)
    assert lost.sum(axis=0) == pytest.approx(0.0, abs=1e-9)
    assert f.min() > 0.0
    return np.asarray(4.0 * lost[list(walls).index("right")])


def test_slab_of_heaslet_and_warming() -> None:
    mesh = shape_mesh("grid1d", nx=40, Lx=1.0, comm=SELF)
    depths = np.array(list(SLAB))
    assert slab_flux(mesh, depths) == pytest.approx(list(SLAB.values()), rel=1e-3)


def opaque(depths: np.ndarray) -> np.ndarray:
    """``(4/3)/(τ + 2 × 0.710446)``, the slab's flux but for terms exponentially small in its depth."""
    return np.asarray(4.0 / 3.0 / (depths + 2.0 * HOPF))


@pytest.mark.parametrize(
    ("raw", "mesh"),
    [(None, shape_mesh("grid1d", nx=10, Lx=1.0, comm=SELF)), (skewed_quads(6), None)],
    ids=["line", "distorted quads"],
)
def test_any_depth_without_refinement(raw: RawMesh | None, mesh: Mesh | None) -> None:
    """The same few cells from depth 0.01 to 10⁴: ballistic, Heaslet and Warming's, diffusive."""
    mesh = mesh if raw is None else sided(raw)
    assert mesh is not None
    depths = np.array([1e-2, 0.1, 1.0, 5.0, 10.0, 1e2, 1e3, 1e4])
    expected = opaque(depths)
    # Thin slabs transmit 1 − τ in the limit; at 0.01 the next term, (τ²/2) ln(1/τ), is 2e-4.
    expected[0] = 1.0 - 1e-2
    expected[1:4] = [SLAB[0.1], SLAB[1.0], SLAB[5.0]]
    assert slab_flux(mesh, depths) == pytest.approx(expected, rel=5e-3)


@pytest.mark.parametrize("geometry", ["spherical", "cylindrical"])
def test_wide_hollow_shells_are_slabs(geometry: str) -> None:
    """A shell much thinner than its radius, between two walls, is the slab of Heaslet and Warming."""
    shells = shell_mesh(1e4 + np.linspace(0.0, 1.0, 31), geometry)
    directions = spherical(16) if geometry == "spherical" else cylindrical(8, 16)
    depths = np.array(list(SLAB))
    streaming = radial_streaming(
        shells, directions, np.ones(len(depths)), Wall(), Wall(bath=1.0), scheme="linear"
    )
    shape = (30, directions.count, len(depths))
    f = StreamingSolver(streaming).solve(np.zeros(shape), NONE, depths[None, :])
    _, lost = streaming.rates(f, depths[None, :])
    quarter = directions.half_range((1.0, 0.0, 0.0)) / 4.0
    flux = lost[streaming.walls.index("outer")] / shells.face_area.max() / quarter
    assert flux == pytest.approx(list(SLAB.values()), rel=2e-3 if geometry == "spherical" else 1e-2)


def test_extrapolation_length_of_milne() -> None:
    """The mean deep inside points to zero 0.710446 free paths beyond the surface."""
    widths = np.concatenate([np.full(40, 0.5), np.full(40, 0.05)])
    mesh = shape_mesh("grid1d", dx=list(widths), comm=SELF)
    directions = gauss_legendre(16)
    walls = {"left": Wall(bath=1.0), "right": Wall()}
    streaming = mesh_streaming(mesh, directions, [1.0], walls, scheme="linear")
    one = np.ones((1, 1))
    f = StreamingSolver(streaming).solve(np.zeros((80, 16, 1)), NONE, one)
    _, lost = streaming.rates(f, one)
    here = (mesh.centroid[:, 0] > 8.0) & (mesh.centroid[:, 0] < 14.0)
    length = directions.mean(f)[here, 0] / (3.0 * lost[1]) - (22.0 - mesh.centroid[here, 0])
    assert length == pytest.approx(HOPF, abs=1e-3)


def test_conductance_along_a_film() -> None:
    """Partly specular walls, from Casimir's limit to Fourier's (Fuchs 1938, Sondheimer 1952)."""
    depth = np.array([0.1, 0.3, 1.0, 3.0, 10.0, 100.0])
    directions = product(16, 8, axis=0)
    edges = np.tanh(np.linspace(-1.5, 1.5, 33)) / np.tanh(1.5)
    mesh = shape_mesh("grid1d", dx=list(0.5 * np.diff(edges)), comm=SELF)
    for specularity in (0.0, 0.5):
        wall = Wall(transmission=0.0, specularity=specularity)
        streaming = mesh_streaming(mesh, directions, np.ones(len(depth)), {}, elsewhere=wall, scheme="linear")
        # A uniform gradient along the film drives f; what scatters in is odd and vanishes.
        along = directions.vectors[:, 1]
        source = np.broadcast_to(-along[:, None], (32, directions.count, len(depth)))
        f = StreamingSolver(streaming).solve(source, depth[None, :], NONE)
        flux = np.einsum("cme,m,c->e", f, directions.weights * along / (4.0 * np.pi), mesh.volume)
        assert -3.0 * depth * flux == pytest.approx([fuchs(d, specularity) for d in depth], rel=5e-3)


def fuchs(depth: float, specularity: float) -> float:
    def integrand(mu: float) -> float:
        pass_by = np.exp(-depth / mu)
        return (mu - mu**3) * (1.0 - pass_by) / (1.0 - specularity * pass_by)

    return float(1.0 - 1.5 / depth * (1.0 - specularity) * quad(integrand, 0.0, 1.0)[0])


# -- spheres and cylinders


def set_for(geometry: str, count: int) -> RadialDirections:
    return spherical(count) if geometry == "spherical" else cylindrical(count // 2, count)


@pytest.mark.parametrize(("geometry", "secondaries", "radius"), CRITICAL)
def test_critical_radius(geometry: str, secondaries: float, radius: float) -> None:
    """The secondaries a collision with which a bare body of this radius has a steady state."""
    shells = shell_mesh(np.linspace(0.0, radius, 41), geometry)
    directions = set_for(geometry, 16)
    streaming = radial_streaming(shells, directions, [1.0], Wall(), scheme="linear")
    solver = StreamingSolver(streaming, tolerance=1e-7)
    mean, found = np.ones((40, 1)), 0.0
    f = None
    for _ in range(60):
        source = np.repeat(mean[:, None, :], directions.count, axis=1)
        f = solver.solve(source, np.ones((1, 1)), NONE, guess=f)
        new = directions.mean(f)
        before, found = found, float(shells.volume @ mean[:, 0] / (shells.volume @ new[:, 0]))
        mean = new / new.max()
        if abs(found - before) < 1e-6:
            break
    assert found == pytest.approx(secondaries, abs=4e-4)


@pytest.mark.parametrize(("geometry", "dim"), [("spherical", 3), ("cylindrical", 2)])
def test_opaque_bodies_conduct(geometry: str, dim: int) -> None:
    """Uniform production in a body of optical radius up to 10⁴: the mean of diffusion with Hopf's length.

    Iterations do not grow with depth or with the number of shells.
    """
    depth = np.array([30.0, 1e2, 1e3, 1e4])
    iterations = []
    for n in (10, 40):
        shells = shell_mesh(np.linspace(0.0, 1.0, n + 1), geometry)
        directions = set_for(geometry, 8)
        streaming = radial_streaming(shells, directions, np.ones(4), Wall(), scheme="linear")
        solver = StreamingSolver(streaming)
        f = solver.solve(np.ones((n, directions.count, 4)), NONE, depth[None, :])
        mean = shells.volume @ directions.mean(f) / shells.volume.sum()
        expected = 3.0 * depth / (dim * (dim + 2)) + 3.0 * HOPF / dim
        # Two-point diffusion of 10 shells is 0.6 % off, the surface of shells 3 free paths thick 1 %.
        assert mean == pytest.approx(expected, rel=1.5e-2 if n == 10 else 4e-3)
        iterations.append(solver.iterations)
    assert max(iterations) < 80
    assert iterations[1] < 1.5 * iterations[0] + 5


@pytest.mark.parametrize(
    "kind", ["spherical", pytest.param("cylindrical", marks=pytest.mark.slow), "skewed quads"]
)
def test_iterations_do_not_grow_with_optical_depth(kind: str) -> None:
    """Uniform production in a vacuum, every depth by itself: as many iterations in opaque cells as between
    opaque and transparent ones, and hardly more than where nothing scatters."""
    found = []
    for depth in 10.0 ** np.arange(-2, 5):
        if kind == "skewed quads":
            mesh, directions = sided(skewed_quads(6)), product(4, 8).folded(UP)
            streaming = mesh_streaming(mesh, directions, [1.0], {}, elsewhere=Wall(), scheme="linear")
        else:
            shells = shell_mesh(np.linspace(0.0, 1.0, 31), kind)
            streaming = radial_streaming(shells, set_for(kind, 8), [1.0], Wall(), scheme="linear")
        solver = StreamingSolver(streaming)
        shape = (streaming.layout.n_owned, streaming.directions.count, 1)
        solver.solve(np.ones(shape), NONE, np.array([[depth]]))
        found.append(solver.iterations)
    assert max(found) < 45
    assert max(found[4:]) < 2 * min(found[:3]) and found[6] <= found[5] + 2 <= found[4] + 4
