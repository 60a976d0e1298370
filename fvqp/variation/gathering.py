"""Results of the runs of a study as one dataset, whose dimensions are the keys that vary."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fvqp.errors import CheckpointError, FvqpError
from fvqp.results.comparison import same_axis
from fvqp.results.dataset import ABOUT_RUNS, FORMAT_VERSION, read_dataset
from fvqp.results.over_time import time_constants
from fvqp.variation.keys import VariedKey
from fvqp.variation.runs import RunOutcome

MAX_BYTES = 256 * 2**20
"""Largest variable of all runs together."""


def quantities(dataset: xr.Dataset) -> xr.Dataset:
    """Return the numbers of a run: variables, and peaks and decays of densities over time.

    Axes with one value are left out; ledgers and what is about computing too.
    """
    found = dataset.drop_vars([name for name in ABOUT_RUNS if name in dataset])
    found = found.drop_vars([name for name in found.data_vars if str(name).startswith("ledger_")])
    found = found.drop_vars([name for name in found.data_vars if found[name].dtype.kind not in "fiu"])
    try:
        further = time_constants(dataset)
        for name, values in further.data_vars.items():
            found[name] = values
    except FvqpError:
        pass  # no evolution
    found = found.squeeze(drop=False)
    if "phase_gradient" in found.coords and found["phase_gradient"].dims == ("supercurrent",):
        # Currents follow from the gradients, and from the mesh.
        found = found.swap_dims(supercurrent="phase_gradient").drop_vars("supercurrent")
    return found


def study_dataset(
    keys: Sequence[VariedKey], outcomes: Sequence[RunOutcome], attributes: Mapping[str, Any]
) -> xr.Dataset:
    """Return the results of all combinations of keys.

    Args:
        keys: dimensions, in their order.
        outcomes: of the combinations, the last key fastest.
        attributes: further ones.

    Returns:
        Variables over the keys, then over their own dimensions; NaN where a run failed. ``completed``,
        ``failure``, ``seconds`` and ``folder`` are about the runs. The attribute ``left_out`` says which
        quantities are not there, and why.
    """
    shape = tuple(len(one.values) for one in keys)
    dims = tuple(one.key for one in keys)
    out = xr.Dataset(attrs={"format_version": FORMAT_VERSION, "model": "study", **attributes})
    for one in keys:
        values, units = one.coordinate()
        out.coords[one.key] = (one.key, values, {"units": units, "long_name": f"key {one.key} of the case"})
    there = np.array([not one.failure for one in outcomes])
    about = {
        "completed": (there.astype(np.int8), "1 where the run is finished"),
        "failure": (np.array([one.failure for one in outcomes], dtype=object), "message of a failed run"),
        "seconds": (np.array([one.seconds for one in outcomes]), "time of computing, s"),
        "folder": (np.array([one.folder.name for one in outcomes], dtype=object), "results folder in runs"),
    }
    for name, (values, meaning) in about.items():
        out[name] = (dims, values.reshape(shape), {"units": "1", "long_name": meaning})
    out["seconds"].attrs["units"] = "s"
    runs, texts = _read(outcomes)
    left_out = dict(texts)
    for name in _names(runs.values()):
        if name in out.variables:
            left_out[name] = "is also the name of something else here"
            continue
        found = {number: run[name] for number, run in runs.items() if name in run}
        if reason := _differing(runs, found):
            left_out[name] = reason
            continue
        first = next(iter(found.values()))
        if 8 * int(np.prod(shape)) * first.size > MAX_BYTES:
            left_out[name] = f"takes more than {MAX_BYTES // 2**20} MiB"
            continue
        values = np.full((len(outcomes), *first.shape), np.nan)
        for number, array in found.items():
            values[number] = array.values
        out[name] = ((*dims, *map(str, first.dims)), values.reshape(*shape, *first.shape), dict(first.attrs))
        for label, axis in first.coords.items():
            if axis.ndim and label not in out.coords and label not in out:
                out.coords[label] = axis.variable
    out.attrs["left_out"] = json.dumps(left_out)
    return out


def _read(outcomes: Sequence[RunOutcome]) -> tuple[dict[int, xr.Dataset], dict[str, str]]:
    """Quantities of finished runs by their number."""
    found, problems = {}, {}
    for number, one in enumerate(outcomes):
        if not one.failure:
            try:
                found[number] = quantities(read_dataset(Path(one.folder) / "results.nc"))
            except CheckpointError as error:
                problems[one.folder.name] = str(error)
    return found, problems


def _names(runs: Iterable[xr.Dataset]) -> list[str]:
    """Names of all quantities, in the order of their first appearance."""
    return list(dict.fromkeys(str(name) for run in runs for name in run.data_vars))


def _differing(runs: Mapping[int, xr.Dataset], found: Mapping[int, xr.DataArray]) -> str:
    """Return in what a quantity differs from run to run, besides its values; empty if in nothing."""
    first = next(iter(found.values()))
    for one in found.values():
        if one.dims != first.dims:
            texts = (", ".join(map(str, other.dims)) for other in (first, one))
            return f"has axes {' in one run, '.join(texts)} in another"
    for dim in map(str, first.dims):
        sizes = sorted({one.sizes[dim] for one in found.values()})
        if len(sizes) > 1:
            return f"axis {dim} has from {sizes[0]} to {sizes[-1]} values"
        if not all(same_axis(first, one, dim) for one in found.values()):
            return f"values of axis {dim} differ"
    return ""
