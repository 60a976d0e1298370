"""Spectra of strong coupling whose gap follows: the family, its gap equation, and what is carried along."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.integrate import trapezoid
from scipy.interpolate import CubicSpline
from scipy.optimize import brentq
from thermal_gaps import critical_temperature, thermal_gap

from fvqp.collisions import relative_velocity, thermal
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.gap import SelfConsistentGap, SpectralFamily
from fvqp.materials import load_material
from fvqp.models.boltzmann.strong_coupling import strong_coupling
from fvqp.spectral import alpha2f
from fvqp.spectral.alpha2f import K_B
from fvqp.spectral.eliashberg import solve, tabulated
from fvqp.typing import Floats

TOP = 6.0
#: Relative errors of Δ(T) that are allowed at 0.4, 0.6, 0.8 and 0.95 T_c; damping blurs the edge next to T_c.
EQUILIBRIUM = [
    pytest.param("Sn", (2e-5, 3e-4, 2e-4, 8e-3), marks=pytest.mark.slow),
    ("Nb", (2e-5, 4e-4, 1.2e-3, 2e-2)),
]
GRADED = EnergyAxis.from_gap(TOP, gap=(0.4, 1.0), finest=0.01, growth=0.04)


@cache
def metal(name: str) -> SimpleNamespace:
    """A metal, its family, and its solution without quasiparticles."""
    model = alpha2f.metal(name)
    strong = strong_coupling(load_material(name), model.spectrum, coulomb=model.coulomb)
    return SimpleNamespace(
        strong=strong,
        family=strong.gap_family(),
        critical=K_B * strong.material.critical_temperature / strong.spectrum.gap_edge,
        solve=lambda **given: solve(model.spectrum, coulomb=model.coulomb, **given),
    )


def self_consistent(grid: EnergyAxis, name: str = "Sn", rule: str = "linear") -> SelfConsistentGap:
    return SelfConsistentGap(grid, rule, family=metal(name).family)  # type: ignore[arg-type]


def weak_family() -> SpectralFamily:
    """BCS theory as a family: X = E, φ = 1."""
    energy = np.linspace(0.0, 2.0 * TOP, 50)
    return SpectralFamily(
        CubicSpline(energy, energy), CubicSpline(energy, np.ones_like(energy)), (1.0, 0.0, 0.0)
    )


def bump(grid: EnergyAxis, centre: float, width: float, peak: float) -> Floats:
    return peak * np.exp(-(((grid.energies - centre) / width) ** 2))[None]


@pytest.mark.parametrize("rule", ["linear", "bin"])
@pytest.mark.parametrize("cold", [1.0, 0.8])
def test_bcs_theory_is_a_family(rule: str, cold: float) -> None:
    weak = SelfConsistentGap(GRADED, rule, cold=cold)  # type: ignore[arg-type]
    family = SelfConsistentGap(GRADED, rule, cold=cold, family=weak_family())  # type: ignore[arg-type]
    gaps = cold * np.array([0.55, 0.7033, 0.9, 1.0])
    for name in ("dos_weights", "pair_weights", "number"):
        found, expected = getattr(family.bin_weights(gaps), name), getattr(weak.bin_weights(gaps), name)
        np.testing.assert_allclose(found, expected, atol=1e-13)
    np.testing.assert_allclose(
        family.condensate_energy(gaps), weak.condensate_energy(gaps), rtol=1e-13, atol=1e-15
    )
    f = bump(GRADED, 1.6, 0.2, 0.1)
    gap = weak.gap(f)
    np.testing.assert_allclose(family.gap(f), gap, rtol=1e-12)
    found, expected = family.follow(0.8 * f, gap), weak.follow(0.8 * f, gap)
    np.testing.assert_allclose(found.gap, expected.gap, rtol=1e-11)
    np.testing.assert_allclose(found.f, expected.f, atol=1e-11)


@pytest.mark.parametrize("name", [pytest.param("Sn", marks=pytest.mark.slow), "Nb"])
def test_spectrum_without_quasiparticles(name: str) -> None:
    """Bins are those of the solution itself, whose damping is small up to 4 Δ0."""
    grid = EnergyAxis.uniform(0.04, 4.0)
    found = self_consistent(grid, name).bin_weights(1.0)
    expected = metal(name).strong.bin_weights(grid, renormalized=True)
    there = found.active & expected.active & (grid.energies > 1.04)
    for key in ("dos_weights", "pair_weights", "number"):
        np.testing.assert_allclose(getattr(found, key)[there], getattr(expected, key)[there], rtol=3e-3)
    assert found.number.sum() == pytest.approx(expected.number.sum(), rel=1e-4)


@pytest.mark.parametrize(("name", "tolerances"), EQUILIBRIUM)
def test_equilibrium_is_that_of_the_eliashberg_equations(name: str, tolerances: tuple[float, ...]) -> None:
    """Only 0.7 T_c and T_c entered; the gap at other temperatures, and of BCS theory at the same k_BT/Δ0."""
    here = metal(name)
    grid = EnergyAxis.uniform(0.02, TOP)
    family, weak = self_consistent(grid, name), SelfConsistentGap(grid)
    assert critical_temperature(family) == pytest.approx(here.critical, rel=3e-4)
    spacing = here.strong.spectrum.gap_edge / 40.0
    cold = here.solve(spacing=spacing).gap_edge
    for part, tolerance in zip((0.4, 0.6, 0.8, 0.95), tolerances, strict=True):
        temperature = part * here.critical
        exact = (
            here.solve(temperature=temperature * here.strong.spectrum.gap_edge, spacing=spacing).gap_edge
            / cold
        )
        assert thermal_gap(family, temperature) == pytest.approx(exact, rel=tolerance)
        assert abs(thermal_gap(weak, temperature) / exact - 1.0) > 20.0 * tolerance


@pytest.mark.parametrize(
    ("centre", "width", "tolerance"), [(1.2, 0.1, 0.02), (2.0, 0.2, 0.07), (3.5, 0.25, 0.19)]
)
@pytest.mark.parametrize("peak", [0.05, 0.3])
def test_gap_of_quasiparticles_far_from_equilibrium(
    centre: float, width: float, tolerance: float, peak: float
) -> None:
    """Against the Eliashberg equations with these occupations; what hot ones do beyond φ is left out."""
    here = metal("Sn")
    grid = EnergyAxis.uniform(0.01, TOP)
    f = bump(grid, centre, width, peak)
    cold = here.strong.spectrum
    given = tabulated(grid.energies * cold.gap_edge, f[0])
    exact = 1.0 - here.solve(f=given, start=cold).gap_edge / cold.gap_edge
    found, weak = 1.0 - self_consistent(grid).gap(f)[0], 1.0 - SelfConsistentGap(grid).gap(f)[0]
    assert found == pytest.approx(exact, rel=tolerance)
    assert abs(found - exact) < 0.6 * abs(weak - exact)


@pytest.mark.slow
def test_strong_coupling_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Debye's spectrum with λ = 1.5: right close to the gap, 40 % off at 3.5 Δ0, and said so."""
    spectrum = alpha2f.debye(1.5, 10.0)
    strong = strong_coupling(load_material("Sn"), spectrum, coulomb=0.1)
    with caplog.at_level("WARNING", logger="fvqp"):
        metal("Sn").strong.gap_family()
        assert not caplog.messages
        family = strong.gap_family()
    (said,) = caplog.messages
    assert "a coupling of 1.5 is so strong" in said and "is up to 4, 17 and 40 % off" in said
    grid, cold = EnergyAxis.uniform(0.02, 5.5), strong.spectrum
    for centre, width, error in ((1.2, 0.1, -0.038), (2.0, 0.2, -0.166), (3.5, 0.25, -0.401)):
        f = bump(grid, centre, width, 0.3)
        given = tabulated(grid.energies * cold.gap_edge, f[0])
        exact = 1.0 - solve(spectrum, coulomb=0.1, f=given, start=cold).gap_edge / cold.gap_edge
        found = 1.0 - SelfConsistentGap(grid, family=family).gap(f)[0]
        assert found / exact - 1.0 == pytest.approx(error, abs=0.02)


