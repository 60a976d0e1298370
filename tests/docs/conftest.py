"""What the tests of the documentation share."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from extensions import registering  # noqa: F401
from pages import ROOT


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registering: None) -> Path:  # noqa: F811
    """A folder with the cases and meshes of the project, and nothing that may be spoilt."""
    shutil.copytree(ROOT / "cases", tmp_path / "cases")
    (tmp_path / "meshes").symlink_to(ROOT / "meshes")
    monkeypatch.chdir(tmp_path)
    return tmp_path
