"""Fixtures of all tests of cases."""

from __future__ import annotations

from said import answer, said

__all__ = ["answer", "said"]
