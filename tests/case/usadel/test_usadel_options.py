"""Every key of a case moves a number: a key without an entry here fails, and so does one without effect."""

from __future__ import annotations

import pytest
from case_keys import keys
from options import Option, assert_moves
from usadel_cases import (
    AWAY,
    BARRIER,
    BASE,
    BIASED,
    COLLIDING,
    COOLED,
    DEEP,
    DIFFUSIVE,
    EAST,
    EAST_OTHER,
    FILM,
    FLOWING,
    HEATED,
    OTHER,
    OWN,
    SELF_CONSISTENT,
    SMALLER_EAST,
    SOLID,
    THREE,
    WARM,
)

from fvqp.case.usadel.schema import UsadelCase

OPTIONS: dict[str, Option] = {
    # Kinds of one dimension take different cross-sections; a film and a disc both have a thickness.
    "mesh.shape.kind": Option(
        AWAY["mesh"]["shape"] | {"kind": "cylindrical1d"},
        around={key: FILM[key] for key in ("mesh", "cross_section")},
        path="mesh.shape",
    ),
    "mesh.shape.dx": Option("0.125 um", around=AWAY),
    "mesh.shape.dy": Option("0.2 um", around=SOLID),
    "mesh.shape.dz": Option("0.2 um", around=SOLID),
    "mesh.shape.nx": Option(72),
    "mesh.shape.ny": Option(6, around=FILM),
    "mesh.shape.nz": Option(6, around=SOLID),
    "mesh.shape.Lx": Option("9 um"),
    "mesh.shape.Ly": Option("0.6 um", around=FILM),
    "mesh.shape.Lz": Option("0.6 um", around=DEEP),
    "mesh.shape.origin": Option(["0.5 um"], around=AWAY),
    "mesh.shape.regions": Option(["0.5 um", "1 um"], around=FILM, path="mesh.shape.regions.point_A"),
    "mesh.shape.boundaries": Option("2 um", path="mesh.shape.boundaries.point_A"),
    "cross_section.width": Option("300 nm"),
    "cross_section.thickness": Option("4 nm"),
    "material.name": Option("X", around=EAST_OTHER),
    "material.gap": Option("200 ueV", "gap", to=200 / 265),
    "material.diffusivity": Option("8 cm^2/s"),
    "material.resistivity": Option("300 nohm*m"),
    "regions.material": Option(
        "X",
        around={
            "materials": {"X": OTHER, "Y": OWN},
            "regions": {name: {"material": "Y"} for name in ("west", "cover")} | EAST["regions"],
        },
        path="regions.west.material",
    ),
    "materials.name": Option(
        "Y",
        around={
            "materials": {"X": {"name": "Al_ryan2026"}, "Y": OTHER},
            "regions": EAST["regions"] | {"west": {"material": "Y"}},
        },
        path="materials.X.name",
    ),
    "materials.gap": Option("200 ueV", around=EAST, path="materials.X.gap"),
    "materials.diffusivity": Option("8 cm^2/s", around=EAST, path="materials.X.diffusivity"),
    "materials.resistivity": Option("300 nohm*m", around=EAST, path="materials.X.resistivity"),
    "junctions.on": Option("cover"),
    "junctions.conductance": Option("62.8 uS", path="junctions.1.conductance", by=0.5),
    "junctions.role": Option("injector", "I_inj", THREE, path="junctions.1.role"),
    "junctions.temperature": Option("0.5 K", around=WARM),
    "junctions.bias": Option("0.3 mV", "I_det", THREE, path="junctions.1.bias"),
    "junctions.injects": Option(
        False,
        "gap",
        SELF_CONSISTENT | {"sweep": {"V_inj": ["0.2 mV"], "V_det": ["0.4 mV"]}},
        path="junctions.1.injects",
        by=1e-3,
    ),
    "junctions.lead.volume": Option("1 um^3", "T_lead", HEATED),
    "junctions.lead.electron_phonon_coupling": Option("1 nW/um^3/K^5", "T_lead", HEATED),
    "junctions.lead.resistance": Option("10 ohm", "T_lead", HEATED),
    "reservoirs.on": Option(["left"]),
    "reservoirs.temperature": Option("0.9 K", around=WARM),
    "reservoirs.gap": Option("0 eV", "gap", DIFFUSIVE, by=1e-3),
    "reservoirs.voltage": Option("0.2 mV", "I_reservoir", BIASED, to=2.0),
    "interfaces.between": Option(["start", "cover"], around=BARRIER),
    "interfaces.conductance_per_area": Option("0.1 S/um^2", around=BARRIER),
    "spectrum.model": Option("diffusive", "gap", SMALLER_EAST),
    "spectrum.broadening": Option(0.02),
    "spectrum.depairing": Option(0.03),
    "energies.maximum": Option(5.0, "energy"),
    "energies.number": Option(80, "energy"),
    "energies.largest": Option(0.2, "energy"),
    "energies.spacing": Option("uniform"),
    "collisions.electron_electron": Option(1e-2, "gap", COLLIDING, by=1e-3),
    "collisions.kernel": Option("diffusive_1d", "gap", COLLIDING, by=1e-4),
    "collisions.electron_phonon": Option("20 ns", "gap", COLLIDING, by=1e-4),
    "collisions.phonon_escape_time": Option("10 ns", "gap", COOLED, by=1e-5),
    "collisions.pair_breaking_time": Option("0.02 ns", "gap", COOLED, by=1e-5),
    "collisions.charge": Option(
        True, "I_det", COLLIDING | {"energies": {"number": 100, "largest": 0.2}}, by=1e-4
    ),
    "gap.model": Option("local", "gap", {"sweep": {"V_inj": ["0.2 mV"], "V_det": ["0 mV"]}}),
    "gap.value": Option(0.6, "gap", {"gap": {"model": "fixed", "value": 0.9}}, to=2 / 3),
    "gap.at": Option("point_B", "gap", SELF_CONSISTENT),
    "gap.debye_energy": Option(30.0, "gap", SELF_CONSISTENT),
    "gap.coupling": Option("arcsinh", "gap"),
    "supercurrent.phase_gradient": Option(0.2, "I_s", FLOWING, by=0.5),
    "supercurrent.current": Option("2 uA", "I_s", {"supercurrent": {"current": "1 uA"}}, to=2.0),
    "supercurrent.from": Option("top", around=FILM),
    "supercurrent.to": Option("top", around=FILM),
    "supercurrent.region": Option("west", "I_s", FLOWING | EAST_OTHER),
    "supercurrent.self_consistent_phase": Option(True, "I_s", FLOWING, by=1e-7),
    "supercurrent.coupling": Option(False, around=FLOWING),
    "supercurrent.both_signs": Option(True, "supercurrent", FLOWING),
    "sweep.V_inj": Option(["0.5 mV"], "I_inj"),
    "sweep.V_det": Option(["0.3 mV"], "I_det"),
    "sweep.temperature": Option(
        "0.9 K",
        around=WARM
        | {
            "reservoirs": [{"on": ["left", "right"]}],
            "sweep": BASE["sweep"] | {"temperature": "24 mK"},
        },
    ),
    "solver.tolerance": Option(1e-2, "gap", SELF_CONSISTENT, by=1e-9),
}
"""Keys whose effect is in the dataset."""

