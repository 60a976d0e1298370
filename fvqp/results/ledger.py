"""The ledger of a computation: what went in, what relaxed inside, what was taken out, what is missing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from fvqp.results.dataset import SweepDataset
from fvqp.texts import html_table

log = logging.getLogger(__name__)

ROWS = {"particles": "1/s", "charge": "A", "energy": "W", "leads": "W"}
"""Conserved quantities and the units of their rates."""
ENTRIES = ("injected", "relaxed", "taken_out", "residual")
"""Columns: residual = injected − relaxed − taken_out."""
TOLERANCE = 1e-8
"""Relative residual above which a ledger does not close."""
ROUNDING = 1e-13
"""Changes of energies below this part of them are those of rounding: nothing has moved."""


@dataclass
class Ledger:
    """Balance of one sweep point.

    ``rows[name] = (injected, relaxed, taken_out)`` are rates in the units of :data:`ROWS`; ``scale[name]``,
    where given, is the gross flow that the residual is compared with (default: the largest of the three);
    ``point`` says which point of a sweep it is.
    """

    rows: dict[str, tuple[float, float, float]]
    scale: dict[str, float] = field(default_factory=dict)
    point: str = ""

    def __post_init__(self) -> None:
        unknown = set(self.rows) - set(ROWS)
        if unknown:
            raise KeyError(f"a ledger has the rows {', '.join(ROWS)}, not {', '.join(sorted(unknown))}")

    def __repr__(self) -> str:
        rows = ", ".join(f"{row} {self.relative(row):.1e}" for row in self.rows) or "empty"
        place = f" at {self.point}" if self.point else ""
        return f"Ledger(relative residual{place}: {rows})"

    def _repr_html_(self) -> str:
        head = ("", *(name.replace("_", " ") for name in ENTRIES), "relative")
        rows = [(f"{row} ({ROWS[row]})", *(f"{x:.5g}" for x in self._numbers(row))) for row in self.rows]
        return html_table(f"Ledger at {self.point}" if self.point else "Ledger", rows, head)

    def _numbers(self, row: str) -> tuple[float, ...]:
        """Entries of a row, its residual, and the relative one."""
        return *self.rows[row], self.residual(row), self.relative(row)

    def residual(self, row: str) -> float:
        """Injected − relaxed − taken out."""
        injected, relaxed, taken_out = self.rows[row]
        return injected - relaxed - taken_out

    def relative(self, row: str) -> float:
        """Size of the residual over the gross flow; 0 where nothing flows."""
        residual = abs(self.residual(row))
        if residual == 0 or np.isnan(residual):
            return residual
        return residual / max(abs(self.scale.get(row, 0.0)), *map(abs, self.rows[row]))

    def closes(self, tolerance: float = TOLERANCE) -> bool:
        """Return whether every row's relative residual is within ``tolerance`` (NaN is not)."""
        return all(self.relative(row) <= tolerance for row in self.rows)

    def table(self) -> str:
        """The ledger as lines of text."""
        head = f"{'':<18}" + "".join(f"{name.replace('_', ' '):>14}" for name in (*ENTRIES, "relative"))
        lines = [head]
        for row in self.rows:
            numbers = "".join(f"{number:>14.5g}" for number in self._numbers(row))
            lines.append(f"{f'{row} ({ROWS[row]})':<18}{numbers}")
        return "\n".join(lines)

    def log(self, tolerance: float = TOLERANCE) -> None:
        """Writes the ledger to the log, with a warning for every row that does not close."""
        if self.point:
            log.info("ledger at %s, where its residual is largest", self.point)
        for line in self.table().splitlines():
            log.info("%s", line)
        for row in self.rows:
            if not self.relative(row) <= tolerance:
                log.warning(
                    "the ledger of %s does not close: %.2g of the flow is missing (tolerance %.0e)",
                    row,
                    self.relative(row),
                    tolerance,
                )

    def record(self, sweep: SweepDataset, point: tuple[int, ...]) -> None:
        """Stores the ledger of a sweep point: ``ledger_particles``, ``ledger_charge``, ...."""
        if "ledger_entry" not in sweep.dataset.coords:
            sweep.set_coordinate("ledger_entry", ("ledger_entry",), np.array(ENTRIES))
        for row, entries in self.rows.items():
            sweep.define(f"ledger_{row}", ("ledger_entry",))
            sweep.dataset.variables[f"ledger_{row}"].values[point] = (*entries, self.residual(row))

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Ledger:
        """The ledger of the sweep point whose residual is largest; of every row in units of its largest flow
        in the sweep."""
        tables = {row: dataset[f"ledger_{row}"].values for row in ROWS if f"ledger_{row}" in dataset}
        known = {row: ~np.isnan(values).all(axis=-1) for row, values in tables.items()}
        tables = {row: values for row, values in tables.items() if known[row].any()}
        if not tables:
            return cls({})
        scale = {row: float(np.nanmax(np.abs(values[..., :3]))) for row, values in tables.items()}
        sizes = [
            np.where(
                known[row], np.nan_to_num(np.abs(values[..., 3]) / (scale[row] or 1.0), nan=np.inf), -1.0
            )
            for row, values in tables.items()
        ]
        largest = np.max(sizes, axis=0)
        worst = np.unravel_index(int(np.argmax(largest)), largest.shape)
        rows = {
            row: (float(values[worst][0]), float(values[worst][1]), float(values[worst][2]))
            for row, values in tables.items()
            if known[row][worst]
        }
        swept = [dim for dim in dataset[f"ledger_{next(iter(tables))}"].dims if dim != "ledger_entry"]
        point = [_coordinate(dataset[dim], i) for dim, i in zip(swept, worst, strict=True)]
        return cls(rows, {row: scale[row] for row in rows}, ", ".join(point))


def balance(dataset: xr.Dataset) -> str:
    """Return a line about the energy that is missing, of models that have it in place of a ledger.

    It is that of the point or time that closes worst; empty if the dataset has no such balance.
    """
    if "power_injected" in dataset:
        given = float(np.abs(dataset["power_injected"]).max())
        residual = dataset["power_injected"] - dataset["power_escaped"]
        missing, of = float(np.abs(residual).max()), "power that is injected"
    elif "energy_residual" in dataset:
        parts = [name for name in ("energy_qp", "energy_ph", "energy_escaped") if name in dataset]
        given = sum(float((dataset[name].max("time") - dataset[name].min("time")).max()) for name in parts)
        missing, of = float(np.abs(dataset["energy_residual"]).max()), "energy that has moved"
        held = sum(float(np.abs(dataset[name]).max()) for name in parts if name != "energy_escaped")
        if given < ROUNDING * held:
            given, of = held, "energy that is there"
    else:
        return ""
    if not given > 0.0:
        return ""
    return f"balance of energy: {missing / given:.1e} of the {of} is missing"


def _coordinate(axis: xr.DataArray, index: np.intp) -> str:
    """``V_inj = 0.0005 V``."""
    return f"{axis.name} = {axis.values[index]:.6g} {axis.attrs.get('units', '')}".rstrip()
