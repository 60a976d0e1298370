"""Fitting numbers of a case to a measured non-local conductance."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.case.parameters import Parameter, parameter_limits
from fvqp.case.quantities import Bias
from fvqp.case.reading import apply_override, apply_overrides, case_from_dict, read_toml
from fvqp.case.usadel.build import build_material, build_mesh, build_problems, follows_bias
from fvqp.case.usadel.schema import UsadelCase
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError, FvqpError
from fvqp.mesh import Mesh
from fvqp.models.operating_point import solve_point
from fvqp.models.slopes import conductances
from fvqp.models.usadel import Point, Solution, UsadelProblem
from fvqp.parallel import run_on_root
from fvqp.results.fitted import (
    FitData,
    fit_dataset,
    measured_for_fit,
    require_empty,
    two_digits,
    write_fit,
)
from fvqp.results.result import Result
from fvqp.solvers.least_squares import Fitted, fit_parameters
from fvqp.typing import Floats

log = logging.getLogger(__name__)

#: Tables of a case that do not describe the device; but the temperature of a sweep is one of the bath.
NO_PROPERTIES = ("mesh", "energies", "sweep", "solver", "output", "figures", "model", "title")

#: The energy axis follows the parameters in so many rounds of the search; inside one it stands still.
ROUNDS = 2


def fit_conductance(
    case: str | Path,
    data: str | Path,
    free: Sequence[str],
    out: str | Path | None,
    *,
    bounds: Mapping[str, tuple[Any, Any]],
    part: str,
    window: tuple[str, str] | None,
    overrides: Sequence[str],
    comm: MPI.Comm,
) -> Result:
    """Fit numbers of a case of the Usadel model to a non-local conductance (`fvqp.fit`)."""
    path = Path(case)
    if out is not None:
        # Not only after a long search.
        run_on_root(comm, lambda: require_empty(Path(out)))
    raw = read_toml(path)
    apply_overrides(raw, overrides, path.name)
    original = case_from_dict(raw, source=path.name, folder=path.parent)
    if not isinstance(original, UsadelCase):
        raise CaseError(
            f'{path.name}: model: a fit of other models than "usadel" needs the name of the '
            "measured quantity: --for (observable=)"
        )
    if not free:
        raise CaseError("fit: no parameter is free; name one: --free spectrum.broadening")
    parameters = [Parameter.of(raw, text) for text in free]
    keys = [parameter.key for parameter in parameters]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise CaseError(f"--free {key}: is free already")
        if key.split(".")[0] in NO_PROPERTIES and not key.startswith("sweep.temperature"):
            raise CaseError(
                f"--free {key}: is no property of the device; fit numbers of materials, contacts, spectra, "
                "or sweep.temperature"
            )
    bounded = parameter_limits(parameters, bounds)
    delta0 = build_material(original).gap
    limits = None if window is None else (_volts(window[0], delta0), _volts(window[1], delta0))
    points = measured_for_fit(data, part, limits)
    model = _Model(raw, path, parameters, points, comm)
    start = np.array([parameter.start for parameter in parameters])
    found = None
    for _ in range(ROUNDS):
        model.grid = None
        found = fit_parameters(
            model.residual,
            start,
            keys,
            weighted=points.error is not None,
            report=model.report,
            bounds=bounded,
        )
        start = found.x
    assert found is not None
    if comm.rank == 0:
        tell_parameters(parameters, found)
        log.info("%d evaluations of %d points", model.evaluations, len(points.value))
    dataset = fit_dataset(
        points, model.conductances(found.x), found, keys, [parameter.unit for parameter in parameters],
        [parameter.start for parameter in parameters], model.computed_currents,
        {"title": original.title, "evaluations": model.evaluations},
    )  # fmt: skip
    if out is None:
        return Result(dataset, None)
    text = model.case(found.x).resolved_toml()
    return write_fit(dataset, Path(out), text, comm)


def _volts(text: str, delta0: float) -> float:
    try:
        return abs(Bias.read(text).in_volt(delta0))
    except (ValueError, FvqpError) as error:
        raise CaseError(f"--window {text}: {error}") from None


def tell_parameters(parameters: Sequence[Parameter], found: Fitted) -> None:
    """Log values with standard deviations, and warn of what the data do not determine."""
    for parameter, value, error, bound in zip(parameters, found.x, found.errors, found.at_bound, strict=True):
        told = f"{parameter.key} = {value:.6g} +- {two_digits(error)} {parameter.unit}"
        log.info("%s", told.rstrip())
        if bound:
            log.warning(
                "%s ran away from its start as far as it may; the data do not determine it", parameter.key
            )
    close = np.abs(np.triu(found.correlation, 1)) > 0.99
    for first, second in zip(*np.nonzero(close), strict=True):
        names = parameters[int(first)].key, parameters[int(second)].key
        log.warning("%s and %s are correlated by %.4f", *names, found.correlation[first, second])


@dataclass(frozen=True)
class _Curve:
    """Points of one supercurrent and detector bias: value of the drive, V_det, and which points they are."""

    drive: float
    V_det: float
    members: NDArray[np.intp]


class _Model:
    """The non-local conductance of a case at the measured points, of its free parameters."""

    def __init__(
        self,
        raw: dict[str, Any],
        path: Path,
        parameters: Sequence[Parameter],
        points: FitData,
        comm: MPI.Comm,
    ) -> None:
        self.raw, self.path, self.parameters, self.points, self.comm = raw, path, parameters, points, comm
        self.currents = (
            [] if points.supercurrent is None else sorted(set(np.abs(points.supercurrent).tolist()))
        )
        self.grid: EnergyAxis | None = None
        self._mesh: Mesh | None = None
        self._last: dict[tuple[Any, ...], Solution] = {}
        self.evaluations = 0
        #: Supercurrents (A) of the model at the measured ones; empty without.
        self.computed_currents: dict[float, float] = {}
        self.scale = float(np.sqrt(np.mean(points.value**2))) or 1.0
        first = self.case(np.array([parameter.start for parameter in parameters]))
        roles = {junction.role for junction in first.junctions if junction.bias is None}
        if not {"injector", "detector"} <= {junction.role for junction in first.junctions}:
            raise CaseError(f"{path.name}: junctions: g_nl needs an injector and a detector")
        if "injector" not in roles:
            raise CaseError(
                f"{path.name}: junctions: every injector has a bias of its own; the data sweep V_inj"
            )
        if first.sweep.temperature is not None and len(first.sweep.temperature) > 1:
            raise CaseError(f"{path.name}: sweep.temperature: data are of one temperature; give one")
        self.follows = follows_bias(first)
        self.detector = next(n for n, j in enumerate(first.junctions) if j.role == "detector")

    def case(self, values: Floats) -> UsadelCase:
        """The case with the parameters and the biases of the data."""
        data = _copied(self.raw)
        points = self.points
        sweep = data.setdefault("sweep", {})
        sweep["V_inj"] = [f"{v!r} V" for v in np.unique(np.abs(points.V_inj)).tolist()]
        if points.V_det is not None:
            sweep["V_det"] = [f"{v!r} V" for v in np.unique(points.V_det).tolist()]
        data["figures"] = []
        if self.currents:
            self._set_currents(data)
        elif isinstance(data.get("supercurrent"), dict):
            data["supercurrent"]["both_signs"] = False
        for parameter, value in zip(self.parameters, values, strict=True):
            apply_override(data, parameter.override(value))
        case = case_from_dict(data, source=self.path.name, folder=self.path.parent)
        assert isinstance(case, UsadelCase)
        if not self.currents and case.supercurrent is not None and len(case.supercurrent.values) > 1:
            raise CaseError(
                f"{self.path.name}: supercurrent: the data have no column supercurrent; give the case one "
                "value"
            )
        if points.V_det is None and case.sweep.V_det is not None and len(case.sweep.V_det.in_volt(1.0)) > 1:
            raise CaseError(
                f"{self.path.name}: sweep.V_det: the data have no column V_det; give the case one value"
            )
        return case

    def _set_currents(self, data: dict[str, Any]) -> None:
        """The measured currents in the case, or its phase gradients, one for each in order of size."""
        table = data.get("supercurrent")
        if not isinstance(table, dict):
            if any(self.currents):
                raise CaseError(
                    f"{self.path.name}: supercurrent: missing: the data have a column supercurrent"
                )
            return
        table["both_signs"] = False
        if "phase_gradient" not in table:
            table["current"] = [f"{value!r} A" for value in self.currents]
            return
        gradients = table["phase_gradient"]
        count = len(gradients) if isinstance(gradients, list) else 1
        if count != len(self.currents):
            raise CaseError(
                f"{self.path.name}: supercurrent.phase_gradient: {count} value(s) for {len(self.currents)} "
                "sizes of the supercurrent in the data; give one each, in order of size"
            )

    def residual(self, values: Floats) -> Floats:
        """Model less data, in units of the standard deviations or of the data's root mean square."""
        unit = self.scale if self.points.error is None else self.points.error
        found = np.asarray((self.conductances(values) - self.points.value) / unit)
        # One vector for all ranks, to the last bit: their searches must not part.
        self.evaluations += 1
        return np.asarray(self.comm.bcast(found))

    def report(self, values: Floats, residual: Floats) -> None:
        """A line of progress."""
        if self.comm.rank == 0:
            named = zip(self.parameters, values, strict=True)
            told = ", ".join(f"{p.key} = {v:.6g} {p.unit}".rstrip() for p, v in named)
            deviation = float(np.sqrt(np.mean(residual**2)))
            log.info("%s: mean deviation %.4g %s", told, deviation, self.points.deviation_unit)

    def conductances(self, values: Floats) -> Floats:
        """The part of g_nl that was measured, at all points, siemens."""
        case = self.case(values)
        if self._mesh is None:
            self._mesh = build_mesh(case, self.comm)
        (problem,) = build_problems(case, self._mesh, self.grid)
        self.grid = problem.grid
        sizes = self.currents or [0.0]
        by_current = dict(zip(sizes, problem.drives, strict=True))
        if case.supercurrent is not None:
            self.computed_currents = {
                size: phase.current
                for size, drive in by_current.items()
                if (phase := problem.at_rest(drive)[1]) is not None
            }
        coupled = problem.supercurrent is not None and problem.coupling
        out = np.zeros(len(self.points.value))
        fixed = (
            0.0
            if case.sweep.V_det is None
            else float(case.sweep.V_det.in_volt(problem.device.material.gap)[0])
        )
        for curve in self._curves(by_current, fixed):
            for weight, sign_current, sign_bias in _images(self.points.part, coupled):
                found = self._curve(problem, curve, sign_current, sign_bias)
                out[curve.members] += weight * found
        return out

    def _curves(self, drives: dict[float, float], fixed: float) -> Iterator[_Curve]:
        points = self.points
        current = np.zeros(len(points.value)) if points.supercurrent is None else points.supercurrent
        detector = np.full(len(points.value), fixed) if points.V_det is None else points.V_det
        for value, bias in itertools.product(np.unique(current), np.unique(detector)):
            members = np.flatnonzero((current == value) & (detector == bias))
            if len(members):
                drive = drives[abs(float(value))]
                yield _Curve(float(np.copysign(drive, value) if value else drive), float(bias), members)

    def _curve(self, problem: UsadelProblem, curve: _Curve, sign_current: int, sign_bias: int) -> Floats:
        """g_nl along a curve, with supercurrent and injector bias reversed or not, from earlier solutions."""
        biases = sign_bias * self.points.V_inj[curve.members]
        out = np.empty(len(biases))
        drive = sign_current * curve.drive
        for branch in (biases >= 0.0, biases < 0.0):
            neighbour: Solution | None = None
            for member in np.flatnonzero(branch)[np.argsort(np.abs(biases[branch]), kind="stable")]:
                key = (curve.members[member], sign_current, sign_bias)
                guess = self._last.get(key, neighbour)
                point = Point(float(biases[member]), curve.V_det, drive)
                if guess is not None and guess.point.supercurrent != drive:
                    # A drive that is being fitted moves a little; the old state still is the best start.
                    guess = replace(guess, point=replace(guess.point, supercurrent=drive))
                neighbour = solve_point(problem, point, guess)
                if self.follows:
                    self._last[key] = neighbour
                out[member] = -float(conductances(problem, neighbour)[self.detector])
        return out


def _images(part: str, coupled: bool) -> list[tuple[float, int, int]]:
    """Return the parts of a part of g_nl (Eqs. 16-19): weights and signs of supercurrent and injector
    bias."""
    currents = (1, -1) if coupled and part != "g_nl" else (1,)
    biases = (1, -1) if part in ("g_ss", "g_sa") else (1,)
    odd_current, odd_bias = part == "g_a", part == "g_sa"
    count = len(currents) * len(biases)
    return [
        ((i if odd_current else 1) * (v if odd_bias else 1) / count, i, v)
        for i, v in itertools.product(currents, biases)
    ]


def _copied(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _copied(value) for key, value in data.items()}
    return [_copied(value) for value in data] if isinstance(data, list) else data
