"""Phonons of several branches at interfaces of regions whose numbers of modes differ: detailed balance.

What a region sends on in branch b and direction m at an energy is ``G p_b (c_b/c̄) w_m |Ω_m·n|`` of its
occupation, with one G for both sides: whatever passes one way has an equal that comes back the other way.
"""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from streaming_problems import SELF, UP
from transport_problems import gmsh_halves

from fvqp.collisions import Coupling, ElectronPhonon, thermal
from fvqp.energy import EnergyAxis
from fvqp.mesh import Mesh, read_mesh, shape_mesh
from fvqp.models.boltzmann import BoltzmannProblem, DiscreteOrdinates, Medium
from fvqp.transport.directions import FULL, Directions, branched, gauss_legendre, lebedev, product
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import MIRROR, TransmittingInterface, Wall

SOUND, POLARIZATIONS = np.array([4.0, 2.5, 1.2]), np.array([1.0, 1.0, 2.0])
SHARES = POLARIZATIONS / SOUND**3 / np.sum(POLARIZATIONS / SOUND**3)
KINDS = ["line", "quads", "triangles", "tetrahedra"]
PASSING = np.array([1.0, 0.3, 0.7])
"""Transmission of three energies."""
TURNED = [1.0, 0.4, 0.0]
"""Specularities."""


@cache
def body(kind: str) -> tuple[Mesh, Directions]:
    """Regions ``left`` and ``right`` of x = 1/2, and the directions of one branch."""
    halves = {"left": ((0.0, 0.5), None), "right": ((0.5, 1.0), None)}
    if kind == "line":
        regions = {name: (x,) for name, (x, _) in halves.items()}
        return shape_mesh("grid1d", nx=4, Lx=1.0, regions=regions, comm=SELF), gauss_legendre(4)
    film = lebedev(7).folded(UP)
    if kind == "quads":
        return shape_mesh("grid2d", nx=4, Lx=1.0, ny=2, Ly=1.0, regions=halves, comm=SELF), film
    dim, size = (2, 0.5) if kind == "triangles" else (3, 1.0)
    with TemporaryDirectory() as folder:
        mesh = read_mesh(gmsh_halves(Path(folder) / "halves.msh", dim, size), comm=SELF)
    return mesh, film if dim == 2 else product(2, 4)


def contact(
    kind: str, scheme: Scheme, specularity: float, wall: Wall = MIRROR
) -> tuple[Streaming, Directions, np.ndarray]:
    """Two materials: the first has more modes at low energy and fewer at high energy, and faster ones.

    Returns streaming, the directions of one branch, and which cells are in the first region.
    """
    mesh, one = body(kind)
    first = mesh.cell_region == mesh.region_names.index("left")
    states = np.where(first[:, None], [[1.0, 4.0, 9.0]], [[0.7, 5.0, 30.0]])
    speed = np.where(first, 1.7, 1.1)[:, None] * np.ones((1, 3))
    streaming = mesh_streaming(
        mesh,
        branched(one, SOUND, SHARES),
        speed,
        {},
        elsewhere=wall,
        interfaces=[TransmittingInterface(("left", "right"), PASSING, specularity)],
        states=states,
        medium=(~first).astype(np.int32),
        scheme=scheme,
    )
    return streaming, one, first


@pytest.mark.parametrize("specularity", TURNED)
@pytest.mark.parametrize("kind", KINDS)
def test_one_temperature_stays_in_every_branch_and_direction(kind: str, specularity: float) -> None:
    bath = np.array([5.0, 0.6, 1e-3])
    for scheme in ("upwind", "linear", "limited"):
        for wall in (MIRROR, Wall(0.3, 0.0, bath), Wall(0.0)):
            streaming, _, first = contact(kind, scheme, specularity, wall)  # type: ignore[arg-type]
            f = np.broadcast_to(bath, (len(first), streaming.directions.count, 3)).copy()
            scattering = np.where(first[:, None], 0.3, 40.0) * np.ones((1, 3))
            for turning in (None, scattering):
                rates, lost = streaming.rates(f, turning)
                assert np.all(np.abs(rates) <= 1e-13 * streaming.crossing_rate()[:, None, :] * bath)
                assert np.all(np.abs(lost) <= 1e-13 * bath * streaming.g.max())


