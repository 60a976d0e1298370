"""Normal metals on superconductors: minigap, conductance, and the gap next to a normal contact."""

from __future__ import annotations

import numpy as np
import pytest
from proximity_devices import UNIT, XI, angles, bulk_angle, line
from scipy.integrate import quad, solve_bvp
from scipy.optimize import brentq, minimize_scalar

from fvqp.energy import EnergyAxis
from fvqp.gap import critical_temperature
from fvqp.models.usadel.pairing_angle import UsadelEquation
from fvqp.models.usadel.problem import GapModel, UsadelProblem

BROADENING = 1e-6  # of the minigap


def exact_minigap(length: float) -> float:
    """Minigap in Δ0 of a normal wire on a bulk superconductor, closed at its end; ``length`` in ξ.

    Below it ``θ = π/2 + iψ`` with real ψ, ``ψ'' = −2ε cosh ψ``, whose first integral gives
    ``2 √ε L = ∫ dψ/√(sinh ψ_m − sinh ψ)`` from ``artanh ε`` at the superconductor to ψ_m at the end: there is
    a solution up to the largest such ε.
    """

    def energy(top: float) -> float:
        def mismatch(e: float) -> float:
            low = np.arctanh(e)
            # ψ = ψ_m − s² takes the root out of the integrand.
            inner = lambda s: 2.0 * s / np.sqrt(np.sinh(top) - np.sinh(top - s * s))  # noqa: E731
            return quad(inner, 1e-9, np.sqrt(top - low))[0] - 2.0 * np.sqrt(e) * length

        return float(brentq(mismatch, 1e-9, 0.999 * np.tanh(top)))

    return -float(minimize_scalar(lambda top: -energy(top), bounds=(0.5, 4.0), method="bounded").fun)


def minigap(length: float, n: int, closed: bool) -> float:
    """Where the density of states at the end of a wire, or in the middle of one between two, sets in."""
    wire = line(length, n, left=1.0, right=1.0, normal=(0.0, length), walls=closed)
    cell = -1 if closed else n // 2
    scale = 1.0 / length**2
    low, high = 0.3 * scale, 8.0 * scale
    for _ in range(7):
        energies = np.linspace(low, high, 17)
        dos = np.cos(angles(wire, energies + 1j * BROADENING * scale)[cell]).real
        k = int(np.argmax(dos > 0.01))
        low, high = energies[k - 1], energies[k]
    return 0.5 * (low + high)


def test_minigap_of_a_normal_wire() -> None:
    """0.78 ħD/L² where Δ is much larger (Golubov and Kupriyanov 1988; Belzig, Bruder and Schön 1996)."""
    assert abs(exact_minigap(100.0) * 100.0**2 / 0.78 - 1.0) < 0.01
    assert abs(minigap(10.0, 60, closed=True) / exact_minigap(10.0) - 1.0) < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("length", [3.0, 10.0, 32.0])
def test_minigap_scales_with_the_thouless_energy(length: float) -> None:
    """Over two decades of E_Th; the error falls with the square of the cells to what the search leaves."""
    exact = exact_minigap(length)
    errors = [abs(minigap(length, n, closed=True) / exact - 1.0) for n in (20, 40)]
    assert errors[1] < 2e-3
    assert 3.0 < errors[0] / errors[1] < 5.0


@pytest.mark.slow
def test_minigap_between_two_superconductors() -> None:
    """3.12 E_Th at equal phases: the wire of half the length, closed by symmetry."""
    length = 20.0
    found = minigap(length, 161, closed=False)
    assert abs(found * length**2 / 3.12 - 1.0) < 0.01
    assert abs(found / exact_minigap(length / 2.0) - 1.0) < 1e-3


