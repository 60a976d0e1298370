"""The command line: a thin shell over the Python interface.

Whatever a user can mend ends as one line on standard error, a line for each of several mistakes of a case,
from rank 0 only, and an exit code: 2 for bad input and for equations that find no solution, 130 after Ctrl-C,
143 after a termination signal.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from fvqp.cli_runs import add_commands
from fvqp.errors import EXIT_CODE, CaseError, CaseMistakes, FvqpError, shown
from fvqp.terminal import Ranks, TerminalLog, say
from fvqp.texts import columns
from fvqp.threads import ranks_from_environment

#: Bytes of the name of a file, and characters of a whole path, that Linux and its file systems take.
MAX_NAME, MAX_PATH = 255, 4000
LENGTH_UNITS = ("m", "cm", "mm", "um", "nm", "pm")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command of ``arguments`` (default: the process's) and returns its exit code."""
    # Open MPI 4 need not start a daemon for a program without mpiexec, which takes 0.2 s.
    os.environ.setdefault("OMPI_MCA_ess_singleton_isolated", "1")
    ranks = Ranks()
    signal.signal(signal.SIGTERM, _on_terminate)
    command = subject = ""
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        options, petsc = _split(given)
        parsed = _parser().parse_args(options)
        command = parsed.command
        subject = next((f"{vars(parsed)[key]}: " for key in ("case", "file", "layout") if key in parsed), "")
        if petsc and command != "run":
            raise CaseError("options after -- go to PETSc and belong to fvqp run")
        with TerminalLog(ranks, verbose=parsed.verbose, quiet=parsed.quiet):
            code = int(parsed.work(parsed, petsc) or 0)
            # Here, and not on Python's way out, a reader that has gone is noticed.
            sys.stdout.flush()
        return code
    except FvqpError as error:
        return ranks.leave(EXIT_CODE, f"fvqp: error: {_message(error)}")
    except MemoryError as error:
        why = f"{subject}out of memory: {_one_line(error) or 'nothing is left'}"
        return ranks.leave(EXIT_CODE, f"fvqp: error: {why}; use a coarser mesh or grid")
    except _Terminated:
        return ranks.leave(143, "fvqp: terminated" + _KEPT.get(command, ""))
    except KeyboardInterrupt:
        return ranks.leave(130, "fvqp: interrupted" + _KEPT.get(command, ""))
    except BrokenPipeError:
        # The reader of our output has gone; nothing more may be written, also not by Python on its way out.
        for stream in (sys.stdout, sys.stderr):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        return ranks.leave(1, "")
    except Exception:
        if ranks.size == 1:
            raise
        return ranks.leave(1, traceback.format_exc().rstrip())


_KEPT = {
    "run": "; what was computed is in the results folder, and --resume goes on from there",
    "study": "; what was computed is kept, and the same command goes on from there",
    "refine": "; what was computed is kept, and the same command goes on from there",
}


class _Terminated(KeyboardInterrupt):
    """A termination signal, which ends a run as Ctrl-C does."""


def _on_terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise _Terminated("terminated")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _message(error: FvqpError) -> str:
    """The message of an error in a line, or in one for each mistake of a case."""
    if not isinstance(error, CaseMistakes):
        return _one_line(error)
    return "\n  ".join(" ".join(line.split()) for line in str(error).split("\n  "))


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """The command's own arguments, and those after ``--``."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints are errors like all others."""

    def error(self, message: str) -> NoReturn:
        raise CaseError(f"{message} (see {self.prog} --help)")


