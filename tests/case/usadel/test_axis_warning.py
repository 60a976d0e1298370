"""An energy axis that is too coarse for the non-local conductance is foretold from the spectra at rest."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from case_keys import changed
from mpi4py import MPI
from said import write_case

import fvqp
from fvqp.case import load_case
from fvqp.case.usadel.build import build_mesh, build_problems, build_sweep
from fvqp.models.usadel.axis_error import axis_error

CASES = Path(__file__).parents[3] / "cases"
WIRE: dict[str, Any] = {
    "model": "usadel",
    "mesh": {
        "shape": {
            "kind": "grid1d", "Lx": "2 um", "nx": 20,
            "regions": {"injector": ["0.5 um", "0.7 um"], "detector": ["0.9 um", "1.1 um"]},
        },
    },
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "junctions": [
        {"name": "A", "on": "injector", "conductance": "24.6 uS", "role": "injector"},
        {"name": "B", "on": "detector", "conductance": "31.4 uS", "role": "detector", "bias": "0 V"},
    ],
    "reservoirs": [{"on": ["left", "right"]}],
    "spectrum": {"broadening": 0.01},
    "energies": {"number": 40, "spacing": "uniform"},
    "sweep": {"temperature": "0.1 K", "V_inj": ["-0.27 mV", "0.1 mV", "0.27 mV", "0.4 mV"]},
}  # fmt: skip
FINE = {"energies.number": 1500, "energies.spacing": "graded"}


def error(found: Any, fine: Any, name: str) -> float:
    """Largest difference over the largest value, percent."""
    return float(100.0 * np.abs(found[name] - fine[name]).max() / np.abs(fine[name]).max())


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, True),
        pytest.param({"sweep.temperature": "0.3 K"}, True, marks=pytest.mark.slow),
        ({"sweep.V_inj": ["0.1 mV", "0.4 mV"]}, True),
        ({"sweep.V_inj": ["0 V"], "energies.spacing": "graded", "sweep.temperature": "0.03 K"}, True),
        ({"energies.number": 60, "energies.spacing": "graded"}, False),
    ],
)
def test_error_of_a_coarse_axis(changes: dict[str, Any], says: bool, caplog: Any) -> None:
    """The expected errors are those beside an axis of 1500 bins, within a third of them."""
    found = fvqp.run(changed(WIRE, changes)).dataset
    told = [record.message for record in caplog.records if "energies.number" in record.message]
    fine = fvqp.run(changed(WIRE, changes | FINE)).dataset
    assert len(told) == says
    measured = [error(found, fine, "g_nl")]
    if np.any(fine["I_det"] != 0.0):
        measured.append(error(found, fine, "I_det"))
    assert (max(measured) > 1.0) == says
    if says:
        numbers = re.search(
            r"some (\S+) % of its largest value and the non-local current by (\S+) %", told[0]
        )
        assert numbers
        for expected, real in zip(numbers.groups(), measured, strict=False):
            assert float(expected) == pytest.approx(real, rel=0.33, abs=0.1)


def test_check_tells_too(answer: Any, caplog: Any) -> None:
    """Before anything is computed."""
    write_case(WIRE, {})
    assert answer("check", "case.toml")[0] == 0
    assert any("40 bins are coarse" in record.message for record in caplog.records)


@pytest.mark.parametrize(
    "name",
    [
        "networks/side_arm",
        "ryan2026/fig12",
        "ryan2026/sign",
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in ("ryan2026/fig10", "ryan2026/fig13", "ryan2026/fig6", "ryan2026/wire_film")
        ),
    ],
)
def test_shipped_axes_are_fine(name: str) -> None:
    case = load_case(CASES / f"{name}.toml")
    problems, biases = build_problems(case, build_mesh(case, MPI.COMM_SELF)), build_sweep(case).V_inj
    drives = (0.0,) if case.supercurrent is None else case.supercurrent.values
    for problem in problems:
        for value in drives:
            conductance, current = axis_error(problem, value, biases)
            assert 0.0 < conductance < 0.006 and 0.0 <= current < 0.002
