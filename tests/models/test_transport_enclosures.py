"""Steady phonons between black walls, without collisions: view factors, balance, bounds, limits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shells import radial_streaming, shell_mesh
from streaming_problems import SELF, UP, sided, slab_exactly, sphere_or_cylinder
from transport_problems import gmsh_halves, plain, skewed_quads

from fvqp.collisions import thermal
from fvqp.energy import EnergyAxis
from fvqp.errors import ConvergenceError
from fvqp.mesh import Mesh, RawMesh, read_mesh, shape_mesh
from fvqp.models.boltzmann import BoltzmannProblem, DiscreteOrdinates, Medium, steady
from fvqp.models.boltzmann.steady import SteadySolver, net_power
from fvqp.models.boltzmann.steady_step import EvaluatedState, StepEquations
from fvqp.transport.directions import Directions, gauss_legendre, product
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import MIRROR, Wall

GRID = EnergyAxis.uniform(0.5, 1.5)
HOT, COLD = thermal(GRID, 0.3).n.ravel(), np.zeros(GRID.n_phonon)


def enclosure(
    mesh: Mesh, directions: Directions, scheme: Scheme = "limited", path: float = np.inf, mirrors: str = ""
) -> BoltzmannProblem:
    """One hot wall, left, among cold black ones, and mirrors."""
    walls = {
        name: MIRROR if name in mirrors.split() else Wall(bath=HOT if name == "left" else COLD)
        for name in mesh.boundaries
    }
    medium = Medium(None, gap=None, modes=GRID.phonon_energies**2, sound_velocity=1.0, phonon_free_path=path)
    return BoltzmannProblem(mesh, GRID, medium, phonons=DiscreteOrdinates(directions, walls, scheme=scheme))


def shares(problem: BoltzmannProblem, tolerance: float = 1e-10) -> dict[str, float]:
    """What walls take of the power that the hot one gives, in a steady state that is asked to be one."""
    state = SteadySolver(problem, tolerance, 60).solve(problem.state(0.0, 0.5 * HOT))
    assert state.n.min() >= 0.0
    assert np.all(state.n <= HOT * (1.0 + 1e-9))
    named, left = net_power(problem, state)
    # the walls' account, by itself
    assert abs(left) < 1e-8 * named["left"] and abs(sum(named.values())) < 1e-8 * named["left"]
    return {name: -power / named["left"] for name, power in named.items()}


def oblong(nx: int, ny: int) -> Mesh:
    return shape_mesh("grid2d", nx=nx, ny=ny, Lx=2.0, Ly=1.0, comm=SELF)


def by_rays(directions: Directions, apart: float) -> float:
    """Share of what the left wall sends along a set of directions that hits the right one, exactly.

    The walls are one high and ``apart`` from one another.
    """
    v, w = directions.vectors, directions.weights
    out = v[:, 0] > 0.0
    sent = w[out] * v[out, 0]
    straight = np.maximum(1.0 - apart * np.abs(v[out, 1]) / v[out, 0], 0.0)
    return float(sent @ straight / sent.sum())


@pytest.mark.parametrize(
    ("scheme", "left"), [("upwind", 0.5), pytest.param("limited", 0.25, marks=pytest.mark.slow)]
)
def test_view_factors_by_crossed_strings(scheme: Scheme, left: float) -> None:
    """Walls two apart and one high see ``√5 − 2`` of each other (H. C. Hottel), as do rays along a set, the
    closer the more azimuths it has; cells approach the rays of their set at first and at second order."""
    for azimuths in (16, 64, 256):
        rays = by_rays(product(2, azimuths).folded(UP), 2.0)
        assert abs(rays - (np.sqrt(5.0) - 2.0)) < 6.0 / azimuths**2
    directions = product(2, 8).folded(UP)
    off = []
    for n in (4, 8):
        found = shares(enclosure(oblong(2 * n, n), directions, scheme))
        assert found["right"] + found["top"] + found["bottom"] == pytest.approx(1.0, abs=1e-8)
        assert found["top"] == pytest.approx(found["bottom"], abs=1e-8)
        off.append(abs(found["right"] - by_rays(directions, 2.0)))
    assert off[1] < left * off[0]
    assert off[0] < 0.07


def unit(kind: str, folder: Path) -> Mesh:
    if kind == "quads":
        return sided(skewed_quads(8))
    dim, size = (2, 0.2) if kind == "triangles" else (3, 0.34)
    return sided(plain(read_mesh(gmsh_halves(folder / "mesh.msh", dim, size), comm=SELF)))


@pytest.mark.parametrize(
    "kind", ["triangles", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("quads", "tetrahedra"))]
)
def test_limited_gradients_come_to_rest(kind: str, tmp_path: Path) -> None:
    """To 1e-10, within bounds and balanced (`shares`), on cells of any kind."""
    mesh = unit(kind, tmp_path)
    directions = product(2, 8).folded(UP) if mesh.dim == 2 else product(2, 4)
    found = shares(enclosure(mesh, directions))
    if mesh.dim == 2:
        # few edges of shadows
        assert found["right"] == pytest.approx(by_rays(directions, 1.0), abs=1e-4)


def slab_flux(mesh: Mesh, directions: Directions, depth: float) -> float:
    """What a slab lets through of what its hot wall sends, with limited gradients."""
    sides = " ".join(name for name in mesh.boundaries if name not in ("left", "right"))
    problem = enclosure(mesh, directions, path=1.0 / depth, mirrors=sides)
    state = SteadySolver(problem, 1e-10).solve(problem.state(0.0, 0.5 * HOT))
    assert state.n.min() >= 0.0
    named, _ = net_power(problem, state)
    return float(-named["right"] / (0.25 * GRID.phonon_energies**3 @ HOT))


def test_the_exact_slab_is_that_of_heaslet_and_warming() -> None:
    """Four digits of M. A. Heaslet, R. F. Warming, Int. J. Heat Mass Transfer 8, 979 (1965)."""
    for depth, published in {0.1: 0.9157, 1.0: 0.5532, 2.0: 0.3900, 5.0: 0.2077}.items():
        assert slab_exactly(depth) == pytest.approx(published, abs=2.5e-4)


@pytest.mark.parametrize("kind", ["line", pytest.param("quads", marks=pytest.mark.slow)])
def test_transparent_slabs_conduct_exactly(kind: str) -> None:
    """σT⁴ of phonons, ¼ of speed times energy density, with the default numbers of directions."""
    line = kind == "line"
    mesh = shape_mesh("grid1d", nx=3, Lx=1.0, comm=SELF) if line else oblong(3, 2)
    directions = gauss_legendre(8) if line else product(8, 8).folded(UP)
    assert slab_flux(mesh, directions, 1e-9) == pytest.approx(1.0, abs=1e-8)


@pytest.mark.slow
def test_limits_keep_slabs_of_second_order() -> None:
    """Where cells are about a free path; of thin ones the directions are further off."""
    off = []
    for n in (10, 20, 40):
        mesh = shape_mesh("grid1d", nx=n, Lx=1.0, comm=SELF)
        off.append(slab_flux(mesh, gauss_legendre(16), 10.0) / slab_exactly(10.0) - 1.0)
    assert 0.0 < off[2] < 0.4 * off[1] < 0.2 * off[0] < 2e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["line", "distorted quads"])
def test_limits_leave_opaque_bodies_alone(kind: str) -> None:
    """The same few cells from depth 0.1 to 10³: walls bound gradients by what they send, opaque cells by a
    mirror image; walls without either conducted up to 14 % too well where cells are about a free path."""
    line = kind == "line"
    mesh = shape_mesh("grid1d", nx=10, Lx=1.0, comm=SELF) if line else sided(skewed_quads(6))
    directions = gauss_legendre(16) if line else product(8, 8, axis=0).folded(UP)
    for depth in (0.1, 1.0, 5.0, 10.0, 30.0, 1e3):
        expected = slab_exactly(depth) if depth <= 10.0 else 4.0 / 3.0 / (depth + 2.0 * 0.710446)
        assert slab_flux(mesh, directions, depth) == pytest.approx(expected, rel=6e-3 if line else 9e-3)


def cut_quads(n: int) -> Mesh:
    """The unit square of ``2 n²`` triangles of many shapes."""
    raw = skewed_quads(n)
    quads = raw.cells[0][1]
    halves = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    return sided(RawMesh(raw.points, [("triangle", halves)], {}, {}))


@pytest.mark.parametrize(
    ("n", "depth"),
    [(4, 1.0), *(pytest.param(n, d, marks=pytest.mark.slow) for n in (6, 12) for d in (0.1, 1.0, 10.0))],
)
def test_slabs_of_triangles_from_transparent_to_opaque(n: int, depth: float) -> None:
    """Limits of gradients come to rest on triangles whose free paths are many cells, too."""
    found = slab_flux(cut_quads(n), product(4, 8).folded(UP), depth)
    assert found == pytest.approx(slab_exactly(depth), rel=2e-2)


def rough_triangles(azimuths: int, sides: Wall) -> BoltzmannProblem:
    """288 triangles between a hot and a cold wall, a tenth of a free path apart."""
    mesh = cut_quads(12)
    walls = {name: sides for name in mesh.boundaries} | {"left": Wall(bath=HOT), "right": Wall(bath=COLD)}
    medium = Medium(None, gap=None, modes=GRID.phonon_energies**2, sound_velocity=1.0, phonon_free_path=10.0)
    return BoltzmannProblem(
        mesh, GRID, medium, phonons=DiscreteOrdinates(product(4, azimuths).folded(UP), walls)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("azimuths", "sides"), [(8, Wall(transmission=0.0)), (16, Wall(transmission=0.0)), (12, MIRROR)]
)
def test_limits_that_go_back_and_forth_are_followed_in_time(azimuths: int, sides: Wall) -> None:
    """Newton's method alone goes round in a circle here: energies of cells changed by 1e-4 for ever."""
    problem = rough_triangles(azimuths, sides)
    solver = SteadySolver(problem, 1e-8, 60)
    state = solver.solve(problem.state(0.0, 0.5 * HOT))
    assert solver.change < 1e-8
    fastest = problem.moving_n.streaming.crossing_rate().max()
    assert np.abs(problem.at(state.gap).rates(state.f, state.n).n / HOT).max() < 1e-6 * fastest


