"""Closure with pairs of places, and limits of the local law: against exact limits and the simulation."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import CaseError
from fvqp.mesh import shape_mesh
from fvqp.mesh.mesh import Mesh
from fvqp.models.localized import (
    AnnihilationLaw,
    Domain,
    LocalizedDensity,
    PairClosure,
    Simulation,
    TailAnnihilation,
    mesh_domain,
)
from fvqp.models.localized.validity import doubts_of_section, steepest

PAIR = TailAnnihilation(1.0, 1.0)
LAW = AnnihilationLaw(PAIR)


def line(length: float, n: int) -> Mesh:
    return shape_mesh("grid1d", nx=n, Lx=length, comm=MPI.COMM_SELF)


def endless(mesh: Mesh) -> Domain:
    """A mesh that goes on without end in the directions it lacks."""
    domain = mesh_domain(mesh, **({"cross_section": (1.0, 1.0)} if mesh.dim == 1 else {"thickness": 1.0}))
    return dataclasses.replace(domain, periodic=domain.extent > 0.0)


@pytest.mark.parametrize("alpha", [1e-14, 1e-8, 1e-3, 1.0])
def test_uniform_generation_is_the_law(alpha: float) -> None:
    found = PairClosure(PAIR, endless(line(200.0, 50))).stationary(np.full(50, alpha))
    assert found[25] == pytest.approx(float(LAW.stationary(alpha)), rel=1e-4)
    # At a surface half of the partners are left, next to a place that has more again.
    fine = PairClosure(PAIR, endless(line(100.0, 400))).stationary(np.full(400, alpha))
    most = fine[0] / fine[200]
    assert 1.5 < most < 2.4


@pytest.mark.slow
def test_meshes_agree() -> None:
    """Lines of three lengths of cells, and a strip of faces as wide as pairs reach."""

    def along(n: int) -> np.ndarray:
        mesh = line(60.0, n)
        generation = 1e-7 * (1.0 + 0.9 * np.cos(2.0 * np.pi * mesh.centroid[:, 0] / 30.0))
        return PairClosure(PAIR, endless(mesh)).stationary(generation)

    fine = along(240)
    for n, close in ((30, 0.08), (60, 0.02)):
        assert along(n) == pytest.approx(fine.reshape(n, -1).mean(axis=1), rel=close)
    strip = shape_mesh("grid2d", nx=5, Lx=20.0, ny=3, Ly=75.0, comm=MPI.COMM_SELF)
    found = PairClosure(PAIR, endless(strip)).stationary(np.full(15, 1e-6))
    expected = PairClosure(PAIR, endless(line(20.0, 5))).stationary(np.full(5, 1e-6))
    middle = np.abs(strip.centroid[:, 1] - 37.5) < 1.0
    assert found[middle] == pytest.approx(expected, rel=5e-3)


def test_units_and_dark_cells() -> None:
    """A part without generation holds nothing, and lets no one annihilate; any radius and constant."""
    mesh = line(80.0, 40)
    bright = np.abs(mesh.centroid[:, 0] - 40.0) < 20.0
    found = PairClosure(PAIR, endless(mesh)).stationary(np.where(bright, 1e-9, 0.0))
    assert np.all(found[~bright] == 0.0)
    assert found[bright] == pytest.approx(
        PairClosure(PAIR, endless(line(40.0, 20))).stationary(np.full(20, 1e-9)), rel=1e-4
    )
    metres = TailAnnihilation(1e-7, 40e-18)
    small = line(80e-7, 40)
    scaled = PairClosure(metres, endless(small)).stationary(np.where(bright, 1e-9, 0.0) * 40e-18 * 1e42)
    assert scaled * 1e-21 == pytest.approx(found, rel=1e-4)
    assert np.all(PairClosure(PAIR, endless(mesh)).stationary(np.zeros(40)) == 0.0)


def test_bodies_that_are_too_large() -> None:
    solid = shape_mesh("grid3d", nx=2, ny=2, nz=2, Lx=300.0, Ly=300.0, Lz=300.0, comm=MPI.COMM_SELF)
    with pytest.raises(CaseError, match="the body is too large, or has too many cells"):
        PairClosure(PAIR, mesh_domain(solid)).stationary(np.full(8, 1e-8))
    with pytest.raises(CaseError, match="pairs of cells within"):
        PairClosure(PAIR, endless(line(400.0, 4500))).stationary(np.full(4500, 1e-14))


@pytest.mark.slow
@pytest.mark.parametrize("source", ["wave", "surface"])
def test_simulation(source: str) -> None:
    """Generation of a period of 40 r_c, surfaces 60 r_c apart: within 2 %, where the law misses by half."""
    length, n, width, alpha = (40.0, 20, 48.0, 1e-10) if source == "wave" else (60.0, 30, 48.0, 1e-10)
    mesh = line(length, n)
    domain = mesh_domain(mesh, cross_section=(width, width))
    domain = dataclasses.replace(domain, periodic=np.array([source == "wave", True, True]))
    change = 0.9 if source == "wave" else 0.0
    generation = alpha * (1.0 + change * np.cos(2.0 * np.pi * mesh.centroid[:, 0] / length))
    simulation = Simulation(domain, PAIR, generation=generation, seed=11, warn=False)
    life = float(LAW.stationary(alpha)) / alpha
    simulation.advance([30.0 * life])
    cells = simulation.advance(simulation.time + 1600.0 * life * np.arange(1, 41), cells=True).cells
    # The two halves are mirror images.
    cells = 0.5 * (cells + cells[:, ::-1])
    simulated, error = cells.mean(axis=0), cells.std(axis=0, ddof=1) / np.sqrt(len(cells))
    assert np.all(error < 0.025 * simulated)
    times = 5 if source == "wave" else 1
    found = PairClosure(PAIR, endless(line(times * length, times * n))).stationary(np.tile(generation, times))
    found = found.reshape(times, n)[times // 2]
    local = LAW.stationary(generation)
    assert np.all(np.abs(found - simulated) < 0.02 * simulated + 3.0 * error)
    assert np.max(np.abs(local / simulated - 1.0)) > 0.45


@pytest.mark.parametrize("alpha", [1e-14, pytest.param(1e-10, marks=pytest.mark.slow), 1e-6, 1.0])
def test_threshold_of_steep_generation(alpha: float) -> None:
    """At a change of itself within reach the law is off by 5 to 20 %, by the sum over pairs."""
    period = 20.0
    while True:
        mesh = line(3.0 * period, 120)
        generation = alpha * (1.0 + 0.9 * np.cos(2.0 * np.pi * mesh.centroid[:, 0] / period))
        middle = slice(40, 80)
        local = LAW.stationary(generation)
        inner = line(period, 40)
        inside = dataclasses.replace(inner, face_area=np.where(inner.face_cells[:, 1] < 0, 1e-99, 1.0))
        change = steepest(inside, LAW, local[middle]).change
        if change < 1.0:
            break
        period *= 1.1
    found = PairClosure(PAIR, endless(mesh)).stationary(generation)
    off = np.max(np.abs(local / found - 1.0)[middle])
    assert 0.05 < off < 0.2


@pytest.mark.parametrize(("alpha", "width"), [(1e-10, 100.0), (1e-6, 60.0), (1.0, 40.0)])
def test_surfaces_across(alpha: float, width: float) -> None:
    """What a warning says that surfaces add is what they add in the sum over pairs, to a third."""
    mesh = line(width, 80)
    mean = PairClosure(PAIR, endless(mesh)).stationary(np.full(80, alpha)).mean()
    c = float(LAW.stationary(alpha))
    film = mesh_domain(shape_mesh("grid2d", nx=1, Lx=1e3, ny=1, Ly=1e3, comm=MPI.COMM_SELF), thickness=width)
    (text,) = doubts_of_section(film, LAW, c) or ["by about 0%"]
    added = float(text.split("by about ")[1].split("%")[0]) / 100.0
    assert added == pytest.approx(1.0 - c / mean, abs=0.03) or (added == 0.0 and 1.0 - c / mean < 0.1)


def test_densities_warn() -> None:
    mesh = line(400.0, 100)
    smooth = LocalizedDensity(line(4e4, 100), LAW, 1e-6)
    smooth.steady()
    assert not smooth.warnings
    steep = LocalizedDensity(mesh, LAW, np.where(mesh.centroid[:, 0] < 200.0, 1e-6, 1e-8), warn=False)
    c = steep.steady()
    assert "off by 10 % or more" in steep.warnings[0] and len(steep.warnings) == 1
    steep.relax(c, [1e3], generation=1e-6)
    assert len(steep.warnings) == 1
    steep.relax(c, [1e3, 1e6], generation=0.0)
    assert "leaves up to 31 % too few" in steep.warnings[1]
