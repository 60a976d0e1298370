"""Checkpoints and ParaView files do not depend on the number of ranks."""

import resource
import shutil
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from mpi4py import MPI

from fvqp.errors import CheckpointError, FvqpError
from fvqp.mesh import shape_mesh
from fvqp.results import Checkpoint, FieldSeries, ResultsFolder, SweepDataset, rows
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


@pytest.fixture(params=["together", "parts"])
def way(request, monkeypatch):
    """How several ranks write: one file by PETSc, or a file a rank."""
    if request.param == "together" and not module.parallel_hdf5(COMM):
        pytest.skip("PETSc has no parallel HDF5")
    if request.param == "parts":
        monkeypatch.setattr(module, "parallel_hdf5", lambda comm: False)
    # Blocks and pieces that are much smaller than the arrays.
    monkeypatch.setattr(rows, "BLOCK_BYTES", 8 * 33 * 2)
    monkeypatch.setattr(module, "CHUNK_BYTES", 8 * 7 * 13)
    return request.param


def checkpoint_of(mesh):
    """Arrays of all ranks, with ghosts, and numbers."""
    numbers = mesh.global_id
    arrays = {
        "f": state(mesh),
        "deep": numbers[:, None, None] + np.arange(6).reshape(2, 3) / 8,
        "gap": numbers * 1.5,
        "thin": numbers[:, None] * 2.5,
    }
    return Checkpoint(np.array([True, False]), arrays, {"I": np.array([2.0]), "t": np.array(3.0)})


def assert_same(found, given):
    np.testing.assert_array_equal(found.completed, given.completed)
    assert set(found.arrays) == set(given.arrays)
    for name, array in given.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, err_msg=name)
    for name, value in given.numbers.items():
        np.testing.assert_array_equal(found.numbers[name], value, err_msg=name)


@pytest.mark.parametrize(
    ("writers", "readers"),
    [
        pytest.param(*pair, marks=pytest.mark.ranks(max(pair)))
        for pair in ((1, 1), (1, 2), (1, 4), (2, 1), (2, 4), (4, 2), (4, 4))
    ],
)
def test_checkpoint_is_the_same_on_any_number_of_ranks(shared, way, writers, readers):
    if max(writers, readers) > COMM.size:
        pytest.skip("needs more ranks")
    make_film()  # what loads at the first mesh speaks with all ranks
    for ranks, write in ((writers, True), (readers, False)):
        group = COMM.Split(0 if COMM.rank < ranks else MPI.UNDEFINED)
        if group != MPI.COMM_NULL:
            film = make_film(group)
            given = checkpoint_of(film)
            if write:
                write_checkpoint(shared / "a.h5", film, CASE, given)
            else:
                assert_same(read_checkpoint(shared / "a.h5", film, CASE), given)
            group.Free()
        COMM.barrier()
    if COMM.rank == 0:
        several_files = way == "parts" and writers > 1
        assert len(list((shared / "a.parts").glob("*"))) == (writers if several_files else 0)
        with h5py.File(shared / "a.h5") as file:
            assert all(array.is_virtual == several_files for array in file["arrays"].values())
            np.testing.assert_array_equal(file["arrays/f"][()], np.arange(200)[:, None] + np.arange(7) / 8)


class Counted:
    """A communicator that counts the bytes which a rank sends to one other and receives in one call."""

    def __init__(self, comm):
        self.comm, self.most, self.total = comm, 0, 0

    def __getattr__(self, name):
        if name in ("gather", "Gather", "Gatherv", "Allgather", "Allgatherv", "Bcast", "Send", "send"):
            raise AssertionError(f"{name}: no rank needs the cells of others")
        return getattr(self.comm, name)

    def Alltoallv(self, sent, received):
        self.most = max(self.most, received[0].nbytes)
        self.total += received[0].nbytes
        return self.comm.Alltoallv(sent, received)


