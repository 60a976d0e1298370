"""PETSc options of a case: in force while it runs, and refused where no solver reads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from fvqp.errors import CaseError
from fvqp.petsc import PETSc, option_used

#: What all options here begin with in PETSc's database.
PREFIX = "fvqp_"

#: Ends of options that PETSc looks for when a solve has ended.
AFTER_SOLVES = ("_view", "_converged_reason")

Options = Mapping[str, str | int | float | bool]


@contextmanager
def options_in_force(source: str, given: Options, families: tuple[str, ...]) -> Iterator[None]:
    """Within the block, the options of a case are in PETSc's database with the prefix ``fvqp_``.

    Args:
        source: name of the case for messages.
        given: the table ``solver.petsc`` of the case.
        families: beginnings of the options that reach a solver of the model.

    Raises:
        CaseError: an option that no solver here would look at.
    """
    options = PETSc.Options(PREFIX)
    for key in given:
        if not key.startswith(families):
            raise CaseError(
                f"{source}: solver.petsc.{key}: reaches no solver; they start with {', '.join(families)}"
            )
    earlier = {key: options.getString(key) for key in given if options.hasName(key)}
    try:
        for key, value in given.items():
            # An option that stands alone is true where PETSc asks for yes or no, and a viewer by default.
            options.setValue(key, None if value is True else value)
        yield
    finally:
        for key in given:
            options.delValue(key)
        for key, text in earlier.items():
            options.setValue(key, text)


def check_options_read(source: str, given: Options, rehearse: Callable[[], None], solver: str) -> None:
    """Raise `CaseError` for options that PETSc refuses, or that no solver reads.

    Which options these are is known only once the solvers have looked for them.

    Args:
        source, given: see `options_in_force`; the options are in force.
        rehearse: lets the solvers of the case read their options.
        solver: what solves, for the message.
    """
    try:
        rehearse()
    except PETSc.Error as error:
        reason = str(error).strip().splitlines()[-1].partition("] ")[2]
        raise CaseError(f"{source}: solver.petsc: PETSc refuses {', '.join(given)}: {reason}") from None
    unread = [key for key in given if not (key.endswith(AFTER_SOLVES) or option_used(PREFIX + key))]
    if unread:
        raise CaseError(
            f"{source}: solver.petsc.{unread[0]}: not used: no solver of this case reads it; a misspelt "
            f"name, or an option of another method than {solver}"
        )


def check_watches(source: str, key: str, families: tuple[str, ...]) -> None:
    """Raise `CaseError` for an option of a method of our own that is more than output.

    Args:
        source, key: the case and the option.
        families: beginnings of the options of such methods (`fvqp.petsc.as_snes`).
    """
    if key.startswith(families) and not key.endswith((*AFTER_SOLVES, "_monitor")):
        raise CaseError(
            f"{source}: solver.petsc.{key}: not used: the method is not one of PETSc's; its output is "
            "monitor, view and converged_reason"
        )
