"""An interactive page of a results folder: one HTML file that works without a network.

``contents`` collects variables and axes within a budget of numbers, ``shapes`` the surface of the device;
``page.js`` draws them with plotly.
"""

from __future__ import annotations

import json
import os
import sys
import webbrowser
from html import escape
from importlib import resources
from pathlib import Path

from fvqp.errors import FvqpError
from fvqp.results.files import replacing
from fvqp.results.view.contents import contents

PAGE = "view.html"
"""Default name of the page, in the results folder."""


def view(folder: str | Path, out: str | Path | None = None, *, show: bool = False) -> Path:
    """Write the interactive page of a results folder.

    The page shows the device with the names of regions and junctions, coloured by a field at any recorded
    time or bias; spectra of the cell that is clicked; cuts along lines; and all scalar results as curves.
    Without fields it shows curves only. Large results are thinned, and the page says how.

    Args:
        folder: results folder of a run, also while it runs.
        out: file to write; default ``view.html`` in the folder.
        show: open the page in a browser if there is a display.

    Returns:
        The file.

    Raises:
        FvqpError: no results in the folder, plotly is missing, or the file cannot be written.
    """
    folder = Path(folder)
    data = contents(folder)
    text = _page(str(data["title"]), json.dumps(data, allow_nan=False, separators=(",", ":")))
    file = Path(out) if out is not None else folder / PAGE
    with replacing(file) as part:
        part.write_text(text, encoding="utf-8")
    if show and _has_display():
        webbrowser.open(file.resolve().as_uri())
    return file


def _page(title: str, data: str) -> str:
    try:
        from plotly.offline import get_plotlyjs
    except ImportError:
        raise FvqpError(
            'the interactive page needs plotly, which is not here: pip install "fvqp[view]"'
        ) from None
    here = resources.files("fvqp.results.view")
    parts = {
        "TITLE": escape(title),
        # No "</script>" of a name may end the element.
        "DATA": data.replace("</", "<\\/"),
        "PROGRAM": here.joinpath("page.js").read_text(encoding="utf-8"),
        "PLOTLY": get_plotlyjs(),
    }
    text = here.joinpath("page.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"@{name}@", part)
    return text


def _has_display() -> bool:
    """Return whether a browser that is opened would be seen."""
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))


__all__ = ["PAGE", "view"]
