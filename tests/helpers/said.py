"""What commands say about mistakes: fixtures of all tests of cases."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from case_keys import changed

import fvqp
from fvqp import cli

Answer = Callable[..., tuple[int, str]]
Said = Callable[..., tuple[int, str]]


def write_case(base: dict[str, Any], changes: dict[str, Any], path: str = "case.toml") -> None:
    """A file with a base case changed at dotted paths."""
    Path(path).write_text(tomlkit.dumps(changed(base, changes)))


@pytest.fixture
def answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Answer:
    """Exit code of a command line in an empty folder, and its message.

    A message of failure is one line, or a line for each of several mistakes of a case.
    """
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str]:
        code = cli.main([*arguments, "-q"])
        lines = capsys.readouterr().err.splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith("warning: this PETSc has no "))
        if code:
            lines = text.splitlines()
            assert text.startswith("fvqp: error: ") and "Traceback" not in text, text
            assert len(lines) == 1 or lines[0].endswith(f" {len(lines) - 1} mistakes"), text
            assert all(line.startswith("  ") for line in lines[1:]), text
        return code, text.removeprefix("fvqp: error: ").rstrip()

    return run


@pytest.fixture
def said(answer: Answer) -> Said:
    """The answer of a command (default: ``check``) to a base case with changes at dotted paths, as a file."""

    def say(base: dict[str, Any], changes: dict[str, Any], *arguments: str) -> tuple[int, str]:
        write_case(base, changes)
        command, *rest = arguments or ("check",)
        return answer(command, "case.toml", *rest)

    return say


def warned(caplog: pytest.LogCaptureFixture, base: dict[str, Any], **changes: Any) -> str:
    """What a run warns of, in the log and in its results; ``a__b`` stands for the dotted path ``a.b``."""
    data = changed(base, {key.replace("__", "."): value for key, value in changes.items()})
    with caplog.at_level(logging.WARNING):
        stored = str(fvqp.run(data).dataset.attrs["warnings"])
    assert all(line in caplog.text for line in stored.splitlines())
    return stored
