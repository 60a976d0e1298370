"""Tables of the reference pages, made from the program itself.

    python docs/_ext/generated.py

writes them into the pages of ``docs/reference``. A table follows a comment that says what it shows:
``<!-- case-table usadel.schema.JunctionTable`` the keys of a table of the case file with type, default and
meaning, ``<!-- result-names`` the variables of ``results.nc``. Further lines ``key: meaning`` in the comment
add what the schema does not say.

The directive ``{command-help} mesh info`` shows the help of a command on the site.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import types
import typing
from importlib import import_module
from pathlib import Path
from typing import Any

from docutils import nodes
from pydantic import BaseModel
from pydantic_core import PydanticUndefined
from sphinx.application import Sphinx
from sphinx.pycode import ModuleAnalyzer
from sphinx.util.docutils import SphinxDirective

from fvqp import cli
from fvqp.case import quantities
from fvqp.case.boltzmann.boundary import BoundaryTable, Transmission
from fvqp.case.models import MODELS, result_names, schema
from fvqp.case.process import ProcessTable
from fvqp.case.tables import Case, Table

QUANTITIES = {
    "m": ("length", "11 um"),
    "K": ("temperature", "61 mK"),
    "S": ("conductance", "24.6 uS"),
    "S/m^2": ("conductance per area", "1 S/um^2"),
    "m^2/s": ("diffusivity", "16.9 cm^2/s"),
    "ohm*m": ("resistivity", "15.8 uohm*cm"),
    "A": ("current", "10 uA"),
    "rad": ("angle", "90 deg"),
    "s": ("time", "0.26 ns"),
    "1/s": ("rate", "1 Hz"),
    "m/s": ("speed", "5 km/s"),
    "J/m^3": ("energy by volume", "1 eV/um^3"),
    "W": ("power", "1 pW"),
    "W/m^3": ("power by volume", "2 aW/um^3"),
    "1/J/m^3": ("density of states", "1.74e10 1/eV/um^3"),
    "m^3": ("volume", "0.001 um^3"),
    "1/m^3": ("number by volume", "5e28 1/m^3"),
    "1/m^3/s": ("rate by volume", "10 1/um^3/s"),
    "ohm": ("resistance", "10 ohm"),
    "W/m^3/K^5": ("heat coupling", "2 nW/um^3/K^5"),
    "m^3/s": ("rate constant", "18 um^3/s"),
    "kg/m^3": ("density of mass", "2.7 g/cm^3"),
}
OWN = {
    quantities.Energy: 'energy: `"0.4 meV"`, `"3 Delta0"`, or a number (Δ0)',
    quantities.PhotonEnergy: 'energy or frequency: `"20 ueV"`, `"4.8 GHz"`, `"0.1 Delta0"`',
    quantities.Bias: 'voltage: `"0.4 mV"`, `"1.5 Delta0"`',
    quantities.BiasAxis: 'voltages: `["0 V", "0.3 mV"]` or `{ from = "-1 mV", to = "1 mV", points = 101 }`',
    Transmission: 'number, or a table: `{ energies = ["0 eV", "2 Delta0"], shares = [0, 1] }`, '
    '`{ file = "transmission.csv" }`',
}
PAGES = Path(__file__).parents[1] / "reference"
END = "<!-- end of table -->"
BLOCK = re.compile(
    r"(?P<head><!-- (?P<command>case-table|result-names)(?: (?P<argument>\S+))?(?P<additions>.*?)\s*-->)"
    rf"\n.*?{END}",
    re.DOTALL,
)
PLAIN = {str: "text", bool: "true or false", int: "whole number", float: "number"}


def title(table: type[BaseModel]) -> str:
    """Name of a table of the schema without that of its model."""
    name = table.__name__.removesuffix("Table")
    for prefix in MODELS:
        name = name.removeprefix(prefix.title().replace("_", "")) or name
    return name


def package(table: type[BaseModel]) -> str:
    """Package or module of `fvqp.case` that a table is in."""
    return table.__module__.removeprefix("fvqp.case.").split(".")[0]


def label(table: type[BaseModel]) -> str:
    """Target of a table of the schema; models have tables of the same titles."""
    return f"{package(table)}-{table.__name__.lower()}"


def kind(annotation: Any) -> str:
    """What a key takes, in words."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind(part) for part in arguments if part is not type(None))
    if origin is typing.Annotated:
        marks = [mark for mark in arguments[1:] if isinstance(mark, quantities.Dimensional)]
        if marks:
            name, example = QUANTITIES[marks[0].unit]
            return f'{name}: `"{example}"`'
        return kind(arguments[0])
    if origin is typing.Literal:
        return ", ".join(f'`"{choice}"`' for choice in arguments)
    if origin is tuple:
        parts = [part for part in arguments if part is not Ellipsis]
        of = parts[0]
        if isinstance(of, type) and issubclass(of, BaseModel):
            return f"list of tables, see [{title(of)}](#{label(of)})"
        words = kind(of).replace(": ", ", each as ", 1)
        return f"list of {words}" if Ellipsis in arguments else f"{len(parts)} of: {kind(of)}"
    if origin is dict:
        of = next(iter(typing.get_args(arguments[1])), arguments[1])
        if isinstance(of, type) and issubclass(of, BaseModel):
            return f"table of tables, see [{title(of)}](#{label(of)})"
        return "table"
    if annotation in OWN:
        return OWN[annotation]
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"table, see [{title(annotation)}](#{label(annotation)})"
    return PLAIN.get(annotation, "file" if getattr(annotation, "__name__", "") == "Path" else str(annotation))


