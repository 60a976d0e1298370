"""Compiled loops on disk that several processes fill at once, as MPI ranks do in the first run on a machine.

numba keeps the compiled forms of a function in numbered files, and an index of which argument types have
which number. It writes the index first and takes no lock, so that two processes can give one number to
different argument types, or one can read what an older source left under a number: either would run the
wrong code. Importing this module makes numba save under a lock, the file before the index; all kernels take
`njit` from here.

Both hold references to classes of argument types. After an update in place that renamed such a class they
cannot be read; then they count as empty, and the function is compiled anew.

numba also compiles a function once more for arrays that must not be written; `read_only` saves that. While it
compiles, no search for garbage is made among the many objects of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import gc
import logging
import pickle
from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import numba
from numba.core import event
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numpy.typing import NDArray

from fvqp.errors import FvqpError

log = logging.getLogger(__name__)

# Raised by pickle for classes and modules that are gone, and for files that were cut off.
_UNREADABLE = (
    pickle.UnpicklingError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
)
_load_index_of_numba = IndexDataCacheFile._load_index
_load_of_numba = IndexDataCacheFile.load
_init_of_numba = FunctionCache.__init__


def njit(**options: Any) -> Any:
    """numba's `njit` without the entry for callers in C, which no kernel needs.

    With `_nrt=False` no references of arrays are counted, which compiles sooner too: for kernels that neither
    make arrays nor call one that returns new ones.
    """
    return numba.njit(no_cfunc_wrapper=True, **options)


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """A view of what a kernel only reads: one argument type, whether or not the array may be written."""
    view = array.view()
    view.flags.writeable = False
    return view


@contextlib.contextmanager
def _locked(path: str) -> Iterator[None]:
    with open(path, "ab") as file:
        # A file system without locks leaves things as numba has them.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _save(self: Any, key: object, data: object) -> None:
    """``IndexDataCacheFile.save``, one process at a time, the index last."""
    with _locked(f"{self._index_path}.lock"):
        overloads = self._load_index()
        if key not in overloads:
            taken = set(overloads.values())
            overloads[key] = next(name for name in map(self._data_name, count(1)) if name not in taken)
        self._save_data(overloads[key], data)
        self._save_index(overloads)


def _load_index(self: Any) -> dict[Any, str]:
    """``IndexDataCacheFile._load_index``, empty if the file cannot be read."""
    try:
        return _load_index_of_numba(self)
    except _UNREADABLE:
        return {}


def _load(self: Any, key: object) -> Any:
    """``IndexDataCacheFile.load``, None if there is no file or it cannot be read: then numba compiles."""
    with contextlib.suppress(*_UNREADABLE):
        found = _load_of_numba(self, key)
        if found is not None:
            return found
    tell_of_compiling()
    return None


class _WithoutGarbageCollection(event.Listener):  # type: ignore[misc]
    """Garbage collection off while numba compiles; events come under the lock of its compiler."""

    depth = 0

    def on_start(self, event: object) -> None:
        if self.depth == 0:
            self.enabled = gc.isenabled()
            gc.disable()
        self.depth += 1

    def on_end(self, event: object) -> None:
        self.depth -= 1
        if self.depth == 0 and self.enabled:
            gc.enable()


@cache
def tell_of_compiling() -> None:
    """Log once, for who waits, that loops are compiled."""
    log.info("compiling loops that are new on this machine: up to 30 s, once")


def _init(self: Any, function: Any) -> None:
    """``FunctionCache.__init__``; says what to do where neither package nor home folder can be written."""
    try:
        _init_of_numba(self, function)
    except RuntimeError as error:
        folder = Path(function.__code__.co_filename).parent
        raise FvqpError(
            f"compiled loops cannot be kept: {folder} and the user's cache folder cannot be written; set the "
            "environment variable NUMBA_CACHE_DIR to a folder that can"
        ) from error


event.register("numba:compile", _WithoutGarbageCollection())
FunctionCache.__init__ = _init
IndexDataCacheFile.save = _save
IndexDataCacheFile.load = _load
IndexDataCacheFile._load_index = _load_index
