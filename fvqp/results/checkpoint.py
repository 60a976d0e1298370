"""Checkpoints: the state that a run goes on from, independent of the number of ranks.

``checkpoint.h5`` holds arrays ``[cell, ...]`` in the order of ``Mesh.global_id``, which sweep points are
complete, and the hashes of the case and the mesh that it belongs to. It ends with its seal
(`fvqp.results.files`) and is replaced as a whole, so that there always is a readable one. Every rank
writes and reads a range of the cells, none holds more than its share (`fvqp.results.rows`). Who writes
depends on what there is:

one rank
    h5py.
PETSc with parallel HDF5
    all ranks together, by PETSc, into a file that rank 0 has made and whose space is reserved.
otherwise
    a file a rank in the folder ``checkpoint.parts``; ``checkpoint.h5`` has virtual arrays that are found
    there.

All are read in the same way, by h5py.
"""

from __future__ import annotations

import hashlib
import secrets
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import h5py
import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from fvqp.errors import CheckpointError, FvqpError
from fvqp.mesh.mesh import Mesh
from fvqp.parallel import raise_first_error, run_on_root
from fvqp.petsc import PETSc
from fvqp.results.files import (
    discard,
    explained,
    flush,
    make_folder,
    part_of,
    replacing,
    require_intact,
    reserve,
    seal,
    take_place,
)
from fvqp.results.rows import FileOrder
from fvqp.typing import Bools, Floats, Ints

FORMAT_VERSION = 3
"""Version of the layout of ``checkpoint.h5``; attribute ``format_version`` of the file."""
CHUNK_BYTES = 1 << 24
"""Size of the pieces in which a file that several ranks write has its arrays."""
T = TypeVar("T")


Skeleton = Callable[[Path], AbstractContextManager[h5py.File]]


@dataclass
class Checkpoint:
    """State from which a run continues.

    Attributes
    ----------
    completed : bool array over the sweep: which points are done.
    arrays : name → ``[n_cells, ...]`` of this rank; ghost rows are filled on reading, ignored on writing.
    numbers : name → small arrays that are the same on all ranks.
    """

    completed: Bools
    arrays: dict[str, Floats] = field(default_factory=dict)
    numbers: dict[str, NDArray[Any]] = field(default_factory=dict)


