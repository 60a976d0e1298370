"""Compiled loops on disk: what one process saves no other one takes for something else."""

from __future__ import annotations

import gc
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from types import ModuleType

import numpy as np
import pytest
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.errors import TypingError

from fvqp.errors import FvqpError
from fvqp.kernel_cache import njit, tell_of_compiling


def test_savers_at_the_same_time_get_numbers_of_their_own(tmp_path: Path) -> None:
    savers, start = 8, Barrier(8)

    def save(number: int) -> None:
        start.wait()
        for turn in range(5):
            key = (number, turn)
            IndexDataCacheFile(str(tmp_path), "kernel", 1.0).save(key, f"code of {key}")

    with ThreadPoolExecutor(savers) as pool:
        list(pool.map(save, range(savers)))
    cache = IndexDataCacheFile(str(tmp_path), "kernel", 1.0)
    for number in range(savers):
        for turn in range(5):
            assert cache.load((number, turn)) == f"code of {(number, turn)}"


def test_code_of_an_older_source_is_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    IndexDataCacheFile(str(tmp_path), "kernel", 1.0).save("types", "old code")
    newer = IndexDataCacheFile(str(tmp_path), "kernel", 2.0)
    read = []
    for step in ("_save_data", "_save_index"):
        original = getattr(newer, step)

        def watched(*arguments: object, original=original) -> None:
            for _ in range(2):
                read.append(IndexDataCacheFile(str(tmp_path), "kernel", 2.0).load("types"))
            original(*arguments)

        monkeypatch.setattr(newer, step, watched)
    newer.save("types", "new code")
    assert read == [None] * 4
    assert newer.load("types") == "new code"


def test_waiting_for_compiled_loops_has_a_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tell_of_compiling.cache_clear()
    caplog.set_level("INFO", "fvqp")
    kernels = IndexDataCacheFile(str(tmp_path), "kernel", 1.0)
    kernels.save("known", "code")
    assert kernels.load("known") == "code"
    assert not caplog.messages
    for types in ("new", "others"):
        assert kernels.load(types) is None
    assert caplog.messages == ["compiling loops that are new on this machine: up to 30 s, once"]


def test_a_number_of_the_same_types_is_used_again(tmp_path: Path) -> None:
    cache = IndexDataCacheFile(str(tmp_path), "kernel", 1.0)
    for code in ("first", "second"):
        cache.save("types", code)
    assert cache.load("types") == "second"
    assert len(list(tmp_path.glob("*.nbc"))) == 1


@pytest.mark.parametrize("gone", ["class", "module"])
@pytest.mark.parametrize("place", ["index", "data"])
def test_files_that_refer_to_a_renamed_class_are_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, gone: str
) -> None:
    module = ModuleType("kernels_of_an_older_release")
    renamed = type("Gates", (), {"__module__": module.__name__})
    monkeypatch.setattr(module, "Gates", renamed, raising=False)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    older = IndexDataCacheFile(str(tmp_path), "kernel", 1.0)
    older.save("types", renamed if place == "data" else "code")
    older.save(("more types", renamed if place == "index" else None), "code")
    if gone == "class":
        monkeypatch.delattr(module, "Gates")
    else:
        monkeypatch.delitem(sys.modules, module.__name__)
    newer = IndexDataCacheFile(str(tmp_path), "kernel", 1.0)
    assert newer.load("types") is None
    newer.save("types", "new code")
    assert newer.load("types") == "new code"
    assert len(list(tmp_path.glob("*.nbc"))) == 2


def test_nowhere_to_keep_compiled_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(function: object) -> None:
        raise RuntimeError(f"cannot cache function {function}: no locator available")

    monkeypatch.setattr(FunctionCache, "_impl_class", staticmethod(nowhere))
    with pytest.raises(
        FvqpError, match="compiled loops cannot be kept: .*tests and .*set the.*NUMBA_CACHE_DIR"
    ):
        njit(cache=True)(test_code_of_an_older_source_is_never_read)


def test_garbage_is_not_looked_for_while_compiling() -> None:
    collections: list[str] = []

    def watch(phase: str, info: dict[str, int]) -> None:
        collections.append(phase)

    @njit()
    def kernel(array):  # type: ignore[no-untyped-def]
        total = 0.0
        for value in array:
            total += np.sqrt(abs(value)) if value > -1.0 else np.exp(value)
        return total

    @njit()
    def mistaken(array):  # type: ignore[no-untyped-def]
        return array.nothing

    threshold = gc.get_threshold()
    gc.set_threshold(100, 2, 2)
    gc.callbacks.append(watch)
    try:
        kernel.compile("(float64[::1],)")
        with pytest.raises(TypingError, match="nothing"):
            mistaken.compile("(float64[::1],)")
        during = len(collections)
        kept = [[number] for number in range(1000)]
    finally:
        gc.callbacks.remove(watch)
        gc.set_threshold(*threshold)
    assert during < 40
    assert len(collections) > during and len(kept) == 1000
    assert gc.isenabled()


def test_all_kernels_are_kept_in_this_way() -> None:
    package = Path(__file__).parents[1] / "fvqp"
    sources = {path: path.read_text() for path in package.rglob("*.py") if path.name != "kernel_cache.py"}
    compiled = {path for path, text in sources.items() if "@njit" in text}
    assert len(compiled) > 20
    assert {
        path for path in compiled if not re.search("from fvqp.kernel_cache import .*njit", sources[path])
    } == set()
