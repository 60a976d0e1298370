"""f_L diffuses in FiPy with our spectra: D_L(x, ε) of the Usadel equation, a reservoir and an NIS injector.

Both programs have the mesh, the bin averages of the spectral functions and the two-point scheme in common: a
harmonic mean of D_L over the face, the value of the cell at a reservoir. Assembly, boundary conditions and
solution are independent. On triangles the schemes differ, and both are held against an exact solution.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import fipy
import gmsh
import numpy as np
import pytest
from mpi4py import MPI
from proximity_devices import METAL, THICKNESS, UNIT, WIDTH, XI

from fvqp.energy import EnergyAxis
from fvqp.mesh import Mesh
from fvqp.mesh.fipy import cell_variable, from_fipy
from fvqp.models.linear import TransportSolver
from fvqp.models.usadel.device import Device, Junction, Reservoir
from fvqp.models.usadel.kinetics import L
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import GapModel, Point, UsadelProblem
from fvqp.transport.operator_tables import Coefficients

SELF = MPI.COMM_SELF
SERIAL = {"communicator": fipy.tools.serialComm}
BROADENING = 0.02
GRID = EnergyAxis.graded(3.0, gap_edges=[1.0], first=0.05, number=40)
#: Bins that FiPy solves: below the gap, at it, above, and beyond the bias.
ENERGIES = [2, 10, 15, 20, 30]
BIAS = 1.5 * METAL.gap / 1.602176634e-19


@pytest.fixture(autouse=True)
def program_gmsh(monkeypatch: pytest.MonkeyPatch) -> None:
    """FiPy asks the program gmsh, which stands beside python, for its version."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)


def solved(mesh: Mesh, junction: str, normal: str) -> tuple[UsadelProblem, Any]:
    """A superconductor on a normal reservoir, which changes its spectra, and an NIS injector at 1.5 Δ0."""
    device = Device(
        mesh,
        METAL,
        [Junction("A", junction, 0.3 * UNIT, "injector", 0.1)],
        [Reservoir("N", (normal,), 0.1, gap=0.0)],
        width=WIDTH if mesh.dim == 1 else None,
        thickness=THICKNESS,
    )
    problem = UsadelProblem(device, GRID, BROADENING, spectra="diffusive", gap=GapModel("fixed", value=1.0))
    return problem, solve_point(problem, Point(V_inj=BIAS))


def film_with_a_hole(path: Path) -> None:
    """Squares of side 2 ξ about a square hole, in rectangles of growing width; gmsh writes it."""
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.MshFileVersion", 2.2)
        geo = gmsh.model.geo
        points = [[geo.addPoint(2.0 * i, 2.0 * j, 0.0) for i in range(4)] for j in range(4)]
        across = [[geo.addLine(points[j][i], points[j][i + 1]) for i in range(3)] for j in range(4)]
        up = [[geo.addLine(points[j][i], points[j + 1][i]) for i in range(4)] for j in range(3)]
        for line in [*across, *up]:
            for curve in line:
                geo.mesh.setTransfiniteCurve(curve, 5, "Progression", 1.2)
        squares = {}
        for i, j in np.ndindex(3, 3):
            if (i, j) != (1, 1):
                loop = geo.addCurveLoop([across[j][i], up[j][i + 1], -across[j + 1][i], -up[j][i]])
                squares[i, j] = geo.addPlaneSurface([loop])
                geo.mesh.setTransfiniteSurface(squares[i, j])
                geo.mesh.setRecombine(2, squares[i, j])
        geo.synchronize()
        injector = squares.pop((2, 1))
        gmsh.model.addPhysicalGroup(2, [injector], name="under junction")
        gmsh.model.addPhysicalGroup(2, list(squares.values()), name="rest")
        gmsh.model.addPhysicalGroup(1, [row[0] for row in up], name="lead")
        gmsh.model.mesh.generate(2)
        gmsh.write(str(path))
    finally:
        gmsh.finalize()


def by_fipy(
    grid: Any, problem: UsadelProblem, solution: Any, reservoir: Any, share: np.ndarray
) -> np.ndarray:
    """f_L of FiPy, ``(cells, ENERGIES)``; ``share (cells,)`` of the junction's normal-state conductance.

    Lengths in ξ, conductances in that of a square of the film, or of a piece of the wire of length ξ:
    ``∇·(D_L ∇f) = Σ g (f − f_lead)`` with the conductance g of each cell to the lead over its volume.
    """
    mesh = problem.device.mesh
    spectrum = problem.kinetics.spectrum(solution.spectral)
    rest = problem.distribution(solution, L) - solution.kinetic.deviation(L)
    lead = solution.kinetic.external[L, 0] + rest[0]
    unit = METAL.conductivity * problem.device.transverse / (XI if mesh.dim == 1 else 1.0)
    found = np.empty((mesh.n_cells, len(ENERGIES)))
    for k, e in enumerate(ENERGIES):
        diffusion = cell_variable(grid, mesh, spectrum.diffusion_L[:, e], name="D_L")
        tunnel = share * spectrum.dos[:, e] * problem.device.junctions[0].conductance / unit
        if mesh.dim == 1:
            # The junction covers the end face: half a cell of metal and the barrier in series.
            half = spectrum.diffusion_L[:, e] / (0.5 * np.asarray(grid.cellVolumes))
            tunnel = tunnel * half / np.where(tunnel > 0.0, tunnel + half, 1.0)
        g = cell_variable(grid, mesh, tunnel / np.asarray(grid.cellVolumes))
        f = cell_variable(grid, mesh, np.zeros(mesh.n_cells), name="f_L")
        f.constrain(rest[0, e], reservoir)
        equation = fipy.DiffusionTerm(coeff=diffusion.harmonicFaceValue) - fipy.ImplicitSourceTerm(coeff=g)
        equation += lead[e] * g
        equation.solve(var=f, solver=fipy.solvers.LinearLUSolver(tolerance=1e-14, iterations=20))
        found[:, k] = f.value
    return found


