"""Bad input in a Boltzmann case: one line that names file and key and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from kinetic_cases import DRIVEN, PULSE, STEPPED, STRONG
from said import Said

MISTAKES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    # Keys, units, materials, temperatures.
    (DRIVEN, {"phonons.escap": {}}, 'phonons.escap: unknown key; did you mean "escape"?'),
    (DRIVEN, {"phonons.escape.time": "0.26 nS"}, "phonons.escape.time: expected a time"),
    (
        DRIVEN,
        {"phonons.escape.time": "0.26 nx"},
        'phonons.escape.time: expected a time such as "12 ns", got "0.26 nx": there is no unit',
    ),
    (DRIVEN, {"phonons.escape.time": "-1 ns"}, "phonons.escape.time: must be positive"),
    (DRIVEN, {"phonons.escape.thickness": "9 nm"}, "phonons.escape: give either time, or thickness"),
    (DRIVEN, {"phonons.model": "bath"}, 'phonons.escape: is not used with model = "bath"'),
    (DRIVEN, {"material.name": "Aluminium"}, 'material.name: there is no material "Aluminium"; known are'),
    (DRIVEN, {"material.name": "Cu_ryan"}, "material.name: there is no material"),
    (
        DRIVEN,
        {"material.gap": "1 Delta0"},
        'material.gap: expected an energy such as "265 ueV", got 1 Delta0',
    ),
    (DRIVEN, {"sweep.temperature": "0 K"}, "sweep.temperature[0]: must be positive"),
    (DRIVEN, {"sweep.temperature": ["0.2 K", "-0.1 K"]}, "sweep.temperature[1]: must be positive"),
    (
        DRIVEN,
        {"sweep.temperature": ["0.2 K", "2 K"]},
        "sweep.temperature: 2 K is not below the critical temperature",
    ),
    (
        PULSE,
        {"initial.temperature": "1.3 K"},
        "initial.temperature: 1.3 K is not below the critical temperature",
    ),
    # Axes.
    (DRIVEN, {"energies.width": 0.0}, "energies.width: must be positive"),
    (DRIVEN, {"energies.width": "1e-9 Delta0"}, "energies.width: makes"),
    (DRIVEN, {"energies.maximum": "1.05 Delta0"}, "energies.maximum: 1.05 Delta0 leaves no room above"),
    (DRIVEN, {"energies.growth": 0.1}, 'energies.growth: is used with spacing = "graded" only'),
    (STEPPED, {"energies.rule": "linear"}, 'energies.rule: must be "bin" with spacing = "steps"'),
    (
        STEPPED,
        {"energies.lowest_gap": "0.9 Delta0"},
        'energies.lowest_gap: is not used with spacing = "steps"',
    ),
    (STEPPED, {"gap.model": "follows"}, 'energies.spacing: "steps" needs gap.model = "fixed"'),
    (
        STEPPED,
        {"microwaves.0.photon_energy": "2 Delta0"},
        'energies.spacing: "steps" needs microwaves of one photon energy below twice the gap',
    ),
    (
        STEPPED,
        {"collisions.evaluation": "direct"},
        'energies.spacing: "steps" needs collisions.evaluation = "graded" or "auto"',
    ),
    (STEPPED, {"microwaves.0.photon_energy": "1e-4 Delta0"}, 'energies.spacing: "steps" makes 3e+04 bins'),
    (
        STEPPED,
        {
            "injections": [
                {"of": "quasiparticles", "centre": "2 Delta0", "width": "0.1 Delta0", "power": "1 aW/um^3"}
            ]
        },
        'energies.spacing: "steps" needs no injections of quasiparticles',
    ),
    (
        STEPPED,
        {"material.name": "Sn", "spectrum": {"model": "eliashberg", "interaction": {"metal": "Sn"}}},
        'energies.spacing: "steps" needs spectrum.model = "bcs"',
    ),
    (
        DRIVEN,
        {"energies.phonon_maximum": "1.5 Delta0"},
        "energies.phonon_maximum: 1.5 Delta0 is below twice the gap",
    ),
    (DRIVEN, {"gap.value": "0.9 Delta0", "energies.lowest_gap": "1 Delta0"}, "energies.lowest_gap: 1 Delta0"),
    (PULSE, {"gap": {"value": "0.9 Delta0"}}, 'gap.value: is not used with model = "follows"'),
    (
        DRIVEN,
        {"energies.spacing": "graded", "collisions.evaluation": "direct"},
        'collisions.evaluation: "direct" needs energies.spacing = "uniform"',
    ),
    # Sources that do not fit.
    (
        PULSE,
        {"initial.pulses.0.centre": "2.9 Delta0"},
        "initial.pulses[0]: around 2.9 Delta0 with a width of 0.2 does not fit onto the axis from 0.95",
    ),
    (
        PULSE,
        {"initial.pulses.0.centre": "0.9 Delta0"},
        "initial.pulses[0].centre: 0.9 Delta0 is below the gap of 1 Delta0",
    ),
    (
        PULSE,
        {"initial.pulses.0.width": "0.01 Delta0"},
        "initial.pulses[0].width: 0.01 Delta0 is narrower than",
    ),
    (
        PULSE,
        {"initial.pulses.0.peak": 1.5},
        "initial.pulses[0].peak: an occupation of quasiparticles cannot",
    ),
    (
        PULSE,
        {"initial.pulses": [{"centre": "2 Delta0", "width": "0.2 Delta0", "energy_density": "1 J/cm^3"}]},
        "initial.pulses[0]: raises the occupation to",
    ),
    (PULSE, {"initial.pulses.0.energy_density": "1 J/m^3"}, "initial.pulses[0]: give either peak or"),
    (
        DRIVEN,
        {
            "injections": [
                {"of": "quasiparticles", "centre": "5 Delta0", "width": "0.1 Delta0", "power": "1 W/m^3"}
            ]
        },
        "injections[0]: quasiparticle injection: the spectrum from 4.50169 to 5.49831",
    ),
    (
        DRIVEN,
        {
            "injections": [
                {"of": "quasiparticles", "centre": "1.2 Delta0", "width": "0.1 Delta0", "power": "1 W/m^3"}
            ]
        },
        "injections[0]: quasiparticle injection: the spectrum",
    ),
    (
        DRIVEN,
        {"injections": [{"of": "phonons", "centre": "8 Delta0", "width": "0.1 Delta0", "power": "1 W/m^3"}]},
        "injections[0]: phonon injection: the spectrum from 7.50169 to 8.49831",
    ),
    (
        DRIVEN,
        {"injections": [{"of": "phonons", "centre": "3 Delta0", "power": "1 W/m^3"}]},
        "injections[0].width: missing: give centre and width, spectrum, or file",
    ),
    (
        DRIVEN,
        {"injections": [{"of": "phonons", "centre": "3 Delta0", "file": "i.csv", "power": "1 W/m^3"}]},
        "injections[0].centre: is not used: the spectrum comes from a file",
    ),
    (
        DRIVEN,
        {"injections": [{"of": "phonons", "file": "i.csv", "power": "1 W/m^3"}]},
        "injections[0].file: no such file",
    ),
    # Photons.
    (
        DRIVEN,
        {"microwaves.0.photon_energy": "50 Delta0"},
        "microwaves[0].photon_energy: photon drive: bins from",
    ),
    (
        DRIVEN,
        {"microwaves.0.photon_energy": "1 GHz"},
        "microwaves[0].photon_energy: 0.023 Delta0 is less than the 0.1 Delta0 of a bin",
    ),
    (DRIVEN, {"microwaves.0.photon_energy": "10 um"}, "microwaves[0].photon_energy: expected an energy"),
    (
        DRIVEN,
        {"microwaves.0.absorbed_power": "1 W/m^3"},
        "microwaves[0]: give either photons or absorbed_power",
    ),
    (
        DRIVEN,
        {"microwaves.0.regions": ["film"]},
        'microwaves[0].regions: is not used: all is homogeneous; model = "transport" has space',
    ),
    (DRIVEN, {"microwaves.0.coupling": None}, "microwaves[0].coupling: missing: photons needs it"),
    # What contradicts itself or goes unused.
    (DRIVEN, {"phonons": {}}, "steady_state: with drives there is none unless energy can leave"),
    (
        DRIVEN,
        {"phonons": {}, "microwaves": [], "sweep.strength": None},
        "steady_state: a closed system keeps the energy it starts with",
    ),
    (DRIVEN, {"microwaves": []}, "sweep.strength: is not used: the case has neither microwaves nor"),
    (DRIVEN, {"sweep.strength": [2.0, 1.0]}, "sweep.strength: must increase"),
    (DRIVEN, {"evolution": {"end": "1 s"}}, "give either [evolution] or [steady_state], not both"),
    (DRIVEN, {"steady_state": None}, "give either [evolution] or [steady_state]"),
    (PULSE, {"evolution.start": "1 us"}, "evolution.end: 1e-07 s must be later than start, 1e-06 s"),
    (
        PULSE,
        {"evolution.method": "bdf"},
        'evolution.method: "bdf" is not a method of this model any more; us',
    ),
    (PULSE, {"evolution.method": "relaxation"}, 'evolution.method: "relaxation" is not a method'),
    (DRIVEN, {"figures": [{"kind": "lifetimes"}]}, 'figures[0].kind: "lifetimes" shows what output.rates'),
    (DRIVEN, {"figures": [{"kind": "resonator"}]}, 'figures[0].kind: "resonator" shows what resonator adds'),
    (
        DRIVEN,
        {"figures": [{"kind": "efficiency"}], "microwaves": [], "sweep.strength": None},
        'figures[0].kind: "efficiency" shows what microwaves',
    ),
    (DRIVEN, {"figures": [{"kind": "energies"}]}, 'figures[0].kind: "energies" shows an evolution'),
    # Spectra of strong coupling.
    (STRONG, {"spectrum.model": "bcs"}, 'spectrum.interaction: is not used with model = "bcs"'),
    (DRIVEN, {"spectrum.temperature": "1 K"}, 'spectrum.temperature: is not used with model = "bcs"'),
    (DRIVEN, {"spectrum.model": "eliashberg"}, "spectrum.interaction: missing"),
    (
        STRONG,
        {"spectrum.interaction": {"metal": "Hg"}},
        'spectrum.interaction.metal: no spectrum of "Hg"; there are: Al',
    ),
    (STRONG, {"spectrum.interaction.file": "no.txt"}, "spectrum.interaction: give one of metal"),
    (
        STRONG,
        {"spectrum.interaction": {"file": "no.txt"}},
        "spectrum.interaction.file: no such file",
    ),
    (STRONG, {"gap": {}}, 'spectrum.renormalization: must be "energy" with gap.model = "follows"'),
    (
        STRONG,
        {"gap": {}, "spectrum.renormalization": "energy", "spectrum.temperature": "1 K"},
        'spectrum.temperature: contradicts gap.model = "follows"',
    ),
    (STRONG, {"gap.value": "0.9 Delta0"}, "gap.value: is not used: it follows from spectrum.interaction"),
    (STRONG, {"material.gap": "1 meV"}, "material.gap: is not used: it follows from"),
    (STRONG, {"material.critical_temperature": "4 K"}, "material.critical_temperature: is not used"),
    (STRONG, {"material.characteristic_time": "1 ns"}, "material.characteristic_time: is not used"),
    (STRONG, {"resonator": {"photon_energy": "5 GHz"}}, "resonator: its conductivity is that of"),
    (STRONG, {"figures": [{"kind": "gap_suppression"}]}, 'figures[0].kind: "gap_suppression" is known for'),
    (
        STRONG,
        {"figures": [{"kind": "density", "compare": "analytic"}]},
        "figures[0].compare: the case has no closed form: they are those of spectrum.model",
    ),
    (
        STRONG | {"output": {"rates": True}},
        {"figures": [{"kind": "lifetimes", "compare": "analytic"}]},
        "figures[0].compare: the case has no closed form: they are those of spectrum.model",
    ),
    (
        STRONG,
        {"spectrum.interaction.coupling": 0.5, "spectrum.interaction.coulomb": 0.5},
        "spectrum: Debye-like α²F, λ = 0.5 with μ* = 0.5 makes no",
    ),
    (STRONG, {"spectrum.temperature": "30 K"}, "spectrum: Debye-like α²F, λ = 1.5 with μ* = 0.1 makes no"),
    (STRONG, {"sweep.temperature": "30 K"}, "sweep.temperature: 30 K is not below the critical temperature"),
    (
        STRONG,
        {"energies.phonon_maximum": "7 Delta0"},
        "energies.phonon_maximum: 7 Delta0 is above the end of",
    ),
    (PULSE, {"initial.quasiparticles": "no.csv"}, "initial.quasiparticles: no such file"),
]


@pytest.mark.parametrize(("base", "changes", "words"), MISTAKES, ids=lambda value: None)
def test_mistakes(said: Said, base, changes, words):
    code, text = said(base, changes)
    assert code == 2 and text.startswith(f"case.toml: {words}"), text


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("", "expected the columns energy_eV,f, got nothing"),
        ("E,f\n1e-4,0.5\n2e-4,0.1\n", "expected the columns energy_eV,f, got E,f"),
        ("energy_eV,f\n1e-4,0.5\n", "needs at least two rows"),
        ("energy_eV,f\n1e-4,0.5\n2e-4,1.1\n", "line 3: an occupation of 1.1; expected one from 0 to 1"),
        ("energy_eV,f\n1e-4,-0.5\n2e-4,0.1\n", "line 2: an occupation of -0.5; expected one from 0 to 1"),
        ("energy_eV,f\n1e-4,nan\n2e-4,0.1\n", "line 2: an occupation of nan"),
        ("energy_eV,f\ninf,0.5\n2e-4,0.1\n", "line 2: expected a finite energy"),
        ("energy_eV,f\n1e-4,0.5\n1e-4,0.1\n", "line 3: energies must increase"),
        ("energy_eV,f\n1e-4,half\n2e-4,0.1\n", "line 2: expected two numbers"),
        ("energy_eV,f\n1e-4,0.5,3\n2e-4,0.1\n", "line 2: expected two numbers"),
        ("energy_eV,f\n1e-4\n2e-4,0.1\n", "line 2: expected two numbers"),
    ],
)
def test_tables_of_occupations(said: Said, table, words):
    Path("f.csv").write_text(table)
    code, text = said(PULSE, {"initial.quasiparticles": "f.csv"})
    assert code == 2 and text.startswith(f"case.toml: initial.quasiparticles: f.csv: {words}"), text


def test_tables_of_phonons(said: Said) -> None:
    for value in ("-1", "inf"):
        Path("n.csv").write_text(f"omega_eV,n\n1e-4,{value}\n2e-4,0\n")
        code, text = said(PULSE, {"initial.phonons": "n.csv"})
        assert code == 2 and f"initial.phonons: n.csv: line 2: an occupation of {value}" in text
    Path("n.csv").write_bytes(b"\xff\xfe\x00")
    assert said(PULSE, {"initial.phonons": "n.csv"})[0] == 2


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("1 0.1\n2 -0.1\n", "α2f.txt, line 2: α²F = -0.1 is negative"),
        ("2 0.1\n1 0.1\n", "α2f.txt, line 2: the energy 1 does not exceed the one before it, 2"),
        ("5 0\n6 5\n", "α2f.txt: there are no phonons of twice the gap of"),
    ],
)
def test_tables_of_interactions(said: Said, table, words):
    Path("α2f.txt").write_text(table)
    code, text = said(STRONG, {"spectrum.interaction": {"file": "α2f.txt"}})
    assert code == 2 and text.startswith("case.toml: spectrum: ") and words in text, text


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (
            "energy_eV,f\n4e-4,1\n5e-4,0\n",
            "injections[0].file: i.csv: expected the columns energy_eV,particles",
        ),
        (
            "energy_eV,particles\n4e-4,1\n5e-4,-1\n",
            "injections[0].file: i.csv: line 3: a number of -1; expected",
        ),
        (
            "energy_eV,particles\n4e-4,0\n5e-4,0\n",
            "injections[0]: spectrum table: values must not be negative",
        ),
        ("energy_eV,particles\n4e-4,1\n5e-3,1\n", "injections[0]: phonon injection: the spectrum from 2.2"),
    ],
)
def test_tables_of_injected_particles(said: Said, table, words):
    Path("i.csv").write_text(table)
    code, text = said(DRIVEN, {"injections": [{"of": "phonons", "file": "i.csv", "power": "1 W/m^3"}]})
    assert code == 2 and text.startswith(f"case.toml: {words}"), text


def test_mistakes_leave_no_folder(said: Said) -> None:
    assert said(PULSE, {"initial.pulses.0.centre": "2.9 Delta0"}, "run", "--out", "out")[0] == 2
    assert not Path("out").exists()
