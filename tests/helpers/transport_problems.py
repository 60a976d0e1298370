"""Meshes and single-energy problems that tests of the transport operator share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI

from fvqp.mesh import Mesh, RawMesh, build_mesh, read_raw, shape_mesh
from fvqp.models.linear import TransportSolver
from fvqp.transport.operator import Operator, Transport
from fvqp.transport.operator_tables import Coefficients
from fvqp.transport.terminals import Terminal


@contextmanager
def gmsh_model(dim: int, size: float, path: Path, splits: int = 0) -> Iterator[Any]:
    """Gmsh with an empty model; meshes what the block makes of it with cells of this size into the file.

    These are split ``splits`` times, into four or eight each.
    """
    import gmsh

    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("General.NumThreads", 1)
        for option in ("Max", "Min"):
            gmsh.option.setNumber(f"Mesh.MeshSize{option}", size)
        yield gmsh
        gmsh.model.mesh.generate(dim)
        for _ in range(splits):
            gmsh.model.mesh.refine()
        gmsh.write(str(path))
    finally:
        gmsh.finalize()


def gmsh_halves(path: Path, dim: int, size: float) -> Path:
    """Unit square or cube of simplices in two regions, ``left`` and ``right`` of x = 1/2.

    Boundaries: ``west`` and ``east`` (x = 0, 1), ``outer`` (all outer faces).
    """
    with gmsh_model(dim, size, path) as gmsh:
        occ = gmsh.model.occ
        if dim == 2:
            halves = [occ.addRectangle(x, 0, 0, 0.5, 1) for x in (0.0, 0.5)]
        else:
            halves = [occ.addBox(x, 0, 0, 0.5, 1, 1) for x in (0.0, 0.5)]
        occ.fragment([(dim, halves[0])], [(dim, halves[1])])
        occ.synchronize()
        for _, tag in gmsh.model.getEntities(dim):
            left = occ.getCenterOfMass(dim, tag)[0] < 0.5
            gmsh.model.addPhysicalGroup(dim, [tag], name="left" if left else "right")
        at = {tag: occ.getCenterOfMass(dim - 1, tag)[0] for _, tag in gmsh.model.getEntities(dim - 1)}
        groups = {
            "outer": [tag for tag, x in at.items() if abs(x - 0.5) > 1e-9 or not _across(tag, dim)],
            "west": [tag for tag, x in at.items() if x < 1e-9],
            "east": [tag for tag, x in at.items() if x > 1 - 1e-9],
        }
        for name, tags in groups.items():
            gmsh.model.addPhysicalGroup(dim - 1, tags, name=name)
    return path


def _across(tag: int, dim: int) -> bool:
    """Whether an entity lies in a plane x = const."""
    import gmsh

    box = gmsh.model.getBoundingBox(dim - 1, tag)
    return bool(abs(box[3] - box[0]) < 1e-3)


def plain(mesh: Mesh) -> RawMesh:
    """Vertices and cells of a serial mesh, without names."""
    kinds = {3: "line", 5: "triangle", 9: "quad", 10: "tetra", 12: "hexahedron", 13: "wedge", 14: "pyramid"}
    cells = [(kinds[vtk], connectivity) for vtk, connectivity, _ in mesh.cell_blocks]
    return RawMesh(mesh.points, cells, {}, {})


def skewed_quads(n: int) -> RawMesh:
    """Unit square of ``n × n`` quads whose inner vertices are displaced smoothly, up to 1/20."""
    raw = plain(shape_mesh("grid2d", nx=n, Lx=1.0, ny=n, Ly=1.0, comm=MPI.COMM_SELF))
    points = raw.points.copy()
    x, y = raw.points[:, 0], raw.points[:, 1]
    bump = 0.05 * np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
    points[:, 0] += bump
    points[:, 1] += bump
    return RawMesh(points, raw.cells, {}, {})


def mixed_cells(n: int) -> RawMesh:
    """Unit cube of hexes, of hexes cut into six pyramids and into two wedges, a third each along x."""
    raw = plain(shape_mesh("grid3d", nx=n, Lx=1.0, ny=n, Ly=1.0, nz=n, Lz=1.0, comm=MPI.COMM_SELF))
    hexes = raw.cells[0][1]
    x = raw.points[hexes].mean(axis=1)[:, 0]
    whole, split, cut = (hexes[(x > a) & (x < b)] for a, b in ((0, 1 / 3), (1 / 3, 2 / 3), (2 / 3, 1)))
    apex = len(raw.points) + np.arange(len(split))
    points = np.concatenate([raw.points, raw.points[split].mean(axis=1)])
    sides = [(0, 1, 2, 3), (4, 7, 6, 5), (0, 4, 5, 1), (1, 5, 6, 2), (2, 6, 7, 3), (3, 7, 4, 0)]
    pyramids = np.concatenate([np.column_stack([split[:, side], apex]) for side in sides])
    wedges = np.concatenate([cut[:, [0, 1, 2, 4, 5, 6]], cut[:, [0, 2, 3, 4, 6, 7]]])
    return RawMesh(points, [("hexahedron", whole), ("pyramid", pyramids), ("wedge", wedges)], {}, {})


def sheared(raw: RawMesh) -> RawMesh:
    """The same cells under an affine map: planes stay planes, right angles do not stay right."""
    points = raw.points.copy()
    points[:, 0] += 0.3 * raw.points[:, 1] - 0.2 * raw.points[:, 2]
    points[:, 1] += 0.25 * raw.points[:, 2]
    return RawMesh(points, raw.cells, {}, {})


def named(raw: RawMesh, *, every: bool) -> Mesh:
    """A serial mesh with its outer faces named: each by its number if ``every``, or all of them ``outer``."""
    mesh = build_mesh(raw.points, raw.cells, raw.regions, {}, MPI.COMM_SELF)
    corners = mesh.face_corners[mesh.outer_faces]
    groups = {str(k): corners[k : k + 1] for k in range(len(corners))} if every else {"outer": corners}
    return build_mesh(mesh.points, plain(mesh).cells, raw.regions, groups, MPI.COMM_SELF)


def transport_on(
    mesh: Mesh,
    terminals: list[Terminal],
    conductivity: np.ndarray | float = 1.0,
    medium: np.ndarray | None = None,
    **more: object,
) -> Transport:
    """Transport of unit cross-section and unit reaction scale."""
    ones = np.ones(mesh.n_cells)
    return Transport(
        mesh,
        conductivity * ones,
        ones,
        ones,
        np.zeros(mesh.n_cells, np.int32) if medium is None else medium,
        terminals,
        **more,  # type: ignore[arg-type]
    )


def coefficients(
    transport: Transport, diffusion: np.ndarray | float = 1.0, reaction: np.ndarray | float = 0.0
) -> Coefficients:
    """One component, one energy; junctions and interfaces of a normal metal."""
    n = transport.mesh.n_cells
    return Coefficients(
        diffusion=np.ascontiguousarray(np.broadcast_to(diffusion, n))[None, :, None],
        reaction=np.ascontiguousarray(np.broadcast_to(reaction, n))[None, :, None],
        junction=transport.junction_coefficient(np.ones((1, 1))),
        interface=transport.interface_coefficient(np.ones((1, len(transport.interface_faces), 1))),
        lead=transport.lead_coefficient(np.ones((1, 1))),
    )


def solved(operator: Operator, external: np.ndarray, source: np.ndarray | None = None) -> np.ndarray:
    """Solution ``(n_cells,)`` of a single-energy problem; ``external[terminal]``, ``source[cell]``."""
    solver = TransportSolver(operator.transport)
    x = solver.solve(
        operator,
        np.asarray(external, float)[None, None, :, None],
        source=None if source is None else source[None, : operator.transport.mesh.n_owned, None, None],
        what=lambda _: "the test problem",
    )
    return x[0, :, 0, 0]


def currents(operator: Operator, x: np.ndarray, external: np.ndarray) -> np.ndarray:
    """Current from every terminal into the device, ``(terminal,)``."""
    return operator.currents(
        np.ascontiguousarray(x[:, None, None]), np.asarray(external, float)[None, :, None]
    )[0, :, 0]


__all__ = [
    "coefficients", "currents", "gmsh_halves", "mixed_cells", "named", "plain", "read_raw", "sheared",
    "skewed_quads", "solved", "transport_on",
]  # fmt: skip
