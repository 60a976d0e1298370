"""Numbers of electron-phonon kinetics that follow from those of a material, and checks between them.

Collisions give phonons what they take from quasiparticles only if (theory: Rothwarf-Taylor, rt-consistency)

    4 N0/(τ0 (k_B T_c)³) = 18 N_ion/(π τ0^pb Δ0 Ω_D³)

which six published numbers do not fulfil to better than some 20 %. Here τ0^pb is the one that follows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import constants

from fvqp.errors import CaseError
from fvqp.materials.material import Material

_KINETICS = "electron-phonon kinetics"


def pair_breaking_time(material: Material) -> float:
    """τ0^pb with which collisions conserve energy, seconds: lifetime of a phonon of energy 2Δ0 at T = 0.

    Raises:
        CaseError: a number that it follows from is missing.
    """
    _superconductor(material)
    material.require(
        _KINETICS, "characteristic_time", "dressed_density_of_states", "ion_density", "debye_energy"
    )
    phonons = 18.0 * material.ion_density / (math.pi * material.gap * material.debye_energy**3)
    pairs = (
        4.0
        * material.dressed_density_of_states
        / (material.characteristic_time * (constants.k * material.critical_temperature) ** 3)
    )
    return phonons / pairs


def recombination_constant(material: Material) -> float:
    """``R = (2Δ0/k_BT_c)³/(4 N0 Δ0 τ0)``, m³/s, of ``dn/dt = −R n²``, cold quasiparticles.

    Both quasiparticles that an event removes are counted; others write ``−2R'n²`` with ``R' = R/2``.
    """
    _superconductor(material)
    material.require(_KINETICS, "characteristic_time", "dressed_density_of_states")
    ratio = 2.0 * material.gap / (constants.k * material.critical_temperature)
    states = 4.0 * material.dressed_density_of_states * material.gap
    return ratio**3 / (states * material.characteristic_time)


def debye_speed(material: Material) -> float:
    """``v_D = Ω_D/(ħ (6π² N_ion)^⅓)``, m/s: of the phonons that Ω_D and N_ion count."""
    material.require(_KINETICS, "ion_density", "debye_energy")
    return material.debye_energy / (constants.hbar * (6.0 * math.pi**2 * material.ion_density) ** (1.0 / 3.0))


def mean_sound_speed(material: Material) -> float:
    """Speed with the phonon density of both polarisations, ``3/v³ = 1/v_L³ + 2/v_T³``, m/s."""
    material.require("the speed of phonons", "longitudinal_speed", "transverse_speed")
    both = material.longitudinal_speed**-3 + 2.0 * material.transverse_speed**-3
    return (3.0 / both) ** (1.0 / 3.0)


@dataclass(frozen=True)
class Consistency:
    """Consistency of the published numbers of a material.

    Attributes:
        published: published τ0^pb, seconds; NaN if there is none.
        derived: the one that conserves energy.
        mismatch: published/derived, the ratio of both sides of the relation; 1 if consistent.
        debye_speed: of Ω_D and N_ion, m/s.
        mean_sound_speed: of v_L and v_T, m/s; NaN if they are missing.
    """

    published: float
    derived: float
    mismatch: float
    debye_speed: float
    mean_sound_speed: float


def consistency(material: Material) -> Consistency:
    """Report on a material; raises `CaseError` if τ0, N0, N_ion or Ω_D are missing."""
    derived = pair_breaking_time(material)
    published = material.pair_breaking_time
    speeds = (material.longitudinal_speed, material.transverse_speed)
    sound = math.nan if any(map(math.isnan, speeds)) else mean_sound_speed(material)
    return Consistency(published, derived, published / derived, debye_speed(material), sound)


def _superconductor(material: Material) -> None:
    if not material.gap > 0.0:
        raise CaseError(f'material "{material.name}": {_KINETICS} needs a gap; this is a normal metal')
