"""Quasiparticles that disorder localizes below the gap edge: capture of mobile ones, annihilation in pairs.

One bin below the gap, which has no states of the spectrum, stands for the localized states. Mobile
quasiparticles are captured there at a rate of their energy, at temperatures at which they do not come back;
pairs of localized ones annihilate by a law 𝓡(c) of their concentration. Phonons take all energy: E − E_b when
a quasiparticle is captured, 2 E_b from a pair. Energies are in units of Δ0, times in τ0, densities in
4 N0 Δ0 (theory: localized, section on transport).
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike

from fvqp.collisions.process import Blocks, GainLoss, Pair, checked_occupations
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats


class SinkLaw(Protocol):
    """Annihilation of localized quasiparticles."""

    def rate(self, concentration: Floats) -> Floats:
        """𝓡(c): quasiparticles that annihilate, by volume and time."""
        ...

    def derivative(self, concentration: Floats) -> Floats:
        """d𝓡/dc."""
        ...


class Localization:
    """Capture and annihilation in any number of cells; the energy of quasiparticles and phonons is kept.

    Attributes:
        grid: energies.
        bin: index of the bin of the localized states, the last without states of the spectrum.
        states: number of localized states; capture ends where they are full.
        energy: E_b.
    """

    def __init__(
        self,
        grid: EnergyAxis,
        bin_weights: BinWeights,
        law: SinkLaw,
        capture: ArrayLike,
        capacity: Floats,
    ) -> None:
        """
        Args:
            grid: energies, with a bin below the gap.
            bin_weights: spectrum of all cells, one row.
            law: of annihilation.
            capture: rate κ ≥ 0 at which a mobile quasiparticle is captured, one number or ``(N,)``.
            capacity: phonon modes of the points, ``(K,)``.

        Raises:
            CaseError: no bin below the gap, or phonon points that end below twice its energy.
        """
        first = int(np.argmax(bin_weights.active[0]))
        if first == 0:
            raise CaseError(
                f"localized quasiparticles: need a bin below the gap, and there are states from the first "
                f"one on, at {grid.energies[0]:.4g} Δ0; begin the axis lower"
            )
        self.grid, self.law, self.bin = grid, law, first - 1
        self.energy = float(grid.energies[self.bin])
        self.states = float(grid.edges[self.bin + 1] - grid.edges[self.bin])
        if 2.0 * self.energy > grid.phonon_energies[-1]:
            raise CaseError(
                f"localized quasiparticles: pairs emit phonons of {2.0 * self.energy:.4g} Δ0, and phonon "
                f"points end at {grid.phonon_energies[-1]:.4g} Δ0"
            )
        rate = np.broadcast_to(np.asarray(capture, dtype=np.float64), (grid.n,))
        if not np.all(np.isfinite(rate)) or np.any(rate < 0.0):
            raise CaseError("localized quasiparticles: the rate of capture must be finite and not negative")
        above = np.arange(grid.n) > self.bin
        self._capture = np.where(above, rate, 0.0)
        per_mode = np.divide(1.0, capacity)
        self._of_capture = _phonons(grid, np.where(above, grid.energies - self.energy, 0.0)) * per_mode
        self._of_pair = _phonons(grid, np.array([2.0 * self.energy]))[0] * per_mode

    def concentration(self, f: Floats) -> Floats:
        """c of every cell from ``f[cells, N]``."""
        return self.states * np.maximum(f[:, self.bin], 0.0)

    def captured(self, bin_weights: BinWeights, f: Floats) -> Floats:
        """Return the rate at which localized quasiparticles come, for ``f[cells, N]``."""
        lost = bin_weights.number * self._lost(bin_weights) * f
        return np.asarray(lost.sum(axis=1) * (1.0 - f[:, self.bin]))

    def rates(self, bin_weights: BinWeights, f: Floats, n: Floats) -> Pair:
        """``∂f/∂t`` and ``∂n/∂t``, of the spectrum without the localized states."""
        f, n = checked_occupations(self.grid, bin_weights, f, n)
        b = self.bin
        lost = self._lost(bin_weights) * (1.0 - f[:, b, None]) * f
        captured, annihilated = bin_weights.number * lost, self.law.rate(self.concentration(f))
        out_f = -lost
        out_f[:, b] = (captured.sum(axis=1) - annihilated) / self.states
        return Pair(out_f, captured @ self._of_capture + 0.5 * annihilated[:, None] * self._of_pair)

    def gain_loss(self, bin_weights: BinWeights, f: Floats, n: Floats) -> GainLoss:
        """Gain and loss coefficients apart, none negative."""
        f, n = checked_occupations(self.grid, bin_weights, f, n)
        b, lost = self.bin, self._lost(bin_weights)
        in_f, out_f = np.zeros_like(f), lost * (1.0 - f[:, b, None])
        c = self.concentration(f)
        annihilated = self.law.rate(c)
        in_f[:, b] = (bin_weights.number * lost * f).sum(axis=1) / self.states
        out_f[:, b] = np.divide(annihilated, c, out=np.zeros_like(c), where=c > 0.0)
        return GainLoss(in_f, out_f, self.rates(bin_weights, f, n).n / (1.0 + n), np.zeros_like(n))

    def jvp(self, bin_weights: BinWeights, f: Floats, n: Floats, step_f: Floats, step_n: Floats) -> Pair:
        """Jacobian of `rates` at ``(f, n)`` times ``(step_f, step_n)``."""
        f, n = checked_occupations(self.grid, bin_weights, f, n)
        b, rate = self.bin, self._lost(bin_weights)
        lost = rate * ((1.0 - f[:, b, None]) * step_f - step_f[:, b, None] * f)
        captured = bin_weights.number * lost
        annihilated = self.law.derivative(self.concentration(f)) * self.states * step_f[:, b]
        out_f = -lost
        out_f[:, b] = (captured.sum(axis=1) - annihilated) / self.states
        return Pair(out_f, captured @ self._of_capture + 0.5 * annihilated[:, None] * self._of_pair)

    def jacobian(self, bin_weights: BinWeights, f: Floats, n: Floats) -> Blocks:
        """Jacobian of `rates`."""
        f, n = checked_occupations(self.grid, bin_weights, f, n)
        (cells, bins), points, b = f.shape, self.grid.n_phonon, self.bin
        rate = np.broadcast_to(self._lost(bin_weights), f.shape)
        number = np.broadcast_to(bin_weights.number, f.shape)
        free, slope = 1.0 - f[:, b, None], self.law.derivative(self.concentration(f))
        ff, nf = np.zeros((cells, bins, bins)), np.zeros((cells, points, bins))
        every = np.arange(bins)
        ff[:, every, every] = -rate * free
        ff[:, :, b] = rate * f
        ff[:, b, :] = number * rate * free / self.states
        ff[:, b, b] = -(number * rate * f).sum(axis=1) / self.states - slope
        nf[:] = self._of_capture.T * (number * rate * free)[:, None, :]
        nf[:, :, b] = -(number * rate * f) @ self._of_capture
        nf[:, :, b] += 0.5 * (self.states * slope)[:, None] * self._of_pair
        return Blocks(ff, np.zeros((cells, bins, points)), nf, np.zeros((cells, points)))

    def diagonal(self, bin_weights: BinWeights, f: Floats, n: Floats) -> Pair:
        """Diagonal of the Jacobian."""
        f, n = checked_occupations(self.grid, bin_weights, f, n)
        b, rate = self.bin, self._lost(bin_weights)
        out = -rate * (1.0 - f[:, b, None]) + np.zeros_like(f)
        out[:, b] = -(bin_weights.number * rate * f).sum(axis=1) / self.states
        out[:, b] -= self.law.derivative(self.concentration(f))
        return Pair(out, np.zeros_like(n))

    def _lost(self, bin_weights: BinWeights) -> Floats:
        """Rate of capture of every bin with states, ``(cells or 1, N)``."""
        return np.where(bin_weights.active, self._capture, 0.0)


def _phonons(grid: EnergyAxis, energies: Floats) -> Floats:
    """Phonons ``(energies, K)`` at the points for one of each energy; they have exactly that energy.

    Between two points they are shared such that their number is one; below the first there are fewer.
    """
    points = grid.phonon_energies
    out = np.zeros((len(energies), len(points)))
    row = np.arange(len(energies))
    left = np.clip(np.searchsorted(points, energies, side="right") - 1, 0, len(points) - 2)
    share = np.clip((energies - points[left]) / (points[left + 1] - points[left]), 0.0, 1.0)
    out[row, left], out[row, left + 1] = 1.0 - share, share
    return out * (energies / (out @ points))[:, None]
