"""Bad case files, mesh files and results folders: one line that says what is wrong where."""

from __future__ import annotations

from pathlib import Path

import meshio
import numpy as np
import pytest
from said import Answer, write_case
from usadel_cases import LINE

FILM_FILE = {
    "mesh": {"file": "film.vtu", "length_unit": "um"},
    "cross_section": {"thickness": "8 nm"},
    "junctions": [],
    "sweep": {"temperature": "50 mK"},
    "reservoirs": [{"on": ["left"]}],
}

#: Bins of which there is nothing to warn.
FINE = {"energies": {"number": 200}}


@pytest.mark.parametrize(
    "content", [b"", b"\x00\x01\xff\xfe" * 99, b"\x00" * 9, "title".encode("utf-16"), b"["]
)
def test_files_that_are_no_cases(answer: Answer, content):
    Path("bad.toml").write_bytes(content)
    for command in (("check", "bad.toml"), ("run", "bad.toml", "--out", "out")):
        code, text = answer(*command)
        assert code == 2 and "bad.toml" in text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("x = " + "[" * 5000 + "]" * 5000, "tables and lists lie in one another more than 50 deep"),
        ("x = " + "{a = " * 3000 + "1" + "}" * 3000, "tables and lists lie in one another more than 50 deep"),
        (".".join("a" * 5000) + " = 1", "tables and lists lie in one another more than 50 deep"),
        (".".join("a" * 60) + " = 1", "tables and lists lie in one another more than 50 deep"),
        ("x = 1" + "0" * 6000, "not valid TOML: Exceeds the limit"),
    ],
)
def test_files_that_no_case_is_like(answer: Answer, text: str, words: str) -> None:
    Path("deep.toml").write_text(f'model = "usadel"\n{text}\n')
    code, said = answer("check", "deep.toml")
    assert code == 2 and said.startswith("deep.toml: not valid TOML: ") and words in said


def test_a_folder_or_nothing_for_a_case(answer: Answer):
    assert answer("check", ".")[0] == 2
    code, text = answer("check", "missing.toml")
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
def test_files_that_are_no_meshes(answer: Answer, content, words):
    write_case(LINE, FILM_FILE, "film.toml")
    if content is not None:
        Path("film.vtu").write_bytes(content)
    code, text = answer("check", "film.toml")
    assert code == 2 and text.startswith("film.toml: mesh.file: ") and words in text and "film.vtu" in text


def test_a_folder_for_a_mesh(answer: Answer):
    write_case(LINE, FILM_FILE, "film.toml")
    Path("film.vtu").mkdir()
    code, text = answer("check", "film.toml")
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
    write_case(LINE, FILM_FILE | {"mesh": {"file": "film.msh", "length_unit": "um"}}, "film.toml")


def test_a_good_film_file(answer: Answer):
    film()
    assert answer("check", "film.toml")[0] == 0


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
def test_bad_cells(answer: Answer, squares, points, words):
    film(squares, points)
    code, text = answer("check", "film.toml")
    assert code == 2 and text.startswith("film.toml: mesh.file: ") and words in text


def test_inverted_cells(answer: Answer):
    corners = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.0]])
    for order, fine in (([0, 1, 2, 3], True), ([0, 2, 1, 3], False)):
        meshio.write("film.vtu", meshio.Mesh(corners, [("tetra", np.array([order]))]))
        write_case(LINE, FILM_FILE, "film.toml")
        code, text = answer("check", "film.toml")
        assert code == 2 and ("cell 0 (tetra)" in text and "is inverted" in text) is not fine


def test_a_part_without_reservoir(answer: Answer):
    far = POINTS + np.array([5.0, 0.0, 0.0])
    film(np.concatenate([SQUARES, SQUARES + 6]), np.concatenate([POINTS, far]))
    code, text = answer("check", "film.toml")
    assert code == 2 and text.startswith("film.toml: ")
    assert "a part of the mesh (metal) touches no reservoir" in text


def test_boundaries_of_a_mesh_file_are_listed(answer: Answer):
    film()
    code, text = answer("check", "film.toml", "--set", "reservoirs[0].on=['lift']")
    assert code == 2 and 'reservoirs[0].on: the mesh has no boundary "lift"; did you mean "left"?' in text
    code, text = answer("mesh", "info", "nothing.msh")
    assert code == 2 and "nothing.msh: no such file" in text


# -- running ---------------------------------------------------------------------------------------------


def test_no_folder(answer: Answer):
    write_case(LINE, {}, "line.toml")
    Path("taken").write_text("")
    code, text = answer("run", "line.toml", "--out", "taken/out")
    assert (code, text) == (2, "line.toml: taken/out: cannot make the folder: Not a directory")


def test_mark_at_the_beginning(answer: Answer):
    write_case(LINE, FINE, "line.toml")
    Path("marked.toml").write_text(Path("line.toml").read_text(), encoding="utf-8-sig")
    assert answer("check", "marked.toml") == answer("check", "line.toml")
    assert answer("check", "marked.toml")[0] == 0


