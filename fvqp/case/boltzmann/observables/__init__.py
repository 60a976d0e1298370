"""Observables of the Boltzmann model, found by being here."""
