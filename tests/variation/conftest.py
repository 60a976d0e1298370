"""Fixtures of the tests of studies."""

from __future__ import annotations

from said import answer, said

__all__ = ["answer", "said"]
