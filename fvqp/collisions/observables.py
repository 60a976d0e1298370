"""Densities, energies and lifetimes, in the bin weights of the collisions.

Densities are in units of 4 N0 Δ0, energies per volume in units of 4 N0 Δ0², rates in units of 1/τ0.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from fvqp.collisions.electron_phonon import ElectronPhonon
from fvqp.collisions.process import Pair
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats


def thermal(grid: EnergyAxis, temperature: float) -> Pair:
    """Fermi and Bose functions, ``(1, N)`` and ``(1, K)``; ``temperature`` k_BT ≥ 0 in units of Δ0."""
    if not (np.isfinite(temperature) and temperature >= 0.0):
        raise CaseError(f"temperature: must be a finite number ≥ 0, found {temperature:g}")
    if temperature == 0.0:
        return Pair(np.where(grid.energies > 0.0, 0.0, 0.5)[None], np.zeros((1, grid.n_phonon)))
    # written with exp(−x), which underflows to zero where exp(x) would overflow
    fermi = np.exp(-grid.energies / temperature)
    bose = np.exp(-grid.phonon_energies / temperature)
    return Pair((fermi / (1.0 + fermi))[None], (bose / -np.expm1(-grid.phonon_energies / temperature))[None])


def quasiparticle_density(bin_weights: BinWeights, f: Floats) -> Floats:
    """``∫ρ f dE`` of every cell: n_qp/(4 N0 Δ0) (theory: collisions, Eq. densities)."""
    return np.asarray((bin_weights.number * f).sum(axis=-1))


def quasiparticle_energy(grid: EnergyAxis, bin_weights: BinWeights, f: Floats) -> Floats:
    """``∫E ρ f dE`` of every cell, in units of 4 N0 Δ0²."""
    return np.asarray((bin_weights.number * grid.energies * f).sum(axis=-1))


def phonon_energy(operator: ElectronPhonon, n: Floats, bin_weights: BinWeights | None = None) -> Floats:
    """``c_ph ∫ω³ n dω`` of every cell, in units of 4 N0 Δ0².

    Args:
        operator: defines the phonon modes.
        n: ``(cells, K)``.
        bin_weights: of the cells; needed where it has shares of phonon modes.
    """
    modes = operator.phonon_modes[None, :] if bin_weights is None else operator.modes(bin_weights)
    return np.asarray((n * modes) @ operator.grid.phonon_energies)


class InverseLifetimes(NamedTuple):
    """Rates in 1/τ0, with the sign and normalisation of Kaplan et al., Phys. Rev. B 14, 4854 (1976).

    Attributes:
        scattering: 1/τ_s of quasiparticles by emission and absorption of phonons, ``(cells, N)``.
        recombination: 1/τ_r of quasiparticles, ``(cells, N)``.
        pair_breaking: 1/τ_B of phonons, less the pairs that they stimulate to recombine, ``(cells, K)``.
        absorption: 1/τ of phonons by scattering of quasiparticles, less stimulated emission, ``(cells, K)``.
    """

    scattering: Floats
    recombination: Floats
    pair_breaking: Floats
    absorption: Floats


def inverse_lifetimes(
    operator: ElectronPhonon, bin_weights: BinWeights, f: Floats, n: Floats
) -> InverseLifetimes:
    """Inverse lifetimes in any state; with `thermal` occupations those of Kaplan et al.

    Rates of quasiparticles are divided by ``1 − f``, as it is done there (theory: collisions, Eq. lifetimes).
    Those of scattering are without shares of phonon modes, which move final states next to the gap.
    """
    scattering = operator.at(bin_weights, f, n).gain_loss("scattering")
    alone = scattering
    if bin_weights.phonon_shares is not None:
        alone = operator.at(replace(bin_weights, phonon_shares=None), f, n).gain_loss("scattering")
    pairs = operator.at(bin_weights, f, n).gain_loss("pairs")
    return InverseLifetimes(
        alone.out_f / (1.0 - f),
        pairs.out_f / (1.0 - f),
        pairs.out_n - pairs.in_n,
        scattering.out_n - scattering.in_n,
    )
