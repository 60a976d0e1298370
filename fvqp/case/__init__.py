"""Case files: the schemas of all models, reading, checking, running."""

from fvqp.case.quantities import Bias, BiasAxis, Energy
from fvqp.case.reading import case_from_dict, load_case
from fvqp.case.tables import Case

__all__ = ["Bias", "BiasAxis", "Case", "Energy", "case_from_dict", "load_case"]
