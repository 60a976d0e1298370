"""Collisions of f_L, or of f_L and f_T, with phonons of an occupation of their own in every cell.

The sums of f_L alone are those of `fvqp.collisions.electron_phonon`: with occupations ``f = (1 − f_L)/2`` and
the bin measure of any spectrum's density of states and pairing, ``I_L = 2 γ_ep N ∂f/∂t`` (theory:
phonon_relaxation). Those of both are sums over the events of `fvqp.collisions.pair_sums_nonuniform`, one
phonon point each. With ``N = 1 + 2n`` at the phonon of an event of the bins i ≤ j (σ = −1 for scattering, +1
for pairs) each moves

    X = (ss + σpp) [(h_j + σh_i) N − (1 + σh_j h_i)] + (ss − rr) t_j t_i,
    Y = (ss + rr) (t_j − t_i) N + ss (h_j t_i − σ t_j h_i)

by I_L and I_T (theory: charge_mode, Eq. two-mode-events); f_L alone has faster sums. Energies are in units of
Δ0, rates in Δ0/ħ, of phonons in 1/τ0.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from fvqp.collisions.bose import bose
from fvqp.collisions.electron_phonon import FOURIER_FROM, Coupling, ElectronPhonon, Evaluation
from fvqp.collisions.integrals import Spectra, conserve
from fvqp.collisions.phonon_bath import PhononBath
from fvqp.collisions.quasistatic_phonons import SLOWEST, STEEPEST, QuasistaticPhonons, inverted, weights
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError
from fvqp.kernel_cache import njit
from fvqp.threads import share
from fvqp.typing import Floats


class PhononCollisions:
    """Collisions with quasi-static phonons that escape to a bath.

    Args:
        grid: energy bins; their centres are the energies of the quasiparticles.
        phonons: with an escape time.
        components: 1 for f_L, 2 for f_L and f_T.

    Attributes:
        operator: collisions of occupations with phonons.
        bath: occupation that phonons escape to, ``(K,)``.
        leaves: rate at which they do, 1/τ0.
        quasistatic: phonons in balance with electrons; None where a linear equation says what they are.
    """

    rounding = 0.0

    def __init__(self, grid: EnergyAxis, phonons: PhononBath, components: int = 1) -> None:
        if phonons.escape_time is None or phonons.pair_breaking_time is None:
            raise CaseError("phonons: those of a bath have no occupation of their own")
        self.grid, self.strength, self.leaves = grid, phonons.strength, 1.0 / phonons.escape_time
        evaluation: Evaluation = "fourier" if grid.n >= FOURIER_FROM else "direct"
        if components > 1 or not grid.is_uniform:
            evaluation = "graded"
        points = grid.with_phonons()
        coupling = Coupling(phonons.kappa, phonons.pair_breaking_time)
        self.operator = ElectronPhonon(points, coupling, evaluation, split_shares=True)
        x = points.phonon_energies / phonons.temperature
        self.bath = -np.exp(-x) / np.expm1(-x)
        self.quasistatic: QuasistaticPhonons | None = None
        if evaluation == "graded":
            self.quasistatic = QuasistaticPhonons(self.operator.events, self.bath, self.leaves)
        self.largest_rate = self.unkept_rate = phonons.largest_rate(grid.maximum)

    def at(self, spectra: Spectra, f: Floats) -> PhononRates:
        """The rates at distributions ``f[cell, component, bin]`` (the whole, not a deviation)."""
        return (EnergyPhononRates if f.shape[1] == 1 else ChargePhononRates)(self, spectra, f)


class PhononRates(ABC):
    """`PhononCollisions` at given spectra and distributions.

    Attributes:
        rates, loss: see `fvqp.collisions.collision_sum.DistributionRates`.
        n: phonon occupation, ``(cells, K)``.
        decay: rate at which a surplus of phonons decays, ``(cells, K)``, 1/τ0.
    """

    rates: Floats
    loss: Floats
    n: Floats
    decay: Floats

    def __init__(self, collisions: PhononCollisions) -> None:
        self._collisions = collisions

    @abstractmethod
    def jvp(self, step: Floats) -> Floats:
        """Change of `rates` along ``step``."""

    @property
    def inverted(self) -> bool:
        """True if some phonons have no steady state, since quasiparticles emit more than they absorb."""
        return inverted(self.decay, self._collisions.leaves)

    def escaping(self) -> Floats:
        """Energy that leaves to the bath by phonons of every cell, units of ``∫ε I_L dε``."""
        c = self._collisions
        modes = c.operator.phonon_modes * c.operator.grid.phonon_energies
        return 2.0 * c.strength * c.leaves * ((self.n - c.bath) @ modes)


class EnergyPhononRates(PhononRates):
    """Rates of f_L from those of occupations."""

    def __init__(self, collisions: PhononCollisions, spectra: Spectra, f: Floats) -> None:
        super().__init__(collisions)
        widths, operator = collisions.grid.widths, collisions.operator
        weights = BinWeights(spectra.dos * widths, spectra.pairing * widths)
        f_qp, self._scale = 0.5 * (1.0 - f[:, 0]), collisions.strength * spectra.dos
        bath, leaves = np.broadcast_to(collisions.bath, (len(f), collisions.bath.size)), collisions.leaves
        if collisions.quasistatic is None:
            # Energies of a point's phonons are one and the same, and gain and loss are linear in n. A step of
            # Newton's method for f_L may invert quasiparticles such that phonons have no steady state; they
            # then decay at the slowest rate.
            now = operator.at(weights, f_qp, bath).gain_loss()
            self.decay = np.maximum(now.out_n - now.in_n + leaves, SLOWEST * leaves)
            self.n = (now.in_n + bath * leaves) / self.decay
            parts = operator.at(weights, f_qp, self.n).gain_loss()
            change = parts.rates(f_qp, self.n).f
            slope_at = self.n
        else:
            states = weights.dos_weights, weights.pair_weights, weights.dos_weights
            both = np.concatenate([f, np.zeros_like(f)], axis=1)
            self.n, self.decay, _ = collisions.quasistatic.steady(states, both)
            found = operator.at(weights, f_qp, self.n)
            change, parts = found.rates.f, found.balance()
            slope_at = np.maximum(self.n, STEEPEST)
        # On graded axes gain and loss are cut where f is not between 0 and 1, the rates are not.
        self._slopes = operator.at(weights, f_qp, slope_at)
        self.rates = (-2.0 * self._scale * change)[:, None]
        self.loss = (self._scale * (parts.in_f + parts.out_f))[:, None]

    def jvp(self, step: Floats) -> Floats:
        step_f, still = -0.5 * step[:, 0], np.zeros_like(self.n)
        moved = self._slopes.jvp(step_f, still)
        moved = self._slopes.jvp(step_f, moved.n / self.decay)
        return np.asarray(-2.0 * self._scale * moved.f)[:, None]


class ChargePhononRates(PhononRates):
    """Rates of f_L and f_T."""

    def __init__(self, collisions: PhononCollisions, spectra: Spectra, f: Floats) -> None:
        super().__init__(collisions)
        assert collisions.quasistatic is not None
        self._f, widths = np.ascontiguousarray(f), collisions.grid.widths
        self._states = tuple(np.ascontiguousarray(part * widths) for part in spectra)
        self._scale = collisions.strength / widths
        self.n, self.decay, _ = collisions.quasistatic.steady(self._states, self._f)
        self.rates, self.loss = np.zeros_like(f), np.zeros_like(f)
        self._each(_rates, self.n, self.rates, self.loss)
        self.rates *= self._scale
        self.loss *= self._scale
        conserve(self.rates[:, 1], self.loss[:, 1], widths)

    def jvp(self, step: Floats) -> Floats:
        step = np.ascontiguousarray(step)
        n, still = np.maximum(self.n, STEEPEST), np.zeros_like(self.n)
        out, gained = np.zeros_like(step), np.zeros_like(self.n)
        self._each(_product, n, step, still, out, gained)
        out[:] = 0.0
        moved = gained / (self._collisions.operator.phonon_modes * self.decay)
        self._each(_product, n, step, moved, out, gained)
        return out * self._scale

    def _each(self, loop, *rest) -> None:  # type: ignore[no-untyped-def]
        events = self._collisions.operator.events
        least = 100_000 // (10 * max(1, events.lower.size))
        share(loop, len(self._f), events, *self._states, self._f, *rest, least=max(1, least))


@njit(cache=True, nogil=True, error_model="numpy")
def _rates(start, stop, events, dos, pairing, anomalous, f, n, rates, loss):
    """``−I_L`` and ``−I_T`` of the bins and the coefficients of −f in them, over γ_ep and the widths."""
    for c in range(start, stop):
        row = c if dos.shape[0] > 1 else 0
        s, p, r, h, t = dos[row], pairing[row], anomalous[row], f[c, 0], f[c, 1]
        for e in range(events.lower.size):
            i, j, sign = events.lower[e], events.upper[e], events.sign[e]
            m, q, odd, both = weights(events, e, s, p, r)
            many = 1.0 + 2.0 * bose(events.shares[e] * np.log1p(1.0 / n[c, events.first[e]]))
            x = m * ((h[j] + sign * h[i]) * many - (1.0 + sign * h[j] * h[i])) + odd * t[j] * t[i]
            y = q * (t[j] - t[i]) * many + both * (h[j] * t[i] - sign * t[j] * h[i])
            rates[c, 0, j] -= x
            rates[c, 0, i] -= sign * x
            rates[c, 1, j] -= y
            rates[c, 1, i] += y
            loss[c, 0, j] += m * (many - sign * h[i])
            loss[c, 0, i] += m * (many - h[j])
            loss[c, 1, j] += q * many - sign * both * h[i]
            loss[c, 1, i] += q * many - both * h[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _product(start, stop, events, dos, pairing, anomalous, f, n, step, step_n, change, gained):
    """Change of `_rates` by steps of f and n, and of gain less loss of the phonons."""
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
            change[c, 0, j] -= x
            change[c, 0, i] -= sign * x
            change[c, 1, j] -= y
            change[c, 1, i] += y
            gained[c, k] -= 0.5 * ratio * x
