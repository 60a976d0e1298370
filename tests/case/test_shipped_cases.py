"""Every case that is shipped: it is valid, and a page says what to look for."""

from __future__ import annotations

from pathlib import Path

import pytest

from fvqp.case import load_case

CASES = Path(__file__).parents[2] / "cases"
FILES = sorted(path.relative_to(CASES) for path in CASES.rglob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_is_valid_and_has_its_place(file: Path) -> None:
    load_case(CASES / file)
    folder = next(folder for folder in (CASES / file).parents if (folder / "README.md").is_file())
    assert folder != CASES.parent and file.name in (folder / "README.md").read_text()
