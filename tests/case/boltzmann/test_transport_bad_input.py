"""Bad input in a case of the transport model: one line that names file and key and what would be right."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from said import Said
from transport_cases import FILM, SPHERE

import fvqp
from fvqp import cli
from fvqp.errors import CaseError, ConvergenceError
from fvqp.models.boltzmann.steady_step import StepEquations

GRID = {"shape": {"kind": "grid1d", "nx": 2, "Lx": "1 um"}}
BLOCK = {
    "shape": {
        "kind": "grid3d",
        **dict.fromkeys(("nx", "ny", "nz"), 2),
        "Lx": "1 um",
        "Ly": "1 um",
        "Lz": "1 um",
    }
}
PULSE = {"of": "phonons", "centre": "3 Delta0", "width": "0.3 Delta0"}
FAR = {"position": ["1 mm", "1 um", "0 um"], "size": "2 um"}
INSULATING = {"regions.trap": {"insulator": True, "ion_density": "6e28 1/m^3", "debye_energy": "30 meV"}}

OF_SPHERE: list[tuple[dict[str, Any], str]] = [
    ({"body.shells": 0}, "body.shells: "),
    ({"body.radius": "-1 um"}, 'body.radius: must be positive, got "-1 um"'),
    ({"body.inner_radius": "20 um"}, "inner_radius: must be smaller than radius"),
    ({"mesh": GRID}, "give either [body] or [mesh], not both"),
    ({"body": None}, "give either [body] or [mesh]"),
    ({"quasiparticles.directions": 5}, "quasiparticles.directions: an even number of polar directions"),
    ({"quasiparticles.azimuths": 8}, "quasiparticles.azimuths: is not used in a sphere"),
    ({"quasiparticles.fermi_velocity": None}, "quasiparticles.fermi_velocity: missing"),
    ({"quasiparticles.diffusivity": "1 m^2/s"}, "give either free_path or diffusivity, not both"),
    (
        {"quasiparticles.walls": {"left": {}}},
        'quasiparticles.walls: there is no boundary "left"; there are: outer',
    ),
    ({"quasiparticles.motion": "diffusive"}, "quasiparticles.directions: is not used with"),
    ({"phonons.motion": "still"}, "phonons.sound_velocity: is not used with"),
    ({"phonons.walls.outer.transmission": 1.5}, "phonons.walls.outer.transmission"),
    ({"phonons.interfaces": [{"between": ["a", "b"]}]}, "phonons.interfaces: are those of a mesh"),
    ({"regions": {"a": {"gap": 0.5}}}, "regions: are those of a mesh"),
    ({"evolution.method": "bdf"}, 'evolution.method: "bdf" is not a method of this model any more; use "ros'),
    ({"evolution.method": "imex"}, 'evolution.method: "imex" is not a method of this model any more; use "r'),
    ({"evolution.method": "euler"}, "evolution.method"),
    ({"bath.temperature": "5 K"}, "bath.temperature: 5 K is not below the critical temperature"),
    (
        {"energies": {"maximum": "3 Delta0", "width": "0.25 Delta0", "spacing": "steps"}},
        'energies.spacing: "steps" is for model = "boltzmann"; expected "uniform" or "graded"',
    ),
    ({"energies.maximum": "1.1 Delta0"}, "energies.maximum: 1.1 Delta0 leaves no room"),
    (
        {"energies.lowest_gap": "1.2 Delta0"},
        "energies.lowest_gap: 1.2 Delta0 is above a gap of 1 Delta0",
    ),
    ({"collisions": {"inelastic": False}}, "gap.model: needs collisions.inelastic = true"),
    ({"initial.pulses.0.position": ["0 um", "0 um", "0 um"]}, "initial.pulses[0].position: is not used"),
    ({"initial.pulses.0.regions": ["a"]}, "initial.pulses[0].regions: are those of a mesh"),
    ({"initial.pulses.0.energy": "1 keV"}, "give either peak or energy, not both"),
    (
        {"initial.pulses.0.size": "1.9 um"},
        "initial.pulses[0].size: 1.9 um is narrower than the 2 um that cells of 2 um at its centre resolve",
    ),
    ({"evolution.tolerance": 0}, "evolution.tolerance"),
    ({"output": {"energy_shells": ["2 Delta0", "1 Delta0"]}}, "must increase"),
    ({"figures": [{"kind": "map"}]}, 'figures[0].kind: "map" is of a mesh'),
    ({"phonons.sound_velocity": "4e23 m/s"}, "phonons.sound_velocity: 4e+23 m/s is faster than light"),
    ({"quasiparticles.free_path": "1e-26 m"}, "quasiparticles.free_path: the free path of 1e-26 m is more"),
    ({"phonons.free_path": "1e-26 m"}, 'than cells of 2 um; give motion = "diffusive"'),
    ({"evolution.end": "1e12 s"}, "evolution.end: 1e+12 s is so long against tau0 = 2.3e-09 s that"),
    ({"evolution.tolerance": 1e-20}, "evolution.tolerance"),
    (
        {"output": {"energy_shells": ["1 Delta0"]}},
        "output.energy_shells: a range has two bounds; give at least",
    ),
    ({"output": {"energy_shells": []}}, "output.energy_shells: a range has two bounds"),
]
OF_FILM: list[tuple[dict[str, Any], str]] = [
    ({"mesh": BLOCK, "figures": [{"kind": "map"}]}, 'figures[0].kind: "map" is of a plane mesh'),
    ({"regions": {"trp": {"gap": 0.5}}}, 'regions: the mesh has no region "trp"'),
    (
        {"regions.strip": {"gap": 0.5}, "mesh.shape.regions.strip": [["0 um", "5 um"], "all"]},
        "have two media",
    ),
    ({"regions.trap.insulator": True}, "an insulator needs ion_density and debye_energy"),
    ({"regions.trap.ion_density": "1e28 1/m^3"}, "are not used without insulator = true"),
    ({"regions.trap.sound_velocity": "1 km/s"}, "regions.trap.sound_velocity: is not used with"),
    ({"regions.trap.material": {"name": "Uo"}}, "regions.trap.material.name: there is no material"),
    ({"regions.trap.gap": "-1 Delta0"}, "gap: must not be negative"),
    ({"quasiparticles.diffusivity": None}, "quasiparticles.fermi_velocity: missing"),
    (
        {"quasiparticles.walls": {"west": {}}},
        'quasiparticles.walls: the mesh has no boundary "west"; there are: left, right, bottom, top',
    ),
    (
        {"quasiparticles.interfaces": [{"between": ["trap", "strip"], "transmission": 0.5}]},
        'quasiparticles.interfaces[0].between: regions "trap" and "strip" do not touch',
    ),
    ({"injections.0.regions": ["nowhere"]}, 'injections[0].regions: the mesh has no region "nowhere"'),
    (
        {"microwaves": [{"photon_energy": "40 GHz", "coupling": "1 Hz", "photons": 1.0, "regions": ["up"]}]},
        'microwaves[0].regions: the mesh has no region "up"; there are: trap, strip',
    ),
    (
        {"trapping": [{"rate": "1 MHz", "regions": ["up"]}]},
        'trapping[0].regions: the mesh has no region "up"',
    ),
    (
        {"resonator": {"photon_energy": "5 GHz", "kinetic_inductance_fraction": 0.1, "region": "up"}},
        'resonator.region: the mesh has no region "up"; there are: trap, strip',
    ),
    (
        {"quasiparticles.interfaces": [{"between": ["trap", "up"], "transmission": 0.5}]},
        'quasiparticles.interfaces[0].between: the mesh has no region "up"; there are: trap, strip',
    ),
    (
        {"phonons": {"motion": "diffusive", "sound_velocity": "4 km/s"}},
        'phonons.free_path: missing: motion = "diffusive" needs it',
    ),
    (
        {"quasiparticles": {"motion": "diffusive", "fermi_velocity": "1e6 m/s"}},
        "quasiparticles.free_path: missing: motion",
    ),
    (
        {"phonons": {}, "evolution": None, "steady_state": {}},
        "steady_state: injections[0].power comes in and nothing leaves; give phonons.escape",
    ),
    (
        {"phonons": {}, "initial": {"steady": True}},
        "initial.steady: injections[0].power comes in and nothing",
    ),
    (
        {
            "phonons": {
                "motion": "ordinates",
                "sound_velocity": "4 km/s",
                "walls": {"left": {"transmission": 0}},
            },
            "initial": {"steady": True},
        },
        "initial.steady: injections[0].power comes in and nothing",
    ),
    ({"injections.0.position": ["0 um", "0 um", "0 um"]}, "position: is not used without size"),
    (
        {"injections.0.position": ["0 um"], "injections.0.size": "2 um"},
        "injections[0].position: has 1 of the 2 coordinates of a place on this mesh",
    ),
    ({"injections.0.position": [], "injections.0.size": "2 um"}, "injections[0].position: "),
    ({"injections.0.centre": "1.2 Delta0"}, "where cell 0 has no states"),
    (INSULATING | {"injections.0.regions": ["trap"]}, "injections[0].regions: acts nowhere"),
    (
        INSULATING | {"trapping": [{"rate": "1 MHz", "regions": ["trap"]}]},
        "trapping[0].regions: acts nowhere, there are no quasiparticles in its place",
    ),
    (
        INSULATING
        | {
            "microwaves": [
                {"photon_energy": "40 GHz", "coupling": "10 kHz", "photons": 100.0, "regions": ["trap"]}
            ]
        },
        "microwaves[0].regions: acts nowhere",
    ),
    (
        {f"injections.0.{key}": value for key, value in FAR.items()},
        "injections[0]: acts nowhere, the nearest cell of its place is 999.5 um from its position",
    ),
    ({"initial": {"pulses": [{**PULSE, **FAR, "peak": 0.1}]}}, "initial.pulses[0]: acts nowhere"),
    (
        {"initial": {"pulses": [{**PULSE, "size": "0.3 um", "peak": 0.1}]}},
        "initial.pulses[0].size: 0.3 um is narrower than the 0.636 um that cells of 1.41 um",
    ),
    ({"injections.0.size": "0.3 um"}, "injections[0].size: 0.3 um is narrower than the 0.636 um"),
    (
        {"initial": {"pulses": [{**PULSE, "energy": "1 eV"}]}},
        "a mesh of dimension 2 has no volume; give peak, or cross_section",
    ),
    (
        {"injections.0.power": None, "injections.0.total_power": "1 nW"},
        "injections[0].total_power: the volume is not known; give power, or cross_section on a mesh",
    ),
    ({"injections.0.power": None}, "injections[0]: give either power or total_power"),
    ({"injections.0.total_power": "1 nW"}, "injections[0]: give either power or total_power, not both"),
    ({"cross_section.width": "1 um"}, "cross_section.width: not used by a mesh of a film; remove it"),
    (
        {
            "mesh.shape": {"kind": "grid1d", "nx": 6, "Lx": "6 um", "regions": {"trap": ["4 um", "6 um"]}},
            "injections.0.regions": ["trap"],
            "cross_section.thickness": "1 um",
        },
        "cross_section.width: a mesh of lines needs it",
    ),
    ({"figures": [{"kind": "gap_profile"}]}, 'figures[0].kind: "gap_profile" is over the radius'),
    (
        {"phonons.escape.time": "1e-30 s"},
        "phonons.escape.time: 1e-30 s makes a rate of 1e+30/s, whose rounding hides all else; give one of at "
        "most 1e+17/s, 1e+11 over evolution.end",
    ),
    (
        {"phonons": {"model": "bath", "escape": {"time": "1 ns"}}},
        'phonons.escape: is not used with model = "bath"',
    ),
    (
        {"phonons": {"model": "bath", "motion": "diffusive"}},
        'phonons.motion: is not used with model = "bath"',
    ),
    (
        {"phonons": {"model": "bath"}, "regions.trap.escape": {"time": "1 ns"}},
        'regions.trap.escape: is not used with phonons.model = "bath"',
    ),
    (
        {"phonons": {"model": "bath"}, "injections.0.of": "phonons"},
        'injections[0].of: phonons are those of the bath with phonons.model = "bath"',
    ),
    (
        {"phonons": {"model": "bath"}, "injections": [], "evolution.end": "1 s"},
        "evolution.end: 1 s is so long that rounding hides all else beside the exchange of phonons with the "
        'bath; with phonons.model = "bath" give at most',
    ),
    ({"regions.trap.escape": {"time": "1e-30 s"}}, "regions.trap.escape.time: 1e-30 s makes a rate"),
    ({"trapping": [{"rate": "1e26 Hz"}]}, "trapping[0].rate: 1e+26 Hz makes a rate"),
    ({"injections.0.power": "1e29 W/m^3"}, "injections[0].power: 1e+29 W/m^3 makes a rate"),
    (
        {"microwaves": [{"photon_energy": "40 GHz", "coupling": "10 kHz", "photons": 1e22}]},
        "microwaves[0].photons: 1e+22 with a coupling of 1e+04 Hz makes a rate",
    ),
    (
        {"microwaves": [{"photon_energy": "40 GHz", "absorbed_power": "1e29 W/m^3"}]},
        "microwaves[0].absorbed_power: 1e+29 W/m^3 makes a rate",
    ),
    (
        {"microwaves": [{"photon_energy": "1e20 Delta0", "coupling": "10 kHz", "photons": 1.0}]},
        "microwaves[0].photon_energy: ",
    ),
    (
        {"quasiparticles.diffusivity": "2e17 m^2/s"},
        "quasiparticles.diffusivity: makes a diffusivity of 2e+17 m^2/s, whose rounding hides all else",
    ),
    (
        {"regions.trap.diffusivity": "2e17 m^2/s"},
        "regions.trap.diffusivity: makes a diffusivity of 2e+17 m^2/s",
    ),
    (
        {"phonons": {"motion": "diffusive", "sound_velocity": "4 km/s", "free_path": "1e9 m"}},
        "phonons.free_path: makes a diffusivity of 1.33e+12 m^2/s",
    ),
    (
        {"quasiparticles.interfaces": [{"between": pair} for pair in (["trap", "strip"], ["strip", "trap"])]},
        "quasiparticles.interfaces[1].between: these regions have interfaces[0] already; leave one out",
    ),
    (
        {"injections.0.power": "10 fW"},
        'injections[0].power: expected a power density such as "10 fW/um^3", got "10 fW", which is a power',
    ),
    (
        {"resonator": {"photon_energy": "5 GeV"}},
        "resonator.photon_energy: 2.778e+13 Delta0 is not below energies.maximum of 3 Delta0",
    ),
    ({"resonator": {"photon_energy": "0 Hz"}}, "resonator.photon_energy: must be positive"),
    ({"injections.0.width": "1e-20 Delta0"}, "injections[0]: Gaussian spectrum: a width of 1e-20 is lost"),
    ({"injections.0.centre": "1e20 Delta0"}, "injections[0]: Gaussian spectrum: a width of 0.15 is lost"),
    (
        {"quasiparticles": {"motion": "ordinates", "azimuths": 6, "fermi_velocity": "1e6 m/s"}},
        "quasiparticles.azimuths: a product set needs a multiple of four azimuths",
    ),
]


@pytest.mark.parametrize(("changes", "words"), OF_SPHERE, ids=[words for _, words in OF_SPHERE])
def test_sphere(said: Said, changes: dict[str, Any], words: str) -> None:
    code, text = said(SPHERE, changes)
    assert code == 2 and words in text and "case.toml" in text


@pytest.mark.parametrize(("changes", "words"), OF_FILM, ids=[words for _, words in OF_FILM])
def test_film(said: Said, changes: dict[str, Any], words: str) -> None:
    code, text = said(FILM, changes)
    assert code == 2 and words in text and "case.toml" in text


def test_a_pulse_as_wide_as_a_bin_is_wide_enough():
    """Equal numbers of the case, whose bins differ by rounding."""
    case = copy.deepcopy(FILM) | {"energies": {"maximum": "3 Delta0", "width": "0.2 Delta0"}}
    pulse = {"centre": "1.8 Delta0", "width": "0.2 Delta0", "peak": 1e-3}
    assert "valid" in fvqp.check(case | {"initial": {"pulses": [pulse]}})
    with pytest.raises(CaseError, match="narrower than the 0.2 Delta0"):
        fvqp.check(case | {"initial": {"pulses": [pulse | {"width": "0.199 Delta0"}]}})


def warned(
    changes: dict[str, Any], said: Said, capsys: pytest.CaptureFixture[str]
) -> tuple[list[str], dict[str, str]]:
    """Warnings of a check of the film with changes, and the rows of its report."""
    assert said(FILM, changes)[0] == 0
    assert cli.main(["check", "case.toml"]) == 0
    found = capsys.readouterr()
    rows = [line.split(maxsplit=1) for line in found.out.splitlines() if line.startswith("  ")]
    return [line for line in found.err.splitlines() if line.startswith("warning: case.toml")], dict(rows)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        (
            {
                "mesh.shape.Lx": "6 m",
                "mesh.shape.regions.trap": [["4 m", "6 m"], "all"],
                "mesh.shape.regions.strip": [["0 m", "1 m"], "all"],
                "injections": [],
            },
            "6e+06 um",
        ),
        (
            {"injections.0.position": ["0 um", "1 um", "9 um"], "injections.0.size": "2 um"},
            "injections[0]: the nearest cell of its place is 9.028 um from its position, beyond its size",
        ),
        (INSULATING, ""),
        (
            INSULATING | {"regions.trap.debye_energy": "30 ueV"},
            "regions.trap.debye_energy: 0.03 meV, but ion_density and a speed of sound of 4e+03 m/s make 40",
        ),
        (INSULATING | {"regions.trap.ion_density": "6e28 1/cm^3"}, "make 4.02e+03 meV; are the units right?"),
        (INSULATING | {"regions.trap.sound_velocity": "4 m/s"}, "a speed of sound of 4 m/s make 0.0402 meV"),
        (
            {"microwaves": [{"photon_energy": "1.9 Delta0", "coupling": "1 Hz", "photons": 1.0}]},
            "microwaves[0].photon_energy: quasiparticles heated by photons of 1.9 Delta0 gather at the foot",
        ),
        ({"microwaves": [{"photon_energy": "2.1 Delta0", "coupling": "1 Hz", "photons": 1.0}]}, ""),
    ],
)
def test_slips_of_units_and_places_are_warned_of(
    said: Said, capsys: pytest.CaptureFixture[str], changes: dict[str, Any], words: str
) -> None:
    """What may be meant, but hardly is; ħv(6π²n)^(1/3) is 40.2 meV with 6e28 ions by m³ and 4 km/s."""
    phonons = {"motion": "diffusive", "sound_velocity": "4 km/s", "free_path": "1 um"}
    lines, _ = warned({"phonons": phonons | {"escape": {"time": "1 ns"}}} | changes, said, capsys)
    found = [line for line in lines if "mesh: " not in line]  # sizes of cells: test_transport_lengths
    assert len(found) == bool(words) and all(words in line for line in found)


def test_a_report_names_regions_boundaries_and_times(said: Said, capsys: pytest.CaptureFixture[str]) -> None:
    _, rows = warned({}, said, capsys)
    assert rows["regions"] == "trap, strip" and rows["boundaries"] == "left, right, bottom, top"
    assert rows["states"] == "5, at 0 s and from 1e-09 s to 1e-06 s"


def test_a_start_too_cold_for_its_steady_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """What helps is said where no step succeeds."""

    def failed(*given: object) -> None:
        raise ConvergenceError("no linear solution")

    monkeypatch.setattr(StepEquations, "action", failed)
    case = copy.deepcopy(FILM)
    del case["evolution"]
    with pytest.raises(ConvergenceError, match=r"\(no linear solution\); .* a warmer initial.temperature"):
        fvqp.run(case | {"steady_state": {}})


@pytest.mark.slow
def test_a_warmer_start_finds_the_steady_state_of_a_cold_bath() -> None:
    """Sources keep what there is; an evolution ends in the same state."""
    case = copy.deepcopy(FILM) | {"bath": {"temperature": "10 mK"}, "initial": {"temperature": "0.2 K"}}
    late = fvqp.run(case | {"evolution": case["evolution"] | {"end": "1 ms"}}).dataset
    del case["evolution"]
    steady = fvqp.run(case | {"steady_state": {"tolerance": 1e-6}}).dataset
    assert late["n_qp"].values[-1] == pytest.approx(steady["n_qp"].values[0], rel=1e-3)
