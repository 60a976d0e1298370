"""Quality of a mesh for a finite-volume method: sizes, shapes, names."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from fvqp.mesh.cells import BY_VTK
from fvqp.mesh.mesh import Mesh

#: Offsets below this fraction of the distance to the face are round-off of a centroid.
ORTHOGONAL = 1e-9
#: SI unit by dimension.
UNITS = {0: "", 1: "m", 2: "m²", 3: "m³"}


@dataclass(frozen=True)
class Quality:
    """Numbers that describe a mesh; the same on every rank.

    Attributes
    ----------
    name, dim, coordinates : as in `Mesh`.
    cells : cell kind → how many.
    n_points, n_faces, n_outer_faces : over all ranks.
    regions : name → (cells, volume); ``unnamed_cells`` belong to none.
    boundaries : name → (faces, area, how many of the faces lie inside the mesh).
    volume_min, volume_max, volume_total : metres to the power ``dim`` (a body of revolution: of its own).
    extent : ``(2, 3)`` lowest and highest coordinates in metres.
    angle_max, angle_mean : non-orthogonality in degrees: the angle between a face's normal and the line
        between the centroids of its cells, over interior faces (0 if there are none).
    n_oblique : interior faces that are not straight between the centroids of their cells, see
        `projections`. A two-point flux is inconsistent there, and the corrected flux is not
        monotone.
    aspect_max, aspect_mean : longest over shortest extent of the cells, see `aspect_ratio`.
    components : number of connected parts.
    ranks : MPI ranks, with the fewest and the most owned cells, and the ghosts of all ranks.
    """

    name: str
    dim: int
    coordinates: str
    cells: dict[str, int]
    n_points: int
    n_faces: int
    n_outer_faces: int
    regions: dict[str, tuple[int, float]]
    unnamed_cells: int
    boundaries: dict[str, tuple[int, float, int]]
    volume_min: float
    volume_max: float
    volume_total: float
    extent: np.ndarray
    angle_max: float
    angle_mean: float
    n_oblique: int
    aspect_max: float
    aspect_mean: float
    components: int
    ranks: tuple[int, int, int, int]

    def __str__(self) -> str:
        """The report as text, one fact a line."""
        q = self
        measure = {1: "length", 2: "area", 3: "volume"}[q.dim]
        revolved = q.coordinates != "cartesian"
        v, a = (UNITS[q.dim], UNITS[q.dim - 1]) if not revolved else ("(of revolution)", "(of revolution)")
        kinds = ", ".join(f"{n} {k}" for k, n in q.cells.items())
        volumes = f"{q.volume_min:.4g} … {q.volume_max:.4g} {v}, total {q.volume_total:.6g} {v}"
        lines = [
            f"{q.name}: {q.dim}-D, {q.coordinates}",
            f"  cells            {sum(q.cells.values())} ({kinds})",
            f"  points, faces    {q.n_points}, {q.n_faces} ({q.n_outer_faces} on the outer boundary)",
            f"  extent           {_extent(q.extent * 1e6)}",
            f"  cell {measure:<11} {volumes}",
            f"  connected parts  {q.components}",
        ]
        if q.ranks[0] > 1:
            ranks, fewest, most, ghosts = q.ranks
            lines.append(f"  MPI ranks        {ranks}, {fewest} … {most} cells each, {ghosts} ghosts in all")
        lines += [
            f"  non-orthogonal   worst {q.angle_max:.1f}°, mean {q.angle_mean:.1f}°",
            f"  aspect ratio     worst {q.aspect_max:.3g}, mean {q.aspect_mean:.3g}",
            f"  oblique faces    {q.n_oblique}"
            + (" (corrected flux, not monotone there)" if q.n_oblique else ""),
            "  regions" + ("" if q.regions else "          none"),
        ]
        width = max([len(n) for n in (*q.regions, *q.boundaries)] + [8])
        lines += [f"    {n:<{width}}  {c} cells, {x:.6g} {v}" for n, (c, x) in q.regions.items()]
        if q.unnamed_cells:
            lines.append(f"    {'(no name)':<{width}}  {q.unnamed_cells} cells")
        lines.append("  boundaries" + ("" if q.boundaries else "       none"))
        for n, (count, x, inside) in q.boundaries.items():
            where = "" if not inside else (", inside" if inside == count else f", {inside} of them inside")
            area = f", {x:.6g} {a}" if a else ""
            lines.append(f"    {n:<{width}}  {count} faces{area}{where}")
        return "\n".join(lines)


def projections(mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Distance of each cell's centroid from the plane of the face, and its offset in that plane.

    With ``d`` the vector from the centroid of the cell to that of the face and ``n`` the normal out of the
    cell, the distance is ``d·n`` and the offset ``d − (d·n) n``.

    Returns ``(n_faces, 2)`` distances, ∞ on the missing side of an outer face, and ``(n_faces, 2, 3)``
    offsets, metres; an offset is exactly 0 where it is no more than round-off (`ORTHOGONAL`). A line may bend
    at a node: there distances are measured along it, and nothing is offset.
    """
    inside = mesh.face_cells >= 0
    d = mesh.face_centroid[:, None, :] - mesh.centroid[np.where(inside, mesh.face_cells, 0)]
    if mesh.dim == 1:
        return np.where(inside, np.linalg.norm(d, axis=2), np.inf), np.zeros_like(d)
    normal = mesh.face_normal[:, None, :] * np.array([1.0, -1.0])[None, :, None]
    along = np.einsum("fsi,fsi->fs", d, normal)
    offset = d - along[..., None] * normal
    offset[(np.linalg.norm(offset, axis=2) <= ORTHOGONAL * np.abs(along)) | ~inside] = 0.0
    return np.where(inside, along, np.inf), offset