def assert_agree(found: np.ndarray, problem: UsadelProblem, solution: Any, least: float) -> None:
    """To 1e-10 of f_L, of which the bias has changed part ``least`` somewhere, by varying coefficients."""
    expected = problem.distribution(solution, L)[:, ENERGIES]
    spectrum = problem.kinetics.spectrum(solution.spectral)
    variation = np.ptp(spectrum.diffusion_L, axis=0) / spectrum.diffusion_L.max(axis=0)
    assert variation.max() > 0.5
    assert np.abs(solution.kinetic.deviation(L)).max() > least
    assert np.abs(found - expected).max() < 1e-10


def test_wire() -> None:
    """A non-uniform grid of FiPy; the injector covers its right end."""
    grid = fipy.Grid1D(dx=np.geomspace(0.05, 0.4, 40), **SERIAL)
    mesh = from_fipy(grid, length_unit=XI, comm=SELF)
    problem, solution = solved(mesh, "right", "left")
    share = np.zeros(mesh.n_cells)
    share[-1] = 1.0
    assert_agree(by_fipy(grid, problem, solution, grid.facesLeft, share), problem, solution, 0.1)


def test_film_with_a_hole(tmp_path: Path) -> None:
    """FiPy reads gmsh's film of rectangles; its groups name the lead and the region under the junction."""
    film_with_a_hole(tmp_path / "film.msh")
    grid = fipy.Gmsh2D(str(tmp_path / "film.msh"), **SERIAL)
    mesh = from_fipy(grid, length_unit=XI, comm=SELF)
    assert mesh.volume.sum() == pytest.approx(32.0 * XI**2)
    problem, solution = solved(mesh, "under junction", "lead")
    under = np.asarray(grid.physicalCells["under junction"].value)
    share = np.where(under, np.asarray(grid.cellVolumes), 0.0) / np.asarray(grid.cellVolumes)[under].sum()
    found = by_fipy(grid, problem, solution, grid.physicalFaces["lead"], share)
    assert_agree(found, problem, solution, 0.1)


def disc_with_a_hole(path: Path, size: float) -> None:
    """Triangles between circles of radius 1 and 3, smaller at the hole; gmsh writes them."""
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        gmsh.option.setNumber("Mesh.MshFileVersion", 2.2)
        occ = gmsh.model.occ
        outer, inner = occ.addDisk(0, 0, 0, 3, 3), occ.addDisk(0, 0, 0, 1, 1)
        body = occ.cut([(2, outer)], [(2, inner)])[0]
        occ.synchronize()
        for _, curve in gmsh.model.getBoundary(body, oriented=False):
            hole = gmsh.model.getBoundingBox(1, curve)[3] < 2.0
            gmsh.model.mesh.setTransfiniteCurve(curve, round(2 * np.pi * (1 if hole else 2) / size))
            gmsh.model.addPhysicalGroup(1, [curve], name="hole" if hole else "rim")
        gmsh.model.addPhysicalGroup(2, [tag for _, tag in body], name="disc")
        gmsh.model.mesh.generate(2)
        gmsh.write(str(path))
    finally:
        gmsh.finalize()


def test_disc_with_a_round_hole(tmp_path: Path) -> None:
    """1 at the hole, 0 at the rim: ln(r/3)/ln(1/3). FiPy does not correct its flux for oblique faces."""
    disc_with_a_hole(tmp_path / "disc.msh", 0.15)
    grid = fipy.Gmsh2D(str(tmp_path / "disc.msh"), **SERIAL)
    mesh = from_fipy(grid, length_unit=XI, comm=SELF)
    contacts = [Reservoir(name, (name,), 0.1) for name in ("hole", "rim")]
    transport = Device(mesh, METAL, [], contacts, thickness=THICKNESS).transport()
    coefficients = Coefficients(
        diffusion=np.ones((1, 1, 1)),
        reaction=np.zeros((1, 1, 1)),
    )
    ours = TransportSolver(transport).solve(
        transport.at(coefficients), np.array([[[[1.0], [0.0]]]]), what=lambda _: "the disc"
    )[0, :, 0, 0]
    f = fipy.CellVariable(mesh=grid, value=0.0)
    f.constrain(1.0, grid.physicalFaces["hole"])
    f.constrain(0.0, grid.physicalFaces["rim"])
    fipy.DiffusionTerm(coeff=1.0).solve(var=f, solver=fipy.solvers.LinearLUSolver(tolerance=1e-14))
    exact = np.log(np.hypot(*np.asarray(grid.cellCenters)) / 3.0) / np.log(1.0 / 3.0)
    assert np.abs(ours - exact).max() < 5e-3
    assert np.abs(f.value - exact).max() < 3e-2
