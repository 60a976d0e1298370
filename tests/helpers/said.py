"""What a command says about a case with mistakes in it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from case_keys import put

from fvqp import cli

Said = Callable[..., tuple[int, str]]


@pytest.fixture
def said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Said:
    """Exit code and message of a command (default: ``check``) for a base case with changes at dotted paths;
    a message of failure is one line."""
    monkeypatch.chdir(tmp_path)

    def say(base: dict[str, Any], changes: dict[str, Any], *arguments: str) -> tuple[int, str]:
        data = copy.deepcopy(base)
        for key, value in changes.items():
            put(data, key, copy.deepcopy(value))
        Path("case.toml").write_text(tomlkit.dumps(data))
        command, *rest = arguments or ("check",)
        code = cli.main([command, "case.toml", *rest, "-q"])
        lines = capsys.readouterr().err.splitlines(keepends=True)
        text = "".join(line for line in lines if not line.startswith("warning: this PETSc has no "))
        if code:
            assert text.count("\n") == 1 and text.startswith("fvqp: error: "), text
        return code, text.removeprefix("fvqp: error: ").rstrip()

    return say
