"""Checks of a case of several stages that need no run of the first."""

from __future__ import annotations

from mpi4py import MPI
from pydantic import BaseModel

from fvqp.case import models
from fvqp.case.boltzmann.schema import TransportCase
from fvqp.case.clusters.schema import Arrivals
from fvqp.case.earlier import Earlier
from fvqp.case.geometry import distributed_mesh
from fvqp.case.reading import case_from_dict
from fvqp.case.stages.plan import PlannedStage, plan
from fvqp.case.stages.schema import StagesCase
from fvqp.case.usadel.schema import UsadelCase
from fvqp.errors import CaseError


def check_case(case: StagesCase) -> None:
    """Raises :class:`CaseError` if a stage contradicts itself or asks for what no stage stores."""
    planned = plan(case)
    complete = {
        stage.name: case_from_dict(stage.data, stage.source, stage.folder)
        for stage in planned
        if not stage.links
    }
    for stage in planned:
        if stage.links:
            models.check_tables(stage.case)
        for key, name in stage.links.items():
            earlier = complete.get(name)
            wanted = _table(stage, key)
            if wanted is not None:
                where = f"{stage.source}: {key.rpartition('.')[0]}"
                if isinstance(earlier, UsadelCase):
                    _check_stored(where, wanted, name, earlier)
                if isinstance(earlier, UsadelCase | TransportCase):
                    _check_region(where, wanted, name, earlier)


def _table(stage: PlannedStage, key: str) -> Earlier | None:
    """The table that a linked key belongs to, if it is one that reads a run's results."""
    at: BaseModel = stage.case
    for step in key.split(".")[:-1]:
        at = getattr(at, step)
    return at if isinstance(at, Earlier) else None


def _check_stored(where: str, wanted: Earlier, name: str, earlier: UsadelCase) -> None:
    """Require that a run stores what is taken from it."""
    needed = [wanted.variable, *(["dos"] if wanted.variable == "f_L" else [])]
    for variable in needed:
        if variable not in earlier.output.stored:
            stored = ", ".join(earlier.output.stored) or "nothing"
            raise CaseError(
                f'{where}.variable: stage {name} does not store "{variable}" (its output.stored: {stored})'
            )


def _check_region(where: str, wanted: Earlier, name: str, earlier: UsadelCase | TransportCase) -> None:
    """Require that the mesh of a run has the region from which something is taken."""
    if isinstance(wanted, Arrivals):
        regions = (
            {}
            if earlier.mesh is None
            else distributed_mesh(earlier.mesh, earlier.source, MPI.COMM_SELF).regions
        )
        if wanted.region not in regions:
            known = ", ".join(regions) or "none"
            raise CaseError(
                f'{where}.region: the mesh of stage {name} has no region "{wanted.region}"; '
                f"there are: {known}"
            )
