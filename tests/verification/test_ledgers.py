"""Balances of every shipped case, run smaller: what enters leaves, is stored, or is lost where it says."""

from __future__ import annotations

import copy
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from kinetic_cases import DRIVEN, PULSE
from matplotlib import pyplot
from run_cases import line
from shipped_cases import CASES, REDUCED

import fvqp
from fvqp.errors import FvqpError
from fvqp.models.localized import Simulation
from fvqp.models.localized.trajectory import Trajectory
from fvqp.results import open_result
from fvqp.results.figures import kinds_of

pytestmark = pytest.mark.slow

#: Part of the largest flow of a sweep that may be missing.
CLOSED = 1e-8
#: What the sum of probabilities may miss; the Fokker-Planck equation knows a density over continuous N.
PROBABILITY = {"master": 1e-9, "simplified": 1e-7, "fokker_planck": 1e-5, "trajectory": 1e-9}
#: Cases in which nothing flows: spectra beside a contact, thermal equilibrium.
AT_REST = {"proximity/normal_wire", "proximity/sn_wire", "kaplan1976/lifetimes"}
#: Cases without amounts that could be balanced, and why.
WITHOUT = {
    "boltzphlow2026/eliashberg": "spectra in equilibrium",
    "meyer2020/phase_diagram": "means of rate equations, which store no flow",
}


def test_every_case_is_here() -> None:
    assert set(REDUCED) == {str(path.relative_to(CASES).with_suffix("")) for path in CASES.rglob("*.toml")}
    assert len(REDUCED) >= 54 and set(WITHOUT) | AT_REST < set(REDUCED)


@pytest.fixture
def trajectories(monkeypatch: pytest.MonkeyPatch) -> list[Trajectory]:
    """Whatever Monte Carlo computes from now on."""
    found: list[Trajectory] = []
    advance = Simulation.advance

    def kept(self: Simulation, *given: Any, **options: Any) -> Trajectory:
        found.append(advance(self, *given, **options))
        return found[-1]

    monkeypatch.setattr(Simulation, "advance", kept)
    return found


@pytest.mark.parametrize("name", REDUCED)
def test_balance(name: str, tmp_path: Path, trajectories: list[Trajectory]) -> None:
    case = CASES / f"{name}.toml"
    drawn = ["figures=[]"] if "\n[[figures]]" in case.read_text() else []
    result = fvqp.run(case, out=tmp_path / "out", overrides=[*REDUCED[name], *drawn])
    stages = sorted(path.parent for path in (tmp_path / "out").glob("*/results.nc"))
    balanced = []
    for dataset in [open_result(path).dataset for path in stages] or [result.dataset]:
        assert dataset["completed"].size and dataset["completed"].values.all()
        balanced += BALANCES[dataset.attrs["model"]](dataset, name in AT_REST, trajectories)
    # Something was balanced, in every case and stage that has something to balance.
    assert len(balanced) >= max(len(stages), 1) or name in WITHOUT, balanced
    for one in [open_result(path) for path in stages] or [result]:
        every_figure_is_drawn_or_says_why(one)


def every_figure_is_drawn_or_says_why(result: fvqp.Result) -> None:
    kinds = list(kinds_of(result.dataset))
    drawn = []
    for kind in kinds:
        with suppress(FvqpError):
            drawn += result.plot(kind)
        pyplot.close("all")
    assert drawn, kinds


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (line(), ["ledger_energy", "ledger_charge", "ledger_particles", "I_inj"]),
        (PULSE, ["energy_qp", "energy_ph", "energy_escaped"]),
        (DRIVEN, ["power_injected", "power_escaped", "power_to_phonons"]),
    ],
    ids=["usadel", "evolution", "steady"],
)
def test_what_is_missing_is_found(data: dict[str, Any], names: list[str]) -> None:
    """A thousandth more or less of any amount opens the balance."""
    whole = fvqp.run(copy.deepcopy(data)).dataset
    model = BALANCES[whole.attrs["model"]]
    model(whole, False, [])
    for name in names:
        last = {dimension: -1 for dimension in whole[name].dims if dimension != "ledger_entry"}
        for entry in range(3) if "ledger_entry" in whole[name].dims else (None,):
            at = last if entry is None else last | {"ledger_entry": entry}
            if whole[name][at] != 0.0:
                changed = whole.copy(deep=True)
                changed[name][at] *= 1.001
                with pytest.raises(AssertionError):
                    model(changed, False, [])


