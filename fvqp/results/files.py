"""Writing files so that a crash, a kill or a full disk leaves the previous version readable; their seals.

The seal of a file is its last line, :data:`SEAL` and the SHA-256 of all bytes before, written before the
file takes its name: file and digest change places with their predecessors at once. HDF5, netCDF and zip
ignore what follows after their data.
"""

from __future__ import annotations

import errno
import hashlib
import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from fvqp.errors import CheckpointError, FvqpError

SEAL = b"\nfvqp sha256 "
"""Beginning of a seal; 64 hexadecimal digits and a line feed follow."""
_SEAL_LENGTH = len(SEAL) + 65
_READ_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PROBE_BYTES = 1 << 16


@contextmanager
def replacing(path: Path, *, sealed: bool = False) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; when the block ends well, it takes ``path``'s place at
    once, ``sealed`` or as it is.

    Raises :class:`FvqpError` with one line when the disk is full or the file cannot be written; ``path``
    itself is then what it was before.
    """
    part = part_of(path)
    try:
        with explained(path):
            yield part
            if sealed:
                seal(part)
            take_place(part, path)
    finally:
        discard(part)


def seal(path: Path) -> None:
    """Append the seal to a file that is written completely."""
    with path.open("rb+") as file:
        digest = _digest(file, file.seek(0, os.SEEK_END))
        file.seek(0, os.SEEK_END)
        file.write(SEAL + digest + b"\n")


def intact(path: Path) -> bool:
    """True if a file is what its seal says, False if it has no seal.

    Raises :class:`CheckpointError` if the file is damaged, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            length = file.seek(0, os.SEEK_END) - _SEAL_LENGTH
            file.seek(max(length, 0))
            end = file.read()
            if length < 0 or not end.startswith(SEAL):
                return False
            same = end[len(SEAL) :] == _digest(file, length) + b"\n"
    except OSError as error:
        raise CheckpointError(f"{path}: damaged: cannot be read ({error.strerror})") from None
    if not same:
        raise CheckpointError(
            f"{path}: damaged: its content is not what was written (SHA-256 differs); remove its "
            "folder to start the case again"
        )
    return True


def require_intact(path: Path) -> None:
    """Raise :class:`CheckpointError` unless a file is what its seal says."""
    if not intact(path):
        raise CheckpointError(
            f"{path}: does not end with the SHA-256 of its content: damaged, rewritten by another program, "
            "or of an earlier version of fvqp, which only that version resumes; remove its folder to start "
            "the case again"
        )


def _digest(file: BinaryIO, length: int) -> bytes:
    """SHA-256 (hexadecimal) of the first ``length`` bytes."""
    found = hashlib.sha256()
    file.seek(0)
    while length > 0 and (block := file.read(min(length, _READ_BYTES))):
        found.update(block)
        length -= len(block)
    return found.hexdigest().encode()


def discard(path: Path) -> None:
    """Removes a file, if there is one that can be removed."""
    with suppress(OSError):
        path.unlink()


def part_of(path: Path) -> Path:
    """The temporary path beside ``path`` that is written before it takes its place."""
    return path.with_name(f".{path.name}.part")


def take_place(part: Path, path: Path) -> None:
    """Puts a file that is written completely in the place of ``path``, at once."""
    flush(part)
    os.replace(part, path)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns what goes wrong in writing for ``path`` into an :class:`FvqpError` of one line."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        raise FvqpError(f"{path}: {_reason(error, path)}") from None


def reserve(path: Path) -> None:
    """Takes the space of a file on the disk that has its full length, but was not written everywhere.

    Raises OSError when the disk is full; file systems that know no reservations are believed.
    """
    with open(path, "rb+") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, os.fstat(file.fileno()).st_size)
        except OSError as error:
            if error.errno in _FULL:
                raise


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, whole or not at all; errors as in :func:`replacing`."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def make_folder(path: Path) -> None:
    """Makes a folder and those above it; raises :class:`FvqpError` with one line if that cannot be done."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FvqpError(f"{path}: cannot make the folder: {error.strerror}") from None


def flush(path: Path) -> None:
    """Waits until a file is on the disk."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _reason(error: Exception, path: Path) -> str:
    number = getattr(error, "errno", None)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if number in _FULL or _no_room(path, limit):
        or_limit = "" if limit < 0 else f", or a file reaches the limit of {limit} bytes (ulimit -f)"
        return (
            f"the disk is full{or_limit}; what was written before is intact, and --resume (resume=True) "
            "goes on once there is space"
        )
    return f"cannot be written: {getattr(error, 'strerror', None) or error}"


def _no_room(path: Path, limit: int) -> bool:
    """True if the disk does not take a small file, or the one that is being written is as large as allowed.

    netCDF reports a full disk as a lack of permission, HDF5 and VTK as errors of their own.
    """
    with suppress(OSError):
        if 0 <= limit <= part_of(path).stat().st_size + _PROBE_BYTES:
            return True
    try:
        with tempfile.TemporaryFile(dir=path.parent) as file:
            file.write(bytes(_PROBE_BYTES))
    except OSError as error:
        return error.errno in _FULL
    return False
