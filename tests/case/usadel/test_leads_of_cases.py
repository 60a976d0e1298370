"""Leads with a balance of heat in cases: what is recorded, resumed, refused."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import put
from matplotlib.figure import Figure
from usadel_cases import BASE, HEATED

import fvqp
from fvqp.errors import CaseError, CheckpointError
from fvqp.results.figures import FigureSpec
from fvqp.results.figures.wire import KINDS

SWEEP = {"V_inj": ["0.1 mV", "0.3 mV", "0.5 mV"], "V_det": ["0.1 mV"]}


def case(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    return copy.deepcopy(BASE | HEATED | {"sweep": SWEEP} | (changes or {}))


def test_material_of_a_lead() -> None:
    """Copper has 2 nW/µm³K⁵."""
    given = case()
    copper = case()
    copper["junctions"][0]["lead"] = {"volume": "0.1 um^3", "material": "Cu", "resistance": "1 kohm"}
    half = put(case(), "junctions.0.lead.electron_phonon_coupling", "1 nW/um^3/K^5")
    found = [fvqp.run(data).dataset for data in (given, copper, half)]
    temperatures = [dataset["T_lead"].values for dataset in found]
    np.testing.assert_array_equal(temperatures[0], temperatures[1])
    assert np.abs(temperatures[2] - temperatures[0]).max() > 1e-4
    # The detector's lead has no balance of its own and stays where it is.
    np.testing.assert_array_equal(temperatures[0][..., 1], 0.037)
    heat = found[0]["P_lead"]
    assert np.isfinite(heat[..., 0]).all() and np.isnan(heat[..., 1]).all()


@pytest.mark.slow
def test_ledger_and_resume(tmp_path: Path) -> None:
    figures = [{"kind": "lead_temperature"}]
    whole = fvqp.run(case({"figures": figures}), out=tmp_path / "whole")
    assert (tmp_path / "whole" / "figures" / "lead_temperature.png").stat().st_size > 0
    figure = Figure()
    KINDS["lead_temperature"](whole.dataset, FigureSpec("lead_temperature"), figure)
    assert [axes.get_title() for axes in figure.axes] == ["junction A"]
    ledger = whole.dataset["ledger_leads"]
    assert np.all(np.abs(ledger[..., 3]) < 1e-7 * np.abs(ledger[..., 0]))
    assert whole.ledger.closes(1e-7)
    part = tmp_path / "part"
    fvqp.run(case(), out=part)
    with pytest.raises(CheckpointError, match="another case"):
        fvqp.run(put(case(), "junctions.0.lead.volume", "1 um^3"), out=part, resume=True)
    again = fvqp.run(case(), out=part, resume=True)
    np.testing.assert_array_equal(again.dataset["T_lead"], whole.dataset["T_lead"])


def test_figure_needs_a_lead() -> None:
    with pytest.raises(CaseError, match="needs a junction with a table lead"):
        fvqp.check(copy.deepcopy(BASE | {"figures": [{"kind": "lead_temperature"}]}))


@pytest.mark.parametrize(
    ("lead", "message"),
    [
        ({"volume": "1 um^3"}, "give either material"),
        ({"volume": "1 um^3", "material": "Cu", "electron_phonon_coupling": "2 nW/um^3/K^5"}, "give either"),
        ({"volume": "1 um^3", "material": "Xx"}, 'no material "Xx"'),
        ({"volume": "1 um^3", "material": "Al_ryan2026"}, "needs electron_phonon_coupling"),
        ({"volume": "1 um^2", "material": "Cu"}, "volume: expected"),
        ({"material": "Cu"}, "volume: missing"),
    ],
)
def test_bad_input(lead: dict[str, Any], message: str) -> None:
    data = case()
    data["junctions"][0]["lead"] = lead
    with pytest.raises(CaseError, match=message):
        fvqp.check(data)
