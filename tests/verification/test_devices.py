"""The device of cases/devices: rates of arrival in closed form, and the numbers that its README names."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import constants
from scipy.integrate import quad

import fvqp
from fvqp.results import open_result

CASE = Path(__file__).parents[2] / "cases" / "devices" / "trap_noise.toml"


def case() -> dict[str, Any]:
    return copy.deepcopy(tomllib.loads(CASE.read_text()))


@pytest.mark.slow
def test_numbers_of_the_readme(tmp_path: Path) -> None:
    fvqp.run(CASE, out=tmp_path / "out")
    noise = open_result(tmp_path / "out").dataset.isel(spin=0, volume=0).sel(equation="master")
    assert noise["V_inj"].values[[0, 2, 4, 6]] == pytest.approx([0.19e-3, 0.22e-3, 0.3e-3, 0.45e-3])
    chosen = noise.isel(generation=[0, 2, 4, 6])
    assert chosen["generation"].values == pytest.approx(np.array([88.5, 196, 355, 577]) * 1e24, rel=3e-3)
    assert chosen["N_mean"].values == pytest.approx([125.4, 164.1, 200.6, 236.6], rel=2e-3)
    assert chosen["polarization"].values == pytest.approx([0.986, 0.982, 0.979, 0.975], abs=1e-3)
    low = chosen["S_flux_one_sided"].isel(frequency=0).values
    assert low == pytest.approx(np.array([0.786, 1.018, 1.234, 1.444]) * 1e-13, rel=3e-3)
    localized = open_result(tmp_path / "out" / "localized").dataset
    mean, error = (float(localized[name].squeeze()) for name in ("concentration", "concentration_error"))
    assert abs(mean - 979e18) < 4.0 * np.hypot(error, 2e18)
    assert float(localized["concentration_law"].squeeze()) == pytest.approx(367e18, rel=5e-3)


def test_one_aluminium() -> None:
    """Constants of all stages follow from D, N0 and τ0 of one metal."""
    transport, localized, noise = (stage["case"] for stage in case()["stages"])
    metal = noise["material"]
    states = float(metal["density_of_states"].split()[0]) * 1e18
    resistivity = float(transport["material"]["resistivity"].split()[0]) * 1e-9
    assert 1.0 / (2.0 * constants.e * states * 1e-3 * resistivity) == pytest.approx(1.0, rel=5e-3)
    for part in (transport["material"], transport["materials"]["suppressed"], metal):
        assert part["diffusivity"] == "10 cm^2/s"
    film, trap = 180e-6, 126e-6
    assert metal["gap"] == transport["materials"]["suppressed"]["gap"] == "126 ueV"
    assert metal["gap_ratio"] * film / trap == pytest.approx(1.764, rel=1e-3)
    mobile = 2.0 * 1.764**3 / (438e-9 * states * film)
    assert localized["annihilation"]["constant"] == f"{mobile * 1e18:.1f} um^3/s"
    assert localized["profile"]["results"]["density_of_states"] == metal["density_of_states"]


def test_time_of_capture() -> None:
    """Emission of phonons in the trap that leave less than the gap of the film (Kaplan et al., 1976), from
    the lowest energies to the mean one at 0.45 mV; the shipped time lies between."""
    trap, film, thermal = 126.0, 180.0, 180.0 / 1.764

    def time(energy: float) -> float:
        def left(root: float) -> float:
            after = np.hypot(trap, root)
            return float((energy - after) ** 2 * (1.0 - trap**2 / (energy * after)))

        integral, _ = quad(left, 0.0, np.sqrt(film**2 - trap**2))
        return 438e-9 * thermal**3 / integral

    assert time(185.0) == pytest.approx(5.4e-6, rel=0.02)
    assert time(222.0) == pytest.approx(1.22e-6, rel=0.02)
    assert time(280.0) == pytest.approx(0.33e-6, rel=0.02)
    taken = case()["stages"][2]["case"]["sweep"]["results"]["capture_time"]
    assert taken == "0.9 us" and time(280.0) < 0.9e-6 < time(222.0)


@pytest.mark.slow
def test_rate_of_arrival_in_closed_form(tmp_path: Path) -> None:
    """In a film of one gap 1 − f_L falls off linearly from the injector to the ends, which absorb. It is
    G R N (1 − f_0) at every energy, with conductance G and distribution f_0 of the injector, resistance R of
    the film to both ends, and density of states N. The rate follows by integration.

    What flows back through the injector, G R N of what comes in, is left out: 4e-4 at the lowest energy."""
    data = case()
    data["stages"] = [data["stages"][0], data["stages"][2]]
    transport, noise = (stage["case"] for stage in data["stages"])
    del transport["regions"], transport["materials"]
    transport["mesh"]["shape"] |= {"dx": "0.1 um", "dy": "2 um"}
    # Centres of cells 1.85 µm and 0.45 µm from the right end.
    transport["mesh"]["shape"]["regions"] |= {
        "trap": [["4.1 um", "4.2 um"], "all"],
        "nearer_the_end": [["5.5 um", "5.6 um"], "all"],
    }
    transport["sweep"]["V_inj"] = ["0.22 mV", "0.36 mV"]
    transport["energies"]["number"] = 320
    transport["spectrum"]["broadening"] = 1e-5
    # Beyond the gap by much more than the broadening.
    noise["sweep"]["results"]["minimum_energy"] = "184 ueV"
    noise["sweep"]["equation"] = "mean_field"
    noise["figures"] = []
    del noise["noise"]
    for region, distance in (("trap", 1.85), ("nearer_the_end", 0.45)):
        noise["sweep"]["results"]["region"] = region
        found = fvqp.run(copy.deepcopy(data), out=tmp_path / region).dataset
        assert found["generation"].values == pytest.approx(
            [closed_form(bias, distance) for bias in (220e-6, 360e-6)], rel=1e-3
        )


def closed_form(bias: float, distance: float) -> float:
    """1/(m³ s) at ``bias`` (V) and ``distance`` (µm) from the right end; the injector's centre is 1.1 µm from
    the left one, and 4.9 µm from the right one."""
    gap, thermal, capture_time, states = 180e-6, 60e-3 * constants.k / constants.e, 0.9e-6, 1.74e28
    resistance = 179e-9 / (2e-6 * 100e-9) * 1e-6 * (1.1 * 4.9 / 6.0)

    def held(energy: float) -> float:
        injector = sum(np.tanh(0.5 * (energy + sign * bias) / thermal) for sign in (1.0, -1.0)) / 2.0
        return float(energy**2 / (energy**2 - gap**2) * (1.0 - injector))

    integral, _ = quad(held, 184e-6, bias + 40.0 * thermal, points=[bias], epsrel=1e-8, limit=200)
    return 2.0 * states * 100e-6 * resistance * distance / 4.9 * integral / capture_time
