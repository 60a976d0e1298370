"""Base of the schemas of all models: tables of a case file, and the case as a whole.

One class a table of the TOML file. Quantities arrive as text with units and are kept as SI floats; energies
and biases may be multiples of the reference gap Δ0 (:class:`fvqp.case.quantities.Energy`). Unknown keys are
errors.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

import tomlkit
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PrivateAttr, model_validator

from fvqp.case.quantities import STRICT, CaseValue, once
from fvqp.errors import CaseError, FvqpError, shown
from fvqp.texts import html_table

E = TypeVar("E", bound=FvqpError)
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

    #: Keys that take a folder, and the file that it has to hold.
    HOLDS: ClassVar[dict[str, str]] = {}

    def with_files(self, at: str, folder: Path) -> Self:
        """The table with the files that it names, and its tables, found from ``folder`` on.

        Args:
            at: file and key of the table, as they stand in front of its keys in messages.
            folder: relative paths start here.

        Raises:
            CaseError: a file is missing.
        """
        found = {}
        for key in type(self).model_fields:
            given = getattr(self, key)
            value = _with_files(given, f"{at}{key}", folder, self.HOLDS.get(key, ""))
            # A key that the case does not give must not look as if it did.
            if value is not given:
                found[key] = value
        return self.model_copy(update=found) if found else self


class FigureTable(Table):
    """A figure of the results folder."""

    kind: str
    file: FigureFile | None = None
    """File name in ``figures/``; default: the kind, as PNG."""
    title: str | None = None


class Solver(Table):
    """Options for PETSc."""

    petsc: dict[str, str | int | float | bool] = Field(default_factory=dict)
    """Options of PETSc with the prefix ``fvqp_``: numbers, methods and output to the terminal."""


def _with_files(value: Any, key: str, folder: Path, holds: str = "") -> Any:
    """Return the value of a key with its files found; the same object if it names none."""
    if isinstance(value, Path):
        return found_file(key, folder, value, holds)
    if isinstance(value, Table | CaseValue):
        return value.with_files(f"{key}.", folder)
    if isinstance(value, tuple):
        parts = tuple(_with_files(part, f"{key}[{n}]", folder) for n, part in enumerate(value))
        return parts if any(new is not old for new, old in zip(parts, value, strict=True)) else value
    if isinstance(value, dict):
        tables = {name: _with_files(part, f"{key}.{name}", folder) for name, part in value.items()}
        return tables if any(tables[name] is not value[name] for name in value) else value
    return value


def digest(file: Path) -> str:
    """Return the SHA-256 (hexadecimal) of a file."""
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest()


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

    #: True if processes that are registered are keys of the case.
    HAS_PROCESSES: ClassVar[bool] = False

    title: str = ""
    """Title of figures and of `results.nc`."""
    model: str
    """The equations; every model has tables of its own."""
    _source: str = PrivateAttr(default="case")

    def __repr__(self) -> str:
        title = f"{self.title!r}, " if self.title else ""
        return f"{type(self).__name__}({self.source}: {title}model {self.model!r}, hash {self.hash[:8]})"

    def _repr_html_(self) -> str:
        given = [name for name in type(self).model_fields if name in self.model_fields_set]
        rows = [
            ("file", self.source),
            ("title", self.title),
            ("model", self.model),
            ("tables", ", ".join(name for name in given if name not in ("title", "model"))),
            ("hash", self.hash[:8]),
        ]
        return html_table(type(self).__name__, [row for row in rows if row[1]])

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

    def naming(self, error: E, where: str = "") -> E:
        """Return an error whose message begins with the case, and ``where`` in it, unless it does already."""
        text = str(error)
        if text.startswith(f"{self.source}: "):
            return error
        return type(error)(f"{self.source}: {f'{where}: ' if where else ''}{text}")

    @property
    def hash(self) -> str:
        """SHA-256 (hexadecimal) of what decides the numbers: not titles, figures, nor how it is solved."""
        return hashlib.sha256(json.dumps(self._decisive(), sort_keys=True).encode()).hexdigest()

    def _decisive(self) -> dict[str, Any]:
        omitted = dict.fromkeys(self.CONDITIONAL - self.model_fields_set, True)
        return self.model_dump(mode="json", by_alias=True, exclude={**self.UNDECISIVE, **omitted})

    def named(self, source: str) -> Self:
        """Return the case under the name of its file."""
        self._source = source
        return self

    def located(self, source: str, folder: Path) -> Self:
        """The case under the name of its file, with the files that it names found from ``folder`` on.

        Raises:
            CaseError: a file is missing.
        """
        return self.with_files(f"{source}: ", folder).named(source)


def _without_none(data: Any) -> Any:
    if isinstance(data, dict):
        return {key: _without_none(value) for key, value in data.items() if value is not None}
    if isinstance(data, list):
        return [_without_none(value) for value in data]
    return data
