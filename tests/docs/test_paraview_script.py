"""The script for ParaView calls what ParaView has, for the fields of a run; ParaView itself is not needed."""

from __future__ import annotations

import runpy
import sys
import types
from pathlib import Path
from unittest.mock import MagicMock

import numpy as np
import pytest
from mpi4py import MPI

from fvqp.mesh import shape_mesh
from fvqp.results import FieldSeries

SCRIPT = Path(__file__).parents[2] / "docs" / "paraview" / "show.py"
#: Of ``paraview.simple`` in versions 5.10 to 6.0.
CALLS = (
    "AnnotateTimeFilter ColorBy GetActiveViewOrCreate GetAnimationScene GetColorTransferFunction "
    "GetScalarBar PVDReader Render ResetCamera SaveAnimation SaveScreenshot SaveState Show Slice Transform"
).split()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with a field, and ParaView's module in name only."""
    film = shape_mesh("grid2d", nx=2, ny=2, Lx=1e-6, Ly=1e-6, comm=MPI.COMM_SELF)
    FieldSeries(tmp_path, label="time (ns)").write(film, 0.0, {"gap": np.ones(film.n_cells)})
    simple = MagicMock(spec=CALLS)
    simple.PVDReader.return_value.CellData.keys.return_value = ["gap (ueV)", "cell", "region"]
    package = types.ModuleType("paraview")
    package.simple = simple
    monkeypatch.setitem(sys.modules, "paraview", package)
    monkeypatch.setitem(sys.modules, "paraview.simple", simple)

    def call(*arguments: str) -> MagicMock:
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *arguments])
        runpy.run_path(str(SCRIPT), run_name="__main__")
        return simple

    return tmp_path, call


def test_field_slice_state_and_pictures(run):
    folder, call = run
    more = ["--log", "--slice", "z=-5", "--stretch", "z=10", "--state", "a.pvsm", "--picture", "a.png"]
    simple = call(str(folder), "gap", *more, "--film", "a.avi")
    simple.PVDReader.assert_called_once_with(FileName=str(folder / "fields.pvd"))
    assert simple.ColorBy.call_args.args[1] == ("CELLS", "gap (ueV)")
    assert simple.Slice.return_value.SliceType.Origin == [0.0, 0.0, -50.0]
    assert simple.GetColorTransferFunction.return_value.UseLogScale == 1
    assert simple.AnnotateTimeFilter.return_value.Format == "time (ns): {time:.6g}"
    assert simple.SaveState.call_args.args == ("a.pvsm",)
    assert simple.SaveAnimation.call_args.args[0] == "a.avi" and simple.SaveScreenshot.called


def test_names_are_listed(run):
    folder, call = run
    with pytest.raises(SystemExit, match=r"gap \(ueV\)$"):
        call(str(folder))
    with pytest.raises(SystemExit, match="name one of its series of fields: none"):
        call(str(folder / "fields"), "gap")
