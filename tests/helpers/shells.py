"""Spheres and cylinders in shells: lines in radius, with walls ``outer`` and, where hollow, ``inner``."""

from __future__ import annotations

from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike

from fvqp.mesh import Mesh, shape_mesh
from fvqp.transport.directions import Directions
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Streaming
from fvqp.transport.walls import Wall


def shell_mesh(radii: ArrayLike, geometry: str, comm: MPI.Comm = MPI.COMM_SELF) -> Mesh:
    """Shells between radii, ``"spherical"`` or ``"cylindrical"`` ones."""
    r = np.asarray(radii, dtype=float)
    ends = {"outer": [float(r[-1])]} | ({"inner": [float(r[0])]} if r[0] > 0.0 else {})
    return shape_mesh(f"{geometry}1d", dx=np.diff(r), origin=(float(r[0]),), boundaries=ends, comm=comm)


def bounds(shells: Mesh) -> np.ndarray:
    """Radii between shells, ``(n + 1,)``."""
    return np.sort(shells.points[:, 0])


def mean_radii(shells: Mesh) -> np.ndarray:
    """Mean radius over the volume of every shell, ``(n,)``."""
    r, power = bounds(shells), shells.lengths
    return power / (power + 1) * np.diff(r ** (power + 1)) / np.diff(r**power)


def radial_streaming(
    shells: Mesh,
    directions: Directions,
    speed: ArrayLike,
    outer: Wall,
    inner: Wall | None = None,
    **options: Any,
) -> Streaming:
    """Streaming in shells."""
    walls = {"outer": outer} | ({} if inner is None else {"inner": inner})
    return mesh_streaming(shells, directions, speed, walls, **options)