def test_no_rank_holds_more_than_its_share(shared, way, monkeypatch):
    film = make_film(nx=200)
    given = Checkpoint(np.array(True), {"f": np.repeat(film.global_id[:, None] * 1.0, 50, axis=1)})
    counted = []

    def order(comm, *arguments):
        counted.append(Counted(comm))
        return rows.FileOrder(counted[-1], *arguments)

    monkeypatch.setattr(module, "FileOrder", order)
    write_checkpoint(shared / "a.h5", film, CASE, given)
    found = read_checkpoint(shared / "a.h5", film, CASE)
    np.testing.assert_array_equal(found.arrays["f"], given.arrays["f"])
    # A range of cells, or owned cells and ghosts; the numbers of the cells are few beside the 50 energies.
    share = max(-(-film.n_global // COMM.size), film.n_cells)
    for comm in counted:
        assert comm.total <= 1.1 * share * 8 * 50
        assert comm.most <= max(rows.BLOCK_BYTES, 1.1 * share * 8)


def test_interrupted_writing_leaves_the_earlier_checkpoint(shared, way, monkeypatch):
    film = make_film()
    given = checkpoint_of(film)
    write_checkpoint(shared / "a.h5", film, CASE, given)
    later = checkpoint_of(film)
    later.arrays["f"] += 1.0

    def killed(*_, **__):
        raise FvqpError("killed")

    for name in ("take_place", "replacing"):
        with monkeypatch.context() as patch:
            patch.setattr(module, name, killed)
            if (name == "take_place") == (way == "together" and COMM.size > 1):
                with pytest.raises(FvqpError, match="killed"):
                    write_checkpoint(shared / "a.h5", film, CASE, later)
    COMM.barrier()
    assert_same(read_checkpoint(shared / "a.h5", film, CASE), given)
    write_checkpoint(shared / "a.h5", film, CASE, later)
    assert_same(read_checkpoint(shared / "a.h5", film, CASE), later)
    COMM.barrier()
    if COMM.rank == 0:
        parts = COMM.size if way == "parts" and COMM.size > 1 else 0
        assert len([path for path in shared.rglob("*") if path.is_file()]) == 1 + parts


def test_checkpoint_of_another_mesh_or_case(shared, way):
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


@pytest.mark.parametrize("damage", ["gone", "cut", "foreign"])
def test_damaged_part(shared, monkeypatch, damage):
    if COMM.size == 1:
        pytest.skip("parts are of several ranks")
    monkeypatch.setattr(module, "parallel_hdf5", lambda comm: False)
    film = make_film()
    write_checkpoint(shared / "a.h5", film, CASE, checkpoint_of(film))
    if COMM.rank == 0:
        part = sorted((shared / "a.parts").iterdir())[-1]
        if damage == "gone":
            part.unlink()
        elif damage == "cut":
            part.write_bytes(part.read_bytes()[:3000])
        else:
            h5py.File(part, "w").close()
    COMM.barrier()
    with pytest.raises(CheckpointError, match="damaged"):
        read_checkpoint(shared / "a.h5", film, CASE)


def test_mesh_hash_knows_meshes_not_ranks():
    assert mesh_hash(make_film()) == mesh_hash(make_film(MPI.COMM_SELF))
    assert mesh_hash(make_film()) != mesh_hash(make_film(nx=21))


def test_failure_to_write_reaches_all_ranks(shared, way):
    film = make_film()
    if COMM.rank == 0:
        (shared / "file").touch()
    COMM.barrier()
    with pytest.raises(FvqpError, match="cannot (be written|make the folder)"):
        write_checkpoint(shared / "file" / "a.h5", film, CASE, checkpoint_of(film))


def test_full_disk(shared, way):
    film = make_film()
    given = checkpoint_of(film)
    write_checkpoint(shared / "a.h5", film, CASE, given)
    larger = checkpoint_of(film)
    larger.arrays["f"] = np.ones((film.n_cells, 2000))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, before[1]))
    try:
        with pytest.raises(FvqpError, match="the disk is full"):
            write_checkpoint(shared / "a.h5", film, CASE, larger)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert_same(read_checkpoint(shared / "a.h5", film, CASE), given)


@pytest.mark.ranks(1, 2)
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


@pytest.mark.ranks(1, 2)
def test_shells_become_a_cylinder_as_high_as_wide(shared):
    chain = shape_mesh("cylindrical1d", dx=[1e-6] * 6, origin=(0.0,), comm=COMM)
    FieldSeries(shared, label="time (ns)").write(chain, 0.0, {"gap": np.full(chain.n_cells, 1e-4)})
    COMM.barrier()
    import pyvista  # here, because it takes a second

    grid = pyvista.read(shared / "fields" / ("fields_00000." + ("vtu" if COMM.size == 1 else "pvtu")))
    assert grid.bounds == pytest.approx((-6.0, 6.0, -6.0, 6.0, -6.0, 6.0))
    sizes = np.bincount(grid.cell_data["cell"], grid.compute_cell_sizes().cell_data["Volume"])
    exact = 0.75 * 12.0 * np.pi * np.diff(np.arange(7.0) ** 2)
    np.testing.assert_allclose(sizes, exact, rtol=0.02)


def test_earlier_formats_are_refused(shared):
    """They have no seal, so that nobody knows whether they are whole."""
    film = make_film()
    path, geometry = shared / "checkpoint.h5", mesh_hash(film)
    if COMM.rank == 0:
        with h5py.File(path, "w") as file:
            file.attrs.update(format_version=2, case_hash=CASE, mesh_hash=geometry, n_cells=film.n_global)
            file["completed"] = np.ones(2, dtype=np.int8)
            file["arrays/gap"] = np.ones(film.n_global)
    COMM.barrier()
    with pytest.raises(CheckpointError, match=r"an earlier version of fvqp, which only that version resumes"):
        read_checkpoint(path, film, CASE)


def test_a_flipped_bit_of_an_array(shared, way):
    film = make_film()
    write_checkpoint(shared / "a.h5", film, CASE, checkpoint_of(film))
    if COMM.rank == 0:
        files = sorted((shared / "a.parts").glob("*")) or [shared / "a.h5"]
        content = bytearray(files[-1].read_bytes())
        # The number 199 * 1.5 of the last cell's gap.
        content[content.rindex(np.float64(199 * 1.5).tobytes()) + 6] ^= 16
        files[-1].write_bytes(content)
    COMM.barrier()
    with pytest.raises(CheckpointError, match="damaged: its content is not what was written"):
        read_checkpoint(shared / "a.h5", film, CASE)


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