@pytest.mark.slow
def test_rounds_in_time_begin_where_the_one_before_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """PETSc has the unknowns and the rates of that state then, not those to which long steps led."""
    begin, left = StepEquations.__init__, StepEquations.left
    points: list[EvaluatedState] = []
    right: list[bool] = []

    def begun(self: StepEquations, problem: BoltzmannProblem, point: EvaluatedState, *given: Any) -> None:
        points.append(point)
        begin(self, problem, point, *given)

    def measured(self: StepEquations, rates: np.ndarray) -> np.ndarray:
        if len(right) < len(points):
            right.append(np.array_equal(rates, points[-1].function))
        return left(self, rates)

    monkeypatch.setattr(StepEquations, "__init__", begun)
    monkeypatch.setattr(StepEquations, "left", measured)
    monkeypatch.setattr(steady, "SHORT_STEPS", 1)
    monkeypatch.setattr(steady, "RESTLESS", 1)
    problem = rough_triangles(8, Wall(transmission=0.0))
    with pytest.raises(ConvergenceError, match="no steady state after 14 steps"):
        SteadySolver(problem, 1e-8, 14).solve(problem.state(0.0, 0.5 * HOT))
    assert all(right) and len(right) == len(points)
    # two rounds or more, of one short step
    assert len(points) >= 14 + 2


