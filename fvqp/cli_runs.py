"""Commands about several runs: ``study``, ``refine``, ``compare`` and ``status``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fvqp.terminal import say

AddCommand = Callable[..., argparse.ArgumentParser]


def add_commands(
    commands: Any,
    add: AddCommand,
    path: Callable[[str], str],
    set_values: Callable[[argparse.ArgumentParser], None],
) -> None:
    """Add the commands of this module to a parser.

    Args:
        commands: subparsers.
        add: adds a command by name, work and help.
        path: type of arguments that are paths.
        set_values: adds ``--set``.
    """
    study = add(commands, "study", _study, "run a case with all combinations of values of its keys")
    study.add_argument("case", type=path, metavar="CASE", help="case file (TOML)")
    study.add_argument(
        "--vary",
        action="append",
        default=[],
        metavar="KEY=VALUE,...",
        help="a key and its values, the finest last: --vary mesh.shape.nx=100,200,400 --vary "
        '"injections.0.power=1 fW/um^3,2 fW/um^3"; may be repeated',
    )
    _add_runs(study, path, "study")
    study.add_argument(
        "--for",
        action="append",
        default=[],
        metavar="QUANTITY",
        dest="names",
        help="show the convergence of this one; may be repeated; default: of all",
    )
    set_values(study)

    refine = add(commands, "refine", _refine, "find how fine a mesh, energies and tolerances have to be")
    refine.epilog = "Exit code 4: no setting that was tried meets the target."
    refine.add_argument("case", type=path, metavar="CASE", help="case file (TOML)")
    refine.add_argument(
        "--for",
        required=True,
        metavar="QUANTITY",
        dest="observable",
        help='what has to be exact, such as g_nl, or "x_qp[time=1 us]"',
    )
    refine.add_argument(
        "--to", required=True, metavar="ERROR", help='allowed error, such as 1%%, or "0.2 nS"'
    )
    _add_runs(refine, path, "refined")
    refine.add_argument(
        "--levels", type=int, default=3, metavar="N", help="refinements that are tried at most; default: 3"
    )
    set_values(refine)

    compare = add(commands, "compare", _compare, "differences of two results, or of measured data")
    compare.add_argument("first", type=path, metavar="A", help="results folder")
    compare.add_argument("second", type=path, metavar="B", help="another one, or a CSV file of data")
    compare.add_argument(
        "data", nargs="?", type=path, metavar="DATA.csv", help="data to compare both results with"
    )
    compare.add_argument(
        "--for",
        action="append",
        default=[],
        metavar="QUANTITY",
        dest="names",
        help="compare this one; may be repeated; default: all that both hold",
    )
    compare.add_argument("--to", type=path, metavar="FOLDER", help="draw the figure into this folder")
    compare.add_argument(
        "--format",
        action="append",
        default=[],
        metavar="FORMAT",
        help="png, svg, pdf, or csv for the numbers; may be repeated; default: png",
    )

    status = add(
        commands, "status", _status, "tell what a run has done, while it goes on or after it stopped"
    )
    status.epilog = "Exit code: 0 finished, 3 running, 4 stopped before the end; of several the largest."
    status.add_argument("folders", nargs="+", type=path, metavar="DIR", help="results folder")


def _add_runs(command: argparse.ArgumentParser, path: Callable[[str], str], ending: str) -> None:
    """Add the options of commands that run several variants of a case; ``ending`` of their folder."""
    command.set_defaults(ending=ending)
    command.add_argument(
        "--out", type=path, metavar="DIR", help=f"folder of all runs; default: CASE_{ending} beside the case"
    )
    command.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs at the same time, each a process; default: one after the other",
    )


def _folder(arguments: argparse.Namespace) -> str:
    return arguments.out or f"{Path(arguments.case).with_suffix('')}_{arguments.ending}"


def _study(arguments: argparse.Namespace, petsc: list[str]) -> None:
    import fvqp
    from fvqp.variation.combinations import left_out
    from fvqp.variation.keys import VariedKey

    keys = [VariedKey.of(text) for text in arguments.vary]
    result = fvqp.vary(
        arguments.case, keys, _folder(arguments), overrides=arguments.overrides, jobs=arguments.jobs
    )
    table = str(result.convergence(*arguments.names))
    say("\n\n".join(text for text in (table, left_out(result)) if text))


def _refine(arguments: argparse.Namespace, petsc: list[str]) -> int:
    import fvqp

    found = fvqp.refine(
        arguments.case,
        arguments.observable,
        arguments.to,
        _folder(arguments),
        overrides=arguments.overrides,
        levels=arguments.levels,
        jobs=arguments.jobs,
    )
    say(str(found))
    return 0 if found.met else 4


def _compare(arguments: argparse.Namespace, petsc: list[str]) -> None:
    import fvqp
    from fvqp.errors import CaseError
    from fvqp.results.figures.comparisons import MAX_PANELS, draw_comparison, drawable
    from fvqp.results.files import make_folder

    if arguments.format and not arguments.to:
        raise CaseError("--format: is that of the figure; say with --to where it goes")
    others = [arguments.second, *([arguments.data] if arguments.data else [])]
    sides = [(arguments.first, other) for other in others]
    if arguments.data:
        sides.append((arguments.second, arguments.data))
    for number, (first, second) in enumerate(sides):
        comparison = fvqp.compare(first, second, arguments.names)
        say(f"{'' if number == 0 else chr(10)}{comparison}")
        if arguments.to is None:
            continue
        folder = Path(arguments.to)
        folder = folder if len(sides) == 1 else folder / f"{Path(first).name}_{Path(second).name}"
        make_folder(folder)
        for file in draw_comparison(comparison, folder, arguments.format):
            say(str(file))
        if (more := len(drawable(comparison)) - MAX_PANELS) > 0:
            say(f"the figure shows the first {MAX_PANELS} curves, and not {more} more; choose with --for")


def _status(arguments: argparse.Namespace, petsc: list[str]) -> int:
    from fvqp.results.status import run_status

    found = [one for folder in arguments.folders for one in run_status(folder)]
    say("\n".join(map(str, found)))
    return max(one.state.value for one in found)
