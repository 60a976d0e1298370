"""A long simulation that was stopped goes on within itself, as if it had never been."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stochastic_cases import TAIL, WIRE

import fvqp
from fvqp.case.localized.study import RUNS
from fvqp.errors import CheckpointError
from fvqp.models.localized import LongRun, Simulation

DECAY = {**TAIL, "relaxation": {"end": "100 s"}}
STEADY = {**DECAY, "monte_carlo": {"accuracy": 0.03}}


def stopped_after(intervals: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next run is killed after so many intervals, of which it has saved all but the last."""
    interval = LongRun._interval

    def last(self: LongRun, stop: float, cells: bool) -> Any:
        found = interval(self, stop, cells)
        if len(self._done) == intervals:
            self.save()
        elif len(self._done) > intervals:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(LongRun, "_interval", last)


@pytest.mark.parametrize(
    ("data", "intervals"),
    [
        pytest.param(DECAY, 5, id="before", marks=pytest.mark.slow),
        pytest.param(DECAY, 60, id="averages", marks=pytest.mark.slow),
        pytest.param(DECAY, 180, id="decay", marks=pytest.mark.slow),
        pytest.param(STEADY, 330, id="steady", marks=pytest.mark.slow),
        pytest.param(WIRE, 60, id="wire"),
    ],
)
def test_a_stopped_run_goes_on(
    data: dict[str, Any], intervals: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulated: list[float] = []
    advance = Simulation.advance

    def counted(self: Simulation, times: Any, **options: Any) -> Any:
        simulated.extend(np.atleast_1d(times))
        return advance(self, times, **options)

    monkeypatch.setattr(Simulation, "advance", counted)
    whole = fvqp.run(copy.deepcopy(data), out=tmp_path / "whole").dataset
    alone = fvqp.run(copy.deepcopy(data)).dataset
    number = len(simulated) // 2
    with monkeypatch.context() as stop:
        stopped_after(intervals, stop)
        with pytest.raises(KeyboardInterrupt):
            fvqp.run(copy.deepcopy(data), out=tmp_path / "parts")
    simulated.clear()
    parts = fvqp.run(copy.deepcopy(data), out=tmp_path / "parts", resume=True).dataset
    assert len(simulated) <= number - intervals
    assert not (tmp_path / "parts" / RUNS).exists()
    for name in whole.data_vars:
        for other in (parts, alone):
            assert whole[name].equals(other[name]), name


def test_what_is_kept_of_another_case_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as stop:
        stopped_after(20, stop)
        with pytest.raises(KeyboardInterrupt):
            fvqp.run(copy.deepcopy(TAIL), out=tmp_path)
    (kept,) = (tmp_path / RUNS).iterdir()
    other = copy.deepcopy(TAIL) | {"monte_carlo": {**TAIL["monte_carlo"], "seed": 1}}
    fresh = fvqp.run(copy.deepcopy(other)).dataset
    assert fvqp.run(other, out=tmp_path, resume=True).dataset["events"].equals(fresh["events"])
    assert not kept.exists()


def test_a_damaged_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as stop:
        stopped_after(20, stop)
        with pytest.raises(KeyboardInterrupt):
            fvqp.run(copy.deepcopy(TAIL), out=tmp_path)
    (kept,) = (tmp_path / RUNS).iterdir()
    kept.write_bytes(kept.read_bytes()[:2000])
    with pytest.raises(CheckpointError, match=f"{kept.name}: .*damaged"):
        fvqp.run(copy.deepcopy(TAIL), out=tmp_path, resume=True)
    # Without resuming it begins anew.
    assert fvqp.run(copy.deepcopy(TAIL), out=tmp_path / "new").dataset["completed"].all()
