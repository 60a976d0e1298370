"""What stands beside the results: closed forms, thermal distributions, and all figures drawn with them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kinetic_cases import DRIVEN, PULSE
from scipy import constants

import fvqp
from fvqp.errors import CaseError

PROBED = {"resonator": {"photon_energy": "0.1 Delta0"}, "output": {"rates": True}}
POWER = {"microwaves": [{"photon_energy": "0.2 Delta0", "absorbed_power": "10 aW/um^3"}]}
COMPARED = {
    "distribution": ("analytic", "thermal"),
    "phonons": ("analytic",),
    "density": ("analytic",),
    "x_qp": ("analytic",),
    "temperatures": ("analytic",),
    "gap": (),
    "gap_suppression": ("analytic",),
    "efficiency": (),
    "recombination": ("thermal",),
    "conductivity": ("thermal",),
    "resonator": ("thermal",),
    "lifetimes": ("analytic",),
}


def case(base: dict[str, Any], *changes: dict[str, Any]) -> dict[str, Any]:
    data = copy.deepcopy(base)
    for change in changes:
        data |= copy.deepcopy(change)
    return data


def figures(*kinds: str, compare: str | None = None) -> dict[str, Any]:
    return {"figures": [{"kind": kind} | ({"compare": compare} if compare else {}) for kind in kinds]}


def drawn(folder: Path) -> set[str]:
    return {path.name for path in (folder / "figures").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("drive", [{}, POWER], ids=["photons", "power"])
def test_figures_of_steady_states(drive, tmp_path):
    """Every kind, with everything that may stand beside it."""
    wanted = [{"kind": kind, "file": f"{kind}.png"} for kind in COMPARED] + [
        {"kind": kind, "file": f"{kind}_{beside}.png", "compare": beside}
        for kind, besides in COMPARED.items()
        for beside in besides
    ]
    sweep = {"sweep": {"temperature": ["0.25 K", "0.3 K"], "strength": [1.0, 10.0]}}
    fvqp.run(case(DRIVEN, PROBED, drive, sweep, {"figures": wanted}), out=tmp_path / "out")
    assert drawn(tmp_path / "out") == {figure["file"] for figure in wanted}


@pytest.mark.slow
def test_figures_of_evolutions(tmp_path):
    kinds = (
        "distribution",
        "phonons",
        "density",
        "inverse_density",
        "energies",
        "gap",
        "efficiency",
        "recombination",
    )
    fvqp.run(case(PULSE, figures(*kinds)), out=tmp_path / "out")
    assert drawn(tmp_path / "out") == {f"{kind}.png" for kind in kinds}


def test_thermal_state_beside_itself():
    """In equilibrium what is found is what the thermal distribution has."""
    data = fvqp.run(
        case(
            DRIVEN,
            PROBED,
            {"microwaves": [], "sweep": {"temperature": "0.25 K"}},
            figures("recombination", compare="thermal"),
        )
    ).dataset.isel(temperature=0)
    np.testing.assert_allclose(data["temperature_qp"], 0.25, rtol=1e-6)
    for name in ("f", "recombination_rate", "sigma1", "inverse_quality_factor"):
        np.testing.assert_allclose(data[f"{name}_thermal"], data[name], rtol=1e-5)


@pytest.mark.slow
def test_suppression_of_a_gap_that_follows():
    """It is ``1 − Δ/Δ0``; of a fixed gap, what the gap equation gives for f, here within its square."""
    follows = fvqp.run(case(PULSE, {"gap": {}})).dataset
    expected = 1.0 - follows["gap"].values / follows.attrs["delta0_eV"]
    np.testing.assert_allclose(follows["gap_suppression"], expected, rtol=1e-9)
    fixed = fvqp.run(case(PULSE)).dataset["gap_suppression"].values[:, 0]
    np.testing.assert_allclose(fixed, expected[:, 0], rtol=4.0 * expected.max())


def test_recombination_rate_is_the_mean_of_the_rates():
    """Over quasiparticles, at low occupation."""
    data = fvqp.run(case(DRIVEN, PROBED)).dataset.isel(temperature=0, strength=0)
    # n_qp = ∫ρf, so that a mean with these weights is bounded by the smallest and the largest rate
    rates = data["rate_recombination"].values
    assert np.nanmin(rates) < float(data["recombination_rate"]) < np.nanmax(rates)
    assert 0.0 <= float(data["share_above_2gap"]) <= 1.0


def test_trapped_quasiparticles_leave():
    """What traps take is not negative injection."""
    strong = {"sweep": {"temperature": "0.25 K", "strength": [100.0]}}
    trapped = case(DRIVEN, strong, {"trapping": {"rate": "1 GHz"}})
    data = fvqp.run(trapped).dataset.isel(temperature=0, strength=0)
    free = fvqp.run(case(DRIVEN, strong)).dataset.isel(temperature=0, strength=0)
    assert float(data["power_injected"]) > 0.0
    assert float(data["power_escaped"]) == pytest.approx(float(data["power_injected"]), rel=1e-6)
    assert float(data["n_qp"]) < 0.99 * float(free["n_qp"])


def test_rate_of_photons_at_given_power():
    """A mode with this rate absorbs the power."""
    given = fvqp.run(case(DRIVEN, POWER)).dataset.isel(temperature=0, strength=0)
    mode = {
        "photon_energy": "0.2 Delta0",
        "coupling": f"{float(given['drive_rate']) / 1e12} Hz",
        "photons": 1e12,
    }
    found = fvqp.run(case(DRIVEN, {"microwaves": [mode]})).dataset.isel(temperature=0, strength=0)
    assert float(given["power_injected"]) == pytest.approx(10.0, rel=1e-9)  # 1 aW/µm³ is 1 W/m³
    assert float(found["power_injected"]) == pytest.approx(10.0, rel=1e-5)
    np.testing.assert_allclose(found["f"], given["f"], rtol=1e-4)


def test_cold_lifetimes_carry_their_units():
    """Far above the gap ``1/τ_s → (E/k_BT_c)³/3τ0``, and a phonon of 2Δ lives for τ0^pb."""
    settings = {"energies": {"maximum": "60 Delta0", "width": "0.2 Delta0"}, "gap": {}, "microwaves": []}
    data = fvqp.run(
        case(
            DRIVEN,
            PROBED,
            settings,
            {"sweep": {"temperature": "0.25 K"}},
            figures("lifetimes", compare="analytic"),
        )
    ).dataset.isel(temperature=0)
    energy = data["energy"].values[-1] * constants.e
    limit = (energy / (constants.k * 1.18)) ** 3 / 3.0 / data.attrs["tau0_s"]
    assert float(data["rate_scattering_analytic"][-1]) == pytest.approx(limit, rel=0.08)
    broken = data["rate_pair_breaking_analytic"].values * data.attrs["tau0_pb_s"]
    assert np.nanmin(broken) == pytest.approx(1.0, abs=0.1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (figures("density", compare="thermal"), r'figures\[0\]\.compare: "thermal" is for "distribution"'),
        (figures("gap", compare="analytic"), r'there are closed forms for .*, not for "gap"'),
        (figures("inverse_density"), r'figures\[0\]\.kind: "inverse_density" shows an evolution'),
        (
            {"phonons": {"model": "bath"}} | figures("temperatures", compare="analytic"),
            r"the closed form of the temperature needs phonons\.escape",
        ),
    ],
)
def test_messages(changes, message):
    with pytest.raises(CaseError, match=message):
        fvqp.check(case(DRIVEN, changes))