@pytest.mark.slow
def test_conductance_of_a_normal_wire_between_normal_and_superconducting_reservoirs() -> None:
    """It is that of the normal state at zero energy, and some 15 % larger near 5 E_Th (reentrance).

    Nazarov and Stoof, Phys. Rev. Lett. 76, 823 (1996). ``G/G_N`` is the inverse mean of 1/𝒟_T along the wire.
    """
    length, n = 30.0, 300
    wire = line(length, n, left=1.0, right=0.0, normal=(0.0, length))
    terminals = np.array([[1.0, 0.0], [0.0, 0.0]])
    energies = np.array([1e-3, *np.linspace(3.0, 8.0, 11), 100.0]) / length**2
    x = UsadelEquation(wire, wire.transport()).solve(energies + 1e-9j, np.zeros(n), np.zeros(n), terminals)
    theta = x[:, 0] + 1j * x[:, 1]
    diffusion = np.cos(theta).real ** 2 + np.sin(theta).real ** 2
    conductance = 1.0 / np.mean(1.0 / diffusion, axis=0)
    assert abs(conductance[0] - 1.0) < 1e-3
    assert abs(conductance[1:-1].max() - 1.15) < 0.01
    assert 4.0 < energies[1:-1][conductance[1:-1].argmax()] * length**2 < 6.5
    assert conductance[-1] < 1.06


def test_reentrance_in_the_kinetics() -> None:
    """The same from the kinetic equations: a unit of f_T in the normal reservoir, none in the other."""
    length = 30.0
    scale = 1.0 / length**2
    wire = line(length, 60, left=1.0, right=0.0, normal=(0.0, length), temperature=1e-3)
    problem = UsadelProblem(
        wire, EnergyAxis(np.linspace(0.0, 12.0, 41) * scale), 1e-9, gap=GapModel("fixed", value=1.0),
        spectra="diffusive",
    )  # fmt: skip
    state, _ = problem.at_rest(0.0)
    external = np.zeros((1, 2, 2, 40))
    external[0, 1, 1] = 1.0
    (driven,) = problem.kinetics.solve(state, external)
    into, out = driven.currents[1, 1], -driven.currents[1, 0]
    np.testing.assert_allclose(into, out, rtol=1e-10)
    conductance = into * length / UNIT
    # The averages of 𝒟_T over the first bin, a third of E_Th, are not yet those at zero energy.
    assert abs(conductance[0] - 1.0) < 2e-3
    assert abs(conductance.max() - 1.15) < 0.01
    assert 4.0 < problem.grid.energies[conductance.argmax()] / scale < 6.5


