"""Orders of accuracy of free flight on triangles, tetrahedra, and meshes of radius and height."""

from __future__ import annotations

import numpy as np
import pytest
from streaming_problems import SELF, UP, advanced, sided
from transport_problems import RawMesh, plain

from fvqp.mesh import Mesh, shape_mesh
from fvqp.mesh.periodic import identified
from fvqp.transport.directions import product, revolved
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import MIRROR, Wall

SIDES = [("left", "right"), ("bottom", "top"), ("front", "back")]
#: Six tetrahedra about a diagonal of a cube, and two triangles of a square.
PARTS = {
    2: [(0, 1, 2), (0, 2, 3)],
    3: [(0, 1, 2, 6), (0, 2, 3, 6), (0, 3, 7, 6), (0, 7, 4, 6), (0, 4, 5, 6), (0, 5, 1, 6)],
}


def simplices(dim: int, n: int) -> Mesh:
    """The periodic unit square or cube, ``n`` along each side, inner vertices displaced by up to 1/20."""
    grid = {f"n{axis}": n for axis in "xyz"[:dim]} | {f"L{axis}": 1.0 for axis in "xyz"[:dim]}
    raw = plain(shape_mesh(f"grid{dim}d", comm=SELF, **grid))
    points, cubes = raw.points.copy(), raw.cells[0][1]
    points[:, :dim] += 0.05 * np.prod(np.sin(2 * np.pi * points[:, :dim]), axis=1)[:, None]
    kind = "triangle" if dim == 2 else "tetra"
    cells = np.concatenate([cubes[:, part] for part in PARTS[dim]])
    return identified(sided(RawMesh(points, [(kind, cells)], {}, {})), SIDES[:dim])


def after(streaming: Streaming, mesh: Mesh, f: np.ndarray, time: float) -> np.ndarray:
    """f of the owned cells after a time: Euler steps of the upwind scheme, Heun's of the others."""

    def rates(own: np.ndarray) -> np.ndarray:
        full = np.empty((mesh.n_cells, *own.shape[1:]))
        full[: mesh.n_owned] = own
        mesh.exchange(full)
        return streaming.rates(full)[0]

    count = int(np.ceil(time / streaming.largest_step()))
    step = time / count
    for _ in range(count):
        slope = rates(f)
        if streaming.scheme != "upwind":
            slope = 0.5 * (slope + rates(f + step * slope))
        f = f + step * slope
    return f


def error(dim: int, n: int, scheme: Scheme, time: float) -> float:
    """Relative L1 error, in space and direction, of waves that fly on through a periodic body."""
    mesh = simplices(dim, n)
    directions = product(2, 4) if dim == 3 else product(2, 4).folded(UP)
    place, way = mesh.centroid[: mesh.n_owned, None, :dim], directions.vectors[:, :dim]

    def wave(at: float) -> np.ndarray:
        return (1.0 + np.cos(2 * np.pi * (place - at * way)).sum(axis=2) / 6.0)[:, :, None]

    streaming = mesh_streaming(mesh, directions, [1.0], {}, elsewhere=Wall(), scheme=scheme)
    weight = mesh.volume[: mesh.n_owned, None, None] * directions.weights[:, None]
    off = np.abs(after(streaming, mesh, wave(0.0), time) - wave(time))
    return float((weight * off).sum() / (weight * wave(time)).sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("dim", "scheme", "sizes", "least"),
    [
        (2, "upwind", (16, 32, 64), 0.9),
        (2, "linear", (16, 32, 64), 1.8),
        (2, "limited", (16, 32, 64), 1.8),
        # the error, a h + b h² with b < 0, is of first order late
        (3, "upwind", (16, 32), 0.9),
        (3, "linear", (6, 12), 1.8),
        (3, "limited", (6, 12), 1.8),
    ],
)
def test_order_on_simplices(dim: int, scheme: Scheme, sizes: tuple[int, ...], least: float) -> None:
    """Cells of half the size, of the same shapes: between the two finest meshes, and the two before."""
    errors = [error(dim, n, scheme, 0.25 if scheme == "upwind" else 0.1) for n in sizes]
    orders = np.log2(np.array(errors[:-1]) / errors[1:])
    assert np.all(orders > least)


def flying_apart_error(cells: int, azimuths: int, scheme: Scheme) -> float:
    """Relative L1 error of a Gaussian that flies apart, on squares of radius and height."""
    extent, width, time = 1.9, 0.35, 0.3
    mesh = shape_mesh("cylindrical2d", nx=cells, Lx=extent, ny=cells, Ly=extent, comm=SELF)
    directions = revolved(4, azimuths)
    walls = {"bottom": MIRROR, "top": Wall(), "right": Wall()}
    streaming = mesh_streaming(mesh, directions, [1.0], walls, elsewhere=Wall(), scheme=scheme)
    node, weight = np.polynomial.legendre.leggauss(3)
    half = 0.5 * extent / cells * node
    r = mesh.centroid[:, 0, None, None] + half[:, None]
    z = mesh.centroid[:, 1, None, None] + half
    share = weight[:, None] * weight * r
    share = share / share.sum(axis=(1, 2), keepdims=True)

    def exact(at: float) -> np.ndarray:
        """Cell averages of ``exp(−|x − tΩ|²/2a²)``."""
        of_r, of_z = directions.vectors[:, 0], directions.vectors[:, 1]
        along = r[..., None] * of_r + z[..., None] * of_z
        square = (r**2 + z**2)[..., None] - 2.0 * at * along + at**2
        return np.einsum("crz,crzm->cm", share, np.exp(-square / (2.0 * width**2)))[:, :, None]

    off = np.abs(advanced(streaming, exact(0.0), time) - exact(time))
    of_all = mesh.volume[:, None, None] * directions.weights[:, None]
    return float((of_all * off).sum() / (of_all * exact(time)).sum())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("scheme", "sizes", "least"),
    [
        ("upwind", ((24, 16), (48, 32)), 0.9),
        ("linear", ((12, 8), (24, 16)), 1.8),
        ("limited", ((12, 8), (24, 16)), 1.8),
    ],
)
def test_order_in_radius_and_height(scheme: Scheme, sizes: tuple[tuple[int, int], ...], least: float) -> None:
    """With cells half as large and twice as many azimuths."""
    coarse, fine = (flying_apart_error(*size, scheme) for size in sizes)
    assert np.log2(coarse / fine) > least