class _Version(argparse.Action):
    """Prints the version, which is looked up only if it is asked for."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import fvqp

        say(f"fvqp {fvqp.__version__}")
        parser.exit()


@cache
def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="fvqp", description="Quasiparticles and the gap of superconducting devices out of equilibrium."
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    run = _command(commands, "run", _run, "compute a case and write its results folder")
    run.epilog = "Options after -- go to PETSc, such as: fvqp run fig10.toml --out fig10 -- -ksp_type gmres"
    run.add_argument("case", type=_path, metavar="CASE", help="case file (TOML)")
    run.add_argument(
        "--out", type=_path, metavar="DIR", help="results folder; default: that of the case's name, beside it"
    )
    _add_overrides(run)
    run.add_argument("--resume", action="store_true", help="go on from what the results folder holds")
    run.add_argument("--groups", type=int, metavar="N", help="groups of ranks that share the sweep points")

    check = _command(
        commands, "check", _check, "validate a case; sizes, memory, expected run time and errors"
    )
    check.add_argument("case", type=_path, metavar="CASE", help="case file (TOML)")
    _add_overrides(check)

    plot = _command(commands, "plot", _plot, "draw the figures of a results folder again")
    plot.add_argument("folder", type=_path, metavar="DIR", help="results folder")
    plot.add_argument("--kind", action="append", metavar="KIND", help="draw this kind; may be repeated")
    plot.add_argument(
        "--format",
        action="append",
        default=[],
        metavar="FORMAT",
        help="png, svg, pdf, or csv for the numbers; may be repeated; default: what the case names, or png",
    )
    plot.add_argument(
        "--width",
        metavar="COLUMNS",
        help="single or double: 86 or 178 mm, with letters and lines for print, and no title",
    )
    plot.add_argument("--to", type=_path, metavar="FOLDER", help="where the figures go; default: DIR/figures")
    plot.add_argument(
        "--animate",
        action="append",
        metavar="FIELD",
        help="film a field that the run has written for ParaView, as a GIF, in place of the figures; may be "
        "repeated",
    )

    add_commands(commands, _command, _path, _add_overrides)

    page = _command(commands, "view", _view, "make an interactive page of a results folder, for the browser")
    page.add_argument("folder", type=_path, metavar="DIR", help="results folder")
    page.add_argument("--out", type=_path, metavar="FILE", help="the page; default: DIR/view.html")
    page.add_argument("--no-open", action="store_true", help="do not open the page in a browser")

    fit = _command(commands, "fit", _fit, "fit numbers of a case to measured data")
    fit.add_argument("case", type=_path, metavar="CASE", help="case file (TOML)")
    fit.add_argument(
        "data",
        type=_path,
        metavar="DATA.csv",
        help="columns of the axis, the quantity and, if known, QUANTITY_error; without --for V_inj, "
        "g_nl and, where there are, V_det, supercurrent, g_nl_error",
    )
    fit.add_argument(
        "--for",
        metavar="QUANTITY",
        dest="observable",
        help="measured quantity of any model over one axis, such as x_qp, or gap[x=1 um]; default: a "
        "non-local conductance of the Usadel model",
    )
    fit.add_argument(
        "--with",
        action="append",
        nargs="+",
        default=[],
        metavar=("DATA.csv", "KEY=VALUE"),
        dest="more",
        help="further data, and keys of the case for them, with the same parameters; may be repeated",
    )
    fit.add_argument(
        "--between",
        action="append",
        nargs=3,
        default=[],
        metavar=("KEY", "LOW", "HIGH"),
        help='bounds of a parameter: --between bath.temperature "0.1 K" "0.5 K"; may be repeated',
    )
    fit.add_argument(
        "--jobs",
        type=int,
        default=1,
        metavar="N",
        help="runs at the same time, each a process: of several data sets, and of the differences of all "
        "parameters; default: one after the other",
    )
    fit.add_argument(
        "--free",
        action="append",
        default=[],
        metavar="KEY[=START]",
        help="a number of the case that varies, such as spectrum.broadening; may be repeated",
    )
    fit.add_argument(
        "--out",
        required=True,
        type=_path,
        metavar="DIR",
        help="folder for parameters, fitted case and figure",
    )
    fit.add_argument(
        "--part",
        default="g_nl",
        metavar="PART",
        help="g_nl (default), g_s, g_a, g_ss or g_sa, of data and model",
    )
    fit.add_argument(
        "--window", nargs=2, metavar=("LOW", "HIGH"), help='values of the axis that count: "0 mV" "0.4 mV"'
    )
    _add_overrides(fit)

    symmetry = _command(commands, "symmetry", _symmetry, "parts g_s, g_a, g_ss, g_sa of measured data")
    symmetry.add_argument(
        "data", type=_path, metavar="DATA.csv", help="columns V_inj, g_nl and, if swept, supercurrent, V_det"
    )
    symmetry.add_argument(
        "-o", "--output", required=True, type=_path, metavar="OUT.csv", help="table of the parts"
    )

    mesh = commands.add_parser("mesh", help="look at a mesh file, or make one from a layout")
    kinds = mesh.add_subparsers(dest="mesh_command", required=True, metavar="COMMAND")
    info = _command(kinds, "info", _mesh_info, "counts, regions, boundaries, volumes, quality")
    picture = _command(kinds, "plot", _mesh_plot, "draw the mesh, its regions and boundaries")
    picture.add_argument(
        "-o", "--output", type=_path, metavar="PICTURE", help="default: the file's name with .png"
    )
    for command in (info, picture):
        command.add_argument("file", type=_path, metavar="FILE", help="mesh file")
        command.add_argument("--unit", choices=LENGTH_UNITS, default="um", help="of the file; default: um")
    layout = _command(kinds, "from-gds", _mesh_from_gds, "make a mesh from the layers of a GDS layout")
    layout.add_argument("layout", type=_path, metavar="LAYOUT.gds", help="layout file")
    layout.add_argument(
        "--out", required=True, type=_path, metavar="MESH.msh", help="the mesh, in micrometres"
    )
    layout.add_argument(
        "--layer",
        action="append",
        default=[],
        metavar="N/T=REGION",
        help="layer and data type that become a region of triangles; may be repeated",
    )
    layout.add_argument(
        "--boundary",
        action="append",
        default=[],
        metavar="N/T=NAME",
        help="layer whose polygons name the edges in them; may be repeated",
    )
    layout.add_argument("--size", metavar="LENGTH", help='edge of the triangles, such as "0.5 um"')
    layout.add_argument(
        "--layers",
        type=_path,
        metavar="LAYERS.toml",
        help="table of layers in place of the three above; also for solids",
    )
    layout.add_argument("--cell", metavar="NAME", help="cell of the layout; default: its only top cell")

    materials = _command(commands, "materials", _materials, "list the materials that cases can name")
    materials.add_argument(
        "name",
        nargs="?",
        metavar="NAME",
        help="show the numbers of this one, such as Al or aluminium, and sources",
    )

    examples = _command(commands, "examples", _examples, "list the shipped cases, or copy one")
    examples.add_argument("name", nargs="?", metavar="NAME", help="a case of the list, such as fig10")
    examples.add_argument(
        "--copy", type=_path, metavar="DIR", help="copy the case and the files that it names into this folder"
    )

    new = _command(
        commands, "new", _new, "write a case to begin with, with its mesh; without MODEL list them"
    )
    new.add_argument("model", nargs="?", metavar="MODEL", help="a template of the list, such as wire")
    new.add_argument(
        "--to", type=_path, default=".", metavar="DIR", help="folder of the case; default: this one"
    )

    _command(commands, "doctor", _doctor, "versions, MPI, PETSc, rendering: what is there, what is missing")
    return parser


def _path(text: str) -> str:
    """A path of the command line; an error if no file can have it."""
    if any(len(os.fsencode(part)) > MAX_NAME for part in text.split("/")) or len(text) > MAX_PATH:
        raise argparse.ArgumentTypeError(f"{shown(text)} is too long for the name of a file")
    return text


def _command(commands: Any, name: str, work: Callable[..., int | None], text: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    command.set_defaults(work=work)
    loudness = command.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="say more")
    loudness.add_argument("-q", "--quiet", action="store_true", help="say only what is wrong")
    return command


def _add_overrides(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help='replaces a value of the case: --set energies.number=600 --set junctions.A.conductance="30 uS"; '
        "without a value, --set gap.at=, the key is left out",
    )


def _run(arguments: argparse.Namespace, petsc: list[str]) -> None:
    import fvqp

    overrides = [*arguments.overrides, *_petsc_overrides(petsc)]
    if arguments.groups is not None:
        overrides.append(f"solver.groups={arguments.groups}")
    out = arguments.out or _beside(arguments.case)
    run = fvqp.run
    # Modules stay to the end: no collection has to visit their objects.
    gc.freeze()
    run(arguments.case, out=out, overrides=overrides, resume=arguments.resume)


def _beside(case: str) -> str:
    """Results folder of a case by default: next to the file, called after it."""
    name, ending = os.path.splitext(case)
    return name if ending else f"{case}_results"


def _check(arguments: argparse.Namespace, petsc: list[str]) -> None:
    import fvqp

    say(fvqp.check(arguments.case, overrides=arguments.overrides))


def _plot(arguments: argparse.Namespace, petsc: list[str]) -> None:
    from fvqp.results import open_result
    from fvqp.results.figures import missing

    if arguments.animate:
        from fvqp.results.animation import animate

        for option in ("kind", "format", "width"):
            if getattr(arguments, option):
                raise CaseError(f"--{option} and --animate: figures or films, give one of them")
        for field in arguments.animate:
            for film in animate(arguments.folder, field, arguments.to):
                say(str(film))
        return
    result = open_result(arguments.folder)
    files = [
        file
        for kind in arguments.kind or [None]
        for file in result.save_figures(
            arguments.to, kind=kind, formats=arguments.format, width=arguments.width
        )
    ]
    if not files:
        raise CaseError(f"{arguments.folder}: its case asks for no figures; name one with --kind")
    for file in files:
        say(str(file))
    if note := missing(result.dataset):
        say(f"{arguments.folder}: {note}; the figures show these and say so")


def _view(arguments: argparse.Namespace, petsc: list[str]) -> None:
    from fvqp.results.view import view

    # A script or a job has nobody to look at it.
    show = not arguments.no_open and sys.stdout.isatty()
    say(str(view(arguments.folder, arguments.out, show=show)))


def _fit(arguments: argparse.Namespace, petsc: list[str]) -> None:
    import fvqp
    from fvqp.variation.fitting import settings_of

    window = tuple(arguments.window) if arguments.window else None
    data: Any = arguments.data
    if arguments.more:
        data = {arguments.data: {}}
        for file, *settings in arguments.more:
            if file in data:
                raise CaseError(f"--with {file}: is given already")
            data[file] = settings_of(file, settings)
    fvqp.fit(
        arguments.case,
        data,
        arguments.free,
        out=arguments.out,
        observable=arguments.observable,
        bounds={key: (low, high) for key, low, high in arguments.between},
        part=arguments.part,
        window=window,
        overrides=arguments.overrides,
        jobs=arguments.jobs,
    )


def _symmetry(arguments: argparse.Namespace, petsc: list[str]) -> None:
    from fvqp.results.measured import measured_parts, write_parts

    write_parts(measured_parts(arguments.data), arguments.output)
    say(arguments.output)


def _mesh_info(arguments: argparse.Namespace, petsc: list[str]) -> None:
    from fvqp.mesh import quality, read_mesh

    say(str(quality.report(read_mesh(arguments.file, length_unit=arguments.unit))))


def _mesh_plot(arguments: argparse.Namespace, petsc: list[str]) -> None:
    from mpi4py import MPI

    from fvqp.mesh import picture, read_mesh

    output = arguments.output or Path(arguments.file).with_suffix(".png").name
    mesh = read_mesh(arguments.file, length_unit=arguments.unit, comm=MPI.COMM_SELF)
    say(str(picture.save(mesh, output)))


def _mesh_from_gds(arguments: argparse.Namespace, petsc: list[str]) -> None:
    from mpi4py import MPI

    from fvqp.mesh import layout, quality, read_mesh
    from fvqp.mesh.distribute import raise_together

    given = [name for name in ("layer", "boundary", "size") if getattr(arguments, name)]
    if arguments.layers and given:
        raise CaseError(f"--layers and --{given[0]}: a table of layers says that too; give one of them")
    if not arguments.layers and not arguments.layer:
        raise CaseError("no layer given: name one with --layer 1/0=film, or a table with --layers")
    if arguments.layers:
        stack = layout.stack_from_toml(arguments.layers)
    else:
        stack = layout.stack_from_options(arguments.layer, arguments.boundary, arguments.size)
    problem = None
    if MPI.COMM_WORLD.rank == 0:
        try:
            layout.mesh_from_gds(arguments.layout, stack, arguments.out, cell=arguments.cell)
        except FvqpError as error:
            problem = str(error)
    raise_together(MPI.COMM_WORLD, problem)
    say(str(quality.report(read_mesh(arguments.out, length_unit="um"))))


def _materials(arguments: argparse.Namespace, petsc: list[str]) -> None:
    from fvqp.materials import load_material, material_names

    known = [load_material(name) for name in material_names()]
    if arguments.name is None:
        head = ("name", "gap", "Tc", "description")
        rows = [
            (m.name, m.text("gap") or "normal", m.text("critical_temperature"), m.description) for m in known
        ]
        say(columns([head, *rows]))
        return
    # By name, or by a word of the description: aluminium is Al and Al_ryan2026.
    word = arguments.name.lower()
    found = [m for m in known if m.name.lower() == word] or [
        m for m in known if word in m.description.lower()
    ]
    if not found:
        raise CaseError(
            f"there is no material {shown(arguments.name)}; known are {', '.join(m.name for m in known)}"
        )
    say("\n\n".join(material.table() for material in found))


def _examples(arguments: argparse.Namespace, petsc: list[str]) -> None:
    from fvqp import examples

    if arguments.copy:
        if arguments.name is None:
            raise CaseError("--copy: name the example to copy, such as fig10")
        for file in _written(lambda: examples.copy_example(arguments.name, arguments.copy)):
            say(str(file))
        return
    if arguments.name is None:
        say(columns([(one.name, one.time, one.title) for one in examples.examples()]))
        return
    one = examples.example(arguments.name)
    say(f"{one.name}: {one.title}; takes about {one.time}\n{one.file}")


def _new(arguments: argparse.Namespace, petsc: list[str]) -> None:
    from fvqp import examples

    if arguments.model is None:
        say(columns([(name, one.time, one.title) for name, one in examples.templates().items()]))
        return
    files = _written(lambda: examples.new_case(arguments.model, arguments.to))
    for file in files:
        say(str(file))
    say(f"next: fvqp run {files[0]}")


def _written(write: Callable[[], list[Path]]) -> list[Path]:
    """Files that rank 0 writes."""
    if ranks_from_environment() == 1:
        return write()
    from mpi4py import MPI

    from fvqp.parallel import run_on_root

    return run_on_root(MPI.COMM_WORLD, write)


def _doctor(arguments: argparse.Namespace, petsc: list[str]) -> int:
    from fvqp.doctor import main as doctor

    return doctor()


def _petsc_overrides(options: list[str]) -> list[str]:
    """``-ksp_type gmres -snes_monitor`` as overrides of ``solver.petsc``; a prefix ``fvqp_`` is optional."""
    overrides: list[str] = []
    at = 0
    while at < len(options):
        name = options[at]
        if not name.startswith("-") or len(name) < 2 or _is_number(name):
            raise CaseError(f"PETSc option {name}: expected a name such as -ksp_type")
        value = "true"
        if at + 1 < len(options) and (not options[at + 1].startswith("-") or _is_number(options[at + 1])):
            at += 1
            value = json.dumps(options[at])
        overrides.append(f"solver.petsc.{name.lstrip('-').removeprefix('fvqp_')}={value}")
        at += 1
    return overrides


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
