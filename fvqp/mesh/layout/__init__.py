"""Meshes from GDS layouts: layers become regions, of triangles in the plane or of prisms with thicknesses."""

from fvqp.mesh.layout.make import mesh_from_gds
from fvqp.mesh.layout.stack import Layer, Marker, Stack, Substrate, stack_from_options, stack_from_toml

__all__ = [
    "Layer",
    "Marker",
    "Stack",
    "Substrate",
    "mesh_from_gds",
    "stack_from_options",
    "stack_from_toml",
]
