"""Figures of a results folder.

Everything is drawn from the dataset alone, so that ``fvqp plot`` redraws without computing.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.text import Text

from fvqp.errors import FvqpError, shown
from fvqp.results.dataset import settled
from fvqp.results.figures import clusters, curves, fits, localized, maps, studies, wire
from fvqp.results.figures.common import SYMBOLS, Drawing, FigureSpec, plain_logarithms
from fvqp.results.figures.numbers import numbers, plain
from fvqp.results.files import replacing

FAMILIES: dict[str, dict[str, Drawing]] = {
    "usadel": wire.KINDS | maps.KINDS,
    "fit": fits.KINDS,
    "study": studies.KINDS,
    "boltzmann": curves.FILMS,
    "transport": curves.BODIES,
    "eliashberg": curves.SPECTRA,
    "clusters": clusters.KINDS,
    "localized": localized.KINDS,
    "weak_link": curves.WEAK_LINKS,
}
"""Kinds of figures and what draws them, by the attribute ``model`` of a dataset."""

DPI = 160
LEGEND_LINE = 0.16
"""Inches; height of a line of a legend in print."""
LONGEST_OF_THREE = 16
"""Letters of the entries of a legend that has three columns in print."""
PRINT_DPI = 600
"""Resolution of figures of a journal's width, and of the maps in their vector files."""
INCH = 25.4
"""Millimetres."""
WIDTHS = {"single": 86.0, "double": 178.0}
"""Millimetres of one and two columns of a journal."""
MIN_HEIGHT = 55.0
"""Millimetres, below which a figure of a journal's width is not shrunk."""
PRINT_FONTS = (8.0, 9.0)
"""Smallest and largest letters in print, in points."""
PRINT_LINES = 2.0 / 3.0
"""Widths of curves in print over those on the screen."""
MAX_INSIDE = 3
"""Entries of a legend that may stay in a panel of one column; longer ones are below it."""
LETTERS_PER_INCH = 13
"""Letters of a title in an inch, so that it stays inside the figure."""
_NAME = re.compile(r"\b\w+_\w+\b")
"""A variable in a title, such as g_ss."""


FORMATS = ("png", "svg", "pdf", "csv")
"""Endings of the files of a figure; CSV has its numbers."""


def kinds_of(dataset: xr.Dataset) -> dict[str, Drawing]:
    """Return the kinds of figures that there are of the model of a dataset."""
    return FAMILIES[str(dataset.attrs.get("model", "usadel"))]


def fill(dataset: xr.Dataset, spec: FigureSpec, figure: Figure, width: str | None = None) -> Figure:
    """Draw into an empty figure.

    Args:
        dataset: results.
        spec: what to draw.
        figure: drawn into.
        width: ``"single"`` or ``"double"``: one or two columns of a journal (`WIDTHS`), with letters and
            lines for print and without the title, which is the caption's; none for the screen.

    Raises:
        FvqpError: it cannot be drawn, or there is no such width.
    """
    if width is not None and width not in WIDTHS:
        raise FvqpError(f"there is no width {shown(width)} of figures; there are: {', '.join(WIDTHS)}")
    kinds = kinds_of(dataset)
    if spec.kind not in kinds:
        raise FvqpError(f'there is no figure of kind "{spec.kind}"; there are: {", ".join(kinds)}')
    with _style(width):
        kinds[spec.kind](dataset, spec, figure)
        plain_logarithms(figure)
        if width is not None:
            _fit(figure, WIDTHS[width] / INCH)
        if width == "single":
            _legend_below(figure)
        title = None if width else spec.title or dataset.attrs.get("title")
        columns = int(LETTERS_PER_INCH * figure.get_figwidth())
        lines = [textwrap.fill(str(line), columns) for line in (title, missing(dataset)) if line]
        if lines:
            text = "\n".join(lines)
            figure.suptitle(_NAME.sub(lambda match: SYMBOLS.get(match[0], match[0]), text), fontsize=9)
        if width is not None:
            for words in figure.findobj(Text):
                words.set_fontsize(min(max(words.get_fontsize(), PRINT_FONTS[0]), PRINT_FONTS[1]))
            for line in figure.findobj(Line2D):
                line.set_linewidth(PRINT_LINES * line.get_linewidth())
    return figure


