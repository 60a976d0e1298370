"""Superconducting materials: constants with units and sources."""

from fvqp.materials.material import (
    BCS_RATIO,
    Material,
    load_material,
    material_from_dict,
    material_names,
)

__all__ = ["BCS_RATIO", "Material", "load_material", "material_from_dict", "material_names"]
