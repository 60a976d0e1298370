"""The glossary has every name of results.nc, and no other."""

from __future__ import annotations

import re

from pages import DOCS

from fvqp.case.models import result_names

QUANTITIES = result_names()
ENDINGS = ("error", "analytic", "thermal", "run", "law", "evolution", "matsubara", "one_sided", "estimate")
#: What the glossary names in this way, and is no variable.
ELSE = {"results.nc", "delta0_eV", *(f"_{ending}" for ending in (*ENDINGS, "junction"))}

UNITS = {unit: unit for unit in ("A", "K", "S", "V", "W", "eV", "s")}
UNITS |= {
    "W m⁻³": "W m-3",
    "J m⁻³": "J m-3",
    "s⁻¹": "s-1",
    "C m⁻³": "C m-3",
    "m⁻³": "m-3",
    "m⁻³ s⁻¹": "m-3 s-1",
}


def plain(name: str) -> str:
    """The name without the endings that the page explains."""
    return re.sub(rf"(_({'|'.join(ENDINGS)}))+$", "", name)


def test_names_of_results() -> None:
    page = (DOCS / "glossary.md").read_text()
    named = set(re.findall(r"`([^`]+)`", page)) - ELSE
    assert named <= set(QUANTITIES)
    assert {plain(name) for name in QUANTITIES} - {plain(name) for name in named} == set()


def test_units_of_results() -> None:
    """In a line of one unit, names have this unit, or none as the dimensions have."""
    seen = 0
    for line in (DOCS / "glossary.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 7 and cells[3] in UNITS:
            for name in set(re.findall(r"`([^`]+)`", cells[4])) & set(QUANTITIES):
                assert QUANTITIES[name].units in ("1", UNITS[cells[3]]), name
                seen += QUANTITIES[name].units != "1"
    assert seen > 30