def oblique(offset: np.ndarray) -> np.ndarray:
    """Return a mask of the faces with a cell that is not straight behind them, from the offsets of
    `projections`."""
    return np.any(offset != 0.0, axis=(1, 2))


def non_orthogonality(mesh: Mesh) -> np.ndarray:
    """Angle in degrees between normal and line of centroids, ``(n_faces,)``; 0 on the outer boundary.

    A line has no such angle: there it is 0 also at bends.
    """
    angle = np.zeros(mesh.n_faces)
    if mesh.dim == 1:
        return angle
    inner = mesh.face_cells[:, 1] >= 0
    a, b = mesh.face_cells[inner].T
    d = mesh.centroid[b] - mesh.centroid[a]
    n = mesh.face_normal[inner]
    along = np.einsum("ij,ij->i", d, n)
    across = np.linalg.norm(d - along[:, None] * n, axis=1)
    angle[inner] = np.degrees(np.arctan2(across, along))
    return angle


def aspect_ratio(mesh: Mesh) -> np.ndarray:
    """Largest over smallest principal extent of each cell's corners, ``(n_cells,)``.

    A principal extent is the root mean square distance of the corners from their mean along a principal axis:
    1 for regular triangles and tets, squares and cubes; a : b for a rectangle; 1 for lines.
    """
    result = np.ones(mesh.n_cells)
    if mesh.dim == 1:
        return result
    for _, corners, cells in mesh.cell_blocks:
        p = mesh.points[corners]
        p = p - p.mean(axis=1, keepdims=True)
        # Across the plane of a two-dimensional mesh the extent is 0: the axes in use are the last ones.
        extent = np.linalg.eigvalsh(np.einsum("nki,nkj->nij", p, p))[:, -mesh.dim :]
        result[cells] = np.sqrt(extent[:, -1] / extent[:, 0])
    return result


def cell_sizes(mesh: Mesh) -> np.ndarray:
    """Largest distance between two corners of each cell, ``(n_cells,)``, metres."""
    result = np.zeros(mesh.n_cells)
    for _, corners, cells in mesh.cell_blocks:
        for a in range(corners.shape[1]):
            for b in range(a):
                edge = mesh.points[corners[:, a]] - mesh.points[corners[:, b]]
                result[cells] = np.maximum(result[cells], np.linalg.norm(edge, axis=1))
    return result


