"""Streaming in spheres and cylinders: uniform fields, balances, positivity, sweeps, steps of the gap."""

from __future__ import annotations

import numpy as np
import pytest
from shells import mean_radii, radial_streaming, shell_mesh
from streaming_problems import (
    SCHEMES,
    SPEEDS,
    WALLS,
    assert_positive,
    assert_uniform_and_balanced,
    sphere_or_cylinder,
)

from fvqp.errors import CaseError
from fvqp.transport.directions import cylindrical, lebedev, spherical
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import Wall

BALL = shell_mesh([0.0, 1.0], "spherical")
RADII = {"full": [0.0, 0.11, 0.3, 0.42, 0.8, 1.0], "hollow": [0.4, 0.5, 1.0, 1.7]}


def body(geometry: str, radii: str, wall: Wall, scheme: Scheme, gap: bool = False) -> Streaming:
    shells = shell_mesh(RADII[radii], geometry)
    states = np.random.default_rng(3).uniform(0.2, 1.0, (len(shells.volume), 4)) if gap else None
    inner = wall if radii == "hollow" else None
    return radial_streaming(
        shells, sphere_or_cylinder(geometry, 6), SPEEDS, wall, inner, states=states, scheme=scheme
    )


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("radii", RADII)
@pytest.mark.parametrize("geometry", ["spherical", "cylindrical"])
def test_uniform_and_balanced(geometry: str, radii: str, scheme: Scheme) -> None:
    """A uniform isotropic occupation stays; what any other one loses, the walls take in."""
    rng = np.random.default_rng(1)
    for wall in WALLS.values():
        for gap in (False, True):
            streaming = body(geometry, radii, wall, scheme, gap)
            assert_uniform_and_balanced(streaming, rng)


@pytest.mark.parametrize("scheme", ["upwind", "limited"])
@pytest.mark.parametrize("geometry", ["spherical", "cylindrical"])
def test_positive(geometry: str, scheme: Scheme) -> None:
    """Steps of the length that is stated keep 0 ≤ f ≤ 1."""
    streaming = body(geometry, "full", Wall(0.5, 0.5, 1.0), scheme)
    assert_positive(streaming)


@pytest.mark.parametrize("radii", RADII)
@pytest.mark.parametrize("geometry", ["spherical", "cylindrical"])
def test_sweep_inverts(geometry: str, radii: str) -> None:
    """One sweep solves the implicit upwind step in a vacuum."""
    streaming = body(geometry, radii, Wall(), "upwind")
    removal = np.array([[0.3, 2.0, 0.01, 1.0]])
    q = np.random.default_rng(2).uniform(size=(streaming.layout.n_owned, streaming.directions.count, 4))
    x = streaming.sweep(q, removal)
    assert streaming.circles == 0
    assert removal[:, None, :] * x - streaming.rates(x)[0] == pytest.approx(q, abs=1e-13)


def test_shells() -> None:
    """Volumes, areas and mean radii against their integrals."""
    r = np.array([0.0, 0.5, 0.7])
    ball, tube = shell_mesh(r, "spherical"), shell_mesh(r, "cylindrical")
    assert ball.volume == pytest.approx(4 / 3 * np.pi * np.diff(r**3), rel=1e-14)
    assert tube.volume == pytest.approx(np.pi * np.diff(r**2), rel=1e-14)
    assert ball.face_area.max() == pytest.approx(4 * np.pi * 0.49)
    for body, directions in ((ball, spherical(2)), (tube, cylindrical(2, 2))):
        offset = radial_streaming(body, directions, [1.0], Wall()).layout.offset[:, :, 0]
        for cell, mean in enumerate(mean_radii(body)):
            of_cell = body.face_cells == cell
            radius = np.broadcast_to(body.face_centroid[:, :1], of_cell.shape)[of_cell]
            assert radius - offset[of_cell] == pytest.approx(mean, rel=1e-14)


def test_linear_occupations_stream_exactly() -> None:
    """The occupation ``x·Ω = r μ`` falls at the rate 1 wherever it is, walls apart."""
    shells = shell_mesh(np.linspace(0.0, 2.0, 9), "spherical")
    streaming = radial_streaming(shells, spherical(6), [1.0], Wall(), scheme="linear")
    f = np.multiply.outer(mean_radii(shells), streaming.directions.vectors[:, 0])[:, :, None]
    rates, _ = streaming.rates(f)
    assert streaming.directions.mean(rates)[:-1] == pytest.approx(-1.0, abs=1e-12)


def test_turned_back_by_the_gap() -> None:
    """Particles below the gap of the outer shells stay inside; the rest passes as if there were no gap."""
    shells = shell_mesh(np.linspace(0.0, 1.0, 6), "spherical")
    energy, gap = np.array([0.8, 1.5]), np.array([0.2, 0.2, 0.2, 1.0, 1.0])
    root = np.sqrt(np.maximum(1.0 - (gap[:, None] / energy) ** 2, 0.0))
    states = np.divide(1.0, root, out=np.zeros_like(root), where=root > 0)
    streaming = radial_streaming(shells, spherical(4), root, Wall(), states=states, scheme="upwind")
    f = np.random.default_rng(4).uniform(size=(5, 4, 2))
    rates, lost = streaming.rates(f)
    assert lost[0, 0] == 0.0
    assert np.all(rates[3:, :, 0] == 0.0)
    assert streaming.content(rates)[0] == pytest.approx(0.0, abs=1e-13)
    flat = radial_streaming(shells, spherical(4), [1.0], Wall(), scheme="upwind")
    expected, _ = flat.rates(np.ascontiguousarray(f[:, :, 1:]))
    assert states[:, None, 1] * rates[:, :, 1] == pytest.approx(expected[:, :, 0], rel=1e-12, abs=1e-13)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: body("spherical", "full", Wall([0.1, 0.2]), "upwind"), "2 values for 4 energies"),
        (lambda: body("spherical", "full", Wall(1.5), "upwind"), "between 0 and 1"),
        (lambda: body("spherical", "full", Wall(0.5, 2.0), "upwind"), "specularity must be between 0 and 1"),
        (lambda: body("spherical", "full", Wall(bath=[1.0, 2.0]), "upwind"), r"bath has shape \(2,\)"),
        (lambda: body("spherical", "full", Wall(bath=np.nan), "upwind"), "must be finite"),
        (lambda: body("spherical", "full", Wall(), "central"), "no scheme 'central'"),  # type: ignore[arg-type]
        (
            lambda: radial_streaming(shell_mesh([0.1, 1.0], "spherical"), spherical(4), SPEEDS, Wall()),
            "1 outer faces have no wall",
        ),
        (lambda: radial_streaming(BALL, cylindrical(4, 4), SPEEDS, Wall()), "shells need spherical or cyl"),
        (lambda: radial_streaming(BALL, lebedev(3), SPEEDS, Wall()), "shells need spherical or cylindrical"),
        (lambda: radial_streaming(BALL, spherical(4), -SPEEDS, Wall()), "finite and not negative"),
        (lambda: radial_streaming(BALL, spherical(4), np.ones((3, 4)), Wall()), "with 1 cells, found shape"),
        (
            lambda: radial_streaming(BALL, spherical(4), SPEEDS, Wall(), states=[1.0, 2.0]),
            "4 speeds but 2 states",
        ),
        (
            lambda: body("spherical", "full", Wall(), "upwind").rates(np.zeros((5, 6, 3))),
            r"of shape \(5, 6, 4\), found \(5, 6, 3\)",
        ),
    ],
)
def test_messages(make: object, message: str) -> None:
    with pytest.raises(CaseError, match=message):
        make()  # type: ignore[operator]
