"""Base of the figures of all models: curves over an axis, scales with SI prefixes, labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import Collection, QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator, NullFormatter
from numpy.typing import NDArray

from fvqp.errors import FvqpError
from fvqp.results.symmetry import is_mirrored
from fvqp.typing import Floats

PREFIXES = {1e-15: "f", 1e-12: "p", 1e-9: "n", 1e-6: "µ", 1e-3: "m", 1.0: "", 1e3: "k"}
SYMBOLS = {
    "V_inj": "$V_\\mathrm{inj}$",
    "V_det": "$V_\\mathrm{det}$",
    "supercurrent": "$I_\\mathrm{s}$",
    "I_s": "$I_\\mathrm{s}$",
    "phase": "$\\varphi$",
    "minigap": "$E_\\mathrm{g}$",
    "radius_cell": "$r$",
    "omega": "$\\omega$",
    "generation": "$A$",
    "volume": "$V$",
    "radius": "$r$",
    "concentration": "$c$",
    "frequency": "$f$",
    "N_mean": "$\\langle N\\rangle$",
    "S_flux_one_sided": "$S_\\Phi$, one-sided",
    "phase_gradient": "$\\xi\\,\\partial_x\\varphi$",
    "g_nl": "$g_\\mathrm{nl}$",
    "g_ss": "$g_\\mathrm{ss}$",
    "g_sa": "$g_\\mathrm{sa}$",
    "g_a": "$g_\\mathrm{a}$",
    "g_s": "$g_\\mathrm{s}$",
    "G_inj": "$G_\\mathrm{inj}$",
    "gap": "$\\Delta$",
    "energy_ph": "$E_\\mathrm{ph}$",
    "energy": "$\\epsilon$",
    "temperature": "$T$",
    "T_lead": "$T_\\mathrm{e}$",
    "f_L": "$f_\\mathrm{L}$",
    "f_T": "$f_\\mathrm{T}$",
    "dos": "$N$",
    "mu_Q": "$\\mu_{Q^*}$",
    "charge_imbalance": "$Q^*$",
    "time": "$t$",
    "x": "$x$",
    "y": "$y$",
    "z": "$z$",
    "strength": "strength",
    "n_qp": "$n_\\mathrm{qp}$",
    "x_qp": "$x_\\mathrm{qp}$",
    "eta_pb": "$\\eta_\\mathrm{pb}$",
    "sigma1": "$\\sigma_1/\\sigma_\\mathrm{n}$",
    "sigma2": "$\\sigma_2/\\sigma_\\mathrm{n}$",
    "inverse_quality_factor": "$1/Q_\\mathrm{i}$",
    "frequency_shift": "$\\delta f/f$",
    "gap_suppression": "$1-\\Delta/\\Delta_0$",
    "temperature_qp": "$T_\\mathrm{qp}$",
    "recombination_rate": "$\\langle1/\\tau_\\mathrm{r}\\rangle$",
}
DISPLAYED = {"m-3": ("µm-3", 1e-18), "m-3 s-1": ("µm-3 s-1", 1e-18), "m3": ("µm3", 1e18)}
"""Units of ``results.nc`` → those of figures, and the factor between them."""
DECADES = ("time", "strength")
"""Axes that run over decades: they are logarithmic."""
OF_ITS_OWN = (*DECADES, "generation", "volume")
"""Axes whose values have each a prefix, or a power of ten, of its own."""
MAX_CURVES = 8
"""Curves in one panel; of longer sweeps evenly chosen ones are shown."""
MAX_SHIFTED = 16
"""The same where an offset keeps them apart."""
MARKED = 25
"""Points of a curve up to which each has a marker."""
ALIKE = 1e-3
"""Curves that differ by this part of the largest value look the same."""
CHOSEN = ("temperature", "supercurrent", "V_det", "V_inj", "energy", "time", "strength", "cell", "junction")
"""Note of a figure about the values that it has chosen."""
_SIMPLE = re.compile(r"[^\W\d]+")
"""A unit that takes a prefix, unlike m-3."""
_POWER = re.compile(r"(?<=[A-Za-zµ])(-?[1-9])\b")
"""An exponent in a unit, such as in m-3."""
FINE = 8
"""Parts into which a smooth map divides an interval."""


def draw_map(
    axes: Axes, x: Floats, y: Floats, values: Floats, *, smooth: bool = False, **colours: Any
) -> QuadMesh:
    """Draw ``values[y, x]`` as a map that `shown_by` knows; as pixels, also in vector files.

    A ``smooth`` map is bilinear between the places.
    """
    # Values, as gouraud shading would interpolate colours, with stripes where these end.
    fine = _bilinear(x, y, values) if smooth else (x, y, values)
    image = axes.pcolormesh(*fine, shading="nearest", rasterized=True, **colours)
    if smooth:
        axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]))
    remember(image, x, y, values)
    return image


def _bilinear(x: Floats, y: Floats, values: Floats) -> tuple[Floats, Floats, Floats]:
    """Places and values of a map with `FINE` places for each interval."""
    fine_x, fine_y = (
        np.interp(np.linspace(0, len(at) - 1, FINE * (len(at) - 1) + 1), np.arange(len(at)), at)
        for at in (x, y)
    )
    rows = np.array([np.interp(fine_x, x, row) for row in values])
    return fine_x, fine_y, np.array([np.interp(fine_y, y, column) for column in rows.T]).T


def remember(image: Collection, x: Floats, y: Floats, values: Floats) -> None:
    """Keep with a map or a surface the places and values ``values[y, x]`` that it shows."""
    image._fvqp_numbers = x, y, values  # type: ignore[attr-defined]


def shown_by(image: Collection) -> tuple[Floats, Floats, Floats] | None:
    """Return the places along both axes and the values of a map or a surface; None of anything else."""
    return getattr(image, "_fvqp_numbers", None)


@dataclass
class FigureSpec:
    """A figure: what it shows and how.

    ``kind``: one of those of the model; ``file``: its name (default: the kind, as PNG); ``compare =
    "analytic"``: closed forms beside the curves; ``offset``: vertical distance of successive curves in the
    unit of the axis; ``variable``: what ``spectrum``, ``fields``, ``map`` and ``surface`` show; ``limit``:
    end of the colours of a map; ``energy`` (eV): of spectral ``fields``.
    """

    kind: str
    file: str | None = None
    title: str | None = None
    compare: str | None = None
    offset: float | None = None
    variable: str | None = None
    limit: float | None = None
    energy: float | None = None


Drawing = Callable[[xr.Dataset, FigureSpec, Figure], None]
"""Draws a figure of one kind."""


def held(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A variable, finite or not."""
    if name not in dataset:
        raise FvqpError(f"the results hold no {name}; they hold: {', '.join(map(str, dataset.data_vars))}")
    return dataset[name]


