"""Superconducting materials: constants with units and sources."""

from fvqp.materials.electron_phonon import (
    Consistency,
    consistency,
    debye_speed,
    mean_sound_speed,
    pair_breaking_time,
    recombination_constant,
)
from fvqp.materials.material import (
    BCS_RATIO,
    Material,
    load_material,
    material_from_dict,
    material_names,
)

__all__ = [
    "BCS_RATIO",
    "Consistency",
    "Material",
    "consistency",
    "debye_speed",
    "load_material",
    "material_from_dict",
    "material_names",
    "mean_sound_speed",
    "pair_breaking_time",
    "recombination_constant",
]
