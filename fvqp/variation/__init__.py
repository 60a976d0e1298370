"""Runs of one case with other values of its keys: their results together, and errors of discretization."""

from fvqp.variation.combinations import vary
from fvqp.variation.keys import VariedKey
from fvqp.variation.refinement import Refinement, refine

__all__ = ["Refinement", "VariedKey", "refine", "vary"]
