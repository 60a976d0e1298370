"""Curves of films, bodies, Eliashberg spectra and weak links: over a run, over energies and places."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from fvqp.errors import FvqpError, NothingToDraw
from fvqp.results import ledger
from fvqp.results.figures.cells import draw_map_of_cells
from fvqp.results.figures.common import (
    DECADES,
    MARKED,
    SYMBOLS,
    Drawing,
    FigureSpec,
    displayed,
    draw_curves,
    draw_legend,
    in_delta0,
    panel,
    stored,
    unit_text,
    value_text,
)
from fvqp.results.over_time import arrivals

RUN = ("time", "strength", "temperature")
"""Axes that a quantity is drawn over: the first of these that has several values."""
SMALLEST_OCCUPATION = 1e-14
"""Occupations below this part of the largest are not shown: no measurement sees them."""
SMALLEST = 1e-6
"""Densities below this part of the largest are not shown."""
SMALLEST_POWER = 1e-4
"""Powers below this part of the largest are not shown."""
RESOLVED = 0.5
"""Part of the axes on which rates are shown: beyond, states that take part are missing."""
SPREAD = 3.0
"""Largest over smallest value from which on positive values have a logarithmic axis."""
ROUNDING = 1e-9
"""Changes of an energy below this part of the largest one are none."""
FOUND_TO = 1e-3
"""Relative accuracy of minigaps."""
HIGHEST_DOS = 5.0
"""End of the axis of densities of states, which are singular at the gap."""
ENERGIES = {
    "energy_qp": "quasiparticles",
    "energy_ph": "phonons",
    "energy_condensate": "condensate",
    "energy_injected": "injected",
    "energy_escaped": "escaped",
}
BESIDE = {"analytic": "analytic", "thermal": "thermal, as many"}
"""Names of what stands beside curves."""


def _run(dataset: xr.Dataset) -> str:
    """The axis of the run."""
    several = [name for name in RUN if dataset.sizes.get(name, 1) > 1]
    return (several or [name for name in RUN if name in dataset.dims] or ["temperature"])[0]


def _computed(values: xr.DataArray, along: str) -> xr.DataArray:
    """Values where the run has come to, along its axis."""
    there = np.isfinite(values.transpose(along, ...).values.reshape(values.sizes[along], -1)).any(axis=1)
    return values.isel({along: there})


def _decades(values: xr.DataArray, along: str) -> str:
    """The logarithmic axis of a run over decades, "x", or none."""
    return "x" if along in DECADES and values.sizes[along] > 1 else ""


def _beside(dataset: xr.Dataset, spec: FigureSpec, name: str) -> xr.DataArray | None:
    """Return what a figure is asked to show beside a quantity, if it is there."""
    return dataset.get(f"{name}_{spec.compare}") if spec.compare else None


def _end_where_seen(axes: Axes) -> None:
    """End the horizontal axis where no curve is above the lower end of the vertical one."""
    lowest = axes.get_ylim()[0]
    lines = [np.asarray(line.get_xydata(), dtype=float) for line in axes.lines]
    seen = np.concatenate([table[table[:, 1] > lowest, 0] for table in lines])
    if len(seen):
        axes.set_xlim(seen.min() - 0.02 * seen.max(), 1.02 * seen.max())


def _occupations(name: str, axis: str) -> Drawing:
    """Occupations over energy on a logarithmic scale, one curve for each of some points of the run."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        axes, along = panel(figure), _run(dataset)
        values = stored(dataset, name)
        if name == "f":
            values = values.where(dataset["energy"] > stored(dataset, "gap"))
        values = _computed(values, along)
        draw_curves(axes, in_delta0(dataset, values), axis, along, log="y", least=SMALLEST_OCCUPATION)
        if (beside := _beside(dataset, spec, name)) is not None:
            beside = in_delta0(dataset, beside.where(values.notnull()))
            draw_curves(axes, beside, axis, along, None, 1.0, "k--", BESIDE[str(spec.compare)], log="y")
        _end_where_seen(axes)
        axes.set_ylabel(f"occupation ${name}$")
        draw_legend(axes, False)

    return drawn


