"""Records of a GDS file, held to the grammar of the format.

gdstk trusts a file: of 1000 copies of a shipped layout with one bit changed it read most, some as another
layout, and 18 ended the process by a signal. What passes here it reads. It also closes polygons by itself, so
that it cannot tell an open one.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator

from fvqp.errors import MeshError

HEADER, BGNLIB, LIBNAME, UNITS, ENDLIB = 0x00, 0x01, 0x02, 0x03, 0x04
BGNSTR, STRNAME, ENDSTR = 0x05, 0x06, 0x07
BOUNDARY, PATH, SREF, AREF, TEXT, NODE, BOX = 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x15, 0x2D
LAYER, DATATYPE, TEXTTYPE, NODETYPE, BOXTYPE = 0x0D, 0x0E, 0x16, 0x2A, 0x2E
WIDTH, XY, ENDEL, SNAME, COLROW, PRESENTATION, STRING = 0x0F, 0x10, 0x11, 0x12, 0x13, 0x17, 0x19
STRANS, MAG, ANGLE, PATHTYPE, ELFLAGS, PLEX, BGNEXTN, ENDEXTN = 0x1A, 0x1B, 0x1C, 0x21, 0x26, 0x2F, 0x30, 0x31
PROPATTR, PROPVALUE = 0x2B, 0x2C

#: Records that an element must have, in this order.
ELEMENTS = {
    BOUNDARY: (LAYER, DATATYPE, XY),
    PATH: (LAYER, DATATYPE, XY),
    SREF: (SNAME, XY),
    AREF: (SNAME, COLROW, XY),
    TEXT: (LAYER, TEXTTYPE, XY, STRING),
    NODE: (LAYER, NODETYPE, XY),
    BOX: (LAYER, BOXTYPE, XY),
}
#: Records that an element may have before its coordinates, each once.
_OPTIONAL = {ELFLAGS, PLEX, PATHTYPE, WIDTH, BGNEXTN, ENDEXTN, PRESENTATION, STRANS, MAG, ANGLE}
_PROPERTIES = {PROPATTR, PROPVALUE}
#: Type of the content of a record, and its length in bytes; None where it varies.
_NOTHING, _BITS, _SHORT, _LONG, _REAL, _ASCII = 0, 1, 2, 3, 5, 6
_CONTENT: dict[int, tuple[int, int | None]] = {
    HEADER: (_SHORT, 2),
    BGNLIB: (_SHORT, None),
    LIBNAME: (_ASCII, None),
    UNITS: (_REAL, 16),
    BGNSTR: (_SHORT, None),
    STRNAME: (_ASCII, None),
    SNAME: (_ASCII, None),
    STRING: (_ASCII, None),
    PROPVALUE: (_ASCII, None),
    XY: (_LONG, None),
    COLROW: (_SHORT, 4),
    **dict.fromkeys((ENDLIB, ENDSTR, ENDEL, *ELEMENTS), (_NOTHING, 0)),
    **dict.fromkeys((LAYER, DATATYPE, TEXTTYPE, NODETYPE, BOXTYPE, PATHTYPE, PROPATTR), (_SHORT, 2)),
    **dict.fromkeys((PRESENTATION, STRANS, ELFLAGS), (_BITS, 2)),
    **dict.fromkeys((WIDTH, PLEX, BGNEXTN, ENDEXTN), (_LONG, 4)),
    **dict.fromkeys((MAG, ANGLE), (_REAL, 8)),
}
#: Fewest and most points of an element; BOUNDARY may go on in further records.
_POINTS = {
    BOUNDARY: (0, math.inf),
    PATH: (2, math.inf),
    SREF: (1, 1),
    AREF: (3, 3),
    TEXT: (1, 1),
    NODE: (1, math.inf),
    BOX: (5, 5),
}


def records(data: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield the kind and the content of every record up to the end of the library.

    Raises:
        MeshError: the file is cut off, or its records are not in the order and of the lengths of the format;
            the message names the byte.
    """
    if len(data) < 6 or data[:3] != b"\0\6\0":
        raise MeshError(f"{name}: is no GDS file; layout editors save others, such as OASIS, as GDS too")
    at = 0
    grammar = _Grammar()
    while at + 4 <= len(data):
        length, kind, content_type = struct.unpack_from(">HBB", data, at)
        content = data[at + 4 : at + length]
        if length < 4 or at + length > len(data):
            break
        problem = _content_problem(kind, content_type, content) or grammar.problem(kind, content)
        if problem:
            raise MeshError(f"{name}: the GDS file is damaged at byte {at}: {problem}")
        yield kind, content
        if kind == ENDLIB:
            return
        at += length
    raise MeshError(f"{name}: the GDS file is damaged or cut off at byte {at}")