def mesh_hash(mesh: Mesh) -> str:
    """SHA-256 (hexadecimal) of vertices, cells and names of a mesh; the same on any number of ranks.
    Collective.

    Every cell has a 64-bit hash of its number and its corners' coordinates; these are added, so that it
    does not matter which rank holds which cell.
    """
    corners = mesh.corners[: mesh.n_owned]
    places = np.where((corners >= 0)[:, :, None], mesh.points[corners], 0.0) + 0.0
    words = np.ascontiguousarray(places).reshape(mesh.n_owned, -1).view(np.uint64)
    mixed = mesh.global_id[: mesh.n_owned].astype(np.uint64)
    for column in range(words.shape[1]):
        mixed = (mixed ^ words[:, column]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    total = sum(mesh.comm.allgather(int(np.sum(mixed, dtype=np.uint64)))) % (1 << 64)
    names = ",".join([*sorted(mesh.regions), "|", *sorted(mesh.boundaries)])
    return hashlib.sha256(f"{mesh.dim} {mesh.n_global} {total} {names}".encode()).hexdigest()


def parallel_hdf5(comm: MPI.Comm) -> bool:
    """Return whether PETSc can write one HDF5 file from all ranks of ``comm``. Collective."""
    if not PETSc.Sys.hasExternalPackage("hdf5"):
        return False
    viewer = PETSc.Viewer().create(comm)
    try:
        viewer.setType(PETSc.Viewer.Type.HDF5)
    except PETSc.Error:  # an HDF5 without MPI
        return False
    finally:
        viewer.destroy()
    return True


def write_checkpoint(path: Path, mesh: Mesh, case_hash: str, checkpoint: Checkpoint) -> None:
    """Replaces the checkpoint file at ``path``. Collective over ``mesh.comm``.

    Raises :class:`FvqpError` on all ranks if the file cannot be written; the earlier one is then intact.
    """
    header = {
        "format_version": FORMAT_VERSION,
        "case_hash": case_hash,
        "mesh_hash": mesh_hash(mesh),
        "n_cells": mesh.n_global,
    }
    comm = mesh.comm
    shapes = {name: array.shape[1:] for name, array in checkpoint.arrays.items()}
    order = FileOrder(comm, mesh.global_id[: mesh.n_owned], mesh.n_global)

    def rows() -> Iterator[tuple[str, Floats]]:
        """Name and this rank's range of every array, one after the other. Collective."""
        for name, array in checkpoint.arrays.items():
            yield name, order.gathered(array[: mesh.n_owned].reshape(mesh.n_owned, _width(shapes[name])))

    @contextmanager
    def skeleton(part: Path) -> Iterator[h5py.File]:
        """The file with all but its arrays."""
        with h5py.File(part, "w") as file:
            file.attrs.update(header)
            file["completed"] = checkpoint.completed.astype(np.int8)
            file.create_group("arrays")
            for name, value in checkpoint.numbers.items():
                file[f"numbers/{name}"] = value
            yield file

    folder, generation = _parts(path), ""
    if comm.size == 1:
        with replacing(path, sealed=True) as part, skeleton(part) as file:
            for name, values in rows():
                file["arrays"][name] = values.reshape(-1, *shapes[name])
    elif _countable(mesh.n_global, shapes) and parallel_hdf5(comm):
        _write_together(path, comm, mesh.n_global, shapes, skeleton, rows())
    else:
        generation = comm.bcast(secrets.token_hex(4))
        _write_parts(path, comm, order.bounds, shapes, skeleton, rows(), generation)
    if comm.rank == 0 and folder.exists():
        # Parts of earlier checkpoints, and of what a crash has left unfinished.
        for old in folder.glob("*.h5"):
            if not generation or not old.name.startswith(generation):
                discard(old)
        if not generation:
            shutil.rmtree(folder, ignore_errors=True)


def _parts(path: Path) -> Path:
    """Return the folder of the files of ranks."""
    return path.with_suffix(".parts")


def _countable(n_cells: int, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Return whether PETSc's integers count the numbers of every array."""
    return n_cells * max(map(_width, shapes.values()), default=0) <= np.iinfo(PETSc.IntType).max


def _width(shape: tuple[int, ...]) -> int:
    return int(np.prod(shape, dtype=np.int64))


def _flat(n_cells: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape in which PETSc writes an array of ``shape`` per cell."""
    return (n_cells,) if _width(shape) == 1 else (n_cells, _width(shape))


def _write_together(
    path: Path,
    comm: MPI.Comm,
    n_cells: int,
    shapes: Mapping[str, tuple[int, ...]],
    skeleton: Skeleton,
    rows: Iterator[tuple[str, Floats]],
) -> None:
    """One file, written by all ranks through PETSc."""
    part = part_of(path)

    def prepare() -> None:
        # The arrays are made, and their space is taken, by one rank: where something is in the way, it says
        # so by itself, while a rank that fails among others would leave them waiting.
        with explained(path):
            with skeleton(part) as file:
                for name, shape in shapes.items():
                    _make_room(file["arrays"], name, n_cells, shape)
            reserve(part)

    def finish() -> None:
        with explained(path):
            seal(part)
            take_place(part, path)

    try:
        run_on_root(comm, prepare)
        problem: FvqpError | None = None
        try:
            viewer = PETSc.ViewerHDF5().create(str(part), mode=PETSc.Viewer.Mode.APPEND, comm=comm)
            viewer.pushGroup("/arrays")
            for name, values in rows:
                size, width = values.size, values.shape[1]
                if n_cells * width == 0:
                    continue
                vector = PETSc.Vec().createWithArray(
                    values.reshape(-1), size=(size, n_cells * width), bsize=width, comm=comm
                )
                vector.setName(name)
                vector.view(viewer)
                vector.destroy()
            viewer.popGroup()
            viewer.destroy()
        except PETSc.Error as error:
            problem = FvqpError(f"{path}: cannot be written: {str(error).splitlines()[-1]}")
        raise_first_error(comm, problem)
        run_on_root(comm, finish)
    finally:
        if comm.rank == 0:
            discard(part)


def _make_room(group: h5py.Group, name: str, n_cells: int, shape: tuple[int, ...]) -> None:
    """An array whose numbers have their places in the file, but are not written."""
    flat = _flat(n_cells, shape)
    setting = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    if n_cells * _width(shape) > 0:
        # PETSc sets the extent of an array that it finds, which HDF5 allows for arrays in pieces only.
        setting.set_chunk((min(n_cells, max(1, CHUNK_BYTES // (8 * _width(shape)))), *flat[1:]))
        setting.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        setting.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    space = h5py.h5s.create_simple(flat)
    h5py.h5d.create(group.id, name.encode(), h5py.h5t.IEEE_F64LE, space, setting)
    group[name].attrs["shape"] = np.array(shape, dtype=np.int64)


def _write_parts(
    path: Path,
    comm: MPI.Comm,
    bounds: Ints,
    shapes: Mapping[str, tuple[int, ...]],
    skeleton: Skeleton,
    rows: Iterator[tuple[str, Floats]],
    generation: str,
) -> None:
    """A file of every rank, and one in which they are found; an earlier one goes on finding its own."""
    folder, problem = _parts(path), None
    names = [f"{generation}-{rank}.h5" for rank in range(comm.size)]
    mine = folder / names[comm.rank]
    run_on_root(comm, lambda: make_folder(folder))
    try:
        try:
            with explained(path):
                with h5py.File(mine, "w") as file:
                    for name, values in rows:
                        file[name] = values.reshape(_flat(len(values), shapes[name]))
                seal(mine)
                flush(mine)
        except FvqpError as error:
            problem = error
        for _ in rows:  # the others wait for the cells of a rank that has failed
            pass
        raise_first_error(comm, problem)

        def index() -> None:
            with replacing(path, sealed=True) as part, skeleton(part) as file:
                for name, shape in shapes.items():
                    flat = _flat(int(bounds[-1]), shape)
                    layout = h5py.VirtualLayout(flat, dtype=np.float64)
                    for source, start, stop in zip(names, bounds[:-1], bounds[1:], strict=True):
                        if stop > start:
                            where = f"{folder.name}/{source}"
                            own = _flat(int(stop - start), shape)
                            layout[start:stop] = h5py.VirtualSource(where, name, shape=own)
                    file["arrays"].create_virtual_dataset(name, layout, fillvalue=np.nan)
                    file["arrays"][name].attrs["shape"] = np.array(shape, dtype=np.int64)

        run_on_root(comm, index)
    except FvqpError:
        discard(mine)
        raise


def read_checkpoint(path: Path, mesh: Mesh, case_hash: str) -> Checkpoint | None:
    """The checkpoint at ``path``, or none if there is no such file. Collective over ``mesh.comm``.

    Raises :class:`CheckpointError` on all ranks if the file is damaged, or is of another case or mesh.
    """
    comm = mesh.comm
    geometry = mesh_hash(mesh)
    head = run_on_root(comm, lambda: _header(path, case_hash, geometry) if path.exists() else None)
    if head is None:
        return None
    completed, numbers, shapes, parts = head
    _on_every_rank(comm, partial(_require_intact, parts[comm.rank :: comm.size]))
    order = FileOrder(comm, mesh.global_id, mesh.n_global)
    arrays = {}
    for name, shape in shapes.items():
        rows = _on_every_rank(comm, partial(_rows, path, name, order))
        arrays[name] = order.scattered(rows).reshape(mesh.n_cells, *shape)
    return Checkpoint(completed, arrays, numbers)


def _header(path: Path, case_hash: str, geometry: str) -> tuple[Any, ...]:
    """Complete points, numbers, shapes of a cell's arrays, and further files, of a file that belongs here."""
    # First of all: HDF5 may loop for ever in a damaged file.
    require_intact(path)
    with _readable(path), h5py.File(path, "r") as file:
        version = int(file.attrs["format_version"])
        if version > FORMAT_VERSION:
            raise CheckpointError(f"{path}: format version {version}, not up to {FORMAT_VERSION}")
        if file.attrs["case_hash"] != case_hash:
            raise CheckpointError(f"{path}: belongs to another case; choose another folder (--out, out=)")
        if file.attrs["mesh_hash"] != geometry:
            raise CheckpointError(
                f"{path}: belongs to another mesh (of {int(file.attrs['n_cells'])} cells); "
                "choose another folder (--out, out=)"
            )
        numbers = {name: value[()] for name, value in file.get("numbers", {}).items()}
        shapes, parts = {}, set()
        for name, value in file["arrays"].items():
            shapes[name] = tuple(int(length) for length in value.attrs.get("shape", value.shape[1:]))
            # HDF5 takes what it does not find for numbers that were never written.
            parts |= {source.file_name for source in value.virtual_sources()} if value.is_virtual else set()
        return (
            file["completed"][()].astype(bool),
            numbers,
            shapes,
            [path.parent / name for name in sorted(parts)],
        )
    raise AssertionError


def _require_intact(paths: Iterable[Path]) -> None:
    for path in paths:
        require_intact(path)


def _rows(path: Path, name: str, order: FileOrder) -> Floats:
    """This rank's range of an array."""
    with _readable(path), h5py.File(path, "r") as file:
        data = file["arrays"][name]
        values = np.empty((order.stop - order.start, *data.shape[1:]))
        if values.size:
            data.read_direct(values, np.s_[order.start : order.stop])
        return values.reshape(len(values), _width(data.shape[1:]))
    raise AssertionError


def _on_every_rank(comm: MPI.Comm, work: Callable[[], T]) -> T:
    """``work()`` of this rank; the :class:`FvqpError` of one is raised on all. Collective."""
    result: T | None = None
    problem: FvqpError | None = None
    try:
        result = work()
    except FvqpError as error:
        problem = error
    raise_first_error(comm, problem)
    return result  # type: ignore[return-value]


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Whatever HDF5 finds wrong in a file is a :class:`CheckpointError`."""
    try:
        yield
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise CheckpointError(
            f"{path}: damaged or not a checkpoint ({str(error).strip()[:80]}); "
            "remove it to start this case again"
        ) from None
