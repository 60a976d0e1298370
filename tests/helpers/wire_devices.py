"""The wire of Ryan, Beckmann and Chandrasekhar (2026), small enough for tests."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from mpi4py import MPI

from fvqp.energy import EnergyAxis
from fvqp.materials import load_material
from fvqp.mesh import Mesh, read_mesh, shape_mesh
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.transport.terminals import Interface

MESHES = Path(__file__).parents[2] / "meshes" / "ryan_wire"
UM = 1e-6
WIDTH, THICKNESS = 150e-9, 8e-9
ALUMINIUM = load_material("Al_ryan2026")
#: Normal-state conductances of the junctions and temperatures of their leads (Table 1).
CONDUCTANCE = {"A": 24.6e-6, "B": 31.4e-6, "C": 24.8e-6}
TEMPERATURE = {"A": 0.061, "B": 0.037, "C": 0.086}


def line_mesh(coarse: int = 60, fine: int = 41, comm: MPI.Comm = MPI.COMM_SELF) -> Mesh:
    """11 µm with ``fine`` vertices (4 k + 1) within 0.6 µm of the middle, ``coarse`` on either side beyond.

    ``point_A`` and ``point_B`` are junctions at −0.3 µm and 0, ``junction_A`` the 150 nm around −0.3 µm.
    """
    arm = np.geomspace(0.6, 5.5, coarse)
    x = np.concatenate([-arm[::-1], np.linspace(-0.6, 0.6, fine)[1:-1], arm]) * UM
    return shape_mesh(
        "grid1d",
        dx=np.diff(x),
        origin=(x[0], 0.0, 0.0),
        boundaries={"point_A": -0.3 * UM, "point_B": 0.0},
        regions={
            "junction_A": (-0.375 * UM, -0.225 * UM),
            "left_half": (-5.5 * UM, 0.0),
            "right_half": (0.0, 5.5 * UM),
        },
        comm=comm,
    )


def file_mesh(name: str, comm: MPI.Comm = MPI.COMM_SELF) -> Mesh:
    """A mesh of meshes/ryan_wire."""
    return read_mesh(MESHES / f"{name}.msh", length_unit=UM, comm=comm)


def generated_mesh(name: str, size_factor: float, folder: Path, comm: MPI.Comm = MPI.COMM_SELF) -> Mesh:
    """One of meshes/ryan_wire with all cell sizes multiplied, made by its script on the first rank."""
    path = folder / f"{name}.msh"
    if comm.rank == 0:
        sys.path.insert(0, str(MESHES))
        try:
            import geometry
        finally:
            sys.path.remove(str(MESHES))
        geometry.write(name, geometry.Wire(size_factor=size_factor), folder)
    comm.Barrier()
    return read_mesh(path, length_unit=UM, comm=comm)


def wire(
    mesh: Mesh,
    injector: str,
    detector: str | None = None,
    *,
    ends: tuple[str, ...] = ("left", "right"),
    conductance: dict[str, float] = CONDUCTANCE,
    temperature: dict[str, float] = TEMPERATURE,
    bath: float = 0.024,
    interfaces: tuple[Interface, ...] = (),
) -> Device:
    """Injector A on ``injector``, detector B on ``detector`` and a reservoir on ``ends``."""
    junctions = [Junction("A", injector, conductance["A"], "injector", temperature["A"])]
    if detector is not None:
        junctions.append(Junction("B", detector, conductance["B"], "detector", temperature["B"]))
    return Device(
        mesh,
        ALUMINIUM,
        junctions,
        [Reservoir("ends", ends, bath)],
        interfaces=interfaces,
        width=WIDTH if mesh.dim == 1 else None,
        thickness=THICKNESS if mesh.dim < 3 else None,
    )


def graded(broadening: float, number: int, maximum: float = 4.0, edge: float = 1.0) -> EnergyAxis:
    """Energies that resolve a gap edge broadened by ``broadening``."""
    return EnergyAxis.graded(maximum, gap_edges=[edge], first=broadening / 4, number=number)


def close(found: object, expected: object, relative: float) -> None:
    """Equal to a relative tolerance; conductances in siemens leave no room for an absolute one."""
    np.testing.assert_allclose(found, expected, rtol=relative, atol=0.0)
