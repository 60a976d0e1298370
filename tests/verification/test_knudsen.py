"""Phonons in a closed body with a weak absorber: kinetic theory of a gas that is well mixed."""

from __future__ import annotations

import numpy as np
import pytest
from case_keys import changed
from transport_cases import FILM

import fvqp

SIDE, SOUND, SHARE = 10e-6, 4e3, 0.02
"""Of a square room, high up; speed; part of the hits on its right wall that are absorbed."""


def room(**evolution: object) -> dict:
    return changed(
        FILM,
        {
            "mesh": {
                "shape": {"kind": "grid2d", "nx": 5, "ny": 5, "Lx": f"{SIDE} m", "Ly": f"{SIDE} m"},
            },
            "cross_section": {"thickness": "1 um"},
            "regions": {},
            "injections": [],
            "quasiparticles": {},
            "collisions": {"inelastic": False},
            "energies": {"maximum": "4 Delta0", "width": "0.5 Delta0"},
            "phonons": {
                "motion": "ordinates",
                "directions": 4,
                "azimuths": 8,
                "sound_velocity": f"{SOUND} m/s",
                "walls": {"right": {"transmission": SHARE}},
            },
            "initial": {
                "pulses": [{"of": "phonons", "centre": "3 Delta0", "width": "0.5 Delta0", "energy": "1 keV"}]
            },
            "bath": {"temperature": "10 mK"},
            "evolution": {"start": "10 ns", "end": "2 us", "points_per_decade": 3, "tolerance": 2e-2}
            | evolution,
        },
    )


@pytest.mark.slow
def test_a_weak_absorber_takes_phonons_after_as_many_hits_as_its_share_says() -> None:
    """Hits come after the mean chord 4V/S; of S/(η a) one is absorbed: the rate is η a c/4V, to the part of η
    by which fewer phonons come from the absorber than go to it."""
    result = fvqp.run(room())
    data, found = result.dataset, result.arrivals()
    time = data["time"].values
    volume, area, surface = SIDE * SIDE * 1e-6, SIDE * 1e-6, 4.0 * SIDE * 1e-6
    hits, chord = surface / (SHARE * area), 4.0 * volume / surface
    lifetime = hits * chord / SOUND
    escaped = data["phonons_escaped_by"].sel(exit="right").values
    number = (data["energy_ph_spectrum"][0] / (data["omega"] * 1.602176634e-19)).sum().item()
    np.testing.assert_allclose(escaped / number, -np.expm1(-time / lifetime), rtol=1.5 * SHARE)
    held = number - escaped
    logarithm = np.polyfit(time, np.log(held / number), 1)
    assert -1.0 / logarithm[0] == pytest.approx(lifetime, rel=1.5 * SHARE)
    early = found["rate_phonons"].sel(exit="right").values[0]
    assert early == pytest.approx(SHARE * area * SOUND * number / 4.0, rel=0.02)
    # the room stays uniform: every cell has the same part of the energy
    spread = data["energy_ph_cell"].values
    assert np.ptp(spread, axis=1).max() < 2.0 * SHARE * spread.max()