@pytest.mark.slow
def test_limits_that_go_back_and_forth_for_ever_say_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steady, "ROUNDS", 0)
    problem = rough_triangles(8, Wall(transmission=0.0))
    with pytest.raises(
        ConvergenceError, match=r'go back and forth: take a tolerance .* or scheme = "linear"'
    ):
        SteadySolver(problem, 1e-8, 60).solve(problem.state(0.0, 0.5 * HOT))


def test_linear_gradients_that_would_fall_below_zero_say_so() -> None:
    """Held at 0, occupations would not be balanced: part of the power was left over before it said so."""
    problem = enclosure(oblong(8, 4), product(2, 8).folded(UP), "linear")
    with pytest.raises(ConvergenceError, match=r'would be negative in places: take scheme = "limited"'):
        shares(problem)


# -- the derivative that leads there


def bodies() -> dict[str, Streaming]:
    shells = shell_mesh(np.linspace(0.0, 1.0, 9), "spherical")
    pipes = shell_mesh(np.linspace(0.0, 1.0, 6), "cylindrical")
    line = shape_mesh("grid1d", dx=[0.1, 0.3, 0.2, 0.4, 0.2], comm=SELF)
    wall = Wall(0.6, 0.0, 0.3)
    film = product(2, 8).folded(UP)
    return {
        "sphere": radial_streaming(shells, sphere_or_cylinder("spherical", 6), [1.0, 0.4], wall),
        "cylinder": radial_streaming(pipes, sphere_or_cylinder("cylindrical", 6), [1.0, 0.4], wall),
        "line": mesh_streaming(line, gauss_legendre(4), [1.0, 0.4], {}, elsewhere=wall),
        "quads": mesh_streaming(sided(skewed_quads(5)), film, [1.0, 0.4], {}, elsewhere=wall),
    }


@pytest.mark.parametrize("kind", ["sphere", "cylinder", "line", "quads"])
@pytest.mark.parametrize("depth", [0.0, 3.0])
def test_the_tangent_of_limited_rates(kind: str, depth: float) -> None:
    """Rates are linear between the places where another neighbour limits: differences are the derivative, to
    rounding over the step, and it does not depend on the length of the direction."""
    streaming = bodies()[kind]
    scattering = np.full((1, 2), depth) if depth else None
    rng = np.random.default_rng(5)
    shape = (streaming.layout.n_cells, streaming.directions.count, 2)
    f, x = rng.uniform(size=shape), rng.uniform(-1.0, 1.0, shape)
    step = 1e-7
    ahead, behind = (streaming.rates(f + sign * step * x, scattering) for sign in (1.0, -1.0))
    tangent = streaming.tangent(f)
    found, lost = tangent.rates(x, scattering)
    size = np.abs(found).max()
    expected = (ahead[0] - behind[0]) / (2.0 * step)
    # a few of some thousand gradients change their limit within the step
    wrong = np.abs(found - expected) > 1e-7 * size
    assert wrong.mean() < 1e-3
    assert lost == pytest.approx((ahead[1] - behind[1]) / (2.0 * step), rel=1e-6)
    assert tangent.rates(-3.0 * x, scattering)[0] == pytest.approx(-3.0 * found, abs=1e-13 * size)
    # limits bind here: without them the derivative is another one
    assert np.abs(streaming.homogeneous("linear").rates(x, scattering)[0] - found).max() > 1e-2 * size
