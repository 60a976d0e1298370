"""Bad input in a case of the Usadel model: one line that names file and key and what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from said import Said
from usadel_cases import LINE

SHAPE = "mesh.shape"
NAN, INF = float("nan"), float("inf")
BARRIER = "1 S/um^2"
MISTAKES: list[tuple[dict[str, Any], str]] = [
    # Keys, units and dimensions.
    (
        {"junctions.0.conductanse": "1 S"},
        'junctions[0].conductanse: unknown key; did you mean "conductance"?',
    ),
    ({"junctions.0.conductance": "1 uSS"}, 'there is no unit "uSS"'),
    (
        {"junctions.0.conductance": "1 um"},
        'junctions[0].conductance: expected a conductance such as "24.6 uS"',
    ),
    ({"cross_section.thickness": "-8 nm"}, "cross_section.thickness: must be positive"),
    ({"cross_section.thickness": NAN}, "cross_section.thickness: expected a length"),
    ({"cross_section.thickness": "inf nm"}, "cross_section.thickness: expected a length"),
    ({"cross_section": {}}, "cross_section.width: a mesh of dimension 1 needs it"),
    ({"spectrum.broadening": NAN}, "spectrum.broadening: expected an energy, got nan"),
    ({"spectrum.depairing": INF}, "spectrum.depairing: expected a finite number"),
    ({"solver.tolerance": NAN}, "solver.tolerance: expected a finite number"),
    # Built-in shapes.
    ({f"{SHAPE}.kind": "grid4d"}, 'mesh.shape.kind: expected "grid1d", '),
    ({f"{SHAPE}.foo": 3}, "mesh.shape.foo: unknown key"),
    ({f"{SHAPE}.nx": 10**12}, "mesh.shape.nx: makes 1e+12 cells; at most 1e+08 are possible"),
    ({f"{SHAPE}": {"kind": "grid1d", "dx": "1e-30 m", "Lx": "1 um"}}, "mesh.shape.dx: makes 1e+24 cells"),
    ({f"{SHAPE}.nx": 0}, "mesh.shape.nx: expected at least 1"),
    ({f"{SHAPE}.nx": 3.5}, "mesh.shape.nx: expected a whole number"),
    ({f"{SHAPE}.Lx": "-6 um"}, "mesh.shape.Lx: must be positive"),
    ({f"{SHAPE}.Ly": "6 um"}, "mesh.shape: grid1d: has no y axis"),
    ({f"{SHAPE}.dx": ["1 um", "-2 um"]}, "mesh.shape.dx: must be positive"),
    ({f"{SHAPE}.origin": ["1 um"] * 4}, "mesh.shape.origin: expected 3 entries, got 4"),
    ({f"{SHAPE}.regions": "3 um"}, "mesh.shape.regions: expected a table"),
    ({f"{SHAPE}.regions.west": ["3 um", "0 um"]}, "mesh.shape.regions.west: the interval"),
    ({f"{SHAPE}.regions.west": {"x": "1 um"}}, "mesh.shape.regions.west: expected a length"),
    ({f"{SHAPE}.regions.west": []}, "mesh.shape.regions.west: expected an interval"),
    ({f"{SHAPE}.regions.west": ["30 um", "40 um"]}, "region 'west' holds no cell; the grid extends"),
    ({f"{SHAPE}.boundaries.point_A": "2.55 um"}, "boundary 'point_A' holds no face"),
    # Places that the mesh has not, or not for this.
    (
        {"junctions.0.on": "nowhere"},
        'junctions[0].on: the mesh has no region or boundary "nowhere" '
        "(regions: west, east, middle; boundaries: left, right, point_A, point_B)",
    ),
    (
        {"reservoirs.0.on": ["west"]},
        'reservoirs[0].on: the mesh has no boundary "west" (boundaries: left, right, point_A, point_B)',
    ),
    ({"reservoirs.0.on": ["left", "left"]}, 'reservoirs[0].on: "left" is taken by reservoirs[0].on already'),
    ({"junctions.0.on": "left"}, 'reservoirs[0].on: "left" is taken by junctions[0].on already'),
    (
        {f"{SHAPE}.boundaries.inside": "1 um", "reservoirs.0.on": ["left", "inside"]},
        "boundary 'inside' lies inside the device; it must be an outer one",
    ),
    (
        {f"{SHAPE}.regions.point_A": ["2 um", "3 um"]},
        'junctions[0].on: "point_A" is a region and a boundary of the mesh; rename one of them',
    ),
    ({"junctions.0.name": "left+right"}, "two terminals are called 'left+right'"),
    ({"regions.nix.material": "Al_ryan2026"}, 'regions.nix: the mesh has no region "nix"'),
    (
        {"interfaces": [{"between": ["west", "nix"], "conductance_per_area": BARRIER}]},
        'interfaces[0].between: the mesh has no region "nix"',
    ),
    (
        {"interfaces": [{"between": ["west", "middle"], "conductance_per_area": BARRIER}]},
        'interfaces[0].between: regions "west" and "middle" share cells',
    ),
    (
        {
            f"{SHAPE}.regions.end": ["5 um", "6 um"],
            "interfaces": [{"between": ["west", "end"], "conductance_per_area": BARRIER}],
        },
        'interfaces[0].between: regions "west" and "end" do not touch',
    ),
    (
        {"supercurrent": {"phase_gradient": 0.1, "from": "nix", "to": "right"}},
        'supercurrent.from: the mesh has no boundary "nix"',
    ),
    ({"supercurrent": {"phase_gradient": [0.1, 0.2, 0.1]}}, "phase_gradient: 0.1 is given more than once"),
    ({"sweep.V_inj": ["0 V", "1 mV", "0 V"]}, 'sweep.V_inj: "0.0 V" is given more than once'),
    ({"sweep.temperature": ["0.1 K", "100 mK"]}, "sweep.temperature: 0.1 is given more than once"),
    ({"supercurrent": {"phase_gradient": 0.1, "from": "point_A", "to": "right"}}, "'point_A' lies inside"),
    (
        {"supercurrent": {"phase_gradient": 0.1, "region": "nix"}},
        "supercurrent.region: the mesh has no region",
    ),
    ({"gap": {"model": "uniform", "at": "nix"}}, "gap.at: there is no junction at 'nix'"),
    # Materials and temperatures.
    ({"material.name": "Pb"}, 'material.name: there is no material "Pb"; known are Al, Al_ryan2026'),
    ({"regions.west.material": "Pb"}, 'regions.west.material: there is no material "Pb"'),
    ({"material.name": "X", "materials.X": {"name": "X"}}, 'materials.X.name: there is no material "X"'),
    (
        {"material.name": "X", "materials.X": {"name": "Y"}, "materials.Y": {"name": "X"}},
        "materials.X.name: leads back to itself: X -> Y -> X",
    ),
    (
        {"material.gap": 200e-6},
        'material.gap: expected an energy such as "265 ueV", got 0.0002 Delta0 (as a number without',
    ),
    ({"material.gap": "-1 meV"}, "material.gap: must not be negative, got -0.001 eV"),
    ({"material.gap": "0 eV"}, "material.gap: Al_ryan2026 is a normal metal"),
    ({"sweep.temperature": "2 K"}, "sweep.temperature[0]: 2 K is not below the critical temperature 1.743 K"),
    (
        {
            "regions.east.material": "X",
            "materials.X": {"name": "Al_ryan2026", "gap": "100 ueV"},
            "sweep.temperature": "0.7 K",
        },
        "0.7 K is not below the critical temperature 0.6579 K of Al_ryan2026 (region east)",
    ),
    # Energies, spectra and biases.
    ({"spectrum.broadening": 0}, "spectrum.broadening: 0 without depairing leaves the density of states"),
    ({"spectrum.broadening": 1e-90}, "spectrum.broadening: 1e-90 Delta0 without depairing leaves"),
    ({"spectrum.broadening": 2.0}, "spectrum.broadening: 2 Delta0 leaves no gap"),
    (
        {"energies.maximum": 1.2},
        "energies.maximum: the axis ends at 1.2 Delta0, but the largest of sweep.V_inj is 0.0004 V, 1.509",
    ),
    (
        {"energies.number": 3},
        "with a largest step of 0.1; the axis ends at 3 Delta0, the least that is taken",
    ),
    (
        {"energies.number": 40, "energies.maximum": 8.0},
        "with a largest step of 0.1; the axis ends at 8 Delta0, as energies.maximum says",
    ),
    (
        {"junctions.0.bias": "20 mV", "sweep.V_inj": None},
        "the axis ends at 75.96 Delta0 because junctions[0].bias is 0.02 V, 75.47 Delta0/e; is it right?",
    ),
    ({"sweep.temperature": "1.7 K"}, "because of temperatures up to 1.7 K; are they right?"),
    (
        {"energies.spacing": "uniform", "energies.largest": 0.05},
        'energies.largest: is not used with spacing = "uniform"',
    ),
    ({"collisions": {}}, "collisions: give electron_electron, electron_phonon or both"),
    (
        {"collisions": {"electron_phonon": "100 ns", "kernel": "diffusive_1d"}},
        "collisions.kernel: is not used without electron_electron",
    ),
    (
        {"collisions": {"electron_phonon": "100 ns", "phonon_escape_time": "1 ns"}},
        "collisions: phonon_escape_time and pair_breaking_time belong together",
    ),
    ({"gap.branches": True}, 'gap.branches: is not used with model = "equilibrium"'),
    ({"reservoirs.0.voltage": "1 mV"}, "has a voltage and is superconducting"),
    (
        {"collisions": {"electron_electron": 1e-4, "pair_breaking_time": "1 ns"}},
        "collisions.pair_breaking_time: is not used without electron_phonon",
    ),
    (
        {"collisions": {"electron_electron": 0.0}, "energies.spacing": "uniform"},
        "collisions.electron_electron: must be greater than 0",
    ),
    ({"energies.number": 1, "energies.spacing": "uniform"}, "energies.number: expected at least 2"),
    ({"energies.number": 10**12}, "energies.number: expected at most 1000000"),
    (
        {"sweep.V_inj": ["1e9 V"]},
        "energies.maximum: at most 1000 Delta0 makes sense, but the axis ends at 3.774e+12 Delta0 because",
    ),
    (
        {"sweep.V_inj": {"from": "0 V", "to": "1 mV", "points": 1}},
        "sweep.V_inj.points: expected a whole number",
    ),
    ({"sweep.V_inj": {"from": "0 V", "to": "1 mV", "points": 10**12}}, "at most 1000000, got 1000000000000"),
    ({"gap": {"model": "local", "debye_energy": 0.5}}, "gap.debye_energy: must be greater than 1"),
    # Solver, output, figures.
    ({"solver.petsc": {"ts_max_steps": 1}}, "solver.petsc.ts_max_steps: reaches no solver"),
    ({"solver.petsc": {"foo": 1}}, "solver.petsc.foo: not an option that a case file may set (misspelt?)"),
    (
        {"solver": {"method": "gamg", "petsc": {"ksp_type": "magic"}}},
        "solver.petsc: PETSc refuses ksp_type: Unable to find requested KSP type magic",
    ),
    (
        {"solver": {"method": "gamg", "petsc": {"pc_hypre_boomeramg_max_iter": 2}}},
        "solver.petsc.pc_hypre_boomeramg_max_iter: not used",
    ),
    (
        {"gap": {"model": "local"}, "solver.petsc": {"gap_snes_anderson_n": 3}},
        "solver.petsc.gap_snes_anderson_n: not used",
    ),
    (
        {"solver.maximum_iterations": 3},
        "solver.maximum_iterations: is not used: nothing is iterated with gap",
    ),
    (
        {"gap": {"model": "fixed", "value": 0.9}, "solver.tolerance": 1e-3},
        'solver.tolerance: is not used: nothing is iterated with gap.model = "fixed"',
    ),
    (
        {"supercurrent": {"phase_gradient": 0, "coupling": False}},
        "supercurrent.coupling: is not used: there is no supercurrent but 0",
    ),
    ({"output.fields": [], "output.every": 5}, "output.every: is not used: output.fields is empty"),
    ({"output.fields": ["gap", "gap"]}, 'output.fields: "gap" is given more than once'),
    (
        {"output.fields": ["f_L"], "output.field_energies": [-1.0]},
        "output.field_energies[0]: must not",
    ),
    (
        {"output.fields": ["f_L"], "output.field_energies": [1e3]},
        "output.field_energies[0]: 1000 Delta0 is beyond the energy axis",
    ),
    ({"figures": [{"kind": "g_ss"}]}, "figures[0].kind: g_ss needs both signs of the bias in sweep.V_inj"),
    ({"figures": [{"kind": "g_nl", "energy": 1.2}]}, 'figures[0].energy: belongs to kind = "fields" with'),
    (
        {"output.stored": ["gap"], "figures": [{"kind": "fields", "variable": "gap", "energy": 1.2}]},
        "figures[0].energy: belongs to kind",
    ),
    (
        {"output.stored": ["dos"], "figures": [{"kind": "fields", "variable": "dos", "energy": 40.0}]},
        "figures[0].energy: 40 Delta0 is beyond the energy axis, which ends at",
    ),
    (
        {
            "mesh.shape": {
                "kind": "grid3d",
                "nx": 2,
                "Lx": "1 um",
                "ny": 2,
                "Ly": "1 um",
                "nz": 2,
                "Lz": "8 nm",
            },
            "cross_section": {},
            "junctions": [],
            "sweep": {"temperature": "0.1 K"},
            "output.stored": ["gap"],
            "figures": [{"kind": "fields", "variable": "gap"}],
        },
        'figures[0].kind: "fields" is of lines and plane meshes; fields of solids are for ParaView',
    ),
    (
        {
            "junctions": [
                {"name": "A", "on": "west", "conductance": "1 uS", "role": "injector", "temperature": "50 mK"}
                | {"bias": "0.1 mV"}
            ],
            "reservoirs.0.temperature": "50 mK",
            "sweep": {},
            "figures": [{"kind": "gap"}],
        },
        "figures[0].kind: gap is drawn over what is swept; give [sweep], such as V_inj",
    ),
    ({"figures": [{"kind": "g_nl", "offset": INF}]}, "figures[0].offset: expected a finite number"),
]


@pytest.mark.parametrize(
    ("changes", "words"), MISTAKES, ids=[f"{number}-{next(iter(m[0]))}" for number, m in enumerate(MISTAKES)]
)
def test_mistakes(said: Said, changes: dict[str, Any], words: str) -> None:
    code, text = said(LINE, changes, "run", "--out", "out")
    assert code == 2
    assert text.startswith("case.toml: ") and words in text
    assert not Path("out").exists()


def test_a_junction_that_conducts_better_than_the_wire_is_warned_of_once(said: Said) -> None:
    fine = {"energies.number": 120}
    code, text = said(LINE, fine | {"junctions.0.conductance": "100 S"})
    assert code == 0 and text.count("warning: ") == 1
    assert "case.toml: junctions[0].conductance: 100 S is more than a tunnel junction there can have" in text
    assert said(LINE, fine) == (0, "")
    normal = fine | {"materials.N": {"name": "Al_ryan2026", "gap": "0 eV"}, "regions.west.material": "N"}
    assert said(LINE, normal | {"junctions.0.conductance": "100 S", "junctions.0.on": "west"}) == (0, "")
