"""Quasiparticles that diffuse into a trap: profiles along a film against their closed form."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.collisions import Coupling, ElectronPhonon, relative_velocity
from fvqp.collisions.sources import ConstantTrapping, Line, PhononEscape, QuasiparticleInjection
from fvqp.energy import EnergyAxis
from fvqp.mesh import shape_mesh
from fvqp.models.boltzmann import BoltzmannProblem, Diffusion, Medium
from fvqp.models.boltzmann.steady import SteadySolver, net_power

#: Lengths of film and trap, metres; diffusivity v_F ℓ/3, m²/τ0; rates of loss in both, 1/τ0.
FILM, TRAP, SPEED, FREE_PATH, LOSS, CAPTURE = 200e-6, 30e-6, 1e-3, 3e-6, 0.15, 5.0
ENERGY, RATE = 1.55, 1e-9


def closed_form(x: np.ndarray, speed: float) -> np.ndarray:
    """Density over x < 0, the trap, and x > 0, where pairs are generated: ``D n'' = Γ n − g``.

    n = g/Γ + A cosh((L − x)/λ) in the film and B cosh((x + w)/λ_t) in the trap, with λ = √(D/Γ); n and its
    slope are continuous.
    """
    diffusivity = speed * FREE_PATH / 3.0
    film, trap = np.sqrt(diffusivity / LOSS), np.sqrt(diffusivity / CAPTURE)
    level = RATE / LOSS
    slope = np.tanh(TRAP / trap) / trap
    a = -level * slope / (slope * np.cosh(FILM / film) + np.sinh(FILM / film) / film)
    b = (level + a * np.cosh(FILM / film)) / np.cosh(TRAP / trap)
    inside = b * np.cosh(np.minimum(x + TRAP, TRAP) / trap)
    outside = level + a * np.cosh(np.minimum(FILM - x, FILM) / film)
    return np.where(x < 0.0, inside, outside)


def profile_error(cells: int) -> float:
    """Largest error relative to the largest density, of a film of as many cells."""
    # Collisions too weak to do anything: quasiparticles keep the energy that they are made with.
    grid = EnergyAxis.uniform(0.1, 2.0, start=1.0)
    collisions = ElectronPhonon(grid, Coupling(1e-6, 1.0), "direct")
    mesh = shape_mesh(
        "grid2d",
        nx=cells,
        Lx=FILM + TRAP,
        ny=1,
        Ly=20e-6,
        origin=(-TRAP, 0.0),
        comm=MPI.COMM_SELF,
    )
    x = mesh.centroid[:, 0]

    def medium(**processes: object) -> Medium:
        processes["escape"] = PhononEscape(grid, collisions.coupling, 1.0)
        return Medium(collisions, 1.0, fermi_velocity=SPEED, free_path=FREE_PATH, processes=processes)

    generation = QuasiparticleInjection(grid, Line(ENERGY), rate=RATE)
    media = [
        (np.flatnonzero(x > 0.0), medium(generation=generation, loss=ConstantTrapping(grid, LOSS))),
        (np.flatnonzero(x < 0.0), medium(capture=ConstantTrapping(grid, CAPTURE))),
    ]
    problem = BoltzmannProblem(mesh, grid, media, quasiparticles=Diffusion())
    # From as many everywhere as generation makes in the time of loss, in one bin.
    f = np.zeros(grid.n)
    at = np.argmin(np.abs(grid.energies - ENERGY))
    f[at] = RATE / LOSS / problem.at(problem.gap_at_rest).local.bin_weights[0].dos_weights[0, at]
    steady = SteadySolver(problem).solve(problem.state(f, np.zeros(grid.n_phonon)))
    power, left = net_power(problem, steady)
    assert abs(left) < 1e-9 * power["generation"]
    # The mean over a bin is that of its middle to second order.
    relative = relative_velocity(grid, np.ones(1), "linear")[0, at]
    assert relative == pytest.approx(np.sqrt(1.0 - ENERGY**-2), rel=0.1**2)
    expected = closed_form(x, SPEED * relative)
    return float(np.abs(problem.densities(steady) - expected).max() / expected.max())


@pytest.mark.slow
def test_profile_next_to_a_trap() -> None:
    """λ is 71 um in the film and 12 um in the trap: second order in cells of 5 and 2.5 um."""
    coarse, fine = (profile_error(cells) for cells in (46, 92))
    assert coarse < 5e-3 and fine < 0.3 * coarse
