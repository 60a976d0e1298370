"""The operator on any mesh: linear fields, jumps, balances, leads, interfaces, monotonicity, messages."""

from __future__ import annotations

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
    plain,
    read_raw,
    sheared,
    skewed_quads,
    solved,
    transport_on,
)

from fvqp.errors import CaseError, MeshError
from fvqp.mesh import Mesh, build_mesh, quality, read_mesh, shape_mesh
from fvqp.transport.terminals import Interface, Terminal

SELF = MPI.COMM_SELF
SLOPE = np.array([0.7, -1.3, 0.4])


@pytest.fixture(scope="module")
def halves(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    folder = tmp_path_factory.mktemp("halves")
    return {dim: gmsh_halves(folder / f"{dim}.msh", dim, {2: 0.12, 3: 0.3}[dim]) for dim in (2, 3)}


@pytest.fixture(scope="module")
def meshes(halves: dict[int, Path]) -> dict[str, Mesh]:
    """Meshes whose outer faces are boundaries of their own."""
    random = plain(shape_mesh("grid2d", nx=7, Lx=1.0, ny=7, Ly=1.0, comm=SELF))
    inner = np.all((random.points[:, :2] > 0.01) & (random.points[:, :2] < 0.99), axis=1)
    random.points[inner, :2] += np.random.default_rng(1).uniform(-0.03, 0.03, (int(inner.sum()), 2))
    raw = {
        "triangles": read_raw(halves[2]),
        "tets": read_raw(halves[3]),
        "skewed quads": skewed_quads(8),
        "random quads": random,
        "mixed cells": mixed_cells(3),
        "sheared mixed cells": sheared(mixed_cells(3)),
    }
    return {kind: named(cells, every=True) for kind, cells in raw.items()}


KINDS = ("triangles", "tets", "skewed quads", "random quads", "mixed cells", "sheared mixed cells")


@pytest.mark.parametrize("kind", KINDS)
def test_oblique_linear_field(kind: str, meshes: dict[str, Mesh]) -> None:
    mesh = meshes[kind]
    at = {int(faces[0]): name for name, faces in mesh.boundaries.items()}
    transport = transport_on(mesh, [Terminal(at[int(f)], (at[int(f)],)) for f in mesh.outer_faces])
    outside = mesh.face_centroid[mesh.outer_faces] @ SLOPE
    operator = transport.at(coefficients(transport))
    found = solved(operator, outside)
    assert np.abs(found - mesh.centroid @ SLOPE).max() < 1e-12
    # The flux through every face is that of the field, and the mean field of every cell too.
    fluxes = operator.face_fluxes(found[:, None, None], outside[None, :, None])[:, 0]
    assert np.abs(fluxes - mesh.face_area * (mesh.face_normal @ SLOPE)).max() < 1e-12
    slope = SLOPE * (np.arange(3) < mesh.dim)
    assert np.abs(transport.cell_vectors(fluxes) - slope).max() < 1e-11


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("by", ["conductivity", "diffusion"])
def test_piecewise_linear_across_a_jump(dim: int, by: str, halves: dict[int, Path]) -> None:
    """Insulated sides, conductivities 1:10; the current is that of two resistors in series."""
    mesh = read_mesh(halves[dim], comm=SELF)
    medium = np.zeros(mesh.n_cells, np.int32)
    medium[mesh.require_region("right")] = 1
    jump = np.where(medium == 1, 10.0, 1.0)
    transport = transport_on(
        mesh,
        [Terminal("w", ("west",)), Terminal("e", ("east",))],
        jump if by == "conductivity" else 1.0,
        medium,
    )
    operator = transport.at(coefficients(transport, jump if by == "diffusion" else 1.0))
    found = solved(operator, np.array([0.0, 1.0]))
    x, current = mesh.centroid[:, 0], 1.0 / (0.5 + 0.05)
    assert np.abs(found - np.where(x < 0.5, current * x, 1.0 - 0.1 * current * (1.0 - x))).max() < 1e-12
    assert currents(operator, found, np.array([0.0, 1.0])) == pytest.approx([-current, current], rel=1e-11)


def test_prescribed_faces_off_the_middle_of_a_cell(halves: dict[int, Path]) -> None:
    """A field along x with Dirichlet ends and walls is exact without any help from named faces."""
    for dim in (2, 3):
        mesh = read_mesh(halves[dim], comm=SELF)
        transport = transport_on(mesh, [Terminal("w", ("west",)), Terminal("e", ("east",))])
        found = solved(transport.at(coefficients(transport)), np.array([0.0, 1.0]))
        assert np.abs(found - mesh.centroid[:, 0]).max() < 1e-12


def test_a_run_says_where_it_is_not_monotone(
    meshes: dict[str, Mesh], caplog: pytest.LogCaptureFixture
) -> None:
    mesh = meshes[next(iter(meshes))]
    lonely = np.arange(mesh.n_cells, dtype=np.int32)  # every cell a medium of its own
    with caplog.at_level("INFO", logger="fvqp"):
        transport_on(mesh, [Terminal("0", ("0",))], medium=lonely).log_accuracy()
    assert "not monotone there" in caplog.messages[0]
    assert f"{mesh.n_cells} cells have too few neighbours" in caplog.messages[1]


def test_says_where_it_is_not_monotone(halves: dict[int, Path], meshes: dict[str, Mesh]) -> None:
    for kind in ("grid1d", "grid2d", "grid3d"):
        dim = int(kind[4])
        sizes = {f"{what}{axis}": n for axis in "xyz"[:dim] for what, n in (("n", 3), ("L", 1.0))}
        mesh = shape_mesh(kind, **sizes, comm=SELF)  # type: ignore[arg-type]
        transport = transport_on(mesh, [Terminal("l", ("left",))])
        assert transport.non_orthogonal == 0 and transport.flux.gradient is None
    for kind in KINDS:
        mesh = meshes[kind]
        transport = transport_on(mesh, [Terminal("0", ("0",))])
        c0, c1 = mesh.face_cells.T
        inner = c1 >= 0
        along = mesh.centroid[np.where(inner, c1, c0)] - mesh.centroid[c0]
        tilted = np.linalg.norm(np.cross(along, mesh.face_normal), axis=1) > 1e-9
        assert transport.non_orthogonal >= np.count_nonzero(inner & tilted) > 0
        assert transport.non_orthogonal == quality.report(mesh).n_oblique


@pytest.mark.parametrize("kind", ["orthogonal", "triangles"])
def test_maximum_principle(kind: str, meshes: dict[str, Mesh]) -> None:
    """The two-point matrix is an M-matrix; on orthogonal meshes it is the operator: no overshoot."""
    rng = np.random.default_rng(4)
    mesh = shape_mesh("grid2d", dx=rng.uniform(1, 9, 12), dy=rng.uniform(1, 9, 9), comm=SELF)
    if kind == "triangles":
        mesh = meshes["triangles"]
    first, second = list(mesh.boundaries)[:2]
    transport = transport_on(mesh, [Terminal("a", (first,)), Terminal("b", (second,))])
    some = coefficients(
        transport, 10.0 ** rng.uniform(-6, 2, mesh.n_cells), 10.0 ** rng.uniform(-4, 1, mesh.n_cells)
    )
    operator = transport.at(some)
    values = operator.assemble()[:, 0]
    diagonal = np.zeros(len(values), bool)
    diagonal[transport.flux.diagonal] = True
    assert np.all(values[diagonal] > 0.0) and np.all(values[~diagonal] <= 0.0)
    assert np.all(np.add.reduceat(values, transport.flux.indptr[:-1]) >= -1e-12 * values[diagonal])
    if kind == "orthogonal":
        found = solved(operator, np.array([0.0, 1.0]))
        assert found.min() >= 0.0 and found.max() <= 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_balance_is_exact(kind: str, meshes: dict[str, Mesh]) -> None:
    """For any field, the rates of all cells add up to what enters less what reacts."""
    mesh = meshes[kind]
    rng = np.random.default_rng(2)
    transport = transport_on(mesh, [Terminal("0", ("0",)), Terminal("1", ("1",), 0.3)])
    operator = transport.at(coefficients(transport, rng.uniform(0.1, 9.0, mesh.n_cells), 2.0))
    x, external = rng.normal(size=(mesh.n_cells, 1, 1)), rng.normal(size=(1, 2, 1))
    rate = operator.residual(x, external).sum()
    expected = operator.currents(x, external).sum() - 2.0 * (x[:, 0, 0] * mesh.volume).sum()
    assert rate == pytest.approx(expected, abs=1e-11)


def line(n: int, **more: object) -> Mesh:
    return shape_mesh("grid1d", nx=n, Lx=1.0, comm=SELF, **more)  # type: ignore[arg-type]


def test_normal_wire() -> None:
    transport = transport_on(line(7), [Terminal("l", ("left",)), Terminal("r", ("right",))], 5.0)
    operator = transport.at(coefficients(transport))
    external = np.array([0.0, 2.0])
    assert currents(operator, solved(operator, external), external) == pytest.approx([-10.0, 10.0], rel=1e-13)


def test_interface_in_series() -> None:
    mesh = line(10, regions={"a": (0.0, 0.5), "b": (0.5, 1.0)})
    terminals = [Terminal("l", ("left",)), Terminal("r", ("right",))]
    transport = transport_on(mesh, terminals, 5.0, interfaces=[Interface(("a", "b"), 3.0)])
    operator = transport.at(coefficients(transport))
    external = np.array([0.0, 1.0])
    found = solved(operator, external)
    current = 1.0 / (1 / 5 + 1 / 3)
    assert currents(operator, found, external) == pytest.approx([-current, current], rel=1e-12)
    x = mesh.centroid[:, 0]
    assert found == pytest.approx(current * (x / 5 + np.where(x > 0.5, 1 / 3, 0.0)), rel=1e-12)


@pytest.mark.parametrize("dim", [2, 3])
def test_interface_on_simplices(dim: int, halves: dict[int, Path]) -> None:
    """The jump is not smeared over the cells next to it: two media of one material with a barrier between."""
    mesh = read_mesh(halves[dim], comm=SELF)
    medium = np.zeros(mesh.n_cells, np.int32)
    medium[mesh.require_region("right")] = 1
    transport = transport_on(
        mesh,
        [Terminal("w", ("west",)), Terminal("e", ("east",))],
        medium=medium,
        interfaces=[Interface(("left", "right"), 2.0)],
    )
    found = solved(transport.at(coefficients(transport)), np.array([0.0, 1.0]))
    x, current = mesh.centroid[:, 0], 1.0 / 1.5
    assert np.abs(found - current * (x + np.where(x > 0.5, 0.5, 0.0))).max() < 1e-12


def test_junction_at_the_end_and_in_the_middle() -> None:
    """Exact circuits: a junction in series with the wire, and one that taps the middle of it."""
    wire = line(9, boundaries={"tap": 4 / 9})
    external = np.array([0.0, 1.0])
    at_end = transport_on(wire, [Terminal("l", ("left",)), Terminal("j", ("right",), 3.0)], 5.0)
    operator = at_end.at(coefficients(at_end))
    into = currents(operator, solved(operator, external), external)
    assert into == pytest.approx(np.array([-1.0, 1.0]) / (1 / 5 + 1 / 3), rel=1e-12)

    tapped = transport_on(wire, [Terminal("ends", ("left", "right")), Terminal("j", ("tap",), 3.0)], 5.0)
    operator = tapped.at(coefficients(tapped))
    arms = 5.0 / (4 / 9) + 5.0 / (5 / 9)
    into = currents(operator, solved(operator, external), external)
    assert into == pytest.approx(np.array([-1.0, 1.0]) / (1 / arms + 1 / 3), rel=1e-12)


def test_junction_on_a_region() -> None:
    """A junction along the whole wire: ``f'' σ = g (f − 1)``, a cosh of length √(σ/g)."""
    errors = []
    external = np.array([0.0, 1.0])
    for n in (20, 80):
        mesh = line(n, regions={"all": (0.0, 1.0)})
        transport = transport_on(
            mesh, [Terminal("ends", ("left", "right")), Terminal("j", ("all",), 8.0)], 2.0
        )
        operator = transport.at(coefficients(transport))
        found = solved(operator, external)
        exact = 1.0 - np.cosh(2.0 * (mesh.centroid[:, 0] - 0.5)) / np.cosh(1.0)
        errors.append(np.abs(found - exact).max())
        into = currents(operator, found, external)
        assert into[1] == pytest.approx((8.0 * (1.0 - found) / n).sum(), rel=1e-12)
        assert into.sum() == pytest.approx(0.0, abs=1e-12)
    assert np.log(errors[0] / errors[1]) / np.log(4.0) > 1.9


def test_conductance_is_shared_by_area_or_volume() -> None:
    mesh = shape_mesh("grid2d", dx=[1.0, 2.0, 3.0], ny=2, Ly=1.0, regions={"under": (0.0, 3.0)}, comm=SELF)
    terminals = [Terminal("r", ("right",)), Terminal("t", ("top",), 6.0), Terminal("u", ("under",), 9.0)]
    transport = transport_on(mesh, terminals)
    assert sorted(transport.junction_coefficient(np.ones((1, 1)))[:, 0]) == pytest.approx([1.0, 2.0, 3.0])
    assert sorted(transport.lead_coefficient(np.ones((1, 1)))[:, 0]) == pytest.approx([1.5, 1.5, 3.0, 3.0])
    for number, cells, share in ((1, 3, [1 / 6, 1 / 3, 1 / 2]), (2, 4, [1 / 6, 1 / 6, 1 / 3, 1 / 3])):
        under, shares = transport.lead_weight(number)
        assert len(under) == cells and sorted(shares) == pytest.approx(share)


def test_bent_line_is_as_long_as_a_straight_one() -> None:
    angle = np.linspace(0.0, 1.0, 21)
    points = np.column_stack([np.cos(angle), np.sin(angle), 0.0 * angle])
    cells = np.column_stack([np.arange(20), np.arange(1, 21)])
    mesh = build_mesh(points, [("line", cells)], {}, {"a": np.array([[0]]), "b": np.array([[20]])}, SELF)
    transport = transport_on(mesh, [Terminal("a", ("a",)), Terminal("b", ("b",))])
    operator = transport.at(coefficients(transport))
    external = np.array([0.0, 1.0])
    into = currents(operator, solved(operator, external), external)
    assert into[1] == pytest.approx(1.0 / (20 * 2 * np.sin(0.025)), rel=1e-12)


def test_messages() -> None:
    mesh = line(4, boundaries={"tap": 0.5}, regions={"a": (0.0, 0.5), "b": (0.75, 1.0)})
    with pytest.raises(CaseError, match="reservoir r: boundary 'tap' lies inside the device"):
        transport_on(mesh, [Terminal("r", ("tap",))])
    with pytest.raises(CaseError, match="j and r share faces"):
        transport_on(mesh, [Terminal("r", ("left",)), Terminal("j", ("left",), 1.0)])
    with pytest.raises(MeshError, match="no boundary 'lefft'; did you mean 'left'"):
        transport_on(mesh, [Terminal("r", ("lefft",))])
    with pytest.raises(CaseError, match="regions 'a' and 'b' do not touch"):
        transport_on(mesh, [Terminal("r", ("left",))], interfaces=[Interface(("a", "b"), 1.0)])