@pytest.mark.slow
def test_weak_coupling_is_bcs() -> None:
    """Differences vanish with λ, at the same part of T_c."""
    grid = EnergyAxis.uniform(0.02, TOP)
    weak, f = SelfConsistentGap(grid), bump(grid, 2.0, 0.2, 0.2)
    off = []
    for coupling in (0.5, 0.25):
        strong = strong_coupling(load_material("Al"), alpha2f.debye(coupling, 30.0))
        family = SelfConsistentGap(grid, family=strong.gap_family())
        critical = critical_temperature(family) / critical_temperature(weak)
        thermal_gaps = [thermal_gap(family, critical * t) / thermal_gap(weak, t) for t in (0.3, 0.45, 0.52)]
        driven = (1.0 - family.gap(f)[0]) / (1.0 - weak.gap(f)[0])
        off.append(np.abs(np.array([critical, driven, *thermal_gaps]) - 1.0))
    assert np.all(off[1] < 0.3 * off[0])
    assert off[1].max() < 5e-3


@pytest.mark.parametrize("rule", ["linear", "bin"])
@pytest.mark.parametrize("cold", [1.0, 0.7])
def test_number_and_energy_are_kept(rule: str, cold: float) -> None:
    grid = EnergyAxis.from_gap(TOP, gap=(0.4 * cold, cold), finest=0.01, growth=0.04)
    moving = SelfConsistentGap(grid, rule, cold=cold, family=metal("Sn").family)  # type: ignore[arg-type]
    rng = np.random.default_rng(5)
    for centre in cold * rng.uniform(1.05, 3.0, 12):
        f = bump(grid, centre, rng.uniform(0.05, 0.4), 0.15)
        gap = moving.gap(f)
        after = rng.uniform(0.8, 1.0) * f
        number, energy = (moving.bin_weights(gap).number * after).sum(), moving.total_energy(after, gap)
        there = moving.follow(after, gap)
        assert abs((there.bin_weights.number * there.f).sum() - number) < 1e-15
        assert abs(moving.total_energy(there.f, there.gap) - energy) < 1e-15
        assert abs(moving.residual(there.f, there.gap)) < 2e-12
        assert there.f.min() >= 0.0
        assert there.f.max() <= 1.0
        assert np.all(np.abs(there.bin_weights.pair_weights) <= there.bin_weights.dos_weights)