@pytest.mark.slow
def test_gap_next_to_a_normal_contact() -> None:
    """Against scipy's solution of the equations of all Matsubara frequencies at once, the gap eliminated.

    ``Δ [ln(t/t_c) + Σ 1/(n + ½)] = 2πt Σ sin θ_n`` in the limit of weak coupling, sums over the first
    frequencies: those left out have ``sin θ = Δ/ω`` but for the gradient, an error that falls with their
    number.
    """
    t, length = 0.25, 12.0
    tc = float(critical_temperature())
    at = np.linspace(0.0, length, 60)

    def reference(count: int) -> np.ndarray:
        omega = (2.0 * np.arange(count) + 1.0) * np.pi * t
        left = np.log(t / tc) + np.sum(1.0 / (np.arange(count) + 0.5))
        bulk = brentq(lambda d: left - 2.0 * np.pi * t * np.sum(1.0 / np.hypot(omega, d)), 0.1, 2.0)

        def slopes(_x: np.ndarray, y: np.ndarray) -> np.ndarray:
            theta = y[:count]
            gap = 2.0 * np.pi * t * np.sin(theta).sum(axis=0) / left
            return np.concatenate([y[count:], 2.0 * (omega[:, None] * np.sin(theta) - gap * np.cos(theta))])

        def ends(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return np.concatenate([a[:count], b[:count] - np.arctan(bulk / omega)])

        guess = np.arctan(bulk / omega)[:, None] * np.tanh(at)
        first = np.concatenate([guess, np.gradient(guess, at, axis=1)])
        found = solve_bvp(slopes, ends, at, first, tol=1e-6, max_nodes=20_000)
        assert found.success
        return np.asarray(2.0 * np.pi * t * np.sin(found.sol(at)[:count]).sum(axis=0) / left)

    coarse, fine = reference(8), reference(16)
    n = 240
    wire = line(length, n, left=0.0, temperature=t * 265e-6 / 8.617333262e-5)
    grid = EnergyAxis.uniform(0.5, 4.0)
    problem = UsadelProblem(
        wire, grid, 1e-9, gap=GapModel(debye_energy=1e5), spectra="diffusive", tolerance=1e-8
    )
    gap = problem.at_rest(0.0)[0].gap
    x = wire.mesh.centroid[:, 0] / XI
    inside = (at > 0.5) & (at < length - 0.5)
    found = np.interp(at, x, gap)[inside]
    errors = [np.abs(found - each[inside]).max() for each in (coarse, fine)]
    # They fall like one over the number of frequencies; with that taken out, its square is left.
    assert 0.4 < errors[1] / errors[0] < 0.6
    assert np.abs(found - (2.0 * fine - coarse)[inside]).max() < 0.15 * errors[1]


@pytest.mark.slow
@pytest.mark.parametrize("conductance", [0.2, 5.0])
def test_barrier_between_superconductor_and_normal_metal(conductance: float) -> None:
    """Against scipy's collocation with ``θ' = g sin(θ_N − θ_S)`` on both sides; second order."""
    left, right, z = 6.0, 2.0, 0.3 + 0.02j
    start = bulk_angle(z)

    def slopes(_s: np.ndarray, y: np.ndarray) -> np.ndarray:
        """Both metals, each on a coordinate of its own from 0 to 1."""
        s, n = y[0] + 1j * y[1], y[4] + 1j * y[5]
        bent_s = -2.0 * (np.cos(s) + 1j * z * np.sin(s)) * left**2
        bent_n = -2j * z * np.sin(n) * right**2
        return np.array([y[2], y[3], bent_s.real, bent_s.imag, y[6], y[7], bent_n.real, bent_n.imag])

    def ends(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        flow = conductance * np.sin(a[4] + 1j * a[5] - b[0] - 1j * b[1])
        joined = [b[2] / left - flow.real, b[3] / left - flow.imag]
        joined += [a[6] / right - flow.real, a[7] / right - flow.imag]
        return np.array([a[0] - start.real, a[1] - start.imag, *joined, b[6], b[7]])

    errors = []
    for n in (80, 160):
        wire = line(left + right, n, normal=(left, left + right), walls=True, barrier=conductance)
        theta = angles(wire, np.array([z]))[:, 0]
        x = wire.mesh.centroid[:, 0] / XI
        inside = x < left
        at = np.linspace(0.0, 1.0, 100)
        parts = [
            np.interp(at, x[inside] / left, theta[inside]),
            np.interp(at, (x[~inside] - left) / right, theta[~inside]),
        ]
        rows = [[p.real, p.imag, np.gradient(p.real, at), np.gradient(p.imag, at)] for p in parts]
        found = solve_bvp(slopes, ends, at, np.concatenate(rows), tol=1e-8, max_nodes=100_000)
        assert found.success
        s, metal = found.sol(x[inside] / left), found.sol((x[~inside] - left) / right)
        exact = np.concatenate([s[0] + 1j * s[1], metal[4] + 1j * metal[5]])
        errors.append(float(np.abs(theta - exact).max()))
    assert errors[1] < 5e-4
    assert 3.5 < errors[0] / errors[1] < 4.5


def test_bulk_of_the_helpers() -> None:
    """The angle that other tests start from satisfies ``Δ cos θ + i z sin θ = 0`` on the right branch."""
    for z in (0.3 + 0.01j, 1.7 + 1e-5j):
        theta = bulk_angle(z)
        assert abs(np.cos(theta) + 1j * z * np.sin(theta)) < 1e-12
        assert np.cos(theta).real > 0.0
