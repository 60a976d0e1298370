"""Running variants of a case, each in a results folder of its own; finished ones are not computed again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mpi4py import MPI

from fvqp.case import models
from fvqp.errors import CaseError, CheckpointError, FvqpError
from fvqp.parallel import run_on_root
from fvqp.results.files import make_folder, write_text
from fvqp.results.folder import folder_hash
from fvqp.results.progress import tell
from fvqp.results.status import RunState, run_status
from fvqp.texts import duration
from fvqp.threads import THREAD_VARIABLES
from fvqp.variation.keys import Variant

RUNS = "runs"
"""Folder of the results folders."""
PATIENCE = 20.0
"""Seconds that processes have to write what they have computed, when they are stopped."""


@dataclass(frozen=True)
class RunOutcome:
    """Results and failure of a run.

    Attributes:
        folder: results folder.
        failure: message of a run that failed; empty for one that is finished.
        seconds: of computing, NaN if it is not known.
        processor: the same as processor time of rank 0.
    """

    folder: Path
    failure: str
    seconds: float
    processor: float


def run_variants(
    variants: Sequence[Variant], out: Path, jobs: int = 1, comm: MPI.Comm = MPI.COMM_WORLD
) -> list[RunOutcome]:
    """Run variants that have no results yet; what a run left unfinished goes on. Collective.

    Args:
        variants: cases.
        out: folder; their results folders are in ``runs``.
        jobs: with 1 all ranks compute one after the other; with more, as many processes, each with
            ``fvqp run`` of its own.
        comm: ranks to run on.

    Returns:
        Outcomes in the order of the variants.

    Raises:
        FvqpError: folders of other cases; several jobs under MPI.
    """
    if jobs < 1:
        raise CaseError(f"--jobs {jobs}: expected at least 1")
    if jobs > 1 and comm.size > 1:
        raise CaseError("--jobs: starts processes of its own; give it without mpiexec, or leave it out")
    run_on_root(comm, lambda: claim(out))
    folders = [out / RUNS / variant.name for variant in variants]
    done = run_on_root(
        comm, lambda: [_finished(one, path) for one, path in zip(variants, folders, strict=True)]
    )
    missing = [number for number, known in enumerate(done) if not known]
    if comm.rank == 0 and len(missing) < len(variants):
        tell(f"{len(variants) - len(missing)} of {len(variants)} runs were finished before")
    failures = dict.fromkeys(range(len(variants)), "")
    todo = [(variants[number], folders[number]) for number in missing]
    found = _here(todo, comm) if jobs == 1 else _in_processes(todo, jobs)
    failures |= dict(zip(missing, found, strict=True))
    return [RunOutcome(folders[n], failures[n], *_times(folders[n])) for n in range(len(variants))]


def claim(out: Path) -> None:
    """Make the folder of runs.

    Raises:
        CheckpointError: it holds something else.
    """
    if out.exists() and not out.is_dir():
        raise CheckpointError(f"{out}: is a file; the runs need a folder")
    if out.exists() and any(out.iterdir()) and not (out / RUNS).is_dir():
        raise CheckpointError(f"{out}: is not empty and holds no {RUNS}; choose another folder (--out, out=)")
    make_folder(out / RUNS)


def _finished(variant: Variant, folder: Path) -> bool:
    """Return whether the run of a variant is finished.

    Raises `CheckpointError` if the folder belongs to another case: keys that do not change the hash, as those
    of solvers, count too.
    """
    if not (folder / "results.nc").is_file():
        return False
    try:
        before = tomllib.loads((folder / "case.toml").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        before = {}
    now = tomllib.loads(variant.case.resolved_toml())
    same = folder_hash(folder) == variant.case.hash
    for key in before.keys() | now.keys():
        same &= key in ("title", "figures") or before.get(key) == now.get(key)
    if not same:
        raise CheckpointError(
            f"{folder}: holds results of another case, see its case.toml; remove it, or choose another "
            "folder (--out, out=)"
        )
    with suppress(CheckpointError):
        return all(one.state is RunState.FINISHED for one in run_status(folder))
    return False


def _times(folder: Path) -> tuple[float, float]:
    """Return time and processor time of a run."""
    with suppress(CheckpointError):
        found = run_status(folder)
        return sum(one.seconds for one in found), sum(one.processor for one in found)
    return float("nan"), float("nan")


def _here(todo: Sequence[tuple[Variant, Path]], comm: MPI.Comm) -> list[str]:
    """Failures of runs on all ranks, one after the other."""
    failures = []
    for number, (variant, folder) in enumerate(todo, 1):
        if comm.rank == 0:
            tell(f"run {number} of {len(todo)}: {variant.label}")
        failure = ""
        try:
            models.run(variant.case, folder, (folder / "results.nc").is_file(), comm)
        except FvqpError as error:
            failure = " ".join(str(error).split())
        except MemoryError:
            failure = "out of memory"
        failures.append(comm.bcast(failure))
        if failure and comm.rank == 0:
            tell(f"{variant.label}: failed: {failure}")
    return failures


def _in_processes(todo: Sequence[tuple[Variant, Path]], jobs: int) -> list[str]:
    """Failures of runs in processes, some at a time."""
    processes: set[subprocess.Popen[str]] = set()
    lock, stopped = threading.Lock(), threading.Event()
    count = max(1, (os.cpu_count() or 1) // jobs)
    threads = {name: os.environ.get(name, str(count)) for name in THREAD_VARIABLES}
    ended = 0

    def run(variant: Variant, folder: Path) -> str:
        nonlocal ended
        make_folder(folder)
        # What the program reads gives an equal case, with the files that it names.
        write_text(folder / "case.toml", _with_hash(variant))
        command = [sys.executable, "-m", "fvqp.cli", "run", str(folder / "case.toml"), "--out", str(folder)]
        resume = ["--resume"] if (folder / "results.nc").is_file() else []
        with lock:
            if stopped.is_set():
                return "interrupted"
            process = subprocess.Popen(
                [*command, *resume, "--quiet"],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                env={**os.environ, **threads},
            )
            processes.add(process)
        begin = time.monotonic()
        _, said = process.communicate()
        with lock:
            processes.discard(process)
            ended += 1
        failure = _failure(process.returncode, said)
        if not stopped.is_set():
            text = f"failed: {failure}" if failure else duration(time.monotonic() - begin)
            tell(f"{ended} of {len(todo)} runs: {variant.label}: {text}")
        return failure

    pool = ThreadPoolExecutor(jobs)
    try:
        return list(pool.map(lambda one: run(*one), todo))
    except BaseException:
        stopped.set()
        with lock:
            for process in processes:
                process.terminate()
        _wait(lambda: not processes)
        with lock:
            for process in processes:
                process.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _with_hash(variant: Variant) -> str:
    return f"# fvqp case, sha256 {variant.case.hash}\n{variant.case.resolved_toml()}"


def _wait(done: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not done() and time.monotonic() < end:
        time.sleep(0.05)


def _failure(code: int, said: str) -> str:
    """Return the message of a process that failed; empty if it did not."""
    if code == 0:
        return ""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    errors = [number for number, line in enumerate(lines) if line.startswith("fvqp: error: ")]
    if errors:
        return " ".join(lines[errors[0] :]).removeprefix("fvqp: error: ")
    if code < 0:
        return f"killed by signal {-code}"
    return f"exit code {code}: {lines[-1] if lines else 'no message'}"