def _over_run(
    dataset: xr.Dataset,
    axes: Axes,
    values: xr.DataArray,
    spec: FigureSpec,
    beside: xr.DataArray | None = None,
    *,
    logarithmic: bool = True,
) -> None:
    """Curves over the run, one for each of what else was swept, with those beside them, dashed."""
    along = _run(dataset)
    others = [str(dim) for dim in values.dims if dim != along]
    finite = values.values[np.isfinite(values.values)]
    spread = logarithmic and finite.size and finite.min() > 0.0 and finite.max() > SPREAD * finite.min()
    log = _decades(values, along) + ("y" if spread else "")
    few = values.sizes[along] <= MARKED
    style = "-" if not few else "o-" if beside is None else "o"
    scale = draw_curves(axes, values, along, others, style=style, log=log)
    if beside is not None:
        if len(axes.lines) == 1:
            axes.lines[0].set_label("computed")
        draw_curves(axes, beside, along, others, None, scale, "k--", BESIDE[str(spec.compare)], log=log)
    draw_legend(axes, False)


def _quantities(*names: str, logarithmic: bool = True) -> Drawing:
    """Quantities over the run, side by side."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        figure.set_size_inches(4.2 if len(names) == 1 else 3.6 * len(names), 3.0)
        for axes, name in zip(np.atleast_1d(figure.subplots(1, len(names))), names, strict=True):
            beside = _beside(dataset, spec, name)
            _over_run(dataset, axes, stored(dataset, name), spec, beside, logarithmic=logarithmic)

    return drawn


def _gap_over_run(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Δ/Δ0 over the run."""
    values = in_delta0(dataset, stored(dataset, "gap"))
    _over_run(dataset, panel(figure, 4.2, 3.0), values, spec, logarithmic=False)


