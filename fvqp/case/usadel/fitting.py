"""Non-local conductance of a case at measured points, for fits of numbers of the case (`fvqp.fit`)."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.case.parameters import Parameter
from fvqp.case.quantities import Bias
from fvqp.case.reading import apply_override, case_from_dict
from fvqp.case.usadel.build import build_material, build_mesh, build_problems, follows_bias
from fvqp.case.usadel.schema import UsadelCase
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError, FvqpError
from fvqp.mesh import Mesh
from fvqp.models.usadel.operating_point import solve_point
from fvqp.models.usadel.problem import Point, Solution, UsadelProblem
from fvqp.models.usadel.slopes import conductances
from fvqp.results.measured import conductance_points
from fvqp.typing import Floats

#: Tables of a case that do not describe the device; but the temperature of a sweep is one of the bath.
NO_PROPERTIES = ("mesh", "energies", "sweep", "solver", "output", "figures", "model", "title")


@dataclass(frozen=True)
class _Curve:
    """Points of one supercurrent and detector bias: value of the drive, V_det, and which points they are."""

    drive: float
    V_det: float
    members: NDArray[np.intp]


class ConductanceModel:
    """The non-local conductance of a case at measured points, of its free parameters.

    Evaluations start from one another, and the biases of the data replace those of the case.

    Args:
        raw: the case as its file has it, overrides included.
        source, folder: name of the file for messages, and its folder.
        parameters: free numbers of the case.
        data: CSV file, see `fvqp.results.measured.conductance_points`.
        part: of ``PARTS``.
        window: smallest and largest \\|V_inj\\| with units.
        comm: ranks that share the mesh.
    """

    ROUNDS = 2
    """The energy axis follows the parameters in so many rounds of a search; inside one it stands still."""
    STEP, TOLERANCE = 1e-4, 1e-7
    """Relative step of derivatives, and relative change of the parameters at which a search ends."""

    def __init__(
        self,
        raw: dict[str, Any],
        source: str,
        folder: Path,
        parameters: Sequence[Parameter],
        data: str | Path,
        part: str,
        window: tuple[str, str] | None,
        comm: MPI.Comm,
    ) -> None:
        self.raw, self.source, self.folder, self.parameters, self.comm = raw, source, folder, parameters, comm
        original = case_from_dict(raw, source, folder)
        if not isinstance(original, UsadelCase):
            raise CaseError(
                f'{source}: model: a fit of other models than "usadel" needs the name of the '
                "measured quantity: --for (observable=)"
            )
        for key in (parameter.key for parameter in parameters):
            if key.split(".")[0] in NO_PROPERTIES and not key.startswith("sweep.temperature"):
                raise CaseError(
                    f"--free {key}: is no property of the device; fit numbers of materials, contacts, "
                    "spectra, or sweep.temperature"
                )
        delta0 = build_material(original).gap
        limits = None if window is None else (_volts(window[0], delta0), _volts(window[1], delta0))
        self.points = points = conductance_points(data, part, limits)
        self._V_inj = points.coordinates["V_inj"][0]
        self._V_det, self._supercurrent = points.at("V_det"), points.at("supercurrent")
        currents = self._supercurrent
        self.currents = [] if currents is None else sorted(set(np.abs(currents).tolist()))
        self.grid: EnergyAxis | None = None
        self._mesh: Mesh | None = None
        self._last: dict[tuple[Any, ...], Solution] = {}
        #: Supercurrents (A) of the model at the measured ones; empty without.
        self.computed_currents: dict[float, float] = {}
        first = self.case(np.array([parameter.start for parameter in parameters]))
        roles = {junction.role for junction in first.junctions if junction.bias is None}
        if not {"injector", "detector"} <= {junction.role for junction in first.junctions}:
            raise CaseError(f"{source}: junctions: g_nl needs an injector and a detector")
        if "injector" not in roles:
            raise CaseError(
                f"{source}: junctions: every injector has a bias of its own; the data sweep V_inj"
            )
        if first.sweep.temperature is not None and len(first.sweep.temperature) > 1:
            raise CaseError(f"{source}: sweep.temperature: data are of one temperature; give one")
        self.follows = follows_bias(first)
        self.detector = next(n for n, j in enumerate(first.junctions) if j.role == "detector")

    def begin_round(self) -> None:
        """Let the energy axis follow the spectra of the next evaluation."""
        self.grid = None

    def prepare(self, several: Sequence[Floats]) -> None:
        """Do nothing: evaluations start from one another."""

    def case(self, values: Floats) -> UsadelCase:
        """The case with the parameters and the biases of the data."""
        data = copy.deepcopy(self.raw)
        sweep = data.setdefault("sweep", {})
        sweep["V_inj"] = [f"{v!r} V" for v in np.unique(np.abs(self._V_inj)).tolist()]
        if self._V_det is not None:
            sweep["V_det"] = [f"{v!r} V" for v in np.unique(self._V_det).tolist()]
        data["figures"] = []
        if self.currents:
            self._set_currents(data)
        elif isinstance(data.get("supercurrent"), dict):
            data["supercurrent"]["both_signs"] = False
        for parameter, value in zip(self.parameters, values, strict=True):
            apply_override(data, parameter.override(value))
        case = case_from_dict(data, source=self.source, folder=self.folder)
        assert isinstance(case, UsadelCase)
        if not self.currents and case.supercurrent is not None and len(case.supercurrent.values) > 1:
            raise CaseError(
                f"{self.source}: supercurrent: the data have no column supercurrent; give the case one value"
            )
        if self._V_det is None and case.sweep.V_det is not None and len(case.sweep.V_det.in_volt(1.0)) > 1:
            raise CaseError(
                f"{self.source}: sweep.V_det: the data have no column V_det; give the case one value"
            )
        return case

    def _set_currents(self, data: dict[str, Any]) -> None:
        """The measured currents in the case, or its phase gradients, one for each in order of size."""
        table = data.get("supercurrent")
        if not isinstance(table, dict):
            if any(self.currents):
                raise CaseError(f"{self.source}: supercurrent: missing: the data have a column supercurrent")
            return
        table["both_signs"] = False
        if "phase_gradient" not in table:
            table["current"] = [f"{value!r} A" for value in self.currents]
            return
        gradients = table["phase_gradient"]
        count = len(gradients) if isinstance(gradients, list) else 1
        if count != len(self.currents):
            raise CaseError(
                f"{self.source}: supercurrent.phase_gradient: {count} value(s) for {len(self.currents)} "
                "sizes of the supercurrent in the data; give one each, in order of size"
            )

    def values(self, values: Floats) -> Floats:
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
            for weight, sign_current, sign_bias in _images(self.points.name, coupled):
                found = self._curve(problem, curve, sign_current, sign_bias)
                out[curve.members] += weight * found
        return out

    def variables(self) -> dict[str, Any]:
        """Further variables of the results at the points: supercurrents of the model, where there are."""
        if self._supercurrent is None or not self.computed_currents:
            return {}
        model = [self.computed_currents.get(abs(float(value)), np.nan) for value in self._supercurrent]
        return {"I_s": ("point", model, {"units": "A", "long_name": "size of the supercurrent in the model"})}

    def _curves(self, drives: dict[float, float], fixed: float) -> Iterator[_Curve]:
        none = np.zeros(len(self._V_inj))
        current = none if self._supercurrent is None else self._supercurrent
        detector = none + fixed if self._V_det is None else self._V_det
        for value, bias in itertools.product(np.unique(current), np.unique(detector)):
            members = np.flatnonzero((current == value) & (detector == bias))
            if len(members):
                drive = drives[abs(float(value))]
                yield _Curve(float(np.copysign(drive, value) if value else drive), float(bias), members)

    def _curve(self, problem: UsadelProblem, curve: _Curve, sign_current: int, sign_bias: int) -> Floats:
        """g_nl along a curve, with supercurrent and injector bias reversed or not, from earlier solutions."""
        biases = sign_bias * self._V_inj[curve.members]
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


def _volts(text: str, delta0: float) -> float:
    try:
        return abs(Bias.read(text).in_volt(delta0))
    except (ValueError, FvqpError) as error:
        raise CaseError(f"--window {text}: {error}") from None
