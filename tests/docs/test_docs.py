"""The documentation does what it says: pages build, Python runs, commands and case fragments are accepted."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from launching import HANGS
from pages import DOCS, PAGES, ROOT, blocks, follow, name

import fvqp
from fvqp import cli
from fvqp.case import case_from_dict, load_case

CHEAP = ("mesh", "symmetry", "check", "new")
#: Pages whose code takes seconds.
LONG = (
    *(
        f"docs/tutorials/{page}.md"
        for page in (
            "fit",
            "hot_pulse",
            "mkid",
            "own_chip",
            "particle_hit",
            "sphere",
            "trap",
            "weak_link",
            "wire",
        )
    ),
    *(
        f"docs/howto/{page}.md"
        for page in (
            "arrivals",
            "device-noise",
            "fipy",
            "fit",
            "flux-noise",
            "functions",
            "gds",
            "mesh",
            "microwaves",
            "paraview",
            "vary",
        )
    ),
    *(f"docs/theory/{page}.md" for page in ("proximity", "selfconsistency")),
)


def having(*languages: str) -> list[Path]:
    pages = [*PAGES, ROOT / "README.md"]
    return [page for page in pages if any(language in languages for language, _ in blocks(page))]


def with_code() -> list[Any]:
    """Pages with Python or commands, the long ones marked slow."""
    return [
        pytest.param(page, marks=pytest.mark.slow) if name(page) in LONG else page
        for page in having("python", "sh")
    ]


@pytest.mark.parametrize("page", with_code(), ids=name)
def test_code_of_a_page_runs(page, checkout, capsys):
    """Commands run if they are cheap, else they are parsed here, and run in `test_shell_blocks`."""
    fig10 = checkout / "cases" / "ryan2026" / "fig10.toml"
    fig10.write_text(fig10.read_text().replace("points = 101", "points = 5").replace("= 600", "= 90"))
    follow(page, checkout, accept)


def accept(words: list[str]) -> None:
    """A command of `fvqp`; others are not looked at."""
    if Path(words[0]).name != "fvqp":
        return
    arguments = words[1:]
    options, petsc = cli._split(arguments)
    parsed = cli._parser().parse_args(options)
    if parsed.command in CHEAP:
        assert cli.main(arguments) == 0
    elif parsed.command == "run" and Path(parsed.case).exists():
        load_case(parsed.case, [*parsed.overrides, *cli._petsc_overrides(petsc)])


def merged(whole: dict[str, Any], part: dict[str, Any]) -> dict[str, Any]:
    """Tables of a case with those of a fragment, table by table."""
    tables = {
        key: merged(whole[key], value)
        for key, value in part.items()
        if isinstance(value, dict) and isinstance(whole.get(key), dict)
    }
    return whole | part | tables


@pytest.mark.parametrize("page", having("toml"), ids=name)
def test_case_fragments_are_valid(page):
    """A fragment with ``model`` is a whole case; any other adds to the one before it on its page, or replaces
    tables of the case of Fig. 10."""
    whole: dict[str, Any] = {}
    for number, (language, text) in enumerate(blocks(page), 1):
        if language != "toml":
            continue
        data = tomllib.loads(text)
        folder = ROOT
        if "model" in data:
            whole = data
        elif whole:
            data = merged(whole, data)
        else:
            folder = ROOT / "cases" / "ryan2026"
            data = tomllib.loads((folder / "fig10.toml").read_text()) | data
        case_from_dict(data, f"{name(page)}, block {number}", folder)


def test_every_table_and_command_has_its_place():
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        from generated import commands as subcommands
        from generated import tables
    finally:
        sys.path.pop(0)
    page = "".join(page.read_text() for page in (DOCS / "reference").glob("case*.md"))
    for table in tables():
        assert re.search(rf"<!-- case-table {table}\s", page), table
    page = (DOCS / "reference" / "command-line.md").read_text()
    for command, parser in subcommands(cli._parser()).items():
        for full in [f"{command} {inner}" for inner in subcommands(parser)] or [command]:
            assert f"{{command-help}} {full}\n" in page


@pytest.mark.parametrize("page", sorted((DOCS / "reference").glob("*.md")), ids=name)
def test_tables_of_the_reference_are_up_to_date(page, monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    generated = importlib.import_module("generated")
    text = page.read_text()
    assert generated.up_to_date(text) == text, "run `python docs/_ext/generated.py`"


def test_cells_of_notebooks(tmp_path):
    """Files, commands and Python are what a terminal has; cells that are not shown belong to the site."""
    cells = (
        ":tags: [remove-cell]\n\nx = 1\n",
        "%%writefile a.toml\nb = 2\n",
        "!fvqp check a.toml\n",
        "c = 3\n",
    )
    page = tmp_path / "page.md"
    page.write_text("".join(f"```{{code-cell}} python\n{cell}```\n" for cell in cells))
    assert blocks(page) == [("toml", "b = 2\n"), ("sh", "fvqp check a.toml\n"), ("python", "c = 3\n")]


def test_theory_pages_begin_with_result_and_validity():
    pages = {page for page in (DOCS / "theory").glob("*.md") if page.stem != "index"}
    begin = re.compile(
        r"# .+\n\n```\{admonition\} Result and validity\n\*\*Result\.\*\* .+\n\n\*\*Valid for\.\*\* .+\n```\n"
    )
    assert [name(page) for page in pages if not begin.match(page.read_text())] == []


def test_tests_that_pages_name_exist():
    """Pages name tests as ``tests/folder/test_file.py`` or ``...py::test_name``."""
    for page in PAGES:
        for file, function in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text()):
            assert (ROOT / file).is_file(), f"{name(page)} names {file}"
            if function:
                assert f"def {function}(" in (ROOT / file).read_text(), f"{name(page)} names {function}"


@pytest.mark.slow
def test_site_builds_without_warnings(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", str(DOCS), str(tmp_path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(fvqp.__file__).parents[1])},
        timeout=HANGS,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    assert (tmp_path / "index.html").is_file()
    assert loaded_from_outside(tmp_path) == set()
    tutorial = (tmp_path / "tutorials" / "hot_pulse.html").read_text()
    assert re.search(r"R from the decay: 8\.\d um\^3/s, expected 8\.1", tutorial)
    assert re.search(r"results in out/pulse", tutorial), "commands of notebooks run"
    assert list((tmp_path / "_static" / "mathjax").rglob("*.woff"))


def loaded_from_outside(site: Path) -> set[str]:
    """Return addresses on other hosts that a site loads: scripts, styles, pictures, fonts."""
    loaded = r"""<(?:script|img|link|iframe|source)\b[^>]*?\b(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)"""
    imported = r"""(?:url\(|@import)\s*["']?((?:https?:)?//[^"')\s]+)"""
    patterns = {"*.html": loaded, "*.css": imported}
    files = [(file, pattern) for ending, pattern in patterns.items() for file in site.rglob(ending)]
    return {address for file, pattern in files for address in re.findall(pattern, file.read_text())}


def test_addresses_of_other_hosts_are_found(tmp_path):
    page = '<script defer src="https://a.org/m.js"></script> <a href="https://b.org">b</a> <img src="c.png">'
    (tmp_path / "page.html").write_text(page)
    (tmp_path / "style.css").write_text('@import url("//d.org/e.css"); /* https://f.org */ a { src: url(g) }')
    assert loaded_from_outside(tmp_path) == {"https://a.org/m.js", "//d.org/e.css"}