def text_of(content: bytes) -> str:
    """Return the text of a record."""
    return content.rstrip(b"\0").decode(errors="replace")


def real_of(content: bytes) -> float:
    """Return a number of eight bytes: sign, exponent of 16 plus 64, and a fraction of 56 bits."""
    (bits,) = struct.unpack(">Q", content)
    return (-1.0) ** (bits >> 63) * math.ldexp(bits & (1 << 56) - 1, 4 * ((bits >> 56 & 127) - 64) - 56)


def _content_problem(kind: int, content_type: int, content: bytes) -> str | None:
    if kind not in _CONTENT:
        return None
    wanted, length = _CONTENT[kind]
    if content_type != wanted or (length is not None and len(content) != length):
        return f"a record of kind {kind:#04x} has {len(content)} bytes of type {content_type}"
    if kind in (STRNAME, SNAME, STRING, LIBNAME, PROPVALUE) and "\ufffd" in text_of(content):
        return "a text is not in UTF-8"
    if kind in (STRNAME, SNAME) and (not text_of(content) or not text_of(content).isprintable()):
        return "the name of a cell is empty, or cannot be printed"
    if kind == UNITS and not all(0.0 < real_of(content[k : k + 8]) < 1.0e3 for k in (0, 8)):
        return "the units of length are no positive numbers"
    if kind == MAG and not 1e-9 < abs(real_of(content)) < 1e9:
        return "a reference is magnified by no reasonable number"
    if kind == COLROW and min(struct.unpack(">hh", content)) < 1:
        return "an array has no columns or rows"
    return None


class _Grammar:
    """Place in the file: before its library, in it, in a cell or in an element."""

    def __init__(self) -> None:
        self._seen: list[int] = []
        self._in_library = self._named = False
        self._cell: int | None = None
        self._element: list[int] = []

    def problem(self, kind: int, content: bytes) -> str | None:
        """Return the fault of a record at this place, or None."""
        if self._element:
            return self._of_element(kind, content)
        if kind in ELEMENTS:
            if self._cell != STRNAME:
                return "an element is in no cell"
            self._element = [kind]
        elif kind == BGNSTR:
            if self._cell is not None or UNITS not in self._seen:
                return "a cell begins within another, or before the units of length"
            self._cell = BGNSTR
        elif kind == STRNAME:
            if self._cell != BGNSTR:
                return "a cell has two names"
            self._cell = STRNAME
        elif kind == ENDSTR:
            if self._cell != STRNAME:
                return "a cell ends that has not begun, or has no name"
            self._cell = None
        elif kind == ENDLIB:
            if self._cell is not None or UNITS not in self._seen:
                return "the library ends within a cell, or has no units of length"
        elif kind in (HEADER, BGNLIB, LIBNAME, UNITS):
            if kind in self._seen or self._cell is not None:
                return f"a record of kind {kind:#04x} is there twice"
            self._seen.append(kind)
        elif kind in _CONTENT:
            return f"a record of kind {kind:#04x} is in no element"
        return None

    def _of_element(self, kind: int, content: bytes) -> str | None:
        element, *had = self._element
        required = ELEMENTS[element]
        where = f"in an element of kind {element:#04x}"
        if kind == ENDEL:
            if missing := [one for one in required if one not in had]:
                return f"a record of kind {missing[0]:#04x} is missing {where}"
            self._element = []
            return None
        again = kind in had and kind not in _PROPERTIES and (kind, element) != (XY, BOUNDARY)
        late = kind in _OPTIONAL and XY in had
        early = kind in required and not set(required[: required.index(kind)]) <= set(had)
        if again or late or early or kind not in {*required, *_OPTIONAL, *_PROPERTIES}:
            return f"a record of kind {kind:#04x} is out of place {where}"
        if kind == XY:
            low, high = _POINTS[element]
            if len(content) % 8 or not low <= len(content) // 8 <= high:
                return f"{len(content) / 8:g} points are {where}"
        self._element.append(kind)
        return None