ELSEWHERE = {
    "title",
    "model",
    "mesh.file",
    "mesh.length_unit",
    "mesh.coordinates",
    "material.critical_temperature",
    "materials.critical_temperature",
    "junctions.name",
    "gap.branches",
    "junctions.lead.material",
    "solver.method",
    "solver.petsc",
    "solver.maximum_iterations",
    "solver.groups",
    "output.fields",
    "output.field_energies",
    "output.every",
    "output.stored",
    "output.spectra",
    "figures.kind",
    "figures.file",
    "figures.title",
    "figures.compare",
    "figures.offset",
    "figures.variable",
    "figures.limit",
    "figures.energy",
}
"""Keys with a test of their own: in test_usadel_keys.py, test_usadel_output.py, `gap.branches` in
test_branches_case.py, `figures.limit` in test_both_biases.py, `figures.energy` in
tests/results/test_figures.py."""


def test_every_key_has_a_test() -> None:
    assert keys(UsadelCase) == set(OPTIONS) | ELSEWHERE
    assert not set(OPTIONS) & ELSEWHERE


@pytest.mark.slow
@pytest.mark.parametrize("key", OPTIONS)
def test_option_moves_a_number(key: str) -> None:
    assert_moves(key, OPTIONS[key], BASE, "g_nl")
