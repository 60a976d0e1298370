"""Transport with Eliashberg spectra, gaps of several superconductors, and phonons with dispersion."""

from __future__ import annotations

import copy
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "helpers"))

import numpy as np
import pytest
from case_keys import keys, put
from said import Said, said  # noqa: F401
from transport_cases import FILM, SPHERE

import fvqp
from fvqp.case.transport.schema import TransportCase

TIN = {"model": "eliashberg", "interaction": {"metal": "Sn"}}
DEBYE = {"coupling": 1.5, "debye_energy": "10 meV", "coulomb": 0.1}
METAL = {"interaction": {"metal": "Nb"}}


def changed(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    data = copy.deepcopy(base)
    for path, value in changes.items():
        put(data, path, copy.deepcopy(value))
    return data


#: A sphere of tin by strong coupling, a film with a region of it; phonons with dispersion in both.
STRONG = changed(SPHERE, {"spectrum": TIN, "gap": {"model": "fixed"}, "evolution.end": "0.1 ns"})
BESIDE = changed(
    FILM,
    {
        "material.name": "Sn",
        "bath.temperature": "1 K",
        "energies.maximum": "8 Delta0",
        "energies.width": "0.5 Delta0",
        "regions.trap": {"material": {"name": "Sn"}, "spectrum": TIN},
        "injections.0.centre": "6 Delta0",
        "injections.0.width": "0.3 Delta0",
        "injections.0.regions": ["trap"],
        "evolution.end": "10 ns",
    },
)
CHAIN = changed(SPHERE, {"phonons.dispersion": {"model": "sine", "maximum": "4 meV"}})
BLOCK = changed(
    FILM,
    {
        "phonons": {"motion": "ordinates", "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"},
        "regions.trap": {"phonon_dispersion": {"model": "sine", "maximum": "4 meV"}},
        "evolution.end": "10 ns",
    },
)


def with_interaction(place: str, base: dict[str, Any], key: str, value: Any, **around: Any) -> Any:
    """A Debye-like interaction without and with one key changed."""
    table = {**DEBYE, **around}
    return changed(base, {f"{place}.interaction": table}), changed(
        base, {f"{place}.interaction": {**table, key: value}}
    )


def pairs() -> dict[str, tuple[dict[str, Any], dict[str, Any], str]]:
    """Key → case without and with another value, and the variable that it moves."""
    found: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {}
    for place, base in (("spectrum", STRONG), ("regions.trap.spectrum", BESIDE)):
        name = place.replace(".trap", "")
        weak = {place: {"model": "bcs"}}
        found[f"{name}.model"] = changed(base, weak), base, "energy_qp"
        found[f"{name}.temperature"] = base, changed(base, {f"{place}.temperature": "2.5 K"}), "gap"
        found[f"{name}.renormalization"] = (
            base,
            changed(base, {f"{place}.renormalization": "energy"}),
            "n_qp",
        )
        table = f"{place}.interaction"
        found[f"{name}.interaction.metal"] = base, changed(base, {f"{table}.metal": "Al"}), "n_qp"
        chosen = {"coulomb": None, "critical_temperature": "5 K"}
        for key, value in (
            ("coupling", 1.7),
            ("debye_energy", "12 meV"),
            ("coulomb", 0.2),
            ("cutoff", "100 meV"),
        ):
            found[f"{name}.interaction.{key}"] = (*with_interaction(place, base, key, value), "n_qp")
        table_of = {k: v for k, v in (DEBYE | chosen).items() if v is not None}
        found[f"{name}.interaction.critical_temperature"] = (
            changed(base, {table: table_of}),
            changed(base, {table: table_of | {"critical_temperature": "6 K"}}),
            "n_qp",
        )
    for place, base in (("phonons.dispersion", CHAIN), ("regions.trap.phonon_dispersion", BLOCK)):
        name = place.replace(".trap", "")
        found[f"{name}.model"] = changed(base, {place: None}), base, "energy_ph_cell"
        found[f"{name}.maximum"] = base, changed(base, {f"{place}.maximum": "5 meV"}), "energy_ph_cell"
    return found


PAIRS = pairs()
FILES = {"spectrum.interaction.file", "regions.spectrum.interaction.file"}
TABLES = {"phonons.dispersion.file", "regions.phonon_dispersion.file"}
"""Keys of files: the former are read by the same table in all models."""


def test_every_key_is_here():
    places = ("spectrum.", "regions.spectrum.", "phonons.dispersion.", "regions.phonon_dispersion.")
    assert {key for key in keys(TransportCase) if key.startswith(places)} == set(PAIRS) | FILES | TABLES


@pytest.mark.slow
@pytest.mark.parametrize("key", PAIRS)
def test_a_key_moves_a_number(key):
    without, with_it, name = PAIRS[key]
    before, after = (fvqp.run(copy.deepcopy(data)).dataset[name].values for data in (without, with_it))
    if before.shape == after.shape:
        assert np.nanmax(np.abs(after - before)) > 1e-5 * np.nanmax(np.abs(before))
