"""Columns of numbers in CSV files."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from fvqp.errors import FvqpError, cut, shown
from fvqp.typing import Floats
from fvqp.units import to_float

_TITLE = re.compile(r"^\s*([\w.]+)\s*(?:[\[(]\s*([^\])]*?)\s*[\])])?\s*$")
"""Name and unit of a column."""


def read_columns(path: str | Path, units: Mapping[str, str], needed: Sequence[str] = ()) -> dict[str, Floats]:
    """Return the columns of a CSV file that have a known name.

    The first line names the columns, with their units if these are not the expected ones: ``V_inj (mV)``.
    Other columns are ignored, as are empty lines and lines that start with ``#``.

    Args:
        path: text file in UTF-8, its columns separated by commas.
        units: known name → unit of the returned values.
        needed: names without which the table is of no use.

    Raises:
        FvqpError: with file, line and reason.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise FvqpError(f"{path}: no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise FvqpError(f"{path}: cannot be read as text: {error}") from None
    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    lines = [(number, line) for number, line in lines if not line.lstrip().startswith("#")]
    if len(lines) < 2:
        raise FvqpError(f"{path}: expected a line of column names and lines of numbers")
    reader = csv.reader([line for _, line in lines], skipinitialspace=True)
    try:
        header, *rows = reader
    except csv.Error as error:
        raise FvqpError(f"{path}: line {lines[max(reader.line_num, 1) - 1][0]}: {error}") from None
    if 1 + len(rows) != len(lines):
        raise FvqpError(f"{path}: an entry in quotes has no end on its line")
    used, factors = _known_columns(path, header, units)
    missing = [name for name in needed if name not in used]
    for mark, name in (";", "semicolons"), ("\t", "tabs"):
        if (missing or not used) and len(header) == 1 and mark in header[0]:
            raise FvqpError(
                f"{path}: its columns are separated by {name}; separate them by commas, and write numbers "
                "with a decimal point"
            )
    if missing:
        found = ", ".join(cut(entry.strip()) for entry in header[:20])
        raise FvqpError(f"{path}: no column {missing[0]} (columns: {found})")
    table = np.empty((len(rows), len(used)))
    for at, ((number, _), row) in enumerate(zip(lines[1:], rows, strict=True)):
        if len(row) != len(header):
            raise FvqpError(f"{path}: line {number}: {len(row)} entries, the header has {len(header)}")
        try:
            table[at] = [float(row[column]) for column in used.values()]
        except ValueError:
            raise FvqpError(f"{path}: line {number}: expected numbers, got {shown(', '.join(row))}") from None
        if not np.isfinite(table[at]).all():
            raise FvqpError(f"{path}: line {number}: a value is not finite")
    return {name: table[:, at] * factors[name] for at, name in enumerate(used)}


def _known_columns(
    path: Path, header: list[str], units: Mapping[str, str]
) -> tuple[dict[str, int], dict[str, float]]:
    """Places and factors of the columns whose names are known."""
    used: dict[str, int] = {}
    factors: dict[str, float] = {}
    for column, title in enumerate(header):
        match = _TITLE.match(title)
        if match is None or match[1] not in units:
            continue
        name = match[1]
        if name in used:
            raise FvqpError(f"{path}: two columns are named {name}")
        used[name] = column
        try:
            given = _readable(match[2] or units[name])
            factors[name] = to_float(f"1 {given}", _readable(units[name]), what=name)
        except FvqpError as error:
            raise FvqpError(f"{path}: column {cut(title.strip())}: {error}") from None
    return used, factors


def _readable(unit: str) -> str:
    """A unit such as "m-3 s-1" in the words of pint."""
    return "*".join(re.sub(r"^(\D+?)(-?\d+)$", r"\1**\2", part) for part in unit.split(" "))
