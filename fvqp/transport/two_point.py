"""Two-point fluxes: the divergence of a gradient on any mesh, for any unknown.

A cell gains ``Σ_faces g (u' − u)``, with u and u' the values on both sides of the face, straight behind its
centroid (`fvqp.transport.geometry`). Where the mesh is oblique, these are found with least-squares gradients;
matrices leave these out. Whoever asks gives the conductances g, which is where physics enters.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from fvqp.transport import two_point_kernels as kernels
from fvqp.transport.geometry import Gradient, cell_pattern
from fvqp.transport.two_point_kernels import TwoPointFaces
from fvqp.typing import Floats, Ints, Ints32

NO_GRADIENT, NO_CURRENT = np.empty((0, 1, 3, 1)), np.empty((0, 0, 0))


class TwoPointFlux:
    """Two-point fluxes through the faces of one rank.

    In what follows ``x[n_cells, component, energy]`` needs its ghosts up to date,
    ``external[component, row, energy]`` are the values prescribed outside, and
    ``conductance[component or 1, n_faces, energy or 1]`` belongs to every face.

    Args:
        n_owned: of the cells; the others are ghosts.
        cells: ``(n_faces, 2)``, second −1 on the outer boundary.
        offset, outside: see `TwoPointFaces`.
        gradient: weights of the owned cells, an entry ``k < 0`` for the value outside face ``−k − 1``; None
            if no face of any rank is oblique.
        exchange: fills the ghost rows of ``a[n_cells, ...]`` in place.
        columns: see `fvqp.transport.geometry.cell_pattern`.

    Attributes:
        faces: for compiled loops.
        indptr, indices: CSR pattern of the matrix of one component.
        diagonal: ``(n_owned,)`` places of its diagonal.
    """

    def __init__(
        self,
        n_owned: int,
        cells: Ints32,
        offset: Floats,
        outside: Ints32,
        gradient: Gradient | None,
        exchange: Callable[[NDArray], None],
        columns: Ints32 | None = None,
    ) -> None:
        self.n_owned, self.gradient, self._exchange = n_owned, gradient, exchange
        self.indptr, self.indices, self.diagonal, entries = cell_pattern(n_owned, cells, columns)
        of_entry = np.full(len(self.indices), -1, np.int32)
        for column in (1, 3):
            faces = np.flatnonzero(entries[:, column] >= 0)
            of_entry[entries[faces, column]] = faces
        self.faces = TwoPointFaces(np.ascontiguousarray(cells, np.int32), offset, outside, entries, of_entry)

    def gradients(self, x: Floats, external: Floats) -> Floats:
        """Cell gradients ``(n_cells, component, 3, energy)``; empty on an orthogonal mesh. Collective."""
        if self.gradient is None:
            return NO_GRADIENT
        near = self.gradient.indptr, self.gradient.indices, self.gradient.weights
        out = np.empty((len(x), x.shape[1], 3, x.shape[2]))
        kernels.gradients(*near, self.faces.outside, x, external, out)
        self._exchange(out)
        return out

    def add(
        self,
        conductance: Floats,
        x: Floats,
        external: Floats,
        out: Floats,
        gradient: Floats,
        current: Floats = NO_CURRENT,
    ) -> None:
        """Add what flows into the owned cells to ``out[n_owned, component, energy]``.

        Args:
            conductance, x, external, out: as they stand.
            gradient: of `gradients`.
            current: ``(component, row, energy)`` gains what enters the cells of this rank from outside.
        """
        kernels.add_flows(self.faces, conductance, gradient, x, external, out, current)

    def through(self, faces: Ints, conductance: Floats, x: Floats, gradient: Floats) -> Floats:
        """Return what flows through some faces from cell 0 to cell 1, ``(faces, component, energy)``.

        Args:
            faces: numbers of faces between two cells.
            conductance, x, gradient: as of `add`; without gradients as `matrix` has it.
        """
        cells = self.faces.cells[faces]
        beside = x[cells]
        if len(gradient):
            beside += np.einsum("fsi,fsaie->fsae", self.faces.offset[faces], gradient[cells])
        return np.asarray(conductance[:, faces].swapaxes(0, 1) * (beside[:, 0] - beside[:, 1]))

    def beside(self, x: Floats, external: Floats) -> Floats:
        """Values straight behind both sides of every face, ``(n_faces, 2, component, energy)``. Collective.

        Beyond closed faces it is the value inside.
        """
        out = np.empty((len(self.faces.cells), 2, *x.shape[1:]))
        kernels.beside(self.faces, self.gradients(x, external), x, external, out)
        return out

    def matrix(self, conductance: Floats, n_comp: int = 1) -> Floats:
        """Two-point matrix ``(nnz, energy)`` on `pattern` of what leaves cells; all of it on orthogonal
        meshes."""
        values = np.empty((len(self.indices) * n_comp**2, conductance.shape[2]))
        kernels.two_point_matrix(self.faces, conductance, self.indptr, n_comp, values)
        return values

    def pattern(self, n_comp: int) -> tuple[Ints32, Ints32]:
        """CSR pattern ``(indptr, indices)`` over the owned unknowns; unknown = cell × n_comp + component."""
        if n_comp == 1:
            return self.indptr, self.indices
        lengths = np.diff(self.indptr)
        indptr = np.concatenate([[0], np.cumsum(np.repeat(lengths * n_comp, n_comp))]).astype(np.int32)
        columns = (self.indices[:, None] * n_comp + np.arange(n_comp)).ravel()
        start = np.repeat(self.indptr[:-1] * n_comp, n_comp)
        within = np.arange(indptr[-1]) - np.repeat(indptr[:-1], np.diff(indptr))
        indices = columns[np.repeat(start, np.diff(indptr)) + within]
        return indptr, indices.astype(np.int32)

    def blocks(self, n_comp: int) -> Ints:
        """Places in `pattern` of the blocks of pairs of cells, ``(pair, component, component)``."""
        indptr = self.indptr.astype(np.int64)
        lengths = np.diff(indptr)
        start, length = (np.repeat(a, lengths) for a in (indptr[:-1], lengths))
        within = np.arange(indptr[-1]) - start
        c = np.arange(n_comp)
        first = n_comp**2 * start + n_comp * within
        return first[:, None, None] + (n_comp * length)[:, None, None] * c[:, None] + c
