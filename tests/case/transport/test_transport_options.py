"""Every key of a case of the transport model moves a number: a key without an entry fails, and so does one
without effect."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
import pyvista
from case_keys import changed, keys
from matplotlib.image import imread
from transport_cases import FILM, SPHERE

import fvqp
from fvqp.case.models import schema

BASES = {"film": FILM, "sphere": SPHERE}


@dataclass(frozen=True)
class Option:
    """A value that differs from the one of the base case; ``number``: the variable that it moves by more than
    the factor ``by``; ``around``: changes at dotted paths beside it, also in the case that is compared."""

    base: str
    value: Any
    number: str = "n_qp"
    around: dict[str, Any] = field(default_factory=dict)
    by: float = 1e-6


WALL = {"quasiparticles.walls": {"outer": {"transmission": 0.5}}}
OTHER = {"regions.trap": {"material": {"name": "Ti"}}}
GLASS = {
    "regions.trap": {"insulator": True, "ion_density": "5e28 1/m^3", "debye_energy": "55 meV"},
    "phonons": {"motion": "ordinates", "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"},
}
SOUND = {"phonons": {"motion": "ordinates", "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"}}
FLYING = {
    "phonons": {
        "motion": "ordinates",
        "sound_velocity": "2 km/s",
        "free_path": "5 um",
        "walls": {"outer": {"transmission": 0.5}},
    }
}
CYLINDER = {"body.geometry": "cylinder"}
BETWEEN = {
    "mesh.shape.regions.rest": [["0 um", "4 um"], "all"],
    "quasiparticles.interfaces": [{"between": ["trap", "rest"], "transmission": 0.1}],
}
SIZED = {"initial.pulses.0.peak": None, "initial.pulses.0.energy": "2 MeV"}
FILM_PULSE = {
    "initial.pulses": [
        {"of": "phonons", "centre": "3 Delta0", "width": "0.3 Delta0", "peak": 0.01, "size": "1 um"}
    ]
}

OPTIONS: dict[str, Option] = {
    "material.name": Option("film", "Ta"),
    "material.gap": Option("film", "190 ueV"),
    "material.critical_temperature": Option("film", "1.3 K"),
    "material.characteristic_time": Option("film", "300 ns"),
    "material.pair_breaking_time": Option("film", "0.3 ns"),
    "material.dressed_density_of_states": Option("film", "2e10 1/eV/um^3"),
    "body.geometry": Option("sphere", "cylinder"),
    "body.radius": Option("sphere", "9 um"),
    "body.shells": Option("sphere", 6),
    "body.inner_radius": Option("sphere", "2 um"),
    "energies.maximum": Option("film", "3.5 Delta0", "energy"),
    "energies.spacing": Option("film", "graded", "energy"),
    "energies.width": Option("film", "0.2 Delta0", "energy"),
    "energies.growth": Option("film", 0.1, "energy", around={"energies.spacing": "graded"}),
    "energies.lowest_gap": Option("film", "0.3 Delta0", "energy"),
    "energies.phonon_maximum": Option("film", "4 Delta0", "omega"),
    "energies.rule": Option("film", "bin"),
    "gap.model": Option("sphere", "fixed", "gap"),
    "gap.value": Option("film", "0.9 Delta0", "gap"),
    # with paths of a third of a cell: of far shorter ones both are the same diffusion
    "quasiparticles.motion": Option(
        "film", "ordinates", "n_qp_cell", around={"quasiparticles.diffusivity": "2000 cm^2/s"}
    ),
    "quasiparticles.directions": Option("sphere", 6, "n_qp_cell"),
    "quasiparticles.azimuths": Option("sphere", 4, "n_qp_cell", around=CYLINDER),
    "quasiparticles.scheme": Option("sphere", "upwind", "n_qp_cell"),
    "quasiparticles.walls": Option("sphere", WALL["quasiparticles.walls"]),
    "quasiparticles.walls.transmission": Option("sphere", 0.2, around=WALL),
    "quasiparticles.walls.specularity": Option("sphere", 0.9, "n_qp_cell", around=WALL),
    "quasiparticles.interfaces": Option(
        "film",
        BETWEEN["quasiparticles.interfaces"],
        around={"mesh.shape.regions.rest": [["0 um", "4 um"], "all"]},
    ),
    "quasiparticles.interfaces.transmission": Option("film", 0.3, around=BETWEEN),
    "quasiparticles.fermi_velocity": Option("sphere", "0.5e6 m/s", "n_qp_cell"),
    "quasiparticles.free_path": Option("sphere", "2 um", "n_qp_cell"),
    "quasiparticles.diffusivity": Option("film", "10 cm^2/s", "n_qp_cell"),
    "phonons.model": Option("film", "bath", around={"phonons": {}}),
    "phonons.motion": Option("sphere", "diffusive", "energy_escaped", around=FLYING),
    "phonons.directions": Option("sphere", 6, "energy_escaped"),
    "phonons.azimuths": Option("sphere", 4, "energy_escaped", around=CYLINDER),
    "phonons.scheme": Option("sphere", "upwind", "energy_escaped"),
    "phonons.walls.transmission": Option("sphere", 0.2, "energy_escaped"),
    "phonons.walls.specularity": Option("sphere", 0.9, "energy_escaped"),
    "phonons.sound_velocity": Option("sphere", "3 km/s", "energy_escaped"),
    "phonons.free_path": Option("sphere", "1 um", "energy_escaped"),
    "phonons.escape.time": Option("film", "2 ns", "energy_escaped"),
    "collisions.inelastic": Option("film", False),
    "regions.material.name": Option("film", "Ti", around={"regions.trap": {"material": {"name": "Al"}}}),
    "regions.material.gap": Option("film", "70 ueV", "gap", around=OTHER),
    "regions.material.critical_temperature": Option("film", "0.5 K", around=OTHER),
    "regions.material.characteristic_time": Option("film", "1 us", around=OTHER),
    "regions.material.pair_breaking_time": Option("film", "0.5 ns", around=OTHER),
    "regions.material.dressed_density_of_states": Option("film", "3e10 1/eV/um^3", around=OTHER),
    "regions.gap": Option("film", "0.7 Delta0", "gap"),
    "regions.insulator": Option("film", True, "energy_ph", around=GLASS),
    "regions.ion_density": Option("film", "6e28 1/m^3", "energy_ph", around=GLASS),
    "regions.debye_energy": Option("film", "50 meV", "energy_ph", around=GLASS),
    "regions.fermi_velocity": Option(
        "film", "1e5 m/s", "n_qp_cell", around={"regions.trap.free_path": "10 nm"}
    ),
    "regions.free_path": Option("film", "10 nm", "n_qp_cell"),
    "regions.diffusivity": Option("film", "1 cm^2/s", "n_qp_cell"),
    "regions.sound_velocity": Option("film", "1 km/s", "energy_ph_cell", around=SOUND),
    "regions.phonon_free_path": Option("film", "0.1 um", "energy_ph_cell", around=SOUND),
    "regions.escape.time": Option("film", "5 ns", "energy_escaped"),
    "initial.temperature": Option("film", "0.4 K"),
    "initial.pulses.of": Option("sphere", "phonons", "energy_qp"),
    "initial.pulses.centre": Option("sphere", "1.8 Delta0"),
    "initial.pulses.width": Option("sphere", "0.28 Delta0"),
    "initial.pulses.size": Option("sphere", "3 um"),
    "initial.pulses.position": Option("film", ["3 um", "1 um", "0 um"], "energy_ph_cell", around=FILM_PULSE),
    "initial.pulses.regions": Option("film", ["trap"], around=FILM_PULSE),
    "initial.pulses.peak": Option("sphere", 0.2),
    "initial.pulses.energy": Option("sphere", "1 MeV", around=SIZED),
    "injections.of": Option("film", "phonons"),
    "injections.centre": Option("film", "1.8 Delta0"),
    "injections.width": Option("film", "0.1 Delta0"),
    "injections.size": Option("film", "1 um"),
    "injections.position": Option(
        "film", ["3 um", "1 um", "0 um"], around={"injections.0.size": "1 um", "injections.0.regions": None}
    ),
    "injections.regions": Option("film", ["trap"]),
    "injections.power": Option("film", "2e9 W/m^3"),
    "bath.temperature": Option("film", "0.35 K"),
    "evolution.end": Option("film", "0.5 us", "time"),
    "evolution.start": Option("film", "2 ns", "time"),
    "evolution.points_per_decade": Option("film", 2, "time"),
    "evolution.tolerance": Option("film", 0.01),
    "evolution.method": Option("film", "imex"),
    "output.energy_shells": Option("film", ["0.5 Delta0", "1 Delta0", "3 Delta0"], "energy_range_from"),
}
"""Keys whose effect is in the dataset."""

ELSEWHERE = {
    "title",
    "model",
    "mesh.file",
    "mesh.length_unit",
    "mesh.coordinates",
    "quasiparticles.quadrature",
    "quasiparticles.degree",
    "phonons.quadrature",
    "phonons.degree",
    "injections.file",
    "output.occupations",
    "output.fields",
    "figures.kind",
    "figures.file",
    "figures.title",
    "solver.petsc",
}
"""Keys with a test of their own below, or shared with other models."""

OF_DEVICES = ("microwaves.", "resonator.", "steady_state.", "trapping.", "initial.steady")
"""Beginnings of keys of drives, probes and steady states, which are tested with devices."""

OF_BOUNDARIES = (
    "phonons.interfaces",
    "phonons.branches",
    "periodic",
    "quasiparticles.interfaces.between",
    "quasiparticles.interfaces.specularity",
)
"""Beginnings of keys of boundaries, interfaces and branches, which are tested with these."""

OF_SPECTRA = ("spectrum.", "regions.spectrum.", "phonons.dispersion.", "regions.phonon_dispersion.")
"""Beginnings of keys of spectra of Eliashberg theory and of dispersion, which have tests of their own."""

PLACES = {
    "walls": "walls.outer",
    "interfaces": "interfaces.0",
    "pulses": "pulses.0",
    "injections": "injections.0",
    "regions": "regions.trap",
}
"""Tables that are entries of lists or dictionaries, and which of them the cases have."""


def place(key: str) -> str:
    """Dotted path of a key in the cases here."""
    parts = key.split(".")
    whole = [PLACES.get(part, part) if number + 1 < len(parts) else part for number, part in enumerate(parts)]
    return ".".join(whole)


@cache
def _dataset(text: str) -> Any:
    return fvqp.run(json.loads(text)).dataset


def number(data: dict[str, Any], name: str) -> np.ndarray:
    return np.asarray(_dataset(json.dumps(data))[name].values, dtype=float).ravel()


def test_every_key_is_here():
    shapes = {key for key in keys(schema("transport")) if key.startswith("mesh.shape")}
    shared = {key for key in keys(schema("transport")) if "escape." in key and not key.endswith(".time")}
    # of walls and interfaces, and branches: test_transport_boundaries, test_transport_branches
    boundaries = {key for key in keys(schema("transport")) if key.startswith(OF_BOUNDARIES)}
    of_devices = {key for key in keys(schema("transport")) if key.startswith(OF_DEVICES + OF_SPECTRA)}
    # of localized quasiparticles: test_transport_localization
    localized = {key for key in keys(schema("transport")) if key.startswith("localization")}
    here = keys(schema("transport")) - shapes - shared - boundaries - of_devices - localized
    tables = {"quasiparticles.walls", "quasiparticles.interfaces"}
    here -= {f"{one}.walls.kind" for one in ("quasiparticles", "phonons")}
    assert here | tables == set(OPTIONS) | ELSEWHERE


def test_injection_from_a_file(tmp_path):
    """A table with the points of a Gaussian injects what the Gaussian does."""
    gaussian = changed(FILM, {"evolution.end": "2 ns", "injections.0.of": "phonons"})
    expected = fvqp.run(gaussian).dataset
    source, delta0 = gaussian["injections"][0], expected.attrs["delta0_eV"]
    centre, width = (float(source[key].split()[0]) for key in ("centre", "width"))
    energy = np.linspace(centre - 5 * width, centre + 5 * width, 400)
    rows = np.column_stack([energy * delta0, np.exp(-0.5 * ((energy - centre) / width) ** 2)])
    np.savetxt(tmp_path / "i.csv", rows, delimiter=",", header="energy_eV,particles", comments="")
    left_out = {"injections.0.centre": None, "injections.0.width": None}
    from_file = changed(gaussian, left_out | {"injections.0.file": str(tmp_path / "i.csv")})
    found = fvqp.run(from_file).dataset
    np.testing.assert_allclose(found["energy_ph_cell"], expected["energy_ph_cell"], rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("key", OPTIONS)
def test_a_key_moves_a_number(key):
    option = OPTIONS[key]
    without = changed(BASES[option.base], SOUND if key == "regions.insulator" else option.around)
    with_it = changed(BASES[option.base], option.around | {place(key): option.value})
    before, after = number(without, option.number), number(with_it, option.number)
    if before.shape == after.shape:
        scale = np.nanmax(np.abs(before)) or 1.0
        assert np.nanmax(np.abs(after - before)) > option.by * scale


@pytest.mark.slow
def test_what_is_stored_and_drawn(tmp_path):
    data = changed(FILM, {"output": {"occupations": True, "fields": True}})
    data["figures"] = [{"kind": "map", "file": "film.png", "title": "Film"}, {"kind": "density"}]
    data["evolution"]["end"] = "10 ns"
    found = fvqp.run(data, out=tmp_path / "out").dataset
    assert found["f"].dims == ("time", "cell", "energy") and found["n"].dims == ("time", "cell", "omega")
    assert np.all(np.isfinite(found["f"].values))
    reader = pyvista.get_reader(str(tmp_path / "out" / "fields.pvd"))
    reader.set_active_time_value(reader.time_values[-1])
    shown = reader.read()[0].cell_data["n_qp_cell (1/um^3)"]
    assert np.allclose(shown, 1e-18 * found["n_qp_cell"].values[-1])
    assert imread(tmp_path / "out" / "figures" / "film.png").size > 0
    assert (tmp_path / "out" / "figures" / "density.png").exists()
