"""Arrivals, peaks and decays of known evolutions."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from case_keys import changed
from transport_cases import FILM

import fvqp
from fvqp.errors import FvqpError
from fvqp.results.over_time import arrivals, time_constants

TIMES = np.concatenate([[0.0], np.logspace(-9, -6, 25)])


def densities(*of: np.ndarray) -> xr.Dataset:
    """A dataset with the densities of regions; the first is that of the body too."""
    regions = (("time", "region"), np.stack(of, axis=1))
    return xr.Dataset(
        {
            "n_qp": ("time", of[0]),
            "x_qp": ("time", 1e-20 * of[0]),
            "n_qp_region": regions,
            "x_qp_region": (regions[0], 1e-20 * regions[1]),
        },
        {"time": TIMES, "region": [f"r{k}" for k in range(len(of))]},
    )


def test_decays_of_known_time_constants() -> None:
    """One that begins at once, on a background or none; one that ends before a time constant is over; a fast
    decay before a slow one; a density that rises first; recombination, which is no exponential; no decay."""
    t = TIMES
    found = time_constants(
        densities(
            1e20 * np.exp(-t / 5e-8),
            1e20 * np.exp(-t / 5e-8) + 3e18,
            1e20 * (np.exp(-t / 1e-8) + 0.05 * np.exp(-t / 3e-7)) + 1e17,
            1e20 * (np.exp(-t / 2e-7) - np.exp(-t / 1e-9)) + 1e16,
            1e20 / (1.0 + t / 1e-8),
            1e20 * t,
            np.zeros_like(t),
        )
    )
    tau, off = found["decay_time_region"].values, found["decay_deviation_region"].values
    assert tau[:2] == pytest.approx([5e-8, 5e-8], rel=1e-5)
    assert found["decay_time"].item() == pytest.approx(5e-8, rel=1e-5)
    assert tau[2] == pytest.approx(3e-7, rel=0.1)
    assert tau[3] == pytest.approx(2e-7, rel=1e-4)
    assert np.max(off[[0, 1, 3]]) < 1e-4 < 0.01 < off[4]
    assert np.isnan(tau[5:]).all()
    peaks = found["n_qp_peak_region"].values
    assert peaks[0] == 1e20
    assert found["x_qp_peak"].item() == 1.0
    assert peaks[5] == pytest.approx(1e14)
    first = found["time_peak_region"].values
    assert first[0] == 0.0
    assert first[3] == pytest.approx(1e-9 * np.log(200.0) / (1.0 - 1.0 / 200.0), rel=0.2)
    assert np.isnan(first[6])


def test_unfinished_runs_and_others() -> None:
    data = densities(1e20 * np.exp(-TIMES / 5e-8))
    data["n_qp"][23:] = np.nan
    assert time_constants(data)["decay_time"].item() == pytest.approx(5e-8, rel=1e-4)
    data["n_qp"][12:] = np.nan
    assert np.isnan(time_constants(data)["decay_time"].item())
    with pytest.raises(FvqpError, match="no densities over time"):
        time_constants(data.isel(time=0, drop=True))
    with pytest.raises(FvqpError, match="the results hold nothing that passed"):
        arrivals(data)
    passed = xr.Dataset(
        {"energy_escaped_by": (("time", "exit"), [[0.0], [np.nan]])},
        {"time": [0.0, 1.0], "exit": ["wall"], "cell_volume": ("cell", [1.0])},
    )
    with pytest.raises(FvqpError, match="fewer were computed"):
        arrivals(passed)


def test_a_pulse_of_phonons_arrives_as_it_must(tmp_path) -> None:
    """A slab that phonons fill alike, a mirror on its left: to its right a quarter of density and speed
    leaves until 2L/c, and every rate times its bin adds up to what left."""
    length, sound = 10e-6, 4e3
    case = changed(
        FILM,
        {
            "mesh": {"shape": {"kind": "grid1d", "nx": 10, "Lx": f"{length} m"}},
            "cross_section": {"width": "3 um", "thickness": "2 um"},
            "regions": {},
            "injections": [],
            "quasiparticles": {},
            "collisions": {"inelastic": False},
            "energies": {"maximum": "4 Delta0", "width": "0.5 Delta0"},
            "phonons": {
                "motion": "ordinates",
                "directions": 4,
                "sound_velocity": f"{sound} m/s",
                "walls": {"left": {"specularity": 1.0}, "right": {"transmission": 1.0}},
            },
            "initial": {
                "pulses": [{"of": "phonons", "centre": "3 Delta0", "width": "0.5 Delta0", "energy": "1 keV"}]
            },
            "bath": {"temperature": "10 mK"},
            "evolution": {"start": "0.5 ns", "end": "10 ns", "points_per_decade": 3, "tolerance": 2e-2},
            "figures": [{"kind": "arrivals"}],
        },
    )
    result = fvqp.run(case, out=tmp_path / "out")
    found, data = result.arrivals(), result.dataset
    assert (tmp_path / "out" / "figures" / "arrivals.png").exists()
    assert found["power"].dims == ("time", "exit")
    assert found["power"].attrs["units"] == "W"
    energy = 1e3 * 1.602176634e-19
    before = found["time_to"].values < 1.5 * length / sound
    power = found["power"].sel(exit="right").values
    np.testing.assert_allclose(power[before], energy * sound / (4.0 * length), rtol=1e-2)
    width = found["time_to"] - found["time_from"]
    volume = length * 3e-6 * 2e-6
    for name, passed in (("power", "energy"), ("rate_phonons", "phonons")):
        total = (found[name] * width).sum("time").sel(exit="right").item()
        left = data[f"{passed}_escaped_by"].sel(exit="right").values[-1] * volume
        assert total == pytest.approx(left, rel=1e-12)
    assert 0.7 * energy < (found["power"] * width).sum().item() < energy
    np.testing.assert_array_equal(found["time_from"].values, data["time"].values[:-1])
    by_length = arrivals(data.assign_coords(cell_volume=data["cell_volume"].assign_attrs(units="m2")))
    assert by_length["power"].attrs["units"] == "W m-1"


@pytest.mark.slow
def test_quasiparticles_in_a_trap_decay_at_its_rate() -> None:
    case = changed(
        FILM,
        {
            "mesh": {"shape": {"kind": "grid1d", "nx": 1, "Lx": "1 um"}},
            "regions": {},
            "injections": [],
            "quasiparticles": {},
            "phonons": {},
            "collisions": {"inelastic": False},
            "trapping": [{"rate": "10 MHz"}],
            "bath": {"temperature": "50 mK"},
            "initial": {"pulses": [{"centre": "1.5 Delta0", "width": "0.25 Delta0", "peak": 0.01}]},
            "evolution": {"start": "5 ns", "end": "1 us", "points_per_decade": 6, "tolerance": 1e-4},
        },
    )
    found = fvqp.run(case).time_constants()
    assert found["decay_time"].item() == pytest.approx(1e-7, rel=1e-3)
    assert found["time_peak"].item() == 0.0
