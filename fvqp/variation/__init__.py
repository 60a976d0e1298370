"""Runs of one case with other values of its keys: their results together, errors of discretization, fits."""

from fvqp.variation.combinations import vary
from fvqp.variation.fitting import fit
from fvqp.variation.keys import VariedKey
from fvqp.variation.refinement import Refinement, refine

__all__ = ["Refinement", "VariedKey", "fit", "refine", "vary"]
