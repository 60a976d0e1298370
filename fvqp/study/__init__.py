"""Solving problems: energy axes that fit a sweep, sweeps of biases, and the observables of their points."""

from fvqp.study.solving import solve
from fvqp.study.sweep import Sweep

__all__ = ["Sweep", "solve"]