def usadel(dataset: xr.Dataset, at_rest: bool, _: object) -> list[str]:
    """Particles, charge and energy at every point, and the heat of leads."""
    rows = [str(name) for name in dataset if str(name).startswith("ledger_")]
    assert {"ledger_energy", "ledger_charge"} <= set(rows)
    for row in rows:
        values = dataset[row]
        assert list(values["ledger_entry"].values) == ["injected", "relaxed", "taken_out", "residual"]
        injected, relaxed, taken, residual = np.moveaxis(values.values, -1, 0)
        largest = np.abs(values.values[..., :3]).max()
        assert (largest > 0.0) != at_rest, row
        assert np.all(np.isfinite(values.values))
        np.testing.assert_array_less(
            np.abs(injected - relaxed - taken), CLOSED * largest + np.finfo(float).tiny, row
        )
        np.testing.assert_allclose(injected - relaxed - taken, residual, rtol=0, atol=1e-12 * largest)
    if "I_inj" in dataset:
        charge = dataset["ledger_charge"].values[..., 0]
        currents = [dataset["I_inj"].values]
        if "I_det" in dataset:  # an ideal probe takes nothing from the device
            currents.append(currents[0] - dataset["I_det"].values)
        worst = [np.abs(charge - current).max() for current in currents]
        assert min(worst) < 1e-9 * np.abs(charge).max()
    return rows


def transport(dataset: xr.Dataset, at_rest: bool, _: object) -> list[str]:
    """Power of a steady state; energy since the start of an evolution."""
    if "power_residual" in dataset:
        injected, escaped = dataset["power_injected"].values, dataset["power_escaped"].values
        assert injected.max() > 0.0
        assert np.abs(injected - escaped).max() < CLOSED * injected.max()
        np.testing.assert_allclose(dataset["power_residual"], injected - escaped, atol=1e-12 * injected.max())
        return ["power"]
    return evolution(dataset)


def boltzmann(dataset: xr.Dataset, at_rest: bool, _: object) -> list[str]:
    """The same; quasiparticles pass to phonons what leaves them and what drives give."""
    if "energy_residual" in dataset:
        return evolution(dataset)
    injected, escaped = dataset["power_injected"].values, dataset["power_escaped"].values
    passed = dataset["power_to_phonons"].values
    assert (injected.max() > 0.0) != at_rest
    if at_rest:
        # Energy of quasiparticles over their longest lifetime is what passes to phonons and back.
        size = (dataset["energy_qp"] * dataset["rate_recombination"].min("energy")).values
        assert size.min() > 0.0 and np.all(np.abs(passed) <= 1e-12 * size)
        return ["power"]
    assert injected.min() > 0.0
    assert np.all(np.abs(injected - escaped) <= 1e-6 * injected)
    assert np.all(np.abs(injected - passed) <= 1e-6 * injected)
    return ["power"]


def evolution(dataset: xr.Dataset) -> list[str]:
    stored = sum(dataset[name].values for name in ("energy_qp", "energy_ph", "energy_condensate"))
    stored = np.moveaxis(stored, dataset["energy_qp"].dims.index("time"), 0)
    injected, escaped, residual = (
        np.moveaxis(dataset[f"energy_{part}"].values, dataset["energy_qp"].dims.index("time"), 0)
        for part in ("injected", "escaped", "residual")
    )
    # Quasiparticles and phonons exchange what is conserved.
    moved = np.ptp(dataset["energy_qp"].values) + np.ptp(dataset["energy_ph"].values) + np.ptp(escaped)
    assert len(stored) > 2 and moved > 1e-6 * np.abs(stored).max()
    balance = stored - stored[0] + escaped - injected
    assert np.abs(balance).max() < CLOSED * moved
    np.testing.assert_allclose(residual, balance, rtol=0, atol=1e-12 * np.abs(stored).max())
    return ["energy"]


def localized(dataset: xr.Dataset, at_rest: bool, trajectories: list[Trajectory]) -> list[str]:
    """Particles: generated one by one, annihilated in pairs."""
    assert trajectories
    for one in trajectories:
        np.testing.assert_array_equal(np.diff(one.number), one.generated - 2 * one.annihilated)
    assert sum(int(one.annihilated.sum()) for one in trajectories) > 0
    events = sum(int((one.generated + one.annihilated + one.flipped).sum()) for one in trajectories)
    assert 0 < int(dataset["events"].sum()) <= events
    return ["particles"]


def clusters(dataset: xr.Dataset, at_rest: bool, _: object) -> list[str]:
    """Probability: of all states together 1, but for what is said to be lost."""
    rows = [name for name in ("P", "P_evolution") if name in dataset]
    for name in rows:
        for equation in dataset["equation"].values:
            total = dataset[name].sel(equation=equation).sum("N", skipna=False).values
            if equation == "mean_field":
                assert np.all(np.isnan(total))
            else:
                np.testing.assert_allclose(total, 1.0, rtol=0, atol=PROBABILITY[str(equation)])
    return rows


def weak_link(dataset: xr.Dataset, at_rest: bool, _: object) -> list[str]:
    """Current: what goes in at one end comes out at the other."""
    current = dataset["I_reservoir"].values
    assert np.abs(current).max() > 0.0
    assert np.abs(current.sum(axis=-1)).max() < CLOSED * np.abs(current).max()
    return ["current"]


BALANCES = {
    "usadel": usadel,
    "transport": transport,
    "boltzmann": boltzmann,
    "localized": localized,
    "clusters": clusters,
    "weak_link": weak_link,
    "eliashberg": lambda *_: [],
}
