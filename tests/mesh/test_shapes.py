"""Built-in shapes: names by boxes, every way to give the steps, and messages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import MeshError
from fvqp.mesh import shape_mesh

SELF = MPI.COMM_SELF


def test_three_ways_to_give_steps() -> None:
    for steps in ({"dx": 0.5, "nx": 4}, {"nx": 4, "Lx": 2.0}, {"dx": 0.5, "Lx": 2.0}, {"dx": [0.5] * 4}):
        mesh = shape_mesh("grid1d", **steps, comm=SELF)  # type: ignore[arg-type]
        assert mesh.volume == pytest.approx([0.5] * 4)
        assert mesh.centroid[:, 0] == pytest.approx([0.25, 0.75, 1.25, 1.75])


def test_named_points_and_intervals_on_a_line() -> None:
    mesh = shape_mesh(
        "grid1d",
        nx=110,
        Lx=11e-6,
        origin=(-5.5e-6,),
        regions={"junction": (-0.1e-6, 0.1e-6), "wire": None},
        boundaries={"middle": 0.0},
        comm=SELF,
    )
    assert mesh.volume[mesh.require_region("junction")].sum() == pytest.approx(0.2e-6)
    assert mesh.volume[mesh.require_region("wire")].sum() == pytest.approx(11e-6)
    assert mesh.region_names[mesh.cell_region[55]] == "junction"
    middle = mesh.require_boundary("middle")
    assert len(middle) == 1 and mesh.face_cells[middle[0]].tolist() == [54, 55]
    assert mesh.face_centroid[mesh.require_boundary("left"), 0] == pytest.approx([-5.5e-6])


def test_boxes_in_space() -> None:
    mesh = shape_mesh(
        "grid3d",
        nx=4,
        Lx=4.0,
        ny=2,
        Ly=2.0,
        nz=2,
        Lz=2.0,
        regions={"corner": [(0, 2), (0, 1), (1, 2)]},
        boundaries={"patch": [(0, 2), None, 2.0], "wall": [2.0]},
        comm=SELF,
    )
    assert mesh.volume[mesh.require_region("corner")].sum() == pytest.approx(2.0)
    assert mesh.face_area[mesh.require_boundary("patch")].sum() == pytest.approx(4.0)
    assert mesh.face_area[mesh.require_boundary("wall")].sum() == pytest.approx(4.0)
    assert set(mesh.boundaries) == {"left", "right", "bottom", "top", "front", "back", "patch", "wall"}
    for side, (axis, sign) in {"left": (0, -1), "top": (1, 1), "front": (2, -1)}.items():
        faces = mesh.require_boundary(side)
        assert np.all(mesh.face_normal[faces, axis] == sign)


def test_axis_of_revolution_is_no_boundary() -> None:
    assert set(shape_mesh("cylindrical2d", nx=2, Lx=1.0, ny=2, Ly=1.0, comm=SELF).boundaries) == {
        "right",
        "bottom",
        "top",
    }
    ring = shape_mesh("cylindrical1d", nx=2, Lx=1.0, origin=(1.0,), comm=SELF)
    assert set(ring.boundaries) == {"left", "right"}
    assert ring.volume.sum() == pytest.approx(np.pi * 3.0)


@pytest.mark.parametrize(
    ("words", "arguments"),
    [
        ("did you mean 'grid1d'", {"kind": "grid1", "nx": 2, "Lx": 1.0}),
        ("give two of dx, nx, Lx", {"kind": "grid1d", "nx": 2}),
        ("give two of dy, ny, Ly", {"kind": "grid2d", "nx": 2, "Lx": 1.0}),
        ("no y axis", {"kind": "grid1d", "nx": 2, "Lx": 1.0, "ny": 3}),
        ("must not be given", {"kind": "grid1d", "dx": [1.0, 2.0], "nx": 2}),
        ("positive", {"kind": "grid1d", "dx": [1.0, -2.0]}),
        ("positive", {"kind": "grid1d", "dx": -1.0, "nx": 2}),
        ("not a multiple", {"kind": "grid1d", "dx": 0.3, "Lx": 1.0}),
        ("positive count", {"kind": "grid1d", "nx": 0, "Lx": 1.0}),
        ("below zero", {"kind": "spherical1d", "nx": 2, "Lx": 1.0, "origin": (-1.0,)}),
        ("region 'far' holds no cell", {"kind": "grid1d", "nx": 2, "Lx": 1.0, "regions": {"far": (2, 3)}}),
        ("boundary 'p' holds no face", {"kind": "grid1d", "nx": 2, "Lx": 1.0, "boundaries": {"p": 0.3}}),
        ("outer side", {"kind": "grid1d", "nx": 2, "Lx": 1.0, "boundaries": {"left": 0.5}}),
        ("neither", {"kind": "grid1d", "nx": 2, "Lx": 1.0, "regions": {"r": (1, 0)}}),
    ],
)
def test_messages(words: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(MeshError) as caught:
        shape_mesh(**arguments, comm=SELF)
    assert words in str(caught.value)
