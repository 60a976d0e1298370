"""From a case of several stages to the cases of the stages."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

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
    return [_planned(case, stage) for stage in case.stages]


def _planned(whole: StagesCase, stage: Stage) -> PlannedStage:
    source = f"{whole.source}: stage {stage.name}"
    data = stage.data()
    if data.get("model") == "stages":
        raise CaseError(f'{source}: model: "stages" cannot be a stage of its own kind')
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


def _get(table: BaseModel, key: str) -> Any:
    """What a dotted key of a case holds; None if it leads elsewhere."""
    at: Any = table
    for step in key.split("."):
        at = getattr(at, step, None) if isinstance(at, BaseModel) else None
    return at
