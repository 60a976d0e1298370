"""Errors of mesh, energies, directions and tolerance of a case, and the cheapest setting that meets a target.

Every knob is varied by itself around the case. The error of its finest level comes from Richardson's
extrapolation where three levels show an order, with a safety factor; else from the differences. The error of
a coarser level is its difference from the finest one, and that error. Errors of knobs add up.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import xarray as xr
from mpi4py import MPI

from fvqp.errors import CaseError, FvqpError
from fvqp.parallel import run_on_root
from fvqp.results.convergence import error_of_finest, largest
from fvqp.results.dataset import read_dataset
from fvqp.results.files import write_text
from fvqp.texts import columns
from fvqp.typing import Floats
from fvqp.units import to_float
from fvqp.variation.keys import VariedCase, VariedKey
from fvqp.variation.knobs import Knob, knobs_of
from fvqp.variation.observable import ObservableAt, table_of
from fvqp.variation.runs import RunOutcome, run_variants

REPORT = "refinement.json"
COARSEST = -3
"""Levels below the case that are tried."""


@dataclass(frozen=True)
class Level:
    """A level of a knob.

    Attributes:
        level: 0 for the case, 1 and more for finer ones.
        text: keys with values.
        value: of the quantity; of a curve its largest size.
        error: in the unit of the quantity.
        cost: time of computing over that of the case.
    """

    level: int
    text: str
    value: float
    error: float
    cost: float


@dataclass(frozen=True)
class KnobErrors:
    """Levels of a knob, from coarse to fine, with the order that they show (NaN for none), and failures."""

    knob: Knob
    levels: list[Level]
    order: float
    failures: list[str]


@dataclass(frozen=True)
class Refinement:
    """Errors of a case, and what meets the target.

    Attributes:
        observable: what it is about, with units.
        target: error that is allowed, in the unit of the quantity.
        size: the quantity; of a curve its largest size.
        knobs: errors of each.
        unvaried: knob → reason why it is not varied.
        settings: key → value of the cheapest setting; empty for that of the case.
        error: of that setting: the sum over knobs.
        value: with that setting; of a curve its largest size.
        cost: of that setting over that of the case, as far as knobs multiply.
        met: True if the error is within the target.
    """

    observable: str
    units: str
    target: float
    size: float
    knobs: list[KnobErrors]
    unvaried: dict[str, str]
    settings: dict[str, Any]
    error: float
    value: float
    cost: float
    met: bool

    def __str__(self) -> str:
        unit = "" if self.units == "1" else f" {self.units}"
        percent = 100.0 / self.size if self.size > 0.0 else float("nan")
        lines = [f"{self.observable}: target {self.target:.3g}{unit} ({percent * self.target:.3g} %)"]
        head = ("knob", "level", "setting", f"value{unit and f' ({self.units})'}", "error", "%", "time")
        rows = [head]
        for one in self.knobs:
            order = f"order {one.order:.2f}" if np.isfinite(one.order) else "no order seen"
            for number, level in enumerate(one.levels):
                rows.append(
                    (
                        one.knob.name if number == 0 else order if number == 1 else "",
                        f"{level.level:+d}" if level.level else "case",
                        level.text,
                        f"{level.value:.7g}",
                        f"{level.error:.2g}",
                        f"{percent * level.error:.2g}",
                        f"{level.cost:.2g}",
                    )
                )
        lines.append(indent(columns(rows), "  "))
        lines += [f"  {name} {reason}" for name, reason in self.unvaried.items()]
        lines += [f"  {text}" for one in self.knobs for text in one.failures]
        about = f"error {self.error:.2g}{unit} ({percent * self.error:.2g} %), {self.value:.7g}{unit}"
        about += f", {self.cost:.2g} times the time of the case"
        options = " ".join(_option(key, value) for key, value in self.settings.items())
        if self.met:
            lines.append(f"cheapest setting that meets the target: {options or 'that of the case'}")
        else:
            lines.append(
                f"no setting that was tried meets the target; the best: {options or 'that of the case'}"
            )
        return "\n".join([*lines, f"  {about}"])


def refine(
    case: Mapping[str, Any] | str | Path,
    observable: str,
    target: str | float,
    out: str | Path,
    *,
    overrides: Iterable[str] = (),
    levels: int = 3,
    jobs: int = 1,
    comm: MPI.Comm = MPI.COMM_WORLD,
) -> Refinement:
    """Find how fine is fine enough for a quantity.

    Args:
        case: file, or dictionary laid out like the file.
        observable: quantity, with places along its axes: ``"g_nl"``, ``"x_qp[time=1 us]"``. Of a curve the
            largest error counts, relative to its largest size.
        target: ``"1%"`` or a number, relative to the quantity; or a quantity in its units, ``"2 nS"``.
        out: folder of the runs, see `vary`.
        overrides: ``"key=value"`` as of ``--set``.
        levels: refinements of a knob that are tried at most.
        jobs, comm: as of `vary`.

    Returns:
        Errors of the knobs, and the cheapest setting.

    Raises:
        FvqpError: bad input; the case itself fails, or has no knob.
    """
    out, wanted = Path(out), ObservableAt.of(observable)
    if levels < 1:
        raise CaseError(f"--levels {levels}: expected at least 1")
    _parsed(target, "1", 1.0)
    varied = VariedCase(case, overrides)
    knobs, unvaried = knobs_of(varied)
    if not knobs:
        reasons = "; ".join(f"{name} {reason}" for name, reason in unvaried.items())
        raise CaseError(
            f"{varied.source}: nothing to refine: no mesh, energies, directions or tolerance that can vary"
            + (f" ({reasons})" if reasons else "; vary its keys with fvqp study")
        )
    search = _Search(varied, wanted, target, out, levels, jobs, comm)
    found = search.run(knobs, unvaried)
    run_on_root(comm, lambda: write_text(out / REPORT, json.dumps(_plain(found), indent=1)))
    return found


class _Search:
    """Runs of levels, and what they say."""

    def __init__(
        self,
        varied: VariedCase,
        wanted: ObservableAt,
        target: str | float,
        out: Path,
        levels: int,
        jobs: int,
        comm: MPI.Comm,
    ) -> None:
        self.varied, self.wanted, self.given, self.out = varied, wanted, target, out
        self.most, self.jobs, self.comm = levels, jobs, comm
        self.values: dict[tuple[str, int], xr.DataArray] = {}
        self.seconds: dict[tuple[str, int], float] = {}
        self.failures: dict[tuple[str, int], str] = {}

    def run(self, knobs: list[Knob], unvaried: dict[str, str]) -> Refinement:
        # The case itself comes first: what is wrong with it, or with the quantity, is said at once.
        self._compute([(one, 0) for one in knobs])
        base = self._base(knobs)
        units, size = str(base.attrs.get("units", "1")), largest(np.atleast_1d(base.values))
        target = _parsed(self.given, units, size)
        self._compute([(one, level) for one in knobs for level in (-1, 1)])
        # A knob that does not change the case says so in a check, which fails all its levels.
        active = [one for one in knobs if (one.name, 1) in self.values or (one.name, -1) in self.values]
        unvaried = unvaried | {
            one.name: f"is not varied: {self._why(one)}" for one in knobs if one not in active
        }
        if not active:
            raise CaseError(f"{self.varied.source}: no knob can vary: " + "; ".join(unvaried.values()))
        share = target / len(active)
        while True:
            wishes = [wish for one in active if (wish := self._next(one, share)) is not None]
            if not wishes:
                break
            self._compute(wishes)
        errors = [self._errors(one) for one in active]
        return self._chosen(errors, unvaried, units, size, target)

    def _base(self, knobs: list[Knob]) -> xr.DataArray:
        key = (knobs[0].name, 0)
        if key not in self.values:
            raise FvqpError(f"{self.varied.source}: the case itself fails: {self.failures.get(key, '')}")
        return self.values[key]

    def _why(self, knob: Knob) -> str:
        return next((self.failures[knob.name, n] for n in (1, -1) if (knob.name, n) in self.failures), "")

    def _compute(self, wishes: list[tuple[Knob, int]]) -> None:
        """Run levels of knobs, and take their values."""
        variants, places = [], []
        for knob, level in wishes:
            try:
                variants.append(self.varied.variant(knob.settings(level)))
                places.append((knob.name, level))
            except (CaseError, ValueError) as error:
                if level == 0:
                    raise
                self.failures[knob.name, level] = " ".join(str(error).split())
        distinct = list({one.name: one for one in variants}.values())
        outcomes = run_variants(distinct, self.out, self.jobs, self.comm)
        by_name = {one.name: outcome for one, outcome in zip(distinct, outcomes, strict=True)}
        for place, variant in zip(places, variants, strict=True):
            outcome = by_name[variant.name]
            if outcome.failure:
                self.failures[place] = outcome.failure
                continue
            self.values[place] = self._value(outcome)
            self.seconds[place] = outcome.processor

    def _value(self, outcome: RunOutcome) -> xr.DataArray:
        return run_on_root(self.comm, lambda: self.wanted.value(read_dataset(outcome.folder / "results.nc")))

    def _levels(self, knob: Knob) -> list[int]:
        return sorted(level for name, level in self.values if name == knob.name)

    def _next(self, knob: Knob, share: float) -> tuple[Knob, int] | None:
        """Return the level that is to be tried next; None if it is known which one suffices."""
        known, tried = self._levels(knob), {n for name, n in self.failures if name == knob.name}
        finest, coarsest = known[-1], known[0]
        errors = {one.level: one.error for one in self._errors(knob).levels}
        finer = finest + 1 <= self.most and finest + 1 not in tried
        if finer and (min(errors[n] for n in known) > share or len(known) < 3):
            return knob, finest + 1
        if errors[coarsest] <= share and coarsest - 1 >= COARSEST and coarsest - 1 not in tried:
            return knob, coarsest - 1
        return None

    def _errors(self, knob: Knob) -> KnobErrors:
        known = self._levels(knob)
        table = table_of(self.wanted, [self.values[knob.name, level] for level in known])
        sizes = np.array([knob.size(level) for level in known])
        of_finest, order = error_of_finest(sizes, table)
        costs = self._costs(knob, known)
        levels = []
        for number, level in enumerate(known):
            apart = largest(table[number] - table[-1])
            value = float(table[number][0]) if table.shape[1] == 1 else largest(table[number])
            levels.append(Level(level, knob.text(level), value, apart + of_finest, float(costs[number])))
        failed = [
            f"{knob.name}, level {level:+d}: not computed: {reason}"
            for (name, level), reason in sorted(self.failures.items())
            if name == knob.name
        ]
        return KnobErrors(knob, levels, order, failed)

    def _costs(self, knob: Knob, known: list[int]) -> Floats:
        """Return processor times of levels over that of the case.

        The first run has compiled its loops, which is no cost of the case: finer levels are never cheaper,
        and what they took bounds the time of coarser ones.
        """
        times: Floats = np.array([self.seconds[knob.name, level] for level in known])
        times = np.minimum.accumulate(np.where(np.isfinite(times), times, np.inf)[::-1])[::-1]
        of_case = min(taken for (_, level), taken in self.seconds.items() if level >= 0)
        costs = np.minimum(times / of_case, np.where(np.array(known) <= 0, 1.0, np.inf))
        return np.where(np.isfinite(costs), costs, 1.0)

    def _chosen(
        self, errors: list[KnobErrors], unvaried: dict[str, str], units: str, size: float, target: float
    ) -> Refinement:
        """The cheapest combination of levels within the target, run once more as a whole."""
        combinations = list(itertools.product(*(one.levels for one in errors)))

        def error(levels: tuple[Level, ...]) -> float:
            return sum(one.error for one in levels)

        def price(levels: tuple[Level, ...]) -> tuple[float, int]:
            return float(np.prod([one.cost for one in levels])), sum(one.level for one in levels)

        within = [levels for levels in combinations if error(levels) <= target]
        best = (
            min(within, key=price) if within else min(combinations, key=lambda one: (error(one), price(one)))
        )
        settings: dict[str, Any] = {}
        for one, level in zip(errors, best, strict=True):
            settings |= one.knob.settings(level.level)
        variant = self.varied.variant(settings)
        (outcome,) = run_variants([variant], self.out, self.jobs, self.comm)
        if outcome.failure:
            raise FvqpError(f"{variant.label}: {outcome.failure}")
        values = np.atleast_1d(self._value(outcome).values).ravel()
        value = float(values[0]) if values.size == 1 else largest(values)
        return Refinement(
            observable=str(self.wanted),
            units=units,
            target=target,
            size=size,
            knobs=errors,
            unvaried=unvaried,
            settings=settings,
            error=error(best),
            value=value,
            cost=price(best)[0],
            met=bool(within),
        )


def _option(key: str, value: Any) -> str:
    text = VariedKey(key, (value,)).override(value).replace('"', "")
    return f'--set "{text}"' if " " in text else f"--set {text}"


def _parsed(target: str | float, units: str, size: float) -> float:
    """Return the error that is allowed, in the units of the quantity."""
    text = str(target).strip()
    try:
        allowed = float(text[:-1]) * 0.01 * size if text.endswith("%") else float(text) * size
    except ValueError:
        if units == "1":
            # Before anything is computed the units are not known: any quantity may be right.
            return 1.0 if size == 1.0 else to_float(text, "1", what="relative error")
        try:
            allowed = to_float(text, units.replace(" ", "*").replace("-", "**-"), what="error")
        except FvqpError:
            raise CaseError(f"--to {text}: expected an error in {units}, or a part such as 1%") from None
    if not allowed > 0.0:
        raise CaseError(f"--to {text}: must be positive")
    return allowed


def _plain(found: Refinement) -> dict[str, Any]:
    """The report as JSON."""
    knobs = [
        {"knob": one.knob.name, "order": None if np.isnan(one.order) else one.order}
        | {"levels": [vars(level) for level in one.levels], "failures": one.failures}
        for one in found.knobs
    ]
    return {**vars(found), "knobs": knobs}
