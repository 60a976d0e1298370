"""The size of a mesh beside the coherence length, so that a wrong unit of length is seen at a glance."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from mpi4py import MPI

from fvqp.mesh import Mesh
from fvqp.mesh.quality import cell_sizes
from fvqp.texts import percent

log = logging.getLogger(__name__)

COARSEST = 3.0
"""Coherence lengths that the smallest cell may measure: beyond, nothing that decays on one is seen."""
SMALLEST = 0.1
"""Coherence lengths that the device must measure: below, nothing varies in it."""
LARGEST = 0.3
"""Metres that no device measures."""
ATOM = 1e-10
"""Metres that the smallest cell must measure."""


def size_rows(mesh: Mesh, coherence_length: float | None = None) -> list[tuple[str, str]]:
    """Extent of the mesh and size of its cells (`cell_sizes`), as names and texts; beside the coherence
    length (metres) where there is one. Collective."""
    extent, smallest, largest = _sizes(mesh)
    measures = " x ".join(f"{length * 1e6:.4g}" for length in extent[extent > 0.0]) + " um"
    cells = f"{smallest * 1e6:.3g} ... {largest * 1e6:.3g} um"
    if coherence_length is not None:
        measures += f", the longest {extent.max() / coherence_length:.4g} coherence lengths"
        beside = f"{smallest / coherence_length:.3g} ... {largest / coherence_length:.3g}"
        cells += f", {beside} coherence lengths of {coherence_length * 1e6:.4g} um"
    return [("extent", measures), ("cell sizes", cells)]


def region_sizes(mesh: Mesh) -> dict[str, tuple[float, float]]:
    """Size of the smallest and of the largest cell (`cell_sizes`) of every region, metres; of cells without
    region as "other cells", of a mesh without regions as "mesh". Collective."""
    sizes, left = cell_sizes(mesh)[: mesh.n_owned], np.ones(mesh.n_owned, dtype=bool)
    found = {}
    for name, cells in mesh.regions.items():
        mine = cells[cells < mesh.n_owned]
        left[mine] = False
        found[name] = _range(mesh, sizes[mine])
    if mesh.comm.allreduce(bool(left.any()), MPI.LOR):
        found["other cells" if found else "mesh"] = _range(mesh, sizes[left])
    return found


def _range(mesh: Mesh, values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest of some values of all ranks. Collective."""
    low = float(mesh.comm.allreduce(float(values.min(initial=np.inf)), MPI.MIN))
    return low, float(mesh.comm.allreduce(float(values.max(initial=0.0)), MPI.MAX))


def lengths_row(name: str, sizes: tuple[float, float], lengths: Sequence[str]) -> tuple[str, str]:
    """Row of a report: cells of a region beside the lengths that matter in it."""
    cells = f"cells {sizes[0] * 1e6:.3g} ... {sizes[1] * 1e6:.3g} um"
    return f"in {name}", "; ".join([cells, *lengths])


def warn_of_sizes(mesh: Mesh, coherence_length: float | None, source: str) -> None:
    """Warns of a mesh whose size makes no sense, for a device or beside the coherence length (metres) where
    there is one. Collective."""
    extent, smallest, _ = _sizes(mesh)
    if mesh.comm.rank != 0:
        return
    found = []
    if coherence_length is None:
        if extent.max() > LARGEST:
            found.append(("the whole device", extent.max(), "more than any"))
        coherence_length = 0.0
    elif smallest > COARSEST * coherence_length:
        found.append(
            ("even the smallest cell", smallest, f"{smallest / coherence_length:.3g} coherence lengths")
        )
    if extent.max() < SMALLEST * coherence_length:
        length = extent.max()
        found.append(("the whole device", length, f"{length / coherence_length:.3g} coherence lengths"))
    elif smallest < ATOM:
        found.append(("the smallest cell", smallest, "less than an atom"))
    for what, length, beside in found:
        text = "%s: %s measures %.3g um, %s; is the unit of length right?"
        log.warning(text, source, what, length * 1e6, beside)


def _sizes(mesh: Mesh) -> tuple[np.ndarray, float, float]:
    """Extent ``(3,)``, size of the smallest and of the largest cell, on all ranks."""
    used = mesh.points[np.unique(mesh.corners[mesh.corners >= 0])]
    sizes = cell_sizes(mesh)
    lowest, highest = np.empty(4), np.empty(4)
    mesh.comm.Allreduce(np.append(used.min(axis=0), sizes.min()), lowest, op=MPI.MIN)
    mesh.comm.Allreduce(np.append(used.max(axis=0), sizes.max()), highest, op=MPI.MAX)
    return highest[:3] - lowest[:3], float(lowest[3]), float(highest[3])


def up_to(error: float) -> str:
    """Return an error as an upper bound: smaller ones than a ten-thousandth are not told apart."""
    return f"up to {percent(max(error, 1e-4))}"


def mesh_error(cell: float, length: float, distance: float = 0.0) -> float:
    """Return the relative error by the mesh of what spreads from a contact or source and decays.

    Cells of one size, exactly (docs/theory/discretization.md): a flux, or a density at its source, is
    ``1/√(1 + a²/4)`` of what it should be, with a = cell/length; the decay per cell is ``2 arsinh(a/2)``
    in place of a. The error is of second order, a²/8 at the source.

    Args:
        cell: size of a cell.
        length: of the decay; infinite for none.
        distance: up to which it matters, same unit.
    """
    a = cell / length
    if a == 0.0:
        return 0.0
    at_source = 1.0 / np.sqrt(1.0 + 0.25 * a**2)
    slower = a - 2.0 * np.arcsinh(0.5 * a)
    return float(max(1.0 - at_source, abs(at_source * np.exp(slower * distance / cell) - 1.0)))
