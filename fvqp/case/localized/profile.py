"""Generation A(x) on the mesh of a case: from regions, a table, or an earlier run."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy import constants
from scipy.spatial import cKDTree

from fvqp.case.localized.schema import Earlier, LocalizedCase, Profile
from fvqp.errors import CaseError, FvqpError
from fvqp.mesh import Mesh
from fvqp.results.result import open_result
from fvqp.units import to_float

Floats = NDArray[np.float64]

#: Part of a mesh's extent by which a table may end before the mesh does: half a cell of a coarse one.
MARGIN = 0.05
#: Relative difference at which a value of the sweep counts as the one asked for.
SAME = 1e-6


def generation_profile(case: LocalizedCase, mesh: Mesh) -> Floats:
    """``(n_cells,)`` A in 1/(m³ s) for a mesh that is whole on this rank.

    Raises:
        CaseError: an unknown region, a table that cannot be read or does not cover the mesh, an earlier run
            that does not hold what is asked for.
    """
    profile = case.profile
    assert profile is not None
    where = f"{case.source}: profile"
    if profile.regions:
        found = _from_regions(profile, mesh, where)
    elif profile.table is not None:
        found = _from_table(profile, mesh, where)
    else:
        assert profile.results is not None
        found = _from_results(case, profile.results, mesh, f"{where}.results")
    if not np.all(np.isfinite(found)) or np.any(found < 0.0):
        raise CaseError(f"{where}: rates must be finite and not negative")
    if not np.any(found > 0.0):
        raise CaseError(f"{where}: generates nothing on this mesh")
    return found


def _from_regions(profile: Profile, mesh: Mesh, where: str) -> Floats:
    out = np.zeros(mesh.n_cells)
    for name, rate in profile.regions.items():
        if name not in mesh.regions:
            known = ", ".join(sorted(mesh.regions)) or "none"
            raise CaseError(f'{where}.regions: the mesh has no region "{name}"; there are: {known}')
        out[mesh.regions[name]] = rate
    return out


def _from_table(profile: Profile, mesh: Mesh, where: str) -> Floats:
    assert profile.table is not None and profile.rate is not None
    try:
        table = np.loadtxt(profile.table, delimiter="," if profile.table.suffix == ".csv" else None, ndmin=2)
    except (OSError, ValueError) as error:
        raise CaseError(f"{where}.table: {profile.table.name}: {str(error).splitlines()[0]}") from None
    if table.shape[1] != 2 or len(table) < 2 or np.any(np.diff(table[:, 0]) <= 0.0):
        raise CaseError(
            f"{where}.table: {profile.table.name}: expected two or more rows of two columns, with positions "
            "that increase"
        )
    position = table[:, 0] * to_float(f"1 {profile.length_unit}", "m")
    x = mesh.centroid[:, "xyz".index(profile.axis)]
    margin = MARGIN * float(np.ptp(x))
    if x.min() < position[0] - margin or x.max() > position[-1] + margin:
        raise CaseError(
            f"{where}.table: {profile.table.name} covers {position[0]:.4g} to {position[-1]:.4g} m, the mesh "
            f"reaches from {x.min():.4g} to {x.max():.4g} m along {profile.axis}"
        )
    return np.interp(x, position, table[:, 1] * profile.rate)


def _from_results(case: LocalizedCase, wanted: Earlier, mesh: Mesh, where: str) -> Floats:
    try:
        dataset = open_result(wanted.folder).dataset
    except FvqpError as error:
        raise CaseError(f"{where}.folder: {error}") from None
    with_cells = [str(name) for name, values in dataset.data_vars.items() if "cell" in values.dims]
    if wanted.variable not in with_cells:
        known = ", ".join(with_cells) or "none"
        raise CaseError(
            f'{where}.variable: the results hold no "{wanted.variable}" of cells; there are: {known} '
            "(a run stores those that its output.stored names)"
        )
    point = _point(dataset, dataset[wanted.variable], wanted, where)
    units = str(dataset[wanted.variable].attrs.get("units"))
    if wanted.variable == "f_L":
        values, units = _density(case, point, where), "m-3"
    else:
        values = point[wanted.variable].values
    if units == "m-3":
        if wanted.capture_time is None:
            raise CaseError(f"{where}.capture_time: missing: it turns the density into a rate")
        values = values / wanted.capture_time
    elif units != "m-3 s-1":
        raise CaseError(
            f"{where}.variable: {wanted.variable} is in {units}; expected a density (m-3), a rate by volume "
            "(m-3 s-1), or f_L"
        )
    elif wanted.capture_time is not None:
        raise CaseError(f"{where}.capture_time: is not used: {wanted.variable} is a rate already")
    if not np.all(np.isfinite(values)):
        raise CaseError(f"{where}.at: this point of the sweep was not computed")
    there = np.column_stack(
        [point[axis].values if axis in point.coords else np.zeros(len(values)) for axis in "xyz"]
    )
    _, nearest = cKDTree(there).query(mesh.centroid)
    return np.asarray(values[nearest], dtype=np.float64)


def _point(dataset: xr.Dataset, values: xr.DataArray, wanted: Earlier, where: str) -> xr.Dataset:
    """The results at one point of their sweep."""
    axes = [str(dim) for dim in values.dims if dim not in ("cell", "energy")]
    for name in wanted.at:
        if name not in axes:
            raise CaseError(
                f"{where}.at.{name}: {wanted.variable} does not depend on it; it does on: {', '.join(axes)}"
            )
    for name in axes:
        coordinate = dataset[name]
        if name not in wanted.at:
            if coordinate.size > 1:
                raise CaseError(
                    f"{where}.at.{name}: missing: the results hold {coordinate.size} values of it"
                )
            dataset = dataset.isel({name: 0})
            continue
        try:
            asked = to_float(
                wanted.at[name], str(coordinate.attrs.get("units", "1")).replace("m-3 s-1", "1/m^3/s")
            )
        except FvqpError as error:
            raise CaseError(f"{where}.at.{name}: {error}") from None
        distance = np.abs(coordinate.values - asked)
        if distance.min() > SAME * max(np.abs(coordinate.values).max(), abs(asked)):
            raise CaseError(
                f"{where}.at.{name}: {wanted.at[name]} is not among the results; the nearest is "
                f"{coordinate.values[distance.argmin()]:.6g} {coordinate.attrs.get('units', '')}"
            )
        dataset = dataset.isel({name: int(distance.argmin())})
    return dataset


def _density(case: LocalizedCase, point: xr.Dataset, where: str) -> Floats:
    """n = 2 N0 ∫ N (1 − f_L) dE over E > 0, 1/m³."""
    wanted = case.profile.results if case.profile is not None else None
    assert wanted is not None
    per_spin = wanted.density_of_states
    if per_spin is None:
        assert case.material is not None
        per_spin = case.material.density_of_states
    if "dos" not in point or "cell" not in point["dos"].dims:
        raise CaseError(f'{where}.variable: f_L needs "dos" beside it; add it to output.stored of that run')
    energy = point["energy"].values * constants.e
    # Bins fill the axis from 0 on, so that their widths follow from their centres.
    width, edge = np.empty(len(energy)), 0.0
    for k, centre in enumerate(energy):
        width[k] = 2.0 * (centre - edge)
        edge += width[k]
    held = point["dos"].transpose("cell", "energy").values * (
        1.0 - point["f_L"].transpose("cell", "energy").values
    )
    return np.asarray(2.0 * per_spin * held @ width)
