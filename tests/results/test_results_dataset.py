"""The dataset of a sweep, its files, and what is left of them after a failure."""

import resource
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr
from launching import HANGS

from fvqp.errors import CheckpointError, FvqpError
from fvqp.results import Ledger, SweepDataset, open_result
from fvqp.results.dataset import opened, read_dataset
from fvqp.results.files import replacing, write_text


def test_everything_has_units_and_a_meaning(sweep, tmp_path):
    sweep.write(tmp_path / "results.nc")
    with xr.open_dataset(tmp_path / "results.nc") as file:
        assert file["g_nl"].dims == ("supercurrent", "V_det", "V_inj")
        assert file.attrs["format_version"] == 1 and file.attrs["title"] == "test"
        for name, variable in file.variables.items():
            assert "units" in variable.attrs and "long_name" in variable.attrs, name
        assert file["V_inj"].attrs["units"] == "V" and file["g_nl"].attrs["units"] == "S"
        assert bool((file["completed"] == 1).all())


def test_points_not_computed_are_nan():
    data = SweepDataset({"V_inj": [0.0, 1e-3]}, {"energy": (("energy",), [1.0, 2.0, 3.0])})
    data.define("f_L", ("energy",))
    data.record((1,), f_L=[0.1, 0.2, 0.3], I_det=2e-12)
    np.testing.assert_array_equal(data.completed, [False, True])
    assert np.isnan(data.dataset["f_L"].values[0]).all()
    np.testing.assert_array_equal(data.dataset["f_L"].values[1], [0.1, 0.2, 0.3])
    assert data.dataset["f_L"].dims == ("V_inj", "energy")


def test_unknown_names_need_units():
    data = SweepDataset({"V_inj": [0.0]})
    with pytest.raises(KeyError, match="give them"):
        data.record((0,), strange=1.0)
    data.define("strange", units="K", long_name="something else")
    data.record((0,), strange=1.0)
    assert data.dataset["strange"].attrs == {"units": "K", "long_name": "something else"}


def test_single_computation_without_a_sweep(tmp_path):
    data = SweepDataset({}, {"cell": (("cell",), [0, 1])})
    data.define("gap", ("cell",))
    data.record((), gap=[1e-4, 2e-4])
    data.write(tmp_path / "results.nc")
    np.testing.assert_array_equal(read_dataset(tmp_path / "results.nc")["gap"], [1e-4, 2e-4])


def test_taking_over_loses_nothing(sweep):
    other = SweepDataset({name: sweep.dataset[name].values for name in sweep.sweep_dims})
    done = sweep.completed
    done[2:] = False
    other.take_over(sweep.dataset, done)
    np.testing.assert_array_equal(other.completed, done)
    np.testing.assert_array_equal(other.dataset["g_nl"], sweep.dataset["g_nl"])
    assert sweep.completed.all()
    shorter = SweepDataset({"supercurrent": [0.0], "V_det": [0.0], "V_inj": [0.0]})
    with pytest.raises(CheckpointError, match="sweep"):
        shorter.take_over(sweep.dataset, done)
    coarse = SweepDataset({"V_inj": [0.0, 1e-3]}, {"energy": (("energy",), [1.0, 2.0])})
    finer = SweepDataset({"V_inj": [0.0, 1e-3]}, {"energy": (("energy",), [1.0, 1.5, 2.0])})
    finer.define("f_L", ("energy",))
    with pytest.raises(CheckpointError, match="f_L has 3 values of energy, this program makes 2; choose"):
        coarse.take_over(finer.dataset, finer.completed)


def test_what_a_file_has_beside_is_there_when_it_is_gone(tmp_path):
    """Coordinates that only the earlier run had are read before."""
    earlier = SweepDataset({"V_inj": [0.0]}, {"x": (("cell",), [1.0, 2.0])})
    earlier.write(tmp_path / "results.nc")
    later = SweepDataset({"V_inj": [0.0]})
    with opened(tmp_path / "results.nc") as file:
        later.take_over(file, later.completed)
    (tmp_path / "results.nc").unlink()
    np.testing.assert_array_equal(later.dataset["x"].values, [1.0, 2.0])


def test_missing_and_damaged_files(sweep, tmp_path):
    with pytest.raises(CheckpointError, match=r"holds no results\.nc"):
        open_result(tmp_path)
    path = tmp_path / "results.nc"
    sweep.write(path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="damaged") as caught:
        open_result(tmp_path)
    assert "\n" not in str(caught.value)
    newer = sweep.dataset.assign_attrs(format_version=99)
    newer.to_netcdf(path)
    with pytest.raises(CheckpointError, match="version 99"):
        open_result(tmp_path)


