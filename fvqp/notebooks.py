"""Small tables that notebooks show in place of an object's `repr`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
