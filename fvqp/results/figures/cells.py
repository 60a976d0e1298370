"""Fields of the cells of a mesh: curves along a line, and the cells themselves, filled, in a plane."""

from __future__ import annotations

from typing import Any

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from fvqp.errors import FvqpError
from fvqp.results.fields import SUPERCONDUCTING
from fvqp.results.figures.common import (
    ALIKE,
    SYMBOLS,
    FigureSpec,
    displayed,
    draw_curves,
    draw_legend,
    draw_map,
    evenly,
    held,
    label_of,
    largest_of,
    panel,
    prefix_of,
    reduced,
    said,
    stored,
    with_prefix,
)
from fvqp.typing import Bools, Floats, Ints

FLAT = 1e-9
"""A mesh thinner than this part of its length has no extent in that direction."""
ENERGY = 1.05
"""In Δ0: where spectral fields in a plane are shown unless the figure says it."""
POLYGONS = (3, 4)
"""Numbers of corners of cells that have an area; lines have two, nodes where they meet five and more."""
LINE = 4.0
"""Points that a line of the mesh is wide."""
LONGEST_ASPECT = 5.0
"""A device that is longer than wide by more than this factor is not drawn to scale."""
WIDTH, TALLEST = 4.4, 4.4
"""Inches of the panel."""
MARGINS = (1.5, 0.8)
"""Inches for the colour bar and labels beside it, and for title and labels above and below."""
PLACES = 6
"""Places along a line whose spectra are drawn as curves."""
BRIGHTEST = 98.0
"""Percentile of spectra along a line at which colours and curves end, so that a sharp edge does not take them
all."""
LOGARITHMIC = 30.0
"""Largest over smallest density of a map from which on its colours are logarithmic."""
GREYED = matplotlib.colormaps["viridis"].with_extremes(bad="0.85")
"""Colours, and grey for cells that have no value."""
COLOUR_BAR = (1.03, 0.0, 0.04, 1.0)
"""Left, bottom, width and height of the colour bar over those of the panel."""


