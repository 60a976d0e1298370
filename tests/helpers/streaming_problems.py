"""Bodies, exact solutions and steps of streaming that several folders of tests share."""

from __future__ import annotations

from functools import cache

import numpy as np
from mpi4py import MPI
from scipy.special import expn
from shells import bounds, radial_streaming, shell_mesh
from transport_problems import mixed_cells, plain, sheared, skewed_quads

from fvqp.mesh import Mesh, RawMesh, build_mesh, shape_mesh
from fvqp.transport.directions import (
    Directions,
    RadialDirections,
    cylindrical,
    gauss_legendre,
    lebedev,
    product,
    spherical,
)
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import MIRROR, Wall

SELF = MPI.COMM_SELF
UP = (0.0, 0.0, 1.0)

#: Speeds of four energies; the last has none, as below a gap.
SPEEDS = np.array([0.3, 1.0, 2.0, 0.0])
#: Rates of their scattering, up to that of opaque cells.
SCATTERING = np.array([[0.0, 1.0, 300.0, 5.0]])
SCHEMES: tuple[Scheme, ...] = ("upwind", "linear", "limited")
#: Of every kind; the bath has the occupation that `assert_uniform_and_balanced` expects to stay.
WALLS = {
    "bath": Wall(bath=0.7),
    "mirror": MIRROR,
    "diffuse": Wall(transmission=0.0),
    "partly": Wall([0.0, 0.3, 0.5, 1.0], 0.4, 0.7),
}


def sided(raw: RawMesh, comm: MPI.Comm = SELF) -> Mesh:
    """A unit square or cube with boundaries left, right (x), bottom, top (y), front, back (z)."""
    if comm.rank > 0:
        return build_mesh(None, None, comm=comm)
    mesh = build_mesh(raw.points, raw.cells, {}, {}, SELF)
    groups = {}
    for axis, names in enumerate((("left", "right"), ("bottom", "top"), ("front", "back"))[: mesh.dim]):
        for name, at in zip(names, (0.0, 1.0), strict=True):
            here = np.abs(mesh.face_centroid[mesh.outer_faces, axis] - at) < 1e-9
            groups[name] = mesh.face_corners[mesh.outer_faces[here]]
    return build_mesh(mesh.points, plain(mesh).cells, {}, groups, comm)


def meshes() -> dict[str, tuple[Mesh, Directions]]:
    """Small meshes of every kind of cell, each with directions that suit it."""

    def whole(raw: RawMesh) -> Mesh:
        return build_mesh(raw.points, raw.cells, {}, {}, SELF)

    triangles = skewed_quads(4)
    quads = triangles.cells[0][1]
    halves = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    film = lebedev(9).folded(UP)
    return {
        "line": (shape_mesh("grid1d", dx=[0.1, 0.3, 0.2, 0.4], comm=SELF), gauss_legendre(4)),
        "quads": (whole(skewed_quads(5)), film),
        "triangles": (whole(RawMesh(triangles.points, [("triangle", halves)], {}, {})), film),
        "mixed solid": (whole(sheared(mixed_cells(3))), product(2, 4)),
    }


def spiral(count: int = 6) -> Mesh:
    """A ring of hexes about z whose inner faces all lean the same way: along z they wait for each other."""
    angle = np.arange(count) * (2.0 * np.pi / count)
    points = [
        (r * np.cos(a), r * np.sin(a), z)
        for z, twist in ((0.0, 0.0), (1.0, 0.3))
        for r in (1.0, 2.0)
        for a in angle + twist
    ]
    here = np.arange(count)
    after = (here + 1) % count
    bottom = np.stack([here, here + count, after + count, after], axis=1)
    cells = np.concatenate([bottom, bottom + 2 * count], axis=1)
    return build_mesh(np.array(points), [("hexahedron", cells)], {}, {}, SELF)


def sphere_or_cylinder(geometry: str, azimuths: int) -> RadialDirections:
    return spherical(azimuths) if geometry == "spherical" else cylindrical(4, azimuths)


