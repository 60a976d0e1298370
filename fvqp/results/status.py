"""State of a run: ``status.json`` of its results folder, which a run writes and ``fvqp status`` reads."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fvqp.errors import CheckpointError, FvqpError
from fvqp.results.dataset import read_dataset, settled
from fvqp.results.files import write_text
from fvqp.texts import duration

FILE = "status.json"
EVERY = 2.0
"""Seconds between two writings while the run has something to tell."""
BEAT = 10.0
"""Seconds between two writings while it has not: signs of life for other machines."""
SILENT = 120.0
"""Seconds without a sign of life after which a run on another machine counts as stopped; a long compiled step
keeps the writing thread waiting."""
SHOWN = ("x_qp", "n_qp", "gap", "g_nl", "I_det", "I_s", "N_mean", "concentration", "minigap", "Z0")
"""Quantities whose last values are shown, if they are numbers of a point."""
LIVE = ("x_qp", "g_nl", "energy_ph")
"""Quantities of which the progress of a run shows the last value; the first that is not zero."""


class RunState(Enum):
    """State of a run, and the exit code of ``fvqp status``."""

    FINISHED = 0
    RUNNING = 3
    STOPPED = 4


class StatusFile:
    """Writer of ``status.json``; a context manager around a run, on its rank 0.

    Args:
        folder: results folder.
        ranks: number of ranks of the run.
    """

    def __init__(self, folder: Path, ranks: int) -> None:
        self._path = folder / FILE
        self._begin = self._last = time.monotonic()
        known = _read(folder)
        self._before = float(known.get("seconds", 0.0)), float(known.get("processor", 0.0))
        self._processor = time.process_time()
        self._facts: dict[str, Any] = {
            "state": "running",
            "process": os.getpid(),
            "process_start": _start_of(os.getpid()),
            "host": socket.gethostname(),
            "ranks": ranks,
        }
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> StatusFile:
        self._write()
        threading.Thread(target=self._beat, daemon=True).start()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._ended.set()
        reason = "" if error is None else str(error) or "interrupted"
        with self._lock:
            self._facts |= {"state": "stopped" if reason else "finished", "reason": reason}
            self._write()

    def tell(self, **facts: Any) -> None:
        """Take over facts about the run (JSON), and write them when that is due."""
        with self._lock:
            self._facts |= facts
            if time.monotonic() - self._last >= EVERY:
                self._write()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT):
            with self._lock:
                if not self._ended.is_set() and time.monotonic() - self._last >= BEAT:
                    self._write()

    def _write(self) -> None:
        self._last = time.monotonic()
        spent = self._last - self._begin
        facts = self._facts | {
            "updated": time.time(),
            "session": spent,
            "seconds": self._before[0] + spent,
            "processor": self._before[1] + time.process_time() - self._processor,
        }
        # A full disk stops a run where its results are written, with a message.
        with suppress(FvqpError):
            write_text(self._path, json.dumps(facts, indent=1))


@dataclass(frozen=True)
class RunStatus:
    """State of a run as its folder tells it.

    Attributes:
        folder: results folder.
        state: of the run.
        reason: why it stopped; empty if it has not, or nobody knows.
        facts: what ``status.json`` holds.
        points: number of points computed, and of all; None without results.
        values: last values of some quantities, as text.
    """

    folder: Path
    state: RunState
    reason: str = ""
    facts: dict[str, Any] = field(default_factory=dict)
    points: tuple[int, int] | None = None
    values: tuple[str, ...] = ()

    @property
    def seconds(self) -> float:
        """Time that the run has taken so far, resumed parts added up; NaN if it did not say."""
        return float(self.facts.get("seconds", np.nan))

    @property
    def processor(self) -> float:
        """Processor time of rank 0 so far, seconds; NaN if the run did not say."""
        return float(self.facts.get("processor", np.nan))

    def __str__(self) -> str:
        known, lines = self.facts, [f"{self.folder}: {self.state.name.lower()}"]
        if self.reason:
            lines[0] += f": {self.reason}"
        rows = []
        if self.points is not None:
            done, total = self.points
            last = f"; last {known['last']}" if known.get("last") else ""
            rows.append(("points", f"{done} of {total}{last}"))
        if self.state is not RunState.FINISHED:
            if known.get("within"):
                note = f"; {known['note']}" if known.get("note") else ""
                rows.append(("now", f"{100.0 * known['part']:.0f} % of {known['within']}{note}"))
            if self.state is RunState.RUNNING and known.get("left"):
                rows.append(("left", str(known["left"])))
        if known.get("steps"):
            rate = known["steps"] / max(known.get("session", 0.0), 1e-9)
            rows.append(("steps", f"{known['steps']}, {rate:.3g} a second"))
        if self.values:
            rows.append(("values", ", ".join(self.values)))
        if known:
            rows.append(("time", _process(known)))
        return "\n".join([*lines, *(f"  {name:<9}{text}" for name, text in rows)])


def run_status(folder: str | Path) -> list[RunStatus]:
    """Return the state of the run that writes, or has written, a results folder.

    A run counts as running while its process lives; on another machine, while it writes.

    Returns:
        One; of a case of several stages, or of a study, one for each run that has begun.

    Raises:
        CheckpointError: no results folder.
    """
    folder = Path(folder)
    runs = sorted(part.parent for part in folder.glob(f"runs/*/{FILE}"))
    if runs and not (folder / "case.toml").is_file():
        return [one for run in runs for one in run_status(run)]
    if not (folder / "case.toml").is_file():
        raise CheckpointError(
            f"{folder}: holds no case.toml; a results folder is what fvqp run --out makes, from its start on"
        )
    facts = _read(folder)
    stages = sorted(part.parent for part in folder.glob(f"*/{FILE}"))
    if not facts and stages:
        return [one for stage in stages for one in run_status(stage)]
    dataset = None
    with suppress(CheckpointError):
        dataset = read_dataset(folder / "results.nc")
    points = None if dataset is None else _points(dataset)
    values = () if dataset is None else _last_values(dataset)
    state, reason = _state(facts, points)
    return [RunStatus(folder, state, reason, facts, points, values)]


def last_value(dataset: xr.Dataset, place: tuple[int, ...]) -> str:
    """Return the quantity that progress shows of a point, as "x_qp = 1.2e-06"; empty if there is none."""
    names = [name for name in LIVE if _number(dataset, place, name) != 0.0] or LIVE
    return next(iter(_values(dataset, place, names)), "")


def _state(facts: dict[str, Any], points: tuple[int, int] | None) -> tuple[RunState, str]:
    if not facts:
        # The folder of an earlier version, or the run has not begun.
        whole = points is not None and points[0] == points[1]
        return (RunState.FINISHED, "") if whole else (RunState.STOPPED, "it has not said anything yet")
    if facts.get("state") == "finished":
        return RunState.FINISHED, ""
    if facts.get("state") == "stopped":
        return RunState.STOPPED, str(facts.get("reason", ""))
    process, host = int(facts.get("process", 0)), str(facts.get("host", ""))
    if host == socket.gethostname():
        if _lives(process, facts.get("process_start")):
            return RunState.RUNNING, ""
        return RunState.STOPPED, f"process {process} has ended without a word"
    silence = time.time() - float(facts.get("updated", 0.0))
    if silence <= SILENT:
        return RunState.RUNNING, ""
    return RunState.STOPPED, f"no sign of life from process {process} on {host} for {silence:.0f} s"


def _read(folder: Path) -> dict[str, Any]:
    """Facts of ``status.json``; none if it is not there or damaged."""
    try:
        found = json.loads((folder / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _lives(process: int, begun: Any) -> bool:
    """Return whether a process of this machine lives, and is the one that began then."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        pass  # it is somebody else's
    return begun is None or _start_of(process) == begun


