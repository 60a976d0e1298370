"""Figures of quasiparticles and phonons that move and collide: ranges of energy, profiles, what escapes."""

from __future__ import annotations

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.colors import ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fvqp.errors import FvqpError
from fvqp.results.figures import kinetic
from fvqp.results.figures.cells import draw_cells, draw_colour_bar, plane_axes
from fvqp.results.figures.common import Drawing, FigureSpec, draw_legend, evenly, stored, value_text
from fvqp.results.over_time import arrivals

MAX_TIMES = 7
"""Times in one panel."""
PER_CUBIC_MICROMETRE = 1e-18
MICROMETRES = 1e6
LOGARITHMIC = 30.0
"""Largest over smallest density of a map from which on its colours are logarithmic."""
NO_GAP = ListedColormap(["0.85"])
"""Of cells without a gap, in maps of those that have one."""
SMALLEST = 1e-6
"""Densities below this part of the largest are not shown."""
SMALLEST_POWER = 1e-4
"""Powers below this part of the largest are not shown."""


def _energy_shells(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Quasiparticles in ranges of energy over time."""
    figure.set_size_inches(4.8, 3.2)
    axes = figure.subplots()
    values, unit = _later(dataset, "n_qp_range", "energy_range"), float(dataset.attrs["delta0_eV"])
    table = values.values * PER_CUBIC_MICROMETRE
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(table)))
    bounds = zip(dataset["energy_range_from"].values, dataset["energy_range_to"].values, strict=True)
    for colour, row, (low, high) in zip(colours, table, bounds, strict=True):
        label = f"{low / unit:.3g} … {high / unit:.3g} $\\Delta_0$"
        axes.loglog(values["time"].values, np.where(row > 0.0, row, np.nan), color=colour, label=label)
    largest = float(np.nanmax(table))
    axes.set_ylim(SMALLEST * largest, 2.0 * largest)
    axes.set(xlabel="$t$ (s)", ylabel="$n_\\mathrm{qp}$ (µm$^{-3}$)")
    draw_legend(axes, False)


def _later(dataset: xr.Dataset, name: str, along: str) -> xr.DataArray:
    """A quantity (`along`, time) at the times that were computed after the start, which a logarithmic axis of
    time does not have."""
    values = stored(dataset, name).transpose(along, "time")
    later = (values["time"].values > 0.0) & np.isfinite(values.values).any(axis=0)
    if not np.any(later):
        raise FvqpError("nothing has been computed after the start")
    return values.isel(time=later)


def _times(dataset: xr.Dataset, name: str) -> tuple[xr.DataArray, NDArray[np.intp]]:
    """A quantity by cell at the times that were computed, and some of these."""
    values = stored(dataset, name)
    seen = np.flatnonzero(np.isfinite(values.values).reshape(values.sizes["time"], -1).any(axis=1))
    values = values.isel(time=seen)
    return values, evenly(values.sizes["time"], MAX_TIMES)


def _profile(name: str, label: str, *, logarithmic: bool) -> Drawing:
    """A quantity over the radius of shells, one curve for each of some times."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        if "radius_cell" not in dataset.coords:
            raise FvqpError("profiles are over the radius of shells; these results are of a mesh")
        figure.set_size_inches(4.8, 3.2)
        axes = figure.subplots()
        values, rows = _times(dataset, name)
        scale = PER_CUBIC_MICROMETRE if logarithmic else 1.0 / float(dataset.attrs["delta0_eV"])
        radius = dataset["radius_cell"].values * MICROMETRES
        colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
        for colour, row in zip(colours, rows, strict=True):
            axes.plot(
                radius, values.values[row] * scale, color=colour, label=value_text(values["time"], int(row))
            )
        if logarithmic:
            largest = float(np.nanmax(values.values[rows])) * scale
            axes.set_yscale("log")
            axes.set_ylim(bottom=max(SMALLEST * largest, 0.5 * float(np.nanmin(values.values)) * scale))
        axes.set(xlabel="$r$ (µm)", ylabel=label)
        draw_legend(axes, False)

    return drawn


def _escaped(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Energy that has left with phonons, by their energy."""
    figure.set_size_inches(4.8, 3.2)
    axes = figure.subplots()
    values, rows = _times(dataset, "escaped_spectrum")
    omega = values["omega"].values / float(dataset.attrs["delta0_eV"])
    widths = np.gradient(omega)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
    table = values.values[rows] / widths
    largest = float(np.abs(table).max())
    for colour, row, curve in zip(colours, rows, table, strict=True):
        if np.any(curve > SMALLEST * largest):
            shown = np.where(curve > 0.0, curve, np.nan)
            axes.semilogy(omega, shown, color=colour, label=value_text(values["time"], int(row)))
    axes.set_ylim(SMALLEST * largest, 2.0 * largest)
    # Phonons of twice the largest energy of quasiparticles have a place, but hardly ever leave.
    seen = np.flatnonzero((table > SMALLEST * largest).any(axis=0))
    if len(seen):
        axes.set_xlim(0.0, float(omega[min(seen[-1] + 1, len(omega) - 1)]))
    axes.set(xlabel="$\\omega/\\Delta_0$", ylabel="escaped energy (J m$^{-3}$ $\\Delta_0^{-1}$)")
    draw_legend(axes, False)


def _arrivals(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Power that arrives at walls and losses, between recorded times."""
    stored(dataset, "energy_escaped_by")
    power = arrivals(dataset)["power"].transpose("exit", "time")
    seen = power.values[power.values > 0.0]
    if not seen.size:
        raise FvqpError("nothing arrived at any wall or loss")
    figure.set_size_inches(4.8, 3.2)
    axes = figure.subplots()
    edges = np.append(power["time_from"].values, power["time_to"].values[-1])
    if edges[0] == 0.0:  # which a logarithmic axis does not have
        edges[0] = edges[1] ** 2 / edges[2] if len(edges) > 2 else 0.5 * edges[1]
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(power)))
    for colour, row in zip(colours, power, strict=True):
        shown = np.where(row.values > 0.0, row.values, np.nan)
        steps = np.append(shown, shown[-1])
        axes.plot(edges, steps, drawstyle="steps-post", color=colour, label=str(row["exit"].values))
    least = max(SMALLEST_POWER * seen.max(), 0.5 * seen.min())
    axes.set(xscale="log", yscale="log", ylim=(least, 2.0 * seen.max()))
    unit = power.attrs["units"].replace("-1", "$^{-1}$").replace("-2", "$^{-2}$")
    axes.set(xlabel="$t$ (s)", ylabel=f"power ({unit})")
    draw_legend(axes, False)


