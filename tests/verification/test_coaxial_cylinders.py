"""Injection into a superconductor between coaxial cylinders, against modified Bessel functions.

The metal's inner surface is a tunnel junction, its outer one a reservoir. With one gap everywhere f_L is
``A ln(b/r)`` beside equilibrium, and f_T, which relaxes, ``B [I0(κr) K0(κb) − K0(κr) I0(κb)]`` with
``κ² = R_T/(D_T ξ²)``, at every energy; A and B follow from the junction, ``G N (f_lead − f) = −σ D ∂f/∂r``
times its area.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from scipy import constants
from scipy.special import i0, i1, k0, k1
from transport_problems import gmsh_model

import fvqp
from fvqp.errors import CaseError
from fvqp.materials import load_material
from fvqp.spectral.usadel import bin_averages

ALUMINIUM = load_material("Al_ryan2026")
#: Metres; siemens and volt.
INNER, OUTER, HEIGHT = 0.2e-6, 0.8e-6, 0.3e-6
CONDUCTANCE, BIAS, BATH = 1.0, 0.5e-3, 0.3 * constants.k / constants.e
DEPAIRING, BROADENING = 0.05, 0.01
XI = float(np.sqrt(constants.hbar * ALUMINIUM.diffusivity / ALUMINIUM.gap))


def coaxial(mesh: dict[str, Any], inner: str, outer: str, **more: Any) -> dict[str, Any]:
    kelvin = {"temperature": "0.3 K"}
    return {
        "model": "usadel",
        "mesh": mesh,
        "material": {"name": "Al_ryan2026"},
        "junctions": [{"name": "core", "on": inner, "conductance": "1 S", "role": "injector", **kelvin}],
        "reservoirs": [{"on": [outer], **kelvin}],
        "spectrum": {"broadening": BROADENING, "depairing": DEPAIRING},
        "gap": {"model": "fixed", "value": "1 Delta0"},
        "energies": {"number": 80, "maximum": 4.0},
        "sweep": {"V_inj": ["0 V", "0.5 mV"]},
        "output": {"stored": ["f_L", "f_T"]},
        **more,
    }


def in_triangles(path: Path, size: float) -> dict[str, Any]:
    """A mesh file of radius and height in micrometres."""
    radii = {"core": INNER * 1e6, "shell": OUTER * 1e6}
    with gmsh_model(2, size, path) as gmsh:
        occ = gmsh.model.occ
        tag = occ.addRectangle(radii["core"], 0, 0, radii["shell"] - radii["core"], HEIGHT * 1e6)
        occ.synchronize()
        gmsh.model.addPhysicalGroup(2, [tag], name="metal")
        at = {tag: occ.getCenterOfMass(1, tag)[0] for _, tag in gmsh.model.getEntities(1)}
        for name, radius in radii.items():
            gmsh.model.addPhysicalGroup(1, [t for t, r in at.items() if abs(r - radius) < 1e-9], name=name)
    mesh = {"file": str(path), "length_unit": "um", "coordinates": "cylindrical"}
    return coaxial(mesh, "core", "shell")


def in_shells(size: float) -> dict[str, Any]:
    """A disc of cylindrical shells."""
    shape = {"kind": "cylindrical1d", "origin": ["0.2 um"], "dx": f"{size} um", "Lx": "0.6 um"}
    return coaxial({"shape": shape}, "left", "right", cross_section={"thickness": "0.3 um"})


def exactly(edges: np.ndarray, radius: np.ndarray) -> tuple[dict[str, np.ndarray], float]:
    """f_L and f_T ``(radius, energy)`` beside equilibrium, and the current; ``edges`` of energies in volt."""
    spectrum = bin_averages(edges * constants.e / ALUMINIUM.gap, 1.0, DEPAIRING, BROADENING)
    dos, along = spectrum.dos[0], spectrum.diffusion_T[0]
    kappa = np.sqrt(spectrum.relaxation_T[0] / along) / XI
    r = radius[:, None]
    of_t = i0(kappa * r) * k0(kappa * OUTER) - k0(kappa * r) * i0(kappa * OUTER)
    at_t = i0(kappa * INNER) * k0(kappa * OUTER) - k0(kappa * INNER) * i0(kappa * OUTER)
    slope_t = kappa * (i1(kappa * INNER) * k0(kappa * OUTER) + k1(kappa * INNER) * i0(kappa * OUTER))
    # Means over bins of the lead's distributions.
    node, weight = np.polynomial.legendre.leggauss(60)
    energy = 0.5 * (edges[:-1] + edges[1:])[:, None] + 0.5 * np.diff(edges)[:, None] * node
    up, down, rest = (0.5 * np.tanh((energy + v) / (2.0 * BATH)) @ weight for v in (BIAS, -BIAS, 0.0))
    lead_l, lead_t = 0.5 * (up + down) - rest, 0.5 * (up - down)
    metal = ALUMINIUM.conductivity * 2.0 * np.pi * INNER * HEIGHT
    tunnel = CONDUCTANCE * dos
    of_l = np.log(OUTER / r) * tunnel * lead_l
    of_l = of_l / (tunnel * np.log(OUTER / INNER) + metal * spectrum.diffusion_L[0] / INNER)
    share = tunnel * lead_t / (tunnel * at_t - metal * along * slope_t)
    current = np.sum(np.diff(edges) * tunnel * (lead_t - share * at_t))
    return {"f_L": of_l, "f_T": share * of_t}, float(current)


def errors(case: dict[str, Any]) -> np.ndarray:
    """Of f_L, f_T and the current, relative to their own size."""
    data: xr.Dataset = fvqp.run(case).dataset
    rest, biased = data.isel(V_inj=0), data.isel(V_inj=1)
    volume = data["cell_volume"].values
    assert volume.sum() == pytest.approx(np.pi * HEIGHT * (OUTER**2 - INNER**2), rel=1e-12)
    edges = [0.0]
    for middle in data["energy"].values:
        edges.append(2.0 * middle - edges[-1])
    expected, current = exactly(np.array(edges), data["x"].values)
    weight = volume[:, None] * np.diff(edges)
    off = [biased["I_inj"].item() / current - 1.0]
    for name, exact in expected.items():
        wrong = biased[name].values - rest[name].values - exact
        off.append(np.sqrt(np.sum(weight * wrong**2) / np.sum(weight * exact**2)))
    return np.abs(off)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["triangles", "shells"])
def test_second_order(tmp_path: Path, kind: str) -> None:
    """On a mesh file of radius and height, and in shells; nothing decays within less than ξ."""
    sizes = (0.03, 0.015)
    cases = [
        in_triangles(tmp_path / f"{size}.msh", size) if kind == "triangles" else in_shells(size)
        for size in sizes
    ]
    off = np.array([errors(case) for case in cases])
    assert np.all(np.log2(off[0] / off[1]) > 1.8)
    assert np.all(off[1] < (sizes[1] * 1e-6 / XI) ** 2 / 12.0)


def test_bodies_of_revolution_are_whole(tmp_path: Path) -> None:
    """Shells of a cylinder lack a thickness, meshes of radius and height and shells of a sphere nothing."""
    flat, disc = in_triangles(tmp_path / "coaxial.msh", 0.3), in_shells(0.3)
    ball = disc | {"mesh": {"shape": disc["mesh"]["shape"] | {"kind": "spherical1d"}}}
    for case, given, message in (
        (flat, {"thickness": "8 nm"}, "thickness: not used by a mesh of radius and height; remove it"),
        (disc, {}, "thickness: a mesh of cylindrical shells needs it"),
        (disc, {"thickness": "8 nm", "width": "8 nm"}, "width: not used by a mesh of cylindrical shells"),
        (ball, {"thickness": "8 nm"}, "thickness: not used by a mesh of spherical shells"),
    ):
        with pytest.raises(CaseError, match=f"cross_section.{message}"):
            fvqp.run(case | {"cross_section": given})