def stored(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A variable that has finite values."""
    if not np.isfinite(held(dataset, name).values).any():
        raise FvqpError(
            f"the results hold no finite value of {name} (was the run stopped before its first point?)"
        )
    return dataset[name]


def reduced(values: xr.DataArray, keep: tuple[str, ...]) -> xr.DataArray:
    """Only the dimensions ``keep``; of others the value nearest to zero (biases) or the first is taken.

    `said` then says which, if another one would have other values.
    """
    for dim in [dim for dim in values.dims if dim not in keep]:
        numeric = dim in ("V_det", "supercurrent", "V_inj")
        row = int(np.abs(values[dim].values).argmin()) if numeric else 0
        first = values.isel({dim: row})
        values = first.drop_vars([dim], errors="ignore") if same(values, first) else first
    return values.transpose(*(dim for dim in keep if dim in values.dims))


def same(values: xr.DataArray, one: xr.DataArray) -> bool:
    """Return whether ``values`` are those of ``one`` along all dimensions that this has not."""
    return bool(np.allclose(*xr.broadcast(values, one), rtol=1e-9, atol=0.0, equal_nan=True))


def said(values: xr.DataArray) -> str:
    """Return the values chosen of dimensions that ``values`` have no longer: a point of the sweep, a
    junction, ...

    Empty if there was nothing to choose.
    """
    chosen = [values[name] for name in CHOSEN if name in values.coords and values[name].ndim == 0]
    return ", ".join(
        f"junction {at.item()}" if at.name == "junction" else name_of(at.expand_dims("at"), 0)
        for at in chosen
    )


def folded(values: xr.DataArray, along: str) -> xr.DataArray:
    """Without negative values of the axis ``along`` where it is its own mirror image and these show what the
    positive ones show; names of the axis' values then have a ± (`name_of`)."""
    at = values[along].values
    if at.dtype.kind not in "fiu" or not (at.min() < 0.0 and is_mirrored(at)):
        return values
    table = values.sortby(along).transpose(along, ...).values
    if not np.allclose(table, table[::-1], rtol=0.0, atol=ALIKE * largest_of(table)):
        return values
    kept = values.isel({along: np.flatnonzero(at >= 0.0)})
    return kept.assign_coords({along: kept[along].assign_attrs(mirrored=True)})


def draw_curves(
    axes: Axes,
    values: xr.DataArray,
    x: str,
    along: str | Sequence[str] | None = (),
    offset: float | None = None,
    scale: float | None = None,
    style: str = "-",
    label: str | None = None,
    *,
    log: str = "",
    least: float = 0.0,
) -> float:
    """Draw curves over an axis, one for each of some values along other axes (`shown_rows`).

    Args:
        axes: drawn into.
        values: over ``x``, ``along`` and further axes, of which one value is taken (`reduced`).
        x: horizontal axis.
        along: axis of the curves, or axes, whose combinations they are; those of one value are not named.
        offset: vertical distance of successive curves, in the unit of the values.
        scale: that of curves which are there already, and give the vertical axis its name; None for the first
            ones.
        style: line and marker of matplotlib, with a colour ("k--", "C1.") for all curves or one for each.
        label: name of the curves as a whole in the legend, in place of those of their values.
        log: logarithmic axes, "x", "y" or "xy", which have neither zero nor negative values.
        least: part of the largest value at which a logarithmic vertical axis ends; curves below it are left
            out.

    Returns:
        The scale of the vertical axis.
    """
    wanted = (along,) if isinstance(along, str) else along or ()
    rows = tuple(dim for dim in wanted if dim in values.dims)
    values = displayed(reduced(values, (*rows, x))).sortby(x)
    values = folded(values, rows[0]) if len(rows) == 1 else values
    if "x" in log:
        values = values.isel({x: values[x].values > 0.0})
    sizes = [values.sizes[dim] for dim in rows]
    table = values.values.reshape(-1, values.sizes[x])
    chosen = shown_rows(values[rows[0]], offset) if len(rows) == 1 else evenly(len(table), MAX_CURVES)
    horizontal, x_unit = with_prefix(values[x], plain="x" in log)
    if scale is None:
        highest = max(largest_of(table), abs(offset or 0.0) * (len(chosen) - 1))
        scale = prefix_of(highest)[0] if has_prefix(values) and "y" not in log else 1.0
    if "y" in log:
        table = np.where(table > 0.0, table, np.nan)
    lowest = least * np.nanmax(table[chosen], initial=0.0)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(chosen)))
    for number, row in enumerate(chosen):
        if lowest > 0.0 and not (table[row] > lowest).any():
            continue
        at = zip(rows, np.unravel_index(row, sizes), strict=True) if rows else ()
        named = (name_of(values[dim], int(k)) for dim, k in at if dim == along or values.sizes[dim] > 1)
        name = (label if number == 0 else None) if label else ", ".join(named) or None
        lift = (offset or 0.0) * number
        further: dict[str, Any] = {} if style[0] in "kC" else {"color": colours[number]}
        if len(horizontal) == 1 and "o" not in style:
            further["marker"] = "o"
        heights = (table[row] + lift) / scale
        axes.plot(horizontal, heights, style, linewidth=1.1, markersize=3, label=name, **further)
    unit = f"{PREFIXES[scale]}{unit_of(values)}"
    axes.set_xlabel(label_of(values[x], x_unit))
    for name in log:
        axes.set(**{f"{name}scale": "log"})
    if lowest > 0.0:
        axes.set_ylim(max(lowest, 0.5 * np.nanmin(table[chosen])), 2.0 * lowest / least)
    notes = [said(values)]
    if offset and len(chosen) > 1:
        notes.append(f"curves {offset / scale:.3g} {unit} apart".replace("  ", " "))
    axes.set_title("; ".join(note for note in notes if note), fontsize=8)
    if not label:
        axes.set_ylabel(label_of(values, unit))
    if "x" not in log:
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    if "y" not in log and not has_prefix(values):
        axes.ticklabel_format(axis="y", scilimits=(-3, 4), useMathText=True)
    axes.margins(x=0.02)
    return scale


