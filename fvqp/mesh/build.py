"""From points, cells and named groups on rank 0 to a distributed `Mesh`; every mesh is made here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from mpi4py import MPI

from fvqp.errors import CaseError, MeshError, shown
from fvqp.mesh import geometry
from fvqp.mesh.cells import BY_NAME, BY_VTK, LINEARISED, MAX_CORNERS, MAX_FACE_CORNERS, corner_table
from fvqp.mesh.distribute import GhostExchange, partition, raise_together, scatter_rows
from fvqp.mesh.geometry import where
from fvqp.mesh.mesh import Mesh
from fvqp.mesh.nodes import join
from fvqp.mesh.seams import seam
from fvqp.units import to_float

COORDINATES = ("cartesian", "cylindrical", "spherical")

#: Largest coordinate, in metres: no device comes near it, and volumes stay far within the range of a float.
MAX_COORDINATE = 1e9


def metres(length_unit: str | float, name: str) -> float:
    """Return a unit of length, its name or a number of metres, in metres.

    Raises:
        MeshError: no positive length; the message begins with ``name``.
    """
    try:
        scale = to_float(f"1 {length_unit}", "m") if isinstance(length_unit, str) else float(length_unit)
    except CaseError:
        given = shown(length_unit)
        raise MeshError(f'{name}: length_unit: expected a length such as "um", got {given}') from None
    if not (np.isfinite(scale) and scale > 0):
        raise MeshError(f"{name}: a length unit of {scale} m is not a positive number")
    return scale


def build_mesh(
    points: np.ndarray | None,
    cells: Sequence[tuple[str, np.ndarray]] | None,
    regions: Mapping[str, np.ndarray] | None = None,
    boundaries: Mapping[str, np.ndarray] | None = None,
    comm: MPI.Comm = MPI.COMM_WORLD,
    *,
    name: str = "mesh",
    coordinates: str = "cartesian",
) -> Mesh:
    """Distributes rank 0's mesh over the ranks of ``comm`` and works out its geometry. Collective.

    Parameters
    ----------
    points : ``(n_points, 1..3)`` vertices in metres.
    cells : ``(meshio type, connectivity)`` blocks, all of one dimension; cells are numbered through the
        blocks. Lines may meet at nodes, which become cells after them (`fvqp.mesh.nodes`).
    regions : name → cell numbers.
    boundaries : name → ``(n, k)`` vertex numbers of faces, outer or interior, filled up with −1 where a face
        has fewer corners; ``(n, 1)`` for a mesh of lines.
    coordinates : ``"cartesian"``, ``"cylindrical"`` or ``"spherical"``, see `Mesh`.

    Raises
    ------
    MeshError
        Duplicated, inverted or empty cells, faces of more than two cells, cells that touch or overlap without
        sharing a face, boundaries that are not faces of
        the mesh, more ranks than cells; the message names the mesh and the entity.
    """
    root = comm.rank == 0
    whole: _Whole | None = None
    problem = None
    if root:
        try:
            whole = _Whole(points, cells, regions or {}, boundaries or {}, name, coordinates)
        except MeshError as error:
            problem = str(error)
    raise_together(comm, problem)
    dim, graph_dim, name, coordinates, region_names, facet_names = comm.bcast(
        whole.header if whole else None, root=0
    )

    table = whole.corners[:, : whole.width] if whole else None
    part = partition(comm, graph_dim, whole.points if whole else None, table)
    mine = np.concatenate([part.owned, part.ghosts])
    n_owned = len(part.owned)
    cell_type = scatter_rows(comm, whole.cell_type if whole else None, mine)
    corners = scatter_rows(comm, whole.corners if whole else None, mine)
    membership = scatter_rows(comm, whole.membership if whole else None, mine)
    cell_region = scatter_rows(comm, whole.cell_region if whole else None, mine)
    vertices = np.unique(corners[corners >= 0])
    corners = np.where(corners >= 0, np.searchsorted(vertices, corners), -1).astype(np.int32)
    xyz = scatter_rows(comm, whole.points if whole else None, vertices)

    half = geometry.half_faces(cell_type, corners)
    faces, crowded = geometry.match_faces(half, mine)
    raise_together(comm, _non_manifold(name, crowded, xyz))
    measures, empty, inverted = geometry.measure(dim, xyz, cell_type, corners, half, faces)
    del half  # as large as all that stays
    raise_together(
        comm, _bad_cells(name, empty, inverted, cell_type, mine, geometry.cell_means(xyz, corners), dim)
    )
    raise_together(comm, _bent_surface(name, dim, xyz, corners))
    trouble = seam(dim, whole.points, whole.cell_type, whole.corners) if whole and dim > 1 else None
    raise_together(comm, None if trouble is None else f"{name}: {trouble}")

    mine_too = np.any((faces.cells >= 0) & (faces.cells < n_owned), axis=1)
    # Arrays that stay whole need no copy.
    kept: slice | np.ndarray = slice(None) if mine_too.all() else mine_too
    weight = _metric(coordinates, measures)
    facets, facet_name = comm.bcast((whole.facets, whole.facet_name) if whole else None, root=0)
    del whole
    named = _named_faces(comm, name, facets, facet_name, facet_names, vertices, faces.keys[kept])
    return Mesh(
        dim=dim,
        comm=comm,
        name=name,
        coordinates=coordinates,
        n_owned=n_owned,
        n_global=comm.allreduce(n_owned),
        global_id=mine,
        points=xyz,
        cell_type=cell_type,
        corners=corners,
        volume=measures.volume * weight[0],
        centroid=measures.centroid,
        face_cells=faces.cells[kept],
        face_corners=faces.corners[kept],
        face_area=(measures.face_area * weight[1])[kept],
        face_normal=measures.face_normal[kept],
        face_centroid=measures.face_centroid[kept],
        regions={r: np.flatnonzero(membership[:, i]) for i, r in enumerate(region_names)},
        boundaries=named,
        cell_region=cell_region,
        region_names=region_names,
        exchange=GhostExchange(comm, mine, n_owned, part.ghost_owner),
    )


class _Whole:
    """The mesh as rank 0 holds it before distribution, checked as far as needs no geometry."""

    def __init__(
        self,
        points: np.ndarray | None,
        cells: Sequence[tuple[str, np.ndarray]] | None,
        regions: Mapping[str, np.ndarray],
        boundaries: Mapping[str, np.ndarray],
        name: str,
        coordinates: str,
    ) -> None:
        if coordinates not in COORDINATES:
            raise MeshError(f"{name}: coordinates '{coordinates}' are none of {', '.join(COORDINATES)}")
        points = np.atleast_2d(np.asarray(points, dtype=np.float64))
        self.points = np.zeros((len(points), 3))
        self.points[:, : points.shape[1]] = points
        self.cell_type, self.corners = _cell_table(cells or (), len(points), name)
        kinds = [BY_VTK[int(v)] for v in np.unique(self.cell_type)]
        if not kinds:
            raise MeshError(f"{name}: no cells")
        if len({k.dim for k in kinds}) > 1:
            raise MeshError(f"{name}: cells of different dimensions ({', '.join(k.name for k in kinds)})")
        dim = kinds[0].dim
        self.width = max(k.corners for k in kinds)
        self._check(name)
        for boundary, facets in boundaries.items():
            if np.size(facets) and np.max(facets) >= len(self.points):
                raise MeshError(f"{name}: boundary '{boundary}' uses a point that does not exist")
        for region, members in regions.items():
            if np.size(members) and not 0 <= np.min(members) <= np.max(members) < len(self.corners):
                raise MeshError(
                    f"{name}: region '{region}' has a cell number outside 0 … {len(self.corners) - 1}"
                )
        if dim == 1:
            joined = join(self.points, self.corners, regions, boundaries, name)
            if coordinates != "cartesian" and len(joined.corners) > len(self.corners):
                raise MeshError(f"{name}: lines that meet at a node do not go with {coordinates} coordinates")
            self.points, self.cell_type, self.corners = joined.points, joined.cell_type, joined.corners
            regions, boundaries = joined.regions, joined.boundaries
        graph_dim = dim
        if dim == 1 and np.any(self.corners[:, 2] >= 0):
            # DMPlex has no nodes; all it is asked is which cells share a vertex.
            self.width, graph_dim = MAX_CORNERS, 3
        if (coordinates == "spherical" and dim > 1) or (coordinates == "cylindrical" and dim > 2):
            raise MeshError(f"{name}: {coordinates} coordinates do not go with {dim}-dimensional cells")
        if coordinates != "cartesian" and self.points[:, 0].min() < 0:
            raise MeshError(f"{name}: a radius (first coordinate) is negative")
        if coordinates == "cylindrical" and np.any(self.points[:, 2]):
            raise MeshError(f"{name}: a mesh of radius and height (x and y) has points with another z than 0")
        self.membership, self.cell_region = _region_table(regions, len(self.corners))
        self.facets, self.facet_name = _facet_table(boundaries)
        self.header = (dim, graph_dim, name, coordinates, list(regions), list(boundaries))

    def _check(self, name: str) -> None:
        used = self.corners[self.corners >= 0]
        size = np.abs(self.points[used])
        if not np.all(np.isfinite(size)):
            raise MeshError(f"{name}: a point of a cell has a coordinate that is not a finite number")
        if size.max() > MAX_COORDINATE:
            at = used[np.argmax(size.max(axis=1))]
            raise MeshError(
                f"{name}: point {at} at {where(self.points[at])} lies beyond {MAX_COORDINATE:g} m; the unit "
                "of length may be wrong, or the file damaged"
            )
        keys = -np.sort(-self.corners[:, : self.width], axis=1)
        repeated = np.any((keys[:, 1:] == keys[:, :-1]) & (keys[:, 1:] >= 0), axis=1)
        if np.any(repeated):
            raise MeshError(
                f"{name}: cell {np.flatnonzero(repeated)[0]} uses one of its points twice (no volume)"
            )
        number = geometry.number_rows(keys)
        order = np.argsort(number, kind="stable")
        same = np.flatnonzero(np.diff(number[order]) == 0)
        if len(same):
            a, b = order[same[0]], order[same[0] + 1]
            raise MeshError(
                f"{name}: cells {a} and {b} are the same cell twice ({len(same)} duplicated in all); "
                "a cell may be listed once and carry one physical group"
            )


def _cell_table(
    cells: Sequence[tuple[str, np.ndarray]], n_points: int, name: str
) -> tuple[np.ndarray, np.ndarray]:
    types, rows = [], []
    count = 0
    for kind, connectivity in cells:
        known = BY_NAME.get(LINEARISED.get(kind, kind))
        if known is None or known.dim == 0:
            raise MeshError(f"{name}: cells of kind '{kind}' are not supported (known: {', '.join(BY_NAME)})")
        block = corner_table(known, connectivity, MAX_CORNERS, n_points, f"{name}: cell", count)
        count += len(block)
        rows.append(block)
        types.append(np.full(len(block), known.vtk, dtype=np.uint8))
    if not rows:
        return np.zeros(0, dtype=np.uint8), np.zeros((0, MAX_CORNERS), dtype=np.int32)
    return np.concatenate(types), np.concatenate(rows)


def _region_table(regions: Mapping[str, np.ndarray], n_cells: int) -> tuple[np.ndarray, np.ndarray]:
    membership = np.zeros((n_cells, len(regions)), dtype=bool)
    cell_region = np.full(n_cells, -1, dtype=np.int32)
    for i, cells in enumerate(regions.values()):
        membership[np.asarray(cells, dtype=np.int64), i] = True
    for i in np.argsort(-membership.sum(axis=0), kind="stable"):
        cell_region[membership[:, i]] = i
    return membership, cell_region


def _facet_table(boundaries: Mapping[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    tables = [np.zeros((0, MAX_FACE_CORNERS), dtype=np.int64)]
    numbers = [np.zeros(0, dtype=np.int64)]
    for i, facets in enumerate(boundaries.values()):
        facets = np.asarray(facets, dtype=np.int64)
        table = np.full((len(facets), MAX_FACE_CORNERS), -1, dtype=np.int64)
        table[:, : facets.shape[1]] = facets
        tables.append(table)
        numbers.append(np.full(len(table), i, dtype=np.int64))
    return np.concatenate(tables), np.concatenate(numbers)


def _find_rows(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """For each of ``rows`` the number of the equal row of ``table`` (all different), −1 if there is none."""
    number = geometry.number_rows(np.concatenate([table, rows]))
    where = np.full(len(number), -1, dtype=np.int64)
    where[number[: len(table)]] = np.arange(len(table))
    return where[number[len(table) :]]


def _named_faces(
    comm: MPI.Comm,
    name: str,
    facets: np.ndarray,
    facet_name: np.ndarray,
    names: list[str],
    vertices: np.ndarray,
    keys: np.ndarray,
) -> dict[str, np.ndarray]:
    position = np.minimum(np.searchsorted(vertices, facets), max(len(vertices) - 1, 0))
    here = np.all((facets < 0) | (vertices[position] == facets), axis=1)
    local = geometry.face_keys(np.where(facets[here] >= 0, position[here], -1))
    face = np.full(len(facets), -1, dtype=np.int64)
    face[here] = _find_rows(keys, local)
    matched = np.empty(len(facets), dtype=np.int64)
    comm.Allreduce(face, matched, op=MPI.MAX)
    lost = np.flatnonzero(matched < 0)
    if len(lost):
        which = names[int(facet_name[lost[0]])]
        count = int(np.sum(facet_name[lost] == facet_name[lost[0]]))
        corners = ", ".join(str(v) for v in facets[lost[0]] if v >= 0)
        raise MeshError(
            f"{name}: boundary '{which}' contains {count} elements that are not faces of any cell "
            f"(the first has points {corners})"
        )
    found = face >= 0
    return {b: np.unique(face[found & (facet_name == i)]) for i, b in enumerate(names)}


def _non_manifold(name: str, crowded: np.ndarray, points: np.ndarray) -> str | None:
    if not len(crowded):
        return None
    at = geometry.cell_means(points, crowded[:1])[0]
    return f"{name}: {len(crowded)} faces belong to more than two cells, one at {where(at)}"


def _bad_cells(
    name: str,
    empty: np.ndarray,
    inverted: np.ndarray,
    cell_type: np.ndarray,
    global_id: np.ndarray,
    mean: np.ndarray,
    dim: int,
) -> str | None:
    measure = {1: "length", 2: "area", 3: "volume"}[dim]
    for bad, what in (
        (empty, f"has zero {measure}"),
        (inverted, f"is inverted (negative {measure}: corners numbered the wrong way round, or folded over)"),
    ):
        if np.any(bad):
            i = np.flatnonzero(bad)[0]
            kind = BY_VTK[int(cell_type[i])].name
            more = f"; {int(bad.sum())} such cells" if bad.sum() > 1 else ""
            return f"{name}: cell {global_id[i]} ({kind}) at {where(mean[i])} {what}{more}"
    return None


def _bent_surface(name: str, dim: int, points: np.ndarray, corners: np.ndarray) -> str | None:
    """Two-dimensional meshes lie in one plane: at a fold the two cells have no common normal."""
    if dim != 2 or not len(corners):
        return None
    origin = points.mean(axis=0)
    _, spread, _ = np.linalg.svd((points - origin).T @ (points - origin))
    if np.sqrt(spread[2]) > 1e-6 * np.sqrt(spread[0]):
        return (
            f"{name}: the surface is not flat; a two-dimensional mesh must lie in one plane (a surface that "
            "bounds a volume must be filled with cells first, by gmsh for instance)"
        )
    return None


def _metric(coordinates: str, measures: geometry.Geometry) -> tuple[np.ndarray | float, np.ndarray | float]:
    """Factors that turn lengths and areas in the (r, z) plane into areas and volumes of revolution."""
    r_cell, r_face = measures.centroid[:, 0], measures.face_centroid[:, 0]
    if coordinates == "cylindrical":
        return 2.0 * np.pi * r_cell, 2.0 * np.pi * r_face
    if coordinates == "spherical":
        half = 0.5 * measures.volume
        return 4.0 * np.pi * (r_cell**2 + half**2 / 3.0), 4.0 * np.pi * r_face**2
    return 1.0, 1.0
