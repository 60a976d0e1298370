"""Bad input at the command line: one line that names file, key or entity and what would be right."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import meshio
import numpy as np
import pytest
import tomlkit

from fvqp import cli

LINE: dict[str, Any] = {
    "model": "usadel",
    "mesh": {
        "shape": {
            "kind": "grid1d",
            "nx": 36,
            "Lx": "6 um",
            "regions": {"west": ["0 um", "3 um"], "east": ["3 um", "6 um"], "middle": ["2 um", "4 um"]},
            "boundaries": {"point_A": "2.5 um", "point_B": "3.5 um"},
        }
    },
    "cross_section": {"width": "150 nm", "thickness": "8 nm"},
    "material": {"name": "Al_ryan2026"},
    "junctions": [
        {"name": "A", "on": "point_A", "conductance": "24.6 uS", "role": "injector"},
        {"name": "B", "on": "point_B", "conductance": "31.4 uS", "role": "detector"},
    ],
    "reservoirs": [{"on": ["left", "right"]}],
    "spectrum": {"broadening": 0.01},
    "energies": {"number": 60},
    "sweep": {"V_inj": ["0.2 mV", "0.4 mV"], "V_det": ["0 mV"], "temperature": "50 mK"},
}
FILM_FILE = {
    "mesh": {"file": "film.vtu", "length_unit": "um"},
    "cross_section": {"thickness": "8 nm"},
    "junctions": [],
    "sweep": {"temperature": "50 mK"},
    "reservoirs": [{"on": ["left"]}],
}


def put(data: dict[str, Any], path: str, value: Any) -> None:
    *steps, last = path.split(".")
    at: Any = data
    for step in steps:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    if isinstance(at, list):
        at[int(last)] = value
    else:
        at[last] = value


@pytest.fixture
def said(tmp_path, monkeypatch, capsys):
    """What the command line says, once, and its exit code."""
    monkeypatch.chdir(tmp_path)

    def say(*arguments: str) -> tuple[int, str]:
        code = cli.main([*arguments, "-q"])
        text = capsys.readouterr().err
        if code == 0:
            return 0, text
        assert text.startswith("fvqp: error: ") and text.count("\n") == 1, text
        return code, text.removeprefix("fvqp: error: ").rstrip()

    return say


def write(changes: dict[str, Any], name: str = "line.toml") -> None:
    """A case file; keys with dots are paths into the tables."""
    data = copy.deepcopy(LINE)
    for key, value in changes.items():
        put(data, key, copy.deepcopy(value))
    Path(name).write_text(tomlkit.dumps(data))


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
        "regions 'west' and 'end' do not touch",
    ),
    (
        {"supercurrent": {"phase_gradient": 0.1, "from": "nix", "to": "right"}},
        'supercurrent.from: the mesh has no boundary "nix"',
    ),
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
    ({"spectrum.broadening": 1e-300}, "spectrum.broadening: 1e-300 Delta0 without depairing leaves"),
    ({"spectrum.broadening": 2.0}, "spectrum.broadening: 2 Delta0 leaves no gap"),
    (
        {"energies.maximum": 1.2},
        "energies.maximum: the axis ends at 1.2 Delta0, but the largest bias is 1.509",
    ),
    ({"energies.number": 3}, "energies.number: energy grid: 3 bins cannot resolve this; at least"),
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
    (
        {
            "collisions": {
                "electron_phonon": "1 us",
                "phonon_escape_time": "1 ns",
                "pair_breaking_time": "1 ns",
                "charge": True,
            }
        },
        "collisions.charge: phonons of their own",
    ),
    (
        {"collisions": {"electron_phonon": "1 us", "charge": True}},
        'energies.spacing: "graded" does not go with collisions.charge',
    ),
    ({"gap.branches": True}, 'gap.branches: is not used with model = "equilibrium"'),
    ({"reservoirs.0.voltage": "1 mV"}, "has a voltage and is superconducting"),
    (
        {"collisions": {"electron_electron": 1e-4, "pair_breaking_time": "1 ns"}},
        "collisions.pair_breaking_time: is not used without electron_phonon",
    ),
    (
        {
            "collisions": {
                "electron_phonon": "1 us",
                "phonon_escape_time": "1 ns",
                "pair_breaking_time": "1 ns",
            }
        },
        'energies.spacing: "graded" does not go with collisions.phonon_escape_time',
    ),
    (
        {"collisions": {"electron_electron": 0.0}, "energies.spacing": "uniform"},
        "collisions.electron_electron: must be greater than 0",
    ),
    ({"energies.number": 1, "energies.spacing": "uniform"}, "energies.number: expected at least 2"),
    ({"energies.number": 10**12}, "energies.number: expected at most 1000000"),
    ({"sweep.V_inj": ["1e9 V"]}, "the energy axis would end at 3.774e+12 Delta0; at most 1000 makes sense"),
    (
        {"sweep.V_inj": {"from": "0 V", "to": "1 mV", "points": 1}},
        "sweep.V_inj.points: expected a whole number",
    ),
    ({"sweep.V_inj": {"from": "0 V", "to": "1 mV", "points": 10**12}}, "at most 1000000, got 1000000000000"),
    ({"gap": {"model": "local", "debye_energy": 0.5}}, "gap.debye_energy: must be greater than 1"),
    # Solver, output, figures.
    ({"solver.petsc": {"foo": 1}}, "solver.petsc.foo: reaches no solver"),
    (
        {"solver": {"method": "gamg", "petsc": {"ksp_type": "magic"}}},
        "solver.petsc: PETSc refuses ksp_type: Unable to find requested KSP type magic",
    ),
    (
        {"solver": {"method": "gamg", "petsc": {"ksp_type": "gmres", "ksp_rtoll": 1e-9}}},
        "solver.petsc.ksp_rtoll: not used: no solver of this case reads it",
    ),
    (
        {"solver": {"method": "gamg", "petsc": {"pc_hypre_boomeramg_max_iter": 2}}},
        "solver.petsc.pc_hypre_boomeramg_max_iter: not used",
    ),
    (
        {"gap": {"model": "local"}, "solver.petsc": {"gap_snes_anderson_n": 3}},
        "solver.petsc.gap_snes_anderson_n: not used",
    ),
    ({"output.fields": ["gap", "gap"]}, 'output.fields: "gap" is named more than once'),
    (
        {"output.fields": ["f_L"], "output.field_energies": [-1.0]},
        "output.field_energies: an energy must not",
    ),
    (
        {"output.fields": ["f_L"], "output.field_energies": [1e3]},
        "output.field_energies[0]: 1000 Delta0 is beyond the energy axis",
    ),
    ({"figures": [{"kind": "g_ss"}]}, "figures[0].kind: g_ss needs both signs of the bias in sweep.V_inj"),
    ({"figures": [{"kind": "g_nl", "offset": INF}]}, "figures[0].offset: expected a finite number"),
]


@pytest.mark.parametrize(
    ("changes", "words"), MISTAKES, ids=[f"{number}-{next(iter(m[0]))}" for number, m in enumerate(MISTAKES)]
)
def test_mistakes_in_a_case(said, changes, words):
    write(changes)
    code, text = said("run", "line.toml", "--out", "out")
    assert code == 2
    assert text.startswith("line.toml: ") and words in text
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01\xff\xfe" * 99, b"\x00" * 9, "title".encode("utf-16"), b"["]
)
def test_files_that_are_no_cases(said, content):
    Path("bad.toml").write_bytes(content)
    for command in (("check", "bad.toml"), ("run", "bad.toml", "--out", "out")):
        code, text = said(*command)
        assert code == 2 and "bad.toml" in text


def test_a_folder_or_nothing_for_a_case(said):
    assert said("check", ".")[0] == 2
    code, text = said("check", "missing.toml")
    assert code == 2 and "missing.toml: no such case file" in text


# -- mesh files ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "film.toml: mesh.file: no such file"),
        (b"", "cannot be read as a mesh"),
        (b"\x00\xff" * 500, "cannot be read as a mesh"),
        (b"<VTKFile>", "cannot be read as a mesh"),
    ],
)
def test_files_that_are_no_meshes(said, content, words):
    write(FILM_FILE, "film.toml")
    if content is not None:
        Path("film.vtu").write_bytes(content)
    code, text = said("check", "film.toml")
    assert code == 2 and text.startswith("film.toml: mesh.file: ") and words in text and "film.vtu" in text


def test_a_folder_for_a_mesh(said):
    write(FILM_FILE, "film.toml")
    Path("film.vtu").mkdir()
    code, text = said("check", "film.toml")
    assert code == 2 and "film.toml: mesh.file: " in text


SQUARES = np.array([[0, 1, 4, 3], [1, 2, 5, 4]])
POINTS = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [0, 1, 0], [1, 1, 0], [2, 1, 0]], dtype=float)


def film(squares: np.ndarray = SQUARES, points: np.ndarray = POINTS) -> None:
    """Two squares as a gmsh file with the boundary ``left``."""
    cells = [("line", np.array([[0, 3]])), ("quad", squares)]
    data = {
        "gmsh:physical": [np.array([1]), np.full(len(squares), 2)],
        "gmsh:geometrical": [np.array([1]), np.full(len(squares), 2)],
    }
    names = {"left": np.array([1, 1]), "metal": np.array([2, 2])}
    mesh = meshio.Mesh(0.1 * points, cells, cell_data=data, field_data=names)
    meshio.write("film.msh", mesh, file_format="gmsh22", binary=False)
    write(FILM_FILE | {"mesh": {"file": "film.msh", "length_unit": "um"}}, "film.toml")


def test_a_good_film_file(said):
    film()
    assert said("check", "film.toml")[0] == 0


@pytest.mark.parametrize(
    ("squares", "points", "words"),
    [
        (SQUARES, POINTS * [1, 0, 1], "has zero area"),
        (SQUARES[[0, 1, 1]], POINTS, "are the same cell twice"),
        (np.array([[0, 1, 4, 3], [1, 2, 5, 5]]), POINTS, "uses one of its points twice"),
        (SQUARES, np.where(POINTS == 2, np.nan, POINTS), "not a finite number"),
        (SQUARES[1:], POINTS, "boundary 'left' contains 1 elements that are not faces of any cell"),
    ],
    ids=["zero", "duplicated", "degenerate", "nan", "dangling"],
)
def test_bad_cells(said, squares, points, words):
    film(squares, points)
    code, text = said("check", "film.toml")
    assert code == 2 and text.startswith("film.toml: mesh.file: ") and words in text


def test_inverted_cells(said):
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    for order, fine in (([0, 1, 2, 3], True), ([0, 2, 1, 3], False)):
        meshio.write("film.vtu", meshio.Mesh(corners, [("tetra", np.array([order]))]))
        write(FILM_FILE, "film.toml")
        code, text = said("check", "film.toml")
        assert code == 2 and ("cell 0 (tetra)" in text and "is inverted" in text) is not fine


def test_a_part_without_reservoir(said):
    far = POINTS + np.array([5.0, 0.0, 0.0])
    film(np.concatenate([SQUARES, SQUARES + 6]), np.concatenate([POINTS, far]))
    code, text = said("check", "film.toml")
    assert code == 2 and text.startswith("film.toml: ")
    assert "a part of the mesh (metal) touches no reservoir" in text


def test_boundaries_of_a_mesh_file_are_listed(said):
    film()
    code, text = said("check", "film.toml", "--set", "reservoirs[0].on=['lift']")
    assert code == 2 and 'reservoirs[0].on: the mesh has no boundary "lift"; did you mean "left"?' in text
    code, text = said("mesh", "info", "nothing.msh")
    assert code == 2 and "nothing.msh: no such file" in text


# -- running ---------------------------------------------------------------------------------------------


def test_no_convergence(said):
    write({"gap": {"model": "uniform", "at": "point_A"}, "solver": {"maximum_iterations": 2}})
    code, text = said("run", "line.toml", "--out", "out")
    assert (
        code == 3 and "self-consistent gap at V_inj" in text and "not converged after 2 evaluations" in text
    )
    write({"supercurrent": {"phase_gradient": 3.0}})
    code, text = said("run", "line.toml", "--out", "other")
    assert code == 2 and "supercurrent.phase_gradient: 3 is more than the device carries" in text


def test_folders_of_others(said):
    write({})
    assert said("run", "line.toml", "--out", "out")[0] == 0
    code, text = said("run", "line.toml", "--out", "out")
    assert code == 2 and "out: holds results of this case already; --resume" in text
    code, text = said("run", "line.toml", "--out", "out", "--set", "energies.number=70")
    assert code == 2 and "out: belongs to another case" in text
    code, text = said("run", "line.toml", "--out", "line.toml")
    assert code == 2 and "line.toml: is a file" in text
    Path("mine").mkdir()
    Path("mine", "notes.txt").write_text("keep")
    code, text = said("run", "line.toml", "--out", "mine")
    assert code == 2 and "mine: is not empty and not a results folder" in text
    Path("out", "checkpoint.h5").write_bytes(b"junk")
    code, text = said("run", "line.toml", "--out", "out", "--resume")
    assert code == 2 and "checkpoint.h5" in text and "damaged" in text


def test_a_checkpoint_of_another_mesh(said):
    """The file has changed under the same name: the case is the same, the mesh is not."""
    film()
    assert said("run", "film.toml", "--out", "out")[0] == 0
    more = np.concatenate([POINTS, [[3, 0, 0], [3, 1, 0]]])
    film(np.concatenate([SQUARES, [[2, 6, 7, 5]]]), more)
    code, text = said("run", "film.toml", "--out", "out", "--resume")
    assert code == 2 and "checkpoint.h5" in text and "mesh" in text


def test_groups(said):
    write({})
    code, text = said("run", "line.toml", "--out", "out", "--groups", "100")
    assert code == 2 and "solver.groups: 100 groups for 1 curve(s)" in text
