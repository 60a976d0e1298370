"""Collisions of f_L and f_T together on a uniform energy axis, with electrons and with phonons of a bath.

With ``K_ab = N_a N_b − R_a R_b``, ``R = Re F``, beside ``M_ab`` of `fvqp.collisions.electron_electron`, and
t = f_T, even in energy (theory: charge_mode). Energies are in units of Δ0, rates in Δ0/ħ.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import fft

from fvqp.collisions.electron_electron import ElectronElectron, Kernel, conserve
from fvqp.collisions.phonon_relaxation import PhononBath
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Complexes, Floats


class Spectra(NamedTuple):
    """Bin averages of N, P = Im F and R = Re F, ``(cells, N)``, or ``(1, N)``."""

    dos: Floats
    pairing: Floats
    anomalous: Floats

    def products(self, f: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        """``P h`` (even), ``N h`` (odd), ``N t`` and ``R t`` (even) for ``f[cell, (h, t), bin]``."""
        h, t = f[:, 0], f[:, 1]
        return self.pairing * h, self.dos * h, self.dos * t, self.anomalous * t


class Sums(NamedTuple):
    """Convolutions over the spectra of both partners (theory: charge_mode, Eq. two-mode-convolutions),
    ``(cells, N)``."""

    x1: Floats
    x2: Floats
    x3: Floats
    x4: Floats
    y1: Floats
    y2: Floats
    y3: Floats
    y4: Floats
    y5: Floats

    def integrals(self, spectra: Spectra, f: Floats) -> tuple[Floats, Floats]:
        """``I_L`` and ``I_T`` of states of occupations ``f``, and the coefficients of f in them."""
        dos, pairing, anomalous = spectra
        h, t = f[:, 0], f[:, 1]
        loss = np.stack([dos * self.x1 - pairing * self.x2, dos * self.x1 + anomalous * self.y3], axis=1)
        rate = loss * f
        rate[:, 0] += dos * self.x3 - pairing * self.x4 - t * (dos * self.y1 - anomalous * self.y2)
        rate[:, 1] -= dos * (self.y4 + h * self.y1) + anomalous * self.y5
        return rate, loss

    def changes(self, spectra: Spectra, f: Floats, loss: Floats, step: Floats, moved: Sums) -> Floats:
        """Change of `integrals`, with ``loss`` from there, by steps of f and by what they change these."""
        dos, pairing, anomalous = spectra
        h, t, dh, dt = f[:, 0], f[:, 1], step[:, 0], step[:, 1]
        out = loss * step
        out[:, 0] += dos * (h * moved.x1 + moved.x3) - pairing * (h * moved.x2 + moved.x4)
        out[:, 0] -= dt * (dos * self.y1 - anomalous * self.y2)
        out[:, 0] -= t * (dos * moved.y1 - anomalous * moved.y2)
        out[:, 1] += dos * (t * moved.x1 - moved.y4 - dh * self.y1 - h * moved.y1)
        out[:, 1] += anomalous * (t * moved.y3 - moved.y5)
        return out


class TransformedSums:
    """Sums of equidistant energies, by transforms.

    Args:
        electrons: collisions on these energies.
        bath: transform of A + i C of what collides with electrons beside them; zeros for nothing.
        spectra: sums of N, P and R of the states of every energy.
        products: sums of what `Spectra.products` says.

    Attributes:
        sums: the sums.
    """

    def __init__(
        self,
        electrons: ElectronElectron,
        bath: Complexes,
        spectra: Spectra,
        products: tuple[Floats, Floats, Floats, Floats],
    ) -> None:
        self._electrons = electrons
        n, p = electrons.even_odd(spectra.dos, spectra.pairing)
        self._r = r = self._even(spectra.anomalous)
        v, u, nt, rt = state = self._transforms(products)
        A, C = electrons.correlated(n**2 - p**2 - u**2 + v**2 - nt**2 + rt**2, -2.0 * (u * n + p * v))
        A, C = A + bath.real, C + bath.imag
        self._n, self._p, self._state, self._A, self._C = n, p, state, A, C
        x1, x2 = electrons.sums(n * A + u * C, p * A - v * C)
        x4, x3 = electrons.sums(-v * A - p * C, -u * A + n * C)
        y4, y1 = electrons.sums(nt * A, nt * C)
        y5, y2 = electrons.sums(rt * A, rt * C)
        y3, _ = electrons.sums(r * A, np.zeros_like(A))
        self.sums = Sums(x1, x2, x3, x4, y1, y2, y3, y4, y5)

    def moved(self, products: tuple[Floats, Floats, Floats, Floats]) -> Sums:
        """Change of the sums by that of the products."""
        electrons, n, p, A, C = self._electrons, self._n, self._p, self._A, self._C
        v, u, nt, rt = self._state
        dv, du, dnt, drt = self._transforms(products)
        dA, dC = electrons.correlated(2.0 * (v * dv - u * du - nt * dnt + rt * drt), -2.0 * (du * n + p * dv))
        x1, x2 = electrons.sums(n * dA + u * dC + du * C, p * dA - v * dC - dv * C)
        x4, x3 = electrons.sums(-v * dA - dv * A - p * dC, -u * dA - du * A + n * dC)
        y4, y1 = electrons.sums(dnt * A + nt * dA, dnt * C + nt * dC)
        y5, y2 = electrons.sums(drt * A + rt * dA, drt * C + rt * dC)
        y3, _ = electrons.sums(self._r * dA, np.zeros_like(dA))
        return Sums(x1, x2, x3, x4, y1, y2, y3, y4, y5)

    def _even(self, sequence: Floats) -> Floats:
        return self._electrons.even_odd(sequence, np.zeros((1, sequence.shape[1])))[0]

    def _transforms(
        self, products: tuple[Floats, Floats, Floats, Floats]
    ) -> tuple[Floats, Floats, Floats, Floats]:
        ph, nh, nt, rt = products
        v, u = self._electrons.even_odd(ph, nh)
        return v, u, self._even(nt), self._even(rt)


class ChargeModeCollisions:
    """The collision integrals ``I_L`` and ``I_T``, ``N ∂f_{L,T}/∂t = … − I_{L,T}``.

    Args:
        grid: uniform energy bins from 0; their centres are the energies of the electrons.
        strength: γ_ee, 0 for none.
        kernel: of electron-electron collisions.
        phonons: of a bath, or None.

    Raises:
        CaseError: bins of different widths, or phonons with an occupation of their own.
    """

    rounding = 0.0

    def __init__(
        self,
        grid: EnergyAxis,
        strength: float,
        kernel: Kernel = "fermi_liquid",
        phonons: PhononBath | None = None,
    ) -> None:
        self.electrons = ElectronElectron(grid, strength, kernel)
        self.grid = grid
        #: Fluctuations (even in ω) and response (odd) of the bath of phonons, one complex transform.
        self.bath = np.zeros(self.electrons._phase.size, np.complex128)
        self.largest_rate = self.electrons.largest_rate
        if phonons is not None:
            length, n = self.electrons._length, grid.n
            width = grid.maximum / n
            omega = np.arange(1, 2 * n) * width
            lags = np.zeros(length)
            # A(ω) + C(ω) at ω > 0 and, wrapped around, at ω < 0.
            fluctuation, response = bath_of(phonons, omega)
            lags[1 : 2 * n] = width * (fluctuation + response)
            lags[: -2 * n : -1] = width * (fluctuation - response)
            self.bath = np.asarray(fft.rfft(lags))
            self.largest_rate += phonons.strength * (phonons.kappa * grid.maximum) ** 3 / 3.0
        #: See `fvqp.collisions.collision_sum.CollisionKind`; sums with a bath hold all collisions together.
        self.unkept_rate = 0.0 if phonons is None else self.largest_rate

    def at(self, spectra: Spectra, f: Floats) -> ChargeModeRelaxation:
        """The integrals and their derivatives at distributions ``f[cell, (L, T), bin]``."""
        return ChargeModeRelaxation(self, spectra, f)


class ChargeModeRelaxation:
    """`ChargeModeCollisions` at given spectra and distributions.

    Attributes:
        f: ``(cells, 2, N)``.
        rate: ``I_L`` and ``I_T``, ``(cells, 2, N)``.
        loss: coefficient of f_L and f_T in their own integrals, ``(cells, 2, N)``.
    """

    def __init__(self, collisions: ChargeModeCollisions, spectra: Spectra, f: Floats) -> None:
        self.f, self._spectra = f, spectra
        self._met = TransformedSums(collisions.electrons, collisions.bath, spectra, spectra.products(f))
        self.rate, self.loss = self._met.sums.integrals(spectra, f)
        grid = collisions.grid
        conserve(self.rate[:, 1], self.loss[:, 1], grid.widths)
        if collisions.unkept_rate == 0.0:
            conserve(self.rate[:, 0], self.loss[:, 0], grid.energies * grid.widths)

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, 2, N)``: the Jacobian's action."""
        moved = self._met.moved(self._spectra.products(step))
        return self._met.sums.changes(self._spectra, self.f, self.loss, step, moved)


def bath_of(phonons: PhononBath, omega: Floats) -> tuple[Floats, Floats]:
    """Fluctuations A (even in ω) and response C (odd) of phonons of a bath (theory: charge_mode).

    Raises:
        CaseError: phonons with an occupation of their own.
    """
    if phonons.escape_time is not None:
        raise CaseError(
            "collisions: phonons with an occupation of their own are none of a bath; "
            "fvqp.collisions.charge_mode_phonons has them"
        )
    coupling = 0.5 * phonons.strength * phonons.kappa**3 * np.abs(omega) * omega
    moving = np.where(omega == 0.0, 1.0, omega)
    return coupling / np.tanh(moving / (2.0 * phonons.temperature)), -coupling
