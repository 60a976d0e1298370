"""Writing files so that a crash, a kill or a full disk leaves the previous version readable."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from fvqp.errors import FvqpError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ALMOST_NOTHING = 1 << 16


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; when the block ends well, it takes ``path``'s place at
    once.

    Raises :class:`FvqpError` with one line when the disk is full or the file cannot be written; ``path``
    itself is then what it was before.
    """
    part = part_of(path)
    try:
        with explained(path):
            yield part
            take_place(part, path)
    finally:
        discard(part)


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
        # HDF5 and VTK report a full disk as an error of their own, so the disk is asked too.
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
    try:
        free = shutil.disk_usage(path.parent).free
    except OSError:
        free = _ALMOST_NOTHING
    if number in _FULL or (number not in (errno.EACCES, errno.ENOENT) and free < _ALMOST_NOTHING):
        return (
            "the disk is full; what was written before is intact, and --resume (resume=True) goes on once "
            "there is space"
        )
    return f"cannot be written: {getattr(error, 'strerror', None) or error}"
