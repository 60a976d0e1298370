"""Figures of wires and films, laid out like those of Ryan, Beckmann, Chandrasekhar (2026), Figs. 10-13."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvqp.errors import FvqpError
from fvqp.results.figures.cells import draw_fields
from fvqp.results.figures.common import (
    SYMBOLS,
    Drawing,
    FigureSpec,
    draw_curves,
    draw_legend,
    evenly_mirrored,
    folded,
    in_delta0,
    panel,
    reduced,
    said,
    same,
    shown_rows,
    stored,
    with_prefix,
)
from fvqp.results.symmetry import symmetry_parts

SWEPT = ("temperature", "supercurrent", "V_det", "V_inj")
"""Dimensions of a sweep."""
ABREAST = 3
"""Panels beside one another."""
MAX_SPECTRA = 5
"""Biases at which the quasiparticles' distribution is shown."""


def _g_ss(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = _not_negative(part(dataset, "g_ss"))
    currents = dataset["phase_gradient"] if "phase_gradient" in dataset.coords else None
    two = currents is not None and currents.ndim == 1 and currents.size > 2
    figure.set_size_inches(7.2 if two else 4.0, 3.0)
    axes = figure.subplots(1, 2, width_ratios=(1.6, 1)) if two else [figure.subplots()]
    curves = draw_curves(axes[0], values, "V_inj", "supercurrent", spec.offset)
    if spec.compare == "analytic":
        analytic = _not_negative(stored(dataset, "g_ss_analytic"))
        draw_curves(
            axes[0],
            analytic,
            "V_inj",
            "supercurrent",
            spec.offset,
            scale=curves,
            style="k--",
            label="analytic",
        )
    draw_legend(axes[0], bool(spec.offset), loc="upper center")
    if two:
        _supercurrent_axes(dataset, axes[1])
        axes[0].set_title("a", loc="left", weight="bold")
        axes[1].set_title("b", loc="left", weight="bold")


def _g_a(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = part(dataset, "g_a")
    figure.set_size_inches(4.0, 3.8 if spec.offset else 3.2)
    values = values.isel(supercurrent=np.flatnonzero(values["supercurrent"].values > 0)).sortby(
        "supercurrent"
    )
    axes = figure.subplots()
    draw_curves(axes, values, "V_inj", "supercurrent", spec.offset)
    draw_legend(axes, bool(spec.offset), loc="upper left")


def _over(values: xr.DataArray) -> tuple[str, str | None]:
    """Over which dimension of the sweep curves are drawn, the innermost of several values, and along which
    other one there are several."""
    there = [dim for dim in SWEPT if dim in values.dims]
    if not there:
        raise FvqpError(f"{values.name} is drawn over what is swept, and these results are of a single point")
    over = next((dim for dim in reversed(there) if values.sizes[dim] > 1), there[-1])
    others = [dim for dim in there if dim != over and values.sizes[dim] > 1]
    return over, others[-1] if others else None


def _family(name: str) -> Drawing:
    """A panel of curves over what was swept, one for every value of whatever else was."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        values = part(dataset, name) if name in ("g_s", "g_nl") else stored(dataset, name)
        over, along = _over(values)
        axes = panel(figure, 4.0, 3.0)
        draw_curves(axes, values, over, along, spec.offset)
        draw_legend(axes, bool(spec.offset))

    return drawn


def _gap(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Δ/Δ0 over eV_inj/Δ0 (Fig. 11a) or what else is swept, under every junction; of cells the smallest."""
    axes = panel(figure, 4.0, 3.0)
    _gap_curves(at_junctions(dataset, "gap"), dataset, spec, axes)
    if spec.compare == "elastic":
        if len(axes.lines) == 1:
            axes.lines[0].set_label("with collisions")
        _gap_curves(stored(dataset, "gap_elastic"), dataset, spec, axes, "k--", "elastic")
    if "gap_solutions" in dataset and dataset.sizes["V_inj"] > 1:
        _branches(dataset, axes)
    draw_legend(axes, bool(spec.offset))


def _branches(dataset: xr.Dataset, axes: Axes) -> None:
    """Gaps of all solutions that coexist at a bias, as points, and the folds between which they do."""
    gaps = in_delta0(dataset, dataset["gap_solutions"])
    delta0 = float(dataset.attrs["delta0_eV"])
    biases, folds = (a.values.ravel() / delta0 for a in xr.broadcast(dataset["V_fold"], dataset["gap_fold"]))
    for k in range(gaps.sizes["solution"]):
        here = gaps.isel(solution=k).transpose("V_inj", ...)
        if not np.all(np.isnan(here)):
            shown = here.values.reshape(len(here), -1)
            axes.plot(here["V_inj"], shown, "o", ms=3, mfc="none", color="0.4")
    axes.plot([], [], "o", ms=3, mfc="none", color="0.4", label="all solutions")
    axes.plot(biases, folds, "k|", ms=9, label="fold")


def _gap_curves(
    values: xr.DataArray,
    dataset: xr.Dataset,
    spec: FigureSpec,
    axes: Axes,
    style: str = "-",
    label: str | None = None,
) -> None:
    values = in_delta0(dataset, values)
    if "cell" in values.dims:
        values = values.min("cell", keep_attrs=True)
    values = one_if_same(values)
    over, along = _over(values)
    along = "junction" if values.sizes.get("junction", 1) > 1 else along
    draw_curves(axes, values, over, along, spec.offset, style=style, label=label)


def _lead_temperature(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Temperature of the electrons over what is swept, in every lead where it changes."""
    values = in_delta0(dataset, stored(dataset, "T_lead"))
    over, along = _over(values)
    sweep = [dim for dim in values.dims if dim != "junction"]
    moves = (values.max(sweep) > values.min(sweep)).values
    names = [str(name) for name in values["junction"].values[moves | ~moves.any()]]
    figure.set_size_inches(0.8 + 3.2 * len(names), 3.0)
    panels = figure.subplots(1, len(names), squeeze=False, sharey=True)[0]
    for name, axes in zip(names, panels, strict=True):
        draw_curves(axes, values.sel(junction=name), over, along, spec.offset)
    draw_legend(panels[-1], bool(spec.offset))


def _supercurrent(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    figure.set_size_inches(3.6, 3.0)
    _supercurrent_axes(dataset, figure.subplots())


def _supercurrent_axes(dataset: xr.Dataset, axes: Axes) -> None:
    if "phase_gradient" not in dataset.coords:
        raise FvqpError("the results hold no phase_gradient to draw the supercurrent over")
    gradient = dataset["phase_gradient"]
    currents = reduced(dataset["I_s"], ("supercurrent",)) if "I_s" in dataset else dataset["supercurrent"]
    order = np.argsort(gradient.values)
    values, unit = with_prefix(currents)
    axes.plot(gradient.values[order], values[order], "o-", markersize=3)
    axes.set(xlabel=SYMBOLS["phase_gradient"], ylabel=f"{SYMBOLS['supercurrent']} ({unit})")
    axes.set_title(said(currents), fontsize=8)


def _spectrum(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """A spectrum over ε/Δ0, a panel for each junction; of f_L its distance from 1 above the gap, the
    quasiparticles (Fig. 11b)."""
    name = spec.variable or "f_L"
    values = in_delta0(dataset, at_junctions(dataset, name))
    if "energy" not in values.dims:
        raise FvqpError(f"{values.name} has no energy dimension to draw a spectrum over")
    elastic = stored(dataset, f"{name}_elastic") if spec.compare == "elastic" else None
    swept = [str(dim) for dim in values.dims if dim in SWEPT and values.sizes[dim] > 1]
    along = "V_inj" if "V_inj" in swept else swept[-1] if swept else "junction"
    several = along != "junction" and values.sizes.get("junction", 1) > 1
    panels = [{"junction": name} for name in values["junction"].values] if several else [{}]
    rows = -(-len(panels) // ABREAST)
    columns = min(len(panels), ABREAST)
    figure.set_size_inches(4.4 if columns == 1 else 1.2 + 3.0 * columns, 3.0 * rows)
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, here in zip(grid, panels, strict=False):
        if elastic is not None:
            beside = _quasiparticles(name, in_delta0(dataset, elastic).sel(here), along)
            draw_curves(axes, beside, "energy", along, spec.offset, style="--", label="_elastic")
        shown = _quasiparticles(name, values.sel(here), along)
        if elastic is not None and name == "f_L":
            _three_gaps(in_delta0(dataset, at_junctions(dataset, "gap")).sel(here), shown, axes, spec.offset)
        draw_curves(axes, shown, "energy", along, spec.offset)
    if elastic is not None:
        grid[min(columns, len(panels)) - 1].plot([], [], "k--", linewidth=1.1, label="elastic")
    for axes in grid[len(panels) :]:
        axes.remove()
    draw_legend(grid[min(columns, len(panels)) - 1], bool(spec.offset))


def _three_gaps(gap: xr.DataArray, values: xr.DataArray, axes: Axes, offset: float | None) -> None:
    """Arrows at 3Δ of every bias, from where on a quasiparticle can break a pair (Fig. 11b)."""
    if not ("V_inj" in values.dims and "V_inj" in gap.dims):
        return
    here = reduced(values, ("V_inj", "energy")).sortby("V_inj")
    gaps = reduced(gap, ("V_inj",)).sortby("V_inj")
    energy = here["energy"].values
    for number, row in enumerate(shown_rows(here["V_inj"], offset)):
        bias = float(here["V_inj"].values[row])
        edge = 3.0 * float(gaps.sel(V_inj=bias, method="nearest"))
        if edge < min(abs(bias), energy[-1]):
            height = float(np.interp(edge, energy, here.values[row])) + (offset or 0.0) * number
            axes.annotate(
                "",
                (edge, height),
                xytext=(0, 16),
                textcoords="offset points",
                arrowprops={"arrowstyle": "->", "linewidth": 0.8},
            )


KINDS: dict[str, Drawing] = {
    "g_ss": _g_ss,
    "g_a": _g_a,
    "g_s": _family("g_s"),
    "g_nl": _family("g_nl"),
    "gap": _gap,
    "lead_temperature": _lead_temperature,
    "local_conductance": _family("G_inj"),
    "supercurrent": _supercurrent,
    "spectrum": _spectrum,
    "fields": draw_fields,
}
"""Kinds of figures and what draws them."""


def part(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """``g_ss``, ... as stored, or from ``g_nl``."""
    if name in dataset:
        return stored(dataset, name)
    parts = symmetry_parts(stored(dataset, "g_nl"))
    if name not in parts:
        raise FvqpError(f"{name} needs a sweep of the supercurrent")
    return stored(parts, name)


def _not_negative(values: xr.DataArray) -> xr.DataArray:
    if "supercurrent" not in values.dims:
        return values
    return values.isel(supercurrent=np.flatnonzero(values["supercurrent"].values >= 0)).sortby("supercurrent")


def at_junctions(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A quantity under the junctions; when cells are stored too, these have the plain name."""
    under = f"{name}_junction"
    return stored(dataset, under if under in dataset else name)


def one_if_same(values: xr.DataArray) -> xr.DataArray:
    """One gap for the whole device is that under the first junction, and needs no name of it."""
    if "junction" not in values.dims:
        return values
    first = values.isel(junction=0, drop=True)
    return first if same(values, first) else values


def _quasiparticles(name: str, values: xr.DataArray, along: str) -> xr.DataArray:
    """Return ``1 − f_L`` of f_L at energies and biases above the gap, where quasiparticles are; others
    whole."""
    if along in values.dims:
        values = folded(values, along)
    if name != "f_L":
        return values
    unit = 1.0 if values["energy"].attrs.get("symbol") else None
    if unit is not None:
        values = values.sel(energy=values["energy"].values >= unit)
        if "V_inj" in values.dims and np.any(np.abs(values["V_inj"].values) > unit):
            above = np.flatnonzero(np.abs(values["V_inj"].values) > unit)
            values = values.isel(V_inj=above[evenly_mirrored(values["V_inj"].values[above], MAX_SPECTRA)])
            # Beyond the largest bias there are next to none.
            values = values.sel(energy=values["energy"].values <= 1.2 * np.abs(values["V_inj"].values).max())
    return (1.0 - values).rename(values.name).assign_attrs(units="1", symbol="$1-f_\\mathrm{L}$")
