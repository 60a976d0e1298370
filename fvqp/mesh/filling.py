"""Volumes given by their surface: a closed surface of triangles is filled with tetrahedra by gmsh."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from fvqp.errors import MeshError

#: Name of the filled region where the file gives none, and of its whole boundary.
VOLUME, SURFACE = "volume", "surface"

_TRIANGLE, _TETRAHEDRON = 2, 4  # gmsh's numbers of element types
_SOLID = re.compile(
    rb"^[ \t]*(?:solid\b[ \t]*(?P<name>[^\r\n]*)|(?P<facet>facet)\b)", re.MULTILINE | re.IGNORECASE
)


@contextmanager
def gmsh_session(purpose: str, options: Mapping[str, float] | None = None) -> Iterator[Any]:
    """gmsh, silent and with an empty model of its own; a session that the caller has open goes on afterwards.

    ``options`` are numbers that gmsh's options have for so long.

    Raises `MeshError`, "``purpose`` needs gmsh", where it is not installed or does not load.
    """
    try:
        import gmsh
    except (ImportError, OSError):
        raise MeshError(f'{purpose} needs gmsh, which is not here: pip install "fvqp[gmsh]"') from None
    ours = not gmsh.isInitialized()
    if ours:
        gmsh.initialize(interruptible=False)
    else:
        earlier = gmsh.model.getCurrent()
    settings = {"General.Terminal": 0, "General.NumThreads": 1, "Mesh.MshFileVersion": 4.1, **(options or {})}
    before = {name: gmsh.option.getNumber(name) for name in settings}
    try:
        for name, value in settings.items():
            gmsh.option.setNumber(name, value)
        gmsh.model.add("fvqp")
        yield gmsh
    finally:
        if ours:
            gmsh.finalize()
        else:
            gmsh.model.setCurrent("fvqp")
            gmsh.model.remove()
            gmsh.model.setCurrent(earlier)
            for name, value in before.items():
                gmsh.option.setNumber(name, value)


def is_flat(points: np.ndarray) -> bool:
    """Return whether points lie in one plane, to a millionth of their extent."""
    spread = np.linalg.svd(points - points.mean(axis=0), compute_uv=False)
    return bool(spread[2] <= 1e-6 * spread[0])


def solids(path: Path) -> list[tuple[str, int]]:
    """Names of the solids of an STL file, each with the number of its triangles; empty for a binary file."""
    text = path.read_bytes()
    if len(text) >= 84 and len(text) == 84 + 50 * int.from_bytes(text[80:84], "little"):
        return []
    found: list[tuple[str, int]] = []
    for match in _SOLID.finditer(text):
        if match["facet"] is None:
            found.append((match["name"].decode(errors="replace").strip(), 0))
        elif found:
            found[-1] = found[-1][0], found[-1][1] + 1
    return found


def require_closed(points: np.ndarray, triangles: np.ndarray, name: str) -> None:
    """Raises `MeshError` unless the triangles form one closed surface."""
    edges = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), axis=1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    wrong = np.flatnonzero(count != 2)
    if len(wrong):
        at = ", ".join(f"{x:.6g}" for x in points[unique[wrong[0]]].mean(axis=0))
        raise MeshError(
            f"{name}: the surface is not closed, so it bounds no volume: {len(wrong)} edges do not belong to "
            f"exactly two triangles, one at ({at})"
        )
    links = coo_array((np.ones(len(unique)), unique.T), shape=(len(points), len(points)))
    _, part = connected_components(links, directed=False)
    shells = len(np.unique(part[triangles[:, 0]]))
    if shells > 1:
        raise MeshError(
            f"{name}: {shells} separate closed surfaces; a file for one device holds one (cavities and "
            "several bodies need a mesh of cells)"
        )


def fill(points: np.ndarray, triangles: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Tetrahedra inside a closed surface, of the size of its triangles, which stay as they are.

    The same surface gives the same tetrahedra.

    Parameters
    ----------
    points : ``(n, 3)``, in any unit of length.
    triangles : ``(m, 3)`` numbers of points.
    name : of the file, for messages.

    Returns
    -------
    The points with those that were added inside, and the ``(k, 4)`` tetrahedra.

    Raises
    ------
    MeshError
        The surface is open, is more than one or cuts itself; gmsh is missing.
    """
    require_closed(points, triangles, name)
    used, local = np.unique(triangles, return_inverse=True)
    surface = points[used]
    # gmsh has absolute tolerances made for sizes of about one.
    middle, size = surface.mean(axis=0), float(np.ptp(surface, axis=0).max())
    with gmsh_session(f"{name}: filling a surface with cells") as gmsh:
        try:
            face = gmsh.model.addDiscreteEntity(2)
            numbers = np.arange(1, len(used) + 1)
            gmsh.model.mesh.addNodes(2, face, numbers, ((surface - middle) / size).ravel())
            gmsh.model.mesh.addElementsByType(face, _TRIANGLE, [], local.ravel() + 1)
            gmsh.model.geo.addVolume([gmsh.model.geo.addSurfaceLoop([face])])
            gmsh.model.geo.synchronize()
            gmsh.model.mesh.generate(3)
            tags, where, _ = gmsh.model.mesh.getNodes()
            _, corners = gmsh.model.mesh.getElementsByType(_TETRAHEDRON)
        except Exception as error:  # gmsh has no other type
            raise MeshError(f"{name}: gmsh cannot fill the surface: {' '.join(str(error).split())}") from None
    if not len(corners):
        raise MeshError(f"{name}: gmsh cannot fill the surface: it found no inside")
    order = np.argsort(tags)
    filled = where.reshape(-1, 3)[order] * size + middle
    filled[: len(used)] = surface
    inside = np.arange(len(used), len(filled))
    position = np.concatenate([used, len(points) + inside - len(used)])
    cells = position[np.searchsorted(tags[order], corners)].reshape(-1, 4)
    return np.concatenate([points, filled[inside]]), cells
