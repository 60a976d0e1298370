"""From a case of several stages to the cases of the stages."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from fvqp.case import models
from fvqp.case.petsc_options import reached
from fvqp.case.reading import case_from_dict, validated_case
from fvqp.case.stages.schema import Stage, StagesCase
from fvqp.case.tables import Case
from fvqp.errors import CaseError


@dataclass(frozen=True)
class PlannedStage:
    """A stage.

    Attributes:
        name: of the stage and its folder.
        links: key of the case that takes a results folder → the earlier stage.
        data: the case, laid out like a file, without the links.
        folder: where relative paths in ``data`` start.
        source: what messages call it.
        case: as far as it is known before the earlier stages have run: links hold the names of stages, files
            have not been looked for.
    """

    name: str
    links: dict[str, str]
    data: dict[str, Any]
    folder: Path
    source: str
    case: Case

    def located(self, results: Path) -> Case:
        """The case with what it takes from earlier stages, whose folders are in ``results``.

        Raises:
            CaseError: these do not hold what the case asks for.
        """
        data = copy.deepcopy(self.data)
        for key, earlier in self.links.items():
            _put(data, key, str((results / earlier).resolve()))
        return case_from_dict(data, self.source, self.folder)


def plan(case: StagesCase) -> list[PlannedStage]:
    """The stages of a case in their order.

    Raises:
        CaseError: a stage is no valid case, or a link does not lead to a key that takes a results folder.
    """
    planned = [_planned(case, stage) for stage in case.stages]
    for key in _shared(case.solver.model_dump()):
        if not any(_get(stage.case, key) is not None for stage in planned):
            raise CaseError(f"{case.source}: {key}: reaches no solver of any stage")
    return planned


def _shared(solver: dict[str, Any]) -> dict[str, Any]:
    """Return settings of all stages, by dotted keys of their cases."""
    found = {f"solver.petsc.{key}": value for key, value in solver["petsc"].items()}
    return found if solver["groups"] is None else found | {"solver.groups": solver["groups"]}


def _takes(model: str, key: str) -> bool:
    """Return whether cases of a model have solvers for a key of `_shared`."""
    table = models.schema(model).model_fields.get("solver")
    fields = getattr(table.annotation, "model_fields", {}) if table is not None else {}
    _, name, *option = key.split(".", 2)
    if name not in fields:
        return False
    if not option:
        return True
    return reached(model, option[0]) is not None


def _planned(whole: StagesCase, stage: Stage) -> PlannedStage:
    source = f"{whole.source}: stage {stage.name}"
    data = stage.data()
    if data.get("model") == "stages":
        raise CaseError(f'{source}: model: "stages" cannot be a stage of its own kind')
    if data.get("model") in models.MODELS:
        for key, value in _shared(whole.solver.model_dump()).items():
            if _takes(data["model"], key):
                _replace(data, key.split(".", 2), value)
    linked = copy.deepcopy(data)
    for key, earlier in stage.links.items():
        try:
            _put(linked, key, earlier)
        except KeyError as error:
            raise CaseError(f'{source}: links: "{key}": {error.args[0]}') from None
    case = validated_case(linked, source)
    for key in stage.links:
        if not isinstance(_get(case, key), Path):
            raise CaseError(f'{source}: links: "{key}" takes no results folder')
    folder = whole.folder if stage.file is None else stage.file.parent
    return PlannedStage(stage.name, stage.links, data, folder, source, case)


def _put(data: dict[str, Any], key: str, value: str) -> None:
    """``value`` at a dotted key; `KeyError` says why that cannot be."""
    *steps, last = key.split(".")
    for step in steps:
        data = data.setdefault(step, {})
        if not isinstance(data, dict):
            raise KeyError(f"{step} is no table")
    if last in data:
        raise KeyError(f"the case gives {last} already")
    data[last] = value


def _replace(data: dict[str, Any], steps: list[str], value: Any) -> None:
    """``value`` at a place in nested tables; nowhere if one of them is none, which validation will say."""
    for step in steps[:-1]:
        data = data.setdefault(step, {})
        if not isinstance(data, dict):
            return
    data[steps[-1]] = value


def _get(table: BaseModel, key: str) -> Any:
    """Return the value of a dotted key of a case; None if it leads elsewhere."""
    at: Any = table
    for step in key.split("."):
        if isinstance(at, BaseModel):
            at = getattr(at, step, None)
        else:
            at = at.get(step) if isinstance(at, dict) else None
    return at
