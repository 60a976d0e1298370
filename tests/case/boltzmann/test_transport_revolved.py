"""Cases on meshes of radius and height."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
from case_keys import changed, put
from matplotlib.figure import Figure
from scipy import constants
from transport_cases import FILM, SPHERE

import fvqp
from fvqp.errors import CaseError
from fvqp.results.figures import FAMILIES
from fvqp.results.figures.common import FigureSpec


def cone(path: Path) -> dict[str, Any]:
    """A hot spot in a cone of four triangles, and phonons that fly out of it."""
    points = [[0, 0, 0], [2, 0, 0], [0, 4, 0], [1, 0, 0], [1, 2, 0], [0, 2, 0]]
    cells = [[0, 3, 5], [3, 1, 4], [3, 4, 5], [5, 4, 2]]
    meshio.Mesh(np.array(points, float), [("triangle", cells)]).write(path)
    data = copy.deepcopy(SPHERE)
    del data["body"]
    data["mesh"] = {"file": str(path), "length_unit": "um", "coordinates": "cylindrical"}
    data["evolution"]["end"] = "0.1 ns"
    for species in ("quasiparticles", "phonons"):
        data[species] |= {"azimuths": 6, "walls": {}}
    return data


def test_a_file_of_radius_and_height(tmp_path: Path) -> None:
    """Volumes of the full turn, and energy that is kept."""
    found = fvqp.run(cone(tmp_path / "cone.vtu")).dataset
    assert float(found["cell_volume"].sum()) == pytest.approx(np.pi * 2**2 * 4 / 3 * 1e-18, rel=1e-12)
    assert np.abs(found["energy_residual"]).max() < 1e-12 * found["energy_qp"].max()
    assert float(found["energy_ph"][-1]) > 2.0 * float(found["energy_ph"][0])


def test_the_energy_of_a_pulse(tmp_path: Path) -> None:
    """Of the full turn, whatever was there before."""
    stored = []
    for energy in ("0.1 MeV", "0.2 MeV"):
        data = changed(
            cone(tmp_path / "cone.vtu"),
            {
                "initial.pulses.0.peak": None,
                "initial.pulses.0.energy": energy,
                "gap": {"model": "fixed"},
                "evolution.end": "20 ps",
            },
        )
        found = fvqp.run(data).dataset
        stored.append(float((found["energy_qp"][0] + found["energy_ph"][0]) * found["cell_volume"].sum()))
    assert stored[1] - stored[0] == pytest.approx(1e5 * constants.e, rel=1e-9)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("phonons.quadrature", "product", "phonons.quadrature: is not used on a mesh of radius and height"),
        ("phonons.azimuths", 5, "phonons.azimuths: a body of revolution needs an even number of azimuths"),
    ],
)
def test_messages(tmp_path: Path, key: str, value: object, message: str) -> None:
    data = cone(tmp_path / "cone.vtu")
    put(data, key, value)
    with pytest.raises(CaseError, match=message):
        fvqp.run(data)


def test_a_shape_says_its_coordinates_itself(tmp_path: Path) -> None:
    data = cone(tmp_path / "cone.vtu")
    shape = {"kind": "cylindrical2d", "nx": 2, "Lx": "1 um", "ny": 2, "Ly": "1 um"}
    data["mesh"] = {"shape": shape, "coordinates": "cylindrical"}
    with pytest.raises(CaseError, match="coordinates: are not used with shape"):
        fvqp.run(data)


@pytest.mark.parametrize(
    ("kind", "labels"), [("spherical1d", ("r", None)), ("cylindrical2d", ("r", "z")), ("grid2d", ("x", "y"))]
)
def test_maps_name_their_axes(kind: str, labels: tuple[str, str | None]) -> None:
    """Positions in bodies of revolution are radius and height."""
    data = copy.deepcopy(FILM)
    shape = {"kind": kind, "nx": 4, "Lx": "4 um"} | ({} if kind == "spherical1d" else {"ny": 2, "Ly": "2 um"})
    data["mesh"]["shape"] = shape
    del data["regions"], data["injections"][0]["regions"], data["evolution"]
    data |= {"steady_state": {}, "collisions": {"inelastic": False}, "trapping": [{"rate": "1 MHz"}]}
    figure = Figure()
    FAMILIES["transport"]["map"](fvqp.run(data).dataset, FigureSpec(kind="map"), figure)
    axes = figure.axes[0]
    assert axes.get_xlabel() == f"${labels[0]}$ (µm)"
    assert labels[1] is None or axes.get_ylabel() == f"${labels[1]}$ (µm)"


@pytest.mark.parametrize("geometry", ["sphere", pytest.param("cylinder", marks=pytest.mark.slow)])
def test_a_body_is_a_mesh_of_shells(geometry: str) -> None:
    """The same results from a line in radius."""
    body = copy.deepcopy(SPHERE)
    body["body"]["geometry"] = geometry
    body["evolution"]["end"] = "20 ps"
    mesh = copy.deepcopy(body)
    radius, shells = mesh.pop("body")["radius"], body["body"]["shells"]
    kind = "spherical1d" if geometry == "sphere" else "cylindrical1d"
    mesh["mesh"] = {"shape": {"kind": kind, "nx": shells, "Lx": radius}}
    for species in ("quasiparticles", "phonons"):
        walls = mesh[species].get("walls", {})
        if "outer" in walls:
            walls["right"] = walls.pop("outer")
    expected = fvqp.run(body).dataset
    found = fvqp.run(mesh).dataset
    for name in ("energy_qp", "energy_ph", "energy_escaped", "n_qp"):
        assert found[name].values == pytest.approx(expected[name].values, rel=1e-11, abs=0.0)


def test_keys_of_directions_that_shells_have_no_use_for() -> None:
    data = copy.deepcopy(SPHERE)
    del data["body"]
    data["mesh"] = {"shape": {"kind": "spherical1d", "nx": 4, "Lx": "4 um"}}
    for species in ("quasiparticles", "phonons"):
        data[species]["walls"] = {}
    data["phonons"]["azimuths"] = 6
    with pytest.raises(CaseError, match="phonons.azimuths: is not used in the shells of a sphere"):
        fvqp.run(data)
