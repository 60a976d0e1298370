"""Reading a case: TOML file, overrides, schema, and one message for all that is wrong.

A message names the file, the key and what would be right; several mistakes have a line each:
``fig10.toml: junctions[0].conductance: expected a conductance such as "24.6 uS", got "24.6 um" (a length)``.
"""

from __future__ import annotations

import logging
import re
import types
import typing
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from fvqp import toml
from fvqp.case import models
from fvqp.case.file_options import check_file_options
from fvqp.case.tables import Case
from fvqp.errors import CaseError, shown, suggestion

log = logging.getLogger(__name__)

_INNER_KEY = re.compile(r"([a-z_]+(?:\.\w+)*): ")
_STEP = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


def load_case(path: str | Path, overrides: Iterable[str] = ()) -> Case:
    """The case of a TOML file, checked.

    ``overrides`` are ``"key=value"`` texts as of ``--set``: dotted keys, entries of a list by number or by
    their ``name`` (``junctions[0].temperature``, ``junctions.A.temperature``), values in TOML or plain text.

    Raises :class:`CaseError` that names file, keys and what would be right.
    """
    path = Path(path)
    data = read_toml(path)
    apply_overrides(data, overrides, path.name)
    return case_from_dict(data, source=path.name, folder=path.parent)


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a TOML file.

    Raises :class:`CaseError` with one line if it cannot be read, or has options of PETSc that are the command
    line's alone.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")  # some editors begin a file with a mark
    except FileNotFoundError:
        raise CaseError(f"{path}: no such case file") from None
    except UnicodeDecodeError:
        raise CaseError(f"{path}: not a text file in UTF-8; a case file is TOML") from None
    except OSError as error:
        raise CaseError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        data = toml.parse(text)
    except ValueError as error:
        hint = _hint(str(error), text)
        raise CaseError(f"{path.name}: not valid TOML: {error}{hint}") from None
    check_file_options(data, path.name)
    return data


def _hint(error: str, text: str) -> str:
    """Return advice for a table or a key that is there twice."""
    table = re.search(r"Cannot declare \('(\w+)',\) twice", error)
    if table:
        return f"; a list of tables has double brackets: [[{table[1]}]]"
    if not error.startswith("Cannot overwrite a value"):
        return ""
    at = re.search(r"at line (\d+)", error)
    line = (text.splitlines()[: int(at[1])] if at else text.rstrip().splitlines())[-1].strip()
    if line.startswith("[["):
        return f"; in a list of tables all have double brackets, also the first: {line}"
    return f"; {line.partition('=')[0].strip()} is there twice"


def case_from_dict(data: dict[str, Any], source: str = "case", folder: str | Path = ".") -> Case:
    """The case of a dictionary laid out like the TOML file; ``folder`` is where relative mesh paths start.

    Raises :class:`CaseError` as :func:`load_case` does, with ``source`` in place of the file.
    """
    case = validated_case(data, source).located(source, Path(folder))
    models.check_parts(case)
    return case


def validated_case(data: dict[str, Any], source: str = "case") -> Case:
    """The case of a dictionary by its schema alone: files that it names have not been looked for.

    Raises :class:`CaseError` as :func:`case_from_dict` does.
    """
    name = data.get("model")
    if not isinstance(name, str) or name not in models.MODELS:
        known = " or ".join(f'"{model}"' for model in models.MODELS)
        if name is None:
            raise CaseError(f"{source}: model: missing; expected {known}")
        hint = suggestion(str(name), models.MODELS)
        raise CaseError(f"{source}: model: expected {known}, got {_quoted(name)}{hint}")
    schema = models.schema(name)
    try:
        case = schema.model_validate(data)
    except ValidationError as error:
        raise models.mistakes(source, _messages(error, schema)) from None
    return case.named(source)


def apply_overrides(data: dict[str, Any], overrides: Iterable[str], source: str) -> None:
    """`apply_override` for all; keys of the file that only serve what a list has no longer are left out.

    The log names them. Keys that are overridden too stay, and are an error like all that are not used.
    """
    overrides = list(overrides)
    given = [_steps(override) for override in overrides]
    for override, steps in zip(overrides, given, strict=True):
        apply_override(data, override)
        values = override_value(override.partition("=")[2])
        if not isinstance(values, list):
            continue
        outer, last = steps[:-1], str(steps[-1])
        table = value_at(data, _dotted(outer), "") if outer else data
        for key, entries in _serving(outer, data).get(last, {}).items():
            served = any(isinstance(v, str) and v in entries for v in values) if entries else bool(values)
            if key in table and [*outer, key] not in given and not served:
                what, of = _dotted([*outer, key]), _dotted([*outer, last])
                why = f"holds none of {', '.join(sorted(entries))}" if values else "is empty"
                log.info("%s: %s only serves %s, which %s, and is left out", source, what, of, why)
                del table[key]