def test_no_convergence(answer: Answer):
    few = {"gap": {"model": "uniform", "at": "point_A"}, "solver": {"maximum_iterations": 2}}
    write_case(LINE, few | FINE, "line.toml")
    code, text = answer("run", "line.toml", "--out", "out")
    assert code == 2 and text.startswith("line.toml: temperature 0.05 K: self-consistent gap at V_inj")
    assert "not converged after 2 evaluations" in text
    assert "raise solver.maximum_iterations, or take finer steps of sweep.V_inj" in text
    assert text.endswith("(what was computed is in out; --resume goes on from there)")
    write_case(LINE, {"supercurrent": {"phase_gradient": 3.0}}, "line.toml")
    code, text = answer("run", "line.toml", "--out", "other")
    assert code == 2 and "supercurrent.phase_gradient: 3 is more than the device carries" in text


def test_folders_of_others(answer: Answer):
    write_case(LINE, FINE, "line.toml")
    assert answer("run", "line.toml", "--out", "out")[0] == 0
    code, text = answer("run", "line.toml", "--out", "out")
    assert code == 2 and "out: holds results of this case already; --resume" in text
    code, text = answer("run", "line.toml", "--out", "out", "--set", "energies.number=210")
    assert code == 2 and "out: belongs to another case" in text
    code, text = answer("run", "line.toml", "--out", "line.toml")
    assert code == 2 and "line.toml: is a file" in text
    Path("mine").mkdir()
    Path("mine", "notes.txt").write_text("keep")
    code, text = answer("run", "line.toml", "--out", "mine")
    assert code == 2 and "mine: is not empty and not a results folder" in text
    Path("out", "checkpoint.h5").write_bytes(b"junk")
    code, text = answer("run", "line.toml", "--out", "out", "--resume")
    assert code == 2 and "checkpoint.h5" in text and "damaged" in text


def test_a_checkpoint_of_another_mesh(answer: Answer):
    """The file has changed under the same name: the case is the same, the mesh is not."""
    film()
    assert answer("run", "film.toml", "--out", "out")[0] == 0
    more = np.concatenate([POINTS, [[3, 0, 0], [3, 1, 0]]])
    film(np.concatenate([SQUARES, [[2, 6, 7, 5]]]), more)
    code, text = answer("run", "film.toml", "--out", "out", "--resume")
    assert code == 2 and "checkpoint.h5" in text and "mesh" in text


def test_groups(answer: Answer):
    write_case(LINE, {}, "line.toml")
    code, text = answer("run", "line.toml", "--out", "out", "--groups", "100")
    assert code == 2 and "solver.groups: 100 groups for 1 curve(s)" in text


# -- names and values that no file has -------------------------------------------------------------------


LONG = "n" * 300


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (f"{LONG}.msh", "cannot be a file: File name too long"),
        ("a/" * 3000 + "b.msh", "cannot be a file: File name too long"),
        ("a\u0000.msh", "cannot be a file: "),
        ("loop.msh", "loop.msh"),
    ],
    ids=["name", "path", "nul", "loop"],
)
def test_impossible_names_of_files(answer: Answer, name: str, words: str) -> None:
    Path("loop.msh").symlink_to("loop.msh")
    write_case(LINE, FILM_FILE | {"mesh": {"file": name, "length_unit": "um"}}, "film.toml")
    code, text = answer("check", "film.toml")
    assert code == 2 and text.startswith("film.toml: mesh.file: ") and words in text and len(text) < 400


def test_files_behind_links(answer: Answer) -> None:
    film()
    Path("link.msh").symlink_to("film.msh")
    write_case(LINE, FILM_FILE | {"mesh": {"file": "link.msh", "length_unit": "um"}}, "film.toml")
    assert answer("check", "film.toml")[0] == 0
    Path("film.msh").unlink()
    code, text = answer("check", "film.toml")
    assert code == 2 and "mesh.file: no such file: " in text


@pytest.mark.parametrize(
    "command",
    [
        ("run", "line.toml", "--out", LONG),
        ("run", LONG, "--out", "out"),
        ("run", "line.toml", "--out", "a/" * 3000),
        ("check", LONG),
        ("plot", LONG),
        ("mesh", "info", LONG),
        ("mesh", "plot", "line.toml", "-o", LONG),
        ("mesh", "from-gds", "a.gds", "--layer", "1/0=a", "--out", f"{LONG}.msh"),
        ("symmetry", LONG, "-o", "out.csv"),
    ],
)
def test_impossible_names_on_the_command_line(answer: Answer, command: tuple[str, ...]) -> None:
    write_case(LINE, {}, "line.toml")
    code, text = answer(*command)
    assert code == 2 and '..." is too long for the name of a file' in text


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"title": 5, LONG * 100: 1}, LONG[:50]),
        ({"gap": {"model": "uniform", "at": LONG * 100}}, "gap.at"),
        ({"cross_section": {"thickness": "8 " + LONG * 100}}, "cross_section.thickness"),
        ({"material": LONG * 100}, "material"),
        ({"model": LONG * 100}, "model"),
    ],
)
def test_long_values_are_cut(answer: Answer, changes: dict, key: str) -> None:
    write_case(LINE, changes, "line.toml")
    code, text = answer("check", "line.toml")
    assert code == 2 and key in text and "..." in text and len(text) <= 2100 and LONG[:61] + '"' not in text


def test_sizes_out_of_all_range(answer: Answer) -> None:
    for value in ("1e308 um", "1e-40 m", "1e20 m"):
        write_case(LINE, {"cross_section": {"thickness": value, "width": "1 um"}}, "line.toml")
        code, text = answer("check", "line.toml")
        assert code == 2
        where = f'line.toml: cross_section.thickness: "{value}" is out of all range'
        assert text == f"{where}: expected a size of 0, or from 1e-30 to 1e+09 m"
