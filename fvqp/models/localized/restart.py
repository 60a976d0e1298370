"""The state of a run in a file: named arrays, nothing that could be executed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fvqp.errors import CheckpointError
from fvqp.results.files import replacing, require_intact

FORMAT = 2


def write_state(path: Path, state: dict[str, NDArray[Any]]) -> None:
    """Writes arrays to ``path`` (NumPy's zip of arrays), whole or not at all."""
    arrays: dict[str, Any] = {"format": np.array([FORMAT]), **state}
    with replacing(Path(path), sealed=True) as part, part.open("wb") as file:
        np.savez(file, **arrays)


def read_state(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays written by `write_state`; `CheckpointError` if they cannot be read."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file")
    require_intact(path)
    with np.load(path, allow_pickle=False) as file:
        state = {name: file[name] for name in file.files}
    if int(state.pop("format", np.zeros(1))[0]) != FORMAT:
        raise CheckpointError(f"{path}: not a saved run of this version")
    return state
