"""Mutants of files for the fuzzing tests, and the command line in a process of its own."""

from __future__ import annotations

import contextlib
import math
import os
import re
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from fvqp import cli

#: The same mutants in every run: what a test finds is found again.
SEEDED = {
    "derandomize": True,
    "deadline": None,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    # Looking for a smaller mutant would take many more runs.
    "phases": (Phase.generate,),
}
#: Seconds, and bytes beside those of the parent, that reading an input may take.
SECONDS, MEMORY = 60, 3 << 30


def seeded(examples: int) -> Any:
    return settings(max_examples=examples, **SEEDED)


def forked(arguments: list[str], log: Path, seconds: int = SECONDS) -> tuple[int, str]:
    """Exit code of the command line in a child, negative for a signal, and what it says."""
    pid = os.fork()
    if pid == 0:
        code = 99
        try:
            with log.open("wb") as file:
                os.dup2(file.fileno(), 1)
                os.dup2(file.fileno(), 2)
            sys.stdout, sys.stderr = (os.fdopen(n, "w", closefd=False) for n in (1, 2))
            pages = int(Path("/proc/self/statm").read_text().split()[0])
            limit = pages * os.sysconf("SC_PAGE_SIZE") + MEMORY
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(seconds)
            try:
                code = cli.main(arguments)
            except BaseException:
                traceback.print_exc()
                code = 1
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
        finally:
            os._exit(code)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status), log.read_bytes().decode("utf-8", "replace")


def promise(code: int, text: str, name: str) -> str:
    """What is wrong with an answer to an input ``name``; empty where it is taken, or refused in one line."""
    if code == 0:
        return ""
    lines = [line for line in text.splitlines() if line.startswith("fvqp: error:")]
    if code != 2 or "Traceback" in text:
        return f"exit code {code}: {text.strip()[-300:]}"
    ending = text[text.find("fvqp: error:") :].rstrip()
    first, *others = ending.splitlines() if lines else [""]
    listed = first.endswith(" mistakes") and all(line.startswith("  ") for line in others)
    if len(lines) != 1 or (others and not listed):
        return f"neither one line nor a list of mistakes: {text[-300:]}"
    if name not in lines[0]:
        return f"does not name {name}: {lines[0][:300]}"
    return f"{len(ending)} characters" if len(ending) > 2200 else ""


# -- bytes -----------------------------------------------------------------------------------------------

_ODD = [b"-1", b"0", b"999999999999", b"2147483648", b"4294967297", b"1e308", b"nan", b"-inf", b"x", b""]


@st.composite
def damaged(draw: Callable[..., Any], raw: bytes) -> bytes:
    """A file with bits flipped, pieces lost, doubled, swapped or overwritten, or a number that is another."""
    place = st.integers(0, max(len(raw) - 1, 0))
    kind = draw(st.integers(0, 7))
    at, other = draw(place), draw(place)
    size = draw(st.sampled_from([1, 4, 8, 64, 1000]))
    if kind == 0:
        new = bytearray(raw)
        for where in draw(st.lists(place, min_size=1, max_size=4)):
            new[where] ^= 1 << draw(st.integers(0, 7))
        return bytes(new)
    if kind == 1:
        new = bytearray(raw)
        new[at % min(len(raw), 300)] ^= 1 << draw(st.integers(0, 7))
        return bytes(new)
    if kind == 2:
        return raw[:at]
    if kind == 3:
        return raw[:at] + raw[at + size :]
    if kind == 4:
        return raw[:at] + raw[other : other + size] + raw[at:]
    if kind == 5:
        filling = draw(st.sampled_from([b"\xff", b"\0", b"\x7f", b" "]))
        return raw[:at] + (filling * size)[: len(raw) - at] + raw[at + size :]
    found = list(re.finditer(rb"-?\b\d[\d.eE+-]*\b", raw))
    if kind == 6 and found:
        match = found[draw(st.integers(0, len(found) - 1))]
        return raw[: match.start()] + draw(st.sampled_from(_ODD)) + raw[match.end() :]
    lines = raw.split(b"\n")
    one, two = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
    lines[one], lines[two] = lines[two], draw(st.sampled_from([lines[one], b"", lines[two]]))
    return b"\n".join(lines)


# -- documents -------------------------------------------------------------------------------------------

_UNITS = [
    "um",
    "m",
    "K",
    "mK",
    "eV",
    "ueV",
    "mV",
    "uS",
    "Delta0",
    "ns",
    "1/s",
    "GHz",
    "furlong",
    "",
    "um^1e9",
]
_TEXTS = ["", " ", "\0", "é", "x" * 5000, "../..", "/dev/zero", "all", "left", "nan", "%s%n", "a\nb", "local"]
_PLAIN: list[Any] = [
    *(0, 1, -1, 2, 3, 0.5, 1e-6, 1e6, 1e308, 5e-324, math.nan, math.inf, -math.inf, 2**31, 2**63 - 1),
    *(True, False, [], {}, [1.0], {"a": 1}, *_TEXTS),
]
_QUANTITY = re.compile(r"\s*([-+]?\d[\d.]*(?:[eE][-+]?\d+)?)\s*(\S.*)")
_FACTORS = [10.0, 0.1, 1e3, 1e-3, 1e6, 1e-6, 1e12, 1e-12, -1.0, 0.0, 1.0000001, 1e100, 1e-100, 1e300]


def places(data: Any) -> list[tuple[Any, Any]]:
    """Every table or list in a document, with each of its keys."""
    items = list(
        data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    )
    return [(data, key) for key, _ in items] + [place for _, value in items for place in places(value)]


@st.composite
def another(draw: Callable[..., Any], value: Any, *, mild: bool = False) -> Any:
    """Another value in place of one; ``mild`` keeps its kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        changed = value * draw(st.sampled_from(_FACTORS[: 9 if mild else None]))
        near = int(changed) if isinstance(value, int) and math.isfinite(changed) else changed
        return near if mild else draw(st.sampled_from([near, value + 1, *_PLAIN]))
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match:
        number = float(match[1]) * draw(st.sampled_from(_FACTORS[: 9 if mild else None]))
        other = f"{number!r} {match[2]}"
        if mild:
            return other
        return draw(st.sampled_from([other, f"{match[1]} {draw(st.sampled_from(_UNITS))}", *_PLAIN]))
    if isinstance(value, list) and value:
        return draw(
            st.sampled_from([value[:1], value[::-1], value + value, *([] if mild else [[], value * 999])])
        )
    if mild:
        return value
    return draw(st.sampled_from([value + "x" if isinstance(value, str) else [value], *_PLAIN]))


@st.composite
def changed(draw: Callable[..., Any], data: dict[str, Any], *, mild: bool = False) -> dict[str, Any]:
    """A document with one to three values changed, left out or exchanged; ``data`` is a copy to work on."""
    for _ in range(draw(st.integers(1, 2 if mild else 3))):
        spots = places(data)
        if not spots:
            return data
        holder, key = spots[draw(st.integers(0, len(spots) - 1))]
        kind = 0 if mild else draw(st.integers(0, 5))
        if kind < 4:
            holder[key] = draw(another(holder[key], mild=mild))
        elif kind == 4:
            del holder[key]
        else:
            other, place = spots[draw(st.integers(0, len(spots) - 1))]
            with contextlib.suppress(KeyError, IndexError):
                holder[key] = other[place] if not isinstance(other[place], dict | list) else 1
    return data
