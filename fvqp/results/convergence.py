"""Convergence of quantities along the keys of a study: differences from the last value, observed orders.

With values h of a discretization and results u(h) = u(0) + C h^p, three results give p:
(u₁ − u₂)/(u₂ − u₃) = (h₁^p − h₂^p)/(h₂^p − h₃^p). The error of the last one is then
(u₃ − u₂)/((h₂/h₃)^p − 1) (Richardson's extrapolation).
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import StringIO
from textwrap import indent

import numpy as np
import xarray as xr
from scipy.optimize import brentq

from fvqp.errors import FvqpError
from fvqp.results.dataset import ABOUT_RUNS
from fvqp.texts import columns
from fvqp.typing import Floats

ORDERS = (0.05, 12.0)
"""Orders that are looked for."""
SAFETY = 1.25
"""Factor of Richardson's estimate of an error, for orders that are not yet those of the limit."""
CAUTION = 3.0
"""Factor of differences where no order is seen."""
MAX_ORDER = 2.0
"""Largest order that an estimate of an error relies on; higher ones may be a coincidence."""
STEEP = 4.5
"""Order above which differences do not fall as a power: no method of this program has one."""
ROUNDING = 1e-13
"""Relative differences that say nothing about an order."""


@dataclass(frozen=True)
class Row:
    """A quantity at a value of a key, the other keys at their last values.

    Attributes:
        quantity, units: what it is.
        key, at: key and its value, as text.
        value: of the quantity; of a curve its largest size. NaN if the run failed.
        curve: True for a curve.
        difference: from that at the last value of the key; of a curve the largest one.
        relative: the same by the size of the last one.
        order: observed with the two values before; NaN if they show none.
    """

    quantity: str
    units: str
    key: str
    at: str
    value: float
    curve: bool
    difference: float
    relative: float
    order: float


class Convergence:
    """Table of convergence of a study.

    Args:
        dataset: of the study.
        names: quantities; default: all that are finite somewhere and change.

    Raises:
        FvqpError: no such quantity.
    """

    def __init__(self, dataset: xr.Dataset, names: Sequence[str] = ()) -> None:
        self.keys = [str(name) for name in dataset["completed"].dims]
        known = [str(name) for name in dataset.data_vars if name not in ABOUT_RUNS]
        for name in names:
            if name not in known:
                raise FvqpError(f"the study holds no quantity {name}; it holds: {', '.join(known)}")
        self.rows = [
            row
            for key in self.keys
            for name in names or known
            for row in _rows(dataset, name, key, self.keys, always=bool(names))
        ]

    def csv(self) -> str:
        """Return the table as CSV."""
        text = StringIO()
        table = csv.writer(text, lineterminator="\n")
        table.writerow(("key", "at", "quantity", "units", "kind", "value", "difference", "relative", "order"))
        for one in self.rows:
            numbers = (f"{x:.10g}" for x in (one.value, one.difference, one.relative, one.order))
            kind = "curve" if one.curve else "number"
            table.writerow((one.key, one.at, one.quantity, one.units, kind, *numbers))
        return text.getvalue()

    def __str__(self) -> str:
        blocks = [self._block(key) for key in self.keys]
        notes = []
        if any(one.curve for one in self.rows):
            notes.append("* a curve: its largest size, and the largest difference between curves")
        return "\n\n".join([block for block in blocks if block] + notes)

    def _block(self, key: str) -> str:
        rows = [one for one in self.rows if one.key == key]
        if not rows:
            return ""
        others = [name for name in self.keys if name != key]
        lines = [("quantity", "units", key, "value", "from the last", "relative", "order")]
        before = ""
        for one in rows:
            name = f"{one.quantity}{'*' if one.curve else ''}" if one.quantity != before else ""
            before = one.quantity
            failed = not np.isfinite(one.value)
            difference = "" if failed else f"{one.difference:.3g}"
            relative = "" if failed else f"{one.relative:.2e}"
            order = f"{one.order:.2f}" if np.isfinite(one.order) else ""
            value = "failed" if failed else f"{one.value:.8g}"
            lines.append((name, one.units if name else "", one.at, value, difference, relative, order))
        head = f"{key}" + (f", with {', '.join(others)} at the last value" if others else "")
        return f"{head}\n{indent(columns(lines), '  ')}"


