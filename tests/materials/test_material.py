"""The material library and user-defined materials."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import constants

from fvqp.errors import CaseError
from fvqp.materials import BCS_RATIO, Material, load_material, material_from_dict, material_names

KEYS = [field.name for field in dataclasses.fields(Material) if field.type == "InUnit[float]"]
MINE = {"gap": "180 ueV", "diffusivity": "60 cm^2/s", "resistivity": "3 uohm*cm"}


def test_aluminium_wire_gives_the_derived_numbers_of_the_paper() -> None:
    wire = load_material("Al_ryan2026")
    cross_section = 150e-9 * 8e-9
    assert wire.gap == pytest.approx(265e-6 * constants.e)
    assert wire.coherence_length == pytest.approx(65e-9, abs=0.5e-9)
    # The published values are rounded from ξ = 65 nm, 0.3 % above the unrounded one.
    assert wire.coherence_resistance(cross_section) == pytest.approx(8.57, rel=5e-3)
    assert wire.current_unit(cross_section) == pytest.approx(30.9e-6, rel=5e-3)
    assert wire.resistivity * 11e-6 / cross_section == pytest.approx(1450.0, rel=1e-4)
    assert 11e-6 / 2 / wire.coherence_length == pytest.approx(84.6, rel=5e-3)
    assert set(wire.sources) == {"gap", "diffusivity", "resistivity"}


def test_einstein_relation_and_bcs_ratio() -> None:
    wire = load_material("Al_ryan2026")
    n0 = wire.density_of_states
    assert 2 * constants.e**2 * n0 * wire.diffusivity * wire.resistivity == pytest.approx(1.0)
    assert BCS_RATIO == pytest.approx(1.7638769, abs=1e-7)
    assert wire.critical_temperature == pytest.approx(wire.gap / (1.7638769 * constants.k))


def test_every_entry_of_the_library_loads_and_names_its_sources() -> None:
    for name in material_names():
        material = load_material(name)
        given = {key for key in KEYS if not math.isnan(getattr(material, key))}
        assert given - {"critical_temperature"} <= set(material.sources)
        assert "gap" in given and material.description
        assert all(0.0 < size < getattr(material, key) for key, size in material.uncertainties.items())


def test_own_material() -> None:
    mine = material_from_dict("film", {**MINE, "critical_temperature": "1.3 K", "description": "a film"})
    assert (mine.critical_temperature, mine.diffusivity, mine.conductivity) == pytest.approx(
        (1.3, 6e-3, 1 / 3e-8)
    )


def test_own_library_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(
        '[film]\ngap = {value = "180 ueV", source = "me"}\ndiffusivity = "60 cm^2/s"\n'
        'resistivity = "3 uohm*cm"\n'
    )
    assert load_material("film", file).sources == {"gap": "me"}
    with pytest.raises(CaseError, match="known are film"):
        load_material("foil", file)
    file.write_text("[film")
    with pytest.raises(CaseError, match="no valid TOML"):
        load_material("film", file)
    with pytest.raises(CaseError, match="cannot read"):
        load_material("film", tmp_path / "missing.toml")


def test_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(CaseError, match=r'no material "Alu"; known are .*Al_ryan2026'):
        load_material("Alu")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"gap": "11 um"}, 'gap: expected an energy such as "265 ueV", got "11 um", which is a length'),
        ({"gap": "-1 meV"}, "gap must be positive"),
        ({"diffusivity": "0 cm^2/s"}, "diffusivity must be positive"),
        ({"colour": "grey"}, "unknown key colour"),
        ({"gap": {"source": "me"}}, "gap: expected value"),
        ({"gap": {"value": "1 meV", "source": 3}}, "source: expected text"),
        ({"gap": {"value": "1 meV", "uncertainty": "1 m"}}, "which is a length"),
        ({"gap": {"value": "1 meV", "uncertainty": "0 meV"}}, "uncertainty must be positive"),
        ({"ion_density": "6e28 1/m^2"}, "ion_density: expected a number density"),
        ({"characteristic_time": "-1 ns"}, "characteristic_time must be positive"),
        ({"description": 3}, "description: expected text"),
    ],
)
def test_bad_material(change: dict[str, object], words: str) -> None:
    with pytest.raises(CaseError) as caught:
        material_from_dict("film", {**MINE, **change})
    assert words in str(caught.value)
    assert str(caught.value).startswith('material "film"')


def test_missing_numbers_are_named_with_the_model_that_needs_them() -> None:
    with pytest.raises(CaseError, match="gap missing"):
        material_from_dict("film", {"diffusivity": "60 cm^2/s"})
    film = material_from_dict("film", {"gap": "1 meV", "resistivity": "3 uohm*cm"})
    for number in ("conductivity", "density_of_states", "coherence_length"):
        with pytest.raises(CaseError, match=r'"film": .*Usadel model.* needs diffusivity, not known'):
            getattr(film, number)
    with pytest.raises(CaseError, match="the lattice needs ion_density and debye_energy, .* give them"):
        film.require("the lattice", "ion_density", "gap", "debye_energy")


def test_uncertainties_in_the_same_units() -> None:
    film = material_from_dict("film", {"gap": {"value": "1 meV", "uncertainty": "20 ueV"}})
    assert film.uncertainties == {"gap": pytest.approx(20e-6 * constants.e)}


def test_normal_metal() -> None:
    copper = Material(name="N", gap=0.0, diffusivity=1e-2, resistivity=1e-8)
    assert copper.critical_temperature == 0.0 and copper.coherence_length == np.inf
    with pytest.raises(CaseError, match="gap must be a positive energy, or 0"):
        Material(name="N", gap=math.nan)
    with pytest.raises(CaseError, match="critical_temperature: a normal metal"):
        Material(name="N", gap=0.0, diffusivity=1e-2, resistivity=1e-8, critical_temperature=1.0)
