"""Configuration of the site; ``make docs`` builds it, warnings are errors."""

from __future__ import annotations

import os
import re
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
# Notebooks call the commands of this environment.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

project = "fvqp"
author = "The fvqp developers"
copyright = "The fvqp developers"
release = metadata.version("fvqp")

extensions = [
    "myst_nb",  # Markdown, and notebooks that the build runs
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.mathjax",
    "sphinx-mathjax-offline",  # MathJax in _static: equations show without network
    "sphinx_design",
    "gallery",
    "generated",
]
exclude_patterns = ["_build", "_ext"]
source_suffix = {".md": "myst-nb"}
nb_execution_mode = "force"
nb_execution_timeout = 900
nb_execution_raise_on_error = True
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# Theory pages are numbered; an equation's number is that of its page and its own: Eq. (3.2).
numfig = True
numfig_secnum_depth = 1
math_numfig = True
math_eqref_format = "Eq. ({number})"

# Names in docstrings are in single backticks; one that is not documented here is shown as it is.
default_role = "py:obj"
suppress_warnings = ["ref.python"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
autodoc_default_options = {"members": True}
_ALIASES = ("ArrayLike", "Floats", "Floats", "Ints", "Ints", "Complexes")
autodoc_type_aliases = {name: name for name in _ALIASES}
napoleon_use_rtype = False
napoleon_use_ivar = True

html_theme = "furo"
html_title = f"fvqp {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {"navigation_with_keys": True}

_SECTION = re.compile(r"^(Parameters|Attributes|Returns|Raises)$")
_ENTRY = re.compile(r"^(\s*)([\w*][\w*., ]*) : (.+)$")
_SEVERAL = re.compile(r"^ *\w+(, \w+)+(?= ?:|$)")
_COLON = "\ue000"
_TYPES = re.compile(r"~[\w.]*\.(\w+)|TypeAliasForwardRef\('(\w+)'\)")
_LITERAL = re.compile(r"(``.+?``|`[^`]+`)", re.DOTALL)


def _entries(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """``name : meaning`` of underlined sections has no types in this code: the meaning is a paragraph."""
    if what in ("property", "attribute") and lines:
        # Not a type and its meaning.
        lines[0] = lines[0].replace(":", _COLON)
    found: list[str] = []
    inside = False
    for number, line in enumerate(lines):
        following = lines[number + 1] if number + 1 < len(lines) else ""
        if _SECTION.match(line) and set(following.strip()) == {"-"}:
            inside = True
        match = _ENTRY.match(line) if inside else None
        after_blank = inside and number > 0 and not lines[number - 1].strip()
        if after_blank and line[:1].strip() and not match and not following.startswith((" ", "-")):
            # A paragraph after the section: an empty line more ends it.
            inside = False
            found.append("")
        found += [f"{match[1]}{match[2]}", f"{match[1]}    {match[3]}"] if match else [line]
    # A field has one name: "G, F" is written as one.
    lines[:] = [_SEVERAL.sub(lambda m: m[0].replace(", ", ","), line) for line in found]


def _plain(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: bars and trailing underscores outside backticks are no markup."""
    if what == "module":
        # A full line goes on, whatever the indentation of the next; a short one is a term being defined.
        for number in range(1, len(lines)):
            if len(lines[number - 1]) > 60 and lines[number - 1][0] != " " and lines[number][:1] == " ":
                lines[number] = lines[number].lstrip()
    pieces = _LITERAL.split("\n".join(lines).replace(_COLON, ":"))
    for number in range(0, len(pieces), 2):
        pieces[number] = re.sub(r"(\w)_(?!\w)", r"\1\\_", pieces[number].replace("|", "\\|"))
    lines[:] = "".join(pieces).split("\n")


def _signature(app: Sphinx, what: str, name: str, obj: Any, options: Any, text: str, returns: str) -> Any:
    """Names of types without their modules also where a default is no expression."""

    def short(written: str | None) -> str | None:
        return written and _TYPES.sub(lambda m: m[1] or m[2], written)

    return short(text), short(returns)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", _entries, priority=100)
    app.connect("autodoc-process-docstring", _plain, priority=900)
    app.connect("autodoc-process-signature", _signature)
