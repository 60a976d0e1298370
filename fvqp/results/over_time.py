"""Arrivals between recorded times, and peaks and decays of densities, from the dataset of an evolution."""

from __future__ import annotations

import numpy as np
import xarray as xr

from fvqp.errors import FvqpError
from fvqp.typing import Floats

#: Part of the largest excess over what is there later below which a decay counts as late.
LATE = 0.25
#: Recorded times that a fit of a decay needs.
FEWEST = 5
#: Relative deviation below which a decay counts as exponential.
EXPONENTIAL = 1e-2
#: Longest time constant that is looked for, in units of the time over which the decay is seen.
LONGEST = 1e3
#: Time constants that are tried between two neighbours of the best one, and how often.
GRID, ZOOMS = 100, 5
#: Passed amounts: name → name and meaning of the rate of arrival, and unit without that of a volume.
RATES = {
    "energy": ("power", "energy that arrives a unit of time", "W"),
    "quasiparticles": ("rate_quasiparticles", "quasiparticles that arrive a unit of time", "s-1"),
    "phonons": ("rate_phonons", "phonons that arrive a unit of time", "s-1"),
}


def arrivals(dataset: xr.Dataset) -> xr.Dataset:
    """Return histograms over time of what arrived at exits and passed interfaces.

    A bin lies between two recorded times that follow one another; times its width, a rate is exactly the
    amount that passed. Rates are those of the whole body, in W and 1/s; by length or area of a cross-section
    where the dataset knows none.

    Returns:
        ``power``, ``rate_quasiparticles`` and ``rate_phonons`` over ``time`` (middle of a bin) and ``exit``,
        and the same with ``_through`` over ``interface``; coordinates ``time_from`` and ``time_to``.

    Raises:
        FvqpError: nothing passed, or fewer than two times were computed.
    """
    names = [
        (f"{amount}_{kind}", f"{rate}{end}", meaning, unit)
        for amount, (rate, meaning, unit) in RATES.items()
        for kind, end in (("escaped_by", ""), ("through", "_through"))
        if f"{amount}_{kind}" in dataset
    ]
    if not names:
        raise FvqpError("the results hold nothing that passed: no evolution with walls, losses or interfaces")
    seen = dataset.isel(time=np.flatnonzero(np.isfinite(dataset[names[0][0]].values).all(axis=1)))
    if seen.sizes["time"] < 2:
        raise FvqpError("arrivals are between two recorded times; fewer were computed")
    time = seen["time"].values
    volume = float(dataset["cell_volume"].sum())
    lacking = {"m3": "", "m2": " m-1", "m": " m-2"}[dataset["cell_volume"].attrs.get("units", "m3")]
    out = xr.Dataset(
        coords={
            "time": ("time", 0.5 * (time[1:] + time[:-1]), {"units": "s", "long_name": "middle of a bin"}),
            "time_from": ("time", time[:-1], {"units": "s", "long_name": "beginning of a bin"}),
            "time_to": ("time", time[1:], {"units": "s", "long_name": "end of a bin"}),
        },
        attrs=dataset.attrs,
    )
    for name, rate, meaning, unit in names:
        dims = seen[name].dims
        values = np.diff(seen[name].values, axis=0) * volume / np.diff(time)[:, None]
        attributes = {"units": unit + lacking, "long_name": meaning}
        out[rate] = xr.DataArray(values, {dims[1]: seen[dims[1]]}, dims, attrs=attributes)
    return out


