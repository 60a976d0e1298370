"""Concentration on a mesh: steady state, relaxation, weak diffusion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

from fvqp.errors import CaseError
from fvqp.mesh import shape_mesh
from fvqp.models.localized import AnnihilationLaw, LocalizedDensity, TailAnnihilation

LAW = AnnihilationLaw(TailAnnihilation(1.0, 1.0))


@pytest.mark.slow
def test_without_hops_every_cell_is_on_its_own() -> None:
    mesh = shape_mesh("grid1d", nx=5, dx=10.0)
    generation = np.array([0.0, 1e-12, 1e-6, 1e-2, 10.0])[mesh.global_id]
    model = LocalizedDensity(mesh, LAW, generation)
    assert np.array_equal(model.steady(), LAW.stationary(generation))
    times = [1.0, 1e3, 1e6]
    found = model.relax(np.full(5, 0.3), times)
    for k in range(5):
        exact = solve_ivp(
            lambda t, c, a=generation[k]: a - LAW.rate(np.maximum(c, 0.0)),
            (0.0, times[-1]),
            [0.3],
            method="Radau",
            t_eval=times,
            rtol=1e-9,
            atol=1e-15,
        )
        assert np.allclose(found[:, k], exact.y[0], rtol=3e-3)
    off = model.relax(model.steady(), [1e8], generation=0.0)
    assert np.all(off[0] <= model.steady()) and off[0, 4] < 0.01


def test_hops_carry_a_mode_of_known_wavelength() -> None:
    # A small ripple about a uniform steady state relaxes in space: D k² + 𝓡' against the drive.
    n, length, hop = 80, 40.0, 3.0
    mesh = shape_mesh("grid1d", nx=n, dx=length / n)
    k = np.pi / length
    wave = np.cos(k * mesh.centroid[:, 0])
    mean, ripple = 1e-3, 1e-6
    steady = LocalizedDensity(mesh, LAW, mean + ripple * wave, diffusivity=hop).steady()
    c = float(LAW.stationary(mean))
    expected = ripple / (float(LAW.derivative(c)) + hop * k**2)
    amplitude = 2.0 * np.mean((steady - c) * wave)
    assert amplitude == pytest.approx(expected, rel=2e-3)


@pytest.mark.slow
def test_hops_conserve_and_level_out() -> None:
    mesh = shape_mesh("grid2d", nx=8, dx=3.0, ny=4, dy=2.0)
    generation = np.where(mesh.centroid[:, 0] < 6.0, 1e-4, 0.0)
    still = LocalizedDensity(mesh, LAW, generation).steady()
    moving = LocalizedDensity(mesh, LAW, generation, diffusivity=1e-2)
    c = moving.steady()
    assert np.all(c > 0.0) and c.max() < still.max() and c.min() > still.min()
    assert mesh.total(mesh.volume * LAW.rate(c)) == pytest.approx(
        mesh.total(mesh.volume * generation), rel=1e-9
    )
    assert "upper bound" in moving.warnings[0]
    relaxed = moving.relax(np.zeros(mesh.n_cells), [1e7])
    assert np.allclose(relaxed[-1], c, rtol=1e-3)


def test_bad_input() -> None:
    mesh = shape_mesh("grid1d", nx=3, dx=1.0)
    with pytest.raises(CaseError, match="generation"):
        LocalizedDensity(mesh, LAW, -1.0)
    with pytest.raises(CaseError, match="diffusivity"):
        LocalizedDensity(mesh, LAW, 1.0, diffusivity=-1.0)
    with pytest.raises(CaseError, match="local cells"):
        LocalizedDensity(mesh, LAW, np.ones(2))
    with pytest.raises(CaseError, match="times"):
        LocalizedDensity(mesh, LAW, 1.0).relax(0.0, [2.0, 1.0])
