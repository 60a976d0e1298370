"""Small cases with other numbers, always the same ones: results are finite, or the file says why not."""

from __future__ import annotations

import copy
import shutil
import signal
from typing import Any

import kinetic_cases
import numpy as np
import pytest
import stochastic_cases
import tomlkit
import transport_cases
import usadel_cases
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from mutants import changed, forked, promise, seeded

import fvqp

pytestmark = pytest.mark.slow

#: Seconds after which a mutant, which may ask for any number of steps, is left.
PATIENCE = 30

CASES: dict[str, dict[str, Any]] = {
    "wire": usadel_cases.LINE,
    "gap": usadel_cases.LINE | usadel_cases.SELF_CONSISTENT,
    "driven": kinetic_cases.DRIVEN,
    "pulse": kinetic_cases.PULSE,
    "cluster": stochastic_cases.CLUSTER,
    "tail": stochastic_cases.TAIL,
    "generation": stochastic_cases.WIRE,
    "sphere": transport_cases.SPHERE,
    "film": transport_cases.FILM,
    "eliashberg": {
        "model": "eliashberg",
        "interaction": {"metal": "Pb"},
        "sweep": {"temperature": ["2 K"]},
        "energies": {"maximum": "40 meV", "number": 200},
    },
}


def without_values(data: xr.Dataset) -> set[str]:
    """Names of variables that are not finite at a point of the sweep that was computed."""
    found = set()
    for name, variable in data.data_vars.items():
        if variable.dtype.kind != "f":
            continue
        values = variable
        if "completed" in data and set(data["completed"].dims) <= set(variable.dims):
            values = variable.where(data["completed"] == 1, 0.0)
        if not np.isfinite(values).all():
            found.add(str(name))
    return found


def explained(data: xr.Dataset) -> set[str]:
    """Names of variables of which the file itself says where they have no value."""
    words = ("NaN", "none", "if any")
    return {
        str(n) for n, v in data.data_vars.items() if any(w in v.attrs.get("long_name", "") for w in words)
    }


@pytest.mark.parametrize("name", CASES)
def test_numbers(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    folder = tmp_path_factory.mktemp(name)
    whole = fvqp.run(copy.deepcopy(CASES[name])).dataset
    assert without_values(whole) <= explained(whole)

    @seeded(10)
    @given(data=st.data())
    def look(data: st.DataObject) -> None:
        path, out = folder / "mutant.toml", folder / "out"
        path.write_text(tomlkit.dumps(data.draw(changed(copy.deepcopy(CASES[name]), mild=True))))
        shutil.rmtree(out, ignore_errors=True)
        code, text = forked(["run", str(path), "--out", str(out), "-q"], folder / "log", PATIENCE)
        if code == -signal.SIGALRM:
            return
        assert not promise(code, text, "mutant.toml"), path.read_text()
        if code == 0:
            with xr.open_dataset(out / "results.nc") as results:
                assert without_values(results) <= explained(results), path.read_text()

    look()
