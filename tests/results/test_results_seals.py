"""Seals of files: damage is found before anything is read, and kills never part a file from its seal."""

import errno
import hashlib
import logging
import os
import shutil
import signal
import sys
from functools import partial

import h5py
import netCDF4
import numpy as np
import pytest
from run_cases import LINE, as_file

import fvqp
from fvqp import cli
from fvqp.errors import CheckpointError, FvqpError
from fvqp.results import Checkpoint, ResultsFolder, SweepDataset, open_result
from fvqp.results.checkpoint import read_checkpoint
from fvqp.results.files import intact, replacing, require_intact, seal

HASH = "ab" * 32
FILES = ["case.toml", "checkpoint.h5", "results.nc", "run.log"]


def test_seal_is_the_sha256_of_what_is_before(tmp_path):
    path = tmp_path / "a"
    for content in (b"", b"some bytes", bytes(3 << 20)):
        path.write_bytes(content)
        assert not intact(path)
        seal(path)
        sealed = path.read_bytes()
        end = f"\nfvqp sha256 {hashlib.sha256(content).hexdigest()}\n".encode()
        assert sealed == content + end and intact(path)


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(range(5)))
    seal(path)
    whole = path.read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << at % 8
        path.write_bytes(damaged)
        if 5 <= at < 5 + len("\nfvqp sha256 "):  # no seal any more
            with pytest.raises(CheckpointError, match="does not end with the SHA-256"):
                require_intact(path)
        else:
            with pytest.raises(CheckpointError, match="damaged: its content is not what was written"):
                intact(path)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seals")
    fvqp.run(as_file(LINE, folder / "case.toml"), out=folder / "out")
    return folder


@pytest.fixture
def restored(finished):
    """The folder of a finished run, which is put right again afterwards."""
    kept = {path: path.read_bytes() for path in finished.rglob("*") if path.is_file()}
    yield finished
    for path, content in kept.items():
        path.write_bytes(content)


def resumed(folder, capsys):
    """Exit code and message."""
    code = cli.main(["run", str(folder / "case.toml"), "--out", str(folder / "out"), "--resume", "-q"])
    return code, capsys.readouterr().err


def flipped(path, name, index):
    """Flip a bit of the exponent of a number, as large an error as one bit makes."""
    with h5py.File(path) as file:
        at = file[name].id.get_offset() + 8 * index + 6
    with path.open("rb+") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 16]))


@pytest.mark.parametrize(("file", "name"), [("results.nc", "I_inj"), ("checkpoint.h5", "arrays/gap")])
def test_a_flipped_bit_of_a_number_is_refused(restored, capsys, file, name):
    path = restored / "out" / file
    flipped(path, name, 1)
    before = path.read_bytes()
    code, said = resumed(restored, capsys)
    assert code == 2 and said.count("\n") == 1
    assert f"{path}: damaged: its content is not what was written (SHA-256 differs)" in said
    assert "remove its folder" in said
    assert path.read_bytes() == before
    if file == "results.nc":
        assert cli.main(["plot", str(restored / "out"), "--kind", "g_nl", "-q"]) == 2
        assert "damaged: its content is not what was written" in capsys.readouterr().err


def test_hdf5_does_not_open_a_damaged_checkpoint(restored, capsys, monkeypatch):
    """It may loop in one, and no signal but SIGKILL ends it."""
    path = restored / "out" / "checkpoint.h5"
    content = path.read_bytes()
    path.write_bytes(content[:2193] + content[2257:2321] + content[2193:2257] + content[2321:])

    def opened(*_, **__):
        raise AssertionError("opened")

    monkeypatch.setattr(h5py, "File", opened)
    code, said = resumed(restored, capsys)
    assert code == 2 and "checkpoint.h5: damaged: " in said


@pytest.mark.parametrize("file", ["results.nc", "checkpoint.h5"])
def test_files_of_earlier_versions_are_read_but_not_resumed(restored, capsys, file):
    path = restored / "out" / file
    values = open_result(restored / "out").dataset["I_inj"].values
    path.write_bytes(path.read_bytes()[: -len("\nfvqp sha256 \n") - 64])
    code, said = resumed(restored, capsys)
    assert code == 2 and said.count("\n") == 1
    assert f"{path}: does not end with the SHA-256 of its content" in said
    assert "an earlier version of fvqp, which only that version resumes" in said
    np.testing.assert_array_equal(open_result(restored / "out").dataset["I_inj"].values, values)


def test_other_programs_read_sealed_files(finished):
    values = open_result(finished / "out").dataset["I_inj"].values
    with netCDF4.Dataset(finished / "out" / "results.nc") as file:
        assert file.data_model == "NETCDF4"
        np.testing.assert_array_equal(file["I_inj"][()], values)
    for name in ("results.nc", "checkpoint.h5"):
        assert intact(finished / "out" / name)
    with h5py.File(finished / "out" / "checkpoint.h5") as file:
        assert file["arrays/gap"].shape == (40,)


