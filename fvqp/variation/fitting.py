"""Fits of numbers of a case to measured data: the search, its results, and what is written of them."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xarray as xr
from mpi4py import MPI
from scipy.special import ndtri, stdtrit

from fvqp.case.parameters import Parameter, parameter_limits
from fvqp.case.reading import override_value
from fvqp.case.tables import Case
from fvqp.case.usadel.fitting import ConductanceModel
from fvqp.errors import CaseError, CheckpointError, ConvergenceError, FvqpError
from fvqp.parallel import run_on_root
from fvqp.results.csv_columns import read_columns
from fvqp.results.dataset import FORMAT_VERSION, read_dataset, write_dataset
from fvqp.results.files import make_folder, write_text
from fvqp.results.measured import MeasuredPoints
from fvqp.results.provenance import provenance
from fvqp.results.result import Result
from fvqp.texts import two_digits
from fvqp.typing import Floats
from fvqp.units import to_float
from fvqp.variation.keys import Variant, VariedCase
from fvqp.variation.least_squares import Fitted, fit_parameters
from fvqp.variation.observable import ObservableAt
from fvqp.variation.runs import claim, run_variants

log = logging.getLogger(__name__)

CONFIDENCE = 0.95
"""Probability of the intervals."""
CORRELATED = 0.99
"""Correlation from which on a fit warns."""

DataSets = str | Path | Mapping[str | Path, Mapping[str, Any]]


class FitModel(Protocol):
    """Values of a case at measured points, of its free parameters.

    Attributes:
        points: measured.
        ROUNDS: number of searches, each from the result of the one before.
        STEP: relative step of a parameter for derivatives.
        TOLERANCE: relative change of the parameters at which a search ends.
    """

    points: MeasuredPoints
    ROUNDS: int
    STEP: float
    TOLERANCE: float

    def begin_round(self) -> None:
        """Begin a search."""

    def prepare(self, several: Sequence[Floats]) -> None:
        """Compute at the same time, where that pays, what `values` will be asked for next. Collective."""

    def values(self, values: Floats) -> Floats:
        """Return the values at the points, of the parameters' values. Collective."""

    def case(self, values: Floats) -> Case:
        """Return the case with the parameters' values."""

    def variables(self) -> dict[str, Any]:
        """Return further variables of the results at the points of the last evaluation."""


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
        jobs: runs at the same time, each a process: those of several data sets, and of the differences of all
            parameters.
        comm: ranks to run on; collective.

    Returns:
        Parameters with uncertainties, intervals of 95 % and correlation, measured and fitted points
        (`fit_dataset`).

    Raises:
        FvqpError: bad input, a parameter without effect, parameters that cannot be told apart, a folder that
            holds something else.
        ConvergenceError: a solve, or the search, does not converge.
    """
    sets = data if isinstance(data, Mapping) else {data: {}}
    if observable is None:
        if isinstance(data, Mapping):
            raise CaseError(
                "fit: several data sets need the name of their quantity: --for g_nl (observable=)"
            )
        if jobs != 1:
            raise CaseError("--jobs: a fit has several runs with --for only (observable=)")
        if out is not None:
            # Not only after a long search.
            run_on_root(comm, lambda: _require_empty(Path(out)))
    else:
        if part != "g_nl":
            raise CaseError(f"--part {part}: is formed without --for only; remove one of them")
        if out is None:
            raise CaseError("fit: a fit of --for needs a folder for its runs (--out, out=)")
    varied = VariedCase(case, overrides)
    parameters = _free_parameters(varied, free, sets)
    limits = parameter_limits(parameters, bounds or {})
    model: FitModel
    if observable is None or out is None:
        (file,) = sets
        model = ConductanceModel(
            varied.data, varied.source, varied.folder, parameters, file, part, window, comm
        )
    else:
        model = _Runs(varied, parameters, sets, ObservableAt.of(observable), window, Path(out), jobs, comm)
    points, start = model.points, np.array([one.start for one in parameters])
    weighted, evaluations, found = points.error is not None, 0, None

    def residual(values: Floats) -> Floats:
        # One vector for all ranks, to the last bit: their searches must not part.
        return np.asarray(comm.bcast(points.residual(model.values(values))))

    def report(values: Floats, residual: Floats) -> None:
        if comm.rank == 0:
            named = zip(parameters, values, strict=True)
            told = ", ".join(f"{p.key} = {v:.6g} {p.unit}".rstrip() for p, v in named)
            of = "standard deviations" if weighted else "of their root mean square"
            log.info("%s: mean deviation %.4g %s", told, float(np.sqrt(np.mean(residual**2))), of)

    for _ in range(model.ROUNDS):
        model.begin_round()
        found = fit_parameters(
            residual, start, [one.key for one in parameters], weighted=weighted, report=report,
            prepare=model.prepare, bounds=limits, step=model.STEP, tolerance=model.TOLERANCE,
        )  # fmt: skip
        start, evaluations = found.x, evaluations + found.evaluations
    assert found is not None
    if comm.rank == 0:
        _tell_parameters(parameters, found)
        log.info("%d evaluations of %d points", evaluations, len(points.value))
    dataset = fit_dataset(points, model.values(found.x), found, parameters)
    dataset = dataset.assign(model.variables())
    title = str(varied.data.get("title", ""))
    dataset.attrs |= {"observable": observable or part, "title": title, "evaluations": evaluations}
    if out is None:
        return Result(dataset, None)
    return _write(dataset, Path(out), model.case(found.x).resolved_toml(), comm)


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


def _free_parameters(
    varied: VariedCase, free: Sequence[str], sets: Mapping[str | Path, Mapping[str, Any]]
) -> list[Parameter]:
    """Return the numbers that vary; raises `CaseError` if one is none, or is given twice."""
    if not free:
        raise CaseError("fit: no parameter is free; name one: --free spectrum.broadening (or KEY=START)")
    parameters = [Parameter.of(varied.data, text) for text in free]
    keys = [one.key for one in parameters]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise CaseError(f"--free {key}: is free already")
        for file, settings in sets.items():
            if key in settings:
                raise CaseError(f"--free {key}: is fixed for {file}; remove one of them")
    return parameters


def _tell_parameters(parameters: Sequence[Parameter], found: Fitted) -> None:
    """Log values with standard deviations, and warn of what the data do not determine."""
    for parameter, value, error, bound in zip(parameters, found.x, found.errors, found.at_bound, strict=True):
        told = f"{parameter.key} = {value:.6g} +- {two_digits(error)} {parameter.unit}"
        log.info("%s", told.rstrip())
        if bound:
            log.warning(
                "%s ran away from its start as far as it may; the data do not determine it", parameter.key
            )
    close = np.abs(np.triu(found.correlation, 1)) > CORRELATED
    for first, second in zip(*np.nonzero(close), strict=True):
        names = parameters[int(first)].key, parameters[int(second)].key
        log.warning("%s and %s are correlated by %.4f", *names, found.correlation[first, second])


def fit_dataset(
    points: MeasuredPoints, fitted: Floats, found: Fitted, parameters: Sequence[Parameter]
) -> xr.Dataset:
    """Return the dataset of a fit: dimensions ``point``, ``parameter``, ``parameter_2``.

    ``low`` and ``high`` are the ends of intervals of 95 % of the linearized problem: of Student's t
    distribution where the scatter around the fit gives the errors, of the normal one where they are known.

    Args:
        points, fitted: measured and computed values.
        found: values of the parameters.
        parameters: their keys, units and starts.
    """
    about = {"units": points.units}
    weighted, freedom = points.error is not None, len(points.value) - len(parameters)
    quantile = 0.5 + CONFIDENCE / 2.0
    reach = float(ndtri(quantile) if weighted or freedom == 0 else stdtrit(freedom, quantile))
    spread, both = reach * found.errors, ("parameter", "parameter_2")
    own = {"units": "of the parameter"}
    variables: dict[str, Any] = {
        "measured": ("point", points.value, {**about, "long_name": f"measured {points.name}"}),
        "fitted": ("point", fitted, {**about, "long_name": f"fitted {points.name}"}),
        "residual": ("point", points.value - fitted, {**about, "long_name": "measured less fitted"}),
        "value": ("parameter", found.x, {**own, "long_name": "fitted value"}),
        "error": ("parameter", found.errors, {**own, "long_name": "standard deviation"}),
        "low": ("parameter", found.x - spread, {**own, "long_name": "lower end of 95 %"}),
        "high": ("parameter", found.x + spread, {**own, "long_name": "upper end of 95 %"}),
        "start": ("parameter", [p.start for p in parameters], {**own, "long_name": "start of the search"}),
        "covariance": (both, found.covariance, {"units": "of the parameters", "long_name": "covariance"}),
        "correlation": (both, found.correlation, {"units": "1", "long_name": "correlation"}),
    }
    if points.error is not None:
        meaning = "standard deviation of the measured points"
        variables["measured_error"] = ("point", points.error, {**about, "long_name": meaning})
    coordinates: dict[str, Any] = {
        name: ("point", values, attributes) for name, (values, attributes) in points.coordinates.items()
    }
    coordinates["parameter"] = [one.key for one in parameters]
    coordinates["unit"] = ("parameter", [one.unit or "1" for one in parameters])
    attributes: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "model": "fit",
        "figures": json.dumps([{"kind": "fit"}]),
        "part": points.name,
        "axis": points.axis,
        "degrees_of_freedom": freedom,
        "deviation": found.scale * (1.0 if weighted else points.size),
        "deviation_units": "standard deviations" if weighted else points.units,
    }
    if weighted:
        attributes["reduced_chi_squared"] = found.scale**2
    return xr.Dataset(variables, coordinates, attributes)


def _table(dataset: xr.Dataset) -> str:
    """Parameters of a fit as CSV: name, value, error, unit, start, interval of 95 %, correlations."""
    names = [str(name) for name in dataset["parameter"].values]
    columns = ["value", "error", "unit", "start", "low", "high"]
    text = StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["parameter", *columns, *(f"correlation {name}" for name in names)])
    for number, name in enumerate(names):
        row = [dataset[column].values[number] for column in columns]
        numbers = [*row, *dataset["correlation"].values[number]]
        table.writerow([name, *(str(x) if isinstance(x, str) else repr(float(x)) for x in numbers)])
    return text.getvalue()


def _write(dataset: xr.Dataset, folder: Path, case_text: str, comm: MPI.Comm) -> Result:
    """Write ``results.nc``, ``parameters.csv``, the fitted ``case.toml`` and the figure. Collective."""
    dataset.attrs |= provenance(comm, {"case": case_text})
    result = Result(dataset, folder)

    def write() -> None:
        make_folder(folder)
        write_text(folder / "case.toml", case_text)
        write_text(folder / "parameters.csv", _table(dataset))
        write_dataset(dataset, folder / "results.nc")
        result.save_figures()

    run_on_root(comm, write)
    return result


def _require_empty(folder: Path) -> None:
    """Raise `CheckpointError` unless a folder can take a fit."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise CheckpointError(f"{folder}: is there already; choose another folder (--out, out=)")


