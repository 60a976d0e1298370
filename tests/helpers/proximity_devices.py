"""Wires of superconducting and normal parts, in units of Δ0 and ξ, and an independent solution of theirs."""

from __future__ import annotations

import numpy as np
from mpi4py import MPI
from scipy import constants
from scipy.integrate import solve_bvp
from transport_problems import plain, skewed_quads

from fvqp.materials import Material
from fvqp.mesh import build_mesh, shape_mesh
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.pairing_angle import UsadelEquation
from fvqp.transport.terminals import Interface

METAL = Material("S", gap=265e-6 * constants.e, diffusivity=16.9e-4, resistivity=1.6e-8)
NORMAL = Material("N", gap=0.0, diffusivity=16.9e-4, resistivity=1.6e-8)
XI = METAL.coherence_length
WIDTH, THICKNESS = 100e-9, 10e-9
#: Conductance of a piece of the wire of length ξ.
UNIT = METAL.conductivity * WIDTH * THICKNESS / XI


def line(
    length: float,
    n: int,
    *,
    left: float | None = None,
    right: float | None = None,
    normal: tuple[float, float] | None = None,
    walls: bool = False,
    barrier: float | None = None,
    junctions: tuple[Junction, ...] = (),
    points: dict[str, float] | None = None,
    temperature: float = 0.05,
    comm: MPI.Comm = MPI.COMM_SELF,
) -> Device:
    """A wire; lengths in ξ.

    Args:
        left, right: gaps of the reservoirs in Δ0; None for that of the wire next to it.
        normal: part of the wire that is a normal metal.
        walls: no reservoir on the right.
        barrier: conductance in `UNIT` of an interface where the normal part begins.
        points: named places.
    """
    places = {} if normal is None else {"N": (normal[0] * XI, normal[1] * XI), "S": (0.0, normal[0] * XI)}
    if normal is not None and normal[0] == 0.0:
        del places["S"]
    mesh = shape_mesh(
        "grid1d",
        Lx=length * XI,
        nx=n,
        regions=places,
        boundaries={name: x * XI for name, x in (points or {}).items()},
        comm=comm,
    )
    gaps = {"left": left} if walls else {"left": left, "right": right}
    reservoirs = [
        Reservoir(name, (name,), temperature, None if gap is None else gap * METAL.gap)
        for name, gap in gaps.items()
    ]
    interfaces = []
    if barrier is not None:
        interfaces = [Interface(("S", "N"), barrier * UNIT / (WIDTH * THICKNESS))]
    return Device(
        mesh,
        METAL,
        list(junctions),
        reservoirs,
        interfaces=interfaces,
        width=WIDTH,
        thickness=THICKNESS,
        regions={} if normal is None else {"N": NORMAL},
    )


def slab(n: int, side: float, comm: MPI.Comm = MPI.COMM_SELF) -> Device:
    """A normal square of skewed cells, ``side`` ξ long, on a superconducting reservoir at x = 0."""
    raw = skewed_quads(n)
    first = build_mesh(raw.points * side * XI, raw.cells, {}, {}, MPI.COMM_SELF)
    corners = first.face_corners[first.outer_faces]
    at = first.face_centroid[first.outer_faces, 0] < 1e-6 * XI
    names = {"left": corners[at]}
    mesh = build_mesh(first.points, plain(first).cells, {"N": np.arange(first.n_cells)}, names, comm)
    reservoir = Reservoir("left", ("left",), 0.05, METAL.gap)
    return Device(mesh, METAL, [], [reservoir], thickness=THICKNESS, regions={"N": NORMAL})


def angles(device: Device, z: np.ndarray, gap: np.ndarray | None = None, method: str = "auto") -> np.ndarray:
    """Complex θ of every cell, ``(n_cells, energy)``; reservoirs of gap Δ0."""
    cells = device.per_cell("gap") / METAL.gap if gap is None else gap
    terminals = np.zeros((len(device.terminals), 2))
    terminals[len(device.junctions) :, 0] = 1.0
    equation = UsadelEquation(device, device.transport(), method)
    x = equation.solve(np.asarray(z, complex), cells, np.zeros(len(cells)), terminals)
    return x[:, 0] + 1j * x[:, 1]


def normal_wire_angle(z: complex, length: float, at: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """θ in a normal wire on a bulk superconductor of gap 1, closed at its end, by scipy's collocation.

    Args:
        z: complex energy.
        length: of the wire in ξ.
        at: increasing places, at which ``guess`` is an approximate solution.
    """
    start = bulk_angle(z)

    def slopes(_x: np.ndarray, y: np.ndarray) -> np.ndarray:
        bend = -2j * z * np.sin(y[0] + 1j * y[1])
        return np.array([y[2], y[3], bend.real, bend.imag])

    def ends(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.array([a[0] - start.real, a[1] - start.imag, b[2], b[3]])

    x = np.concatenate([[0.0], at, [length]])
    y = np.concatenate([[start], guess, guess[-1:]])
    first = np.array([y.real, y.imag, np.gradient(y.real, x), np.gradient(y.imag, x)])
    found = solve_bvp(slopes, ends, x, first, tol=1e-10, max_nodes=200_000)
    assert found.success
    values = found.sol(at)
    return np.asarray(values[0] + 1j * values[1])


def bulk_angle(z: complex, gap: float = 1.0) -> complex:
    """θ of a bulk superconductor, ``tan θ = iΔ/z``, with ``Re cos θ ≥ 0``."""
    root = np.sqrt(complex(gap) - z) * np.sqrt(complex(gap) + z)
    return complex(1j * np.log((-1j * z - 1j * gap) / root))
