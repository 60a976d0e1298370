"""Runs of one case with other values of its keys: all combinations, and their results together."""

from fvqp.variation.combinations import vary
from fvqp.variation.keys import VariedKey

__all__ = ["VariedKey", "vary"]
