"""Tables of faces, walls, scattering and changes of direction for the compiled loops of streaming.

A face is crossed by direction m at the rate ``projected[face, m] = A n·Ω``, positive from cell 0 to cell 1,
so that each direction leaves exactly one side of it.
"""

from __future__ import annotations

from typing import NamedTuple

from numpy.typing import NDArray


class StreamingFaces(NamedTuple):
    """Face geometry for the compiled loops of streaming.

    Attributes:
        cells: ``(n_faces, 2)``, second −1 on the outer boundary.
        area: ``(n_faces,)``.
        projected: ``(n_faces, M)`` area × cosine between direction and normal.
        offset: ``(n_faces, 2, dim)`` from the centroids of the cells to that of the face.
        gate: ``(n_faces,)`` row in `TransmittingFaces` of faces that return particles, −1 of open ones.
        edge: ``(n_faces, 2)`` whether gradients of the cell on a side know nothing of what lies beyond.
        pointer, of_cell: CSR, the faces of every cell.
    """

    cells: NDArray
    area: NDArray
    projected: NDArray
    offset: NDArray
    gate: NDArray
    edge: NDArray
    pointer: NDArray
    of_cell: NDArray


class TransmittingFaces(NamedTuple):
    """Faces that do not let everything through: walls, interfaces, steps of the gap.

    Attributes:
        face: ``(K,)``.
        wall: ``(K,)`` number of the wall, −1 inside.
        counter: ``(K,)`` row that counts particles that pass, −1 of none.
        sign: ``(K,)`` 1 if those that leave cell 0 count as positive, −1 if those that leave cell 1 do.
        passing: ``(K, energy)`` states × speed that pass either way.
        specular: ``(K,)`` share of the rest that follows ``image``; what remains comes back isotropic.
        image: ``(K,)`` row of ``images``.
        images: ``(n, M)`` reflections of directions.
        bath: ``(walls, M, energy)`` occupation outside.
        norm: ``(K, 2)`` ``Σ w |projected|`` of the directions that enter either side.
    """

    face: NDArray
    wall: NDArray
    counter: NDArray
    sign: NDArray
    passing: NDArray
    specular: NDArray
    image: NDArray
    images: NDArray
    bath: NDArray
    norm: NDArray


class Blend(NamedTuple):
    """Share and value of the diffusive occupation at faces, ``(n_faces, ...)``; no rows without scattering.

    Attributes:
        share: ``(n_faces, 2, energy)`` weight 1 − α of the diffusive occupation in what either side sends.
        mean, tilt: ``(n_faces, 2, energy)`` that occupation times its weight, for direction m
            ``mean + tilt × cosine``.
    """

    share: NDArray
    mean: NDArray
    tilt: NDArray


class Turning(NamedTuple):
    """Change of direction relative to the radius; see `RadialDirections`.

    Attributes:
        before, after: ``(M,)`` α on either side of a direction, over its weight.
        at, edge: ``(M,)`` radial component of a direction, and between it and the next.
        level: ``(M,)``.
        curvature: ``(n_cells,)`` difference of a shell's two areas; no entries on meshes.
    """

    before: NDArray
    after: NDArray
    at: NDArray
    edge: NDArray
    level: NDArray
    curvature: NDArray
