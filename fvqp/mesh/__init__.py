"""Meshes: reading, built-in shapes, distribution over ranks, geometry, quality."""

from fvqp.mesh.build import build_mesh
from fvqp.mesh.mesh import Mesh
from fvqp.mesh.reading import RawMesh, read_mesh, read_raw
from fvqp.mesh.shapes import shape_mesh

__all__ = ["Mesh", "RawMesh", "build_mesh", "read_mesh", "read_raw", "shape_mesh"]