@pytest.mark.parametrize(
    ("kind", "specularity"),
    [
        pytest.param(kind, one, marks=() if one == 0.4 or kind == "quads" else pytest.mark.slow)
        for kind, one in itertools.product(KINDS, TURNED)
    ],
)
def test_what_passes_comes_back_the_other_way(kind: str, specularity: float) -> None:
    """Particles that pass from (cell i, branch and direction m) to (j, m') in a unit of time are as many as
    those from (j, −m') to (i, −m), at equal occupations."""
    streaming, _, first = contact(kind, "upwind", specularity, Wall(0.0, specularity))
    count = streaming.directions.count
    n = len(first)
    found = np.empty((n, count, n, count, 3))
    for cell in range(n):
        for m in range(count):
            f = np.zeros((n, count, 3))
            f[cell, m] = 1.0
            found[:, :, cell, m] = streaming.rates(f)[0]
    found *= (streaming.capacity[:, None, :] * streaming.directions.weights[:, None])[:, :, None, None, :]
    back = streaming.directions.inverse()
    reversed_ = found[:, back][:, :, :, back].transpose(2, 3, 0, 1, 4)
    size = np.abs(found).max(axis=(0, 1, 2, 3))
    assert np.all(np.abs(found - reversed_) <= 1e-13 * size)
    across = np.abs(found[first][:, :, ~first]).max(axis=(0, 1, 2, 3))
    assert np.all(across > 1e-3 * size)


@pytest.mark.parametrize("specularity", TURNED)
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_temperature_drives_each_branch_by_its_modes_and_speed(
    kind: str, specularity: float
) -> None:
    """Net flux of branch b: ``η min(g) p_b (c_b/c̄) q (f₁ − f₂)`` an area, q being the half-range flux; what
    one region loses the other gains, energy by energy, for any occupations."""
    streaming, one, first = contact(kind, "limited", specularity)
    hot, cold = np.array([9.0, 0.8, 0.02]), np.array([4.0, 0.1, 1e-6])
    f = np.where(first[:, None, None], hot, cold) * np.ones((1, streaming.directions.count, 1))
    rates, _ = streaming.rates(f)
    smaller = np.minimum(streaming.g[first][0], streaming.g[~first][0])
    assert {0, 1} == set(np.argmin([streaming.g[first][0], streaming.g[~first][0]], axis=0).tolist())
    # the area of the interface is 1
    half = one.half_range((1.0, 0.0, 0.0)) / 4.0
    relative = SOUND / np.sqrt(SHARES @ SOUND**2)
    expected = PASSING * smaller * (SHARES * relative)[:, None] * half * (hot - cold)
    shares = streaming.directions.weights / FULL
    # of those that stand still in the plane of a folded set one is left
    still = np.flatnonzero(~np.any(np.tile(one.vectors, (len(SOUND), 1)), axis=1))
    branch = np.delete(np.repeat(np.arange(len(SOUND)), one.count), still[1:])
    for side, sign in ((first, -1.0), (~first, 1.0)):
        moved = np.einsum("ce,cme,m->me", streaming.capacity[side], rates[side], shares)
        gained = np.stack([moved[branch == b].sum(axis=0) for b in range(len(SOUND))])
        assert gained == pytest.approx(sign * expected, rel=1e-12)
    f = np.random.default_rng(3).uniform(size=f.shape)
    rates, _ = streaming.rates(f)
    turnover = streaming.content(np.abs(rates))
    assert np.all(np.abs(streaming.content(rates)) <= 1e-14 * turnover)


def test_a_film_and_its_substrate_at_one_temperature_stay() -> None:
    """With collisions in the film, modes of another Debye energy beside it, and branches in both."""
    regions = {"film": ((0.0, 0.5),), "chip": ((0.5, 1.0),)}
    mesh = shape_mesh("grid1d", nx=6, Lx=1.0, regions=regions, comm=SELF)
    grid = EnergyAxis.uniform(0.25, 3.0, start=0.5)
    cells = {name: np.flatnonzero(mesh.cell_region == mesh.region_names.index(name)) for name in regions}
    collisions = ElectronPhonon(grid, Coupling(0.6, 1.0))
    media = [
        (cells["film"], Medium(collisions, gap=1.0, sound_velocity=2.0)),
        (cells["chip"], Medium(None, gap=None, modes=0.02 * grid.phonon_energies**2, sound_velocity=3.0)),
    ]
    flying = DiscreteOrdinates(
        branched(gauss_legendre(4), SOUND, SHARES),
        elsewhere=MIRROR,
        interfaces=[TransmittingInterface(("film", "chip"), np.linspace(1.0, 0.2, grid.n_phonon), 0.5)],
    )
    problem = BoltzmannProblem(mesh, grid, media, phonons=flying)
    state = problem.thermal(0.3)
    assert state.n == pytest.approx(np.broadcast_to(thermal(grid, 0.3).n[0], state.n.shape), rel=1e-12)
    here = problem.at(state.gap)
    rates, inelastic = here.rates(state.f, state.n), here.inelastic_rates(state.f, state.n)
    fastest = problem.moving_n.crossing[:, None, :] + inelastic.n[:, None, :]
    assert np.all(np.abs(rates.n) <= 1e-12 * fastest * state.n)
    assert np.all(np.abs(rates.f) <= 1e-12 * (inelastic.f[:, None, :] + 1.0) * state.f)
