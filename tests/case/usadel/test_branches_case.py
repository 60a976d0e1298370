"""`gap.branches`: coexisting gaps and folds in the results, in the figure and in the log."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import fvqp

CASE: dict[str, Any] = {
    "model": "usadel",
    "mesh": {"shape": {"kind": "grid1d", "nx": 24, "Lx": "6 um", "boundaries": {"middle": "3 um"}}},
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "junctions": [
        {"name": "A", "on": "middle", "conductance": "2 mS", "role": "injector", "temperature": "37 mK"}
    ],
    "reservoirs": [{"on": ["left", "right"], "temperature": "24 mK"}],
    "spectrum": {"broadening": 0.05},
    "energies": {"number": 60, "spacing": "uniform", "maximum": 3.0},
    "gap": {"model": "uniform", "at": "middle", "branches": True},
    "sweep": {"V_inj": {"from": "0.75 Delta0", "to": "0.85 Delta0", "points": 11}},
    "output": {"fields": []},
    "figures": [{"kind": "gap"}],
}


@pytest.mark.slow
def test_branches_are_recorded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fvqp.results.progress.PATIENCE", 0.0)
    monkeypatch.setattr("fvqp.results.progress.LINE_EVERY", 0.0)
    with caplog.at_level(logging.INFO):
        dataset = fvqp.run(CASE, tmp_path / "out").dataset
    assert any("the branch of solutions turns back" in record.message for record in caplog.records)
    assert any("% of the branch of solutions, at V_inj = 0.2" in r.message for r in caplog.records)
    folds = dataset["V_fold"].values[0]
    upper, lower = folds[np.isfinite(folds)]
    biases, gaps = dataset["V_inj"].values, dataset["gap_solutions"].values[:, 0]
    assert biases[0] < lower < upper < biases[-1]
    number = np.isfinite(gaps).sum(axis=1)
    inside = (biases > lower) & (biases < upper)
    assert inside.any()
    np.testing.assert_array_equal(number, np.where(inside, 3, 1))
    # The sweep goes up on the branch from rest, and stays there to its end.
    np.testing.assert_allclose(dataset["gap"].values[:, 0], gaps[:, 0], rtol=1e-6)
    edges = dataset["gap_fold"].values[0, 0, :2]
    assert edges[1] < edges[0]
    assert (tmp_path / "out" / "figures" / "gap.png").stat().st_size > 5000