def _fit(figure: Figure, width: float) -> None:
    """Give a figure a width (inches), and a height in proportion that is neither too low nor larger than it
    was."""
    old, height = figure.get_size_inches()
    least = min(height, MIN_HEIGHT / INCH)
    figure.set_size_inches(width, min(max(height * width / old, least), height))


def _legend_below(figure: Figure) -> None:
    """Move the legend of a figure below its panels, unless it is short, and make room for it."""
    found = [axes.legend_ for axes in figure.axes if axes.legend_ is not None] + figure.legends
    if len(found) != 1 or len(found[0].get_texts()) <= MAX_INSIDE:
        return
    (legend,) = found
    handles: list[Any] = list(legend.legend_handles)
    names = [text.get_text() for text in legend.get_texts()]
    title = legend.get_title().get_text()
    legend.remove()
    columns = 3 if max(len(plain(name)) for name in names) <= LONGEST_OF_THREE else 2
    close: dict[str, Any] = {"handlelength": 1.4, "columnspacing": 1.2, "handletextpad": 0.5}
    figure.legend(handles, names, title=title or None, loc="outside lower center", ncols=columns, **close)
    width, height = figure.get_size_inches()
    lines = -(-len(names) // columns) + bool(title)
    figure.set_size_inches(width, height + LEGEND_LINE * lines)


def _style(width: str | None = None) -> AbstractContextManager[None]:
    """Settings of figures; of vector files, letters stay letters that can be searched and edited."""
    thin: dict[Any, Any] = {f"{x}tick.{size}.width": 0.5 for x in "xy" for size in ("major", "minor")}
    thin |= {"axes.linewidth": 0.5, "font.size": PRINT_FONTS[0], "axes.labelsize": PRINT_FONTS[1]}
    letters: dict[Any, Any] = {"pdf.fonttype": 42, "svg.fonttype": "none"}
    common: dict[Any, Any] = {"font.size": 9, "axes.grid": False, "legend.frameon": False}
    common |= {"axes.formatter.useoffset": False}
    return matplotlib.rc_context(common | letters | (thin if width else {}))


def draw(
    dataset: xr.Dataset,
    spec: FigureSpec,
    folder: Path,
    formats: Sequence[str] = (),
    width: str | None = None,
) -> list[Path]:
    """Write a figure.

    Args:
        dataset: results.
        spec: what to draw.
        folder: where to.
        formats: of `FORMATS`, each a file of its own; none for the file of ``spec`` alone.
        width: see `fill`.

    Returns:
        The files.

    Raises:
        FvqpError: it cannot be drawn, or there is no such format or width.
    """
    file = folder / (spec.file or f"{spec.kind}.png")
    dpi = PRINT_DPI if width else DPI
    return written(lambda figure: fill(dataset, spec, figure, width), file, formats, dpi)


def written(
    fill_figure: Callable[[Figure], Figure], file: Path, formats: Sequence[str] = (), dpi: int = DPI
) -> list[Path]:
    """Write a figure that ``fill_figure`` draws, see `draw`.

    Args:
        fill_figure: draws into an empty figure.
        file: where to.
        formats: of `FORMATS`, each a file of its own; none for ``file`` alone.
        dpi: pixels an inch of PNG, and of maps in vector files.
    """
    for ending in formats:
        if ending not in FORMATS:
            raise FvqpError(f"there is no format {shown(ending)} of figures; there are: {', '.join(FORMATS)}")
    with _style():
        figure = fill_figure(Figure(layout="constrained", dpi=dpi))
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
    there = settled(dataset)
    return "" if there.all() else f"unfinished: {there.sum()} of {there.size} points"


__all__ = [
    "DPI",
    "FAMILIES",
    "FORMATS",
    "WIDTHS",
    "FigureSpec",
    "draw",
    "fill",
    "kinds_of",
    "missing",
    "written",
]
