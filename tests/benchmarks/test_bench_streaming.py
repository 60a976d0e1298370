"""Timings of streaming in a sphere of 200 shells, 16 directions and 300 energies, against a copy of them.

Processor times of one thread, the least of several.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from shells import radial_streaming, shell_mesh
from streaming_problems import SCHEMES, UP
from timing import best

from fvqp.mesh import shape_mesh
from fvqp.transport.directions import product, spherical
from fvqp.transport.ordinates import mesh_streaming
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import Wall

pytestmark = pytest.mark.benchmark


def sphere(shells: int, directions: int, energies: int, scheme: Scheme) -> Streaming:
    speed = np.sqrt(1.0 - 1.0 / np.linspace(1.001, 4.0, energies) ** 2)
    body = shell_mesh(np.linspace(0.0, 1.0, shells + 1), "spherical")
    return radial_streaming(body, spherical(directions), speed, Wall(0.5, 0.5), scheme=scheme)


def film(scheme: Scheme) -> Streaming:
    mesh = shape_mesh("grid2d", nx=40, Lx=1.0, ny=40, Ly=1.0)
    return mesh_streaming(mesh, product(4, 8).folded(UP), np.ones(50), {}, elsewhere=Wall(0.5), scheme=scheme)


def seconds(streaming: Streaming, scattering: bool = False) -> tuple[float, float]:
    """Of an occupation, by `Streaming.rates` and `Streaming.sweep`."""
    shape = (streaming.layout.n_cells, streaming.directions.count, streaming.n_energies)
    f = np.random.default_rng(1).uniform(size=shape)
    out = np.empty_like(f)
    rate = np.full((1, shape[2]), 3.0)
    moved = best(lambda: streaming.rates(f, rate if scattering else None, out))
    swept = best(lambda: streaming.sweep(f, rate))
    return moved / f.size, swept / f.size


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("body", ["sphere", "film"])
def test_rates(body: str, scheme: Scheme, report: Callable[[str, str], None]) -> None:
    streaming = sphere(200, 16, 300, scheme) if body == "sphere" else film(scheme)
    a, b = np.ones(2**22), np.empty(2**22)
    copy = best(lambda: np.copyto(b, a)) / a.size
    free, swept = seconds(streaming)
    blended, _ = seconds(streaming, scattering=True)
    report(
        f"streaming, {body}, {scheme}",
        f"{free * 1e9:.1f} ns an unknown ({free / copy:.0f} x a copy), {blended * 1e9:.1f} with scattering, "
        f"sweep {swept * 1e9:.1f}",
    )


@pytest.mark.parametrize(
    "factors", [(2, 1, 1), (1, 2, 1), (1, 1, 2)], ids=["shells", "directions", "energies"]
)
def test_linear_cost(factors: tuple[int, int, int], report: Callable[[str, str], None]) -> None:
    """Twice as many shells, directions or energies cost twice as much, but for what caches hold."""
    small, _ = seconds(sphere(100, 16, 200, "limited"))
    large, _ = seconds(sphere(100 * factors[0], 16 * factors[1], 200 * factors[2], "limited"))
    report(f"streaming, twice as many {factors}", f"{2 * large / small:.2f} x the time")
    assert large / small < 1.6
