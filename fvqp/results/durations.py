"""Durations as text."""

from __future__ import annotations


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
