"""Observables of the Boltzmann equations: a class each, found because its file is here."""
