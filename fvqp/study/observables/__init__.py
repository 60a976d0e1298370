"""Observables of the Usadel model: a class each, found because its file is here."""