def _inverse_density(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """1/n − 1/n(0) over time: a line of slope 1 where quasiparticles recombine."""

    def risen(density: xr.DataArray) -> xr.DataArray:
        values = 1.0 / density
        values = (values - values.isel(time=0)).isel(time=slice(1, None))
        return values.assign_attrs(units="m3", symbol="$1/n_\\mathrm{qp}-1/n_\\mathrm{qp}(0)$")

    if "time" not in dataset.dims:
        raise FvqpError("densities rise and fall in an evolution; these results are of steady states")
    beside = _beside(dataset, spec, "n_qp")
    beside = None if beside is None else risen(beside)
    axes = panel(figure, 4.2, 3.0)
    _over_run(dataset, axes, risen(stored(dataset, "n_qp")), spec, beside)
    axes.set_yscale("log")


def _energies(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Energies by volume over the run, as changes since its start, and what all of them leave open."""
    axes, along = panel(figure, 5.0), _run(dataset)
    first = {along: 0}
    energies = {label: stored(dataset, name) for name, label in ENERGIES.items()}
    changes = {label: values - values.isel(first) for label, values in energies.items()}
    sizes = {label: float(np.abs(change).max()) for label, change in changes.items()}
    # Rounding of what stays is no change, whether something else changes or nothing does.
    held = max(float(np.abs(values).max()) for values in energies.values())
    least = max(ROUNDING * max(sizes.values()), ledger.ROUNDING * held)
    moved = [label for label in changes if sizes[label] > least]
    if not moved:
        raise NothingToDraw("no energy changes along the run")
    table = xr.concat([changes[label] for label in moved], "part", coords="minimal", compat="override")
    table = table.assign_coords(part=moved).rename("change of energy").assign_attrs(units="J m-3")
    log = _decades(table, along)
    scale = draw_curves(axes, table, along, "part", log=log)
    if "energy_residual" in dataset:
        draw_curves(axes, dataset["energy_residual"], along, (), None, scale, "k:", "balance", log=log)
    for number, line in enumerate(axes.lines[: len(moved)]):
        line.set_color(f"C{number}")
    draw_legend(axes, False)


def _lifetimes(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Inverse lifetimes in units of τ0 and τ0^pb over energy, as Kaplan et al. show them."""
    along = _run(dataset)
    last = RESOLVED * float(dataset["energy"].values[-1])
    figure.set_size_inches(7.4, 3.3)
    groups = (
        ("energy", "tau0_s", "\\tau_0", {"scattering": "-", "recombination": "--"}),
        ("omega", "tau0_pb_s", "\\tau_0^\\mathrm{pb}", {"pair_breaking": "-", "absorption": "--"}),
    )
    panels = figure.subplots(1, 2)
    for axes, (axis, time, symbol, kinds) in zip(panels, groups, strict=True):
        scale = float(dataset.attrs[time])

        def in_units(values: xr.DataArray, axis: str = axis, scale: float = scale) -> xr.DataArray:
            return in_delta0(dataset, (values * scale).isel({axis: values[axis].values <= last}))

        for kind, style in kinds.items():
            values = in_units(stored(dataset, f"rate_{kind}"))
            draw_curves(axes, values, axis, along, None, 1.0, style, None if style == "-" else "_", log="y")
            if (closed := _beside(dataset, spec, f"rate_{kind}")) is not None:
                closed = in_units(closed.isel({along: 0}, drop=True))
                draw_curves(axes, closed, axis, (), None, 1.0, "k:", "$T=0$", log="y")
        solid, dashed = (kind.replace("_", " ") for kind in kinds)
        axes.set_ylabel(f"${symbol}/\\tau$")
        axes.set_title(f"{solid} (solid), {dashed} (dashed)", fontsize=8)
    handles, names = panels[0].get_legend_handles_labels()
    figure.legend(handles, names, fontsize=7, loc="outside right center")


def _later(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A quantity at the times that were computed after the start, which a logarithmic axis of time does not
    have."""
    values = _computed(stored(dataset, name), "time")
    values = values.isel(time=values["time"].values > 0.0)
    if not values.sizes["time"]:
        raise NothingToDraw("nothing has been computed after the start")
    return values


def _energy_shells(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Quasiparticles in ranges of energy over time."""
    values, unit = _later(dataset, "n_qp_range"), float(dataset.attrs["delta0_eV"])
    bounds = zip(dataset["energy_range_from"].values, dataset["energy_range_to"].values, strict=True)
    names = [f"{low / unit:.3g} … {high / unit:.3g} $\\Delta_0$" for low, high in bounds]
    axes = panel(figure)
    values = values.assign_coords(energy_range=names).assign_attrs(symbol=SYMBOLS["n_qp"])
    draw_curves(axes, values, "time", "energy_range", log="xy", least=SMALLEST)
    draw_legend(axes, False)


def _regions(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Quasiparticles in the regions of a mesh over time; of insulators alone, energy of phonons."""
    values = _later(dataset, "x_qp_region").assign_attrs(symbol=SYMBOLS["x_qp"])
    if not (values > 0.0).any():
        values = _later(dataset, "energy_ph_region").assign_attrs(symbol=SYMBOLS["energy_ph"])
    values = values.isel(region=(values > 0.0).any([dim for dim in values.dims if dim != "region"]).values)
    if not values.sizes["region"]:
        raise NothingToDraw("no region has quasiparticles or energy of phonons")
    axes = panel(figure)
    draw_curves(axes, values, "time", "region", log="xy", least=SMALLEST)
    draw_legend(axes, False)


def _profile(name: str) -> Drawing:
    """A quantity over the radius of shells, one curve for each of some times."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        if "radius_cell" not in dataset.coords:
            raise FvqpError("profiles are over the radius of shells; these results are of a mesh")
        axes = panel(figure)
        values = _computed(stored(dataset, name), "time").swap_dims(cell="radius_cell")
        values = in_delta0(dataset, values)
        if name == "gap":
            draw_curves(axes, values, "radius_cell", "time")
        else:
            values = values.assign_attrs(symbol=SYMBOLS["n_qp"])
            draw_curves(axes, values, "radius_cell", "time", log="y", least=SMALLEST)
        draw_legend(axes, False)

    return drawn


def _escaped(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Energy that has left with phonons, by their energy."""
    axes = panel(figure)
    values = in_delta0(dataset, _computed(stored(dataset, "escaped_spectrum"), "time"))
    values = values / xr.DataArray(np.gradient(values["omega"].values), dims="omega")
    draw_curves(axes, values, "omega", "time", log="y", least=SMALLEST)
    _end_where_seen(axes)
    axes.set_ylabel("escaped energy (J m$^{-3}$ $\\Delta_0^{-1}$)")
    draw_legend(axes, False)


def _arrivals(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Power that arrives at walls and losses, between recorded times."""
    stored(dataset, "energy_escaped_by")
    power = arrivals(dataset)["power"]
    if not (power > 0.0).any():
        raise NothingToDraw("nothing arrived at any wall or loss")
    edges = np.append(power["time_from"].values, power["time_to"].values[-1])
    if edges[0] == 0.0:  # which a logarithmic axis does not have
        edges[0] = edges[1] ** 2 / edges[2] if len(edges) > 2 else 0.5 * edges[1]
    steps = xr.concat([power, power.isel(time=[-1])], "time")
    steps = steps.assign_coords(time=("time", edges, dataset["time"].attrs)).assign_attrs(power.attrs)
    axes = panel(figure)
    draw_curves(axes, steps, "time", "exit", log="xy", least=SMALLEST_POWER)
    for line in axes.lines:
        line.set_drawstyle("steps-post")
    draw_legend(axes, False)


def _localized(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Localized and mobile quasiparticles along a body at the last time."""
    axis = "radius_cell" if "radius_cell" in dataset.coords else "x"
    localized = _computed(stored(dataset, "n_localized_cell"), "time")
    everything = _computed(stored(dataset, "n_qp_cell"), "time")
    axes = panel(figure)
    for values, name, style in ((localized, "localized", "C0."), (everything - localized, "mobile", "C1.")):
        last = values.isel(time=-1).assign_attrs(localized.attrs).swap_dims(cell=axis)
        draw_curves(axes, last, axis, (), None, 1.0, style, name, log="y")
    unit = unit_text(displayed(localized).attrs["units"])
    axes.set(ylabel=f"concentration ({unit})", title="")
    if dataset.sizes["time"] > 1:
        axes.set_title(value_text(localized["time"], -1))
    draw_legend(axes, False)


def _functions(label: str, *names: str, scale: float = 1.0) -> Drawing:
    """Functions of energy, a colour for each temperature; the second function dashed."""

    def drawn(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
        axes = panel(figure, 4.6)
        for name, style in zip(names, ("-", "--"), strict=False):
            values = stored(dataset, name).assign_attrs(symbol=label)
            hidden = None if style == "-" else "_"
            draw_curves(axes, values, "energy", "temperature", None, scale, style, hidden)
        axes.margins(x=0.0)
        draw_legend(axes, False)

    return drawn


def _dos(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Density of states near the gap, and its ratio to that of BCS where phonons show in tunnel spectra."""
    figure.set_size_inches(7.2, 3.2)
    near, beyond = figure.subplots(1, 2)
    values, gap, energy = stored(dataset, "dos"), stored(dataset, "gap"), dataset["energy"]
    draw_curves(near, values.assign_attrs(symbol="$\\rho(\\epsilon)$"), "energy", "temperature")
    inverse_bcs = np.sqrt((energy**2 - gap**2).clip(min=0.0)) / energy.where(energy > 0.0)
    ratio = (values * inverse_bcs).where((energy > 2.0 * gap) & (gap > 0.0)).transpose(*values.dims)
    symbol = "$\\rho/\\rho_\\mathrm{BCS}$"
    draw_curves(beyond, ratio.assign_attrs(units="1", symbol=symbol), "energy", "temperature")
    unit = float(near.lines[0].get_xdata()[-1]) / float(energy[-1])
    last = max(4.0 * float(gap.max()), 0.05 * float(energy[-1]))
    near.set(ylim=(0.0, HIGHEST_DOS), xlim=(0.0, last * unit))
    draw_legend(near, False)


def _interaction(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    values = stored(dataset, "alpha2F").assign_attrs(symbol="$\\alpha^2F$")
    draw_curves(panel(figure, 4.0, 3.0), values, "omega")


def _gap_edge(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Gap edge over temperature, from both axes."""
    axes = panel(figure, 4.0, 3.0)
    scale = draw_curves(axes, stored(dataset, "gap"), "temperature", style="o-")
    axes.lines[0].set_label("real axis")
    if "gap_matsubara" in dataset:
        other = "imaginary axis, Padé"
        draw_curves(axes, dataset["gap_matsubara"], "temperature", (), None, scale, "kx", other)
    axes.set_ylim(bottom=0.0)
    draw_legend(axes, False)


def _current_phase(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Supercurrent from the first reservoir, a curve for each temperature."""
    _over_phase(stored(dataset, "I_reservoir").isel(reservoir=0).rename("I_s"), figure)


def _minigap(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Over the phase; one curve where the reservoirs are so cold that the temperature does not show."""
    values = stored(dataset, "minigap")
    coldest = values.isel(temperature=[int(values["temperature"].values.argmin())])
    same = np.allclose(values, coldest, rtol=FOUND_TO, atol=0.0, equal_nan=True)
    _over_phase(coldest if same else values, figure)


def _over_phase(values: xr.DataArray, figure: Figure) -> None:
    """A curve for each temperature over the phase in units of π, every point marked."""
    axes = panel(figure, 4.6)
    draw_curves(axes, _in_turns(values), "phase", "temperature", style="o-")
    if values.sizes["temperature"] > 1:
        draw_legend(axes, False)


def _in_turns(values: xr.DataArray) -> xr.DataArray:
    """The same over φ/π."""
    symbol = f"${SYMBOLS['phase'].strip('$')}/\\pi$"
    return values.assign_coords(phase=(values["phase"] / np.pi).assign_attrs(units="1", symbol=symbol))


def _dos_over_phase(dataset: xr.Dataset, spec: FigureSpec, figure: Figure) -> None:
    """Mean of all cells at the lowest temperature, a curve for each phase."""
    axes, values = panel(figure, 4.6), stored(dataset, "dos")
    mean = values.weighted(dataset["cell_volume"]).mean("cell", keep_attrs=True).rename("dos")
    coldest = mean.isel(temperature=int(dataset["temperature"].values.argmin()))
    draw_curves(axes, _in_turns(coldest), "energy", "phase")
    axes.set_ylim(bottom=0.0)
    draw_legend(axes, False)


FILMS: dict[str, Drawing] = {
    "distribution": _occupations("f", "energy"),
    "phonons": _occupations("n", "omega"),
    "density": _quantities("n_qp"),
    "inverse_density": _inverse_density,
    "x_qp": _quantities("x_qp"),
    "gap": _gap_over_run,
    "gap_suppression": _quantities("gap_suppression"),
    "temperatures": _quantities("temperature_qp", logarithmic=False),
    "efficiency": _quantities("eta_pb", logarithmic=False),
    "recombination": _quantities("recombination_rate"),
    "energies": _energies,
    "conductivity": _quantities("sigma1", "sigma2"),
    "resonator": _quantities("inverse_quality_factor", "frequency_shift"),
    "lifetimes": _lifetimes,
}
"""Kinds of figures of films, and what draws them."""
BODIES: dict[str, Drawing] = {
    "arrivals": _arrivals,
    "energies": _energies,
    "density": _quantities("n_qp"),
    "energy_shells": _energy_shells,
    "gap_profile": _profile("gap"),
    "density_profile": _profile("n_qp_cell"),
    "escaped": _escaped,
    "localized": _localized,
    "map": draw_map_of_cells,
    "regions": _regions,
    "resonator": _quantities("inverse_quality_factor", "frequency_shift"),
}
"""Kinds of figures of bodies."""
SPECTRA: dict[str, Drawing] = {
    "gap_function": _functions(
        "$\\mathrm{Re}\\,\\Delta$, $\\mathrm{Im}\\,\\Delta$ (dashed)", "gap_real", "gap_imag", scale=1e-3
    ),
    "renormalization": _functions("$\\mathrm{Re}\\,Z$, $\\mathrm{Im}\\,Z$ (dashed)", "Z_real", "Z_imag"),
    "dos": _dos,
    "interaction": _interaction,
    "gap": _gap_edge,
}
"""Kinds of figures of Eliashberg spectra."""
WEAK_LINKS: dict[str, Drawing] = {
    "current_phase": _current_phase,
    "minigap": _minigap,
    "dos": _dos_over_phase,
}
"""Kinds of figures of weak links."""
