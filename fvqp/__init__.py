"""Quasiparticles and the gap of superconducting devices out of equilibrium."""

from fvqp.threads import set_default_threads

set_default_threads()
