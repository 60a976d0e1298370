"""Shipped cases as users find them: listed, copied with what they name, and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from said import Answer, answer  # noqa: F401
from shipped_cases import CASES, REDUCED

from fvqp import cli
from fvqp.case import load_case
from fvqp.examples import copy_example, example, examples, new_case, templates
from fvqp.results import open_result

#: Templates that take more than some seconds, also when smaller.
LONG = ("chip", "cluster", "mkid", "particle", "sphere", "trap")


def test_every_shipped_case_is_listed() -> None:
    listed = examples()
    found = sorted(str(path.relative_to(CASES).with_suffix("")) for path in CASES.rglob("*.toml"))
    assert sorted(one.name for one in listed) == found
    assert all(one.title and re.fullmatch(r"\d+ (s|min)", one.time) for one in listed)


@pytest.mark.parametrize("name", ["fig10", "bespalov2016/wire", "side_arm_film"])
def test_a_copy_is_the_case(name: str, tmp_path: Path) -> None:
    case, *others = copy_example(name, tmp_path / "own")
    copied, shipped = load_case(case), load_case(example(name).file)
    if name == "bespalov2016/wire":
        assert copied.profile.table.read_bytes() == shipped.profile.table.read_bytes()  # type: ignore[attr-defined]
    else:
        assert copied.hash == shipped.hash
    assert ".." not in re.sub("#.*", "", case.read_text()) and {f.parent for f in others} <= {case.parent}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in LONG else name for name in templates()]
)
def test_a_template_runs(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["new", name]) == 0
    overrides = [part for change in REDUCED[templates()[name].name] for part in ("--set", change)]
    assert cli.main(["run", f"{name}.toml", "--out", "out", "-q", *overrides]) == 0
    assert open_result("out").dataset["completed"].values.all()
    comments = [line for line in Path(f"{name}.toml").read_text().splitlines() if "#" in line]
    assert len(comments) >= 7  # what the keys mean


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("chip", "qubit_chip.gds --layers qubit_chip_layers.toml --out again.msh"),
        ("trap", "film_with_trap.gds --layers film_with_trap_layers.toml --out again.msh"),
        ("mkid", "mkid.gds --layer 1/0=meander --boundary 9/0=ground --size LENGTH --out again.msh"),
    ],
)
def test_a_template_says_how_its_mesh_is_made(
    name: str, arguments: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    case, mesh, *_ = new_case(name, ".")
    said = f"#   fvqp mesh from-gds {arguments}".replace("LENGTH", '"2.2 um"').replace("again.msh", mesh.name)
    assert said in case.read_text().splitlines()
    words = [word.replace("LENGTH", "2.2 um") for word in arguments.split()]
    assert cli.main(["mesh", "from-gds", *words]) == 0
    assert Path("again.msh").read_bytes() == mesh.read_bytes()


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["examples"]) == 0
    assert re.search(r"^ryan2026/fig10 +8 s +Charge imbalance: g_ss", capsys.readouterr().out, re.M)
    assert cli.main(["examples", "fig10"]) == 0
    assert capsys.readouterr().out.endswith(f"takes about 8 s\n{CASES / 'ryan2026' / 'fig10.toml'}\n")
    assert cli.main(["new"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == list(templates())
    assert cli.main(["materials"]) == 0
    assert re.search(r"^Nb +1470 ueV +9\.2 K +Niobium$", capsys.readouterr().out, re.M)
    assert cli.main(["materials", "aluminium"]) == 0
    shown = capsys.readouterr().out
    assert "Al: Aluminium, pure bulk" in shown and "Al_ryan2026: Aluminium wire" in shown
    assert re.search(r"characteristic_time +438 ns ± 100 ns +Kaplan et al\., Phys\. Rev\. B", shown)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["new", "wires"], 'there is no template "wires"; there are wire, chip, trap, mkid, sphere'),
        (["examples", "fig99"], 'there is no example "fig99"; `fvqp examples` lists those there are'),
        (["examples", "wire"], 'there are several examples "wire": bespalov2016/wire, ryan2026/wire'),
        (["examples", "--copy", "there"], "--copy: name the example to copy, such as fig10"),
        (["materials", "unobtainium"], 'there is no material "unobtainium"; known are Al, Al_ryan2026, Cu'),
    ],
)
def test_mistakes(answer: Answer, arguments: list[str], words: str) -> None:  # noqa: F811
    code, text = answer(*arguments)
    assert code == 2 and text.startswith(words)


def test_nothing_is_overwritten(answer: Answer) -> None:  # noqa: F811
    Path("qubit_chip.msh").write_text("mine")
    code, text = answer("new", "chip")
    assert code == 2 and text == "qubit_chip.msh: is there already; choose another folder, or remove it"
    assert Path("qubit_chip.msh").read_text() == "mine" and not Path("chip.toml").exists()
    Path("file").write_text("")
    code, text = answer("examples", "fig10", "--copy", "file")
    assert code == 2 and "file: cannot be written: File exists" in text
