"""Mesh on several ranks are shells on one: rates, sweeps through all ranks, implicit solutions."""

from __future__ import annotations

import numpy as np
import pytest
from mpi4py import MPI
from shells import radial_streaming, shell_mesh

from fvqp.mesh import Mesh
from fvqp.models.boltzmann.streaming import StreamingSolver
from fvqp.transport.directions import cylindrical, spherical
from fvqp.transport.streaming import Scheme, Streaming
from fvqp.transport.walls import Wall

WORLD, SELF = MPI.COMM_WORLD, MPI.COMM_SELF
pytestmark = [pytest.mark.mpi, pytest.mark.ranks(2)]

#: Enough energies for sweeps in several blocks.
ENERGIES = 40
SCATTERING = np.geomspace(1e-3, 300.0, ENERGIES)[None]


def shells(geometry: str, comm: MPI.Comm) -> Mesh:
    start = 0.0 if geometry == "spherical" else 0.3
    return shell_mesh(start + np.cumsum([0.0, *np.linspace(0.05, 0.15, 13)]), geometry, comm)


def streaming(body: Mesh, scheme: Scheme, gap: bool) -> tuple[Streaming, np.ndarray]:
    """The operator, and an occupation of all cells."""
    directions = spherical(6) if body.coordinates == "spherical" else cylindrical(4, 8)
    cell = body.global_id
    states = 1.0 + 0.3 * np.sin(5.0 * cell[:, None] + np.arange(ENERGIES)) if gap else None
    made = radial_streaming(
        body,
        directions,
        np.linspace(0.2, 2.0, ENERGIES),
        Wall(0.3, 0.5, 0.2),
        Wall(0.5) if "inner" in body.boundaries else None,
        states=states,
        medium=cell > 8,
        scheme=scheme,
    )
    phase = 0.3 * cell[:, None, None] + 0.7 * np.arange(directions.count)[:, None] + np.arange(ENERGIES)
    return made, 0.5 + 0.4 * np.sin(phase)


@pytest.mark.parametrize(
    ("geometry", "scheme"),
    [
        ("spherical", "limited"),
        ("cylindrical", "upwind"),
        pytest.param("spherical", "upwind", marks=pytest.mark.slow),
        pytest.param("cylindrical", "limited", marks=pytest.mark.slow),
    ],
)
def test_operator(geometry: str, scheme: Scheme) -> None:
    """Rates with and without scattering, losses, and a sweep, which is exact on any number of ranks."""
    body = shells(geometry, WORLD)
    own = body.global_id[: body.n_owned]
    for gap in (False, True):
        (here, f), (there, whole) = (streaming(b, scheme, gap) for b in (body, shells(geometry, SELF)))
        for scattering in (None, SCATTERING):
            rates, lost = here.rates(f, scattering)
            expected, all_lost = there.rates(whole, scattering)
            assert rates == pytest.approx(expected[own], rel=1e-12, abs=1e-13)
            assert WORLD.allreduce(lost) == pytest.approx(all_lost, rel=1e-12, abs=1e-14)
        swept = here.sweep(f[: len(own)], SCATTERING)
        assert swept == pytest.approx(there.sweep(whole, SCATTERING)[own], rel=1e-14)
        assert here.largest_step() == pytest.approx(there.largest_step(), rel=1e-14)


def test_implicit() -> None:
    """The same iterations on any number of ranks, so the same answer at any tolerance."""
    found = []
    for comm in (WORLD, SELF):
        body = shells("spherical", comm)
        operator, f = streaming(body, "upwind", True)
        n = body.n_owned
        solution = StreamingSolver(operator).solve(
            f[:n], np.full((1, ENERGIES), 0.5), SCATTERING, f[:n], reduction=1e-2
        )
        found.append((solution, body.global_id))
    (here, cells), (whole, _) = found
    assert here == pytest.approx(whole[cells], rel=1e-11)
