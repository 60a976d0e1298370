"""PETSc, started so that signals stay Python's; every other module takes it from here.

PETSc's own handlers would end the program by ``MPI_Abort`` where Python says something sensible: at a reader
that has gone (``fvqp check CASE | head``), at Ctrl-C and at a termination signal. Where the user's own
program has started PETSc before, its choice holds. Files ``.petscrc`` and ``petscrc`` are not read: PETSc
would take them from the current folder too, which may be someone else's, and options can run code.
"""

import contextlib
import ctypes
import traceback
import weakref
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

import petsc4py
from mpi4py import MPI

from fvqp.typing import Floats

petsc4py.init(["-no_signal_handler", "-skip_petscrc"])

from petsc4py import PETSc  # noqa: E402

__all__ = ["PETSc", "as_snes", "destroyed_with", "option_used", "own_errors", "weakly"]


_KEPT = MPI.Comm.Create_keyval()

Result = TypeVar("Result")
Tell = Callable[[int, float, Floats], None]
"""Called with the number of a step, a norm of what is left, and the unknowns."""


def option_used(name: str) -> bool:
    """Return whether anything has asked PETSc for the option ``name`` (with its prefix, without a dash)
    since it was set."""
    # petsc4py wraps this question in its latest versions only.
    ask = ctypes.CDLL(PETSc.__file__).PetscOptionsUsed
    ask.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.POINTER(ctypes.c_int)]
    answer = ctypes.c_int(0)
    ask(None, name.encode(), ctypes.byref(answer))
    return bool(answer.value)


def weakly(method: Callable[..., Any]) -> Callable[..., Any]:
    """A callback that does not keep the object of a bound method alive.

    For objects that own what calls them: Python's garbage collector does not see references through PETSc.
    PETSc frees a solver that was merely dropped at the next ``PETSc.garbage_cleanup``.
    """
    reference = weakref.WeakMethod(method)

    def call(*arguments: Any) -> Any:
        alive = reference()
        assert alive is not None
        return alive(*arguments)

    return call


def destroyed_with(owner: Any, *objects: Any) -> Callable[[], object]:
    """Destroys PETSc objects together with their owner, and at the latest before Python ends.

    Later PETSc could not free those that are written in Python. Their communicator stays: PETSc would free
    its own with the last object, and ranks collect garbage at different times. A rank that has to make it
    anew would wait for those that still have it.

    Returns:
        Destroys them at once.
    """
    for item in objects:
        _keep(item.getComm())
    return weakref.finalize(owner, _destroy, objects)


def as_snes(method: Callable[[Tell], Result], start: Floats, *, comm: Any, prefix: str) -> Result:
    """Run a nonlinear method that PETSc does not have as a SNES of type ``python``. Collective.

    PETSc's log counts it with all that it calls, and ``-<prefix>snes_monitor`` prints its steps.

    Args:
        method: returns its result, or raises; calls ``tell(step, norm, unknowns)`` after every step.
        start: unknowns at the beginning, this rank's part.
        comm: ranks that share them.
        prefix: of PETSc's options.
    """
    found: list[Result] = []
    failures: list[Exception] = []
    x = PETSc.Vec().createMPI((start.size, PETSc.DECIDE), comm=comm)
    x.array = start.ravel()
    f = x.duplicate()
    snes = PETSc.SNES().create(comm)

    def solve(snes: PETSc.SNES, _b: PETSc.Vec, x: PETSc.Vec) -> None:
        def tell(step: int, norm: float, unknowns: Floats) -> None:
            x.array = unknowns.ravel()
            snes.setIterationNumber(step)
            snes.setFunctionNorm(norm)
            snes.monitor(step, norm)

        try:
            found.append(method(tell))
            snes.setConvergedReason(PETSc.SNES.ConvergedReason.CONVERGED_SNORM_RELATIVE)
        except Exception as error:
            failures.append(error)
            snes.setConvergedReason(PETSc.SNES.ConvergedReason.DIVERGED_INNER)

    try:
        snes.setOptionsPrefix(prefix)
        snes.setType("python")
        snes.setPythonContext(SimpleNamespace(solve=solve))
        snes.setFunction(lambda snes, x, f: f.set(0.0), f)  # never called: the method knows its own
        snes.setFromOptions()
        snes.solve(None, x)
    finally:
        for item in (snes, f, x):
            item.destroy()
    if failures:
        raise failures[0]
    return found[0]


def _keep(comm: PETSc.Comm) -> None:
    """Let PETSc count one more user of its communicator, for good."""
    known = comm.tompi4py()
    if comm.size > 1 and known.Get_attr(_KEPT) is None:
        known.Set_attr(_KEPT, True)
        # A duplicate that Python frees would end the use.
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(comm.duplicate()))


def _destroy(objects: tuple[Any, ...]) -> None:
    for item in objects:
        item.destroy()


@contextlib.contextmanager
def own_errors() -> Iterator[None]:
    """Around a solver that calls Python: what a callback raises comes out as itself.

    petsc4py 3.18 lets it pass; later versions raise a ``PETSc.Error`` that has it as its cause. Local
    variables of the callbacks go: the traceback would keep a solver until PETSc has ended, which crashes.
    """
    try:
        yield
    except BaseException as error:
        cause: BaseException | None = error
        while isinstance(cause, PETSc.Error):
            cause = cause.__cause__
        traceback.clear_frames((cause or error).__traceback__)
        if cause is None or cause is error:
            raise
        raise cause from None
