"""Figures of a results folder.

Everything is drawn from the dataset alone, so that ``fvqp plot`` redraws without computing.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import matplotlib
import xarray as xr
from matplotlib.figure import Figure

from fvqp.errors import FvqpError, shown
from fvqp.results.dataset import Outcome
from fvqp.results.figures import (
    clusters,
    fits,
    kinetic,
    localized,
    maps,
    spectra,
    studies,
    transport,
    weak_links,
    wire,
)
from fvqp.results.figures.common import SYMBOLS, Drawing, FigureSpec, plain_logarithms
from fvqp.results.figures.numbers import numbers
from fvqp.results.files import replacing

FAMILIES: dict[str, dict[str, Drawing]] = {
    "usadel": wire.KINDS | maps.KINDS,
    "fit": fits.KINDS,
    "study": studies.KINDS,
    "boltzmann": kinetic.KINDS,
    "transport": transport.KINDS,
    "eliashberg": spectra.KINDS,
    "clusters": clusters.KINDS,
    "localized": localized.KINDS,
    "weak_link": weak_links.KINDS,
}
"""Kinds of figures and what draws them, by the attribute ``model`` of a dataset."""

DPI = 160
LETTERS_PER_INCH = 13
"""Of a title, so that it stays inside the figure."""
_NAME = re.compile(r"\b\w+_\w+\b")
"""A variable in a title, such as g_ss."""


FORMATS = ("png", "svg", "pdf", "csv")
"""Endings of the files of a figure; CSV has its numbers."""


def kinds_of(dataset: xr.Dataset) -> dict[str, Drawing]:
    """Return the kinds of figures that there are of the model of a dataset."""
    return FAMILIES[str(dataset.attrs.get("model", "usadel"))]


def fill(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> Figure:
    """Draw into an empty figure; raises :class:`FvqpError` if that cannot be."""
    kinds = kinds_of(dataset)
    if spec.kind not in kinds:
        raise FvqpError(f'there is no figure of kind "{spec.kind}"; there are: {", ".join(kinds)}')
    with _style():
        kinds[spec.kind](dataset, spec, figure)
        plain_logarithms(figure)
        title = spec.title or dataset.attrs.get("title")
        columns = int(LETTERS_PER_INCH * figure.get_figwidth())
        lines = [textwrap.fill(str(line), columns) for line in (title, missing(dataset)) if line]
        if lines:
            text = "\n".join(lines)
            figure.suptitle(_NAME.sub(lambda match: SYMBOLS.get(match[0], match[0]), text), fontsize=9)
    return figure


def _style() -> AbstractContextManager[None]:
    return matplotlib.rc_context(
        {"font.size": 9, "axes.grid": False, "legend.frameon": False, "axes.formatter.useoffset": False}
    )


def draw(dataset: xr.Dataset, spec: FigureSpec, folder: Path, formats: Sequence[str] = ()) -> list[Path]:
    """Write a figure.

    Args:
        dataset: results.
        spec: what to draw.
        folder: where to.
        formats: of `FORMATS`, each a file of its own; none for the file of ``spec`` alone.

    Returns:
        The files.

    Raises:
        FvqpError: it cannot be drawn, or there is no such format.
    """
    file = folder / (spec.file or f"{spec.kind}.png")
    return written(lambda figure: fill(dataset, spec, figure), file, formats)


def written(fill_figure: Callable[[Figure], Figure], file: Path, formats: Sequence[str] = ()) -> list[Path]:
    """Write a figure that ``fill_figure`` draws, see `draw`.

    Args:
        fill_figure: draws into an empty figure.
        file: where to.
        formats: of `FORMATS`, each a file of its own; none for ``file`` alone.
    """
    for ending in formats:
        if ending not in FORMATS:
            raise FvqpError(f"there is no format {shown(ending)} of figures; there are: {', '.join(FORMATS)}")
    with _style():
        figure = fill_figure(Figure(layout="constrained", dpi=DPI))
    paths = [file.with_suffix(f".{ending}") for ending in formats] or [file]
    for path in paths:
        _write(figure, path)
    return paths


def _write(figure: Figure, path: Path) -> None:
    try:
        with _style(), replacing(path) as part:
            if path.suffix == ".csv":
                part.write_text(numbers(figure), encoding="utf-8")
            else:
                figure.savefig(part, format=path.suffix[1:])
    except ValueError as error:
        # What stands between two $ is a formula, and may be none.
        reason = str(error).strip().splitlines()[-1]
        raise FvqpError(f"{path.name}: a title or name in it is no valid formula: {reason}") from None


def missing(dataset: xr.Dataset) -> str:
    """Return the note of a figure of an unfinished run: the number of points it shows. Empty if none is
    missing.

    Points at which superconductivity is known to be destroyed are not missing.
    """
    if "completed" not in dataset:
        return ""
    there = dataset["completed"].values.astype(bool)
    if "outcome" in dataset:
        there = there | (dataset["outcome"].values == Outcome.DESTROYED)
    return "" if there.all() else f"unfinished: {there.sum()} of {there.size} points"


__all__ = ["DPI", "FAMILIES", "FORMATS", "FigureSpec", "draw", "fill", "kinds_of", "missing", "written"]