def spacings(values: Floats) -> Floats | None:
    """Return values of a discretization as sizes h that tend to zero: as they are if they fall, inverse if
    they grow; None if they do neither, or are no positive numbers."""
    if values.dtype.kind not in "fiu" or len(values) < 2 or not np.all(values > 0):
        return None
    steps = np.diff(values.astype(float))
    if np.all(steps < 0.0):
        return values.astype(float)
    return 1.0 / values.astype(float) if np.all(steps > 0.0) else None


def observed_order(h: Floats, first: float, second: float) -> float:
    """Return the order p that three results show; NaN if there is none between 0.05 and 12.

    Args:
        h: sizes of the discretization ``(3,)``, falling.
        first: result at ``h[0]`` less that at ``h[1]``; or the norm of that.
        second: result at ``h[1]`` less that at ``h[2]``.
    """
    if not (np.isfinite(first) and np.isfinite(second)) or first * second <= 0.0:
        return float("nan")
    ratio = first / second
    a, b = h[0] / h[1], h[2] / h[1]

    def excess(p: float) -> float:
        return float((a**p - 1.0) / (1.0 - b**p) - ratio)

    if excess(ORDERS[0]) > 0.0 or excess(ORDERS[1]) < 0.0:
        return float("nan")
    return float(brentq(excess, *ORDERS))


def _rows(dataset: xr.Dataset, name: str, key: str, keys: Sequence[str], *, always: bool) -> Iterator[Row]:
    """Rows of a quantity along a key."""
    values = dataset[name]
    if values.dtype.kind not in "fiu" or key not in values.dims:
        return
    values = values.isel({other: -1 for other in keys if other != key}).transpose(key, ...)
    table = values.values.reshape(values.sizes[key], -1).astype(float)
    if not np.isfinite(table).any():
        return
    curve, last = table.shape[1] > 1, table[-1]
    size = largest(last)
    apart = np.array([largest(row - last) for row in table])
    if not always and not np.nanmax(np.where(np.isfinite(apart), apart, 0.0)) > 0.0:
        return
    axis = dataset[key]
    h, unit = spacings(axis.values), str(axis.attrs.get("units", ""))
    unit = "" if unit == "1" else unit
    for number, row in enumerate(table):
        order = float("nan")
        if h is not None and number >= 2:
            order = order_of(h[number - 2 : number + 1], table[number - 2 : number + 1])
        at = axis.values[number]
        yield Row(
            name,
            str(values.attrs.get("units", "1")),
            key,
            f"{at:.6g} {unit}".rstrip() if axis.dtype.kind in "fiu" else str(at),
            largest(row) if curve else float(row[0]),
            curve,
            apart[number],
            apart[number] / size if size > 0.0 else float("nan"),
            order,
        )


def order_of(h: Floats, results: Floats) -> float:
    """Return the order that three results show, as of `observed_order`.

    Args:
        h: ``(3,)``.
        results: numbers ``(3, 1)``, or curves ``(3, n)``, compared by their largest differences.
    """
    differences = results[:-1] - results[1:]
    if results.shape[1] > 1:
        norms = [largest(one) for one in differences]
    else:
        norms = [float(one[0]) for one in differences]
    if min(map(abs, norms)) <= ROUNDING * largest(results[-1]):
        return float("nan")
    return observed_order(h, *norms)


def error_of_finest(h: Floats, results: Floats) -> tuple[float, float]:
    """Return an estimate of the error of the finest of several results, and the order of the last three.

    With an order p: `SAFETY` times Richardson's estimate, p counted up to `MAX_ORDER`. Without one, or with
    one above `STEEP`: `CAUTION` times the largest difference among the last three.

    Args:
        h: sizes of the discretization ``(n,)``, falling.
        results: numbers ``(n, 1)``, or curves ``(n, m)``, whose largest errors count.

    Returns:
        Error; NaN for a single result. Order; NaN if none is seen.
    """
    if len(h) < 2:
        return float("nan"), float("nan")
    order = order_of(h[-3:], results[-3:]) if len(h) >= 3 else float("nan")
    steps = [largest(one) for one in np.diff(results[-3:], axis=0)]
    if not order <= STEEP:
        return CAUTION * max(steps), float("nan")
    return SAFETY * steps[-1] / ((h[-2] / h[-1]) ** min(order, MAX_ORDER) - 1.0), order


def largest(values: Floats) -> float:
    """Return the largest size of numbers; NaN without finite ones."""
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else float("nan")