def _steps(override: str) -> list[str | int]:
    """Keys and numbers of the entry that ``key=value`` overrides."""
    return [name or int(number) for name, number in _STEP.findall(override.partition("=")[0].strip())]


def apply_override(data: dict[str, Any], override: str) -> None:
    """Put the value of ``key=value`` into ``data``, laid out like the file; ``key=`` leaves the key out.

    Raises :class:`CaseError` if the value cannot have that place, or there is nothing to leave out.
    """
    _, equals, text = override.partition("=")
    steps = _steps(override)
    where = f"--set {override}"
    if not equals or not steps or isinstance(steps[0], int):
        raise CaseError(f"{where}: expected key=value, such as energies.number=600")
    at: Any = data
    for number, step in enumerate(steps[:-1]):
        step = _entry(at, step, where)
        if isinstance(at, dict) and step not in at:
            at[step] = {}
        at = at[step]
        if not isinstance(at, dict | list):
            raise CaseError(f"{where}: {_dotted(steps[: number + 1])} is a value, not a table")
    last: Any = _entry(at, steps[-1], where)
    if text.strip():
        at[last] = override_value(text)
    elif isinstance(at, dict) and last not in at:
        raise CaseError(f"{where}: there is no {_dotted(steps)} to leave out, and no value")
    else:
        del at[last]


def value_at(data: dict[str, Any], key: str, where: str) -> Any:
    """Return the value of ``data`` at a dotted ``key``; None if there is none.

    Raises :class:`CaseError`, with ``where`` in front, if an entry of a list that is named is not there.
    """
    at: Any = data
    for name, number in _STEP.findall(key):
        if not isinstance(at, dict | list):
            return None
        step: Any = _entry(at, name or int(number), where)
        if isinstance(at, dict) and step not in at:
            return None
        at = at[step]
    return at


def _entry(at: Any, step: str | int, where: str) -> str | int:
    """The key or index that ``step`` means in ``at``; entries of a list may be called by their name."""
    if isinstance(at, dict):
        return str(step)
    if isinstance(step, str) and not step.isdigit():
        names = [entry.get("name") for entry in at if isinstance(entry, dict)]
        if step not in names:
            known = ", ".join(str(name) for name in names if name) or "none has a name"
            raise CaseError(f'{where}: no entry named "{step}"; there are: {known}')
        return names.index(step)
    index = int(step)
    if index >= len(at):
        raise CaseError(f"{where}: there are {len(at)} entries, numbered from 0")
    return index


def override_value(text: str) -> Any:
    """A TOML value; what is not TOML is text, so that quotes are not needed around ``24 uS``."""
    try:
        return toml.parse(f"value = {text}")["value"]
    except ValueError:
        return text.strip()


def _dotted(steps: Sequence[str | int]) -> str:
    text = ""
    for step in steps:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def _messages(error: ValidationError, schema: type[Case]) -> list[str]:
    """A line for every mistake; a misspelt key stands for the keys that it leaves missing in its table."""
    details = error.errors(include_url=False)
    misspelt = {entry["loc"][:-1] for entry in details if entry["type"] == "extra_forbidden"}
    return [
        _message(entry, schema)
        for entry in sorted(details, key=lambda entry: entry["type"] != "extra_forbidden")
        if entry["type"] != "missing" or entry["loc"][:-1] not in misspelt
    ]


def _message(detail: Any, schema: type[Case]) -> str:
    """The line of a mistake."""
    steps, kind = list(detail["loc"]), detail["type"]
    if kind == "extra_forbidden":
        allowed = _keys(steps[:-1], schema)
        hint = suggestion(str(steps[-1]), allowed)
        return f"{_dotted(steps)}: unknown key{hint} (allowed: {', '.join(allowed)})"
    text = _EXPLAINED.get(kind, lambda entry: entry["msg"].removeprefix("Value error, "))(detail)
    if kind == "literal_error":
        text += suggestion(str(detail["input"]), re.findall(r"'([^']*)'", detail["ctx"]["expected"]))
    if kind == "tuple_type" and isinstance(detail["input"], dict):
        text += f": write [[{_dotted(steps)}]]"
    inner = _INNER_KEY.match(text)
    if inner:
        # A check of a whole table that blames one of its keys.
        steps, text = [*steps, *inner[1].split(".")], text[inner.end() :]
    return f"{_dotted(steps)}: {text}" if steps else text