def default(field: Any) -> str:
    """The default of a key, as TOML."""
    if field.is_required():
        return "needed"
    value = field.get_default(call_default_factory=True)
    if value is None or value is PydanticUndefined or isinstance(value, BaseModel) or value in ({}, ()):
        return "–"
    if isinstance(value, quantities.Energy | Transmission):
        value = value.write()
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple):
        return f"`{json.dumps(value)}`"
    return f'`"{value}"`' if isinstance(value, str) and value else f"`{value}`" if value != "" else "–"


def tables() -> set[str]:
    """Every table of the schemas of all models, as ``case-table`` names it; not what others extend."""
    modules = [import_module(schema(model).__module__) for model in MODELS]
    found = [value for module in modules for value in vars(module).values()]
    own = {table for table in found if isinstance(table, type) and issubclass(table, Table)} - {Case, Table}
    own |= set(ProcessTable.registry) | set(BoundaryTable.registry)
    own -= {base for table in own for base in table.__mro__[1:]}
    return {f"{table.__module__.removeprefix('fvqp.case.')}.{table.__name__}" for table in own}


def case_table(name: str, additions: str = "") -> list[str]:
    """Return the keys of a table of the case file as lines of Markdown.

    `name` is that of the class in `fvqp.case`; `additions` has lines ``key: meaning`` with what the schema
    does not say. ``ValueError`` for a key without a meaning and for additions to keys that there are not.
    """
    module, _, cls = name.rpartition(".")
    table: type[BaseModel] = vars(import_module(f"fvqp.case.{module}"))[cls]
    if issubclass(table, Case) and table.HAS_PROCESSES:
        table = schema(*typing.get_args(table.model_fields["model"].annotation))
    documented: dict[str, list[str]] = {}
    for of in table.__mro__:
        if issubclass(of, BaseModel) and of is not BaseModel:
            found = ModuleAnalyzer.for_module(of.__module__).find_attr_docs()
            own = {key: said for (owner, key), said in found.items() if owner == of.__name__}
            documented = own | documented
    added = dict(line.split(": ", 1) for line in additions.splitlines() if ": " in line)
    lines = [f"({label(table)})=", "", "| key | takes | default | meaning |", "|---|---|---|---|"]
    for name, field in table.model_fields.items():
        key = field.alias or name
        said = " ".join(documented.get(name, [field.description or ""])).replace("``", "`").strip()
        said = re.sub(r":\w+:`", "`", said)
        meaning = " ".join(part for part in (said, added.pop(key, "")) if part)
        if not meaning:
            raise ValueError(f"{table.__name__}.{key} has no meaning: give it a docstring in the schema")
        annotation = typing.Annotated[(field.annotation, *field.metadata)] if field.metadata else (
            field.annotation
        )  # fmt: skip
        cells = (f"`{key}`", kind(annotation), default(field), meaning)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    if added:
        raise ValueError(f"{table.__name__} has no key {', '.join(added)}")
    return lines


def result_table() -> list[str]:
    """Return the names of variables in results.nc as lines of Markdown."""
    rows = [f"| `{name}` | {q.units} | {q.long_name} |" for name, q in result_names().items()]
    return ["| name | units | meaning |", "|---|---|---|", *rows]


def up_to_date(text: str) -> str:
    """Return a page with its tables as the program has them now."""

    def table(block: re.Match[str]) -> str:
        command, argument, additions = block["command"], block["argument"], block["additions"]
        lines = case_table(argument, additions) if command == "case-table" else result_table()
        return "\n".join([block["head"], "", *lines, "", END])

    return BLOCK.sub(table, text)


def main() -> None:
    """Write the tables of all reference pages."""
    for page in sorted(PAGES.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        page.write_text(up_to_date(text), encoding="utf-8")


class CommandHelp(SphinxDirective):
    """Help of a command."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        os.environ["COLUMNS"] = "96"
        parser: Any = cli._parser()
        for word in self.arguments[0].split():
            parser = commands(parser)[word]
        return [nodes.literal_block(text := parser.format_help(), text, language="none")]


def commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Subcommands of a parser by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("command-help", CommandHelp)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


if __name__ == "__main__":
    main()