def _axes(dataset: xr.Dataset) -> tuple[str, str]:
    """Names of the first two coordinates: radius and height of bodies of revolution."""
    curved = (
        dataset.attrs.get("mesh_coordinates", "cartesian") != "cartesian" or "radius_cell" in dataset.coords
    )
    return ("r", "z") if curved else ("x", "y")


def _map(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Density of quasiparticles in the plane of a mesh, at the last time."""
    if "x" not in dataset.coords:
        raise FvqpError("a map is of a mesh; shells have profiles")
    if np.ptp(dataset["z"].values) > 0.0:
        raise FvqpError("a map is of a plane mesh; fields of solids are for ParaView and fvqp plot --animate")
    values, _ = _times(dataset, "n_qp_cell")
    last = values.isel(time=-1).values * PER_CUBIC_MICROMETRE
    # A normal metal has electrons at all energies, which would leave nothing to be seen of the others.
    gap = stored(dataset, "gap").isel(time=slice(values.sizes["time"])).values[-1]
    shown = gap > 0.0 if np.any(gap > 0.0) else np.ones(len(gap), dtype=bool)
    if shown.sum() < 3 or np.ptp(dataset["y"].values[shown]) == 0.0:
        x = dataset["x"].values[shown] * MICROMETRES
        order = np.argsort(x)
        figure.set_size_inches(4.4, 3.4)
        axes = figure.subplots()
        axes.plot(x[order], last[shown][order])
        axes.set(xlabel=f"${_axes(dataset)[0]}$ (µm)", ylabel="$n_\\mathrm{qp}$ (µm$^{-3}$)")
        return
    axes = plane_axes(dataset, ["x", "y"], figure)
    least, most = float(last[shown].min()), float(last[shown].max())
    norm = LogNorm(least, most) if 0.0 < LOGARITHMIC * least < most else Normalize(least, most)
    colours = draw_cells(axes, dataset, ["x", "y"], last, 1.0 / MICROMETRES, shown, norm=norm)
    if not shown.all():
        # Told from holes by being grey.
        draw_cells(axes, dataset, ["x", "y"], last, 1.0 / MICROMETRES, ~shown, cmap=NO_GAP)
    first, second = _axes(dataset)
    axes.set(xlabel=f"${first}$ (µm)", ylabel=f"${second}$ (µm)")
    if dataset.sizes["time"] > 1:
        axes.set_title(value_text(values["time"], -1), fontsize=8)
    draw_colour_bar(axes, colours, "$n_\\mathrm{qp}$ (µm$^{-3}$)")


def _regions(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Quasiparticles in the regions of a mesh over time."""
    figure.set_size_inches(4.8, 3.2)
    axes = figure.subplots()
    values = _later(dataset, "x_qp_region", "region")
    shown = [row for row in values if np.nanmax(row.values, initial=0.0) > 0.0]
    if not shown:
        raise FvqpError("no region has quasiparticles")
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(shown)))
    for colour, row in zip(colours, shown, strict=True):
        table = np.where(row.values > 0.0, row.values, np.nan)
        axes.loglog(values["time"].values, table, color=colour, label=str(row["region"].values))
    largest = max(float(np.nanmax(row.values)) for row in shown)
    axes.set_ylim(SMALLEST * largest, 2.0 * largest)
    axes.set(xlabel="$t$ (s)", ylabel="$x_\\mathrm{qp}$")
    draw_legend(axes, False)


