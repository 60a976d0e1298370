"""Checkpoints and ParaView files do not depend on the number of ranks."""

import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import CheckpointError, FvqpError
from fvqp.mesh import shape_mesh
from fvqp.results import Checkpoint, FieldSeries, ResultsFolder, SweepDataset
from fvqp.results import checkpoint as module
from fvqp.results.checkpoint import mesh_hash, read_checkpoint, write_checkpoint

COMM = MPI.COMM_WORLD
CASE = "ef" * 32


@pytest.fixture
def shared():
    """One folder that all ranks see."""
    path = COMM.bcast(tempfile.mkdtemp(prefix="fvqp-test-") if COMM.rank == 0 else None, root=0)
    yield Path(path)
    COMM.barrier()
    if COMM.rank == 0:
        shutil.rmtree(path)


def make_film(comm=COMM, nx=20):
    return shape_mesh("grid2d", nx=nx, ny=10, Lx=2e-6, Ly=1e-6, comm=comm)


def state(mesh):
    """A field that tells every cell and energy apart, made from the cell's number."""
    return mesh.global_id[:, None] + np.arange(7) / 8


def test_checkpoint_of_all_ranks_is_that_of_one(shared, monkeypatch):
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 7 * 33)
    film = make_film()
    given = Checkpoint(
        np.array([True, False]), {"f": state(film), "gap": film.global_id * 1.5}, {"I": np.array([2.0])}
    )
    write_checkpoint(shared / "all.h5", film, CASE, given)
    if COMM.rank == 0:
        with h5py.File(shared / "all.h5") as file:
            np.testing.assert_array_equal(file["arrays/f"][()], np.arange(200)[:, None] + np.arange(7) / 8)
    read = read_checkpoint(shared / "all.h5", film, CASE)
    np.testing.assert_array_equal(read.arrays["f"], state(film))
    np.testing.assert_array_equal(read.arrays["gap"], film.global_id * 1.5)
    np.testing.assert_array_equal(read.completed, [True, False])
    np.testing.assert_array_equal(read.numbers["I"], [2.0])
    # On one rank, from what all ranks wrote: the same.
    alone = make_film(MPI.COMM_SELF)
    np.testing.assert_array_equal(read_checkpoint(shared / "all.h5", alone, CASE).arrays["f"], state(alone))


def test_checkpoint_of_another_mesh_or_case(shared):
    film = make_film()
    assert read_checkpoint(shared / "none.h5", film, CASE) is None
    write_checkpoint(shared / "a.h5", film, CASE, Checkpoint(np.array(True), {"f": state(film)}))
    with pytest.raises(CheckpointError, match="another mesh"):
        read_checkpoint(shared / "a.h5", make_film(nx=21), CASE)
    with pytest.raises(CheckpointError, match="another case"):
        read_checkpoint(shared / "a.h5", film, "00" * 32)
    COMM.barrier()
    if COMM.rank == 0:
        (shared / "a.h5").write_bytes((shared / "a.h5").read_bytes()[:2000])
    COMM.barrier()
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(shared / "a.h5", film, CASE)


def test_mesh_hash_knows_meshes_not_ranks():
    assert mesh_hash(make_film()) == mesh_hash(make_film(MPI.COMM_SELF))
    assert mesh_hash(make_film()) != mesh_hash(make_film(nx=21))


def test_failure_to_write_reaches_all_ranks(shared, monkeypatch):
    film = make_film()
    monkeypatch.setattr(module, "BLOCK_BYTES", 8 * 7 * 33)
    with pytest.raises(FvqpError, match="cannot be written"):
        write_checkpoint(shared / "none" / "a.h5", film, CASE, Checkpoint(np.array(True), {"f": state(film)}))


def test_paraview_files(shared):
    film = make_film()
    series = FieldSeries(shared)
    for time in (0.2, 0.1):
        series.write(film, time, {"gap": film.global_id * 1e-6 * time})
    COMM.barrier()
    import pyvista  # here, because it takes a second

    name = "fields_00001." + ("vtu" if COMM.size == 1 else "pvtu")
    grid = pyvista.read(shared / "fields" / name)
    assert grid.n_cells == 200
    np.testing.assert_allclose(grid.cell_data["gap (ueV)"], grid.cell_data["cell"] * 0.1, rtol=1e-12)
    np.testing.assert_array_equal(np.sort(grid.cell_data["cell"]), np.arange(200))
    assert grid.compute_cell_sizes().cell_data["Area"].sum() == pytest.approx(2.0)


def test_folder_on_all_ranks(shared):
    film = make_film()
    sweep = SweepDataset({"V_inj": [0.0, 1e-3]})
    if COMM.rank == 0:
        sweep.record((0,), I_det=1e-12)
    done = np.array([True, False])
    with ResultsFolder(shared / "out", "", CASE, resume=True) as folder:
        assert folder.start(sweep, film) is None
        assert folder.save(film, Checkpoint(done, {"f": state(film)}), force=True)
    with pytest.raises(CheckpointError, match="another case"):
        ResultsFolder(shared / "out", "", "00" * 32)
    again = SweepDataset({"V_inj": [0.0, 1e-3]})
    with ResultsFolder(shared / "out", "", CASE, resume=True) as folder:
        checkpoint = folder.start(again, film)
    np.testing.assert_array_equal(checkpoint.arrays["f"], state(film))
    np.testing.assert_array_equal(checkpoint.completed, done)
    if COMM.rank == 0:
        np.testing.assert_array_equal(again.dataset["I_det"], [1e-12, np.nan])
