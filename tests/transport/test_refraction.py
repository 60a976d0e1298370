"""Waves at an interface: Snell's law and mismatch on sets of directions, equilibrium, balance, messages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.integrate import quad
from streaming_problems import SELF, UP

from fvqp.errors import CaseError
from fvqp.mesh import Mesh, build_mesh, shape_mesh
from fvqp.models.boltzmann.streaming import StreamingSolver
from fvqp.transport.directions import Directions, gauss_legendre, lebedev, product
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.refraction import Plane, acoustic_transmission
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import MIRROR, AcousticInterface, Wall

X = np.array([1.0, 0.0, 0.0])
SETS: dict[str, tuple[Directions, np.ndarray]] = {
    "line": (gauss_legendre(8), X),
    "film": (product(4, 8).folded(UP), X),
    "about the normal": (product(4, 8), np.array(UP)),
    "product": (product(6, 12), X),
    "cubic": (lebedev(11), -X),
    "diagonal": (lebedev(15), np.array([1.0, 1.0, 0.0]) / np.sqrt(2.0)),
}
#: States × speed, and impedance, of the far side over those of the near one.
MEDIA = [(0.3, 2.0), (2.5, 0.7), (4.0, 0.05)]


def little(ratio: float, impedance: float) -> float:
    """``2 ∫ t(μ) μ dμ``: W. A. Little, Can. J. Phys. 37, 334 (1959); E. T. Swartz and R. O. Pohl, Rev. Mod.
    Phys. 61, 605 (1989)."""

    def integrand(mu: float) -> float:
        beyond = np.sqrt(1.0 - (1.0 - mu**2) / ratio)
        z, c, d = impedance, mu, beyond
        return float(4.0 * z * c * d / (d + z * c) ** 2 * 2.0 * mu)

    critical = np.sqrt(max(1.0 - ratio, 0.0))
    return float(quad(integrand, critical, 1.0, epsabs=1e-11, limit=200)[0])


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize(("ratio", "impedance"), MEDIA)
def test_isotropic_waves_pass_as_little_says(name: str, ratio: float, impedance: float) -> None:
    """On every set, whatever its number of directions; and no direction passes more than it has."""
    plane = Plane(*SETS[name])
    passage = plane.passage(ratio, impedance)
    assert passage.mean == pytest.approx(little(ratio, impedance), abs=1e-9)
    # The same waves seen from the other side.
    assert passage.mean / ratio == pytest.approx(little(1.0 / ratio, 1.0 / impedance), abs=1e-9)
    assert passage.shares.min() >= 0.0
    assert np.all(passage.shares.sum(axis=1) < plane.area)
    assert np.all(passage.shares.sum(axis=0) < ratio * plane.area)


@pytest.mark.parametrize("name", SETS)
def test_equal_media_are_one(name: str) -> None:
    """Every direction goes on as it is, and with other impedances the rest comes straight back."""
    plane = Plane(*SETS[name])
    assert plane.passage(1.0, 1.0).shares == pytest.approx(np.diag(plane.area), abs=1e-13)
    shares = plane.passage(1.0, 3.0).shares
    assert np.count_nonzero(shares - np.diag(np.diag(shares))) == 0
    # 4 z/(1 + z)², whatever the angle.
    assert np.diag(shares) / plane.area == pytest.approx(np.full(len(plane.area), 0.75))


@pytest.mark.parametrize("name", ["film", "product", "cubic", "diagonal"])
def test_left_is_as_good_as_right(name: str) -> None:
    """Mirror images of waves pass into mirror images."""
    directions, normal = SETS[name]
    plane = Plane(directions, normal)
    shares = np.zeros((directions.count, directions.count))
    shares[np.ix_(plane.onward, plane.onward)] = plane.passage(2.5, 0.7).shares
    for axis in (np.cross(UP, normal), np.array(UP)):
        image = directions.mirror(axis / np.linalg.norm(axis))
        assert shares[np.ix_(image, image)] == pytest.approx(shares, abs=1e-15)


def off_snell(count: int, ratio: float) -> float:
    """Deviation of the mean sine behind the interface from that of Snell's law, root of mean square of what
    passes."""
    directions = product(count, 2 * count)
    plane = Plane(directions, X)
    shares = plane.passage(ratio, 1.0).shares
    passing = shares.sum(axis=1)
    here = passing > 1e-2 * plane.area
    along = directions.vectors[plane.onward][:, 1:]
    found = np.sqrt(ratio) * (shares @ along)[here] / passing[here, None]
    return float(np.sqrt(np.average(((found - along[here]) ** 2).sum(axis=1), weights=passing[here])))


@pytest.mark.parametrize("ratio", [0.3, pytest.param(2.5, marks=pytest.mark.slow)])
def test_directions_follow_snell(ratio: float) -> None:
    """Within the distance of directions, and the better the finer they are."""
    errors = [off_snell(count, ratio) for count in (8, 16, 32)]
    apart = [np.sqrt(2.0 * np.pi / (2 * count**2)) * max(1.0, np.sqrt(ratio)) for count in (8, 16, 32)]
    assert errors[2] < 0.6 * errors[1] < 0.4 * errors[0]
    assert np.all(np.array(errors) < 0.7 * np.array(apart))


def test_total_reflection() -> None:
    """Beyond the critical angle, but for directions whose patch reaches across it, nothing passes."""
    plane = Plane(product(16, 32), X)
    sine = np.sqrt(1.0 - plane.cosine**2)
    passed = plane.passage(0.3, 1.0).shares.sum(axis=1) / plane.area
    assert np.all(passed[sine > np.sqrt(0.3) + 0.2] == 0.0)
    assert np.all(passed[sine < np.sqrt(0.3) - 0.2] > 0.8)


def test_transmission_is_that_of_impedances() -> None:
    """At right angles 4 Z Z′/(Z + Z′)², all of it where the reflected ray would be at right angles."""
    one = np.ones(1)
    assert acoustic_transmission(3.0, one, one) == pytest.approx(12.0 / 16.0)
    angle = np.linspace(0.1, 1.4, 5)
    assert acoustic_transmission(np.cos(0.3) / np.cos(angle), np.cos(angle), np.cos(0.3)) == pytest.approx(
        np.ones(5)
    )


# -- on meshes


def halves(kind: str) -> tuple[Mesh, Directions]:
    if kind == "line":
        mesh = shape_mesh("grid1d", nx=6, Lx=1.0, regions={"west": (0, 0.5), "east": (0.5, 1)}, comm=SELF)
        return mesh, gauss_legendre(8)
    more = {"ny": 3, "Ly": 1.0} | ({"nz": 2, "Lz": 1.0} if kind == "solid" else {})
    rest = (None,) * (2 if kind == "solid" else 1)
    mesh = shape_mesh(
        "grid3d" if kind == "solid" else "grid2d",
        nx=6,
        Lx=1.0,
        **more,
        regions={"west": ((0, 0.5), *rest), "east": ((0.5, 1), *rest)},
        comm=SELF,
    )
    return mesh, lebedev(11) if kind == "solid" else lebedev(9).folded(UP)


def slabs(mesh: Mesh, directions: Directions, walls: Callable[[str], Wall], scheme: Scheme) -> Streaming:
    """Sound of four kinds: faster, slower, the same, and none on one side."""
    west = np.zeros(mesh.n_cells, bool)
    west[mesh.regions["west"]] = True
    speed = np.where(west[:, None], 1.0, np.array([[2.0, 0.6, 1.0, 0.0]]))
    states = np.where(west[:, None], 1.0, np.array([[2.0**-3, 0.6**-3, 1.0, 1.0]]))
    return mesh_streaming(
        mesh,
        directions,
        speed,
        {name: walls(name) for name in mesh.boundaries},
        states=states,
        interfaces=[AcousticInterface(("west", "east"), (1.0, 3.0))],
        scheme=scheme,
    )


@pytest.mark.parametrize("scheme", ["upwind", "limited"])
@pytest.mark.parametrize("kind", ["line", "film", "solid"])
def test_equilibrium_and_balance(kind: str, scheme: Scheme) -> None:
    """A uniform occupation stays across the interface; what one side loses the other gains; 0 ≤ f ≤ 1."""
    mesh, directions = halves(kind)
    streaming = slabs(mesh, directions, lambda _: MIRROR, scheme)
    rng = np.random.default_rng(3)
    for scattering in (None, np.array([[0.0, 1.0, 300.0, 5.0]])):
        f = np.full((mesh.n_cells, directions.count, 4), 0.7)
        assert np.abs(streaming.rates(f, scattering)[0]).max() * streaming.largest_step() < 1e-14
        f = rng.uniform(size=f.shape)
        rates, _ = streaming.rates(f, scattering)
        assert np.abs(streaming.content(rates)).max() < 1e-14 * streaming.content(np.abs(rates)).max()
    for _ in range(10):
        f = f + streaming.largest_step() * streaming.rates(f)[0]
        assert f.min() > 0.0
        assert f.max() < 1.0


def test_conductance_of_two_opaque_slabs() -> None:
    """Resistances in series: ``3τ`` of the slabs, and ``(1 − (t₁ + t₂)/2)/(q t)`` of the interface, where t₁
    and t₂ are transmissions of occupations ∝ cosine."""
    mesh, directions = halves("line")[0], gauss_legendre(16)
    streaming = slabs(
        mesh, directions, lambda name: Wall(bath=1.0) if name == "left" else Wall(), "linear"
    ).at(*(np.where(np.arange(6)[:, None] < 3, a, b) for a, b in ((1.0, 2.0), (1.0, 0.125))))
    scattering = np.where(np.arange(6)[:, None] < 3, 240.0, 480.0)
    f = StreamingSolver(streaming).solve(np.zeros((6, 16, 1)), np.zeros((1, 1)), scattering)
    _, lost = streaming.rates(f, scattering)

    def mean(power: int, near: float, impedance: float) -> float:
        def integrand(c: float) -> float:
            beyond = np.sqrt(1.0 - (1.0 - c**2) / near)
            return float((power + 1) * c**power * acoustic_transmission(impedance, np.array(c), beyond))

        return float(quad(integrand, np.sqrt(max(1.0 - near, 0.0)), 1.0)[0])

    passing = mean(1, 0.25, 6.0)
    q = directions.half_range(X) / 4.0
    interface = (1.0 - 0.5 * (mean(2, 0.25, 6.0) + mean(2, 4.0, 1.0 / 6.0))) / (q * passing)
    slab = [3.0 * 0.5 * 240.0, 3.0 * 0.5 * 480.0 / 2.0 / 0.25]
    walls = 0.5 / q * (1.0 + 1.0 / 0.25)
    found = 1.0 / lost[list(streaming.walls).index("right"), 0] - sum(slab) - walls
    # 1.7 % of it all; moments of sixteen directions.
    assert found == pytest.approx(interface, rel=2e-3)


def test_transparent_slabs_conduct_as_little_says() -> None:
    """Black walls around two transparent slabs: Little's mean of what isotropic waves bring."""
    mesh, directions = halves("film")
    streaming = slabs(
        mesh,
        directions,
        lambda name: MIRROR if name in ("bottom", "top") else Wall(bath=float(name == "left")),
        "upwind",
    )
    f = StreamingSolver(streaming).solve(
        np.zeros((mesh.n_owned, directions.count, 4)), np.full((1, 4), 1e-30), np.zeros((1, 4))
    )
    _, lost = streaming.rates(f)
    arriving = directions.half_range(X) / 4.0
    expected = [little(0.25, 6.0), little(0.6**-2, 1.8), 0.75, 0.0]
    assert lost[list(streaming.walls).index("right")] / arriving == pytest.approx(expected, abs=1e-8)


def test_messages() -> None:
    with pytest.raises(CaseError, match=r"densities of mass must be positive, found -1 and 2"):
        AcousticInterface(("a", "b"), (-1.0, 2.0))
    points = np.array([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1.3, 1, 0], [2, 1, 0]])
    quads = np.array([[0, 1, 4, 3], [1, 2, 5, 4]])
    mesh = build_mesh(points, [("quad", quads)], {"a": np.array([0]), "b": np.array([1])}, comm=SELF)
    with pytest.raises(CaseError, match=r"interface of a and b of mesh: directions .* align the wall"):
        mesh_streaming(
            mesh,
            product(4, 8).folded(UP),
            [1.0],
            {},
            elsewhere=Wall(),
            interfaces=[AcousticInterface(("a", "b"), (1.0, 2.0))],
        )
