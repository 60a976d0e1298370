"""Every key of a case of the transport model moves a number: a key without an entry fails, and so does one
without effect. Keys of tables that films have too are in `test_boltzmann_options`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import pyvista
from case_keys import changed, keys
from matplotlib.image import imread
from options import Option, assert_moves
from transport_cases import BESIDE, BLOCK, CHAIN, DRIVE, FILM, PROBE, SINE, SPHERE, TIN

import fvqp
from fvqp.case.models import schema


def of_sphere(value: Any, number: str = "", around: dict[str, Any] | None = None) -> Option:
    """Return an option of the sphere."""
    return Option(value, number, around or {}, SPHERE)


WALL = {"quasiparticles.walls": {"outer": {"transmission": 0.5}}}
OTHER = {"regions.trap": {"material": {"name": "Ti"}}}
SOUND = {"phonons": {"motion": "ordinates", "directions": 2, "azimuths": 4, "sound_velocity": "4 km/s"}}
GLASS = {
    "regions.trap": {"insulator": True, "ion_density": "5e28 1/m^3", "debye_energy": "55 meV"},
    **SOUND,
}
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
BRIEF = {"evolution.end": "30 ns"}
TRAP = "regions.trap"
SIZED = {"initial.pulses.0.peak": None, "initial.pulses.0.energy": "2 MeV"}
FILM_PULSE = {
    "initial.pulses": [
        {"of": "phonons", "centre": "3 Delta0", "width": "0.3 Delta0", "peak": 0.01, "size": "1 um"}
    ]
}

THICK = {
    "cross_section.thickness": "100 nm",
    "injections.0.of": "phonons",
    "injections.0.centre": "3 Delta0",
    "injections.0.power": None,
    "injections.0.total_power": "200 pW",
}
LINE = {
    "mesh.shape": {"kind": "grid1d", "nx": 6, "Lx": "6 um", "regions": {"trap": ["4 um", "6 um"]}},
    "injections.0.regions": None,
    "cross_section.width": "2 um",
}

OPTIONS: dict[str, Option] = {
    "body.geometry": of_sphere("cylinder"),
    "body.radius": of_sphere("9 um"),
    "body.shells": of_sphere(6),
    "body.inner_radius": of_sphere("2 um"),
    "energies.rule": Option("bin"),
    "gap.model": of_sphere("fixed", "gap"),
    "gap.profile": Option("1 - 0.1*(x > 2 um)", "gap", around=BRIEF),
    "gap.value": Option("0.9 Delta0", "gap"),
    # with paths of a third of a cell: of far shorter ones both are the same diffusion
    "quasiparticles.motion": Option(
        "ordinates", "n_qp_cell", around={"quasiparticles.diffusivity": "2000 cm^2/s"}
    ),
    "quasiparticles.directions": of_sphere(6, "n_qp_cell"),
    "quasiparticles.azimuths": of_sphere(4, "n_qp_cell", around=CYLINDER),
    "quasiparticles.scheme": of_sphere("upwind", "n_qp_cell"),
    "quasiparticles.walls": of_sphere(WALL["quasiparticles.walls"]),
    "quasiparticles.walls.transmission": of_sphere(0.2, around=WALL),
    "quasiparticles.walls.temperature": of_sphere("1.5 K", around=WALL),
    "quasiparticles.walls.occupation": of_sphere("0.1*exp(-E/(0.5 meV))", around=WALL),
    "quasiparticles.walls.specularity": of_sphere(0.9, "n_qp_cell", around=WALL),
    "quasiparticles.interfaces": Option(
        BETWEEN["quasiparticles.interfaces"],
        around={"mesh.shape.regions.rest": [["0 um", "4 um"], "all"]},
    ),
    "quasiparticles.interfaces.transmission": Option(0.3, around=BETWEEN),
    "quasiparticles.fermi_velocity": of_sphere("0.5e6 m/s", "n_qp_cell"),
    "quasiparticles.free_path": of_sphere("2 um", "n_qp_cell"),
    "quasiparticles.diffusivity": Option("10 cm^2/s", "n_qp_cell"),
    "phonons.model": Option("bath", around={"phonons": {}}),
    "phonons.motion": of_sphere("diffusive", "energy_escaped", around=FLYING),
    "phonons.directions": of_sphere(6, "energy_escaped"),
    "phonons.azimuths": of_sphere(4, "energy_escaped", around=CYLINDER),
    "phonons.scheme": of_sphere("upwind", "energy_escaped"),
    "phonons.walls.transmission": of_sphere(0.2, "energy_escaped"),
    "phonons.walls.temperature": of_sphere("1.5 K", "energy_escaped"),
    "phonons.walls.occupation": of_sphere("exp(-E/(0.5 meV))", "energy_escaped"),
    "phonons.walls.specularity": of_sphere(0.9, "energy_escaped"),
    "phonons.sound_velocity": of_sphere("3 km/s", "energy_escaped"),
    "phonons.free_path": of_sphere("1 um", "energy_escaped"),
    "phonons.escape.time": Option("2 ns", "energy_escaped"),
    "collisions.inelastic": Option(False),
    "regions.material.name": Option("Ti", around={"regions.trap": {"material": {"name": "Al"}}}),
    "regions.material.gap": Option("70 ueV", "gap", around=OTHER),
    "regions.material.critical_temperature": Option("0.5 K", around=OTHER),
    "regions.material.characteristic_time": Option("1 us", around=OTHER),
    "regions.material.pair_breaking_time": Option("0.5 ns", around=OTHER),
    "regions.material.dressed_density_of_states": Option("3e10 1/eV/um^3", around=OTHER),
    "regions.gap": Option("0.7 Delta0", "gap"),
    "regions.insulator": Option(GLASS["regions.trap"], "energy_ph", around=SOUND, path="regions.trap"),
    "regions.ion_density": Option("6e28 1/m^3", "energy_ph", around=GLASS),
    "regions.debye_energy": Option("50 meV", "energy_ph", around=GLASS),
    "regions.fermi_velocity": Option("1e5 m/s", "n_qp_cell", around={"regions.trap.free_path": "10 nm"}),
    "regions.free_path": Option("10 nm", "n_qp_cell"),
    "regions.diffusivity": Option("1 cm^2/s", "n_qp_cell"),
    "regions.sound_velocity": Option("1 km/s", "energy_ph_cell", around=SOUND),
    "regions.phonon_free_path": Option("0.1 um", "energy_ph_cell", around=SOUND),
    "regions.escape.time": Option("5 ns", "energy_escaped"),
    "initial.temperature": Option("0.4 K"),
    "initial.pulses.of": of_sphere("phonons", "energy_qp"),
    "initial.pulses.centre": of_sphere("1.8 Delta0"),
    "initial.pulses.width": of_sphere("0.28 Delta0"),
    "initial.pulses.size": of_sphere("3 um"),
    "initial.pulses.position": Option(["3 um", "1 um", "0 um"], "energy_ph_cell", around=FILM_PULSE),
    "initial.pulses.spectrum": Option(
        [{"of": "phonons", "spectrum": "E/(1 meV)", "peak": 0.01, "size": "1 um"}],
        around=FILM_PULSE | BRIEF,
        path="initial.pulses",
    ),
    "initial.pulses.profile": Option(
        "x/(2 um)", around=FILM_PULSE | {"initial.pulses.0.size": None, **BRIEF}
    ),
    "initial.pulses.regions": Option(["trap"], around=FILM_PULSE),
    "initial.pulses.peak": of_sphere(0.2),
    "initial.pulses.energy": of_sphere("1 MeV", around=SIZED),
    "injections.size": Option("1 um"),
    "injections.total_power": Option("400 pW", "energy_injected", THICK, to=2.0),
    "cross_section.thickness": Option("200 nm", "energy_injected", THICK, to=0.5),
    "cross_section.width": Option("4 um", "energy_injected", THICK | LINE, to=0.5),
    "injections.position": Option(
        ["3 um", "1 um", "0 um"], around={"injections.0.size": "1 um", "injections.0.regions": None}
    ),
    "injections.profile": Option("1 + (x > 3 um)", around={"injections.0.regions": None}),
    "injections.spectrum": Option(
        [{"of": "quasiparticles", "spectrum": "E > 0.3 meV", "power": "1e9 W/m^3", "regions": ["strip"]}],
        around=BRIEF,
        path="injections",
    ),
    "injections.start": Option("5 ns", around=BRIEF),
    "injections.duration": Option("5 ns", around=BRIEF),
    "injections.time_profile": Option("t/(5 ns)", around=BRIEF | {"injections.0.duration": "5 ns"}),
    "injections.regions": Option(["trap"]),
    "microwaves.regions": Option(["strip"], around={**BRIEF, "microwaves": [DRIVE]}),
    "trapping.regions": Option(["strip"], around={**BRIEF, "trapping": [{"rate": "10 MHz"}]}),
    "resonator.region": Option("strip", "inverse_quality_factor", {**BRIEF, "resonator": PROBE}),
    "initial.steady": Option(True, around=BRIEF),
    "regions.spectrum.model": Option(
        TIN, "energy_qp", {f"{TRAP}.spectrum": {"model": "bcs"}}, BESIDE, f"{TRAP}.spectrum"
    ),
    "regions.spectrum.temperature": Option("2.5 K", "gap", base=BESIDE),
    "regions.spectrum.renormalization": Option("energy", base=BESIDE),
    "phonons.dispersion.model": Option(SINE, "energy_ph_cell", base=SPHERE, path="phonons.dispersion"),
    "phonons.dispersion.maximum": Option("5 meV", "energy_ph_cell", base=CHAIN),
    "regions.phonon_dispersion.model": Option(
        SINE, "energy_ph_cell", {f"{TRAP}.phonon_dispersion": None}, BLOCK, f"{TRAP}.phonon_dispersion"
    ),
    "regions.phonon_dispersion.maximum": Option("5 meV", "energy_ph_cell", base=BLOCK),
    "bath.temperature": Option("0.35 K"),
    "evolution.end": Option("0.5 us", "time"),
    "evolution.start": Option("2 ns", "time"),
    "evolution.points_per_decade": Option(2, "time"),
    "evolution.tolerance": Option(0.01),
    "output.energy_shells": Option(["0.5 Delta0", "1 Delta0", "3 Delta0"], "energy_range_from"),
}
"""Keys whose effect is in the dataset."""

ELSEWHERE = {
    "title",
    "model",
    "mesh.file",
    "mesh.length_unit",
    "mesh.coordinates",
    "quasiparticles.walls.duration",
    "quasiparticles.walls.velocity",
    "phonons.walls.duration",
    "phonons.walls.velocity",
    "quasiparticles.quadrature",
    "quasiparticles.degree",
    "phonons.quadrature",
    "phonons.degree",
    "injections.file",
    "evolution.method",
    "output.occupations",
    "output.fields",
    "figures.kind",
    "figures.file",
    "figures.title",
    "solver.petsc",
    "steady_state.tolerance",
    "steady_state.maximum_iterations",
    "phonons.dispersion.file",
    "regions.phonon_dispersion.file",
}
"""Keys with a test of their own here or beside, or shared with other models."""

OF_FILMS = (
    "energies.",
    "injections.",
    "material.",
    "microwaves.",
    "phonons.escape.",
    "regions.escape.",
    "regions.spectrum.interaction.",
    "resonator.",
    "spectrum.",
    "trapping.",
)
"""Beginnings of keys of tables that films have too, for the same functions."""

OF_TESTS = (
    "localization",
    "mesh.shape",
    "periodic",
    "phonons.branches",
    "phonons.interfaces",
    "quasiparticles.interfaces.between",
    "quasiparticles.interfaces.specularity",
)
"""Beginnings of keys of boundaries, branches, localization and meshes, which have tests of their own."""

PLACES = {"walls": "walls.outer", "regions": "regions.trap"}
"""Tables by name, and which of them the cases have."""


def place(key: str) -> str:
    """Dotted path of a key in the cases here."""
    *tables, last = key.split(".")
    return ".".join([*(PLACES.get(table, table) for table in tables), last])


def test_every_key_is_here():
    tested = set(OPTIONS) | ELSEWHERE
    missing = keys(schema("transport")) - tested
    assert {key for key in missing if not key.startswith(OF_FILMS + OF_TESTS)} == {
        "quasiparticles.walls.kind",
        "phonons.walls.kind",
    }
    assert tested - keys(schema("transport")) == {"quasiparticles.walls", "quasiparticles.interfaces"}
    shared = {key.removeprefix("regions.") for key in missing if key.startswith(OF_FILMS)}
    shared = {f"phonons.{key}" if key.startswith("escape") else key for key in shared}
    assert shared <= keys(schema("boltzmann"))


@pytest.mark.slow
@pytest.mark.parametrize("key", OPTIONS)
def test_a_key_moves_a_number(key):
    option = OPTIONS[key]
    assert_moves(key, replace(option, path=option.path or place(key)), FILM, "n_qp")


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
