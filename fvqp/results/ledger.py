"""The ledger of a computation: what went in, what relaxed inside, what was taken out, what is missing."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import numpy as np
import xarray as xr

from fvqp.results.dataset import SweepDataset

log = logging.getLogger(__name__)

ROWS = {"particles": "1/s", "charge": "A", "energy": "W"}
"""Conserved quantities and the units of their rates."""
ENTRIES = ("injected", "relaxed", "taken_out", "residual")
"""Columns: residual = injected − relaxed − taken_out."""
TOLERANCE = 1e-8
"""Relative residual above which a ledger does not close."""


@dataclass
class Ledger:
    """Balance of one sweep point, or the worst one of several.

    ``rows[name] = (injected, relaxed, taken_out)`` are rates in the units of :data:`ROWS`; ``scale[name]``,
    where given, is the gross flow that the residual is compared with (default: the largest of the three).
    """

    rows: dict[str, tuple[float, float, float]]
    scale: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        unknown = set(self.rows) - set(ROWS)
        if unknown:
            raise KeyError(f"a ledger has the rows {', '.join(ROWS)}, not {', '.join(sorted(unknown))}")

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
        """Whether every row's relative residual is within ``tolerance`` (NaN is not)."""
        return all(self.relative(row) <= tolerance for row in self.rows)

    def table(self) -> str:
        """The ledger as lines of text."""
        head = f"{'':<18}" + "".join(f"{name.replace('_', ' '):>14}" for name in (*ENTRIES, "relative"))
        lines = [head]
        for row in self.rows:
            numbers = (*self.rows[row], self.residual(row), self.relative(row))
            lines.append(f"{f'{row} ({ROWS[row]})':<18}" + "".join(f"{number:>14.5g}" for number in numbers))
        return "\n".join(lines)

    def log(self, tolerance: float = TOLERANCE) -> None:
        """Writes the ledger to the log, with a warning for every row that does not close."""
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
        """Stores the ledger of a sweep point: ``ledger_particles``, ``ledger_charge``, ``ledger_energy``."""
        if "ledger_entry" not in sweep.dataset.coords:
            sweep.set_coordinate("ledger_entry", ("ledger_entry",), np.array(ENTRIES))
        for row, entries in self.rows.items():
            sweep.define(f"ledger_{row}", ("ledger_entry",))
            sweep.dataset[f"ledger_{row}"].values[point] = (*entries, self.residual(row))

    @classmethod
    def of(cls, dataset: xr.Dataset) -> Ledger:
        """The ledger of a dataset: for every row the sweep point whose residual is largest, against the
        largest flow of the sweep."""
        rows, scale = {}, {}
        for row in ROWS:
            name = f"ledger_{row}"
            if name not in dataset:
                continue
            values = dataset[name].values.reshape(-1, len(ENTRIES))
            values = values[~np.isnan(values).all(axis=1)]
            if len(values) == 0:
                continue
            worst = int(np.argmax(np.abs(values[:, 3])))
            rows[row] = (float(values[worst, 0]), float(values[worst, 1]), float(values[worst, 2]))
            scale[row] = float(np.abs(values[:, :3]).max())
        return cls(rows, scale)
