"""Figures of a results folder.

Everything is drawn from the dataset alone, so that ``fvqp plot`` redraws without computing.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import matplotlib
import xarray as xr
from matplotlib.figure import Figure

from fvqp.errors import FvqpError
from fvqp.results.dataset import Outcome
from fvqp.results.figures import (
    clusters,
    fits,
    kinetic,
    localized,
    maps,
    spectra,
    transport,
    weak_links,
    wire,
)
from fvqp.results.figures.common import SYMBOLS, Drawing, FigureSpec, plain_logarithms
from fvqp.results.files import replacing

FAMILIES: dict[str, dict[str, Drawing]] = {
    "usadel": wire.KINDS | maps.KINDS,
    "fit": fits.KINDS,
    "boltzmann": kinetic.KINDS,
    "transport": transport.KINDS,
    "eliashberg": spectra.KINDS,
    "clusters": clusters.KINDS,
    "localized": localized.KINDS,
    "weak_link": weak_links.KINDS,
}
"""Kinds of figures and what draws them, by the attribute ``model`` of a dataset."""

LETTERS_PER_INCH = 13
"""Of a title, so that it stays inside the figure."""
_NAME = re.compile(r"\b\w+_\w+\b")
"""A variable in a title, such as g_ss."""


def draw(dataset: xr.Dataset, spec: FigureSpec, folder: Path) -> Path:
    """Draws a figure into ``folder``; its file. Raises :class:`FvqpError` if it cannot be drawn."""
    kinds = FAMILIES[str(dataset.attrs.get("model", "usadel"))]
    if spec.kind not in kinds:
        raise FvqpError(f'there is no figure of kind "{spec.kind}"; there are: {", ".join(kinds)}')
    path = folder / (spec.file or f"{spec.kind}.png")
    with matplotlib.rc_context({"font.size": 9, "axes.grid": False, "legend.frameon": False}):
        figure = Figure(layout="constrained", dpi=160)
        kinds[spec.kind](dataset, spec, figure)
        plain_logarithms(figure)
        title = spec.title or dataset.attrs.get("title")
        columns = int(LETTERS_PER_INCH * figure.get_figwidth())
        lines = [textwrap.fill(str(line), columns) for line in (title, missing(dataset)) if line]
        if lines:
            text = "\n".join(lines)
            figure.suptitle(_NAME.sub(lambda match: SYMBOLS.get(match[0], match[0]), text), fontsize=9)
        try:
            with replacing(path) as part:
                figure.savefig(part, format=path.suffix[1:])
        except ValueError as error:
            # What stands between two $ is a formula, and may be none.
            reason = str(error).strip().splitlines()[-1]
            raise FvqpError(f"{path.name}: a title or name in it is no valid formula: {reason}") from None
    return path


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


__all__ = ["FAMILIES", "FigureSpec", "draw", "missing"]