def time_constants(dataset: xr.Dataset) -> xr.Dataset:
    """Return peaks of densities of quasiparticles, of the body and of regions, and how they decay.

    The time constant is that of ``background + amplitude × exp(−t/τ)``, fitted by least squares of relative
    deviations to the recorded times after the peak at which less than a quarter of the excess over the
    lowest later density is left; without the first of these as long as the rest, five or more, fits better
    and deviates by more than 1 %.

    Returns:
        ``n_qp_peak``, ``x_qp_peak``, ``time_peak`` (a recorded time), ``decay_time``, and the root mean
        square of the relative deviations, ``decay_deviation``, which is small where the decay is exponential;
        NaN where fewer than five times are late, or nothing decays. With ``_region`` at the end those of
        regions.

    Raises:
        FvqpError: no densities over time.
    """
    if "time" not in dataset.dims or "n_qp" not in dataset:
        raise FvqpError("the results hold no densities over time: peaks and decays are those of an evolution")
    out = xr.Dataset(attrs=dataset.attrs)
    for end in ("", "_region"):
        if f"n_qp{end}" not in dataset:
            continue
        values = dataset[f"n_qp{end}"]
        place = f"quasiparticles{' in a region' if end else ''}"
        time, decay, deviation = xr.apply_ufunc(
            lambda n: _peak_and_decay(dataset["time"].values, n),
            values,
            input_core_dims=[["time"]],
            output_core_dims=[[], [], []],
            vectorize=True,
        )
        out[f"n_qp_peak{end}"] = values.max("time").assign_attrs(
            units="m-3", long_name=f"largest recorded density of {place}"
        )
        out[f"x_qp_peak{end}"] = dataset[f"x_qp{end}"].max("time")
        out[f"x_qp_peak{end}"].attrs.update(
            units="1", long_name=f"largest recorded reduced density of {place}"
        )
        for name, found, unit, meaning in (
            ("time_peak", time, "s", "time of the largest density"),
            ("decay_time", decay, "s", "time constant of the late decay"),
            ("decay_deviation", deviation, "1", "relative deviation from an exponential decay"),
        ):
            out[f"{name}{end}"] = found.assign_attrs(units=unit, long_name=f"{meaning} of {place}")
    return out


def _peak_and_decay(time: Floats, n: Floats) -> tuple[float, float, float]:
    """Return the time of the peak, the time constant of what comes late, and its relative deviation."""
    seen = np.isfinite(n)
    if not seen.any() or not n[seen].max() > 0.0:
        return np.nan, np.nan, np.nan
    time, n = time[seen], n[seen]
    peak = int(np.argmax(n))
    lowest = n[peak:].min()
    early = np.flatnonzero(n[peak:] - lowest > LATE * (n[peak] - lowest))
    begin = peak + (int(early[-1]) + 1 if early.size else 0)
    decay, deviation = np.nan, np.nan
    for late in range(begin, len(n) - FEWEST + 1):
        found = _exponential(time[late:], n[late:])
        if not found[1] >= deviation:
            decay, deviation = found
        if deviation < EXPONENTIAL:
            break
    return float(time[peak]), decay, deviation


def _exponential(time: Floats, n: Floats) -> tuple[float, float]:
    """Return the time constant of a decay to a background, not below 0, and the root mean square of relative
    deviations; NaN where nothing decays exponentially."""
    t = time - time[0]
    ones = np.ones_like(t)
    if not np.all(n > 0.0):
        return np.nan, np.nan

    def fitted(log_decay: float) -> tuple[float, bool]:
        """Return the mean square of deviations at a time constant, and True if the amplitude is positive."""
        table = np.stack([np.exp(-t / np.exp(log_decay)), ones], axis=1) / n[:, None]
        parts = np.linalg.lstsq(table, ones, rcond=None)[0]
        if parts[1] < 0.0:
            parts = np.array([table[:, 0].sum() / (table[:, 0] @ table[:, 0]), 0.0])
        return float(np.mean((table @ parts - 1.0) ** 2)), bool(parts[0] > 0.0)

    # the squares may have several minima: the best of a grid, and of finer ones around it
    low, high = np.log(np.diff(t).min() / 3.0), np.log(LONGEST * t[-1])
    for zoom in range(ZOOMS):
        grid = np.linspace(low, high, GRID)
        best = int(np.argmin([fitted(one)[0] for one in grid]))
        if zoom == 0 and best in (0, GRID - 1):
            return np.nan, np.nan
        low, high = grid[max(best - 1, 0)], grid[min(best + 1, GRID - 1)]
    square, decays = fitted(grid[best])
    return (float(np.exp(grid[best])), float(np.sqrt(square))) if decays else (np.nan, np.nan)
