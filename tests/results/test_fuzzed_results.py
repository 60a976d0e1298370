"""Results, checkpoints and saved states damaged at random: one message, no traceback, no crash, no hang."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mpi4py import MPI
from run_cases import UNIFORM, as_file, line
from stochastic_cases import TAIL

import fvqp
from fvqp import cli
from fvqp.case.usadel.recording import UsadelRecorder
from fvqp.models.localized import LongRun
from fvqp.results.files import SEAL

pytestmark = [pytest.mark.slow, pytest.mark.skipif(MPI.COMM_WORLD.size > 1, reason="starts processes")]

#: The same examples every time.
SEEDED = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
)
#: Seconds after which a command hangs.
PATIENCE = 120

Change = Callable[[bytes], bytes]
PLACE = st.floats(0.0, 1.0, exclude_max=True)
LENGTH = st.integers(1, 64)


def flipped(place: float, bit: int) -> Change:
    def change(content: bytes) -> bytes:
        at = int(place * len(content))
        return content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :] if content else content

    return change


def replaced(place: float, length: int, by: bytes) -> Change:
    def change(content: bytes) -> bytes:
        at = int(place * len(content))
        return content[:at] + by + content[at + length :]

    return change


def swapped(first: float, second: float, length: int) -> Change:
    def change(content: bytes) -> bytes:
        a, b = sorted((int(first * len(content)), int(second * len(content))))
        length_ = min(length, b - a)
        one, other = content[a : a + length_], content[b : b + length_]
        return content[:a] + other + content[a + length_ : b] + one + content[b + length_ :]

    return change


CHANGES = st.lists(
    st.one_of(
        st.builds(flipped, PLACE, st.integers(0, 7)),
        st.builds(swapped, PLACE, PLACE, LENGTH),
        st.builds(replaced, PLACE, LENGTH, st.binary(max_size=64)),
        st.builds(replaced, PLACE, st.just(0), st.binary(min_size=1, max_size=64)),  # inserted
        st.builds(replaced, PLACE, st.just(1 << 30), st.just(b"")),  # cut short
    ),
    min_size=1,
    max_size=3,
)


def damaged(file: Path, changes: list[Change], sealed: bool = True) -> None:
    """Change a file; leave examples out that do not."""
    whole = file.read_bytes()
    content = whole if sealed else whole[: whole.rindex(SEAL)]
    for change in changes:
        content = change(content)
    assume(content != whole and (sealed or content != whole[: whole.rindex(SEAL)]))
    file.write_bytes(content)


def ended(arguments: list[str], log: Path) -> tuple[int, str]:
    """Exit code and error output of a command in a process of its own."""
    child = os.fork()
    if child == 0:
        code = 70
        try:
            output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            sys.stderr = os.fdopen(2, "w", closefd=False)
            code = cli.main(arguments)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    begin = time.monotonic()
    while not (found := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() - begin > PATIENCE:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise AssertionError(f"{arguments} hangs")
        time.sleep(0.01)
    return os.waitstatus_to_exitcode(found[1]), log.read_text(errors="replace")


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that were stopped half-way: of the Usadel model, and of localized quasiparticles."""
    folder = tmp_path_factory.mktemp("stopped")
    record, interval, left = UsadelRecorder.record, LongRun._interval, [2]

    def some(self: UsadelRecorder, *arguments: object) -> None:
        record(self, *arguments)  # type: ignore[arg-type]
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    def saved(self: LongRun, stop: float, cells: bool) -> object:
        found = interval(self, stop, cells)
        if len(self._done) == 3:
            self.save()
            raise KeyboardInterrupt
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(UsadelRecorder, "record", some)
        patch.setattr(LongRun, "_interval", saved)
        for name, data in (("usadel", line(UNIFORM)), ("localized", TAIL)):
            with pytest.raises(KeyboardInterrupt):
                fvqp.run(as_file(data, folder / f"{name}.toml"), out=folder / name)
    return folder


def copied(stopped: Path, name: str, to: Path) -> Path:
    out = to / name
    shutil.rmtree(out, ignore_errors=True)
    return Path(shutil.copytree(stopped / name, out))


@pytest.mark.parametrize(
    ("name", "file"), [("usadel", "results.nc"), ("usadel", "checkpoint.h5"), ("localized", "runs/*.npz")]
)
def test_resuming_from_what_is_damaged(stopped: Path, tmp_path: Path, name: str, file: str) -> None:
    tried = []

    @SEEDED
    @given(CHANGES)
    def refused(changes: list[Change]) -> None:
        out = copied(stopped, name, tmp_path)
        (victim,) = out.glob(file)
        damaged(victim, changes)
        case = str(stopped / f"{name}.toml")
        code, said = ended(["run", case, "--out", str(out), "--resume", "-q"], tmp_path / "log")
        assert code == 2 and said.count("\n") == 1, said
        assert str(victim) in said and "damaged" in said
        tried.append(said)

    refused()
    assert len(tried) >= 50


@pytest.mark.parametrize("sealed", [True, False])
def test_drawing_what_is_damaged(stopped: Path, tmp_path: Path, sealed: bool) -> None:
    codes = []

    @SEEDED
    @given(CHANGES)
    def drawn(changes: list[Change]) -> None:
        out = copied(stopped, "usadel", tmp_path)
        damaged(out / "results.nc", changes, sealed)
        arguments = ["plot", str(out), "--kind", "g_nl", "--to", str(tmp_path / "figures"), "-q"]
        code, said = ended(arguments, tmp_path / "log")
        codes.append(code)
        if code == 2:
            assert said.count("\n") == 1 and said.startswith("fvqp: error: "), said
        else:  # what was hit is not read, or was the seal
            assert code == 0, said

    drawn()
    assert codes.count(2) >= 25
