"""A finished (or interrupted) computation, opened: dataset, ledger, figures."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import xarray as xr

from fvqp.errors import CheckpointError, FvqpError, NothingToDraw
from fvqp.results.convergence import Convergence
from fvqp.results.dataset import read_dataset
from fvqp.results.files import make_folder
from fvqp.results.ledger import Ledger
from fvqp.results.over_time import arrivals, time_constants
from fvqp.texts import html_table, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fvqp.results.figures import FigureSpec

log = logging.getLogger(__name__)

STUDY_FILE = "study.nc"
"""Results of all runs of a study, in its folder."""


@dataclass
class Result:
    """Results of a run.

    Attributes
    ----------
    dataset : everything in ``results.nc``, as :class:`xarray.Dataset`.
    folder : the results folder; none for a computation that was not written.
    """

    dataset: xr.Dataset
    folder: Path | None = None

    def __repr__(self) -> str:
        data = self.dataset
        title = data.attrs.get("title") or data.attrs.get("model", "")
        return f"Result({title!r} {self._where}: {self._axes}{self._done}; {len(data.data_vars)} variables)"

    def _repr_html_(self) -> str:
        data = self.dataset
        named = (f"{name} ({data[name].attrs.get('units', '')})" for name in data.data_vars)
        rows = [
            ("title", str(data.attrs.get("title", ""))),
            ("model", str(data.attrs.get("model", ""))),
            ("results", self._where),
            ("points", self._axes + self._done),
            ("variables", listed(named)),
            ("ledger", repr(self.ledger)),
        ]
        return html_table("Result", [row for row in rows if row[1]])

    @property
    def _where(self) -> str:
        return "in memory" if self.folder is None else f"in {self.folder}"

    @property
    def _axes(self) -> str:
        """Numbers of values along the axes of the sweep."""
        data = self.dataset
        names = data["completed"].dims if "completed" in data else data.dims
        return ", ".join(f"{data.sizes[name]} {name}" for name in names) or "one point"

    @property
    def _done(self) -> str:
        """Number of points that are computed."""
        if "completed" not in self.dataset:
            return ""
        swept = self.dataset["completed"]
        return f", {int(swept.sum())} of {swept.size} points computed"

    @property
    def ledger(self) -> Ledger:
        """Balance of particles, charge and energy: the sweep point that closes worst."""
        return Ledger.of(self.dataset)

    def arrivals(self) -> xr.Dataset:
        """Histograms over time of what arrived at exits: :func:`fvqp.results.over_time.arrivals`."""
        return arrivals(self.dataset)

    def time_constants(self) -> xr.Dataset:
        """Peaks and decays of densities: :func:`fvqp.results.over_time.time_constants`."""
        return time_constants(self.dataset)

    def convergence(self, *names: str) -> Convergence:
        """Return the table of convergence of a study (:func:`fvqp.vary`), of some quantities or of all.

        Raises:
            FvqpError: this is the result of one run, or there is no such quantity.
        """
        if self.dataset.attrs.get("model") != "study":
            raise FvqpError("convergence is that of a study of several runs; this is the result of one")
        return Convergence(self.dataset, names)

    def plot(self, kind: str | None = None, *, width: str | None = None) -> list[Axes]:
        """Draw the case's figures, or one figure of a ``kind`` that the case need not ask for, on the screen.

        They are figures of ``matplotlib.pyplot``: notebooks show them, scripts after ``pyplot.show()``.

        Args:
            kind: of a figure.
            width: ``"single"`` (86 mm) or ``"double"`` (178 mm), columns of a journal: letters of 8 to 9
                points, thin lines, and no title, which is the caption's. Default: for the screen.

        Returns:
            Axes of the figures, to be changed.

        Raises:
            FvqpError: the dataset lacks what a figure shows, or the case asks for none; there is no such
                width.
        """
        from matplotlib import pyplot

        from fvqp.results.figures import DPI, fill, kinds_of

        specs = self._specs(kind)
        if not specs:
            known = ", ".join(kinds_of(self.dataset))
            raise FvqpError(
                f"the case asks for no figures; name a kind, such as plot(kind); there are: {known}"
            )
        found: list[Axes] = []
        for spec in specs:
            figure = pyplot.figure(layout="constrained", dpi=DPI)
            try:
                found += fill(self.dataset, spec, figure, width).axes
            except FvqpError:
                pyplot.close(figure)
                raise
        return found

    def save_figures(
        self,
        folder: str | Path | None = None,
        *,
        kind: str | None = None,
        formats: Sequence[str] = (),
        width: str | None = None,
    ) -> list[Path]:
        """Write the case's figures, or one figure of a ``kind`` that the case need not ask for.

        A figure of the case in which there would be nothing to see is left out, with a warning.

        Args:
            folder: where to write; default ``figures`` in the results folder.
            kind: of a figure.
            formats: ``png``, ``svg``, ``pdf``, and ``csv`` for the numbers of the curves and maps; default:
                the file that the case names, or PNG.
            width: as in `plot`; PNG has 600 pixels an inch then.

        Returns:
            The files.

        Raises:
            FvqpError: the dataset lacks what a figure shows; there is no such format or width.
        """
        # Loading matplotlib takes longer than all else together, and a run need not wait for it.
        from fvqp.results.figures import draw

        target = Path(folder) if folder is not None else self.folder and self.folder / "figures"
        if target is None:
            raise FvqpError("this result has no folder: say where the figures go")
        specs = self._specs(kind)
        if specs:
            make_folder(target)
        files: list[Path] = []
        for spec in specs:
            try:
                files += draw(self.dataset, spec, target, formats, width)
            except NothingToDraw as error:
                if kind is not None:
                    raise
                log.warning('no figure "%s": %s', spec.kind, error)
        return files

    def _specs(self, kind: str | None) -> list[FigureSpec]:
        """Figures of the case, or of a kind."""
        from fvqp.results.figures import FigureSpec

        try:
            specs = [FigureSpec(**entry) for entry in json.loads(self.dataset.attrs.get("figures", "[]"))]
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"{self.folder}: attribute figures is damaged ({error})") from None
        if kind is not None:
            specs = [spec for spec in specs if spec.kind == kind] or [FigureSpec(kind)]
        return specs

    def animate(self, field: str, folder: str | Path | None = None) -> list[Path]:
        """Films of a field that the run has written for ParaView: :func:`fvqp.results.animation.animate`."""
        from fvqp.results.animation import animate

        if self.folder is None:
            raise FvqpError("this result has no folder, and so no fields")
        return animate(self.folder, field, folder)

    def view(self, out: str | Path | None = None, *, show: bool = True) -> Path:
        """Write the interactive page of the results folder, and open it: :func:`fvqp.results.view.view`."""
        from fvqp.results.view import view

        if self.folder is None:
            raise FvqpError("this result has no folder: an interactive page is made from one")
        return view(self.folder, out, show=show)


def open_result(folder: str | Path) -> Result:
    """The result in a folder that a run has written, also while it runs or after it was stopped; or a study.

    Raises :class:`~fvqp.errors.CheckpointError` if there is no readable ``results.nc``.
    """
    folder = Path(folder)
    if (folder / STUDY_FILE).is_file() and not (folder / "results.nc").exists():
        return Result(read_dataset(folder / STUDY_FILE), folder)
    return Result(read_dataset(folder / "results.nc"), folder)
