"""Quasiparticles and the gap of superconducting devices out of equilibrium.

``fvqp.run("case.toml")`` computes a case. The same from objects: a `Device` (mesh, material, junctions,
reservoirs), a problem on it, and `solve`.
"""

from typing import TYPE_CHECKING, Any

from fvqp.threads import set_default_threads

set_default_threads()

if TYPE_CHECKING:
    from fvqp.case import load_case as load_case
    from fvqp.case.boltzmann.boundary import BoundaryTable as BoundaryTable
    from fvqp.case.boltzmann.observable import BoltzmannObservable as BoltzmannObservable
    from fvqp.case.process import ProcessTable as ProcessTable
    from fvqp.case.run import check as check
    from fvqp.case.run import run as run
    from fvqp.energy import EnergyAxis as EnergyAxis
    from fvqp.materials import Material as Material
    from fvqp.materials import load_material as load_material
    from fvqp.mesh import Mesh as Mesh
    from fvqp.mesh import read_mesh as read_mesh
    from fvqp.mesh import shape_mesh as shape_mesh
    from fvqp.models.boltzmann import BoltzmannProblem as BoltzmannProblem
    from fvqp.models.boltzmann.evolution import evolve as evolve
    from fvqp.models.usadel.device import Device as Device
    from fvqp.models.usadel.device import Junction as Junction
    from fvqp.models.usadel.device import Lead as Lead
    from fvqp.models.usadel.device import Reservoir as Reservoir
    from fvqp.models.usadel.gap_field import GapModel as GapModel
    from fvqp.models.usadel.operating_point import solve_point as solve_point
    from fvqp.models.usadel.phase import Supercurrent as Supercurrent
    from fvqp.models.usadel.problem import Point as Point
    from fvqp.models.usadel.problem import UsadelProblem as UsadelProblem
    from fvqp.registry import register as register
    from fvqp.results import Result as Result
    from fvqp.results import open_result as open_result
    from fvqp.results.comparison import compare as compare
    from fvqp.study import solve as solve
    from fvqp.study.observable import UsadelField as UsadelField
    from fvqp.study.observable import UsadelObservable as UsadelObservable
    from fvqp.transport.terminals import Interface as Interface
    from fvqp.variation import fit as fit
    from fvqp.variation import refine as refine
    from fvqp.variation import vary as vary

#: Where the public names live; imported when first used, so that ``fvqp doctor`` works without PETSc.
_HOMES = {
    "BoltzmannObservable": "fvqp.case.boltzmann.observable",
    "BoltzmannProblem": "fvqp.models.boltzmann",
    "BoundaryTable": "fvqp.case.boltzmann.boundary",
    "Device": "fvqp.models.usadel.device",
    "EnergyAxis": "fvqp.energy",
    "GapModel": "fvqp.models.usadel.gap_field",
    "Interface": "fvqp.transport.terminals",
    "Junction": "fvqp.models.usadel.device",
    "Lead": "fvqp.models.usadel.device",
    "Material": "fvqp.materials",
    "Mesh": "fvqp.mesh",
    "Point": "fvqp.models.usadel.problem",
    "ProcessTable": "fvqp.case.process",
    "Reservoir": "fvqp.models.usadel.device",
    "Result": "fvqp.results",
    "Supercurrent": "fvqp.models.usadel.phase",
    "UsadelField": "fvqp.study.observable",
    "UsadelObservable": "fvqp.study.observable",
    "UsadelProblem": "fvqp.models.usadel.problem",
    "check": "fvqp.case.run",
    "compare": "fvqp.results.comparison",
    "evolve": "fvqp.models.boltzmann.evolution",
    "fit": "fvqp.variation",
    "load_case": "fvqp.case",
    "load_material": "fvqp.materials",
    "open_result": "fvqp.results",
    "read_mesh": "fvqp.mesh",
    "refine": "fvqp.variation",
    "register": "fvqp.registry",
    "run": "fvqp.case.run",
    "shape_mesh": "fvqp.mesh",
    "solve": "fvqp.study",
    "solve_point": "fvqp.models.usadel.operating_point",
    "vary": "fvqp.variation",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        import gc
        from importlib import import_module

        # Imports create many objects and little garbage; searching for it takes about 8 % of their time.
        enabled = gc.isenabled()
        gc.disable()
        try:
            return getattr(import_module(_HOMES[name]), name)
        finally:
            if enabled:
                gc.enable()
    if name == "__version__":
        from importlib.metadata import version

        return version("fvqp")
    raise AttributeError(f"module 'fvqp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
