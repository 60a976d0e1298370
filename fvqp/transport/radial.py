"""Streaming in spheres and cylinders: shells in radius, discrete ordinates relative to the radius.

A particle that flies straight on changes its direction relative to the radius; the operator couples the
directions of a level so that a uniform isotropic occupation stays what it is (theory: streaming, Eq.
streaming-alpha).
"""

from __future__ import annotations

import numpy as np
from mpi4py import MPI
from numpy.typing import ArrayLike, NDArray

from fvqp.errors import CaseError
from fvqp.transport.chain import Chain
from fvqp.transport.directions import RadialDirections
from fvqp.transport.geometry import Gradient
from fvqp.transport.layout import Barrier, CellLayout
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import Wall
from fvqp.typing import Floats


class Shells:
    """Concentric shells.

    Attributes:
        radii: ``(n + 1,)`` their bounds, rising.
        volume: ``(n,)`` of spherical shells, or of cylindrical ones per length.
        area: ``(n + 1,)`` of the bounds.
        centroid: ``(n,)`` mean radius over the volume.
        chain: which of the shells are this rank's.
    """

    def __init__(self, radii: ArrayLike, geometry: str, comm: MPI.Comm = MPI.COMM_SELF) -> None:
        """
        Args:
            radii: bounds of all shells; the first is 0 in a full body.
            geometry: ``"spherical"`` or ``"cylindrical"``.
            comm: ranks that share the shells.

        Raises:
            CaseError: bounds that do not rise, or begin below zero; another geometry.
            MeshError: more ranks than shells.
        """
        r = np.asarray(radii, dtype=np.float64)
        if r.ndim != 1 or len(r) < 2 or not np.all(np.isfinite(r)) or r[0] < 0.0 or np.any(np.diff(r) <= 0.0):
            raise CaseError("shells: radii must be two or more rising numbers, the first not negative")
        power = {"spherical": 3, "cylindrical": 2}.get(geometry)
        if power is None:
            raise CaseError(f"shells: geometry '{geometry}' is neither spherical nor cylindrical")
        factor = {3: 4.0 * np.pi, 2: 2.0 * np.pi}[power]
        low, high = r[:-1], r[1:]
        # Differences of powers as width times sum, which keeps thin shells exact.
        sums = {2: low + high, 3: low**2 + low * high + high**2, 4: (low + high) * (low**2 + high**2)}
        self.geometry = geometry
        self.radii = r
        self.area = factor * r ** (power - 1)
        self.volume = factor * (high - low) * sums[power] / power
        self.centroid = power * sums[power + 1] / ((power + 1) * sums[power])
        self.chain = Chain(len(self.volume), comm)


