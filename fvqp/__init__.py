"""Quasiparticles and the gap of superconducting devices out of equilibrium.

``fvqp.run("case.toml")`` computes a case; `fvqp.models` has the objects to build a problem without a file.
"""

from typing import Any

from fvqp.threads import set_default_threads

set_default_threads()

__all__ = ["Result", "check", "fit", "load_case", "open_result", "run"]

#: Where the public names live; imported when first used, so that ``fvqp doctor`` works without PETSc.
_HOMES = {
    "Result": "fvqp.results",
    "check": "fvqp.case.run",
    "fit": "fvqp.case.usadel.fitting",
    "load_case": "fvqp.case",
    "open_result": "fvqp.results",
    "run": "fvqp.case.run",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'fvqp' has no attribute {name!r}")
