"""Fields for ParaView: one ``.vtu`` a step (one piece a rank and a ``.pvtu`` under MPI) and a ``.pvd`` over
steps.

Coordinates are written in micrometres, because ParaView's picking and clipping fail on bodies of 1e-8.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from mpi4py import MPI

from fvqp.errors import CheckpointError, FvqpError
from fvqp.mesh.mesh import Mesh
from fvqp.mesh.vtk import pyvista_grid, shells_grid
from fvqp.parallel import raise_first_error, run_on_root
from fvqp.results.files import make_folder, replacing, write_text
from fvqp.typing import Floats

DISPLAY: dict[str, tuple[str, float]] = {
    "gap": ("ueV", 1e6),
    "mu_Q": ("uV", 1e6),
    "charge_imbalance": ("C/m^3", 1.0),
    "n_qp_cell": ("1/um^3", 1e-18),
    "n_localized_cell": ("1/um^3", 1e-18),
    "energy_qp_cell": ("J/m^3", 1.0),
    "energy_ph_cell": ("J/m^3", 1.0),
}
"""Unit shown in ParaView and the factor to it from that of ``results.nc``; others are left as they are."""
SUPERCONDUCTING = ("gap", "n_qp_cell", "energy_qp_cell")
"""Fields whose colours leave out cells that never have a gap: a metal has electrons at all energies."""
REGION_NAMES = "region_names"
"""Field data of a step: names in the order of the numbers of the cell data ``region``."""
DIGITS = 12
"""Digits of the time of a step."""
_MICROMETRES = 1e6


class FieldSeries:
    """A ``.pvd`` file and the steps it lists.

    Parameters
    ----------
    folder : the results folder; steps go to its subfolder ``fields``.
    name : of the ``.pvd`` file, such as ``fields``.
    label : what the times of the steps are, such as ``time (ns)``; pictures of the fields say it.

    A series that is there already is continued; a step at a time that is there already is replaced.
    """

    def __init__(self, folder: Path, name: str = "fields", label: str = "step") -> None:
        self.path = folder / f"{name}.pvd"
        self._label = label
        self._folder = folder
        self._steps: dict[float, str] | None = None
        self._drawn: _Drawn | None = None

    def write(self, mesh: Mesh, time: float, fields: Mapping[str, Floats]) -> None:
        """Writes the owned cells of every rank as the step at ``time`` (a bias in mV, a time, ...).

        ``fields[name]`` is ``(n_cells,)`` or ``(n_owned,)``, in the units of ``results.nc``; names in
        :data:`DISPLAY` are scaled and show their unit. Shells are written as a ball or a cylinder without a
        quarter. Collective over ``mesh.comm``; raises
        :class:`FvqpError` on all ranks if a file cannot be written.
        """
        comm = mesh.comm
        # 0.1 V in millivolt is 100, not 100.00000000000001.
        time = float(f"{time:.{DIGITS}g}")
        steps: dict[float, str] = (
            self._steps if self._steps is not None else run_on_root(comm, self._earlier_steps)
        )
        stem = steps.get(time, f"{self.path.stem}_{len(steps):05d}").split(".")[0]
        if self._drawn is None or self._drawn.mesh is not mesh:
            self._drawn = _Drawn(mesh)
        problem: FvqpError | None = None
        arrays = {name: np.asarray(values)[: mesh.n_owned] for name, values in fields.items()}
        try:
            make_folder(self._folder / "fields")
            piece = f"{stem}.vtu" if comm.size == 1 else f"{stem}_{comm.rank}.vtu"
            self._drawn.write(self._folder / "fields" / piece, arrays)
        except FvqpError as error:
            problem = error
        raise_first_error(comm, problem)
        steps[time] = f"{stem}.vtu" if comm.size == 1 else f"{stem}.pvtu"
        run_on_root(comm, lambda: self._list(steps, time, comm.size, list(arrays)))
        self._steps = steps

    def _list(self, steps: dict[float, str], time: float, n_ranks: int, names: list[str]) -> None:
        if n_ranks > 1:
            pieces = [f"{Path(steps[time]).stem}_{rank}.vtu" for rank in range(n_ranks)]
            write_text(self._folder / "fields" / steps[time], _pvtu(pieces, names))
        files = {at: f"fields/{file}" for at, file in sorted(steps.items())}
        write_text(self.path, _pvd(files, self._label))

    def _earlier_steps(self) -> dict[float, str]:
        if not self.path.exists():
            return {}
        try:
            entries = ElementTree.parse(self.path).iter("DataSet")
            return {float(entry.attrib["timestep"]): Path(entry.attrib["file"]).name for entry in entries}
        except (ElementTree.ParseError, KeyError, ValueError, OSError) as error:
            raise CheckpointError(f"{self.path}: damaged ({error}); remove it") from None


@dataclass(frozen=True)
class Steps:
    """Steps that a ``.pvd`` file lists: their values, their files and what the values are."""

    path: Path
    values: list[float]
    files: list[Path]
    label: str


def steps_of(path: Path) -> Steps:
    """Return the steps of a ``.pvd`` file; raises :class:`FvqpError` if it is damaged or lacks a step."""
    try:
        collection = ElementTree.parse(path).getroot().find("Collection")
        entries = [] if collection is None else collection.findall("DataSet")
        values = [float(entry.attrib["timestep"]) for entry in entries]
        files = [path.parent / entry.attrib["file"] for entry in entries]
    except (ElementTree.ParseError, KeyError, ValueError, OSError) as error:
        raise FvqpError(f"{path}: damaged ({error})") from None
    if not files:
        raise FvqpError(f"{path}: lists no steps")
    missing = [file for file in files if not file.exists()]
    if missing:
        raise FvqpError(f"{path}: its step {missing[0].name} is not there")
    assert collection is not None
    return Steps(path, values, files, collection.attrib.get("label", "step"))


def read_step(file: Path) -> Any:
    """Return the grid of a step of the fields; raises :class:`FvqpError` if it cannot be read."""
    import pyvista

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            grid = pyvista.read(file)
            if "cell" in grid.cell_data and "region" in grid.cell_data:
                return grid
    except Exception as error:  # VTK has no type of its own
        raise FvqpError(f"{file}: cannot be read: {error}") from None
    raise FvqpError(f"{file}: lacks the numbers of cells and regions; it is damaged or of another program")


def _height(mesh: Mesh) -> float:
    """Height in micrometres of the cylinder that shells are drawn as, twice its radius (that of a ball, where
    it is not used); 0 for other meshes. Collective."""
    if mesh.dim > 1 or mesh.coordinates == "cartesian":
        return 0.0
    radius = float(mesh.points[:, 0].max(initial=0.0))
    return 2.0 * _MICROMETRES * float(mesh.comm.allreduce(radius, MPI.MAX))


def _shown(name: str) -> tuple[str, float]:
    unit, factor = DISPLAY.get(name, ("", 1.0))
    return (f"{name} ({unit})" if unit else name), factor


class _Drawn:
    """The owned cells of a mesh as VTK draws them, shells as a ball or a cylinder. Collective."""

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh
        height = _height(mesh)
        if height:
            radii = mesh.points[mesh.corners[: mesh.n_owned, :2], 0] * _MICROMETRES
            self._grid, self._cells = shells_grid(np.sort(radii, axis=1), mesh.coordinates, height)
        else:
            owned = np.arange(mesh.n_cells) < mesh.n_owned
            self._grid, self._cells = pyvista_grid(mesh, owned, mesh.points * _MICROMETRES)
        if mesh.region_names:
            self._grid.field_data[REGION_NAMES] = mesh.region_names

    def write(self, path: Path, fields: Mapping[str, Floats]) -> None:
        """Write the cells with their fields, each of ``(n_owned,)`` values, as a ``.vtu`` file."""
        # Imported here, as PyVista is in `pyvista_grid`.
        from vtkmodules.vtkCommonCore import vtkObject
        from vtkmodules.vtkIOXML import vtkXMLUnstructuredGridWriter

        data = self._grid.cell_data
        data.clear()
        for name, values in fields.items():
            shown, factor = _shown(name)
            data[shown] = values[self._cells] * factor
        data["cell"] = self.mesh.global_id[self._cells]
        data["region"] = self.mesh.cell_region[self._cells]
        # PyVista's `save` does not say if the disk was full.
        writer = vtkXMLUnstructuredGridWriter()
        writer.SetInputData(self._grid)
        with replacing(path) as part:
            writer.SetFileName(str(part))
            # One message says what is wrong; VTK's own fill a page.
            vtkObject.GlobalWarningDisplayOff()
            try:
                written = writer.Write()
            finally:
                vtkObject.GlobalWarningDisplayOn()
            if not written:
                raise OSError("the VTK writer failed")


def _pvd(files: Mapping[float, str], label: str) -> str:
    root = ElementTree.Element("VTKFile", type="Collection", version="0.1")
    collection = ElementTree.SubElement(root, "Collection", label=label)
    for time, file in files.items():
        ElementTree.SubElement(collection, "DataSet", timestep=repr(float(time)), part="0", file=file)
    return _document(root)


def _pvtu(pieces: list[str], names: list[str]) -> str:
    root = ElementTree.Element("VTKFile", type="PUnstructuredGrid", version="1.0", byte_order="LittleEndian")
    grid = ElementTree.SubElement(root, "PUnstructuredGrid", GhostLevel="0")
    points = ElementTree.SubElement(grid, "PPoints")
    ElementTree.SubElement(points, "PDataArray", type="Float64", Name="Points", NumberOfComponents="3")
    data = ElementTree.SubElement(grid, "PCellData")
    arrays = [(_shown(name)[0], "Float64") for name in names] + [("cell", "Int64"), ("region", "Int32")]
    for name, kind in arrays:
        ElementTree.SubElement(data, "PDataArray", type=kind, Name=name)
    for piece in pieces:
        ElementTree.SubElement(grid, "Piece", Source=piece)
    return _document(root)


def _document(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return '<?xml version="1.0"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"