def radial_streaming(
    shells: Shells,
    directions: RadialDirections,
    speed: ArrayLike,
    outer: Wall,
    inner: Wall | None = None,
    *,
    states: ArrayLike | None = None,
    medium: ArrayLike | None = None,
    scheme: Scheme = "limited",
) -> Streaming:
    """Streaming in a sphere or cylinder, ``v [Ω_r ∂_r + (Ω_φ²/r) ∂_{Ω_r}] f``. Collective over their ranks.

    The walls are named ``outer`` and, in a hollow body, ``inner``. At the centre of a full body nothing is
    prescribed: no particle passes through a face without area.

    Args:
        shells: cells.
        directions: of `fvqp.transport.directions.spherical` or `fvqp.transport.directions.cylindrical`.
        speed, states, scheme: see `Streaming`.
        medium: ``(n_cells,)`` number of the medium of every shell of this rank, ghosts included. Gradients
            take in shells of the same medium; needed where rates of scattering jump by orders of magnitude.
            None if there is one medium.
        outer: what happens at the largest radius.
        inner: what happens at the smallest one, if it is not 0.

    Raises:
        CaseError: directions for another geometry; an inner wall of a full body, or none of a hollow one;
            media of another shape; see `Streaming`.
    """
    if directions.geometry != shells.geometry:
        raise CaseError(
            f"{shells.geometry} shells need {shells.geometry} directions, not {directions.geometry} ones"
        )
    hollow = shells.radii[0] > 0.0
    if hollow != (inner is not None):
        raise CaseError(
            "hollow shells need an inner wall" if hollow else "shells from radius 0 on have no inner wall"
        )
    chain, n = shells.chain, len(shells.volume)
    here = chain.global_id
    media = np.zeros(len(here)) if medium is None else np.asarray(medium)
    if media.shape != here.shape:
        raise CaseError(f"streaming: media must be numbered by shell, {len(here)}, found shape {media.shape}")
    # Faces between shells, then the outer one, then the inner one, each with its normal out of cell 0, as far
    # as they belong to a shell of this rank. The centre of a full body has no area, but bounds the gradients
    # of its shell.
    first, last = here[0], here[chain.n_owned - 1]
    bound = np.arange(max(first, 1), last + 2)
    bound = np.append(bound, 0) if first == 0 else bound
    sign = np.where(bound == 0, -1.0, 1.0)
    local = np.full(n, -1)
    local[here] = np.arange(len(here))
    cell0 = local[np.maximum(bound - 1, 0)]
    cell1 = np.where((bound > 0) & (bound < n), local[np.minimum(bound, n - 1)], -1)
    area = shells.area[bound]
    cells = np.stack([cell0, cell1], axis=1).astype(np.int32)
    centroid = shells.centroid[here]
    arm = np.where(cells >= 0, shells.radii[bound][:, None] - centroid[cells], 0.0)
    radial = directions.vectors[:, 0]
    inverse = directions.mirror((1.0, 0.0, 0.0))
    layout = CellLayout(
        comm=chain.comm,
        n_owned=chain.n_owned,
        n_cells=chain.n_cells,
        global_id=here,
        exchange=chain.exchange,
        volume=shells.volume[here],
        face_cells=cells,
        area=area,
        projected=np.outer(area * sign, radial),
        offset=np.ascontiguousarray(arm[:, :, None]),
        distance=np.abs(arm),
        lateral=np.zeros((len(cells), 2, 1)),
        gradient=_gradient(centroid, here, media, chain.n_owned, full=not hollow),
        reversal=inverse,
        beyond=inverse,
        curvature=np.diff(shells.area)[here],
        spread=_spread(shells)[here],
        block=np.zeros(len(here), np.int32),
        chain=chain if chain.comm.size > 1 else None,
    )
    walls = {"outer": outer}
    barriers = [_barrier(np.flatnonzero(bound == n), 0, outer, directions)]
    if inner is not None:
        walls["inner"] = inner
        barriers.append(_barrier(np.flatnonzero(bound == 0), 1, inner, directions))
    return Streaming(layout, directions, speed, states, walls, barriers, scheme)


def _spread(shells: Shells) -> Floats:
    """Bound of values at faces and between directions over that of a shell, if none is negative."""
    inward, outward = shells.centroid - shells.radii[:-1], shells.radii[1:] - shells.centroid
    at_inner = np.where(shells.radii[:-1] > 0.0, inward / outward, 0.0)
    return 1.0 + np.maximum(np.maximum(at_inner, outward / inward), 1.0)


def _barrier(faces: NDArray, number: int, wall: Wall, directions: RadialDirections) -> Barrier:
    image = directions.mirror((1.0, 0.0, 0.0))[None, :]
    rows = np.zeros(len(faces), np.int32)
    return Barrier(faces.astype(np.int32), number, -1, rows, wall.transmission, wall.specularity, image, rows)


def _gradient(centroid: Floats, number: NDArray, media: NDArray, n_owned: int, *, full: bool) -> Gradient:
    """Least squares over neighbours of the same medium; the first shell of a full body has itself beyond the
    centre. Cells are numbered ``number`` from the centre."""
    order = np.argsort(number)
    rows = np.concatenate([order[1:], order[:-1]]).astype(np.int64)
    columns = np.concatenate([order[:-1], order[1:]]).astype(np.int32)
    if full and number[0] == 0:
        rows, columns = np.append(rows, 0), np.append(columns, np.int32(-1))
    same = (media[rows] == np.where(columns >= 0, media[columns], media[0])) & (rows < n_owned)
    rows, columns = rows[same], columns[same]
    place = np.where(columns >= 0, centroid[columns], -centroid[0])
    count = np.bincount(rows, minlength=n_owned)
    weights = 1.0 / (count[rows] * (place - centroid[rows]))
    by_row = np.argsort(rows, kind="stable")
    pointer = np.concatenate([[0], np.cumsum(count)]).astype(np.int32)
    return Gradient(
        pointer, columns[by_row], np.ascontiguousarray(weights[by_row][:, None]), int(np.sum(count == 0))
    )
