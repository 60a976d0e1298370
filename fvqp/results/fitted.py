"""Results of a fit: parameters with uncertainties and correlation, measured and fitted points."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr
from mpi4py import MPI
from scipy.stats import norm
from scipy.stats import t as student_t

from fvqp.errors import CheckpointError, FvqpError
from fvqp.parallel import run_on_root
from fvqp.results.dataset import FORMAT_VERSION, QUANTITIES, write_dataset
from fvqp.results.files import make_folder, write_text
from fvqp.results.measured import UNCERTAINTY, errors_of_parts, measured_parts, read_points
from fvqp.results.provenance import provenance
from fvqp.results.result import Result
from fvqp.typing import Floats

PARTS = ("g_nl", "g_s", "g_a", "g_ss", "g_sa")
"""What can be fitted to."""

CONFIDENCE = 0.95
"""Probability of the intervals."""


class FitResult(Protocol):
    """The outcome of a least-squares search (`fvqp.solvers.least_squares.Fitted`)."""

    @property
    def x(self) -> Floats: ...

    @property
    def covariance(self) -> Floats: ...

    @property
    def scale(self) -> float: ...

    @property
    def errors(self) -> Floats: ...

    @property
    def correlation(self) -> Floats: ...


@dataclass(frozen=True)
class FitData:
    """Measured points, SI units.

    Attributes:
        part: of ``PARTS``.
        V_inj, value: ``(n,)``.
        V_det, supercurrent: ``(n,)`` or None where the data have no such column.
        error: ``(n,)`` standard deviations, None if they are not known.
    """

    part: str
    V_inj: Floats
    value: Floats
    V_det: Floats | None = None
    supercurrent: Floats | None = None
    error: Floats | None = None

    @property
    def deviation_unit(self) -> str:
        """Unit in which deviations are given."""
        return "of their root mean square" if self.error is None else "standard deviations"


def measured_for_fit(path: str | Path, part: str, window: tuple[float, float] | None) -> FitData:
    """The points of a CSV file that a fit is to.

    Args:
        path: columns ``V_inj``, ``g_nl``, and ``V_det``, ``supercurrent``, ``g_nl_error`` where there are.
        part: ``g_nl`` takes the points as they are; other parts are formed first (`measured_parts`), and of
            the points that are images of one another one is taken.
        window: smallest and largest \\|V_inj\\|, volt.

    Raises:
        FvqpError: no such part, nothing in the window, or what reading raises.
    """
    if part not in PARTS:
        raise FvqpError(f'part: expected one of {", ".join(PARTS)}, got "{part}"')
    if part == "g_nl":
        columns = read_points(path)
        columns["value"] = columns.pop("g_nl")
    else:
        parts = measured_parts(path)
        if part not in parts:
            raise FvqpError(f"{path}: {part} needs both signs of the supercurrent in the data")
        table = xr.Dataset({"value": parts[part]})
        if UNCERTAINTY in read_points(path):
            table[UNCERTAINTY] = errors_of_parts(path)[part]
        frame = table.to_dataframe().reset_index()
        columns = {str(name): frame[name].to_numpy(dtype=float) for name in frame.columns}
        keep = np.ones(len(frame), dtype=bool)
        # Odd parts vanish at zero whatever was measured: that is no point.
        if part in ("g_ss", "g_sa"):
            keep &= columns["V_inj"] > 0.0 if part == "g_sa" else columns["V_inj"] >= 0.0
        if "supercurrent" in columns:
            keep &= columns["supercurrent"] > 0.0 if part == "g_a" else columns["supercurrent"] >= 0.0
        columns = {name: values[keep] for name, values in columns.items()}
    if window is not None:
        size = np.abs(columns["V_inj"])
        inside = (size >= window[0]) & (size <= window[1])
        if not inside.any():
            raise FvqpError(
                f"{path}: no point has |V_inj| between {window[0]:g} and {window[1]:g} V (they reach from "
                f"{size.min():g} to {size.max():g} V)"
            )
        columns = {name: values[inside] for name, values in columns.items()}
    return FitData(
        part,
        columns["V_inj"],
        columns["value"],
        columns.get("V_det"),
        columns.get("supercurrent"),
        columns.get(UNCERTAINTY),
    )


def fit_dataset(
    data: FitData,
    fitted: Floats,
    found: FitResult,
    names: Sequence[str],
    units: Sequence[str],
    start: Sequence[float],
    currents: Mapping[float, float],
    attributes: Mapping[str, str | int],
) -> xr.Dataset:
    """The dataset of a fit: dimensions ``point``, ``parameter``, ``parameter_2``.

    Args:
        data, fitted: measured and computed points.
        found: parameters.
        names, units, start: of the parameters.
        currents: measured supercurrents (A) with the model's.
        attributes: further ones.
    """
    conductance = {"units": "S"}
    table, of_parameters = parameter_variables(
        found, names, units, start, len(data.value), data.error is not None
    )
    variables: dict[str, Any] = {
        "measured": (("point",), data.value, {**conductance, "long_name": f"measured {data.part}"}),
        "fitted": (("point",), fitted, {**conductance, "long_name": f"fitted {data.part}"}),
        "residual": (("point",), data.value - fitted, {**conductance, "long_name": "measured less fitted"}),
    }  # fmt: skip
    if data.error is not None:
        variables["measured_error"] = (
            ("point",), data.error, {**conductance, "long_name": "standard deviation of the measured points"},
        )  # fmt: skip
    coordinates: dict[str, Any] = {
        "V_inj": (("point",), data.V_inj, QUANTITIES["V_inj"]._asdict()),
    }
    for name, values in (("V_det", data.V_det), ("supercurrent", data.supercurrent)):
        if values is not None:
            coordinates[name] = (("point",), values, QUANTITIES[name]._asdict())
    if currents and data.supercurrent is not None:
        model = [currents.get(abs(float(value)), np.nan) for value in data.supercurrent]
        variables["I_s"] = (
            ("point",), model, {"units": "A", "long_name": "size of the supercurrent in the model"},
        )  # fmt: skip
    size = float(np.sqrt(np.mean(data.value**2)))
    return xr.Dataset(
        variables | table,
        coordinates | of_parameters,
        {
            "format_version": FORMAT_VERSION,
            "part": data.part,
            "axis": "V_inj",
            **fit_attributes(found, len(data.value), len(names), size, "S", data.error is not None),
            **attributes,
        },
    )


def parameter_variables(
    found: FitResult,
    names: Sequence[str],
    units: Sequence[str],
    start: Sequence[float],
    points: int,
    weighted: bool,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return variables and coordinates of the parameters of a fit to so many points.

    The intervals of 95 % are those of the linearized problem: of Student's t distribution where the scatter
    around the fit gives the errors, of the normal one where they are known.
    """
    own = {"units": "of the parameter"}
    freedom = points - len(names)
    if weighted or freedom == 0:
        reach = float(norm.ppf(0.5 + CONFIDENCE / 2.0))
    else:
        reach = float(student_t.ppf(0.5 + CONFIDENCE / 2.0, freedom))
    both = ("parameter", "parameter_2")
    variables = {
        "value": ("parameter", found.x, {**own, "long_name": "fitted value"}),
        "error": ("parameter", found.errors, {**own, "long_name": "standard deviation"}),
        "low": ("parameter", found.x - reach * found.errors, {**own, "long_name": "lower end of 95 %"}),
        "high": ("parameter", found.x + reach * found.errors, {**own, "long_name": "upper end of 95 %"}),
        "start": ("parameter", list(start), {**own, "long_name": "start of the search"}),
        "covariance": (both, found.covariance, {"units": "of the parameters", "long_name": "covariance"}),
        "correlation": (both, found.correlation, {"units": "1", "long_name": "correlation"}),
    }
    return variables, {
        "parameter": ("parameter", list(names)),
        "unit": ("parameter", [unit or "1" for unit in units]),
    }