def _localized(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Localized and mobile quasiparticles along a body at the last time."""
    figure.set_size_inches(4.8, 3.2)
    axes = figure.subplots()
    values, _ = _times(dataset, "n_localized_cell")
    localized = values.values[-1] * PER_CUBIC_MICROMETRE
    everything, _ = _times(dataset, "n_qp_cell")
    mobile = everything.values[-1] * PER_CUBIC_MICROMETRE - localized
    coordinate = "radius_cell" if "radius_cell" in dataset.coords else "x"
    order = np.argsort(dataset[coordinate].values)
    at = dataset[coordinate].values[order] * MICROMETRES
    for row, label, style in ((localized, "localized", "C0."), (mobile, "mobile", "C1.")):
        axes.semilogy(at, np.where(row > 0.0, row, np.nan)[order], style, label=label, markersize=4)
    axes.set(xlabel=f"${_axes(dataset)[0]}$ (µm)", ylabel="concentration (µm$^{-3}$)")
    if dataset.sizes["time"] > 1:
        axes.set_title(value_text(values["time"], -1))
    draw_legend(axes, False)


KINDS: dict[str, Drawing] = {
    "arrivals": _arrivals,
    "energies": kinetic.KINDS["energies"],
    "density": kinetic.KINDS["density"],
    "energy_shells": _energy_shells,
    "gap_profile": _profile("gap", "$\\Delta/\\Delta_0$", logarithmic=False),
    "density_profile": _profile("n_qp_cell", "$n_\\mathrm{qp}$ (µm$^{-3}$)", logarithmic=True),
    "escaped": _escaped,
    "localized": _localized,
    "map": _map,
    "regions": _regions,
    "resonator": kinetic.KINDS["resonator"],
}
"""Kinds of figures and what draws them."""
