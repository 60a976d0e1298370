"""Rothwarf-Taylor and trapping models: closed forms, limits and bad input."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from scipy import constants
from scipy.integrate import quad, solve_ivp

from fvqp.collisions import ElectronPhonon, quasiparticle_density, thermal
from fvqp.energy import EnergyAxis, bcs_weights
from fvqp.errors import CaseError
from fvqp.materials import load_material, pair_breaking_time, recombination_constant
from fvqp.models.boltzmann.coupling import electron_phonon_coupling, gap_at, thermal_density
from fvqp.models.boltzmann.rothwarf_taylor import RothwarfTaylor, TrappingModel

AL = load_material("Al")
UNITY = RothwarfTaylor(1.0, 0.3, escape_time=0.7, trapping_time=5.0, thermal_density=0.2)


@cache
def film() -> RothwarfTaylor:
    """Aluminium at 0.2 K; made when first needed, because its gap takes compiled loops."""
    return RothwarfTaylor.from_material(AL, escape_time=1e-9, temperature=0.2)


def test_parameters_of_a_material() -> None:
    cold = RothwarfTaylor.from_material(AL)
    assert cold.recombination == pytest.approx(recombination_constant(AL))
    assert cold.recombination == pytest.approx(8.1e-18, rel=0.01)
    assert cold.pair_breaking_time == pytest.approx(pair_breaking_time(AL))
    assert cold.thermal_density == cold.thermal_phonons == 0.0
    trapping_factor = film().recombination / film().reduced.recombination
    assert trapping_factor == pytest.approx(1.0 + film().escape_time / film().pair_breaking_time, rel=1e-12)
    warm = RothwarfTaylor.from_material(AL, temperature=0.59)
    shrunk = gap_at(AL, 0.59) / AL.gap
    assert shrunk == pytest.approx(0.9569, abs=1e-4)  # BCS at T_c/2, Mühlschlegel, Z. Phys. 155, 313 (1959)
    assert warm.recombination == pytest.approx(cold.recombination * shrunk**2)


def test_thermal_density() -> None:
    kt = constants.k * 0.05
    cold = 2 * AL.dressed_density_of_states * math.sqrt(2 * math.pi * kt * AL.gap) * math.exp(-AL.gap / kt)
    assert thermal_density(AL, 0.05) == pytest.approx(cold * (1 + 3 / 8 * kt / AL.gap), rel=1e-3)
    for temperature in (0.3, 1.0, 1.179):
        gap, kt = gap_at(AL, temperature), constants.k * temperature
        exact = quad(lambda x, g=gap / kt: 1 / (math.exp(math.hypot(x, g)) + 1), 0, 60, epsabs=0)[0]
        expected = 4 * AL.dressed_density_of_states * kt * exact
        assert thermal_density(AL, temperature) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("temperature", [0.04, 0.08])
def test_recombination_constant_is_that_of_the_collision_integral(temperature: float) -> None:
    """``dn/dt = −R (1 + k_BT/2Δ) n²`` of cold quasiparticles without phonons; n in 4N0Δ0, t in τ0: R = 8a."""
    grid = EnergyAxis.uniform(temperature / 20, 1.0 + 20 * temperature, start=1.0)
    coupling = electron_phonon_coupling(AL)
    bin_weights = bcs_weights(grid, 1.0)
    f = 1e3 * thermal(grid, temperature).f
    f *= 1e-6 / f.max()
    gone = (
        ElectronPhonon(grid, coupling, "direct")
        .at(bin_weights, f, np.zeros((1, grid.n_phonon)))
        .gain_loss("pairs")
    )
    n = quasiparticle_density(bin_weights, f)[0]
    rate = quasiparticle_density(bin_weights, gone.out_f * f)[0] / n**2
    assert rate == pytest.approx(8 * coupling.strength * (1 + temperature / 2), rel=temperature**2)
    # the same in SI
    states = 4 * AL.dressed_density_of_states * AL.gap
    assert 8 * coupling.strength / (states * AL.characteristic_time) == pytest.approx(
        recombination_constant(AL)
    )


@pytest.mark.parametrize(
    "make", [film, lambda: UNITY, lambda: RothwarfTaylor(2.0, 1.0, trapping_time=3.0)], ids=range(3)
)
@pytest.mark.parametrize("injection", [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.3, 2.0)])
def test_steady_state_has_no_rates(
    make: Callable[[], RothwarfTaylor], injection: tuple[float, float]
) -> None:
    model = make()
    unit = model.thermal_density**2 * model.recombination or 1.0
    qp, ph = (unit * x for x in injection)
    n, N = model.steady(qp, ph)
    one_way = model.recombination * n**2 + qp + ph
    assert np.all(np.abs(model.rates(n, N, qp, ph)) <= 1e-13 * one_way)
    if injection == (0.0, 0.0):
        assert (n, N) == pytest.approx((model.thermal_density, model.thermal_phonons), rel=1e-14)


def test_phonons_that_escape_slowly_break_their_pairs_again() -> None:
    """Injected phonons give 2 quasiparticles each with the probability to break a pair."""
    model = RothwarfTaylor(1.0, 1.0, escape_time=3.0, trapping_time=2.0)
    assert model.breaking_probability == pytest.approx(0.75)
    assert model.steady(0.0, 0.4)[0] == pytest.approx(model.steady(0.6, 0.0)[0], rel=1e-14)


def test_decay_is_the_solution_of_its_equation() -> None:
    model = TrappingModel(recombination=0.8, trapping_time=2.5, thermal_density=0.3)
    times = np.array([0.0, 0.1, 1.0, 5.0])
    for start, generation in ((4.0, 0.0), (0.0, 0.0), (0.5, 2.0)):

        def rhs(t: float, n: np.ndarray, g: float = generation) -> np.ndarray:
            return g - 0.8 * (n**2 - 0.09) - (n - 0.3) / 2.5

        exact = solve_ivp(rhs, (0, 5), [start], t_eval=times, rtol=1e-11, atol=1e-13).y[0]
        assert model.decay(start, times, generation) == pytest.approx(exact, rel=1e-8, abs=1e-10)


def test_decay_laws() -> None:
    t = np.geomspace(1e-3, 1e6, 10)
    assert 1 / TrappingModel(2.0).decay(5.0, t) - 1 / 5.0 == pytest.approx(2.0 * t, rel=1e-9)
    assert TrappingModel(0.0, trapping_time=2.0).decay(5.0, [0, 4.0]) == pytest.approx([5, 5 * math.exp(-2)])
    assert TrappingModel(0.0).decay(5.0, [3.0], generation=2.0) == pytest.approx([11.0])


def test_recombination_decay_with_trapped_phonons() -> None:
    """From 10 fs to 100 ms in Al: both equations agree with n alone but for corrections of R n τ_B = 1e-5."""
    model = RothwarfTaylor.from_material(AL, escape_time=1e-9)
    n0, times = 1e22, np.geomspace(1e-14, 0.1, 30)
    both = solve_ivp(
        lambda t, y: model.rates(y[0], y[1], 0.0, 0.0),
        (0.0, times[-1]),
        [n0, 0.0],
        method="Radau",
        t_eval=times,
        rtol=1e-8,
        atol=1e-10 * n0 * np.array([1e-12, 1e-16]),
    ).y
    assert both[0] == pytest.approx(model.reduced.decay(n0, times), rel=3e-5)


def test_closed_system_keeps_its_energy_and_has_no_steady_state() -> None:
    model = RothwarfTaylor(3.0, 0.5)
    dn, dN = model.rates(1.7, 0.4, 0.0, 0.0)
    assert dn + 2 * dN == pytest.approx(0.0, abs=1e-14)
    with pytest.raises(CaseError, match="no steady state"):
        model.steady(1.0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1.0, 1.0), "recombination: must be a finite number ≥ 0, found -1"),
        ((1.0, 0.0), "pair_breaking_time: must be positive or infinite, found 0"),
        ((1.0, math.inf), "take TrappingModel"),
        ((1.0, 1.0, math.nan), "escape_time: must be positive"),
        ((1.0, 1.0, 1.0, -2.0), "trapping_time: must be positive"),
        ((1.0, 1.0, 1.0, 1.0, math.inf), "thermal_density: must be a finite"),
    ],
)
def test_bad_parameters(arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(CaseError, match=message):
        RothwarfTaylor(*arguments)


def test_bad_arguments() -> None:
    with pytest.raises(CaseError, match="injection of phonons"):
        UNITY.steady(0.0, -1.0)
    with pytest.raises(CaseError, match="times must not be negative"):
        TrappingModel(1.0).decay(1.0, [-1.0])
    with pytest.raises(CaseError, match="no steady state"):
        TrappingModel(0.0).steady(1.0)


def test_bad_materials() -> None:
    with pytest.raises(CaseError, match='"Al" is normal at 1.2 K; its critical temperature is 1.18 K'):
        RothwarfTaylor.from_material(AL, temperature=1.2)
    with pytest.raises(CaseError, match="temperature: must be"):
        RothwarfTaylor.from_material(AL, temperature=-0.1)
    with pytest.raises(CaseError, match='"Al_ryan2026": electron-phonon kinetics needs characteristic_time'):
        RothwarfTaylor.from_material(load_material("Al_ryan2026"))