def report(mesh: Mesh) -> Quality:
    """Measures a mesh (collective)."""
    comm, owned = mesh.comm, slice(0, mesh.n_owned)
    mine = mesh.face_owned
    inner = mine & (mesh.face_cells[:, 1] >= 0)
    angle, aspect, volume = non_orthogonality(mesh)[inner], aspect_ratio(mesh)[owned], mesh.volume[owned]
    n_inner = comm.allreduce(int(inner.sum()))
    kinds = {t.name: comm.allreduce(int(np.sum(mesh.cell_type[owned] == t.vtk))) for t in BY_VTK.values()}
    parts, _ = mesh.components()
    used = mesh.points[np.unique(mesh.corners[owned][mesh.corners[owned] >= 0])]
    low = [comm.allreduce(float(x), op=MPI.MIN) for x in used.min(axis=0)]
    high = [comm.allreduce(float(x), op=MPI.MAX) for x in used.max(axis=0)]
    regions, boundaries = {}, {}
    for name, cells in mesh.regions.items():
        cells = cells[cells < mesh.n_owned]
        regions[name] = (comm.allreduce(len(cells)), comm.allreduce(float(mesh.volume[cells].sum())))
    for name, faces in mesh.boundaries.items():
        faces = faces[mine[faces]]
        inside = int(np.sum(mesh.face_cells[faces, 1] >= 0))
        area = float(mesh.face_area[faces].sum())
        boundaries[name] = (comm.allreduce(len(faces)), comm.allreduce(area), comm.allreduce(inside))
    return Quality(
        name=mesh.name,
        dim=mesh.dim,
        coordinates=mesh.coordinates,
        cells={k: n for k, n in kinds.items() if n},
        n_points=_count_points(mesh),
        n_faces=comm.allreduce(int(mine.sum())),
        n_outer_faces=comm.allreduce(int(mine.sum())) - n_inner,
        regions=regions,
        unnamed_cells=comm.allreduce(int(np.sum(mesh.cell_region[owned] < 0))),
        boundaries=boundaries,
        volume_min=comm.allreduce(float(volume.min()), op=MPI.MIN),
        volume_max=comm.allreduce(float(volume.max()), op=MPI.MAX),
        volume_total=mesh.total(mesh.volume),
        extent=np.array([low, high]),
        angle_max=comm.allreduce(float(angle.max(initial=0.0)), op=MPI.MAX),
        angle_mean=comm.allreduce(float(angle.sum())) / max(n_inner, 1),
        n_oblique=comm.allreduce(int(oblique(projections(mesh)[1])[inner].sum())),
        aspect_max=comm.allreduce(float(aspect.max()), op=MPI.MAX),
        aspect_mean=comm.allreduce(float(aspect.sum())) / mesh.n_global,
        components=parts,
        ranks=(
            comm.size,
            comm.allreduce(mesh.n_owned, op=MPI.MIN),
            comm.allreduce(mesh.n_owned, op=MPI.MAX),
            comm.allreduce(mesh.n_cells - mesh.n_owned),
        ),
    )


def _count_points(mesh: Mesh) -> int:
    """Points of all ranks, each counted by the rank that owns the lowest-numbered cell around it."""
    lowest = np.full(len(mesh.points), mesh.n_global, dtype=np.int64)
    rows, columns = np.nonzero(mesh.corners >= 0)
    np.minimum.at(lowest, mesh.corners[rows, columns], mesh.global_id[rows])
    return int(mesh.comm.allreduce(int(np.isin(lowest, mesh.global_id[: mesh.n_owned]).sum())))


def _extent(ends: np.ndarray) -> str:
    """Lengths of a box in micrometres, and from where to where it goes along its axes, ``(2, 3)``."""
    along = [(axis, low, high) for axis, low, high in zip("xyz", *ends, strict=True) if high > low]
    lengths = " × ".join(f"{high - low:.4g}" for _, low, high in along)
    return f"{lengths} um, at " + ", ".join(f"{axis} {low:.4g} … {high:.4g}" for axis, low, high in along)
