"""Exception types: raised where the fact is known, turned into one line by the command line."""

from __future__ import annotations

#: What the command line returns for errors that a user can mend.
EXIT_CODE = 2


class FvqpError(Exception):
    """Any failure that a user can understand and mend; the command line returns `EXIT_CODE`."""


class CaseError(FvqpError):
    """A case (file, key or value) that cannot be what its author meant."""


class MeshError(FvqpError):
    """A mesh that cannot be read, distributed or computed on."""


class ConvergenceError(FvqpError):
    """A solve that did not reach its tolerance; says which, by how much and why."""


class SuperconductivityDestroyed(ConvergenceError):
    """There is no superconducting solution that hangs together with the one at rest."""


class CheckpointError(FvqpError):
    """A checkpoint or results folder that belongs to something else or is damaged."""