def test_a_failed_write_leaves_the_earlier_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "first")
    with pytest.raises(FvqpError, match="disk is full"), replacing(path) as part:
        part.write_text("second")
        raise OSError(28, "No space left on device")
    with pytest.raises(KeyboardInterrupt), replacing(path) as part:
        part.write_text("third")
        raise KeyboardInterrupt
    assert path.read_text() == "first"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]
    with pytest.raises(FvqpError, match=r"cannot be written"):
        write_text(tmp_path / "none" / "a.txt", "x")


FULL = """
import resource, signal, sys
import numpy as np
from pathlib import Path
from fvqp.errors import FvqpError
from fvqp.results import SweepDataset
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
data = SweepDataset({"V_inj": [0.0, 1.0]}, {"energy": (("energy",), np.arange(200000.0))})
data.record((0,), I_det=1.0)
data.dataset = data.dataset.drop_vars("energy")
data.write(path)
data.set_coordinate("energy", ("energy",), np.arange(200000.0))
resource.setrlimit(resource.RLIMIT_FSIZE, (200000, 200000))
try:
    data.write(path)
except FvqpError as error:
    print(error)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="needs a limit on file sizes")
@pytest.mark.slow
def test_full_disk_while_writing_netcdf(tmp_path):
    path = tmp_path / "results.nc"
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    full = f"{path}: the disk is full, or a file reaches the limit of 200000 bytes (ulimit -f); "
    assert done.stdout.startswith(full) and done.stdout.count("\n") == 1
    assert read_dataset(path)["I_det"].values[0] == 1.0
    assert [entry.name for entry in tmp_path.iterdir()] == ["results.nc"]


def test_ledger_closes_or_warns(sweep, caplog):
    good = Ledger({"charge": (1e-9, 4e-10, 6e-10), "energy": (1e-12, 0.0, 1e-12)})
    assert good.closes() and good.relative("charge") < 1e-15
    bad = Ledger({"charge": (1e-9, 4e-10, 5e-10)})
    assert bad.residual("charge") == pytest.approx(1e-10) and bad.relative("charge") == pytest.approx(0.1)
    assert not Ledger({"charge": (float("nan"), 0.0, 0.0)}).closes()
    assert Ledger({"charge": (0.0, 0.0, 0.0)}).closes()
    with caplog.at_level("INFO", logger="fvqp"):
        good.log()
        assert not [record for record in caplog.records if record.levelname == "WARNING"]
        bad.log()
    assert "ledger of charge does not close" in caplog.text
    assert "injected" in bad.table() and "charge (A)" in bad.table()
    good.record(sweep, (0, 0, 0))
    bad.record(sweep, (1, 0, 3))
    worst = Ledger.of(sweep.dataset)
    assert worst.rows == bad.rows and worst.closes(0.11) and not worst.closes(0.09)
    with pytest.raises(KeyError, match="momentum"):
        Ledger({"momentum": (0.0, 0.0, 0.0)})


def test_ledger_of_a_sweep_is_that_of_one_point(caplog):
    """The point where the largest of all residuals is; flows of other points are the scale only."""
    data = SweepDataset({"supercurrent": [0.0, 1e-6], "V_inj": [0.0, 1e-4, 5e-4]})
    assert Ledger.of(data.dataset).rows == {}
    Ledger({"charge": (1e-9, 0.0, 1e-9), "energy": (1e-12, 0.0, 1e-12)}).record(data, (0, 2))
    small = {"charge": (1e-10, 0.0, 0.9e-10), "energy": (1e-14, 0.0, 0.9e-14)}
    Ledger(small).record(data, (1, 1))
    Ledger({"charge": (1e-13, 0.0, 0.0), "energy": (1e-17, 0.0, 0.0)}).record(data, (1, 2))
    worst = Ledger.of(data.dataset)
    assert worst.rows == small and worst.point == "supercurrent = 1e-06 A, V_inj = 0.0001 V"
    assert worst.relative("charge") == pytest.approx(1e-2) and worst.relative("energy") == pytest.approx(1e-3)
    with caplog.at_level("INFO", logger="fvqp"):
        worst.log()
    assert "ledger at supercurrent = 1e-06 A, V_inj = 0.0001 V, where" in caplog.text
    Ledger({"charge": (np.nan, 0.0, 0.0)}).record(data, (0, 0))
    assert not Ledger.of(data.dataset).closes() and "V_inj = 0 V" in Ledger.of(data.dataset).point