def assert_uniform_and_balanced(streaming: Streaming, rng: np.random.Generator) -> None:
    """A uniform isotropic occupation stays; what any other one loses, the walls take in."""
    f = np.full((streaming.layout.n_cells, streaming.directions.count, 4), 0.7)
    for scattering in (None, SCATTERING):
        rates, lost = streaming.rates(f, scattering)
        assert np.abs(rates).max() * streaming.largest_step() < 1e-13
        assert np.abs(lost).max() < 1e-13
        rates, lost = streaming.rates(rng.uniform(size=f.shape), scattering)
        turnover = streaming.content(np.abs(rates)).max()
        assert (
            np.abs(streaming.content(rates) + lost[: len(streaming.walls)].sum(axis=0)).max()
            < 1e-14 * turnover
        )


def assert_positive(streaming: Streaming) -> None:
    """Steps of the length that is stated keep 0 ≤ f ≤ 1."""
    shape = (streaming.layout.n_cells, streaming.directions.count, 4)
    f = np.random.default_rng(5).integers(0, 2, shape).astype(float)
    for _ in range(40):
        f = f + streaming.largest_step() * streaming.rates(f)[0]
        assert f.min() > -1e-14
        assert f.max() < 1 + 1e-14


def flying_apart(streaming: Streaming, shells: Mesh, width: float, time: float) -> np.ndarray:
    """Shell averages of ``exp(−|x − tΩ|²/2a²)``, the exact solution of speed 1, ``(n, M, 1)``."""
    node, weight = np.polynomial.legendre.leggauss(4)
    low, high = bounds(shells)[:-1, None], bounds(shells)[1:, None]
    r = low + 0.5 * (high - low) * (node + 1.0)
    weight = weight * r ** (2 if shells.coordinates == "spherical" else 1)
    weight /= weight.sum(axis=1, keepdims=True)
    v = streaming.directions.vectors
    # A cylinder's particles fly in its cross-section with the part of their speed that lies there.
    across = np.ones(len(v)) if shells.coordinates == "spherical" else (v**2).sum(axis=1)
    square = r[:, :, None] ** 2 - 2.0 * r[:, :, None] * v[:, 0] * time + across * time**2
    return np.einsum("cq,cqm->cm", weight, np.exp(-square / (2.0 * width**2)))[:, :, None]


def advanced(streaming: Streaming, f: np.ndarray, time: float) -> np.ndarray:
    """f after ``time``: Euler steps of the upwind scheme, Heun's of the others."""
    count = int(np.ceil(time / streaming.largest_step()))
    step = time / count
    for _ in range(count):
        euler = f + step * streaming.rates(f)[0]
        if streaming.scheme == "upwind":
            f = euler
        else:
            f = 0.5 * (f + euler + step * streaming.rates(euler)[0])
    return f


def flying_apart_error(geometry: str, scheme: Scheme, shells: int, azimuths: int) -> float:
    """Relative L1 error, in space and direction, of a Gaussian that flies apart."""
    body = shell_mesh(np.linspace(0.0, 1.9, shells + 1), geometry)
    streaming = radial_streaming(body, sphere_or_cylinder(geometry, azimuths), [1.0], Wall(), scheme=scheme)
    f = advanced(streaming, flying_apart(streaming, body, 0.35, 0.0), 0.3)
    exact = flying_apart(streaming, body, 0.35, 0.3)
    weight = body.volume[:, None, None] * streaming.directions.weights[:, None]
    return float((weight * np.abs(f - exact)).sum() / (weight * exact).sum())


@cache
def slab_exactly(depth: float, n: int = 500) -> float:
    """Flux through a grey slab between black walls, one hot and one cold, relative to the hot one's.

    From the integral equation of radiative equilibrium, ``φ = ½ E₂(τ) + ½ ∫ φ(t) E₁(|τ − t|) dt``, by
    Galerkin's method with n constants between points close at the walls; off by 1e-6 at a depth of 1.
    """
    t = 0.5 * depth * (1.0 - np.cos(np.pi * np.arange(n + 1) / n))
    third = expn(3, np.abs(t[:, None] - t))
    widths = np.diff(t)
    kernel = 0.5 * np.abs(np.diff(np.diff(third, axis=0), axis=1))
    np.fill_diagonal(kernel, widths - 0.5 + expn(3, widths))
    sent = -np.diff(expn(3, t))
    mean = np.linalg.solve(np.diag(widths) - kernel, 0.5 * sent)
    return float(1.0 - 2.0 * mean @ sent)
