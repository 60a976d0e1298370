"""Commands about the runs of a case, or several of them: ``status``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from fvqp.terminal import say

AddCommand = Callable[..., argparse.ArgumentParser]


def add_commands(commands: Any, add: AddCommand, path: Callable[[str], str]) -> None:
    """Add the commands of this module to a parser.

    Args:
        commands: subparsers.
        add: adds a command by name, work and help.
        path: type of arguments that are paths.
    """
    status = add(
        commands, "status", _status, "tell what a run has done, while it goes on or after it stopped"
    )
    status.epilog = (
        "Exit code: 0 finished, 3 running, 4 stopped before the end; of several the largest."
    )
    status.add_argument("folders", nargs="+", type=path, metavar="DIR", help="results folder")


def _status(arguments: argparse.Namespace, petsc: list[str]) -> int:
    from fvqp.results.status import run_status

    found = [one for folder in arguments.folders for one in run_status(folder)]
    say("\n".join(map(str, found)))
    return max(one.state.value for one in found)
