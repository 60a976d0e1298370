"""Spectra from CSV files of two columns, energy and what there is of it."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from fvqp.errors import CaseError
from fvqp.typing import Floats


def read_spectrum(
    where: str, path: Path, columns: tuple[str, str], what: str, largest: float = math.inf
) -> tuple[Floats, Floats]:
    """Energies, which increase, and values from 0 to ``largest``.

    Args:
        where: file and key of the case, for messages.
        path: of the table.
        columns: their names.
        what: of the values, for messages.
        largest: allowed value.

    Raises:
        CaseError: with file and line, what is wrong with the table.
    """
    where = f"{where}: {path.name}"
    rows: list[tuple[float, float]] = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            table = csv.DictReader(file)
            names = [name.strip() for name in table.fieldnames or ()]
            if names != list(columns):
                found = ",".join(names) or "nothing"
                raise CaseError(f"{where}: expected the columns {columns[0]},{columns[1]}, got {found}")
            for number, row in enumerate(table, start=2):
                try:
                    energy, value = (float(entry) for entry in row.values())
                except (TypeError, ValueError):
                    raise CaseError(f"{where}: line {number}: expected two numbers") from None
                if not math.isfinite(energy):
                    raise CaseError(f"{where}: line {number}: expected a finite energy")
                if not (math.isfinite(value) and 0.0 <= value <= largest):
                    raise CaseError(
                        f"{where}: line {number}: {what} of {value:g}; expected one from 0"
                        + (f" to {largest:g}" if math.isfinite(largest) else "")
                    )
                if rows and energy <= rows[-1][0]:
                    raise CaseError(f"{where}: line {number}: energies must increase")
                rows.append((energy, value))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise CaseError(f"{where}: cannot be read: {error}") from None
    if len(rows) < 2:
        raise CaseError(f"{where}: needs at least two rows")
    energies, values = np.array(rows).T
    return energies, values