def draw_fields(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """A field of every cell: along a line curves over the place, and spectral fields whole unless the figure
    names an energy; in a plane the cells themselves, spectral fields at one energy."""
    values = stored(dataset, spec.variable or "gap")
    if "cell" not in values.dims:
        raise FvqpError(f"{values.name} is not stored cell by cell; name it in output.stored")
    names = extended(dataset)
    if len(names) > 2:
        raise FvqpError("fields are drawn of plane meshes; those of solids are for ParaView and --animate")
    if "energy" in values.dims and (spec.energy is not None or len(names) == 2):
        energy = ENERGY * float(dataset.attrs["delta0_eV"]) if spec.energy is None else spec.energy
        values = values.sel(energy=energy, method="nearest")
    if len(names) == 2:
        _in_plane(dataset, _last(values, "V_inj"), names, figure)
    elif "energy" in values.dims:
        _along(_last(values, "V_inj"), dataset[names[0]], figure)
    else:
        _over_place(values.assign_coords({names[0]: dataset[names[0]]}), names[0], spec, figure)


def draw_map_of_cells(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Density of quasiparticles of a plane mesh at the last time, of insulators alone energy of phonons; a
    curve where the superconductor is a line."""
    if "x" not in dataset.coords:
        raise FvqpError("a map is of a mesh; shells have profiles")
    if np.ptp(dataset["z"].values) > 0.0:
        raise FvqpError("a map is of a plane mesh; fields of solids are for ParaView and fvqp plot --animate")
    values = stored(dataset, "n_qp_cell").assign_attrs(symbol=SYMBOLS["n_qp"])
    if not (values > 0.0).any():
        values = stored(dataset, "energy_ph_cell").assign_attrs(symbol=SYMBOLS["energy_ph"])
    values = _last(values, "time")
    curved = dataset.attrs.get("mesh_coordinates", "cartesian") != "cartesian"
    names = {"x": "$r$", "y": "$z$"} if curved else {}
    dataset = dataset.assign_coords({k: dataset[k].assign_attrs(symbol=v) for k, v in names.items()})
    gapped = _gapped(dataset)
    if gapped.sum() < 3 or np.ptp(dataset["y"].values[gapped]) == 0.0:
        line = values.assign_coords(x=dataset["x"]).isel(cell=gapped)
        draw_curves(panel(figure, 4.4, 3.4), line.swap_dims(cell="x"), "x")
    else:
        _in_plane(dataset, values, ["x", "y"], figure, logarithmic=True)


def extended(dataset: xr.Dataset) -> list[str]:
    """Axes along which the centres of the cells lie apart, at least one."""
    spread = {name: float(np.ptp(dataset[name].values)) for name in "xyz"}
    return [name for name in "xyz" if spread[name] > FLAT * max(spread.values())] or ["x"]


def plane_axes(dataset: xr.Dataset, names: list[str], figure: Figure) -> Axes:
    """A panel of the shape of a device in the plane of two axes."""
    long, high = (float(np.ptp(dataset[name].values)) for name in names)
    height = float(np.clip(WIDTH * high / long, WIDTH / LONGEST_ASPECT, TALLEST))
    figure.set_size_inches(WIDTH + MARGINS[0], height + MARGINS[1])
    axes: Axes = figure.subplots()
    return axes


def draw_cells(
    axes: Axes,
    dataset: xr.Dataset,
    names: list[str],
    values: Floats,
    scale: float,
    **colours: Any,
) -> ScalarMappable:
    """Fills the cells with colours of ``values`` (one a cell), to scale unless they are very long.

    ``names`` are the axes of the picture, lengths divided by ``scale``; results that hold no corners of cells
    have a dot at the centre of each.
    """
    known = f"{names[0]}_corners" in dataset.coords
    at = np.stack([dataset[f"{name}_corners" if known else name].values / scale for name in names], axis=-1)
    image: Any
    if not known:
        colours["plotnonfinite"] = True
        image = axes.scatter(at[:, 0], at[:, 1], s=4, c=values, linewidths=0, **colours)
    elif at.shape[1] in POLYGONS:
        # Edges of the same colour leave no seams between neighbours.
        image = PolyCollection(at, array=values, edgecolors="face", linewidths=0.5, **colours)
        axes.add_collection(image)
    else:
        image = LineCollection(
            at, array=values, linewidths=LINE, capstyle="butt", antialiaseds=False, **colours
        )
        axes.add_collection(image)
        axes.margins(0.1)
    axes.autoscale_view()
    extent = np.ptp(at.reshape(-1, 2), axis=0)
    if extent.max() <= LONGEST_ASPECT * extent.min():
        axes.set_aspect("equal")
    return image  # type: ignore[no-any-return]


def draw_colour_bar(axes: Axes, image: ScalarMappable, label: str) -> None:
    """A colour bar beside a panel, as high as this is, also where its shape is that of the device."""
    axes.figure.colorbar(image, cax=axes.inset_axes(COLOUR_BAR), label=label)


def _over_place(values: xr.DataArray, name: str, spec: FigureSpec, figure: Figure) -> None:
    """Curves over the place, one for each of some biases."""
    axes = panel(figure, 4.6, 3.0)
    along = "V_inj" if "V_inj" in values.dims else None
    draw_curves(axes, values.swap_dims(cell=name), name, along, spec.offset)
    draw_legend(axes, bool(spec.offset))


def _along(values: xr.DataArray, place: xr.DataArray, figure: Figure) -> None:
    """Spectra along a line, whose cells are at ``place`` (m): a map over place and energy, and curves at some
    places."""
    name = str(place.name)
    table = reduced(values, ("cell", "energy")).assign_coords({name: place}).swap_dims(cell=name).sortby(name)
    (places, unit), (energies, energy_unit) = with_prefix(table[name]), with_prefix(table["energy"])
    shown = np.abs(table.values)
    end = float(np.percentile(shown, BRIGHTEST))
    sharp = float(shown.max()) > 2.0 * end
    end = end if sharp else float(shown.max())
    signed = float(table.min()) < -0.01 * end
    figure.set_size_inches(8.4, 3.2)
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    image = draw_map(
        left,
        places,
        energies,
        table.values.T,
        vmin=-end if signed else 0.0,
        vmax=end,
        cmap="RdBu_r" if signed else "viridis",
    )
    beyond = ("both" if signed else "max") if sharp else "neither"
    figure.colorbar(image, ax=left, label=label_of(table, ""), extend=beyond)
    left.set(xlabel=label_of(table[name], unit), ylabel=label_of(table["energy"], energy_unit))
    left.set_title(said(table), fontsize=8)
    rows = evenly(len(places), PLACES)
    drawn = _different(table.values, rows)
    draw_curves(right, table.isel({name: drawn}), "energy", name, None, 1.0)
    once = "equal curves are drawn once" if len(drawn) < len(rows) else ""
    right.set_title(once, fontsize=8)
    right.set(ylabel=label_of(table, ""), ylim=(-1.1 * end if signed else 0.0, 1.1 * end))
    right.margins(x=0.0)
    draw_legend(right, False)


def _different(table: Floats, rows: Ints) -> list[int]:
    """Rows of a table without those that a curve drawn before would hide."""
    found: list[int] = []
    for row in rows:
        if all(np.abs(table[row] - table[other]).max() > ALIKE * np.abs(table).max() for other in found):
            found.append(int(row))
    return found


def _gapped(dataset: xr.Dataset) -> Bools:
    """Cells that have a gap at some point; all if none has one, as in insulators, where it is no number."""
    gap = held(dataset, "gap")
    found = (gap > 0.0).any([dim for dim in gap.dims if dim != "cell"]).values
    return found if found.any() else np.ones_like(found)


def _in_plane(
    dataset: xr.Dataset,
    values: xr.DataArray,
    names: list[str],
    figure: Figure,
    *,
    logarithmic: bool = False,
) -> None:
    """Cells with colours, which may be ``logarithmic`` where values span decades; those that never have a gap
    are grey, and do not stretch the colours, in maps of what superconductors have."""
    table = displayed(reduced(values, ("cell",)))
    scale, prefix = prefix_of(max(largest_of(dataset[name].values) for name in names))
    axes = plane_axes(dataset, names, figure)
    if table.name in SUPERCONDUCTING:
        table = table.where(_gapped(dataset))
    shown, unit = with_prefix(table)
    end = largest_of(shown)
    signed = float(np.nanmin(shown)) < -0.01 * end
    colours: dict[str, Any]
    colours = {"cmap": "RdBu_r", "clim": (-end, end)} if signed else {"cmap": GREYED}
    least = float(np.nanmin(shown))
    if logarithmic and 0.0 < LOGARITHMIC * least < end:
        colours["norm"] = LogNorm(least, end)
    image = draw_cells(axes, dataset, names, shown, scale, **colours)
    draw_colour_bar(axes, image, label_of(table, unit))
    _name_grey_regions(axes, dataset, names, shown, scale)
    labels = [label_of(dataset[name], f"{prefix}m") for name in names]
    axes.set(xlabel=labels[0], ylabel=labels[1])
    axes.set_title(said(table), fontsize=8)


def _name_grey_regions(
    axes: Axes, dataset: xr.Dataset, names: list[str], values: Floats, scale: float
) -> None:
    """Names of regions in which no cell has a value, in their middle."""
    if "in_region" not in dataset.coords:
        return
    for name, inside in zip(dataset["region"].values, dataset["in_region"].values > 0, strict=True):
        if inside.any() and not np.isfinite(values[inside]).any():
            x, y = (dataset[axis].values[inside].mean() / scale for axis in names)
            axes.text(x, y, str(name), ha="center", va="center", fontsize=8)


def _last(values: xr.DataArray, dim: str) -> xr.DataArray:
    """At the last injector bias, or time, that has values."""
    if dim not in values.dims:
        return values
    there = np.isfinite(values.transpose(dim, ...).values).reshape(values.sizes[dim], -1).any(axis=1)
    last = values.isel({dim: int(np.flatnonzero(there)[-1])})
    return last if len(there) > 1 else last.drop_vars(dim)
