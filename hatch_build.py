"""Build hook: a wheel holds the shipped cases and meshes, where `fvqp.examples` finds them.

An editable install finds them in the checkout. Cases name meshes by ``../../meshes``, so both folders keep
their places beside one another.
"""

from __future__ import annotations

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShippedCases(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            for folder in ("cases", "meshes"):
                build_data["force_include"][folder] = f"fvqp/shipped/{folder}"
