"""Spectra of one superconductor at all gaps that it may have (theory: moving_gap, section strong coupling).

At every gap quasiparticles have the energies at which ``X(E)² = ξ² + y² φ(E)²``. X and φ stay what they are
without quasiparticles; y ≤ 1 is what these leave of φ, whose shape they hardly change. What a given y costs
follows from the Δ(T) of the Eliashberg equations: the gap equation is made to hold in equilibrium.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from fvqp.errors import CaseError
from fvqp.spectral.alpha2f import Alpha2F
from fvqp.spectral.eliashberg import EliashbergSpectrum, solve
from fvqp.typing import Floats

if TYPE_CHECKING:
    from scipy.interpolate import CubicSpline

log = logging.getLogger(__name__)

#: Coupling λ up to which the family follows quasiparticles far from equilibrium about as in Sn and Nb.
STRONGEST = 1.1
#: Temperature in T_c at which the gap equation is made to hold, beside T_c itself.
WARM = 0.7
#: Gap in Δ0 that stands for the end of superconductivity: errors are of its square.
_VANISHING = 1e-4
_REACH = 45.0  # of thermal occupations, in temperatures
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True, eq=False)
class SpectralFamily:
    """Self-energies without quasiparticles, and the gap equation that goes with them.

    The gap equation is ``κ ln(1/y) + (1 − y²)[c0 + c1 (1 − y²)] = (2/y) Σ φ_i p_i f_i`` (theory: moving_gap,
    Eq. family-gap). In BCS theory X = E, φ = 1, κ = 1, c0 = c1 = 0, and y is the gap.

    Attributes:
        x, phi: ``Re εZ`` and ``Re φ`` over Z(0) Δ_c, of energies in units of the gap Δ_c without
            quasiparticles; X(1) = φ(1).
        law: κ, c0, c1.
    """

    x: CubicSpline
    phi: CubicSpline
    law: tuple[float, float, float]

    def bends(self, energies: Floats) -> tuple[Floats, Floats]:
        """``dE/dX`` and ``d(φ²)/d(X²)`` at energies, same shape."""
        x, slope = self.x(energies), self.x(energies, 1)
        return 1.0 / slope, self.phi(energies) * self.phi(energies, 1) / (x * slope)

    def check(self, energies: Floats) -> None:
        """Return whether quasiparticles have a definite energy at all gaps up to Δ_c.

        Raises:
            CaseError: the smallest energy where they have not.
        """
        lost = ~((self.x(energies, 1) > 0.0) & (self.bends(energies)[1] < 1.0))
        if np.any(lost):
            raise CaseError(
                f"at {energies[np.argmax(lost)]:.4g} Delta0 phonons leave no quasiparticles of a definite "
                "energy: ∂(εZ)/∂ε − (ϕ/ρ) ∂φ/∂ε is not positive; end the energy axis below"
            )


def gap_family(
    alpha2f: Alpha2F, critical: float, *, coulomb: float = 0.0, cutoff: float | None = None
) -> SpectralFamily:
    """Spectra and gap equation of a superconductor, for `fvqp.gap.SelfConsistentGap`.

    Logs a warning where the coupling is so strong that the family is off far from equilibrium.

    Args:
        alpha2f: its interaction, energies in meV.
        critical: ``k_B T_c`` of the Eliashberg equations, meV.
        coulomb, cutoff: μ* and its cut-off in meV, see `fvqp.spectral.eliashberg.solve`.

    Raises:
        CaseError: coupling so strong that there is no gap edge at 0.7 T_c.
        ConvergenceError: from the Eliashberg equations at 0.7 T_c.
    """
    if alpha2f.coupling > STRONGEST:
        log.warning(
            "%s: a coupling of %.3g is so strong that the gap that follows is good near equilibrium only: at "
            "1.5, its suppression by quasiparticles at 1.2, 2 and 3.5 Delta0 is up to 4, 17 and 40 %% off "
            "that of the Eliashberg equations (at 1.0: up to 2, 12 and 24 %%); compare with "
            "fvqp.spectral.eliashberg.solve(f=...), or give a fixed gap",
            alpha2f.name,
            alpha2f.coupling,
        )
    solved = partial(solve, alpha2f, coulomb=coulomb, cutoff=cutoff)
    warm = solved(temperature=WARM * critical)
    if not warm.gap_edge > 0.0:
        raise CaseError(
            f"{alpha2f.name}: damping leaves no gap edge at {WARM:g} of the critical temperature, "
            "from which to learn how the gap follows; give a fixed gap"
        )
    # Errors of the gap by the spacing are the same in both, and so not in their ratio.
    cold = solved(spacing=warm.spacing)
    x, phi = _splines(cold)
    kappa = float(phi(0.0) ** 2 / x(0.0, 1))
    left, rest = [], []
    for edge, temperature in ((warm.gap_edge / cold.gap_edge, WARM * critical), (_VANISHING, critical)):
        y = float(x(edge) / phi(edge))
        blocked = _blocked(x, phi, y, edge, temperature / cold.gap_edge)
        left.append(1.0 - y * y)
        rest.append((blocked + kappa * np.log(y)) / left[-1])
    steep = (rest[1] - rest[0]) / (left[1] - left[0])
    return SpectralFamily(x, phi, (kappa, float(rest[0] - steep * left[0]), float(steep)))


def _splines(cold: EliashbergSpectrum) -> tuple[CubicSpline, CubicSpline]:
    """X and φ over Z(0) Δ0, of energies in Δ0; odd and even in energy."""
    dressed = float(cold.Z[0].real)
    x, phi = cold.epsilon_Z.real / dressed, cold.phi.real / dressed
    odd, even, end = (2, 0.0), (1, 0.0), (2, 0.0)
    # a fifth of a second that other gaps need not wait for
    from scipy.interpolate import CubicSpline

    between = CubicSpline(cold.energy, x - phi)
    near = between.solve(0.0, extrapolate=False)
    edge = near[np.argmin(np.abs(near - cold.gap_edge))]
    return (
        CubicSpline(cold.energy / edge, x / edge, bc_type=(odd, end)),
        CubicSpline(cold.energy / edge, phi / edge, bc_type=(even, end)),
    )


def _blocked(x: CubicSpline, phi: CubicSpline, y: float, edge: float, temperature: float) -> float:
    """``2 ∫ φ²/√(X² − y²φ²) f dE`` of a Fermi function; ``E = edge + u²`` takes the edge out."""
    ends = np.concatenate([[0.0], np.geomspace(1e-3 * np.sqrt(edge), np.sqrt(_REACH * temperature), 60)])
    half, middle = 0.5 * np.diff(ends), 0.5 * (ends[1:] + ends[:-1])
    u = middle[:, None] + half[:, None] * _NODES
    energy = np.minimum(edge + u * u, x.x[-1])
    squared = x(energy) ** 2 - (y * phi(energy)) ** 2
    density = np.divide(phi(energy) ** 2, np.sqrt(np.abs(squared)), where=squared > 0.0, out=np.zeros_like(u))
    f = 1.0 / (np.exp(np.minimum(energy / temperature, 700.0)) + 1.0)
    return float(np.sum(2.0 * half[:, None] * _WEIGHTS * 2.0 * u * density * f))