def panel(figure: Figure, width: float = 4.8, height: float = 3.2) -> Axes:
    """Return the one panel of a figure of so many inches."""
    figure.set_size_inches(width, height)
    axes: Axes = figure.subplots()
    return axes


def in_delta0(dataset: xr.Dataset, values: xr.DataArray) -> xr.DataArray:
    """Energies and biases, and values that are energies, divided by Δ0 where the file has it."""
    delta0 = dataset.attrs.get("delta0_eV")
    if delta0 is None:
        return values
    for name, prefix in (("energy", ""), ("omega", ""), ("V_inj", "e"), ("V_det", "e")):
        if name in values.dims:
            coordinate = values[name] / float(delta0)
            symbol = f"${prefix}{SYMBOLS[name].strip('$')}/\\Delta_0$"
            values = values.assign_coords({name: coordinate.assign_attrs(units="1", symbol=symbol)})
    if values.attrs.get("units") == "eV":
        symbol = f"${SYMBOLS['gap'].strip('$')}/\\Delta_0$"
        values = (values / float(delta0)).rename(values.name).assign_attrs(units="1", symbol=symbol)
    return values


class _Plain(LogFormatterSciNotation):
    """Numbers such as 0.5 and 60 where the default writes powers of ten."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def plain_logarithms(figure: Figure) -> None:
    """Plain numbers on logarithmic axes of less than two decades, if they are neither large nor small; others
    have powers of ten alone below the figure, where products would run into one another."""
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            if axis.get_scale() != "log":
                continue
            if 1e-3 <= low and high < min(1e4, 100.0 * low):
                axis.set_major_formatter(_Plain())
                axis.set_minor_formatter(_Plain(minor_thresholds=(1.0, 0.4)))
            elif axis is axes.xaxis and high >= 10.0 * low:
                axis.set_minor_formatter(NullFormatter())


def draw_legend(axes: Axes, shifted: bool, loc: str | None = None) -> None:
    """The legend: at ``loc``, or beside the curves if these are many; in their order if shifted."""
    handles, names = axes.get_legend_handles_labels()
    if not names:
        return
    place: dict[str, Any] = {"loc": loc} if loc else {}
    if loc is None and len(names) > 4:
        place = {"loc": "center left", "bbox_to_anchor": (1.0, 0.5)}
    step = -1 if shifted else 1
    axes.legend(handles[::step], names[::step], fontsize=7, **place)


def label_of(values: xr.DataArray, unit: str) -> str:
    """An axis label: symbol and unit; a ratio to Δ0 needs no unit."""
    name = str(values.name)
    symbol = str(
        values.attrs.get("symbol")
        or SYMBOLS.get(name, SYMBOLS.get(name.removesuffix("_junction"), name.replace("_", " ")))
    )
    return f"{symbol} ({unit_text(unit)})" if unit and unit != "1" else symbol


def unit_text(unit: str) -> str:
    """A unit with its exponents raised."""
    return _POWER.sub(lambda match: f"$^{{{match[1]}}}$", unit)


def shown_rows(axis: xr.DataArray, offset: float | None) -> NDArray[np.intp]:
    """Return the curves that one panel shows of those along ``axis``."""
    return evenly_mirrored(axis.values, MAX_SHIFTED if offset else MAX_CURVES)


def evenly_mirrored(at: NDArray[Any], most: int) -> NDArray[np.intp]:
    """Rows of up to ``most`` of the values ``at``, evenly chosen.

    Of values in order that are their own mirror image both signs of the same ones, and zero if it is there.
    """
    count = len(at)
    if at.dtype.kind not in "fiu" or not (at[0] != 0.0 and np.allclose(at, -at[::-1], rtol=1e-9, atol=0.0)):
        return evenly(count, most)
    upper = count // 2 + evenly(count - count // 2, (most + count % 2) // 2)
    return np.union1d(upper, count - 1 - upper)


def evenly(count: int, most: int) -> NDArray[np.intp]:
    """Up to ``most`` of ``count`` numbers, evenly chosen, first and last among them."""
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(np.intp))


class DrawnPoint(NamedTuple):
    """Point of a sweep that a figure has a curve of: index along every axis, name, colour."""

    at: dict[str, int]
    name: str
    colour: tuple[float, ...]


def points_of(dataset: xr.Dataset, dims: Sequence[str]) -> list[DrawnPoint]:
    """Return up to `MAX_CURVES` points along axes, evenly chosen; axes of one value are in no name."""
    points = list(np.ndindex(*(dataset.sizes[dim] for dim in dims)))
    rows = evenly(len(points), MAX_CURVES)
    colours = matplotlib.colormaps["viridis"](np.linspace(0, 0.85, len(rows)))
    found = []
    for row, colour in zip(rows, colours, strict=True):
        at = dict(zip(dims, map(int, points[row]), strict=True))
        names = [name_of(dataset[dim], k) for dim, k in at.items() if dataset.sizes[dim] > 1]
        found.append(DrawnPoint(at, ", ".join(names), tuple(colour)))
    return found


def name_of(coordinate: xr.DataArray, row: int) -> str:
    """Return a value of an axis with its symbol; the values of an axis share a prefix, but `OF_ITS_OWN`."""
    if coordinate.dtype.kind not in "fiu":
        return str(coordinate.values[row])
    if coordinate.name in OF_ITS_OWN:
        return value_text(coordinate, row)
    scaled, unit = with_prefix(coordinate)
    sign = "±" if coordinate.attrs.get("mirrored") and scaled[row] else ""
    return f"{label_of(coordinate, '')} = {sign}{scaled[row]:.3g} {'' if unit == '1' else unit}".rstrip()


def value_text(coordinate: xr.DataArray, row: int) -> str:
    """One value of an axis over decades, with a prefix or power of ten of its own."""
    coordinate = displayed(coordinate)
    value, unit = float(coordinate.values[row]), unit_of(coordinate)
    if has_prefix(coordinate):
        # lifted by what rounding to three digits lifts it
        power, prefix = prefix_of(float(f"{abs(value):.3g}")) if value else (1.0, "")
        value, unit = value / power, f"{prefix}{unit}"
    text = f"{value:.3g}"
    if "e" in text or abs(value) >= 1e4:
        mantissa, exponent = f"{value:.2e}".split("e")
        mantissa = mantissa.rstrip("0").rstrip(".")
        text = f"$10^{{{int(exponent)}}}$" if mantissa == "1" else f"${mantissa}\\cdot10^{{{int(exponent)}}}$"
    return f"{label_of(coordinate, '')} = {text} {'' if unit == '1' else unit_text(unit)}".rstrip()


def displayed(values: xr.DataArray) -> xr.DataArray:
    """Return values in the unit of figures (`DISPLAYED`).

    Attributes ``factor`` and ``shown_units`` of an axis say in which quantity it is read.
    """
    unit, factor = DISPLAYED.get(unit_of(values), (unit_of(values), 1.0))
    factor *= float(values.attrs.get("factor", 1.0))
    unit = str(values.attrs.get("shown_units", unit))
    if factor == 1.0:
        return values
    kept = {name: value for name, value in values.attrs.items() if name not in ("factor", "shown_units")}
    return values.copy(data=values.values * factor).assign_attrs(kept | {"units": unit})


def has_prefix(values: xr.DataArray) -> bool:
    """Return whether the unit of values takes a prefix."""
    return bool(_SIMPLE.fullmatch(unit_of(values)))


def unit_of(values: xr.DataArray) -> str:
    unit = str(values.attrs.get("units", ""))
    return "" if unit == "1" else unit


def largest_of(values: Floats) -> float:
    finite = np.abs(values[np.isfinite(values)])
    return float(finite.max()) if finite.size else 1.0


def prefix_of(largest: float) -> tuple[float, str]:
    """Power of a thousand below ``largest`` and its SI prefix."""
    fitting = [power for power in PREFIXES if power <= largest * (1 + 1e-9)]
    power = max(fitting) if fitting else 1.0
    return power, PREFIXES[power]


def with_prefix(values: xr.DataArray, *, plain: bool = False) -> tuple[Floats, str]:
    """Values in a unit with a fitting prefix, or without one if ``plain``, and that unit."""
    values = displayed(values)
    unit = unit_of(values)
    if plain:
        return values.values, unit or "1"
    power, prefix = prefix_of(largest_of(values.values)) if has_prefix(values) else (1.0, "")
    if unit == "V" and power < 1e-3 and largest_of(values.values) > 1e-5:
        # Biases are read in millivolt.
        power, prefix = 1e-3, "m"
    return values.values / power, f"{prefix}{unit}" if unit else "1"
