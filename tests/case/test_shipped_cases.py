"""Every case that is shipped: it is valid, and a page says what to look for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

import fvqp
from fvqp.case import case_from_dict, load_case
from fvqp.case.usadel.mesh_and_material_checks import check_with_materials
from fvqp.case.usadel.schema import UsadelCase
from fvqp.materials import load_material

CASES = Path(__file__).parents[2] / "cases"
FILES = sorted(path.relative_to(CASES) for path in CASES.rglob("*.toml"))


@pytest.mark.parametrize("file", FILES, ids=str)
def test_is_valid_and_has_its_place(file: Path) -> None:
    case = load_case(CASES / file)
    if isinstance(case, UsadelCase):
        check_with_materials(case, load_material("Al_ryan2026"), {})
    assert case_from_dict(tomllib.loads(case.resolved_toml())).hash == case.hash
    folder = next(folder for folder in (CASES / file).parents if (folder / "README.md").is_file())
    assert folder != CASES.parent and file.name in (folder / "README.md").read_text()


SPECTRA = [file for file in FILES if 'model = "diffusive"' in (CASES / file).read_text()]


@pytest.mark.parametrize("file", SPECTRA, ids=str)
def test_switches_spectra_by_one_key(file: Path) -> None:
    if not isinstance(load_case(CASES / file), UsadelCase):
        pytest.skip("transport has another key of that name")
    for model in ("local", "diffusive"):
        assert "valid" in fvqp.check(CASES / file, overrides=[f"spectrum.model={model}"])
