"""Base of scripts that make meshes: a command line, and a gmsh whose model becomes a file."""

from __future__ import annotations

import argparse
import math
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from fvqp.mesh.filling import gmsh_session


def command_line(description: str, names: Collection[str], folder: Path) -> argparse.ArgumentParser:
    """A parser for a script that makes the meshes ``names``, to which it may add options of its own.

    Parsing gives ``names`` (those asked for, all if none), ``size_factor`` (positive) and ``out``, a folder
    that is made if it is not there (default ``folder``).
    """

    def known(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"no mesh {text}; there are {', '.join(names)}")
        return text

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "names",
        nargs="*",
        type=known,
        default=list(names),
        metavar="NAME",
        help=f"any of {', '.join(names)} (all if none)",
    )
    parser.add_argument(
        "--size-factor", type=positive, default=1.0, metavar="X", help="multiplies all cell sizes"
    )
    parser.add_argument(
        "--out",
        type=_made,
        default=folder,
        metavar="DIR",
        help="folder for the files; default: beside the script",
    )
    return parser


def positive(text: str) -> float:
    """A positive number, for a parser."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text}: expected a positive number")
    return value


def count(text: str) -> int:
    """A number of 1 or more, for a parser."""
    if not (text.isdecimal() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text}: expected 1, 2, 3, ...")
    return int(text)


def _made(text: str) -> Path:
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error.strerror}") from None
    return folder


@contextmanager
def gmsh_file(path: Path) -> Iterator[None]:
    """An empty model of gmsh, which is written to ``path`` in format 2.2 when the block ends well.

    Raises `MeshError` where gmsh is missing.
    """
    with gmsh_session(path.name, {"Mesh.MshFileVersion": 2.2}) as gmsh:
        yield
        gmsh.write(str(path))
