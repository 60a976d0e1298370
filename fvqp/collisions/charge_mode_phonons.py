"""Collisions of f_L and f_T with phonons of an occupation of their own, on any energy axis.

Sums over the events of `fvqp.collisions.pair_sums_nonuniform`, one phonon point each. With ``N = 1 + 2n`` at
the phonon of an event of the bins i ≤ j (σ = −1 for scattering, +1 for pairs) each moves

    X = (ss + σpp) [(h_j + σh_i) N − (1 + σh_j h_i)] + (ss − rr) t_j t_i,
    Y = (ss + rr) (t_j − t_i) N + ss (h_j t_i − σ t_j h_i)

by I_L and I_T (theory: charge_mode, Eq. two-mode-events). Energies are in units of Δ0, rates in Δ0/ħ, of
phonons in 1/τ0.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

import fvqp.kernel_cache  # noqa: F401
from fvqp.collisions.bose import bose
from fvqp.collisions.charge_mode import Spectra
from fvqp.collisions.electron_electron import conserve
from fvqp.collisions.electron_phonon import Coupling, ElectronPhonon
from fvqp.collisions.phonon_relaxation import PhononBath
from fvqp.collisions.quasistatic_phonons import STEEPEST, QuasistaticPhonons, inverted, weights
from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.threads import share
from fvqp.typing import Floats


class PhononsOfBothModes:
    """Collisions of both modes with quasi-static phonons.

    Args:
        grid: energy bins.
        phonons: with an escape time.

    Attributes:
        events: collisions of the bins, see `fvqp.collisions.pair_sums_nonuniform.split_shares`.
        bath: occupation that phonons escape to, ``(K,)``.
        quasistatic: phonons in balance with electrons.
        modes: phonon modes, ``(K,)``.
    """

    rounding = 0.0

    def __init__(self, grid: EnergyAxis, phonons: PhononBath) -> None:
        if phonons.escape_time is None or phonons.pair_breaking_time is None:
            raise CaseError("phonons: those of a bath have no occupation of their own")
        self.grid, self.strength = grid, phonons.strength
        self.leaves = 1.0 / phonons.escape_time
        points = grid.with_phonons()
        coupling = Coupling(phonons.kappa, phonons.pair_breaking_time)
        operator = ElectronPhonon(points, coupling, "graded", split_shares=True)
        self.events, self.modes, self.energies = (
            operator.events,
            operator.phonon_modes,
            points.phonon_energies,
        )
        x = points.phonon_energies / phonons.temperature
        self.bath = -np.exp(-x) / np.expm1(-x)
        self.quasistatic = QuasistaticPhonons(self.events, self.bath, self.leaves)
        self.largest_rate = self.unkept_rate = phonons.strength * (phonons.kappa * grid.maximum) ** 3 / 3.0

    def at(self, spectra: Spectra, f: Floats) -> PhononRelaxationOfBothModes:
        """The integrals at distributions ``f[cell, (L, T), bin]``."""
        return PhononRelaxationOfBothModes(self, spectra, f)


class PhononRelaxationOfBothModes:
    """`PhononsOfBothModes` at given spectra and distributions.

    Attributes:
        n: phonon occupation, ``(cells, K)``.
        decay: rate at which a surplus of phonons decays, 1/τ0, ``(cells, K)``.
        rate, loss: see `fvqp.collisions.charge_mode.ChargeModeRelaxation`.
    """

    def __init__(self, collisions: PhononsOfBothModes, spectra: Spectra, f: Floats) -> None:
        self._collisions, self._f = collisions, np.ascontiguousarray(f)
        widths = collisions.grid.widths
        self._states = tuple(np.ascontiguousarray(part * widths) for part in spectra)
        self._scale = collisions.strength / widths
        self.n, self.decay, _ = collisions.quasistatic.steady(self._states, self._f)
        self.rate, self.loss = np.zeros_like(f), np.zeros_like(f)
        self._each(_integrals, self.n, self.rate, self.loss)
        self.rate *= self._scale
        self.loss *= self._scale
        conserve(self.rate[:, 1], self.loss[:, 1], widths)

    @property
    def inverted(self) -> bool:
        """True if some phonons have no steady state, since quasiparticles emit more than they absorb."""
        return inverted(self.decay, self._collisions.leaves)

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, 2, N)``: the Jacobian's action."""
        step = np.ascontiguousarray(step)
        n, still = np.maximum(self.n, STEEPEST), np.zeros_like(self.n)
        out, gained = np.zeros_like(step), np.zeros_like(self.n)
        self._each(_product, n, step, still, out, gained)
        out[:] = 0.0
        moved = gained / (self._collisions.modes * self.decay)
        self._each(_product, n, step, moved, out, gained)
        return out * self._scale

    def escaping(self) -> Floats:
        """Energy that leaves to the bath by phonons of every cell, units of ``∫ε I_L dε``."""
        c = self._collisions
        return 2.0 * c.strength * c.leaves * ((self.n - c.bath) @ (c.modes * c.energies))

    def _each(self, loop, *rest) -> None:  # type: ignore[no-untyped-def]
        c = self._collisions
        least = 100_000 // (10 * max(1, c.events.lower.size))
        share(loop, len(self._f), c.events, *self._states, self._f, *rest, least=max(1, least))