@pytest.mark.parametrize("damage", [slice(0, 3000), slice(50, None), slice(0, 0)])
def test_results_without_a_seal_that_are_damaged(restored, capsys, damage):
    path = restored / "out" / "results.nc"
    path.write_bytes(path.read_bytes()[: -len("\nfvqp sha256 \n") - 64][damage])
    assert cli.main(["plot", str(restored / "out"), "--kind", "g_nl", "-q"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and f"{path}: damaged or not a results file" in said


def test_unexpected_errors_of_the_libraries_are_damage(restored, monkeypatch):
    def raising(*_, **__):
        raise AttributeError("NetCDF: Can't open HDF5 attribute")

    monkeypatch.setattr("xarray.open_dataset", raising)
    with pytest.raises(CheckpointError, match="damaged or not a results file .*HDF5 attribute"):
        open_result(restored / "out")


def test_a_damaged_list_of_figures(restored):
    result = open_result(restored / "out")
    for text in ("[{", '[{"kind": "g_nl", "ofset": 1}]', "[1]"):
        result.dataset.attrs["figures"] = text
        with pytest.raises(CheckpointError, match="out: attribute figures is damaged"):
            result.save_figures()


def test_what_a_killed_run_was_writing_is_removed(tmp_path, film):
    saved(tmp_path / "out", film, 0)
    (tmp_path / "out" / "fields").mkdir()
    left = [tmp_path / "out" / name for name in (".results.nc.part", "fields/.fields_00002_0.vtu.part")]
    for file in left:
        file.write_text("half")
    saved(tmp_path / "out", film, 1)
    assert not any(file.exists() for file in left)


# -- disks
# --------------------------------------------------------------------------------------------------


def test_netcdf_calls_a_full_disk_a_lack_of_permission(tmp_path, monkeypatch):
    path = tmp_path / "results.nc"
    denied = PermissionError(errno.EACCES, "Permission denied")
    with pytest.raises(FvqpError, match=r"results\.nc: cannot be written: Permission denied"):
        with replacing(path):
            raise denied

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.TemporaryFile", full)
    with pytest.raises(FvqpError, match=r"results\.nc: the disk is full; what was written before is intact"):
        with replacing(path):
            raise denied


def test_a_full_disk_under_the_log(tmp_path, film, sweep):
    """Closing it writes what the disk did not take before."""
    folder = ResultsFolder(tmp_path / "out", "", HASH, comm=film.comm)
    (folder.path / "run.log").symlink_to("/dev/full")
    with folder:
        folder.start(sweep, film)
    logging.getLogger("fvqp").info("the log is closed")


def test_a_log_that_cannot_be_opened(tmp_path, film):
    folder = ResultsFolder(tmp_path / "out", "", HASH, comm=film.comm)
    (folder.path / "run.log").mkdir()
    with pytest.raises(FvqpError, match=r"run\.log: cannot be written: Is a directory"), folder:
        pass


# -- kills at every line of the writing
# --------------------------------------------------------------------------------------------------


def saved(path, film, point, kill_at=0):
    """Resume in ``path``, compute a point and save it; with ``kill_at``, until that line of the writing."""
    sweep = SweepDataset({"V_inj": np.arange(4.0)})
    with ResultsFolder(path, "", HASH, comm=film.comm, resume=True) as folder:
        folder.start(sweep, film)
        sweep.record((point,), I_det=point + 0.5)
        checkpoint = Checkpoint(sweep.completed, {"f": np.full(film.n_cells, float(point))})
        if kill_at:
            sys.settrace(killing(kill_at))
        folder.save(film, checkpoint, force=True)
        sys.settrace(None)


def killing(number):
    """Trace function that kills this process at that line of the modules that write."""
    left = number

    def line(frame, event, _):
        nonlocal left
        left -= event == "line"
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return line

    modules = ("fvqp.results.files", "fvqp.results.checkpoint")
    return lambda frame, *_: line if frame.f_globals.get("__name__") in modules else None


def killed(work):
    """True if ``work`` kills its process, False if it comes to its end."""
    child = os.fork()
    if child == 0:
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -signal.SIGKILL)
    return code != 0


@pytest.mark.parametrize("stride", [80, pytest.param(1, marks=pytest.mark.slow)])
def test_kills_at_every_line_of_the_writing(tmp_path, film, stride):
    path, first = tmp_path / "out", tmp_path / "first"
    saved(first, film, 0)
    number, replaced = 1, []
    while True:
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(first, path)
        if not killed(partial(saved, path, film, 1, kill_at=number)):
            break
        state, found = read_checkpoint(path / "checkpoint.h5", film, HASH), open_result(path).dataset
        known, written = int(state.completed.sum()), int(found["completed"].sum())
        # Both files are whole, and the results never behind the checkpoint.
        assert 1 <= known <= written <= 2
        np.testing.assert_array_equal(state.arrays["f"], known - 1.0)
        np.testing.assert_array_equal(found["I_det"].values[:written], np.arange(written) + 0.5)
        replaced.append((known, written))
        saved(path, film, 2)  # resumed, it leaves nothing of what was interrupted
        assert sorted(file.name for file in path.iterdir()) == FILES
        number += stride
    assert number > 100 and replaced == sorted(replaced)
    assert {(1, 1), (1, 2)} <= set(replaced)
    if stride == 1:
        assert set(replaced) == {(1, 1), (1, 2), (2, 2)}
