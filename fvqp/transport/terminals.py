"""Junctions, reservoirs and interfaces on a mesh, and the share of a face or cell in their conductance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from fvqp.errors import CaseError
from fvqp.mesh import Mesh
from fvqp.transport.kernels import NONE, RESERVOIR
from fvqp.transport.operator_tables import LeadCells
from fvqp.typing import Floats, Ints32
from fvqp.units import InUnit


@dataclass(frozen=True)
class Terminal:
    """A lead behind a tunnel junction, or a reservoir in direct contact.

    Attributes:
        name: how the case and the results call it.
        on: names of the mesh: a region or boundary for a junction, outer boundaries for a reservoir.
        conductance: total normal-state conductance of a junction in siemens; None for a reservoir.
    """

    name: str
    on: tuple[str, ...]
    conductance: float | None = None


@dataclass(frozen=True)
class Interface:
    """A tunnel interface between two regions: ``conductance_per_area`` in S/m² times the face's real area."""

    between: tuple[str, str]
    conductance_per_area: InUnit[float] = InUnit("S/m^2")


class Contacts(NamedTuple):
    """Faces and cells of terminals.

    Attributes:
        junction, terminal: ``(n_faces,)`` see `fvqp.transport.operator_tables.OperatorFaces`.
        junction_faces: faces of junctions, in the order of their rows.
        junction_conductance: ``(junction faces,)`` what of the conductance of its junction a face has,
            siemens.
        leads: junctions spread over cells.
        lead_conductance: ``(lead cells,)`` likewise.
    """

    junction: Ints32
    terminal: Ints32
    junction_faces: Ints32
    junction_conductance: Floats
    leads: LeadCells
    lead_conductance: Floats


def find_contacts(mesh: Mesh, transverse: Floats, terminals: Sequence[Terminal]) -> Contacts:
    """Faces and cells of terminals; conductances are shared by area, or by volume. Collective.

    Args:
        mesh: the rank's part of the mesh.
        transverse: ``(n_cells,)`` see `fvqp.transport.operator.Transport`.
        terminals: junctions and reservoirs.

    Raises:
        CaseError: a terminal that overlaps another one, or a reservoir inside.
        MeshError: a name that is not in the mesh.
    """
    junction = np.full(mesh.n_faces, NONE, np.int32)
    terminal = np.full(mesh.n_faces, -1, np.int32)
    junction_faces, face_shares = [np.empty(0, np.int32)], [np.empty(0)]
    lead_cells, lead_terminals = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    lead_shares = [np.empty(0)]
    volume, area = mesh.volume * transverse, mesh.face_area * transverse[mesh.face_cells[:, 0]]
    count = 0
    for number, item in enumerate(terminals):
        for name in item.on:
            if item.conductance is None:
                faces = _outer_faces(mesh, item, name)
                _claim(mesh, terminals, terminal, faces, number)
                junction[faces] = RESERVOIR
            elif name in mesh.regions:
                cells = mesh.regions[name].astype(np.int32)
                share = volume[cells] / _total(mesh, [_volume_of(mesh, volume, one) for one in item.on])
                lead_cells.append(cells)
                lead_terminals.append(np.full(len(cells), number, np.int32))
                lead_shares.append(item.conductance * share)
            else:
                faces = mesh.require_boundary(name).astype(np.int32)
                _claim(mesh, terminals, terminal, faces, number)
                junction[faces] = count + np.arange(len(faces), dtype=np.int32)
                count += len(faces)
                junction_faces.append(faces)
                total = _total(mesh, [_area_of(mesh, area, one) for one in item.on])
                face_shares.append(item.conductance * area[faces] / total)
    return Contacts(
        junction,
        terminal,
        np.concatenate(junction_faces),
        np.concatenate(face_shares),
        LeadCells(np.concatenate(lead_cells), np.concatenate(lead_terminals)),
        np.concatenate(lead_shares),
    )


def find_interfaces(mesh: Mesh, transverse: Floats, interfaces: Sequence[Interface]) -> tuple[Ints32, Floats]:
    """Row of every face among those of interfaces, −1 of others, and the conductance of each row in siemens.

    Collective.

    Raises:
        CaseError: two regions that do not touch.
        MeshError: a region that is not in the mesh.
    """
    index = np.full(mesh.n_faces, -1, np.int32)
    per_area = np.zeros(mesh.n_faces)
    for item in interfaces:
        found = mesh.faces_between(*item.between)
        if not mesh.comm.allreduce(len(found)):
            raise CaseError(f"interface: regions {item.between[0]!r} and {item.between[1]!r} do not touch")
        per_area[found] = item.conductance_per_area
    faces = np.flatnonzero(per_area > 0.0)
    index[faces] = np.arange(len(faces), dtype=np.int32)
    return index, per_area[faces] * mesh.face_area[faces] * transverse[mesh.face_cells[faces, 0]]


def _outer_faces(mesh: Mesh, item: Terminal, name: str) -> Ints32:
    faces = mesh.require_boundary(name).astype(np.int32)
    if mesh.comm.allreduce(int((mesh.face_cells[faces, 1] >= 0).sum())):
        raise CaseError(
            f"reservoir {item.name}: boundary {name!r} lies inside the device; it must be an outer one"
        )
    return faces


def _claim(mesh: Mesh, terminals: Sequence[Terminal], terminal: Ints32, faces: Ints32, number: int) -> None:
    taken = np.unique(terminal[faces][terminal[faces] >= 0])
    for other in sorted(set().union(*mesh.comm.allgather(set(taken.tolist())))):
        raise CaseError(f"{terminals[number].name} and {terminals[other].name} share faces of the mesh")
    terminal[faces] = number


def _volume_of(mesh: Mesh, volume: Floats, region: str) -> float:
    """This rank's part; 0 of what is no region."""
    cells = mesh.regions.get(region, np.empty(0, np.int32))
    return float(volume[cells[cells < mesh.n_owned]].sum())


def _area_of(mesh: Mesh, area: Floats, boundary: str) -> float:
    """This rank's part, half of a face that another rank owns the other cell of; 0 of what is no boundary."""
    faces = mesh.boundaries.get(boundary, np.empty(0, np.int32))
    cells = mesh.face_cells[faces]
    present = (cells >= 0).sum(axis=1)
    owned = ((cells >= 0) & (cells < mesh.n_owned)).sum(axis=1)
    return float((area[faces] * owned / present).sum())


def _total(mesh: Mesh, parts: Sequence[float]) -> float:
    return float(mesh.comm.allreduce(sum(parts)))
