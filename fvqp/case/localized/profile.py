"""Generation A(x) on the mesh of a case: from regions, a table, or an earlier run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from fvqp.case.earlier import Earlier, EarlierRates
from fvqp.case.localized.schema import LocalizedCase, Profile
from fvqp.errors import CaseError, shown
from fvqp.mesh import Mesh
from fvqp.typing import Floats
from fvqp.units import to_float

#: Part of its extent by which a table, or an earlier run, may end before the mesh does: half a coarse cell.
MARGIN = 0.05

#: Numbers of a table that are larger are slips, and leave no room for a unit.
MAX_NUMBER = 1e100


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
    table = np.array(_rows(profile.table, f"{where}.table: {profile.table.name}"))
    position = table[:, 0] * to_float(f"1 {profile.length_unit}", "m")
    x = mesh.centroid[:, "xyz".index(profile.axis)]
    margin = MARGIN * float(np.ptp(x))
    if x.min() < position[0] - margin or x.max() > position[-1] + margin:
        raise CaseError(
            f"{where}.table: {profile.table.name} covers {position[0]:.4g} to {position[-1]:.4g} m, the mesh "
            f"reaches from {x.min():.4g} to {x.max():.4g} m along {profile.axis}"
        )
    return np.interp(x, position, table[:, 1] * profile.rate)


def _rows(path: Path, where: str) -> list[tuple[float, float]]:
    """Positions, which increase, and rates of a table in its own units."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(f"{where}: cannot be read as text: {error}") from None
    rows: list[tuple[float, float]] = []
    for number, line in enumerate(lines, start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        at = f"{where}: line {number}"
        try:
            position, rate = (float(word) for word in text.split("," if path.suffix == ".csv" else None))
        except ValueError:
            raise CaseError(f"{at}: expected two numbers, position and rate, got {shown(text)}") from None
        if not (abs(position) < MAX_NUMBER and 0.0 <= rate < MAX_NUMBER):
            raise CaseError(
                f"{at}: expected a finite position, and a finite rate that is not negative, got {shown(text)}"
            )
        if rows and position <= rows[-1][0]:
            raise CaseError(f"{at}: positions must increase")
        rows.append((position, rate))
    if len(rows) < 2:
        raise CaseError(f"{where}: expected two or more rows of two columns, position and rate")
    return rows


def _from_results(case: LocalizedCase, wanted: Earlier, mesh: Mesh, where: str) -> Floats:
    per_spin = None if case.material is None else case.material.density_of_states
    earlier = EarlierRates(wanted, per_spin, where)
    values, point = earlier.rates(), earlier.dataset
    if "x" not in point.coords:
        raise CaseError(
            f"{where}.folder: the results know no places x, y, z of their cells, as those of shells"
        )
    there = np.column_stack(
        [point[axis].values if axis in point.coords else np.zeros(len(values)) for axis in "xyz"]
    )
    tree = cKDTree(there)
    # A mesh in a larger unit or another place would take the values of an end of the device, without a word.
    apart = float(tree.query(there, k=2)[0][:, 1].max()) if len(there) > 1 else np.inf
    for k, axis in enumerate("xyz"):
        low, high = there[:, k].min(), there[:, k].max()
        margin = MARGIN * (high - low) + apart
        reach = mesh.centroid[:, k].min(), mesh.centroid[:, k].max()
        if high > low and (reach[0] < low - margin or reach[1] > high + margin):
            raise CaseError(
                f"{where}.folder: the cells of the results lie between {low:.4g} and {high:.4g} m along "
                f"{axis}, those of the mesh between {reach[0]:.4g} and {reach[1]:.4g} m; both need one place "
                "and unit"
            )
    _, nearest = tree.query(mesh.centroid)
    return np.asarray(values[nearest], dtype=np.float64)
