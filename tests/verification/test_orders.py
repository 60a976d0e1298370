"""Orders of accuracy in L2 by manufactured solutions with smooth coefficients, and exact shells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from mpi4py import MPI
from transport_problems import (
    coefficients,
    currents,
    gmsh_halves,
    mixed_cells,
    named,
    sheared,
    skewed_quads,
    solved,
    transport_on,
)

from fvqp.mesh import Mesh, read_mesh, shape_mesh
from fvqp.transport.terminals import Terminal

SELF = MPI.COMM_SELF
REACTION = 3.0


def manufactured_error(mesh: Mesh, boundaries: tuple[str, ...]) -> float:
    """L2 error for ``u = Π sin(π x_i)`` in the unit box with ``D = 1 + ½ sin(x + 2y)`` and a reaction."""
    x = mesh.centroid
    phase = x[:, 0] + 2.0 * x[:, 1]
    diffusion = 1.0 + 0.5 * np.sin(phase)
    sines, cosines = np.sin(np.pi * x), np.cos(np.pi * x)
    axes = range(mesh.dim)
    u = np.prod(sines[:, : mesh.dim], axis=1)
    slopes = [np.pi * cosines[:, i] * np.prod(sines[:, [j for j in axes if j != i]], axis=1) for i in axes]
    change = [0.5 * np.cos(phase), np.cos(phase), 0.0]
    source = (diffusion * mesh.dim * np.pi**2 + REACTION) * u - sum(change[i] * slopes[i] for i in axes)
    transport = transport_on(mesh, [Terminal("outside", boundaries)])
    found = solved(transport.at(coefficients(transport, diffusion, REACTION)), [0.0], source * mesh.volume)
    return float(np.sqrt(np.sum((found - u) ** 2 * mesh.volume) / mesh.volume.sum()))


def order(meshes: list[Mesh], error: Callable[[Mesh], float]) -> float:
    """Order between the coarsest and the finest mesh, from their cell counts."""
    errors = [error(mesh) for mesh in meshes]
    refinement = (meshes[-1].n_cells / meshes[0].n_cells) ** (1.0 / meshes[0].dim)
    return float(np.log(errors[0] / errors[-1]) / np.log(refinement))


def box(dim: int, n: int) -> Mesh:
    sizes = {f"{kind}{axis}": value for axis in "xyz"[:dim] for kind, value in (("n", n), ("L", 1.0))}
    return shape_mesh(f"grid{dim}d", **sizes, comm=SELF)  # type: ignore[arg-type]


SIDES = ("left", "right", "bottom", "top", "front", "back")


@pytest.mark.parametrize(("dim", "counts"), [(1, (20, 80)), (2, (10, 40)), (3, (6, 18))])
def test_structured(dim: int, counts: tuple[int, int]) -> None:
    meshes = [box(dim, n) for n in counts]
    assert order(meshes, lambda mesh: manufactured_error(mesh, SIDES[: 2 * dim])) >= 1.9


def test_graded_line() -> None:
    # The map s + 0.12 sin(2πs) grades the widths by a factor 7 and is refined as a whole.
    meshes = []
    for n in (20, 80):
        s = np.linspace(0.0, 1.0, n + 1)
        meshes.append(shape_mesh("grid1d", dx=np.diff(s + 0.12 * np.sin(2 * np.pi * s)), comm=SELF))
    assert order(meshes, lambda mesh: manufactured_error(mesh, ("left", "right"))) >= 1.9


def test_random_line() -> None:
    """Widths that jump by up to a factor three from cell to cell: the error in L2 stays second order."""
    meshes = []
    for n in (40, 640):
        widths = np.random.default_rng(3).uniform(1.0, 3.0, n)
        meshes.append(shape_mesh("grid1d", dx=widths / widths.sum(), comm=SELF))
    assert order(meshes, lambda mesh: manufactured_error(mesh, ("left", "right"))) >= 1.9


@pytest.mark.parametrize(
    ("dim", "sizes"), [(2, (0.1, 0.025)), pytest.param(3, (0.2, 0.08), marks=pytest.mark.slow)]
)
def test_simplices(dim: int, sizes: tuple[float, float], tmp_path: Path) -> None:
    meshes = [read_mesh(gmsh_halves(tmp_path / f"{h}.msh", dim, h), comm=SELF) for h in sizes]
    assert order(meshes, lambda mesh: manufactured_error(mesh, ("outer",))) >= 1.8


def test_skewed_quads() -> None:
    meshes = [named(skewed_quads(n), every=False) for n in (10, 40)]
    assert order(meshes, lambda mesh: manufactured_error(mesh, ("outer",))) >= 1.9


@pytest.mark.slow
def test_mixed_cells() -> None:
    """Hexes, pyramids and wedges of a unit cube."""
    meshes = [named(mixed_cells(n), every=False) for n in (9, 15)]
    assert order(meshes, lambda mesh: manufactured_error(mesh, ("outer",))) >= 1.8


def test_sheared_mixed_cells_converge() -> None:
    """The same cells under an affine map, with ``u = exp(x − y/2)`` prescribed face by face."""

    def error(mesh: Mesh) -> float:
        def u(x: np.ndarray) -> np.ndarray:
            return np.exp(x[:, 0] - 0.5 * x[:, 1] + 0.3 * x[:, 2])

        outside = mesh.outer_faces
        name = {int(mesh.boundaries[key][0]): key for key in mesh.boundaries}
        terminals = [Terminal(name[int(f)], (name[int(f)],)) for f in outside]
        transport = transport_on(mesh, terminals)
        here = u(mesh.centroid)
        source = -(1.0 + 0.25 + 0.09) * here * mesh.volume
        found = solved(transport.at(coefficients(transport)), u(mesh.face_centroid[outside]), source)
        return float(np.sqrt(np.sum((found - here) ** 2 * mesh.volume)))

    assert order([named(sheared(mixed_cells(n)), every=True) for n in (3, 9)], error) >= 1.8


@pytest.mark.parametrize(
    ("kind", "exact"),
    [
        ("cylindrical1d", lambda r: np.log(r) / np.log(3.0)),
        ("spherical1d", lambda r: 1.5 * (1.0 - 1.0 / r)),
    ],
)
def test_shells(kind: str, exact: Callable[[np.ndarray], np.ndarray]) -> None:
    """Potential between radii 1 and 3, and the resistance ln 3/2π per height or (1 − 1/3)/4π."""
    resistance = {"cylindrical1d": np.log(3.0) / (2 * np.pi), "spherical1d": (2 / 3) / (4 * np.pi)}[kind]
    external = np.array([0.0, 1.0])
    meshes, through = [shape_mesh(kind, nx=n, Lx=2.0, origin=(1.0,), comm=SELF) for n in (20, 80)], []

    def error(mesh: Mesh) -> float:
        transport = transport_on(mesh, [Terminal("inner", ("left",)), Terminal("outer", ("right",))])
        operator = transport.at(coefficients(transport))
        found = solved(operator, external)
        into = currents(operator, found, external)
        assert into.sum() == pytest.approx(0.0, abs=1e-12 * abs(into[1]))
        through.append(abs(into[1] * resistance - 1.0))
        return float(np.sqrt(np.sum((found - exact(mesh.centroid[:, 0])) ** 2 * mesh.volume)))

    assert order(meshes, error) >= 1.9
    assert np.log(through[0] / through[1]) / np.log(4.0) >= 1.9
