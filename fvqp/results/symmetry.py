"""Parts of the non-local conductance that are even or odd in supercurrent and injector bias.

Ryan, Beckmann, Chandrasekhar (2026), Eqs. (16)-(19):
g_a, g_s = ½[g(I_s) ∓ g(−I_s)],  g_sa, g_ss = ½[g_s(V_inj) ∓ g_s(−V_inj)].
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from fvqp.errors import FvqpError
from fvqp.results.dataset import QUANTITIES
from fvqp.typing import Floats

SAME = 1e-9
"""Coordinates whose distance is within this fraction of the largest one are taken as equal."""


def symmetry_parts(g_nl: xr.DataArray, even_in_supercurrent: bool = False) -> xr.Dataset:
    """``g_s`` and ``g_a`` by supercurrent, and ``g_ss`` and ``g_sa`` by injector bias, of a conductance.

    ``g_nl`` has the dimension ``V_inj`` and may have ``supercurrent`` (without it, the conductance is that
    without supercurrent, and there is no ``g_a``) and others. ``even_in_supercurrent`` states that the
    conductance is even in it (nothing couples f_L and f_T): one sign is enough then, and there is no ``g_a``.
    Where a coordinate is not its own mirror image, values are interpolated linearly to one that is, over the
    range that both signs cover.

    Raises :class:`FvqpError` if only one sign of the bias, or of the supercurrent, is there.
    """
    if "V_inj" not in g_nl.dims:
        raise FvqpError("symmetry parts need a sweep of V_inj")
    g_nl = mirrored_grid(g_nl, "V_inj")
    parts = {}
    g_s = g_nl
    if "supercurrent" in g_nl.dims and not even_in_supercurrent:
        g_nl = mirrored_grid(g_nl, "supercurrent")
        g_s, parts["g_a"] = even_odd(g_nl, "supercurrent")
    parts["g_s"] = g_s
    parts["g_ss"], parts["g_sa"] = even_odd(g_s, "V_inj")
    for name, part in parts.items():
        part.attrs = {**QUANTITIES[name]._asdict(), "units": g_nl.attrs.get("units", QUANTITIES[name].units)}
    return xr.Dataset(parts)


def even_odd(values: xr.DataArray, dim: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Even and odd part along ``dim``, whose coordinate is its own mirror image, in any order."""
    axis = values.get_axis_num(dim)
    mirror = _mirror_index(values[dim].values)
    reflected = np.take(values.values, mirror, axis=axis)
    return values.copy(data=0.5 * (values.values + reflected)), values.copy(
        data=0.5 * (values.values - reflected)
    )


def parts_of_variance(variance: xr.DataArray) -> xr.Dataset:
    """Variances of the parts of `symmetry_parts`, from those of independent values ``g_nl``.

    The coordinates are their own mirror images. A value at zero is its own image: it is its even part, and
    has no odd one.
    """
    parts = {}
    g_s = variance
    if "supercurrent" in variance.dims:
        g_s, parts["g_a"] = _variances(variance, "supercurrent")
    parts["g_s"] = g_s
    parts["g_ss"], parts["g_sa"] = _variances(g_s, "V_inj")
    return xr.Dataset(parts)


def _variances(variance: xr.DataArray, dim: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the variances of the even and the odd part along ``dim``."""
    both = 0.5 * even_odd(variance, dim)[0]
    apart = np.abs(variance[dim]) > SAME * float(np.abs(variance[dim]).max())
    return both.where(apart, variance), both.where(apart, 0.0)


def mirrored_grid(values: xr.DataArray, dim: str) -> xr.DataArray:
    """``values`` on a coordinate ``dim`` that is its own mirror image, interpolated if it is none yet."""
    grid = values[dim].values.astype(float)
    if is_mirrored(grid):
        return values
    reach = min(grid.max(), -grid.min())
    if not reach > 0:
        sign = "positive" if grid.max() > 0 else "negative"
        raise FvqpError(
            f"symmetry parts need both signs of {dim}: the values run from {grid.min():g} to {grid.max():g}, "
            f"all {sign} or zero"
        )
    symmetric = symmetric_union([grid], reach)
    ordered = values.sortby(dim)
    # Auxiliary coordinates of ``dim`` have no meaning between its points.
    ordered = ordered.drop_vars([name for name, c in ordered.coords.items() if dim in c.dims and name != dim])
    attributes = ordered[dim].attrs
    ordered = ordered.interp({dim: symmetric}, method="linear")
    ordered[dim].attrs = attributes
    return ordered


def is_mirrored(grid: Floats) -> bool:
    """Return whether with every value its negative is there too."""
    ordered = np.sort(grid)
    return bool(np.all(np.abs(ordered + ordered[::-1]) <= SAME * np.abs(ordered).max()))


def symmetric_union(grids: list[Floats], reach: float) -> Floats:
    """All sizes of the values of ``grids`` up to ``reach``, with both signs, ascending."""
    sizes = np.unique(np.abs(np.concatenate(grids)))
    sizes = sizes[sizes <= reach * (1 + SAME)]
    sizes = np.minimum(sizes[np.concatenate([[True], np.diff(sizes) > SAME * reach])], reach)
    # A size of almost nothing is zero; zero has one sign.
    sizes = np.where(sizes <= SAME * reach, 0.0, sizes)
    return np.concatenate([-sizes[sizes > 0][::-1], sizes])


def _mirror_index(grid: Floats) -> NDArray[np.intp]:
    order = np.argsort(grid, kind="stable")
    mirror = np.empty(len(grid), dtype=np.intp)
    mirror[order] = order[::-1]
    return mirror
