"""Boundary conditions that cases can name: a table each, found because its file is here."""
