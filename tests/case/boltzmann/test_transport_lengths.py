"""Cells are judged beside the lengths that particles diffuse."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import changed

import fvqp

TRAPPED: dict[str, Any] = {
    "model": "transport",
    "material": {"name": "Al"},
    "mesh": {"shape": {"kind": "grid1d", "nx": 26, "Lx": "260 um", "regions": {"trap": ["0 um", "60 um"]}}},
    "energies": {"maximum": "2 Delta0", "width": "0.25 Delta0"},
    "gap": {"model": "fixed"},
    "quasiparticles": {"motion": "diffusive", "diffusivity": "20 cm^2/s"},
    "phonons": {"escape": {"time": "0.1 ns"}},
    "trapping": [{"rate": "20 MHz", "regions": ["trap"]}],
    "bath": {"temperature": "0.1 K"},
    "evolution": {"start": "1 us", "end": "100 us"},
}


def row(data: dict[str, Any], region: str) -> str:
    (found,) = (line for line in fvqp.check(data).splitlines() if line.startswith(f"  in {region}"))
    return found


def test_length_before_a_constant_trapping() -> None:
    """√(D v/(v_F Γ)), and times as squares of lengths; much longer where nothing traps."""
    speed = np.sqrt(1.0 - 1.125**-2)  # in the middle of the bin above the gap
    expected = np.sqrt(20e-4 * speed / 20e6) * 1e6
    found = row(TRAPPED, "trap").partition("quasiparticles diffuse ")[2]
    assert float(found.split()[0]) == pytest.approx(expected, rel=0.15)
    beside = row(TRAPPED, "other cells").partition("quasiparticles diffuse ")[2]
    assert float(beside.split()[0]) > 10.0 * expected
    times = []
    for cells in (26, 13):
        text = row(changed(TRAPPED, {"mesh.shape.nx": cells}), "trap")
        times.append(float(text.partition("cross the largest cell in ")[2].split()[0]))
    assert times[1] == pytest.approx(4.0 * times[0], rel=0.1)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mesh.shape.nx": 52}, ""),
        ({}, "what enters may be off by more than 2 %"),
        ({"mesh.shape.nx": 52, "evolution": {"start": "1 ns", "end": "4 ns"}}, "longer than evolution.end"),
        ({"trapping": []}, ""),
    ],
)
def test_warnings_of_large_cells(
    changes: dict[str, Any], says: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A cell across the edge of the trap is larger than the length that quasiparticles reach in it."""
    fvqp.check(changed(TRAPPED, changes))
    texts = [record.getMessage() for record in caplog.records if "mesh: " in record.getMessage()]
    assert says in " ".join(texts) and bool(says) == bool(texts)


def test_no_shipped_device_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    for name in ("film_with_trap", "qubit_chip"):
        fvqp.check(Path(__file__).parents[3] / "cases" / "devices" / f"{name}.toml")
    assert "mesh: " not in caplog.text
