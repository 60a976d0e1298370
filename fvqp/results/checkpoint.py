"""Checkpoints: the state that a run goes on from, independent of the number of ranks.

``checkpoint.h5`` holds arrays ``[cell, ...]`` in the order of ``Mesh.global_id``, which sweep points are
complete, and the hashes of the case and the mesh that it belongs to. It is replaced as a whole, so that
there always is a readable one. Cells travel to and from rank 0 in blocks of bounded size, never all at
once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from fvqp.errors import CheckpointError, FvqpError
from fvqp.mesh.mesh import Mesh
from fvqp.results.files import replacing
from fvqp.results.together import all_or_none, on_root

FORMAT_VERSION = 1
"""Version of the layout of ``checkpoint.h5``; attribute ``format_version`` of the file."""
BLOCK_BYTES = 1 << 25
"""Cells go through rank 0 in blocks of about this size."""


@dataclass
class Checkpoint:
    """What a run goes on from.

    Attributes
    ----------
    completed : bool array over the sweep: which points are done.
    arrays : name → ``[n_cells, ...]`` of this rank; ghost rows are filled on reading, ignored on writing.
    numbers : name → small arrays that are the same on all ranks.
    """

    completed: NDArray[np.bool_]
    arrays: dict[str, NDArray[np.float64]] = field(default_factory=dict)
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


def write_checkpoint(path: Path, mesh: Mesh, case_hash: str, checkpoint: Checkpoint) -> None:
    """Replaces the checkpoint file at ``path``. Collective over ``mesh.comm``; rank 0 writes.

    Raises :class:`FvqpError` on all ranks if the file cannot be written; the earlier one is then intact.
    """
    header = {
        "format_version": FORMAT_VERSION,
        "case_hash": case_hash,
        "mesh_hash": mesh_hash(mesh),
        "n_cells": mesh.n_global,
    }
    blocks = _gathered(mesh, checkpoint.arrays)
    problem: FvqpError | None = None
    if mesh.comm.rank == 0:
        try:
            with replacing(path) as part, h5py.File(part, "w") as file:
                file.attrs.update(header)
                file["completed"] = checkpoint.completed.astype(np.int8)
                file.create_group("arrays")
                for name, value in checkpoint.numbers.items():
                    file[f"numbers/{name}"] = value
                for name, array in checkpoint.arrays.items():
                    file["arrays"].create_dataset(name, (mesh.n_global, *array.shape[1:]), dtype=np.float64)
                for name, start, rows in blocks:
                    file["arrays"][name][start : start + len(rows)] = rows
        except FvqpError as error:
            problem = error
    for _ in blocks:
        # The other ranks send their cells; rank 0 comes here with blocks left only after a failure.
        pass
    all_or_none(mesh.comm, problem)


def read_checkpoint(path: Path, mesh: Mesh, case_hash: str) -> Checkpoint | None:
    """The checkpoint at ``path``, or none if there is no such file. Collective over ``mesh.comm``.

    Raises :class:`CheckpointError` on all ranks if the file is damaged, or is of another case or mesh.
    """
    comm = mesh.comm
    geometry = mesh_hash(mesh)
    file = _Reader(path) if comm.rank == 0 else None

    def header() -> tuple[Any, ...] | None:
        assert file is not None
        return file.header(case_hash, geometry) if path.exists() else None

    try:
        head = on_root(comm, header)
        if head is None:
            return None
        completed, numbers, shapes = head
        arrays = {}
        for name, shape in shapes.items():
            array = np.empty((mesh.n_cells, *shape))
            for start, stop in _ranges(mesh.n_global, shape):
                rows = on_root(comm, lambda at=(name, start, stop): file.rows(*at))  # type: ignore
                mine = np.flatnonzero((mesh.global_id >= start) & (mesh.global_id < stop))
                array[mine] = rows[mesh.global_id[mine] - start]
            arrays[name] = array
    finally:
        if file is not None:
            file.close()
    return Checkpoint(completed, arrays, numbers)


class _Reader:
    """The file on rank 0; whatever HDF5 finds wrong in it is a :class:`CheckpointError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: h5py.File | None = None

    def header(self, case_hash: str, geometry: str) -> tuple[Any, ...]:
        with self._explained():
            self._file = file = h5py.File(self._path, "r")
            version = int(file.attrs["format_version"])
            if version > FORMAT_VERSION:
                raise CheckpointError(f"{self._path}: format version {version}, not up to {FORMAT_VERSION}")
            if file.attrs["case_hash"] != case_hash:
                raise CheckpointError(
                    f"{self._path}: belongs to another case; choose another folder (--out, out=)"
                )
            if file.attrs["mesh_hash"] != geometry:
                raise CheckpointError(
                    f"{self._path}: belongs to another mesh (of {int(file.attrs['n_cells'])} cells); "
                    "choose another folder (--out, out=)"
                )
            numbers = {name: value[()] for name, value in file.get("numbers", {}).items()}
            shapes = {name: value.shape[1:] for name, value in file["arrays"].items()}
            return file["completed"][()].astype(bool), numbers, shapes
        raise AssertionError

    def rows(self, name: str, start: int, stop: int) -> NDArray[np.float64]:
        with self._explained():
            assert self._file is not None
            return np.asarray(self._file["arrays"][name][start:stop])
        raise AssertionError

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (OSError, RuntimeError, KeyError, ValueError) as error:
            raise CheckpointError(
                f"{self._path}: damaged or not a checkpoint ({str(error).strip()[:80]}); "
                "remove it to start this case again"
            ) from None


def _ranges(n_global: int, shape: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Ranges of global cell numbers whose rows of ``shape`` fill about one block."""
    step = max(1, BLOCK_BYTES // (8 * int(np.prod(shape, dtype=np.int64))))
    for start in range(0, n_global, step):
        yield start, min(start + step, n_global)


def _gathered(
    mesh: Mesh, arrays: Mapping[str, NDArray[np.float64]]
) -> Iterator[tuple[str, int, NDArray[np.float64]]]:
    """Blocks ``(name, first cell, rows in global order)``; rows on rank 0 only. Collective."""
    order = np.argsort(mesh.global_id[: mesh.n_owned])
    sorted_ids = mesh.global_id[: mesh.n_owned][order]
    for name, array in arrays.items():
        for start, stop in _ranges(mesh.n_global, array.shape[1:]):
            first, last = np.searchsorted(sorted_ids, (start, stop))
            parts = mesh.comm.gather((sorted_ids[first:last] - start, array[order[first:last]]), root=0)
            rows = np.empty((stop - start, *array.shape[1:]) if parts else (0,))
            for ids, values in parts or ():
                rows[ids] = values
            yield name, start, rows
