"""Fitting keys of any case to measured curves; every evaluation is a run of a study and stays on disk."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from mpi4py import MPI

from fvqp.case.parameters import Parameter, parameter_limits
from fvqp.case.reading import override_value
from fvqp.case.usadel.fitting import fit_conductance, tell_parameters
from fvqp.errors import CaseError, ConvergenceError, FvqpError
from fvqp.parallel import run_on_root
from fvqp.results.csv_columns import read_columns
from fvqp.results.dataset import FORMAT_VERSION, read_dataset
from fvqp.results.fitted import fit_attributes, parameter_variables, write_fit
from fvqp.results.progress import tell
from fvqp.results.result import Result
from fvqp.solvers.least_squares import fit_parameters
from fvqp.typing import Floats
from fvqp.units import to_float
from fvqp.variation.keys import VariedCase
from fvqp.variation.observable import ObservableAt
from fvqp.variation.runs import claim, run_variants

STEP = 1e-3
"""Relative step of derivatives, above the tolerances with which cases are solved."""
TOLERANCE = 1e-5
"""Relative change of the parameters at which the search ends."""

DataSets = str | Path | Mapping[str | Path, Mapping[str, Any]]


def fit(
    case: str | Path,
    data: DataSets,
    free: Sequence[str],
    out: str | Path | None = None,
    *,
    observable: str | None = None,
    bounds: Mapping[str, tuple[Any, Any]] | None = None,
    part: str = "g_nl",
    window: tuple[str, str] | None = None,
    overrides: Iterable[str] = (),
    jobs: int = 1,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> Result:
    """Fit numbers of a case to measured data.

    With an observable the case is of any model, and every evaluation is a run in ``out``, which the same
    call does not compute again. Without one the data are a non-local conductance of the Usadel model, whose
    biases replace those of the case, and evaluations start from one another.

    Args:
        case: case file.
        data: CSV file, or several with keys of the case: ``{"cold.csv": {"bath.temperature": "0.1 K"}}``.
            Columns are the axis and the observable, named as in ``results.nc``, and, if known, its standard
            deviation, such as ``time (us), x_qp, x_qp_error``; for a conductance `fvqp.results.measured`.
        free: keys of the case that vary, ``KEY`` or ``KEY=START``.
        out: folder for results, fitted case and figures; None, without an observable, writes nothing.
        observable: quantity over one axis, such as ``x_qp`` or ``gap[x=1 um]``.
        bounds: key → smallest and largest value; default: a thousandth of the start and a thousandfold.
        part: ``g_nl``, or a part of it (``g_s``, ``g_a``, ``g_ss``, ``g_sa``), formed of data and model
            alike; without an observable.
        window: smallest and largest value of the axis that count, \\|V_inj\\| without an observable, such as
            ``("0 mV", "0.4 mV")``.
        overrides: ``"key=value"`` as of ``--set``.
        jobs: runs of several data sets at the same time, each a process.
        comm: ranks to run on; collective.

    Returns:
        Parameters with uncertainties, intervals of 95 % and correlation, measured and fitted points
        (`fvqp.results.fitted`).

    Raises:
        FvqpError: bad input, a parameter without effect, parameters that cannot be told apart, a folder that
            holds something else.
        ConvergenceError: a solve, or the search, does not converge.
    """
    bounds = bounds or {}
    if observable is None:
        if isinstance(data, Mapping):
            raise CaseError(
                "fit: several data sets need the name of their quantity: --for g_nl (observable=)"
            )
        if jobs != 1:
            raise CaseError("--jobs: a fit has several runs with --for only (observable=)")
        return fit_conductance(
            case, data, free, out, bounds=bounds, part=part, window=window, overrides=list(overrides),
            comm=comm,
        )  # fmt: skip
    if part != "g_nl":
        raise CaseError(f"--part {part}: is formed without --for only; remove one of them")
    if out is None:
        raise CaseError("fit: a fit of --for needs a folder for its runs (--out, out=)")
    if not free:
        raise CaseError("fit: no parameter is free; name one: --free KEY=START")
    varied = VariedCase(case, overrides)
    parameters = [Parameter.of(varied.data, text) for text in free]
    keys = [one.key for one in parameters]
    sets = data if isinstance(data, Mapping) else {data: {}}
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise CaseError(f"--free {key}: is free already")
        for file, settings in sets.items():
            if key in settings:
                raise CaseError(f"--free {key}: is fixed for {file}; remove one of them")
    for file in sets:
        if not Path(file).is_file():
            raise FvqpError(f"{file}: no such file")
    limits = parameter_limits(parameters, bounds)
    run_on_root(comm, lambda: claim(Path(out)))
    model = _Runs(varied, parameters, sets, ObservableAt.of(observable), window, Path(out), jobs, comm)
    start = np.array([one.start for one in parameters])
    model.read(start)
    found = fit_parameters(
        model.residual, start, keys, weighted=model.weighted, report=model.report, bounds=limits, step=STEP,
        tolerance=TOLERANCE,
    )  # fmt: skip
    if comm.rank == 0:
        tell_parameters(parameters, found)
    fitted = np.concatenate(model.values(found.x))
    points = model.points
    measured = np.concatenate([one.value for one in points])
    about = {"units": model.units, "long_name": model.wanted.name}
    variables: dict[str, Any] = {
        "measured": ("point", measured, about),
        "fitted": ("point", fitted, about),
        "residual": ("point", measured - fitted, about),
    }
    if model.weighted:
        variables["measured_error"] = ("point", np.concatenate([one.error for one in points]), about)
    coordinates = {
        model.axis: ("point", np.concatenate([one.place for one in points]), {"units": model.axis_units}),
        "data_set": ("point", np.repeat([one.label for one in points], [len(one.value) for one in points])),
    }
    table, of_parameters = parameter_variables(
        found, keys, [one.unit for one in parameters], start.tolist(), len(measured), model.weighted
    )
    attributes = fit_attributes(found, len(measured), len(keys), model.unit, model.units, model.weighted)
    dataset = xr.Dataset(
        variables | table,
        coordinates | of_parameters,
        {
            "format_version": FORMAT_VERSION,
            "part": model.wanted.name,
            "observable": str(model.wanted),
            "axis": model.axis,
            "title": str(varied.data.get("title", "")),
            "evaluations": found.evaluations,
            **attributes,
        },
    )
    text = varied.variant(model.settings(found.x)).case.resolved_toml()
    return write_fit(dataset, Path(out), text, comm)


def settings_of(file: str, texts: Sequence[str]) -> dict[str, Any]:
    """Return keys and values of a data set from ``KEY=VALUE``; raises `CaseError` if one is none."""
    found: dict[str, Any] = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise CaseError(f"--with {file} {text}: expected KEY=VALUE, such as sweep.temperature=0.1 K")
        if key.strip() in found:
            raise CaseError(f"--with {file} {text}: {key.strip()} is given already")
        found[key.strip()] = override_value(value)
    return found


@dataclass(frozen=True)
class _Points:
    """Measured points of a data set: places on the axis, values, standard deviations if known."""

    label: str
    place: Floats
    value: Floats
    error: Floats | None


class _Runs:
    """Values of an observable at the measured points, from runs of the case with each set's keys."""

    def __init__(
        self,
        varied: VariedCase,
        parameters: Sequence[Parameter],
        sets: Mapping[str | Path, Mapping[str, Any]],
        wanted: ObservableAt,
        window: tuple[str, str] | None,
        out: Path,
        jobs: int,
        comm: MPI.Comm,
    ) -> None:
        self.varied, self.parameters, self.sets, self.wanted = varied, parameters, sets, wanted
        self.window, self.out, self.jobs, self.comm = window, out, jobs, comm
        self.points: list[_Points] = []
        self.axis = self.axis_units = self.units = ""
        self.weighted, self.unit = False, 1.0

    def settings(self, values: Floats) -> dict[str, Any]:
        """Return keys of the case with values of the parameters."""
        return {
            one.key: f"{float(value)!r} {one.unit}" if one.unit else float(value)
            for one, value in zip(self.parameters, values, strict=True)
        }

    def curves(self, values: Floats) -> list[xr.DataArray]:
        """Return the observable of every data set over its one axis."""
        settings = self.settings(values)
        variants = [self.varied.variant({**fixed, **settings}) for fixed in self.sets.values()]
        distinct = {one.name: one for one in variants}
        outcomes = run_variants(list(distinct.values()), self.out, self.jobs, self.comm)
        for variant, outcome in zip(distinct.values(), outcomes, strict=True):
            if outcome.failure:
                raise ConvergenceError(f"{variant.label}: {outcome.failure}")

        def opened() -> list[xr.DataArray]:
            by_name = {
                name: self.wanted.value(read_dataset(outcome.folder / "results.nc"))
                for name, outcome in zip(distinct, outcomes, strict=True)
            }
            return [by_name[one.name] for one in variants]

        return run_on_root(self.comm, opened)

    def read(self, start: Floats) -> None:
        """Read the data, in the units of the results at the start.

        Raises:
            FvqpError: the observable has not one axis, or what reading raises.
        """
        curve = self.curves(start)[0]
        axes = [str(dim) for dim in curve.dims]
        if len(axes) != 1:
            listed = ", ".join(axes) or "none"
            raise FvqpError(
                f"--for {self.wanted}: a fit needs a quantity over one axis; this one has: {listed}; "
                f'name places along the others, such as "{self.wanted.name}[{axes[-1] if axes else "x"}=...]"'
            )
        self.axis = axes[0]
        self.axis_units = str(curve[self.axis].attrs.get("units", "1"))
        self.units = str(curve.attrs.get("units", "1"))
        self.points = run_on_root(
            self.comm, lambda: [self._points(Path(file), fixed) for file, fixed in self.sets.items()]
        )
        weighted = [one.error is not None for one in self.points]
        error = f"{self.wanted.name}_error"
        if any(weighted) and not all(weighted):
            raise FvqpError(f"--for {self.wanted}: give a column {error} in all data sets, or in none")
        self.weighted = all(weighted)
        self.unit = float(np.sqrt(np.mean(np.concatenate([one.value for one in self.points]) ** 2))) or 1.0

    def _points(self, path: Path, fixed: Mapping[str, Any]) -> _Points:
        name = self.wanted.name
        error = f"{name}_error"
        units = {self.axis: self.axis_units, name: self.units, error: self.units}
        columns = read_columns(path, units, needed=(self.axis, name))
        if error in columns and not (columns[error] > 0.0).all():
            raise FvqpError(f"{path}: column {error}: standard deviations must be positive")
        if self.window is not None:
            low, high = (
                float(text)
                if self.axis_units == "1"
                else to_float(text, self.axis_units, what=f"--window {text}")
                for text in self.window
            )
            inside = (columns[self.axis] >= low) & (columns[self.axis] <= high)
            if not inside.any():
                raise FvqpError(
                    f"{path}: no point has {self.axis} between {low:g} and {high:g} {self.axis_units}"
                )
            columns = {key: values[inside] for key, values in columns.items()}
        label = ", ".join(f"{key} = {value}" for key, value in fixed.items()) or path.name
        return _Points(label, columns[self.axis], columns[name], columns.get(error))

    def values(self, values: Floats) -> list[Floats]:
        """Return the observable at the measured points of every data set.

        Raises:
            FvqpError: a point is outside the axis of the results.
        """
        found = []
        for curve, points, file in zip(self.curves(values), self.points, self.sets, strict=True):
            at = curve.sortby(self.axis)
            low, high = float(at[self.axis][0]), float(at[self.axis][-1])
            slack = 1e-9 * (high - low)
            if points.place.min() < low - slack or points.place.max() > high + slack:
                raise FvqpError(
                    f"{file}: {self.axis} reaches from {points.place.min():g} to {points.place.max():g} "
                    f"{self.axis_units}, but {self.axis} of the results from {low:g} to {high:g}; extend "
                    "the case, or choose points with --window"
                )
            found.append(np.interp(points.place, at[self.axis].values, at.values))
        return found

    def residual(self, values: Floats) -> Floats:
        """Model less data, in units of the standard deviations or of the data's root mean square."""
        parts = [
            (found - points.value) / (self.unit if points.error is None else points.error)
            for found, points in zip(self.values(values), self.points, strict=True)
        ]
        return np.asarray(self.comm.bcast(np.concatenate(parts)))

    def report(self, values: Floats, residual: Floats) -> None:
        """A line of progress."""
        if self.comm.rank == 0:
            told = ", ".join(f"{key} = {value}" for key, value in self.settings(values).items())
            of = "standard deviations" if self.weighted else "of their root mean square"
            tell(f"{told}: mean deviation {float(np.sqrt(np.mean(residual**2))):.4g} {of}")
