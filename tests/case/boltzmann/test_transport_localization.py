"""Localized quasiparticles of a transport case: every key moves a number, and the balance closes."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import xarray as xr
from said import Said, said  # noqa: F401
from transport_cases import FILM

from fvqp.case.reading import case_from_dict
from fvqp.case.run import run
from fvqp.models.localized import AnnihilationLaw, TailAnnihilation

STEADY: dict[str, Any] = copy.deepcopy(FILM)
del STEADY["evolution"]
STEADY |= {
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 3,
            "Lx": "30 um",
            "regions": {"strip": [["0 um", "10 um"]], "end": [["20 um", "30 um"]]},
        }
    },
    "regions": {},
    "bath": {"temperature": "0.1 K"},
    "output": {"occupations": True},
    "steady_state": {},
    "localization": {"capture_time": "100 ns", "radius": "0.1 um", "constant": "40 um^3/s"},
}
STEADY["injections"][0]["power"] = "10 W/m^3"
PER_VOLUME = 1e18


def computed(base: dict[str, Any], **changes: Any) -> xr.Dataset:
    data = copy.deepcopy(base)
    for key, value in changes.items():
        data["localization"].pop(key, None)
        if value is not None:
            data["localization"][key] = value
    result: xr.Dataset = run(case_from_dict(data), None).dataset
    return result


@pytest.fixture(scope="module")
def steady() -> xr.Dataset:
    return computed(STEADY)


def localized(dataset: xr.Dataset) -> np.ndarray:
    """Of the last time, 1/µm³."""
    values: np.ndarray = dataset["n_localized_cell"].values[-1] / PER_VOLUME
    return values


def captured(dataset: xr.Dataset, time: float) -> np.ndarray:
    """Mobile quasiparticles by the time of capture, 1/(m³ s), in every cell."""
    mobile: np.ndarray = (dataset["n_qp_cell"] - dataset["n_localized_cell"]).values[-1]
    return mobile / time


def test_steady_state_of_every_cell_is_that_of_the_law(steady: xr.Dataset) -> None:
    law = AnnihilationLaw(TailAnnihilation(1e-7, 40e-18))
    expected = law.stationary(captured(steady, 100e-9)) / PER_VOLUME
    # capture slows down by the part of the localized states that are full, 52 of 3.1e6 in 1/µm³
    assert localized(steady) == pytest.approx(expected, rel=52 / 3.1e6)
    assert localized(steady)[0] > 1.1 * localized(steady)[-1]
    assert abs(float(steady.power_residual[0])) < 1e-6 * float(steady.power_injected[0])
    mean = float(steady.n_localized[0]) / PER_VOLUME
    assert mean == pytest.approx(localized(steady).mean(), rel=1e-12)


def test_limits_of_the_law_are_said(caplog: pytest.LogCaptureFixture) -> None:
    """Cells within the reach of partners next to surfaces; a decay of sparse quasiparticles. Once each."""
    data = copy.deepcopy(STEADY)
    data["mesh"]["shape"] |= {"Lx": "0.6 um", "regions": {"strip": ["0 um", "0.2 um"]}}
    steep = "localization: law: takes partners from the same place"
    decay = "localization: law: is that of steady states"
    computed(STEADY)
    assert "localization: law" not in caplog.text
    computed(data)
    assert caplog.text.count(steep) == 1 and decay not in caplog.text
    del data["steady_state"]
    data |= {
        "evolution": {"start": "1 ns", "end": "2 ns"},
        "injections": [],
        "bath": {"temperature": "40 mK"},
    }
    caplog.clear()
    computed(data, concentration="1 1/um^3")
    assert caplog.text.count(steep) == 1 and caplog.text.count(decay) == 1


def test_mean_field_is_usual_recombination() -> None:
    """Without a radius, and by default with the constant of cold mobile quasiparticles."""
    dataset = computed(STEADY, radius=None, constant=None)
    delta0, tau0 = 180e-6, float(dataset.attrs["tau0_s"])
    states = float(dataset.attrs["density_unit_m-3"]) / (4.0 * delta0)
    strength = (delta0 / (8.617333e-5 * 1.18)) ** 3
    usual = 2.0 * strength / (states * delta0 * tau0)
    expected = np.sqrt(captured(dataset, 100e-9) / usual) / PER_VOLUME
    assert localized(dataset) == pytest.approx(expected, rel=0.02)


@pytest.mark.slow
def test_capture() -> None:
    """Without it all is as without localized quasiparticles; fast, it takes nearly all."""
    data = copy.deepcopy(STEADY)
    del data["steady_state"]
    data["evolution"] = {"start": "1 us", "end": "10 us", "points_per_decade": 1, "tolerance": 0.05}
    fast, slow = (computed(data, capture_time=time) for time in ("100 ns", "1 s"))
    del data["localization"]
    without: xr.Dataset = run(case_from_dict(data), None).dataset
    assert "n_localized" not in without
    assert slow.n_qp.values == pytest.approx(without.n_qp.values, rel=1e-4)
    assert float(slow.n_localized[-1]) < 1e-4 * float(slow.n_qp[-1])
    assert float(fast.n_localized[-1]) > 0.9 * float(fast.n_qp[-1])


def test_capture_below_an_energy(steady: xr.Dataset) -> None:
    dataset = computed(STEADY, capture_below="1.25 Delta0")
    assert np.ptp(localized(dataset)) < 0.5 * np.ptp(localized(steady))
    assert float((dataset.n_qp - dataset.n_localized)[0]) > float((steady.n_qp - steady.n_localized)[0])


@pytest.mark.slow
def test_radius_and_constant(steady: xr.Dataset) -> None:
    # a larger radius is dense, and annihilates as in mean field
    assert np.all(localized(computed(STEADY, radius="0.02 um")) > 1.2 * localized(steady))
    slow = computed(STEADY, constant="10 um^3/s")
    assert np.all(localized(slow) > 1.2 * localized(steady))


def test_hops_level(steady: xr.Dataset) -> None:
    """Fast ones make the concentration one number, at the same balance of energy."""
    dataset = computed(STEADY, diffusivity="1 cm^2/s")
    assert np.ptp(localized(dataset)) < 0.5 * np.ptp(localized(steady))
    assert abs(float(dataset.power_residual[0])) < 1e-6 * float(dataset.power_injected[0])


@pytest.mark.slow
def test_regions() -> None:
    dataset = computed(STEADY, regions=["end"])
    assert np.all(localized(dataset)[:2] == 0.0) and localized(dataset)[2] > 0.0


@pytest.mark.slow
def test_evolution_keeps_energy_and_decays_as_the_law_says() -> None:
    """Without generation and mobile quasiparticles: dc/dt = −𝓡(c)."""
    data = copy.deepcopy(STEADY)
    del data["steady_state"]
    data["injections"] = []
    data["evolution"] = {"start": "1 us", "end": "1 ms", "points_per_decade": 1, "tolerance": 0.005}
    data["localization"]["concentration"] = "500 1/um^3"
    dataset = run(case_from_dict(data), None).dataset
    law = AnnihilationLaw(TailAnnihilation(1e-7, 40e-18))
    time, found = dataset.time.values, dataset.n_localized.values
    assert found[0] == pytest.approx(500 * PER_VOLUME, rel=1e-9)
    # t(c) = ∫ dc/𝓡 from c to the start
    c = np.geomspace(found[-1], found[0], 4001)
    passed = np.concatenate(
        [[0.0], np.cumsum(0.5 * np.diff(np.log(c)) * ((c / law.rate(c))[1:] + (c / law.rate(c))[:-1]))]
    )
    expected = np.interp(found[1:], c, passed[-1] - passed)
    assert expected == pytest.approx(time[1:], rel=0.02)
    assert found[-1] < 0.2 * found[0]
    energy = dataset.energy_qp + dataset.energy_ph + dataset.energy_escaped
    assert np.abs(dataset.energy_residual.values).max() < 1e-12 * float(energy.values.max())


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"localization": {}}, "localization.capture_time"),
        ({"localization.capture_time": "-1 s"}, "localization.capture_time"),
        ({"localization.radius": "0 um"}, "localization.radius"),
        ({"localization.capture_below": "0.9 Delta0"}, "localization.capture_below: 0.9 Delta0 is not above"),
        ({"localization.regions": ["nowhere"]}, 'localization.regions: the mesh has no region "nowhere"'),
        ({"localization.regions": ["trap"], "regions.trap.gap": 0}, 'regions: there is no gap in "trap"'),
        ({"localization.diffusivity": "1 cm^2/s", "quasiparticles": {}}, "localization.diffusivity: is used"),
        ({"localization.concentration": "1e30 1/m^3"}, "localization.concentration: "),
        ({"gap.model": "follows", "regions": {}}, "localization: requires a fixed gap"),
        (
            {"evolution": None, "steady_state": {}, "localization.concentration": "1 1/um^3"},
            "localization.concentration: is not used where the steady state is found",
        ),
        (
            {"figures": [{"kind": "localized"}], "localization": None},
            'figures[0].kind: "localized" needs [localization]',
        ),
        ({"energies.phonon_maximum": "1.2 Delta0"}, "localization: localized quasiparticles: pairs emit"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_said(said: Said, changes: dict[str, Any], words: str) -> None:  # noqa: F811
    base = copy.deepcopy(FILM) | {"localization": {"capture_time": "1 us"}}
    code, text = said(base, changes)
    assert code == 2 and words in text and "case.toml" in text
