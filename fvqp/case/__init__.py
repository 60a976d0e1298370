"""Case files: the schema, reading and checking. Building a problem from a case is :mod:`fvqp.case.build`."""

from fvqp.case.checks import check_with_materials, energy_maximum
from fvqp.case.quantities import Bias, BiasAxis, Energy
from fvqp.case.reading import case_from_dict, load_case
from fvqp.case.schema import Case

__all__ = [
    "Bias",
    "BiasAxis",
    "Case",
    "Energy",
    "case_from_dict",
    "check_with_materials",
    "energy_maximum",
    "load_case",
]
