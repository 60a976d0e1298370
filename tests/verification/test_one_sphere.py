"""One sphere in its radius, in radius and height, and in three dimensions: quasiparticles made everywhere and
phonons that leave through the surface, in a steady state, both diffusing or both flying."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from shells import mean_radii, shell_mesh
from streaming_problems import SELF
from transport_problems import gmsh_model

from fvqp.collisions import Coupling, ElectronPhonon, thermal
from fvqp.collisions.sources import Gaussian, QuasiparticleInjection
from fvqp.energy import EnergyAxis
from fvqp.mesh import Mesh, build_mesh, read_raw
from fvqp.models.boltzmann import BoltzmannProblem, Diffusion, DiscreteOrdinates, Medium
from fvqp.models.boltzmann.steady import SteadySolver, net_power
from fvqp.transport.directions import Directions, lebedev, revolved, spherical
from fvqp.transport.walls import MIRROR, Wall

GRID = EnergyAxis.uniform(0.25, 2.5)
COLLISIONS = ElectronPhonon(GRID, Coupling(1.85, 0.041), "direct")
BATH = thermal(GRID, 0.15)


def part_of_ball(path: Path, dim: int, size: float) -> Mesh:
    """A quarter of the cross-section of the unit ball, as radius and height, or an eighth of the ball.

    Boundaries: ``outer``, and ``planes`` of symmetry; the axis is none.
    """
    with gmsh_model(dim, size, path) as gmsh:
        occ = gmsh.model.occ
        whole = occ.addSphere(0, 0, 0, 1) if dim == 3 else occ.addDisk(0, 0, 0, 1, 1)
        box = occ.addBox(0, 0, 0, 2, 2, 2) if dim == 3 else occ.addRectangle(0, 0, 0, 2, 2)
        ((_, body),), _ = occ.intersect([(dim, whole)], [(dim, box)])
        occ.synchronize()
        gmsh.model.addPhysicalGroup(dim, [body], name="body")
        groups: dict[str, list[int]] = {"outer": [], "planes": []}
        for _, tag in gmsh.model.getEntities(dim - 1):
            middle = occ.getCenterOfMass(dim - 1, tag)[:dim]
            groups["planes" if min(middle) < 1e-6 else "outer"].append(tag)
        for name, tags in groups.items():
            gmsh.model.addPhysicalGroup(dim - 1, tags, name=name)
    raw = read_raw(path)
    points = np.where(np.abs(raw.points) < 1e-9, 0.0, raw.points)
    coordinates = "cylindrical" if dim == 2 else "cartesian"
    return build_mesh(points, raw.cells, raw.regions, raw.boundaries, SELF, coordinates=coordinates)


def steady(space: Mesh, directions: Directions | None) -> np.ndarray:
    """Means over the volume: number and energy of quasiparticles, energy of phonons; mean square radius of a
    quasiparticle. They diffuse without directions."""
    source = QuasiparticleInjection(GRID, Gaussian(1.8, 0.1), power=0.02)
    medium = Medium(
        COLLISIONS,
        1.0,
        fermi_velocity=20.0,
        free_path=0.2,
        sound_velocity=10.0,
        phonon_free_path=0.5,
        processes={"source": source},
    )
    planes = {"planes": MIRROR} if "planes" in space.boundaries else {}
    surface = {"outer": Wall(bath=BATH.n.ravel())}
    if directions is None:
        problem = BoltzmannProblem(
            space, GRID, medium, quasiparticles=Diffusion(), phonons=Diffusion(walls=surface)
        )
    else:
        problem = BoltzmannProblem(
            space,
            GRID,
            medium,
            quasiparticles=DiscreteOrdinates(directions, planes, scheme="linear"),
            phonons=DiscreteOrdinates(directions, surface | planes, scheme="linear"),
        )
    state = SteadySolver(problem, 1e-9).solve(problem.state(BATH.f, BATH.n))
    named, left = net_power(problem, state)
    assert abs(left) < 1e-12 * named["source"]
    volume, ledger = problem.cells.volume, problem.ledger(state)
    square = mean_radii(space) ** 2 if space.dim == 1 else (space.centroid**2).sum(axis=1)
    held = volume * problem.densities(state)
    sums = np.array([ledger.number, ledger.quasiparticles, ledger.phonons]) / volume.sum()
    return np.append(sums, held @ square / held.sum())


def extrapolated(spaces: list[Mesh], directions: Directions | None, dim: int) -> tuple[np.ndarray, float]:
    """From two cell sizes at second order; and the stated error, relative: the most that this takes away from
    any result of the finer one. Errors of a single result may cancel by chance."""
    coarse, fine = (steady(space, directions) for space in spaces)
    ratio = (len(spaces[1].volume) / len(spaces[0].volume)) ** (1.0 / dim)
    removed = (fine - coarse) / (ratio**2 - 1.0)
    return fine + removed, float(np.max(np.abs(removed / fine)))


@pytest.mark.slow
@pytest.mark.parametrize("motion", ["diffusive", "ordinates"])
def test_radial_axisymmetric_and_solid_results_agree(tmp_path: Path, motion: str) -> None:
    """Pairwise within the sum of their stated errors, which are below 0.1 % in shells, 0.5 % in radius and
    height, and 2.5 % in tetrahedra. Twice as many directions change shells by less than 0.1 %."""
    flies = motion == "ordinates"
    shells = [shell_mesh(np.linspace(0.0, 1.0, n + 1), "spherical") for n in (20, 40)]
    flat = [part_of_ball(tmp_path / f"2d-{h}.msh", 2, h) for h in (0.2, 0.1)]
    solid = [part_of_ball(tmp_path / f"3d-{h}.msh", 3, h) for h in ((0.35, 0.25) if flies else (0.28, 0.2))]
    results = [
        extrapolated(shells, spherical(8) if flies else None, 1),
        extrapolated(flat, revolved(4, 6) if flies else None, 2),
        extrapolated(solid, lebedev(9) if flies else None, 3),
    ]
    for (_, error), most in zip(results, (0.001, 0.005, 0.025), strict=True):
        assert error < most
    if flies:
        few, many = (steady(shells[1], spherical(count)) for count in (8, 16))
        assert np.all(np.abs(many - few) < 1e-3 * few)
    for (one, its_error), (other, others) in combinations(results, 2):
        assert np.all(np.abs(other / one - 1.0) < its_error + others)
