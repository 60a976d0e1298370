"""Observables of the transport model: a class each, found because its file is here."""
