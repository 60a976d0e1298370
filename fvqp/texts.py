"""Texts for people: durations, numbers, tables of a terminal, and those that notebooks show for an object."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape


def html_table(title: str, rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Return a table in HTML; texts are escaped.

    Args:
        title: caption.
        rows: texts of the cells; the first of a row is its name.
        head: names of the columns.
    """
    lines = [f'<table><caption style="text-align:left">{escape(title)}</caption>']
    if head:
        lines.append("<tr>" + "".join(f"<th>{escape(text)}</th>" for text in head) + "</tr>")
    for name, *cells in rows:
        texts = "".join(f'<td style="text-align:left">{escape(text)}</td>' for text in cells)
        lines.append(f'<tr><th style="text-align:left">{escape(name)}</th>{texts}</tr>')
    return "\n".join([*lines, "</table>"])


def listed(names: Iterable[str]) -> str:
    """Return up to six names, and the number of the others; ``none`` if there are none."""
    known = list(names)
    more = f" and {len(known) - 6} more" if len(known) > 6 else ""
    return (", ".join(known[:6]) or "none") + more


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of texts as lines, in columns as wide as their longest text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def by_reason(reasons: Mapping[str, str], action: str) -> list[str]:
    """Return a line for each of the ``reasons`` of names: "left out, it is no number: a, b"."""
    names: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        names.setdefault(reason, []).append(name)
    return [f"{action}, {reason}: {', '.join(known)}" for reason, known in names.items()]


def two_digits(number: float) -> str:
    """Return a number with two digits: 400, not 4e+02."""
    return f"{float(f'{number:.2g}'):g}"


def percent(part: float) -> str:
    """Return a part of one as "0.23 %"."""
    return f"{two_digits(100.0 * part)} %"


def duration(seconds: float) -> str:
    """Return seconds as people say them: "3.2 s", "12 s", "2 min 5 s", "1:02:05"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else clock(seconds)


def clock(seconds: float) -> str:
    """Return seconds as ``h:mm:ss``."""
    whole = round(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02d}:{whole % 60:02d}"
