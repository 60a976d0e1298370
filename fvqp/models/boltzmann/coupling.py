"""From a material, or from its Eliashberg spectrum, to what collisions and densities are computed with."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from scipy import constants, special

from fvqp.collisions import Coupling
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.energy.bin_weights import Rule, centre_bounds, shared_between_centres
from fvqp.errors import CaseError
from fvqp.gap import equilibrium_gap
from fvqp.materials import BCS_RATIO, Material, pair_breaking_time
from fvqp.spectral.alpha2f import MEV, Alpha2F
from fvqp.spectral.eliashberg import EliashbergSpectrum
from fvqp.typing import Floats

_RANGE = 40.0  # of arguments of K_1: what is beyond is below rounding
_MAX_TERMS = 100_000
_EMPTY = 1e-6  # density of states that the broadening of a solution leaves below the edge, and more


def electron_phonon_coupling(
    material: Material, pair_breaking: Literal["derived", "published"] = "derived"
) -> Coupling:
    """``Δ0/k_BT_c`` and ``τ0^pb/τ0`` of a material; energies are then in Δ0 and times in τ0 of it.

    Args:
        material: a superconductor with the numbers of electron-phonon kinetics.
        pair_breaking: ``"derived"`` takes the τ0^pb that follows from N0, N_ion and Ω_D
            (`fvqp.materials.pair_breaking_time`); ``"published"`` the material's own. Energy is conserved
            with either: with the published one the number of phonon modes differs from that of the lattice
            by `fvqp.materials.Consistency.mismatch`.

    Raises:
        CaseError: a number is missing.
    """
    if pair_breaking == "derived":
        time = pair_breaking_time(material)
    elif pair_breaking == "published":
        material.require("electron-phonon kinetics", "characteristic_time", "pair_breaking_time")
        time = material.pair_breaking_time
    else:
        raise CaseError(f'pair-breaking time: must be "derived" or "published", not "{pair_breaking}"')
    return Coupling(
        kappa=material.gap / (constants.k * material.critical_temperature),
        pair_breaking_time=time / material.characteristic_time,
    )


def eliashberg_weights(
    spectrum: EliashbergSpectrum,
    grid: EnergyAxis,
    rule: Rule = "bin",
    *,
    unit: float | None = None,
    renormalization: float | None = None,
) -> tuple[BinWeights, Floats]:
    """Bin weights of a solution of the Eliashberg equations, in place of the BCS one.

    Collisions take ``α²F = b Ω²`` with the b of τ0, as with a BCS spectrum, which is right for phonons far
    below the peaks of α²F, or the whole α²F with the `interaction` of the same grid.

    Args:
        spectrum: superconducting.
        grid: energies; bins below the gap edge, where damping leaves few states or none, may be in it. Bins
            with less than 1e-6 of the normal density of states count as empty.
        rule: how states are counted, see `bcs_weights`.
        unit: of the energies of ``grid``, in that of the solution; default: its gap edge.
        renormalization: Z(0) that is in τ0 and in the density of states, to have bin weights count momentum
            states (theory: eliashberg, Eq. eli-number); default: the factor below is taken for 1.

    Returns:
        The bin_weights, and the factor ``(∂_ε Re εZ − (ϕ/ρ) ∂_ε Re φ)/Z(0)`` of every bin, ``(N,)``, by which
        to divide rates ∂f/∂t (Z(0) itself is in τ0); a state counts as many times in densities.

    Raises:
        CaseError: a normal state, a grid that leaves the solved range, or energies without quasiparticles.
    """
    edge = spectrum.gap_edge
    if not edge > 0.0:
        raise CaseError(
            "Eliashberg bin weights: the state is normal, there is no gap edge to measure energies in"
        )
    of = edge if unit is None else unit
    bins = spectrum.bins(grid.edges * of)
    factor = np.asarray(bins.renormalization / spectrum.Z[0].real)
    states, anomalous, number = bins.s[None] / of, bins.p[None] / of, bins.number[None] / of
    if rule == "linear":
        between = spectrum.bins(centre_bounds(grid) * of)
        states = shared_between_centres(grid, between.s[None] / of, between.s_energy[None] / of**2)
        anomalous = shared_between_centres(grid, between.p[None] / of, between.p_energy[None] / of**2)
        number = shared_between_centres(grid, between.number[None] / of, between.number_energy[None] / of**2)
    there = states > _EMPTY * grid.widths
    states = np.where(there, states, 0.0)
    # the broadening of the solution takes 1e-9 from the states of a bin that the edge has just reached
    anomalous = np.clip(anomalous, -states, states)
    if renormalization is None:
        return BinWeights(states, anomalous), factor
    mass = np.divide(number, renormalization * states, out=np.ones_like(states), where=there)
    lost = np.flatnonzero(~(mass[0] > 0.0))
    if lost.size:
        raise CaseError(
            f"at {grid.energies[lost[0]]:.4g} Delta0 phonons leave no quasiparticles of a definite energy: "
            "∂(εZ)/∂ε − (ϕ/ρ) ∂φ/∂ε is not positive; end the energy axis below"
        )
    return BinWeights(states, anomalous, mass), factor


def interaction(
    alpha2f: Alpha2F,
    renormalization: float,
    material: Material,
    grid: EnergyAxis,
    *,
    unit: float | None = None,
) -> Floats:
    """``α²F(ω)/(b ω²)`` at the phonon points of a grid, for collisions with the whole α²F.

    The b of τ0 is ``b = ħ Z(0)/(2π τ0 (k_BT_c)³)`` (Kaplan et al., Phys. Rev. B 14, 4854 (1976)).

    Args:
        alpha2f: energies in meV.
        renormalization: Z(0).
        material: a superconductor with τ0.
        grid: energies.
        unit: of the energies of ``grid``, joule; default: the material's Δ0.
    """
    material.require("electron-phonon kinetics", "characteristic_time")
    cubed = (constants.k * material.critical_temperature) ** 3
    quadratic = constants.hbar * renormalization / (2.0 * np.pi * material.characteristic_time * cubed)
    omega = grid.phonon_energies * (material.gap if unit is None else unit)
    return alpha2f(omega / MEV) / (quadratic * omega**2)


def gap_at(material: Material, temperature: float) -> float:
    """Δ(T) in joule: Δ0 times the BCS function of T/T_c.

    Args:
        material: a superconductor.
        temperature: kelvin, below T_c.

    Raises:
        CaseError: a negative temperature, or the normal state.
    """
    if not (math.isfinite(temperature) and temperature >= 0.0):
        raise CaseError(f"temperature: must be a finite number ≥ 0 K, found {temperature:g}")
    if not temperature < material.critical_temperature:
        raise CaseError(
            f'material "{material.name}" is normal at {temperature:g} K; its critical temperature is '
            f"{material.critical_temperature:g} K"
        )
    return material.gap * float(equilibrium_gap(temperature / material.critical_temperature / BCS_RATIO))


def thermal_density(material: Material, temperature: float) -> float:
    """n_T of a BCS superconductor, ``4 N0 ∫ρ f dE = 4 N0 Δ Σ_k (−1)^{k+1} K_1(kΔ/k_BT)``, 1/m³.

    ``2 N0 √(2π k_BT Δ) e^{−Δ/k_BT}`` at low temperature; 0 at T = 0.

    Args:
        material: with ``dressed_density_of_states``.
        temperature: kelvin, below T_c.
    """
    material.require("a thermal density", "dressed_density_of_states")
    gap = gap_at(material, temperature)
    if temperature == 0.0:
        return 0.0
    x = gap / (constants.k * temperature)
    k = np.arange(1, min(math.ceil(_RANGE / x) + 1, _MAX_TERMS) + 1)
    series = float(np.sum(np.where(k % 2 == 1, 1.0, -1.0) * special.k1(k * x)))
    return 4.0 * material.dressed_density_of_states * gap * series
