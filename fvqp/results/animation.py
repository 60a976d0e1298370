"""A field of a run in motion: every step that was written for ParaView, rendered off screen into a GIF."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.errors import FvqpError
from fvqp.mesh.vtk import off_screen, stretched
from fvqp.results.fields import SUPERCONDUCTING, Steps, read_step, steps_of
from fvqp.results.files import make_folder, replacing
from fvqp.results.progress import SweepProgress
from fvqp.typing import Bools, Floats

PIXELS = (900, 620)
#: Seconds that a frame is seen, and the last one, before the film begins again.
FRAME, LAST_FRAME = 0.12, 1.5
#: A positive field whose largest value is so many times its smallest is coloured by its logarithm.
LOGARITHMIC = 300.0
#: Decades that are told apart below the largest value.
DECADES = 6.0
#: A solid that is thinner in a direction by far more than this factor is stretched to it.
LONGEST_ASPECT = 8.0


def animate(folder: str | Path, field: str, to: str | Path | None = None) -> list[Path]:
    """Animates a field of a results folder; one ``.gif`` a series of fields. By one process.

    Colours mean the same in all frames; they are logarithmic where a positive field spans decades. Cells that
    never have a gap are grey in films of the gap and of quasiparticles. Thin solids are stretched. The title
    has the size of the mesh, and how much it is stretched.

    Parameters
    ----------
    folder : results folder of a run that wrote fields.
    field : its name as in the case (``gap``) or in ParaView (``gap (ueV)``).
    to : folder for the films; default ``figures`` in the results folder.

    Raises
    ------
    FvqpError
        No fields were written, no such field (with those that there are), steps that cannot be read, a
        picture that cannot be made or written.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FvqpError(f"{folder}: no such folder")
    found = sorted(folder.glob("*.pvd"))
    if not found:
        raise FvqpError(f"{folder}: holds no fields; name some in output.fields of the case and run it again")
    target = Path(to) if to is not None else folder / "figures"
    make_folder(target)
    films = []
    for path in found:
        steps = steps_of(path)
        name = f"{path.stem.removeprefix('fields').lstrip('_')}_{field}".lstrip("_")
        film = target / f"{name.split(' (')[0].replace(' ', '_')}.gif"
        _film(steps, field, film)
        films.append(film)
    return films


def _film(steps: Steps, field: str, film: Path) -> None:
    from PIL import Image

    colours = _colours(steps, field)
    with SweepProgress(len(steps.files), MPI.COMM_SELF) as progress:
        try:
            frames = _frames(steps, colours, progress)
            first, *rest = [Image.fromarray(frame).quantize(128) for frame in frames]
            durations = [int(1000 * FRAME)] * len(rest) + [int(1000 * LAST_FRAME)]
            with replacing(film) as part:
                first.save(part, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0)
        except (RuntimeError, ValueError) as error:
            raise FvqpError(f"{film}: the animation cannot be made: {error}") from None


@dataclass(frozen=True)
class _Colours:
    """A field in all steps: its name in them, smallest and largest value, and the cells that are coloured."""

    name: str
    low: float
    high: float
    cells: Bools

    def of(self, grid: Any) -> Floats:
        """Return the values of a step; NaN, which is grey, in cells that are not coloured."""
        values = np.asarray(grid.cell_data[self.name], dtype=float)
        return np.where(self.cells[np.asarray(grid.cell_data["cell"])], values, np.nan)


def _colours(steps: Steps, field: str) -> _Colours:
    """Return the colours of a field; cells that never have a gap take no part in those of superconductors."""
    lows, highs, gaps, name = [], [], [], ""
    for file in steps.files:
        grid = read_step(file)
        names = [n for n in grid.cell_data if n not in ("cell", "region")]
        name = next((n for n in names if field in (n, n.split(" (")[0])), "")
        if not name:
            known = ", ".join(names) or "none"
            raise FvqpError(f'{steps.path}: no field "{field}" in {file.name}; there are: {known}')
        cell, count = np.asarray(grid.cell_data["cell"]), int(np.max(grid.cell_data["cell"])) + 1
        values = np.asarray(grid.cell_data[name], dtype=float)
        low, high, gap = np.full(count, np.inf), np.full(count, -np.inf), np.zeros(count)
        np.fmin.at(low, cell, values)
        np.fmax.at(high, cell, values)
        for shown in (n for n in names if n.split(" (")[0] == "gap"):
            np.fmax.at(gap, cell, np.asarray(grid.cell_data[shown]))
        lows.append(low)
        highs.append(high)
        gaps.append(gap)
    least, most, gap = np.min(lows, axis=0), np.max(highs, axis=0), np.max(gaps, axis=0)
    cells = np.ones(len(gap), dtype=bool)
    if name.split(" (")[0] in SUPERCONDUCTING and np.any(gap > 0.0):
        cells = gap > 0.0
    low_all, high_all = float(least[cells].min()), float(most[cells].max())
    if not low_all <= high_all:
        raise FvqpError(f'{steps.path}: the field "{field}" has no value anywhere')
    return _Colours(name, low_all, high_all, cells)


def _frames(steps: Steps, colours: _Colours, progress: SweepProgress) -> Iterator[NDArray[np.uint8]]:
    """Pictures of all steps, one after another."""
    name, low, high = colours.name, colours.low, colours.high
    logarithmic = low >= 0.0 and high > LOGARITHMIC * max(low, 1e-300)
    low = max(low, high * 10.0**-DECADES) if logarithmic else low
    high = high if high > low else low + max(abs(low), 1.0) * 1e-9
    with off_screen(PIXELS) as plotter:
        for number, (value, file) in enumerate(zip(steps.values, steps.files, strict=True)):
            grid = read_step(file)
            places, said = stretched(np.asarray(grid.points), LONGEST_ASPECT)
            lengths = np.ptp(np.asarray(grid.points), axis=0)
            size = " x ".join(f"{length:.4g}" for length in lengths[lengths > 0.0])
            grid.points = places
            grid.cell_data[name] = colours.of(grid)
            flat = bool(np.ptp(places[:, 2]) == 0.0)
            plotter.add_mesh(
                grid,
                scalars=name,
                clim=(low, high),
                log_scale=logarithmic,
                cmap="viridis",
                show_edges=False,
                lighting=False if flat else None,
                line_width=8.0,
                nan_color="lightgrey",
                name="field",
                reset_camera=number == 0,
                # An empty line keeps the name clear of the numbers.
                scalar_bar_args={"title": f"{name}\n", "color": "black", "fmt": "%.3g"},
            )
            text = f"{steps.label} = {value:.4g}\n{size} um{said}"
            plotter.add_text(text, name="time", color="black", font_size=10, position="upper_left")
            if number == 0:
                if flat:
                    plotter.view_xy()
                else:
                    plotter.view_isometric()
                plotter.enable_parallel_projection()
            yield np.asarray(plotter.screenshot(None, return_img=True))
            progress.advance(f"{steps.label} = {value:.4g}")