class _Runs:
    """Values of an observable at the measured points, from runs of the case with each set's keys.

    The data are read in the units of the results at the start.

    Raises:
        FvqpError: the observable has not one axis, or what reading raises.
    """

    ROUNDS = 1
    STEP = 1e-3
    """Above the tolerances with which cases are solved."""
    TOLERANCE = 1e-5

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
        for file in sets:
            if not Path(file).is_file():
                raise FvqpError(f"{file}: no such file")
        self._found: dict[str, xr.DataArray | ConvergenceError] = {}
        run_on_root(comm, lambda: claim(out))
        curve = self._curves(np.array([one.start for one in parameters]))[0]
        axes = [str(dim) for dim in curve.dims]
        if len(axes) != 1:
            listed = ", ".join(axes) or "none"
            raise FvqpError(
                f"--for {wanted}: a fit needs a quantity over one axis; this one has: {listed}; "
                f'name places along the others, such as "{wanted.name}[{axes[-1] if axes else "x"}=...]"'
            )
        self._places, self.points = run_on_root(comm, lambda: self._read(curve, axes[0]))

    def begin_round(self) -> None:
        """Do nothing: a run has an energy axis of its own."""

    def variables(self) -> dict[str, Any]:
        """Return none."""
        return {}

    def case(self, values: Floats) -> Case:
        """Return the case with values of the parameters."""
        return self.varied.variant(self._settings(values)).case

    def _settings(self, values: Floats) -> dict[str, Any]:
        """Return keys of the case with values of the parameters."""
        return {
            one.key: f"{float(value)!r} {one.unit}" if one.unit else float(value)
            for one, value in zip(self.parameters, values, strict=True)
        }

    def prepare(self, several: Sequence[Floats]) -> None:
        """Run the case with all data sets and several values of the parameters, as many at a time as jobs."""
        self._found = self._computed([one for values in several for one in self._variants(values)])

    def _variants(self, values: Floats) -> list[Variant]:
        """Return the case of every data set."""
        settings = self._settings(values)
        return [self.varied.variant({**fixed, **settings}) for fixed in self.sets.values()]

    def _computed(self, variants: Sequence[Variant]) -> dict[str, xr.DataArray | ConvergenceError]:
        """Return the observable over its one axis, or what went wrong, by the names of variants."""
        distinct = {one.name: one for one in variants}
        outcomes = run_variants(list(distinct.values()), self.out, self.jobs, self.comm)

        def opened() -> dict[str, xr.DataArray | ConvergenceError]:
            return {
                name: ConvergenceError(f"{distinct[name].label}: {outcome.failure}")
                if outcome.failure
                else self.wanted.value(read_dataset(outcome.folder / "results.nc"))
                for name, outcome in zip(distinct, outcomes, strict=True)
            }

        return run_on_root(self.comm, opened)

    def _curves(self, values: Floats) -> list[xr.DataArray]:
        """Return the observable of every data set over its one axis."""
        variants = self._variants(values)
        known = self._found
        if any(one.name not in known for one in variants):
            known = self._computed(variants)
        found = []
        for one in variants:
            curve = known[one.name]
            if isinstance(curve, ConvergenceError):
                raise curve
            found.append(curve)
        return found

    def _read(self, curve: xr.DataArray, axis: str) -> tuple[list[Floats], MeasuredPoints]:
        """Return places of the points of every data set, and all points together."""
        name, error = self.wanted.name, f"{self.wanted.name}_error"
        units = {one: str(curve[one].attrs.get("units", "1")) for one in (axis,)}
        units |= dict.fromkeys((name, error), str(curve.attrs.get("units", "1")))
        tables = [self._columns(Path(file), axis, units) for file in self.sets]
        weighted = [error in one for one in tables]
        if any(weighted) and not all(weighted):
            raise FvqpError(f"--for {self.wanted}: give a column {error} in all data sets, or in none")
        labels = [
            ", ".join(f"{key} = {value}" for key, value in fixed.items()) or Path(file).name
            for file, fixed in self.sets.items()
        ]
        places = [one[axis] for one in tables]
        of_points = {
            axis: (np.concatenate(places), {"units": units[axis]}),
            "data_set": (np.repeat(labels, [len(one) for one in places]), {}),
        }
        values = np.concatenate([one[name] for one in tables])
        errors = np.concatenate([one[error] for one in tables]) if all(weighted) else None
        return places, MeasuredPoints(name, units[name], axis, of_points, values, errors)

    def _columns(self, path: Path, axis: str, units: Mapping[str, str]) -> dict[str, Floats]:
        """Return the columns of a data set, inside the window."""
        name, error = self.wanted.name, f"{self.wanted.name}_error"
        columns = read_columns(path, units, needed=(axis, name))
        if error in columns and not (columns[error] > 0.0).all():
            raise FvqpError(f"{path}: column {error}: standard deviations must be positive")
        if self.window is None:
            return columns
        unit = units[axis]
        low, high = (
            float(text) if unit == "1" else to_float(text, unit, what=f"--window {text}")
            for text in self.window
        )
        inside = (columns[axis] >= low) & (columns[axis] <= high)
        if not inside.any():
            raise FvqpError(f"{path}: no point has {axis} between {low:g} and {high:g} {unit}")
        return {key: values[inside] for key, values in columns.items()}

    def values(self, values: Floats) -> Floats:
        """Return the observable at the measured points.

        Raises:
            FvqpError: a point is outside the axis of the results.
        """
        found, axis = [], self.points.axis
        for curve, places, file in zip(self._curves(values), self._places, self.sets, strict=True):
            at = curve.sortby(axis)
            low, high = float(at[axis][0]), float(at[axis][-1])
            slack = 1e-9 * (high - low)
            if places.min() < low - slack or places.max() > high + slack:
                raise FvqpError(
                    f"{file}: {axis} reaches from {places.min():g} to {places.max():g} "
                    f"{at[axis].attrs.get('units', '1')}, but {axis} of the results from {low:g} to "
                    f"{high:g}; extend the case, or choose points with --window"
                )
            found.append(np.interp(places, at[axis].values, at.values))
        return np.concatenate(found)
