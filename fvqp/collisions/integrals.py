"""Collision integrals of f_L, or of f_L and f_T, from sums over the spectra of both partners.

With ``M_ab = N_a N_b − P_a P_b`` and ``K_ab = N_a N_b − R_a R_b``, P = Im F and R = Re F, h = f_L, odd, and
t = f_T, even in energy (theory: electron_electron, charge_mode). Energies are in units of Δ0, rates in Δ0/ħ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np

from fvqp.typing import Floats

#: ``P h`` (even) and ``N h`` (odd), and where there is f_T ``N t`` and ``R t`` (even), ``(cells, N)`` each.
Products = Sequence[Floats]


class Spectra(NamedTuple):
    """Bin averages of N, P = Im F and R = Re F, ``(cells, N)``, or ``(1, N)``."""

    dos: Floats
    pairing: Floats
    anomalous: Floats

    def products(self, f: Floats) -> Products:
        """Products of ``f[cell, component, bin]`` with them."""
        h = f[:, 0]
        products = [self.pairing * h, self.dos * h]
        if f.shape[1] > 1:
            products += [self.dos * f[:, 1], self.anomalous * f[:, 1]]
        return products


class PairSums(Protocol):
    """Sums over partners and what is exchanged, in given spectra and distributions."""

    @property
    def sums(self) -> Floats:
        """X1, X2, X1 + X3, X2 + X4 of theory and, where there is f_T, Y1, Y1 + Y4, Y2, Y5 and Y3,
        ``(sums, cells, N)``."""

    def moved(self, step: Floats) -> Floats:
        """Change of `sums` by a step of the distributions."""


class SummedRates:
    """Rates that follow from sums of the same energies.

    Args:
        sums: of the spectra and distributions.
        spectra: of the cells.
        f: ``(cells, component, N)``, f_L first.
        kept: weights of the sum over bins that collisions keep, for each component; None for none.

    Attributes:
        rates, loss: see `fvqp.collisions.collision_sum.DistributionRates`.
    """

    def __init__(self, sums: PairSums, spectra: Spectra, f: Floats, kept: Sequence[Floats | None]) -> None:
        self._sums, self._spectra, self._f = sums, spectra, f
        self.rates, self.loss = rates_of(spectra, f, sums.sums)
        for c, moment in enumerate(kept[: f.shape[1]]):
            if moment is not None:
                conserve(self.rates[:, c], self.loss[:, c], moment)

    def jvp(self, step: Floats) -> Floats:
        """Change of `rates` along ``step``."""
        return changes_of(self._spectra, self._f, self._sums.sums, self.loss, step, self._sums.moved(step))


def rates_of(spectra: Spectra, f: Floats, sums: Floats) -> tuple[Floats, Floats]:
    """Return ``−I_L`` and ``−I_T`` of states of occupations ``f``, and the coefficients of −f in them.

    In terms of ``1 − f_L``, which has digits where there are few quasiparticles.
    """
    dos, pairing, anomalous = spectra
    few = 1.0 - f[:, 0]
    x1, x2, x13, x24 = sums[:4]
    rates, loss = np.empty_like(f), np.empty_like(f)
    loss[:, 0] = dos * x1 - pairing * x2
    rates[:, 0] = few * loss[:, 0] - dos * x13 + pairing * x24
    if f.shape[1] > 1:
        t, (y1, y14, y2, y5, y3) = f[:, 1], sums[4:]
        loss[:, 1] = dos * x1 + anomalous * y3
        rates[:, 0] += t * (dos * y1 - anomalous * y2)
        rates[:, 1] = dos * (y14 - few * y1) + anomalous * y5 - loss[:, 1] * t
    return rates, loss


def changes_of(
    spectra: Spectra, f: Floats, sums: Floats, loss: Floats, step: Floats, moved: Floats
) -> Floats:
    """Return the change of `rates_of`, with ``loss`` from there, by steps of f and of the sums."""
    dos, pairing, anomalous = spectra
    few, dh = 1.0 - f[:, 0], step[:, 0]
    dx1, dx2, dx13, dx24 = moved[:4]
    out = np.empty_like(step)
    out[:, 0] = dos * (few * dx1 - dx13) - pairing * (few * dx2 - dx24) - loss[:, 0] * dh
    if f.shape[1] > 1:
        t, dt, y1, y2 = f[:, 1], step[:, 1], sums[4], sums[6]
        dy1, dy14, dy2, dy5, dy3 = moved[4:]
        out[:, 0] += dt * (dos * y1 - anomalous * y2) + t * (dos * dy1 - anomalous * dy2)
        out[:, 1] = dos * (dy14 + dh * y1 - few * dy1 - t * dx1) + anomalous * (dy5 - t * dy3)
        out[:, 1] -= loss[:, 1] * dt
    return out


def conserve(rate: Floats, loss: Floats, moment: Floats) -> None:
    """Make the sums of ``rate`` with the weights ``moment``, which are rounding, 0 in every cell; in place.

    It is rounding of the rates of scattering out, ``loss``, which may be many times larger, and goes there.
    """
    capacity = loss @ moment
    # Twice: what the first leaves is rounding of the same sums.
    for _ in range(2):
        part = np.divide(rate @ moment, capacity, out=np.zeros(len(rate)), where=capacity > 0.0)
        rate -= part[:, None] * loss
