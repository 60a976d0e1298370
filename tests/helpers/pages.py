"""Pages of the documentation and the code on them."""

from __future__ import annotations

import re
import shlex
import textwrap
import tomllib
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(path for path in DOCS.rglob("*.md") if "_build" not in path.parts)
#: Pages that stand outside of the site.
READMES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "cases").rglob("*.md"),
        *(ROOT / "meshes").rglob("*.md"),
    ]
)

FENCED = re.compile(r"^( *)```(\w+|\{code-cell\} python)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
#: Lines indented by four, after an empty line: code without a language.
LITERAL = re.compile(r"(?<=\n\n)(?: {4}.*\n)+")
SHELL = re.compile(r"^ {4}(?:\S*/)?(?:fvqp|mpiexec|make|python|\S+\.sh)\b", re.MULTILINE)
#: A file that a page speaks of.
FILE = re.compile(r"`([\w./-]*\w\.(?:png|gif|csv|nc|pvd|msh|toml))`")


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[tuple[str, str]]:
    """Language and text of the code blocks of a page, in order; indented shell commands are blocks too."""
    text = page.read_text(encoding="utf-8")
    fences = list(FENCED.finditer(text))
    found = [(m.start(), *_code(m[2], textwrap.dedent(m[3]))) for m in fences]
    found = [block for block in found if block[2]]
    for m in LITERAL.finditer(text):
        if SHELL.search(m[0]) and not any(f.start() < m.start() < f.end() for f in fences):
            found.append((m.start(), "sh", textwrap.dedent(m[0])))
    return [(language, code) for _, language, code in sorted(found)]


def _code(language: str, text: str) -> tuple[str, str]:
    """Return language and text of a block; cells of notebooks write a file, run commands, or are Python."""
    if not language.startswith("{"):
        return language, text
    first, _, rest = text.partition("\n")
    if first.startswith(":tags: [remove-cell]"):
        return "python", ""
    if first.startswith("%%writefile"):
        return first.rpartition(".")[2], rest
    if first.startswith("!"):
        return "sh", text.replace("!", "")
    return "python", text


def commands(text: str) -> list[list[str]]:
    """Words of the commands of a shell block. Quotes may span lines; a line break in them is a blank."""
    found, line = [], ""
    for part in text.replace("\\\n", " ").splitlines():
        line = f"{line} {part.strip()}" if line else part
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # a quote that is still open
            continue
        line = ""
        while "&&" in words:
            at = words.index("&&")
            found.append(words[:at])
            words = words[at + 1 :]
        if words:
            found.append(words)
    assert not line, f"quotes that are not closed: {line}"
    return found


def shell(page: Path) -> list[list[str]]:
    """All commands of a page."""
    return [words for language, text in blocks(page) if language == "sh" for words in commands(text)]


def prose(page: Path) -> str:
    """A page without its blocks."""
    return LITERAL.sub("", FENCED.sub("", page.read_text(encoding="utf-8")))


def saved_as(page: Path, number: int) -> str:
    """The case file that the first command after block ``number`` of a page names."""
    later = [
        words for language, text in blocks(page)[number:] if language == "sh" for words in commands(text)
    ]
    return next((word for words in later for word in words if word.endswith(".toml")), "case.toml")


def follow(page: Path, folder: Path, run: Callable[[list[str]], object]) -> None:
    """Does what a page says, in its order.

    A whole case is saved as the file that the page's next command names. Python blocks share their names. The
    words of every command go to ``run``.
    """
    namespace: dict[str, object] = {"__name__": "page"}
    for number, (language, text) in enumerate(blocks(page), 1):
        if language == "toml" and "model" in tomllib.loads(text):
            (folder / saved_as(page, number)).write_text(text)
        elif language == "python":
            exec(compile(text, f"{name(page)}, block {number}", "exec", dont_inherit=True), namespace)
        elif language == "sh":
            for words in commands(text):
                run(words)
