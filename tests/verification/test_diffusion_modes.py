"""Modes of diffusion, given as functions of space, decay as the exact ones do."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import constants
from scipy.optimize import brentq

import fvqp

LENGTH, SPEED, PATH, CELLS = 1e-3, 6e3, 1e-5, 40
DIFFUSIVITY = SPEED * PATH / 3.0
CASE = {
    "model": "transport",
    "material": {"name": "Al"},
    "mesh": {
        "shape": {"kind": "grid1d", "nx": CELLS, "Lx": "1 mm", "regions": {"crystal": ["0 mm", "1 mm"]}}
    },
    "energies": {"maximum": "4 Delta0", "width": "0.5 Delta0"},
    "gap": {"model": "fixed"},
    "regions": {
        "crystal": {
            "insulator": True,
            "ion_density": "5e28 1/m^3",
            "debye_energy": "60 meV",
            "sound_velocity": "6 km/s",
        }
    },
    "bath": {"temperature": "10 mK"},
}


def decay(number: float, profile: str, walls: dict[str, object]) -> tuple[float, np.ndarray]:
    """Rate of decay over that of a wave number, and occupations over those at the start at the end."""
    end = 1.0 / (DIFFUSIVITY * number**2)
    pulse = {"of": "phonons", "centre": "3 Delta0", "width": "0.5 Delta0", "peak": 0.1, "profile": profile}
    phonons = {"motion": "diffusive", "free_path": f"{PATH} m", "walls": walls}
    evolution = {"start": f"{0.9 * end} s", "end": f"{end} s", "tolerance": 1e-5}
    given = {"phonons": phonons, "initial": {"pulses": [pulse]}, "evolution": evolution}
    found = fvqp.run(CASE | given).dataset["energy_ph_cell"].values
    return float(-np.log(found[-1].sum() / found[0].sum())), found[-1] / found[0]


@pytest.mark.slow
@pytest.mark.parametrize("share", [1.0, 0.02])
def test_a_robin_slab_decays_as_its_lowest_mode(share):
    """A closed end and one that lets a share η pass: ``n + λ ∂n/∂x = 0`` with λ = ⅔(2 − η)/η free paths."""
    beyond = 2.0 / 3.0 * (2.0 - share) / share * PATH
    number = brentq(lambda k: np.cos(k * LENGTH) - beyond * k * np.sin(k * LENGTH), 1.0, 0.5 * np.pi / LENGTH)
    rate, shape = decay(number, f"cos({number!r}*x)", {"right": {"transmission": share}})
    assert rate == pytest.approx(1.0, rel=2e-3)
    np.testing.assert_allclose(shape, np.exp(-1.0), rtol=5e-3)


@pytest.mark.parametrize(("share", "outside"), [(1.0, "occupation"), (0.02, "temperature")])
def test_a_steady_slab_between_two_baths_is_linear(share, outside):
    """Between a bath of one temperature and a cold one: linear, with the ends λ beyond the walls."""
    beyond = 2.0 / 3.0 * (2.0 - share) / share * PATH
    kelvin = 2.0
    volts = kelvin * constants.k / constants.e
    left = {"occupation": f"1/(exp(E/{volts!r}) - 1)", "temperature": f"{kelvin} K"}
    walls = {"left": {"transmission": share, outside: left[outside]}, "right": {"transmission": share}}
    phonons = {"motion": "diffusive", "free_path": f"{PATH} m", "walls": walls}
    output = {"occupations": True}
    found = fvqp.run(CASE | {"phonons": phonons, "steady_state": {}, "output": output}).dataset
    x = (np.arange(CELLS) + 0.5) * LENGTH / CELLS
    linear = (LENGTH + beyond - x) / (LENGTH + 2.0 * beyond)
    n = found["n"].values.squeeze()
    omega = found["omega"].values
    np.testing.assert_allclose(n[:, 1:], linear[:, None] / np.expm1(omega[1:] / volts), rtol=1e-6)


def test_a_cosine_decays_by_diffusion_alone():
    """Between closed walls ``1 + cos(kx)`` becomes ``1 + exp(−Dk²t) cos(kx)``."""
    number = 2.0 * np.pi / LENGTH
    rate, shape = decay(number, f"1 + cos({number!r}*x)", {})
    x = (np.arange(CELLS) + 0.5) * LENGTH / CELLS
    wave = np.cos(number * x)
    np.testing.assert_allclose(shape * (1.0 + wave), 1.0 + np.exp(-1.0) * wave, rtol=5e-3)
    assert abs(rate) < 1e-12
