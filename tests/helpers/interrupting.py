"""Runs that stop before their end, and points that are to be computed again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import pytest

from fvqp.case.recorder import Recorder
from fvqp.results.files import seal


def interrupted_after(points: int, recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make runs stop, as by Ctrl-C, when that many points are recorded."""
    recorded: list[object] = []
    original = recorder.record  # type: ignore[attr-defined]

    def record(self: Recorder, *arguments: Any) -> None:
        if len(recorded) == points:
            raise KeyboardInterrupt
        recorded.append(arguments)
        original(self, *arguments)

    monkeypatch.setattr(recorder, "record", record)


def forget(folder: Path, places: Any) -> None:
    """Make points of a results folder ones that are still to be computed."""
    with h5py.File(folder / "checkpoint.h5", "r+") as file:
        completed = file["completed"][()]
        completed[places] = 0
        file["completed"][...] = completed
    seal(folder / "checkpoint.h5")
