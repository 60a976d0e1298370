"""Collisions of f_L and f_T together on a uniform energy axis, with electrons and with phonons of a bath.

With ``K_ab = N_a N_b − R_a R_b``, ``R = Re F``, beside ``M_ab`` of `fvqp.collisions.electron_electron`, and
t = f_T, even in energy (theory: charge_mode). Energies are in units of Δ0, rates in Δ0/ħ.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from fvqp.collisions.electron_electron import ElectronElectron, Kernel
from fvqp.collisions.phonon_relaxation import Phonons
from fvqp.errors import CaseError
from fvqp.grids.energy import EnergyGrid

Floats = NDArray[np.float64]


class TwoModeCollisions:
    """The collision integrals ``I_L`` and ``I_T``, ``N ∂f_{L,T}/∂t = … − I_{L,T}``.

    Args:
        grid: uniform energy bins from 0; their centres are the energies of the electrons.
        strength: γ_ee, 0 for none.
        kernel: of electron-electron collisions.
        phonons: of a bath, or None.

    Raises:
        CaseError: bins of different widths, or phonons with an occupation of their own.
    """

    charge, rounding = True, 0.0

    def __init__(
        self,
        grid: EnergyGrid,
        strength: float,
        kernel: Kernel = "fermi_liquid",
        phonons: Phonons | None = None,
    ) -> None:
        self.electrons = ElectronElectron(grid, strength, kernel)
        self.grid = grid
        #: Fluctuations (even in ω) and response (odd) of the bath of phonons, one complex transform.
        self.bath = np.zeros(self.electrons._phase.size, np.complex128)
        self.largest_rate = self.electrons.largest_rate
        if phonons is not None:
            if phonons.escape_time is not None:
                raise CaseError(
                    "collisions: phonons with an occupation of their own act on f_L only; leave out "
                    "phonon_escape_time or charge"
                )
            length, n = self.electrons._length, grid.n
            width = grid.maximum / n
            omega = np.arange(1, 2 * n) * width
            coupling = 0.5 * phonons.strength * phonons.kappa**3 * width * omega**2
            lags = np.zeros(length)
            # A(ω) + C(ω) with A = |g| coth(ω/2t) and C = −g, at ω > 0 and, wrapped around, at ω < 0.
            fluctuation = coupling / np.tanh(omega / (2.0 * phonons.temperature))
            lags[1 : 2 * n] = fluctuation - coupling
            lags[: -2 * n : -1] = fluctuation + coupling
            self.bath = np.asarray(fft.rfft(lags))
            self.largest_rate += phonons.strength * (phonons.kappa * grid.maximum) ** 3 / 3.0

    def at(self, dos: Floats, pairing: Floats, anomalous: Floats, f: Floats) -> TwoModeRelaxation:
        """The integrals and their derivatives at distributions ``f[cell, (L, T), bin]``.

        Args:
            dos, pairing, anomalous: bin averages of N, P = Im F and R = Re F, ``(cells, N)``, or ``(1, N)``.
        """
        return TwoModeRelaxation(self, dos, pairing, anomalous, f)


class TwoModeRelaxation:
    """`TwoModeCollisions` at given spectra and distributions.

    Attributes:
        f: ``(cells, 2, N)``.
        rate: ``I_L`` and ``I_T``, ``(cells, 2, N)``.
        loss: coefficient of f_L and f_T in their own integrals, ``(cells, 2, N)``.
    """

    inverted = False

    def __init__(
        self, collisions: TwoModeCollisions, dos: Floats, pairing: Floats, anomalous: Floats, f: Floats
    ) -> None:
        c = self.collisions = collisions
        self.dos, self.pairing, self.anomalous, self.f = dos, pairing, anomalous, f
        h, t = f[:, 0], f[:, 1]
        n, p = c.electrons.even_odd(dos, pairing)
        r, _ = c.electrons.even_odd(anomalous, np.zeros_like(anomalous))
        moved = self._products(h, t)
        v, u, nt, rt = moved
        A, C = c.electrons.correlated(n**2 - p**2 - u**2 + v**2 - nt**2 + rt**2, -2.0 * (u * n + p * v))
        A, C = A + c.bath.real, C + c.bath.imag
        self._transforms = n, p, r, *moved, A, C
        x1, x2 = c.electrons.sums(n * A + u * C, p * A - v * C)
        x4, x3 = c.electrons.sums(-v * A - p * C, -u * A + n * C)
        y2, y3 = c.electrons.sums(nt * A, nt * C)
        y5, y6 = c.electrons.sums(rt * A, rt * C)
        y4, _ = c.electrons.sums(r * A, np.zeros_like(A))
        self._sums = y3, y6
        self.loss = np.stack([dos * x1 - pairing * x2, dos * x1 + anomalous * y4], axis=1)
        self.rate = self.loss * f
        self.rate[:, 0] += dos * x3 - pairing * x4 - t * (dos * y3 - anomalous * y6)
        self.rate[:, 1] -= dos * (y2 + h * y3) + anomalous * y5

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, 2, N)``: the Jacobian's action."""
        c = self.collisions
        dos, pairing, anomalous = self.dos, self.pairing, self.anomalous
        h, t, dh, dt = self.f[:, 0], self.f[:, 1], step[:, 0], step[:, 1]
        n, p, r, v, u, nt, rt, A, C = self._transforms
        dv, du, dnt, drt = self._products(dh, dt)
        dA, dC = c.electrons.correlated(
            2.0 * (v * dv - u * du - nt * dnt + rt * drt), -2.0 * (du * n + p * dv)
        )
        y3, y6 = self._sums
        dx1, dx2 = c.electrons.sums(n * dA + u * dC + du * C, p * dA - v * dC - dv * C)
        dx4, dx3 = c.electrons.sums(-v * dA - dv * A - p * dC, -u * dA - du * A + n * dC)
        dy2, dy3 = c.electrons.sums(dnt * A + nt * dA, dnt * C + nt * dC)
        dy5, dy6 = c.electrons.sums(drt * A + rt * dA, drt * C + rt * dC)
        dy4, _ = c.electrons.sums(r * dA, np.zeros_like(dA))
        out = self.loss * step
        out[:, 0] += dos * (h * dx1 + dx3) - pairing * (h * dx2 + dx4)
        out[:, 0] -= dt * (dos * y3 - anomalous * y6) + t * (dos * dy3 - anomalous * dy6)
        out[:, 1] += dos * (t * dx1 - dy2 - dh * y3 - h * dy3) + anomalous * (t * dy4 - dy5)
        return out

    def _products(self, h: Floats, t: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """Transforms of ``P h`` (even), ``N h`` (odd), ``N t`` and ``R t`` (even)."""
        c = self.collisions
        v, u = c.electrons.even_odd(self.pairing * h, self.dos * h)
        nothing = np.zeros((1, c.grid.n))
        return (
            v,
            u,
            c.electrons.even_odd(self.dos * t, nothing)[0],
            c.electrons.even_odd(self.anomalous * t, nothing)[0],
        )
