"""The schema of a case of several stages."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from fvqp.case.reading import read_toml
from fvqp.case.tables import Case, Count, Name, Table, found_file

TAKEN = ("figures", "fields")
"""Names that other parts of a results folder have."""


class Stage(Table):
    """A case of another model."""

    name: Name
    """Name of the stage, and of its folder in the results folder: letters, digits, ``-`` and ``_``."""
    file: Path | None = None
    """Case file of the stage; default: ``case`` is all of it."""
    case: dict[str, Any] = Field(default_factory=dict)
    """The stage's case, laid out like a case file; with ``file``, what takes the place of its values."""
    links: dict[Name, Name] = Field(default_factory=dict)
    """Keys of the stage's case that take a results folder, and the earlier stage whose folder it is:
    ``{ "profile.results.folder" = "transport" }``."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        plain = self.name.replace("-", "").replace("_", "")
        if not (plain.isalnum() and plain.isascii()):
            raise ValueError(f'name: expected letters, digits, "-" and "_", got "{self.name}"')
        if self.name in TAKEN:
            raise ValueError(f'name: "{self.name}" is what another part of a results folder is called')
        if self.file is None and not self.case:
            raise ValueError("give file or case")
        return self

    def data(self) -> dict[str, Any]:
        """The case laid out like a file, without what ``links`` adds."""
        if self.file is None:
            return copy.deepcopy(self.case)
        return _merged(read_toml(self.file), self.case)


class StagesSolver(Table):
    """Settings that replace those of all stages that have them; `--groups` and options after `--` set it."""

    groups: Count | None = None
    """Groups of ranks that share sweep points."""
    petsc: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Options for PETSc's database, each for the stages with a solver whose options begin like it."""


class StagesCase(Case):
    """A case of several stages."""

    model: Literal["stages"]
    """Several cases in turn, each of which may go on from the results of those before."""
    stages: Annotated[tuple[Stage, ...], Field(min_length=1)]
    """In the order of their computation; the results of the last one are those of the whole."""
    solver: StagesSolver = StagesSolver()
    """Ranks and options of the stages that have solvers for them."""
    _folder: Path = PrivateAttr(default=Path("."))

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        names: list[str] = []
        for stage in self.stages:
            if stage.name in names:
                raise ValueError(f'stages: "{stage.name}" is the name of two stages')
            for key, earlier in stage.links.items():
                if earlier not in names:
                    known = ", ".join(names) or "none"
                    raise ValueError(
                        f'stages.{stage.name}.links: "{key}" goes on from "{earlier}", which is no earlier '
                        f"stage; there are: {known}"
                    )
            names.append(stage.name)
        return self

    @property
    def folder(self) -> Path:
        """Folder from which relative paths of stages without a file start."""
        return self._folder

    def located(self, source: str, folder: Path) -> Self:
        stages = []
        for stage in self.stages:
            if stage.file is None:
                stages.append(stage)
                continue
            file = found_file(f"{source}: stages.{stage.name}.file", folder, stage.file)
            stages.append(stage.model_copy(update={"file": file}))
        found = self.model_copy(update={"stages": tuple(stages)}).named(source)
        found._folder = folder
        return found

    def _decisive(self) -> dict[str, Any]:
        """Return the content of the stages that decides their results, wherever it is written."""
        stages = []
        for stage in self.stages:
            data = {key: value for key, value in stage.data().items() if key not in Case.UNDECISIVE}
            stages.append({"name": stage.name, "links": stage.links, "case": data})
        return {"model": self.model, "stages": stages}


def _merged(data: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """``data`` with the values of ``changes`` in place of its own, table by table."""
    out = dict(data)
    for key, value in changes.items():
        both = isinstance(value, dict) and isinstance(out.get(key), dict)
        out[key] = _merged(out[key], value) if both else copy.deepcopy(value)
    return out


CASES = {"stages": StagesCase}
