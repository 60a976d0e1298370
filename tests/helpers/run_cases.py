"""Small cases for running, as dictionaries laid out like case files."""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tomlkit
import xarray as xr
from wire_devices import MESHES

#: A wire of 40 cells with an injector and a detector on points of it.
LINE: dict[str, Any] = {
    "title": "A short wire",
    "model": "usadel",
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 40,
            "Lx": "4 um",
            "boundaries": {"point_A": "1.7 um", "point_B": "2.0 um", "point_C": "2.3 um"},
        }
    },
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "junctions": [
        {"name": "A", "on": "point_A", "conductance": "24.6 uS", "role": "injector", "temperature": "61 mK"},
        {"name": "B", "on": "point_B", "conductance": "31.4 uS", "role": "detector", "temperature": "37 mK"},
    ],
    "reservoirs": [{"on": ["left", "right"], "temperature": "24 mK"}],
    "spectrum": {"broadening": 0.01},
    "energies": {"number": 80},
    "sweep": {"V_inj": {"from": "-0.4 mV", "to": "0.4 mV", "points": 5}, "V_det": ["0 V"]},
    "output": {"fields": ["gap", "charge_imbalance"]},
}
#: A gap that follows the bias.
UNIFORM: dict[str, Any] = {"gap": {"model": "uniform", "at": "point_A"}}
#: Supercurrents that couple the modes.
CURRENTS: dict[str, Any] = {"supercurrent": {"phase_gradient": [0.0, 0.1], "from": "left", "to": "right"}}


def line_file(path: Path, x: Sequence[float] | np.ndarray, junctions: tuple[int, int]) -> Path:
    """A line of nodes as gmsh writes it, its ends ``left`` and ``right``, ``point_A`` and ``point_B`` at two
    nodes, counted from 1."""
    nodes = [f"{n} {at} 0 0" for n, at in enumerate(x, 1)]
    places = enumerate((1, len(nodes), *junctions), 1)
    elements = [f"{tag} 15 2 {tag} {tag} {node}" for tag, node in places]
    elements += [f"{n + 4} 1 2 5 5 {n} {n + 1}" for n in range(1, len(nodes))]
    names = [f'0 {tag} "{name}"' for tag, name in enumerate(("left", "right", "point_A", "point_B"), 1)]
    lines = ["$MeshFormat", "2.2 0 8", "$EndMeshFormat"]
    for block, rows in (("PhysicalNames", names), ("Nodes", nodes), ("Elements", elements)):
        lines += [f"${block}", str(len(rows)), *rows, f"$End{block}"]
    path.write_text("\n".join([*lines, ""]))
    return path


def line(*changes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The short wire with tables of ``changes`` in place of, or beside, its own."""
    case = copy.deepcopy(LINE)
    for change in (*changes, more):
        for key, value in change.items():
            if isinstance(value, dict) and isinstance(case.get(key), dict):
                case[key] = {**case[key], **copy.deepcopy(value)}
            else:
                case[key] = copy.deepcopy(value)
    return case


def strongly_driven() -> dict[str, Any]:
    """A map of which a part has no superconducting solution."""
    case = line(UNIFORM, output={"fields": []})
    case["energies"] = {"number": 80}
    case["sweep"] = {"V_inj": ["0 mV", "0.05 mV", "0.3 mV", "1.2 mV"], "V_det": ["0 mV", "0.2 mV"]}
    case["junctions"][0]["conductance"] = "50 mS"
    return case


def device(name: str, number: int = 16, **more: Any) -> dict[str, Any]:
    """A mesh of meshes/ryan_wire (``film``, ``wire_3d``, ...) with few energies."""
    on = "top_" if name == "wire_3d" else "junction_"
    case = line(energies={"number": number, "spacing": "uniform"}, spectrum={"broadening": 0.02})
    case["mesh"] = {"file": str(MESHES / f"{name}.msh"), "length_unit": "um"}
    for junction in case["junctions"]:
        junction["on"] = on + junction["name"]
    case["reservoirs"][0]["on"] = ["reservoir_left", "reservoir_right"]
    dimension = {"line": 1, "film": 2, "film_quads": 2, "wire_3d": 3}[name]
    if dimension > 1:
        del case["cross_section"]["width"]
    if dimension > 2:
        del case["cross_section"]
    return {**case, **copy.deepcopy(more)}


def as_file(case: dict[str, Any], path: Path) -> Path:
    """Writes a case file."""
    path.write_text(tomlkit.dumps(json.loads(json.dumps(case))), encoding="utf-8")
    return path


def assert_same(found: xr.Dataset, expected: xr.Dataset, relative: float) -> None:
    """All variables and coordinates equal, relative to the largest entry of each; gross flows for ledgers."""
    assert set(found.variables) == set(expected.variables)
    assert dict(found.sizes) == dict(expected.sizes)
    for name in expected.variables:
        a, b = found[name], expected[name]
        assert a.dims == b.dims and a.attrs == b.attrs, name
        if b.dtype.kind not in "fi":
            np.testing.assert_array_equal(a.values, b.values, err_msg=name)
            continue
        values = b.values[..., :3] if name.startswith("ledger_") else b.values
        largest = float(np.nanmax(np.abs(values), initial=0.0))
        np.testing.assert_allclose(
            a.values, b.values, rtol=0.0, atol=relative * largest, equal_nan=True, err_msg=str(name)
        )
