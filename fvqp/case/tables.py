"""What the schemas of all models share: tables of a case file, and the case as a whole.

One class a table of the TOML file. Quantities arrive as text with units and are kept as SI floats; energies
and biases may be multiples of the reference gap Δ0 (:class:`fvqp.case.quantities.Energy`). Unknown keys are
errors.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import tomlkit
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PrivateAttr, model_validator

from fvqp.case.quantities import STRICT, once
from fvqp.errors import CaseError, shown

Name = Annotated[str, Field(min_length=1)]
Count = Annotated[int, Field(strict=True, ge=1)]
Flag = Annotated[bool, Field(strict=True)]
FigureFile = Annotated[str, Field(pattern=r"^[\w.-]+\.(png|pdf|svg)$")]
"""Name of a picture in the folder of figures."""


def _as_list(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else [value]


ONCE = AfterValidator(once)
"""No entry twice."""
AS_LIST = BeforeValidator(_as_list)
"""One value stands for a list of one."""


class Table(BaseModel):
    """A table of a case file."""

    model_config = STRICT

    #: Keys with defaults that some cases make no use of, and refuse.
    CONDITIONAL: ClassVar[frozenset[str]] = frozenset()

    #: Keys that only serve a list of the table, or these entries of it (none: any): an override of the list
    #: that has no such entry leaves them out.
    SERVING: ClassVar[dict[str, dict[str, frozenset[str]]]] = {}


def found_file(where: str, folder: Path, given: Path, holds: str = "") -> Path:
    """Return the file that a case names, whole.

    Args:
        where: key, for messages.
        folder: relative paths start here.
        given: file, or a folder that holds the file ``holds``.

    Raises:
        CaseError: there is no such file, or the name can be none.
    """
    try:
        found = (folder / given).resolve()
        there = (found / holds).is_file()
    except (OSError, RuntimeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CaseError(f"{where}: {shown(str(given))} cannot be a file: {reason}") from None
    if not there:
        raise CaseError(f"{where}: {f'holds no {holds}' if holds else 'no such file'}: {found}")
    return found


class FileTable(Table):
    """A table whose numbers may come from a file, ``file``."""

    def located(self, key: str, folder: Path) -> Self:
        """With its file found from ``folder`` on; :class:`CaseError` with the table's ``key`` if missing."""
        given: Path | None = getattr(self, "file", None)
        if given is None:
            return self
        return self.model_copy(update={"file": found_file(f"{key}.file", folder, given)})


def _conditional(value: Any) -> dict[Any, Any]:
    """Conditional keys that were not given, in a table and those in it, as ``model_dump`` excludes them."""
    omitted: frozenset[str] = frozenset()
    parts: dict[Any, Any] = {}
    if isinstance(value, BaseModel):
        parts = {name: getattr(value, name) for name in type(value).model_fields}
        if isinstance(value, Table):
            omitted = value.CONDITIONAL - value.model_fields_set
    elif isinstance(value, tuple | list):
        parts = dict(enumerate(value))
    elif isinstance(value, dict):
        parts = value
    found: dict[Any, Any] = {}
    for name, part in parts.items():
        if name in omitted:
            found[name] = True
        elif inner := _conditional(part):
            found[name] = inner
    return found


class Case(Table):
    """A case: everything that is said about a computation, checked.

    Every model has a class of its own with the tables that the model takes.
    """

    #: What does not decide the numbers, as :meth:`pydantic.BaseModel.model_dump` excludes it.
    UNDECISIVE: ClassVar[dict[str, Any]] = {"title": True, "figures": True}

    title: str = ""
    """Of figures and of `results.nc`."""
    model: str
    """The equations; every model has tables of its own."""
    _source: str = PrivateAttr(default="case")

    @model_validator(mode="after")
    def _own_files(self) -> Self:
        """No figure is drawn over another one."""
        names = [one.file or f"{one.kind}.png" for one in getattr(self, "figures", ())]
        for number, name in enumerate(names):
            if name in names[:number]:
                first = names.index(name)
                raise ValueError(
                    f'figures[{number}].file: "{name}" is that of figures[{first}] too; give another'
                )
        return self

    @property
    def source(self) -> str:
        """Name of the file for messages."""
        return self._source

    def resolved_toml(self) -> str:
        """The case as TOML with every default that is used filled in; reading it gives an equal case."""
        data = self.model_dump(mode="json", by_alias=True, exclude=_conditional(self))
        return tomlkit.dumps(_without_none(data))

    @property
    def hash(self) -> str:
        """SHA-256 (hexadecimal) of what decides the numbers: not titles, figures, nor how it is solved."""
        return hashlib.sha256(json.dumps(self._decisive(), sort_keys=True).encode()).hexdigest()

    def _decisive(self) -> dict[str, Any]:
        return self.model_dump(mode="json", by_alias=True, exclude=self.UNDECISIVE)

    def located(self, source: str, folder: Path) -> Self:
        """The case under the name of its file, with the files that it names found from ``folder`` on.

        Raises:
            CaseError: a file is missing.
        """
        self._source = source
        return self


def _without_none(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_none(value) for key, value in data.items() if value is not None}
    if isinstance(data, list):
        return [_without_none(value) for value in data]
    return data
