"""From material to radius, and the law of annihilation that transport models use."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import constants, integrate

from fvqp.errors import CaseError
from fvqp.models.localized import AnnihilationLaw, TailAnnihilation, TailStates
from fvqp.models.localized.closure import MEASURED
from fvqp.models.localized.material import DENSITY_FACTOR, FLUCTUATION_FACTOR
from fvqp.models.localized.pairs import stationary
from fvqp.models.localized.rates import RATE_AT_CONTACT

EV, UM3 = constants.e, 1e-18


def aluminium(tail: float, shift: float = 0.3, **changes: float) -> TailStates:
    gap = 200e-6 * EV
    values = {
        "gap": gap,
        "diffusivity": 20e-4,
        "density_of_states": 2e10 / (EV * UM3),
        "tail_energy": tail * gap,
        "edge_shift": shift * gap,
        "electron_phonon_time": 400e-9,
        "gap_ratio": 1.76,
    }
    return TailStates(**(values | changes))


def test_prefactors() -> None:
    assert FLUCTUATION_FACTOR == pytest.approx(0.045, abs=5e-4)
    assert DENSITY_FACTOR == pytest.approx(0.79, abs=5e-3)
    # The optimal fluctuation: δΔ ∝ −p, so that with ∫p² = 2/(15πL³) its weight is 48π/5 (2/3)^{3/4}.
    square = RATE_AT_CONTACT * 8.0
    assert square == pytest.approx(2.0 / (15.0 * math.pi))
    assert 1.0 / FLUCTUATION_FACTOR == pytest.approx(32.0 / 25.0 / square * (2.0 / 3.0) ** 0.75)


def test_aluminium() -> None:
    states = aluminium(1e-2)
    assert states.coherence_length == pytest.approx(0.0811e-6, rel=2e-3)
    assert states.cooper_pairs == pytest.approx(6.7e3, rel=0.01)
    assert states.localization_length(states.tail_energy) == pytest.approx(
        0.904 * states.coherence_length * states.strength**-0.2, rel=1e-3
    )
    # "r_c about ξ0 and 3 ξ0", with ε_g between ε_T and Δ.
    assert states.radius / states.coherence_length == pytest.approx(1.0, abs=0.2)
    assert aluminium(1e-4, 0.01).radius / states.coherence_length == pytest.approx(3.0, abs=0.6)
    assert states.radius == pytest.approx(
        0.45 * states.coherence_length * 0.01**-0.25 * math.log(states.overlap_number) ** -0.2, rel=5e-3
    )
    # The constants quoted there make 27 µm³/s; the 40 quoted needs Δ/(k_B T_c) = 2.
    assert states.annihilation_constant / UM3 == pytest.approx(27.3, abs=0.1)
    assert aluminium(1e-2, gap_ratio=2.0).annihilation_constant / UM3 == pytest.approx(40.0)


def test_tail_density_is_counted() -> None:
    states = aluminium(1e-3, 0.1)
    depth = 3.0 * states.tail_energy
    below, _ = integrate.quad(lambda e: states.density(e * depth) * depth, 1.0, 40.0)
    assert states.overlapping(depth) == pytest.approx(
        below * states.localization_length(depth) ** 3, rel=1e-8
    )
    resolved = states.resolved_relaxation_energy
    assert states.overlapping(resolved) == pytest.approx(1.0)
    assert resolved == pytest.approx(states.relaxation_energy, rel=1.0 / math.log(states.overlap_number))
    again = TailStates.from_fluctuations(
        gap=states.gap,
        diffusivity=states.diffusivity,
        density_of_states=states.density_of_states,
        fluctuation=states.fluctuation,
        edge_shift=states.edge_shift,
        electron_phonon_time=states.electron_phonon_time,
        gap_ratio=states.gap_ratio,
    )
    assert again.radius == pytest.approx(states.radius)


def test_materials_outside_of_the_model() -> None:
    with pytest.raises(CaseError, match="N_T ="):
        aluminium(1e-7, 0.5)
    with pytest.raises(CaseError, match="no gap edge"):
        aluminium(1e-2, 1.0)
    with pytest.raises(CaseError, match="diffusivity: must be positive"):
        aluminium(1e-2, diffusivity=-1.0)
    assert any("relaxation_energy" in text for text in aluminium(1e-2, 0.011).warnings)
    assert any("not separate" in text for text in aluminium(1e-2, 0.005).warnings)
    assert not aluminium(1e-3, 0.1).warnings


def test_law_is_the_measured_steady_state() -> None:
    law = AnnihilationLaw(TailAnnihilation(1.0, 1.0))
    alpha, concentration = 10.0 ** MEASURED[:, 0], MEASURED[:, 1]
    # The curve between the points is not exactly theirs, but within a part of their errors.
    assert np.all(np.abs(law.stationary(alpha) - concentration) < 0.2 * MEASURED[:, 2])
    everywhere = np.logspace(-120, 15, 700)
    c = law.stationary(everywhere)
    assert np.all(np.diff(c) > 0.0)
    assert np.allclose(law.rate(c), everywhere, rtol=1e-10)
    # Dense: mean field. Sparse: bubbles, whose corrections fall off as 1/r.
    assert law.rate(1e4) == pytest.approx(1e8, rel=1e-5)
    assert float(law.stationary(1e-90)) == pytest.approx(
        2 * 0.605 * stationary(np.array([1e-90]))[0], rel=0.03
    )


def test_derivative_of_the_law() -> None:
    law = AnnihilationLaw(TailAnnihilation(1e-7, 40e-18))
    c = np.logspace(-7, 8, 300) * 1e21
    step = 1e-6 * c
    slope = (law.rate(c + step) - law.rate(c - step)) / (2.0 * step)
    assert np.allclose(law.derivative(c), slope, rtol=2e-5)
    assert np.all(law.derivative(c) >= law.rate(c) / c)
    assert law.rate(0.0) == 0.0 and law.derivative(0.0) == 0.0 and law.stationary(0.0) == 0.0
    assert law.lifetime(0.0) == np.inf and law.distance(0.0) == np.inf
    with pytest.raises(CaseError, match="concentration"):
        law.rate([-1.0])
    with pytest.raises(CaseError, match="generation"):
        law.stationary(np.nan)
