"""Options of PETSc that a case file may set, by name and by value.

Some of PETSc's options run code or write files: types written in Python, viewers with a file, files of
options. A case may come from someone else, so its file is held to a list: numbers of known solvers, names of
their methods, and output to the terminal. Options after ``--`` on the command line are the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fvqp.errors import CaseError, cut, shown

#: Solver inside a solver, as in ``newton_tangent_ksp_rtol`` or ``inner_mg_levels_1_sub_pc_type``.
_INSIDE = (
    r"(?:(?:closure|density|cluster|transport|diffusion|streaming|flow|spectra|eliashberg|gap|branch|slope|charge|newton"
    r"|tangent|steady|linear|inner|sub|mg|levels|coarse|fine|ts|\d+)_)*"
)

#: Beginnings of options that are numbers, or yes or no.
_NUMBERS = (
    r"ksp_(?:[rad]tol|divtol|max_it|min_it|initial_guess_(?:nonzero|knoll)|check_norm_iteration|lag_norm)",
    r"ksp_(?:gmres|fgmres|lgmres|gcr|bcgsl|idr|chebyshev|richardson|cg|pipe\w+)_(?!monitor|view)\w+",
    r"pc_(?:gamg|mg|factor|sor|asm|gasm|bjacobi|jacobi|redundant|hypre_boomeramg)_(?!monitor|view|print)\w+",
    r"pc_use_amat",
    r"mat_(?:mumps_i?cntl_\d+|superlu_dist_(?:equil|printstat|replacetinypivot|iterrefine|[rc])|block_size)",
    r"snes_(?:[ars]tol|divtol|max_(?:it|funcs|fail)|max_linear_solve_fail|force_iteration|lag_\w+|ksp_ew)",
    r"snes_(?:anderson|ngmres|qn|ksp_ew|mf)_(?!monitor|view)\w+",
    r"snes_linesearch_(?:max_it|damping|order|maxlambda|minlambda|[ars]tol|ltol|alpha|norms)",
    r"ts_(?:dt|[ra]tol|max_(?:steps|time|reject|snes_failures)|exact_final_time|error_if_step_fails)",
    r"ts_(?:adapt|bdf|rosw|arkimex|theta|alpha)_(?!monitor|view|history|type)\w+",
)
#: Options that name a method.
_METHODS = (
    r"(?:ksp|pc|snes|ts)_type",
    r"ksp_(?:norm_type|pc_side|gmres_cgs_refinement_type)",
    r"pc_factor_(?:mat_(?:solver|ordering)_type|shift_type)",
    r"pc_(?:mg_(?:type|cycle_type|galerkin|distinct_smoothup)|gamg_(?:type|esteig_ksp_type)|hypre_type)",
    r"pc_(?:asm|gasm|bjacobi|jacobi|sor)_\w*type",
    r"snes_(?:linesearch_type|(?:anderson|ngmres|qn)_\w+_type|npc_side)",
    r"ts_(?:adapt|arkimex|rosw|rk|glee|exact_final_time)_?(?:type)?",
)
#: Options that show something on the terminal.
_OUTPUT = (
    r"(?:ksp|snes|ts)_(?:monitor|monitor_true_residual|monitor_short|view|converged_reason)",
    r"ts_adapt_monitor|snes_linesearch_monitor|pc_view|(?:ksp|snes)_error_if_not_converged",
)
_NUMBER = re.compile(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?(?:,[-+]?[\d.]+(?:[eE][-+]?\d+)?)*|true|false|yes|no")
_WORD = re.compile(r"(?!python$|shell$)[A-Z0-9][A-Z0-9_-]{0,39}", re.IGNORECASE)
_HYPRE = (r"pc_hypre_boomeramg_\w+_type(?:_\w+)?",)


def _any_of(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(f"{_INSIDE}(?:{'|'.join(names)})")


_KINDS = (
    (_any_of(_OUTPUT), re.compile("true|false"), "true or false; a case file writes to the terminal only"),
    (_any_of(_METHODS), _WORD, "the name of a method that is not written in Python"),
    (_any_of(_HYPRE), re.compile(r"[\w+/-]{1,40}", re.ASCII), "the name of a method"),
    (_any_of(_NUMBERS), _NUMBER, "a number, true or false"),
)


def check_file_options(data: dict[str, Any], source: str) -> None:
    """Raise `CaseError` for an option of PETSc in a case file that only the command line may set.

    Args:
        data: content of the file, with the tables ``solver.petsc`` of the case and of its stages.
        source: name of the file.
    """
    for where, options in _tables(data):
        for key, value in options.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            allowed = [(values, what) for names, values, what in _KINDS if names.fullmatch(key)]
            if not allowed:
                raise CaseError(
                    f"{source}: {where}.{cut(key)}: not an option that a case file may set "
                    "(misspelt?); numbers, methods and output of ksp_, pc_, snes_ and ts_ are; others may "
                    "stand after -- on the command line of fvqp run"
                )
            if not any(values.fullmatch(text) for values, _ in allowed):
                raise CaseError(
                    f"{source}: {where}.{key}: expected {' or '.join(what for _, what in allowed)}, got "
                    f"{shown(value)}; other values may stand after -- on the command line of fvqp run"
                )


def _tables(data: Any, where: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every table ``solver.petsc`` in ``data``, with its dotted key."""
    if isinstance(data, list):
        for number, entry in enumerate(data):
            yield from _tables(entry, f"{where}[{number}]")
    elif isinstance(data, dict):
        for key, value in data.items():
            dotted = f"{where}.{key}" if where else key
            if key == "petsc" and where.rpartition(".")[2] == "solver" and isinstance(value, dict):
                yield dotted, value
            else:
                yield from _tables(value, dotted)
