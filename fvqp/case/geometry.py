"""Tables of a case that say where things are: mesh files and built-in shapes."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

from mpi4py import MPI
from pydantic import Field, model_validator

from fvqp.case.quantities import Box, Length, Position, Widths
from fvqp.case.tables import Case, Count, Name, Table
from fvqp.errors import CaseError, MeshError
from fvqp.memory import available
from fvqp.mesh import Mesh, read_mesh, shape_mesh
from fvqp.mesh.shapes import SHAPES
from fvqp.units import to_float

MAX_CELLS = 100_000_000
"""Cells of a built-in shape, whose vertices every rank makes before it is divided; more are a slip."""
OF_CELL = {1: 1000.0, 2: 2500.0, 3: 6500.0}
"""Bytes that a cell takes while a mesh of a dimension is made, by the rank that divides it."""


class ShapeTable(Table):
    """A built-in structured grid, see :func:`fvqp.mesh.shapes.shape_mesh`.

    Along each of its axes it has two of cell width ``d``, number ``n`` and length ``L``, or a list of all
    widths.
    """

    kind: Literal["grid1d", "grid2d", "grid3d", "cylindrical1d", "cylindrical2d", "spherical1d"]
    """Dimension and coordinates."""
    dx: Widths | None = None
    """Cell width along the first axis, or a list of the widths of all cells."""
    dy: Widths | None = None
    """Cell width along the second axis, or a list of the widths of all cells."""
    dz: Widths | None = None
    """Cell width along the third axis, or a list of the widths of all cells."""
    nx: Count | None = None
    """Number of cells along the first axis."""
    ny: Count | None = None
    """Number of cells along the second axis."""
    nz: Count | None = None
    """Number of cells along the third axis."""
    Lx: Length | None = None
    """Length along the first axis."""
    Ly: Length | None = None
    """Length along the second axis."""
    Lz: Length | None = None
    """Length along the third axis."""
    origin: Annotated[tuple[Position, ...], Field(min_length=1, max_length=3)] | None = None
    """Lowest corner."""
    regions: dict[Name, Box] = Field(default_factory=dict)
    """Boxes of cells by name: for every axis an interval, a coordinate, or ``"all"``."""
    boundaries: dict[Name, Box] = Field(default_factory=dict)
    """Boxes of faces by name, beside the outer sides left, right, bottom, top, front, back."""

    @model_validator(mode="after")
    def _possible(self) -> ShapeTable:
        cells = 1.0
        for key, count in self.counts():
            cells *= count
            if cells > MAX_CELLS:
                raise ValueError(f"{key}: makes {cells:.3g} cells; at most {MAX_CELLS:.0e} are possible")
        return self

    def counts(self) -> Iterator[tuple[str, float]]:
        """For every axis the key that says how many cells it has, and how many."""
        for axis in "xyz":
            width, length = getattr(self, f"d{axis}"), getattr(self, f"L{axis}")
            count, key = getattr(self, f"n{axis}"), f"n{axis}"
            if count is None and length is not None and isinstance(width, str):
                count, key = length / to_float(width, "m"), f"d{axis}"
            elif count is None and isinstance(width, list | tuple):
                count, key = len(width), f"d{axis}"
            yield key, count or 1

    def require_memory(self, comm: MPI.Comm) -> None:
        """Raises `MeshError` if the mesh is finer than the memory of the first rank's machine. Collective."""
        cells = prod(count for _, count in self.counts())
        needed = OF_CELL[SHAPES[self.kind].dim] * cells
        free = comm.bcast(available(MPI.COMM_SELF))
        if needed > free:
            raise MeshError(
                f"{cells:.3g} cells take {needed / 2**30:.3g} GiB while the mesh is made, and "
                f"{free / 2**30:.3g} GiB are left; use fewer"
            )

    def arguments(self) -> dict[str, Any]:
        """Keyword arguments of `shape_mesh`."""
        plain = {name: getattr(self, name) for name in type(self).model_fields if name != "kind"}
        return {name: value for name, value in plain.items() if value is not None}


class MeshSource(Table):
    """Source of the mesh: a file, or a built-in shape."""

    file: Path | None = None
    """Mesh file; relative paths start at the case file."""
    length_unit: Literal["m", "cm", "mm", "um", "nm", "pm"] | None = None
    """Unit of the file's coordinates."""
    coordinates: Literal["cartesian", "cylindrical"] | None = None
    """Coordinates of the file, default ``cartesian``: with ``cylindrical`` x is the radius and y the height
    of a body of revolution."""
    shape: ShapeTable | None = None
    """A built-in grid instead of a file."""

    @model_validator(mode="after")
    def _one_source(self) -> MeshSource:
        if (self.file is None) == (self.shape is None):
            raise ValueError("give either file or shape" + ("" if self.file is None else ", not both"))
        if self.file is not None and self.length_unit is None:
            raise ValueError('length_unit: missing: the unit of the coordinates in the file, such as "um"')
        if self.shape is not None and self.length_unit is not None:
            raise ValueError("length_unit: is not used with shape, whose lengths carry their own units")
        if self.shape is not None and self.coordinates is not None:
            raise ValueError("coordinates: are not used with shape, whose kind says them")
        return self


class CaseOnMesh(Case):
    """A case whose equations are solved on a mesh. Its file decides the numbers, not where it lies."""

    mesh: MeshSource

    def _decisive(self) -> dict[str, Any]:
        data = super()._decisive()
        if self.mesh.file is not None:
            data["mesh"]["file"] = self.mesh.file.name
        return data


def distributed_mesh(source: MeshSource, case: str, comm: MPI.Comm) -> Mesh:
    """The mesh of a case, distributed over ``comm``; ``case`` names the case in messages."""
    key = "file" if source.file is not None else "shape"
    try:
        if source.file is not None:
            assert source.length_unit is not None, "the schema asks for it beside a file"
            coordinates = source.coordinates or "cartesian"
            return read_mesh(source.file, length_unit=source.length_unit, coordinates=coordinates, comm=comm)
        assert source.shape is not None, "the schema asks for file or shape"
        source.shape.require_memory(comm)
        return shape_mesh(source.shape.kind, **source.shape.arguments(), comm=comm)
    except MeshError as error:
        raise MeshError(f"{case}: mesh.{key}: {error}") from None


def require_touching(mesh: Mesh, key: str, regions: tuple[str, str]) -> None:
    """`CaseError` if the regions of the interface at this key have no face between them. Collective."""
    if not mesh.comm.allreduce(len(mesh.faces_between(*regions))):
        raise CaseError(
            f'{key}.between: regions "{regions[0]}" and "{regions[1]}" do not touch; an interface is between '
            "regions with common faces"
        )
