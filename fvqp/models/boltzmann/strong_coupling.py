"""A superconductor whose spectrum and collisions both follow from one electron-phonon interaction α²F.

The solution of the Eliashberg equations takes the place of the numbers of weak coupling: its gap edge that of
Δ0, its T_c and Z(0) with α²F that of τ0. What remains of the material are its density of states and phonon
modes (theory: eliashberg, section on kinetic equations).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from fvqp.energy import BinWeights, EnergyAxis
from fvqp.energy.bin_weights import Rule
from fvqp.errors import CaseError
from fvqp.gap.family import SpectralFamily, gap_family
from fvqp.materials import Material
from fvqp.models.boltzmann.coupling import eliashberg_weights, interaction
from fvqp.spectral.alpha2f import K_B, MEV, Alpha2F, characteristic_time
from fvqp.spectral.eliashberg import EliashbergSpectrum, solve
from fvqp.spectral.eliashberg_matsubara import critical_temperature
from fvqp.typing import Floats


@dataclass(frozen=True, eq=False)
class StrongCoupling:
    """Spectrum and collisions of one α²F.

    Attributes:
        alpha2f: the interaction, energies in meV.
        coulomb, cutoff: μ* and its cut-off in meV, or None.
        spectrum: solution of the Eliashberg equations, in meV.
        renormalization: Z(0) at zero temperature, which τ0 contains.
        material: with Δ0 (gap edge at zero temperature), T_c and τ0 of the solution.
        gap: edge of ``spectrum`` in Δ0.
    """

    alpha2f: Alpha2F
    coulomb: float
    cutoff: float | None
    spectrum: EliashbergSpectrum
    renormalization: float
    material: Material
    gap: float

    @property
    def largest_phonon(self) -> float:
        """Energy in Δ0 above which α²F has no phonons."""
        return self.alpha2f.largest_energy * MEV / self.material.gap

    def bin_weights(
        self,
        grid: EnergyAxis,
        rule: Rule = "linear",
        *,
        unit: float | None = None,
        renormalized: bool = False,
    ) -> BinWeights:
        """Bin weights, in place of the BCS one.

        Args:
            grid: energies.
            rule: how states are counted, see `fvqp.energy.bcs_weights`.
            unit: of the energies of ``grid``, joule; default: Δ0.
            renormalized: whether it counts momentum states, with the factor of `renormalization_of_bins`.

        Raises:
            CaseError: energies where this factor is not positive.
        """
        return eliashberg_weights(
            self.spectrum,
            grid,
            rule,
            unit=(unit or self.material.gap) / MEV,
            renormalization=self.renormalization if renormalized else None,
        )[0]

    def renormalization_of_bins(self, grid: EnergyAxis, unit: float | None = None) -> Floats:
        """``(∂_ε Re εZ − (ϕ/ρ) ∂_ε Re φ)/Z(0)`` of every bin of ``grid`` (in joule: ``unit``, default Δ0),
        ``(N,)``.

        It becomes negative where ε reaches strong peaks of α²F, and quasiparticles with a definite energy no
        longer exist.
        """
        return eliashberg_weights(self.spectrum, grid, unit=(unit or self.material.gap) / MEV)[1]

    def gap_family(self) -> SpectralFamily:
        """Spectra at all gaps, with their gap equation; errors and warnings as of `fvqp.gap.gap_family`."""
        critical = K_B * self.material.critical_temperature
        return gap_family(self.alpha2f, critical, coulomb=self.coulomb, cutoff=self.cutoff)

    def interaction(self, grid: EnergyAxis, unit: float | None = None) -> Floats:
        """``α²F(ω)/(b ω²)`` at the phonon points of ``grid`` (in joule: ``unit``, default Δ0), ``(K,)``; 1 at
        2Δ0."""
        return interaction(self.alpha2f, self.renormalization, self.material, grid, unit=unit)


def strong_coupling(
    material: Material,
    alpha2f: Alpha2F,
    *,
    coulomb: float = 0.0,
    cutoff: float | None = None,
    temperature: float = 0.0,
) -> StrongCoupling:
    """Solve for the spectrum of an interaction.

    Rates are those of α²F itself, ``(2π/ħZ(0)) α²F(ω)`` times coherence factors. The unit of time is the τ0
    of ``b = α²F(2Δ0)/(2Δ0)²``, with which cold quasiparticles recombine as in weak coupling.

    Args:
        material: gives density of states and phonon modes.
        alpha2f: energies in meV.
        coulomb, cutoff: μ* and its cut-off in meV, see `fvqp.spectral.eliashberg.solve`.
        temperature: of electrons and phonons in ``spectrum``, kelvin.

    Raises:
        CaseError: no superconductivity, or no phonons of energy 2Δ0.
    """
    critical = critical_temperature(alpha2f, coulomb=coulomb, cutoff=cutoff)
    cold = solve(alpha2f, coulomb=coulomb, cutoff=cutoff) if K_B * temperature < critical else None
    if cold is None or not cold.gap_edge > 0.0:
        raise CaseError(
            f"{alpha2f.name} with μ* = {coulomb:.4g} makes no superconductor at {temperature:g} K; its "
            f"critical temperature is {critical / K_B:.4g} K"
        )
    edge, z = cold.gap_edge, float(cold.Z[0].real)
    at_pairs = float(alpha2f(2.0 * edge))
    if not at_pairs > 0.0:
        raise CaseError(
            f"{alpha2f.name}: there are no phonons of twice the gap of {edge:.4g} meV, with which cold "
            "quasiparticles could recombine"
        )
    own = replace(
        material,
        gap=edge * MEV,
        critical_temperature=critical / K_B,
        characteristic_time=characteristic_time(at_pairs / (2.0 * edge) ** 2, critical, z),
    )
    spectrum = cold
    if temperature > 0.0:
        spectrum = solve(alpha2f, coulomb=coulomb, cutoff=cutoff, temperature=K_B * temperature)
    return StrongCoupling(alpha2f, coulomb, cutoff, spectrum, z, own, spectrum.gap_edge / edge)