@njit(cache=True, nogil=True, error_model="numpy")
def _integrals(start, stop, events, dos, pairing, anomalous, f, n, rate, loss):
    """``I_L`` and ``I_T`` of the bins and the coefficients of f in them, over γ_ep and the widths."""
    for c in range(start, stop):
        row = c if dos.shape[0] > 1 else 0
        s, p, r, h, t = dos[row], pairing[row], anomalous[row], f[c, 0], f[c, 1]
        for e in range(events.lower.size):
            i, j, sign = events.lower[e], events.upper[e], events.sign[e]
            m, q, odd, both = weights(events, e, s, p, r)
            many = 1.0 + 2.0 * bose(events.shares[e] * np.log1p(1.0 / n[c, events.first[e]]))
            x = m * ((h[j] + sign * h[i]) * many - (1.0 + sign * h[j] * h[i])) + odd * t[j] * t[i]
            y = q * (t[j] - t[i]) * many + both * (h[j] * t[i] - sign * t[j] * h[i])
            rate[c, 0, j] += x
            rate[c, 0, i] += sign * x
            rate[c, 1, j] += y
            rate[c, 1, i] -= y
            loss[c, 0, j] += m * (many - sign * h[i])
            loss[c, 0, i] += m * (many - h[j])
            loss[c, 1, j] += q * many - sign * both * h[i]
            loss[c, 1, i] += q * many - both * h[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _product(start, stop, events, dos, pairing, anomalous, f, n, step, step_n, change, gained):
    """Change of `_integrals` by steps of f and n, and of gain less loss of the phonons."""
    for c in range(start, stop):
        row = c if dos.shape[0] > 1 else 0
        s, p, r, h, t = dos[row], pairing[row], anomalous[row], f[c, 0], f[c, 1]
        dh, dt = step[c, 0], step[c, 1]
        for k in range(n.shape[1]):
            gained[c, k] = 0.0
        for e in range(events.lower.size):
            i, j, k, sign = events.lower[e], events.upper[e], events.first[e], events.sign[e]
            m, q, odd, both = weights(events, e, s, p, r)
            nk, ratio = n[c, k], events.shares[e]
            star = bose(ratio * np.log1p(1.0 / nk))
            many = 1.0 + 2.0 * star
            more = 2.0 * ratio * star * (1.0 + star) / (nk * (1.0 + nk)) * step_n[c, k]
            x = m * ((dh[j] + sign * dh[i]) * many + (h[j] + sign * h[i]) * more)
            x += odd * (dt[j] * t[i] + t[j] * dt[i]) - m * sign * (dh[j] * h[i] + h[j] * dh[i])
            y = q * ((dt[j] - dt[i]) * many + (t[j] - t[i]) * more)
            y += both * (dh[j] * t[i] + h[j] * dt[i] - sign * (dt[j] * h[i] + t[j] * dh[i]))
            change[c, 0, j] += x
            change[c, 0, i] += sign * x
            change[c, 1, j] += y
            change[c, 1, i] -= y
            gained[c, k] -= 0.5 * ratio * x