def fit_attributes(
    found: FitResult, points: int, parameters: int, size: float, units: str, weighted: bool
) -> dict[str, str | int | float]:
    """Return the attributes of a fit; ``size`` is the root mean square of the data, in ``units``."""
    attributes: dict[str, str | int | float] = {
        "model": "fit",
        "figures": json.dumps([{"kind": "fit"}]),
        "degrees_of_freedom": points - parameters,
        "deviation": float(found.scale) * (1.0 if weighted else size),
        "deviation_units": "standard deviations" if weighted else units,
    }
    if weighted:
        attributes["reduced_chi_squared"] = float(found.scale) ** 2
    return attributes


def two_digits(error: float) -> str:
    """A standard deviation with two digits, as text: 400, not 4e+02."""
    return f"{float(f'{error:.2g}'):g}"


def fit_table(dataset: xr.Dataset) -> str:
    """Parameters of a fit as CSV: name, value, error, unit, start, interval of 95 %, correlations."""
    names = [str(name) for name in dataset["parameter"].values]
    columns = ["parameter", "value", "error", "unit", "start", "low", "high"]
    lines = [",".join([*columns, *(f"correlation {n}" for n in names)])]
    for number, name in enumerate(names):
        entries = [float(dataset[key].values[number]) for key in ("value", "error", "start", "low", "high")]
        row = [
            name,
            repr(entries[0]),
            repr(entries[1]),
            str(dataset["unit"].values[number]),
            *(repr(entry) for entry in entries[2:]),
        ]
        lines.append(",".join([*row, *(repr(float(v)) for v in dataset["correlation"].values[number])]))
    return "\n".join(lines) + "\n"


def write_fit(dataset: xr.Dataset, folder: Path, case_text: str, comm: MPI.Comm) -> Result:
    """Writes ``results.nc``, ``parameters.csv``, the fitted ``case.toml`` and the figures. Collective."""
    dataset.attrs |= provenance(comm, {"case": case_text})
    result = Result(dataset, folder)

    def write() -> None:
        make_folder(folder)
        write_text(folder / "case.toml", case_text)
        write_text(folder / "parameters.csv", fit_table(dataset))
        write_dataset(dataset, folder / "results.nc")
        result.save_figures()

    run_on_root(comm, write)
    return result


def require_empty(folder: Path) -> None:
    """Raise :class:`CheckpointError` unless a folder can take a fit."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder}: is there already; choose another folder (--out, out=)")
