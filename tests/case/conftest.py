"""Fixtures of all tests of cases."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "helpers"))

from said import answer, said

__all__ = ["answer", "said"]
