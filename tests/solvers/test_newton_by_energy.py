"""Newton's method energy by energy, as one SNES of PETSc."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fvqp.mesh import shape_mesh
from fvqp.solvers.newton_by_energy import newton_by_energy
from fvqp.typing import Bools, Floats

MESH = shape_mesh("grid1d", nx=3, dx=1.0)


def roots(squares: NDArray[Any], steps: int = 20) -> tuple[NDArray[Any], Bools, list[int]]:
    """Return ``x² = squares`` from 1, which have been found, and numbers of energies in every step."""
    active = []

    def step(x: NDArray[Any], gains: NDArray[Any], going: Bools) -> tuple[NDArray[Any], Floats]:
        active.append(int(going.sum()))
        change = gains / (2.0 * x)
        return change, np.abs(change).max(axis=(0, 1))

    found, good = newton_by_energy(
        lambda x: squares - x**2,
        step,
        np.ones((3, 1, squares.size), squares.dtype),
        comm=MESH.comm,
        n_owned=MESH.n_owned,
        exchange=MESH.exchange,
        done=lambda largest, before: largest < 1e-9,
        max_steps=steps,
        prefix="fvqp_spectra_",
    )
    return found, good, active


@pytest.mark.parametrize("squares", [np.array([4.0, 9.0, 1e4]), np.array([2j, -3.0 + 4.0j, 5.0 + 12.0j])])
def test_every_energy_has_its_root(squares: NDArray[Any]) -> None:
    found, good, _ = roots(squares)
    assert good.all()
    np.testing.assert_allclose(found, np.broadcast_to(np.sqrt(squares), found.shape), rtol=1e-12)


def test_an_energy_without_a_root_leaves_the_others_alone() -> None:
    with np.errstate(divide="ignore", invalid="ignore"):
        found, good, active = roots(np.array([4.0, np.nan, 0.0, -1.0, 1.0]))
    assert list(good) == [True, False, False, False, True]
    np.testing.assert_allclose(found[..., [0, 4]], [[[2.0, 1.0]]] * 3, rtol=1e-12)
    assert active[0] == 4 and active[-1] < 4