def _quoted(value: Any) -> str:
    """A value of the file as a message shows it."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return shown(value)


_EXPLAINED: dict[str, typing.Callable[[Any], str]] = {
    "missing": lambda d: (
        f"missing; the list has {len(d['input'])} entries only"
        if isinstance(d["loc"][-1], int)
        else "missing"
    ),
    "literal_error": lambda d: f"expected {d['ctx']['expected']}, got {_quoted(d['input'])}".replace(
        "'", '"'
    ),
    "model_type": lambda d: f"expected a table, got {_quoted(d['input'])}",
    "model_attributes_type": lambda d: f"expected a table, got {_quoted(d['input'])}",
    "dict_type": lambda d: f"expected a table, got {_quoted(d['input'])}",
    "tuple_type": lambda d: f"expected a list, got {_quoted(d['input'])}",
    "string_type": lambda d: f"expected text, got {_quoted(d['input'])}",
    "path_type": lambda d: f"expected a file name, got {_quoted(d['input'])}",
    "float_type": lambda d: f"expected a plain number, got {_quoted(d['input'])}",
    "finite_number": lambda d: f"expected a finite number, got {_quoted(d['input'])}",
    "int_type": lambda d: f"expected a whole number, got {_quoted(d['input'])}",
    "bool_type": lambda d: f"expected true or false, got {_quoted(d['input'])}",
    "string_too_short": lambda d: "must not be empty",
    "too_short": lambda d: "must not be empty",
    "too_long": lambda d: f"expected {d['ctx']['max_length']} entries, got {d['ctx']['actual_length']}",
    "greater_than_equal": lambda d: f"expected at least {d['ctx']['ge']}, got {_quoted(d['input'])}",
    "less_than_equal": lambda d: f"expected at most {d['ctx']['le']}, got {_quoted(d['input'])}",
    "greater_than": lambda d: f"must be greater than {d['ctx']['gt']:g}, got {_quoted(d['input'])}",
    "less_than": lambda d: f"must be less than {d['ctx']['lt']:g}, got {_quoted(d['input'])}",
    "string_pattern_mismatch": lambda d: (
        f"expected a plain file name ending in .png, .pdf or .svg, got {_quoted(d['input'])}"
    ),
}


def _keys(steps: Sequence[str | int], schema: type[Case]) -> list[str]:
    """The keys allowed in the table at ``steps``."""
    return [field.alias or name for name, field in _table(steps, schema).model_fields.items()]


def _serving(steps: Sequence[str | int], data: dict[str, Any]) -> dict[str, dict[str, frozenset[str]]]:
    """`Table.SERVING` of the table at ``steps`` of a case, or of the case of a stage."""
    if "case" in steps:
        inner = list(steps).index("case") + 1
        return _serving(steps[inner:], value_at(data, _dotted(steps[:inner]), ""))
    try:
        return getattr(_table(steps, models.schema(data["model"])), "SERVING", {})
    except (KeyError, StopIteration):
        # What is wrong with these steps the schema says at length.
        return {}


def _table(steps: Sequence[str | int], schema: type[Case]) -> Any:
    """The class of the table at ``steps``."""
    at: Any = schema
    for step in steps:
        if _is_table(at):
            fields = {field.alias or name: field for name, field in at.model_fields.items()}
            at = _unwrapped(fields[str(step)].annotation)
        else:
            # A list or a dictionary of tables, and the step is a number or a name in it.
            at = next(argument for argument in typing.get_args(at) if _is_table(argument))
    return at


def _is_table(annotation: Any) -> bool:
    return (
        isinstance(annotation, type) and not typing.get_args(annotation) and issubclass(annotation, BaseModel)
    )


def _unwrapped(annotation: Any) -> Any:
    """``X`` of ``X | None``."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return next(argument for argument in typing.get_args(annotation) if argument is not type(None))
    return annotation
