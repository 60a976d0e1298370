"""Arrays of results too large for memory: in files of the results folder that vanish with the run."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from fvqp.results.files import explained, reserve
from fvqp.typing import Floats

#: Bytes from which an array lies on the disk.
LARGE = 2**25


def empty_array(shape: tuple[int, ...], folder: Path | None) -> Floats:
    """An array full of NaN; a large one in a file of ``folder`` that has no name and goes with the array.

    The system keeps in memory what is in use and has room. All of the space on the disk is taken at once:
    a disk that is full when a page is written would kill the program.

    Args:
        shape: as named.
        folder: where there is space; None for memory.

    Raises:
        FvqpError: the disk has no room.
    """
    size = 8 * int(np.prod(shape))
    if folder is None or size < LARGE:
        return np.full(shape, np.nan)
    with (
        explained(folder),
        tempfile.NamedTemporaryFile(dir=folder, prefix=".results.", suffix=".part") as file,
    ):
        file.truncate(size)
        reserve(Path(file.name))
        array: Floats = np.memmap(file, dtype=np.float64, mode="r+", shape=shape)
    for row in range(len(array)):
        array[row] = np.nan
    return array
