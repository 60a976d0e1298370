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
from fvqp.results.fields import SUPERCONDUCTING

SCRIPT = Path(__file__).parents[2] / "docs" / "paraview" / "show.py"
#: Of ``paraview.simple`` in versions 5.10 to 6.0.
CALLS = (
    "AnnotateTimeFilter ColorBy GetActiveViewOrCreate GetAnimationScene GetColorTransferFunction "
    "GetScalarBar PVDReader Render ResetCamera SaveAnimation SaveScreenshot SaveState Show Slice Threshold "
    "Transform"
).split()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run with a field, and ParaView's module in name only."""
    film = shape_mesh("grid2d", nx=2, ny=2, Lx=1e-6, Ly=1e-6, comm=MPI.COMM_SELF)
    FieldSeries(tmp_path, label="time (ns)").write(film, 0.0, {"gap": np.ones(film.n_cells)})
    simple = MagicMock(spec=CALLS)
    data = simple.PVDReader.return_value.CellData
    data.keys.return_value = ["gap (ueV)", "n_qp_cell (um-3)", "energy_ph (J m-3)", "cell", "region"]
    data.__getitem__.return_value.GetRange.return_value = (0.0, 180.0)
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
    with pytest.raises(SystemExit, match=r"gap \(ueV\), n_qp_cell \(um-3\), energy_ph \(J m-3\)$"):
        call(str(folder))
    with pytest.raises(SystemExit, match="name one of its series of fields: none"):
        call(str(folder / "fields"), "gap")


@pytest.mark.parametrize(
    ("field", "gap", "parts"), [("n_qp_cell", 180.0, 2), ("n_qp_cell", 0.0, 0), ("energy_ph", 180.0, 0)]
)
def test_cells_without_a_gap_have_no_colour(run, field, gap, parts):
    """Of a normal device, and of phonons, all have one."""
    folder, call = run
    assert f"SUPERCONDUCTING = {SUPERCONDUCTING}".replace("'", '"') in SCRIPT.read_text()
    simple = sys.modules["paraview"].simple
    simple.PVDReader.return_value.CellData.__getitem__.return_value.GetRange.return_value = (0.0, gap)
    simple.Threshold.side_effect = lambda **given: (given["LowerThreshold"], given["UpperThreshold"])
    call(str(folder), field)
    shown = [one.args[0] for one in simple.Show.call_args_list if isinstance(one.args[0], tuple)]
    assert len(shown) == parts == simple.Threshold.call_count
    if parts:
        (_, normal), (superconducting, largest) = shown
        assert normal == 0.0 < superconducting < 1e-9 and largest > 1e9
        assert simple.Threshold.call_args.kwargs["Scalars"] == ("CELLS", "gap (ueV)")
        assert [one.args[1] for one in simple.ColorBy.call_args_list] == [None, ("CELLS", "n_qp_cell (um-3)")]