def test_gap_equation_is_where_the_energy_does_not_change() -> None:
    """∂W/∂Δ at fixed f(ξ), by states that move with the gap, vanishes where the gap equation holds."""
    x, phi = metal("Sn").family.x, metal("Sn").family.phi
    grid = EnergyAxis.uniform(0.01, TOP)
    moving = self_consistent(grid)
    gap = float(moving.gap(bump(grid, 1.8, 0.3, 0.2))[0])
    energies = np.linspace(gap, 5.0, 40_001)
    occupied = 0.2 * np.exp(-(((energies - 1.8) / 0.3) ** 2))

    def squared(edge: float) -> Floats:
        return (x(edge) / phi(edge)) ** 2

    xi2 = x(energies) ** 2 - squared(gap) * phi(energies) ** 2

    def energy(edge: float) -> float:
        """``∫ E(ξ) f dξ`` with the f(ξ) of the gap at rest."""
        moved = energies.copy()
        for _ in range(60):
            moved -= (x(moved) ** 2 - xi2 - squared(edge) * phi(moved) ** 2) / (2.0 * x(moved) * x(moved, 1))
        return float(trapezoid(moved * occupied, np.sqrt(np.maximum(xi2, 0.0))))

    step = 1e-3
    work = energy(gap + step) - energy(gap - step)
    paid = moving.condensate_energy(gap + step) - moving.condensate_energy(gap - step)
    assert work == pytest.approx(-paid, rel=1e-4)


def test_occupations_are_carried_along_with_momentum() -> None:
    """Quasiparticles fade and f(ξ) stays: against the exact map of energies, steps refined with the width."""
    x, phi = metal("Sn").family.x, metal("Sn").family.phi

    def momentum(energy: float, gap: float, less: float = 0.0) -> float:
        return float(x(energy) ** 2 - (x(gap) / phi(gap) * phi(energy)) ** 2) - less

    errors = []
    for width, steps in ((0.04, 30), (0.02, 120), (0.01, 480)):
        grid = EnergyAxis.uniform(width, 4.0)
        moving = self_consistent(grid)
        f = bump(grid, 1.6, 0.25, 0.2)
        start = gap = moving.gap(f)
        for _ in range(steps):
            f, gap, bin_weights = moving.follow(f * 0.3 ** (1.0 / steps), gap)
        assert gap[0] - start[0] > 0.08
        above = (grid.energies > gap[0] + 0.1) & (grid.energies < 3.0)
        source = [
            brentq(momentum, start[0], 4.0, args=(start[0], momentum(energy, gap[0])))
            for energy in grid.energies[above]
        ]
        exact = 0.06 * np.exp(-(((np.array(source) - 1.6) / 0.25) ** 2))
        weight = bin_weights.number[0, above]
        errors.append(float(weight @ np.abs(f[0, above] - exact) / (weight @ exact)))
    assert np.all(np.log2(np.array(errors[:-1]) / errors[1:]) > 1.5)
    assert errors[-1] < 2e-3


def test_states_times_speed_are_those_of_the_normal_metal() -> None:
    """``ρM v = v_F Z(0)`` at all gaps: the part of a bin above the gap."""
    grid = EnergyAxis.uniform(0.05, 5.0)
    moving = self_consistent(grid)
    gaps = np.array([0.7, 0.93, 1.0])
    bin_weights = moving.bin_weights(gaps)
    flow = bin_weights.number * relative_velocity(grid, gaps, "linear", bin_weights)
    inside = (grid.energies > 1.2) & (grid.energies < 4.9)  # the last two bins share what is beyond
    np.testing.assert_allclose(flow[:, inside], np.broadcast_to(0.05, (3, inside.sum())), rtol=1e-12)


def test_normal_state_and_back() -> None:
    grid = EnergyAxis.uniform(0.05, TOP)
    moving = self_consistent(grid)
    hot = thermal(grid, 0.56).f
    assert moving.gap(hot)[0] == 0.0
    there = moving.follow(thermal(grid, 0.4).f, 0.0)
    assert there.gap[0] > 0.2


def test_what_a_family_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    lead = alpha2f.metal("Pb")
    strong = strong_coupling(load_material("Sn"), lead.spectrum, coulomb=lead.coulomb)
    with pytest.raises(CaseError, match="no quasiparticles of a definite energy"):
        SelfConsistentGap(EnergyAxis.uniform(0.05, 6.0), family=strong.gap_family())
    warm = replace(metal("Sn").strong.spectrum, phi=0.0 * metal("Sn").strong.spectrum.phi)
    with monkeypatch.context() as patched:
        patched.setattr("fvqp.gap.family.solve", lambda *given, **named: warm)
        with pytest.raises(CaseError, match="damping leaves no gap edge at 0.7 of"):
            metal("Sn").strong.gap_family()
