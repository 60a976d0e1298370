"""Lines that meet at nodes: what cells, names and pictures become of them, and what is refused."""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pytest
import pyvista
from mpi4py import MPI
from networks import CROSS, LOOP, TEE, Network

from fvqp.errors import MeshError
from fvqp.mesh import build_mesh, picture, quality, read_mesh
from fvqp.results.fields import FieldSeries

SELF = MPI.COMM_SELF


@pytest.mark.parametrize(("network", "nodes"), [(TEE, 1), (LOOP, 2), (CROSS, 1)])
def test_cells_of_a_network(network: Network, nodes: int) -> None:
    mesh = network.mesh(4.0)
    lines = int(np.round(4.0 * network.lengths).sum())
    assert mesh.n_cells == lines + nodes and list(mesh.nodes) == list(range(lines, lines + nodes))
    assert mesh.volume.sum() == pytest.approx(network.lengths.sum())
    forks = [k for k, n in enumerate(np.bincount(np.ravel(network.wires))) if n > 2]
    at = np.zeros((nodes, 3))
    at[:, :2] = np.asarray(network.points)[forks]
    assert mesh.centroid[mesh.nodes] == pytest.approx(at)
    arms = np.bincount(mesh.face_cells[mesh.face_cells >= 0])[mesh.nodes]
    assert list(arms) == [np.bincount(np.ravel(network.wires))[k] for k in forks]
    # Normals point away from the node, along the lines.
    faces = np.flatnonzero(mesh.face_cells[:, 1] == mesh.nodes[0])
    away = mesh.face_centroid[faces] - mesh.centroid[mesh.nodes[0]]
    away /= np.linalg.norm(away, axis=1)[:, None]
    assert np.einsum("fi,fi->f", mesh.face_normal[faces], away) == pytest.approx(-1.0)
    assert mesh.components()[0] == 1
    report = quality.report(mesh)
    assert report.n_oblique == 0 and sum(n for kind, n in report.cells.items() if "node" in kind) == nodes


def test_names() -> None:
    """The node is of the wire that passes through it; the named point becomes a region."""
    mesh = TEE.mesh(4.0)
    (node,) = mesh.nodes
    assert node in mesh.regions["wire"] and node not in mesh.regions["side"]
    assert list(mesh.regions["crossing"]) == [node] and set(mesh.boundaries) == {"end0", "end1", "end2"}
    for name, length in (("wire", 2.5), ("side", 0.75)):
        assert mesh.volume[mesh.regions[name]].sum() == pytest.approx(length, rel=1e-6)
    # Between two nodes a single cell is left some length.
    star = [(0, 1), (0, 2), (0, 3), (3, 4), (3, 5)]
    points = [(0, 0), (-1, 0), (0, 1), (1, 0), (2, 0), (1, 1)]
    short = build_mesh(np.array(points, float), [("line", np.array(star))], comm=SELF)
    assert short.volume == pytest.approx([0.5, 0.5, 0.5, 0.5, 0.5, 1.25, 1.25])


def test_pictures(tmp_path: Path) -> None:
    mesh = TEE.mesh(4.0)
    (panel,) = picture.fill(mesh, title="tee").axes[0].images
    left, right, bottom, top = panel.get_extent()
    pixels = np.asarray(panel.get_array())
    # A quarter of the way from the middle of each cell to its ends, and off the lines.
    cells, ends = np.nonzero(mesh.corners >= 0)
    at = 0.75 * mesh.centroid[cells, :2] + 0.25 * mesh.points[mesh.corners[cells, ends], :2]
    for places, drawn in ((at, True), (at + 0.2, False)):
        column = (places[:, 0] - left) / (right - left) * pixels.shape[1]
        row = (top - places[:, 1]) / (top - bottom) * pixels.shape[0]
        seen = pixels[row.astype(int), column.astype(int)].min(axis=1) < 250
        assert drawn == seen.all() == seen.any()
    FieldSeries(tmp_path).write(mesh, 0.0, {"number": np.arange(mesh.n_cells, dtype=float)})
    (file,) = (tmp_path / "fields").glob("*.vtu")
    shown = pyvista.read(file)
    assert shown.n_cells == mesh.n_cells and set(shown.celltypes) == {3, 4}
    sizes = shown.compute_cell_sizes(area=False, volume=False)["Length"]
    lines = np.flatnonzero(shown.celltypes == 3)
    np.testing.assert_allclose(1e-6 * sizes[lines], mesh.volume[shown["cell"][lines].astype(int)], rtol=1e-5)


def test_files(tmp_path: Path) -> None:
    """As gmsh writes it: names of lines and points, the point of the crossing among them."""
    points = np.array([[0.0, 0, 0], [-1, 0, 0], [1, 0, 0], [0, 1, 0]])
    cells = [("line", np.array([[0, 1], [0, 2], [0, 3]])), ("vertex", np.array([[1], [2], [3], [0]]))]
    tags = [np.array([1, 1, 2]), np.array([1, 1, 2, 3])]
    names = {"wire": [1, 1], "side": [2, 1], "ends": [1, 0], "tip": [2, 0], "fork": [3, 0]}
    meshio.write(
        tmp_path / "tee.msh",
        meshio.Mesh(
            points,
            cells,
            cell_data={"gmsh:physical": tags, "gmsh:geometrical": tags},
            field_data={name: np.array(pair) for name, pair in names.items()},
        ),
        file_format="gmsh22",
    )
    mesh = read_mesh(tmp_path / "tee.msh", length_unit="um", comm=SELF)
    assert set(mesh.regions) == {"wire", "side", "fork"} and set(mesh.boundaries) == {"ends", "tip"}
    assert mesh.volume == pytest.approx([0.5e-6, 0.5e-6, 1e-6, 1e-6], rel=3e-6)


def star(arms: int, **more: object) -> None:
    turn = 2 * np.pi * np.arange(arms) / arms
    points = np.vstack([[0.0, 0.0], np.column_stack([np.cos(turn), np.sin(turn)])])
    if more.get("coordinates"):
        points += 2.0
    cells = [("line", np.array([[0, k + 1] for k in range(arms)]))]
    build_mesh(points, cells, comm=SELF, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arms", "more", "message"),
    [
        (8, {}, r"8 lines meet at \(0, 0, 0\) m; at most 7 may"),
        (3, {"boundaries": {"x": np.array([[0], [1]])}}, "boundary 'x' is a point where lines meet"),
        (3, {"regions": {"x": np.arange(1)}, "boundaries": {"x": np.array([[0]])}}, "has this name too"),
        (3, {"coordinates": "cylindrical"}, "do not go with cylindrical coordinates"),
    ],
)
def test_bad_input(arms: int, more: dict[str, object], message: str) -> None:
    with pytest.raises(MeshError, match=message):
        star(arms, **more)
    star(7)