def _start_of(process: int) -> str | None:
    """Start of a process, in ticks since the machine's; None where the system does not say or it is dead."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The name in brackets may hold anything; state and start are fields 3 and 22.
    fields = text.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in "ZX" else None


def _points(dataset: xr.Dataset) -> tuple[int, int]:
    done = settled(dataset)
    return int(done.sum()), int(done.size)


def _last_values(dataset: xr.Dataset) -> tuple[str, ...]:
    """Values of the last computed point."""
    if "completed" not in dataset:
        return ()
    swept = dataset["completed"]
    computed = np.argwhere(np.atleast_1d(swept.values))
    if not len(computed):
        return ()
    return tuple(_values(dataset, tuple(computed[-1]) if swept.ndim else (), SHOWN))


def _values(dataset: xr.Dataset, place: tuple[int, ...], names: Sequence[str]) -> Iterator[str]:
    """Finite numbers of a point, with units."""
    for name in names:
        if np.isfinite(value := _number(dataset, place, name)):
            unit = dataset.variables[name].attrs.get("units", "1")
            yield f"{name} = {value:.4g}{'' if unit == '1' else f' {unit}'}"


def _number(dataset: xr.Dataset, place: tuple[int, ...], name: str) -> float:
    """A number of a point; NaN if there is none."""
    variable = dataset.variables.get(name)
    there = variable is not None and variable.dims == dataset.variables["completed"].dims
    return float(variable.values[place]) if variable is not None and there else np.nan


def _process(facts: dict[str, Any]) -> str:
    ago = duration(max(0.0, time.time() - float(facts.get("updated", time.time()))))
    ranks = int(facts.get("ranks", 1))
    where = f"process {facts.get('process')} on {facts.get('host')}"
    where += f", {ranks} ranks" if ranks > 1 else ""
    return f"{duration(float(facts.get('seconds', 0.0)))} so far, {where}; last sign {ago} ago"
