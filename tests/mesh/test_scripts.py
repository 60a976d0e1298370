"""Command lines of the scripts that make meshes."""

from pathlib import Path

import pytest

from fvqp.mesh.scripts import command_line, count, positive


def test_all_meshes_at_their_sizes_beside_the_script(tmp_path: Path) -> None:
    given = command_line("", ("line", "film"), tmp_path).parse_args([])
    assert (given.names, given.size_factor, given.out) == (["line", "film"], 1.0, tmp_path)


def test_named_meshes_refined_in_a_new_folder(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    words = ["film", "--size-factor", "0.5", "--out", str(folder)]
    given = command_line("", ("line", "film"), tmp_path).parse_args(words)
    assert (given.names, given.size_factor, given.out) == (["film"], 0.5, folder)
    assert folder.is_dir()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["films"], "no mesh films; there are line, film"),
        (["--size-factor", "nan"], "nan: expected a positive number"),
        (["--size-factor", "0"], "0: expected a positive number"),
        (["--layers", "1.5"], "1.5: expected 1, 2, 3, ..."),
        (["--out", "{file}/x"], "Not a directory"),
    ],
)
def test_bad_words(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    parser = command_line("", ("line", "film"), tmp_path)
    parser.add_argument("--layers", type=count)
    parser.add_argument("--width", type=positive)
    with pytest.raises(SystemExit):
        parser.parse_args([word.format(file=tmp_path / "file") for word in words])
    assert said in capsys.readouterr().err
