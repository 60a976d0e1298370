"""The page ``gallery``: a card for every case file of ``cases``, in the groups of its folders.

A card has title and run time of the case, the first paragraph of its file, a link to the file, and the first
picture that ``docs/figures.py`` draws of it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import NamedTuple

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from fvqp.examples import Example, examples

DOCS = Path(__file__).parents[1]
PAGE = "gallery"
#: Stands on the page for the cards.
PLACE = "<!-- cards -->"
MAX_LINES = 3
#: Comment up to an empty line or an indented one.
_HEAD = re.compile(r"(?:# \S.*\n)+")


class Card(NamedTuple):
    """A case as the gallery shows it; `picture` is the name of a file in ``_static``, or empty."""

    case: Example
    description: str
    picture: str


def card(case: Example, pictures: dict[str, str]) -> Card:
    """Return the card of a case.

    `pictures` gives the case of every picture. ``ValueError`` if the file does not begin with a paragraph of
    up to three lines of comment.
    """
    head = _HEAD.match(case.file.read_text(encoding="utf-8"))
    lines = [line.removeprefix("# ") for line in head[0].splitlines()] if head else []
    if not 1 <= len(lines) <= MAX_LINES:
        raise ValueError(
            f"{case.name}.toml: the file has to begin with 1 to {MAX_LINES} lines of comment that say what "
            f"it computes, here {len(lines)}; what follows them stands after an empty line of comment"
        )
    picture = next((f"{shown}.png" for shown, of in pictures.items() if of == case.name), "")
    return Card(case, " ".join(lines), picture)


def cards() -> list[Card]:
    """Return the cards of all cases, in the order of their names."""
    sys.path.insert(0, str(DOCS))
    try:
        from figures import CASE_OF
    finally:
        sys.path.remove(str(DOCS))
    return [card(case, CASE_OF) for case in examples()]


def page() -> str:
    """Return Markdown with a section for every folder of cases."""
    lines: list[str] = []
    group = ""
    for case, description, picture in cards():
        folder, _, file = case.name.partition("/")
        if folder != group:
            lines += [":::::", ""] if group else []
            heading = (case.file.parent / "README.md").read_text(encoding="utf-8").splitlines()[0]
            lines += [f"#{heading}", "", ":::::{grid} 1 2 2 2", ":gutter: 3", ""]
            group = folder
        lines += [f"::::{{grid-item-card}} {case.title}"]
        lines += [f":img-top: _static/{picture}", ":img-alt: Figure of this case"] if picture else []
        link = f"{{download}}`{file}.toml <../cases/{case.name}.toml>`"
        lines += ["", description, "", ":::{card-footer}", f"{case.time} · {link}", ":::", "::::", ""]
    return "\n".join([*lines, ":::::", ""])


def _fill(app: Sphinx, name: str, source: list[str]) -> None:
    if name == PAGE:
        source[0] = source[0].replace(PLACE, page())


def _outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    return [PAGE]


def setup(app: Sphinx) -> dict[str, bool]:
    app.connect("source-read", _fill)
    app.connect("env-get-outdated", _outdated)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
