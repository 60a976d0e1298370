"""Every case of the transport model in ``cases``, smaller: energy is balanced, nothing is negative.

A case that is added is found and computed as it is, until it has an entry here that makes it small.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest
from bath_exchange import rounding

import fvqp

CASES = Path(__file__).parents[2] / "cases"
FEW = ("energies.width=0.2 Delta0", "energies.growth=0.1")
"""Energies that still resolve the pulses."""
SHORT = (*FEW, "evolution.points_per_decade=1", "evolution.tolerance=0.2")
SPHERE = (
    *SHORT,
    "body.shells=7",
    "quasiparticles.directions=4",
    "phonons.directions=4",
    "initial.pulses[0].width=0.45 Delta0",
    "initial.pulses[0].centre=3 Delta0",
)
FLIGHT = ("body.shells=20", "quasiparticles.directions=8", "evolution.points_per_decade=2")
SMALLER: dict[str, tuple[str, ...]] = {
    "boltzphlow2026/sphere_ballistic": FLIGHT,
    "boltzphlow2026/sphere_diffusive": FLIGHT,
    "boltzphlow2026/sphere_pulse": SPHERE,
    "boltzphlow2026/sphere_pulse_eliashberg": SPHERE,
    "devices/absorber_3d": (*SHORT, "evolution.end=0.3 us"),
    "devices/film_with_trap": ("energies.width=0.2 Delta0", "energies.growth=0.3"),
    "devices/films_on_crystal": (*SHORT, "evolution.end=5 ns", "phonons.azimuths=8"),
    "devices/mkid": (
        *SHORT,
        # photons of a bin at least
        "microwaves[0].photon_energy=9 GHz",
        "initial.pulses[0].centre=2.3 Delta0",
        "initial.pulses[0].width=0.31 Delta0",
        "evolution.end=10 us",
    ),
    "devices/qubit_chip": (*SHORT, "evolution.end=50 ns"),
}
"""Overrides by case."""


def shipped() -> list[str]:
    """Names of the cases, as ``folder/name``."""
    found = [
        path.relative_to(CASES).with_suffix("").as_posix()
        for path in sorted(CASES.rglob("*.toml"))
        if tomllib.loads(path.read_text()).get("model") == "transport"
    ]
    assert set(SMALLER) <= set(found)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", shipped())
def test_energy_is_balanced_and_nothing_is_negative(name: str) -> None:
    """Relative to the most that was stored, came or left.

    In a steady state to the power that is injected, but for rounding of what a bath exchanges.
    """
    overrides = ("figures=[]", "output.occupations=true", *SMALLER.get(name, ()))
    found = fvqp.run(CASES / f"{name}.toml", overrides=overrides).dataset
    if "power_residual" in found:
        left, size = found["power_residual"].values, found["power_injected"].values.max()
        exchanged = rounding(CASES / f"{name}.toml", found)
    else:
        left, exchanged = found["energy_residual"].values, 0.0
        names = ("energy_ph", "energy_qp", "energy_injected", "energy_escaped")
        size = max(np.abs(found[name].values).max() for name in names)
    assert size > 0.0
    assert np.abs(left).max() <= 1e-12 * size + exchanged
    for occupation in ("f", "n"):
        assert np.nanmin(found[occupation].values) >= 0.0, occupation
    assert np.nanmax(found["f"].values) <= 1.0
