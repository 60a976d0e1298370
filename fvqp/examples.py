"""Shipped cases: what there is, and copies of them to begin with.

They lie in the folders ``cases`` and ``meshes`` of a checkout; a wheel has both in the package.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from fvqp import toml
from fvqp.errors import CaseError, shown


@dataclass(frozen=True)
class Example:
    """A shipped case.

    Attributes:
        name: folder and file, without the ending.
        file: case file.
        title: title of the case.
        time: how long it takes on one core, as text.
    """

    name: str
    file: Path
    title: str
    time: str


def examples() -> list[Example]:
    """Return the shipped cases in alphabetical order."""
    return [_example(name) for name in _index()["times"]]


def example(name: str) -> Example:
    """Return a shipped case by its name, with or without its folder.

    Raises:
        CaseError: there is none of that name, or there are several.
    """
    wanted = name.removesuffix(".toml")
    known = list(_index()["times"])
    found = [one for one in known if wanted in (one, one.rpartition("/")[2])]
    if not found:
        raise CaseError(f"there is no example {shown(name)}; `fvqp examples` lists those there are")
    if len(found) > 1:
        raise CaseError(f"there are several examples {shown(name)}: {', '.join(found)}; name one of them")
    return _example(found[0])


def templates() -> dict[str, Example]:
    """Return the cases that serve as templates, by the names of `fvqp new`."""
    return {name: _example(entry["case"]) for name, entry in _index()["templates"].items()}


def copy_example(name: str, folder: str | Path) -> list[Path]:
    """Copy a shipped case and the files that it names into a folder, where it runs.

    Args:
        name: of the example.
        folder: made if it is not there.

    Returns:
        The files written, the case first.

    Raises:
        CaseError: no such example, or a file of that name is there already.
    """
    found = example(name)
    return _copied(found, found.file.name, (), Path(folder))


def new_case(template: str, folder: str | Path) -> list[Path]:
    """Write the case of a template, under the name of the template, with its mesh and layout.

    Args and errors are those of `copy_example`.
    """
    known = _index()["templates"]
    if template not in known:
        raise CaseError(f"there is no template {shown(template)}; there are {', '.join(known)}")
    entry = known[template]
    return _copied(_example(entry["case"]), f"{template}.toml", entry.get("with", ()), Path(folder))


@cache
def _index() -> dict[str, Any]:
    return toml.parse(resources.files("fvqp").joinpath("examples.toml").read_text(encoding="utf-8"))


def _folder() -> Path:
    """Folder of the shipped cases."""
    package = Path(__file__).parent
    for place in (package / "shipped", package.parent):
        if (place / "cases").is_dir():
            return place / "cases"
    raise CaseError(f"{package}: the shipped cases are missing; install fvqp from a wheel or a checkout")


def _example(name: str) -> Example:
    file = _folder() / f"{name}.toml"
    title = toml.parse(file.read_text(encoding="utf-8")).get("title", "")
    return Example(name, file, title, _index()["times"][name])


def _copied(found: Example, name: str, beside: tuple[str, ...], folder: Path) -> list[Path]:
    """The case as ``name`` in a folder, with what it names and, from the folder of its mesh, ``beside``."""
    text = found.file.read_text(encoding="utf-8")
    sources = []
    for given in _texts(toml.parse(text)):
        source = found.file.parent / given
        if source.is_file():
            sources.append(source)
            text = text.replace(f'"{given}"', f'"{source.name}"')
    if beside:
        sources += [sources[0].parent / file for file in beside]
    targets = [folder / name, *(folder / source.name for source in sources)]
    for target in targets:
        if target.exists():
            raise CaseError(f"{target}: is there already; choose another folder, or remove it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        targets[0].write_text(text, encoding="utf-8")
        for source, target in zip(sources, targets[1:], strict=True):
            shutil.copyfile(source, target)
    except OSError as error:
        raise CaseError(f"{error.filename}: cannot be written: {error.strerror}") from None
    return targets


def _texts(value: Any) -> list[str]:
    """All texts in a table and the tables in it."""
    if isinstance(value, str):
        return [value]
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for part in parts for text in _texts(part)]
