"""Spectra of one superconductor at all gaps that it may have (theory: moving_gap, section strong coupling).

At every gap quasiparticles have the energies at which ``X(E)² = ξ² + y² φ(E)²``. X and φ stay what they are
without quasiparticles; y ≤ 1 is what these leave of φ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from fvqp.errors import CaseError
from fvqp.typing import Floats


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
