"""PETSc, started so that signals stay Python's; every other module takes it from here.

PETSc's own handlers would end the program by ``MPI_Abort`` where Python says something sensible: at a reader
that has gone (``fvqp check CASE | head``), at Ctrl-C and at a termination signal. Where the user's own
program has started PETSc before, its choice holds.
"""

import petsc4py

petsc4py.init(["-no_signal_handler"])

from petsc4py import PETSc  # noqa: E402

__all__ = ["PETSc"]
