"""Classes and materials that a test registers, and files that it adds to packages of fvqp."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from fvqp import (
    BoltzmannObservable,
    BoundaryTable,
    Material,
    ProcessTable,
    UsadelField,
    UsadelObservable,
)

KINDS = (
    BoltzmannObservable,
    BoundaryTable,
    Material,
    ProcessTable,
    UsadelField,
    UsadelObservable,
)
Added = Callable[[str, str], None]


@pytest.fixture
def registering() -> Iterator[None]:
    """What is registered within a test is forgotten after it."""
    yield
    for kind in KINDS:
        registry: Any = kind.registry
        for name in registry.added:
            registry.remove(name)


@pytest.fixture
def added_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Added]:
    """Puts a module beside those of a package of fvqp, as if its file were there."""
    modules = []

    def add(package: str, text: str) -> None:
        home = import_module(package)
        folder = tmp_path / package
        folder.mkdir()
        (folder / "new.py").write_text(textwrap.dedent(text))
        monkeypatch.setattr(home, "__path__", [*home.__path__, str(folder)])
        modules.append((package, home))
        forget()

    def forget() -> None:
        for kind in KINDS:
            if kind is not Material:
                monkeypatch.setattr(kind.registry, "_own", None)

    yield add
    for package, home in modules:
        sys.modules.pop(f"{package}.new", None)
        vars(home).pop("new", None)
