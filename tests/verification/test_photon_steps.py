"""Density and absorbed power of a film under photons below the gap, against a solution without energy bins.

`solved` knows neither the operators nor the grids of the program: Gauss nodes in v, E = Δ + ω0 (k + v⁶),
reach down to where phonons of the bath end the f ∝ (E − Δ)^(-1/2) of cold ladders; phonons below 2Δ are
those of the bath; and for the balance of pairs the share of phonons above 2Δ that break one before they
escape is exact.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import constants
from scipy.special import ellipe, ellipk, kv

import fvqp

CASE = Path(__file__).parents[2] / "cases" / "fischer2023" / "microwave_drive.toml"
GAP, TC, TAU0, BREAKING, ESCAPE = 180e-6, 1.18412, 438e-9, 0.255e-9, 0.255e-9
KELVIN = constants.k / constants.e


class Film(NamedTuple):
    """x_qp, and absorbed power in 4 N0 Δ0²/τ0."""

    x_qp: float
    power: float


def solved(photons: float, temperature: float, step: float, *, top: float = 5.0, nodes: int = 20) -> Film:
    """Steady state with τ0 c_phot n̄ = 438e-9 n̄; ``temperature`` in kelvin, ``step`` ω0 in Δ0."""
    kappa, t = GAP / (KELVIN * TC), KELVIN * temperature / GAP
    u, w = np.polynomial.legendre.leggauss(nodes)
    v, w = 0.5 * (u + 1.0), 0.5 * w
    levels = round((top - 1.0) / step)
    x = (np.arange(levels)[:, None] + v**6) * step
    e = 1.0 + x
    rho, de = e / np.sqrt(x * (x + 2.0)), 6.0 * v**5 * w * step
    states, x, e = (rho * de).ravel(), x.ravel(), e.ravel()

    # phonons between nodes: events of one quasiparticle at b that arrives at a
    omega = x[None, :] - x[:, None]
    coherent = (x[:, None] + x + x[:, None] * x) / np.outer(e, e)
    strength = kappa**3 * omega**2 * coherent * np.outer(states, states)
    with np.errstate(divide="ignore", over="ignore"):
        bath = np.where(omega != 0.0, 1.0 / np.expm1(np.abs(omega) / t), 0.0)
    moves = strength * (bath + (omega > 0.0))
    low = np.arange(e.size - nodes)
    hops = (
        photons * TAU0 * rho[:-1] * rho[1:] * de * (1.0 + 1.0 / (e[low] * e[low + nodes])).reshape(-1, nodes)
    )
    moves[low + nodes, low] += hops.ravel()
    moves[low, low + nodes] += (1.0 + 1.0 / photons) * hops.ravel()
    balance = moves - np.diag(moves.sum(axis=0))
    balance[0] = states
    scale = np.abs(balance).max(axis=1)
    f = np.linalg.solve(balance / scale[:, None], np.eye(e.size)[0] / scale)

    def breaks(energy):
        """Share of phonons that break a pair before they escape (Kaplan et al., 1976)."""
        m = ((energy - 2.0) / (energy + 2.0)) ** 2
        rate = ((energy + 2.0) * ellipe(m) - 4.0 * energy / (energy + 2.0) * ellipk(m)) / np.pi / BREAKING
        return rate / (rate + 1.0 / ESCAPE)

    share = np.where(omega > 2.0 - 1e-9, breaks(np.maximum(omega, 2.0)), 0.0)
    share[np.abs(omega - 2.0) < 1e-9] *= 0.5
    made = 2.0 * np.sum(strength * share * f)
    pairs = 2.0 + x[:, None] + x
    joined = (
        kappa**3 * pairs**2 * (1.0 + 1.0 / np.outer(e, e)) * np.outer(states, states) * (1.0 - breaks(pairs))
    )
    lost, thermal = np.sum(joined * np.outer(f, f)), np.sum(joined * np.exp(-pairs / t))
    number = (made + np.sqrt(made**2 + 4.0 * lost * thermal)) / (2.0 * lost)
    f = f.reshape(-1, nodes) * number
    power = step * np.sum(hops * (f[:-1] - (1.0 + 1.0 / photons) * f[1:]))
    return Film(2.0 * number, power)


def film(step: float, photons: list[float], **energies: str) -> Any:
    """Steady states of the film at 0.1 K."""
    return fvqp.run(
        {
            "model": "boltzmann",
            "material": {
                "name": "Al",
                "gap": f"{GAP} eV",
                "critical_temperature": f"{TC} K",
                "characteristic_time": f"{TAU0} s",
                "pair_breaking_time": f"{BREAKING} s",
            },
            "energies": {"maximum": "5 Delta0"} | energies,
            "gap": {"model": "fixed"},
            "phonons": {"escape": {"time": f"{ESCAPE} s"}},
            "microwaves": [{"photon_energy": f"{step} Delta0", "coupling": "1 Hz", "photons": 1.0}],
            "steady_state": {},
            "sweep": {"temperature": "0.1 K", "strength": photons},
            "figures": [{"kind": "x_qp", "compare": "analytic"}],
        }
    ).dataset.isel(temperature=0)


def powers(data: Any) -> Any:
    """Absorbed power in 4 N0 Δ0²/τ0."""
    return data["power_injected"].values / (data.attrs["density_unit_m-3"] * GAP * constants.e / TAU0)


def test_the_solution_without_bins_is_thermal_without_photons_and_converged():
    thermal = solved(1e-6, 0.1, 0.25, top=3.0)
    # x_qp = 2 ∫exp(−E/k_BT) dξ = 2 K1(Δ/k_BT)
    assert thermal.x_qp == pytest.approx(2.0 * kv(1, GAP / (KELVIN * 0.1)), rel=1e-4)
    coarse, fine = (solved(2e6, 0.1, 0.25, nodes=nodes) for nodes in (16, 24))
    assert coarse.x_qp == pytest.approx(fine.x_qp, rel=2e-3)


@pytest.mark.slow
def test_density_and_power_of_a_driven_film():
    """Where the drive makes the quasiparticles; on uniform bins of the same width there are twice as many."""
    data = film(0.5, [5e5], width="0.025 Delta0", maximum="4 Delta0")
    expected = solved(5e5, 0.1, 0.5)
    assert data["x_qp"].item() == pytest.approx(expected.x_qp, rel=0.02)
    assert powers(data).item() == pytest.approx(expected.power, rel=0.01)
    # closed forms leave out k_BT/Δ and a part of T_*²
    assert data["x_qp_analytic"].item() == pytest.approx(expected.x_qp, rel=0.05)


def test_closed_forms_know_no_bins():
    widths = "0.05 Delta0", "0.125 Delta0"
    one, other = (film(0.25, [2e6], width=width, spacing="uniform") for width in widths)
    assert one["x_qp_analytic"].item() == pytest.approx(other["x_qp_analytic"].item(), rel=1e-9)


def test_bins_at_the_gap_that_hold_too_many_are_told(caplog):
    with caplog.at_level(logging.WARNING):
        film(0.5, [5e5], width="0.125 Delta0", maximum="4 Delta0")
        assert "in the bins at the gap" not in caplog.text
        film(0.5, [5e5], width="0.125 Delta0", maximum="4 Delta0", spacing="uniform")
    assert "strength 500000: 0.56 of the quasiparticles are in the bins at the gap" in caplog.text
    assert 'energies.spacing = "steps" resolves them' in caplog.text


def test_graded_bins_resolve_the_first_foot():
    """Of a weak drive; without bins there the power is half too large. At 4 Δ0 there are next to no
    quasiparticles, which must not keep the steady state from being found."""
    data = film(0.115, [3e3], width="1e-4 Delta0", growth=0.2, spacing="graded", maximum="4 Delta0")
    expected = solved(3e3, 0.1, 0.115)
    assert data["x_qp"].item() == pytest.approx(expected.x_qp, rel=2e-3)
    assert powers(data).item() == pytest.approx(expected.power, rel=0.06)


@pytest.mark.slow
@pytest.mark.parametrize(("step", "photons"), [(0.25, 2e5), (0.25, 2e6), (0.5, 5e5)])
def test_density_converges_with_the_width(step, photons):
    """Thermal phonons, and then the drive, make the quasiparticles."""
    expected = solved(photons, 0.1, step, nodes=26)
    errors = []
    for width in (0.025, 0.0125):
        data = film(step, [photons], width=f"{width} Delta0", maximum="4.5 Delta0")
        errors.append(abs(data["x_qp"].item() / expected.x_qp - 1.0))
        assert powers(data).item() == pytest.approx(expected.power, rel=0.015)
    assert errors[0] < 0.025 and errors[1] < min(0.01, 0.7 * errors[0])


@pytest.mark.slow
@pytest.mark.parametrize("width", ["0.0222222222 Delta0", "0.0111111111 Delta0"])
def test_the_published_drive(width):
    """Measured: 1.2 % and 0.8 % at 1e7 photons, 1.0 % and 0.7 % at 1e6."""
    photons = [1e6, 1e7]
    data = fvqp.run(
        CASE,
        overrides=[f'energies.width="{width}"', 'sweep.temperature="0.1 K"', f"sweep.strength={photons}"],
    ).dataset.isel(temperature=0)
    expected = [solved(n, 0.1, 1.0 / 9.0) for n in photons]
    np.testing.assert_allclose(data["x_qp"], [one.x_qp for one in expected], rtol=0.02)
    np.testing.assert_allclose(data["x_qp_analytic"], [one.x_qp for one in expected], rtol=0.04)
