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

from fvqp.collisions.process import Blocks, GainLoss, OccupationRates, Pair
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
        own_states: the same by bin, ``(N,)``.
        diffusivity: D of slow hops between localized states, metre²/τ0.
        energy: E_b.
        of_capture: phonons of a captured quasiparticle of every bin, ``(N, K)``.
        of_pair: phonons of a pair, ``(K,)``.
    """

    keeps_energy = True

    def __init__(
        self,
        grid: EnergyAxis,
        bin_weights: BinWeights,
        law: SinkLaw,
        capture: ArrayLike,
        capacity: Floats,
        diffusivity: float = 0.0,
    ) -> None:
        """
        Args:
            grid: energies, with a bin below the gap.
            bin_weights: spectrum of all cells, one row.
            law: of annihilation.
            capture: rate κ ≥ 0 at which a mobile quasiparticle is captured, one number or ``(N,)``.
            capacity: phonon modes of the points, ``(K,)``.
            diffusivity: of localized quasiparticles, metre²/τ0.

        Raises:
            CaseError: no bin below the gap, phonon points that end below twice its energy, or negative rates.
        """
        first = int(np.argmax(bin_weights.active[0]))
        if first == 0:
            raise CaseError(
                f"localized quasiparticles: need a bin below the gap, and there are states from the first "
                f"one on, at {grid.energies[0]:.4g} Δ0; begin the axis lower"
            )
        self.grid, self.law, self.bin = grid, law, first - 1
        self.energy = float(grid.energies[self.bin])
        self.states = float(grid.widths[self.bin])
        self.own_states = np.where(np.arange(grid.n) == self.bin, grid.widths, 0.0)
        if not (np.isfinite(diffusivity) and diffusivity >= 0.0):
            raise CaseError("localized quasiparticles: the diffusivity must be finite and not negative")
        self.diffusivity = diffusivity
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
        self.of_capture = _phonons(grid, np.where(above, grid.energies - self.energy, 0.0)) * per_mode
        self.of_pair = _phonons(grid, np.array([2.0 * self.energy]))[0] * per_mode

    def concentration(self, f: Floats) -> Floats:
        """c of every cell from ``f[cells, N]``."""
        return self.states * np.maximum(f[:, self.bin], 0.0)

    def captured(self, bin_weights: BinWeights, f: Floats) -> Floats:
        """Return the rate at which localized quasiparticles come, for ``f[cells, N]``."""
        lost = bin_weights.number * self.capture_rates(bin_weights) * f
        return np.asarray(lost.sum(axis=1) * (1.0 - f[:, self.bin]))

    def at(self, bin_weights: BinWeights, f: Floats, n: Floats) -> LocalizedRates:
        """The rates at occupations ``f[cell, bin]`` and ``n[cell, point]``; the spectrum is that without the
        localized states."""
        return LocalizedRates(self, bin_weights, f, n)

    def emitted(self, bin_weights: BinWeights, captured: Floats, annihilated: Floats) -> Floats:
        """``∂n/∂t`` by quasiparticles captured, ``(cells, N)``, and annihilated, ``(cells,)``."""
        shares = 1.0 if bin_weights.phonon_shares is None else bin_weights.phonon_shares
        return (captured @ self.of_capture + 0.5 * annihilated[:, None] * self.of_pair) / shares

    def capture_rates(self, bin_weights: BinWeights) -> Floats:
        """Rate of capture of every bin with states, ``(cells or 1, N)``."""
        return np.where(bin_weights.active, self._capture, 0.0)


class LocalizedRates(OccupationRates):
    """`Localization` at given spectra and occupations."""

    def __init__(self, process: Localization, bin_weights: BinWeights, f: Floats, n: Floats) -> None:
        super().__init__(process.grid, bin_weights, f, n)
        self._process, self._bin = process, process.bin
        self._rate = process.capture_rates(bin_weights)
        self._free, self._c = 1.0 - self.f[:, process.bin, None], process.concentration(self.f)

    @property
    def rates(self) -> Pair:
        p, lost = self._process, self._rate * self._free * self.f
        captured, annihilated = self.bin_weights.number * lost, p.law.rate(self._c)
        out_f = -lost
        out_f[:, self._bin] = (captured.sum(axis=1) - annihilated) / p.states
        return Pair(out_f, p.emitted(self.bin_weights, captured, annihilated))

    def gain_loss(self) -> GainLoss:
        p, b, c = self._process, self._bin, self._c
        in_f, out_f = np.zeros_like(self.f), self._rate * self._free + np.zeros_like(self.f)
        annihilated = p.law.rate(c)
        in_f[:, b] = (self.bin_weights.number * self._rate * self.f).sum(axis=1) / p.states
        out_f[:, b] = np.divide(annihilated, c, out=np.zeros_like(c), where=c > 0.0)
        return GainLoss(in_f, out_f, self.rates.n / (1.0 + self.n), np.zeros_like(self.n))

    def jvp(self, step_f: Floats, step_n: Floats) -> Pair:
        p, b = self._process, self._bin
        lost = self._rate * (self._free * step_f - step_f[:, b, None] * self.f)
        captured = self.bin_weights.number * lost
        annihilated = p.law.derivative(self._c) * p.states * step_f[:, b]
        out_f = -lost
        out_f[:, b] = (captured.sum(axis=1) - annihilated) / p.states
        return Pair(out_f, p.emitted(self.bin_weights, captured, annihilated))

    def jacobian(self) -> Blocks:
        p, b, f = self._process, self._bin, self.f
        (cells, bins), points = f.shape, p.grid.n_phonon
        rate = np.broadcast_to(self._rate, f.shape)
        number = np.broadcast_to(self.bin_weights.number, f.shape)
        free, slope = self._free, p.law.derivative(self._c)
        ff, nf = np.zeros((cells, bins, bins)), np.zeros((cells, points, bins))
        every = np.arange(bins)
        ff[:, every, every] = -rate * free
        ff[:, :, b] = rate * f
        ff[:, b, :] = number * rate * free / p.states
        ff[:, b, b] = -(number * rate * f).sum(axis=1) / p.states - slope
        nf[:] = p.of_capture.T * (number * rate * free)[:, None, :]
        nf[:, :, b] = -(number * rate * f) @ p.of_capture
        nf[:, :, b] += 0.5 * (p.states * slope)[:, None] * p.of_pair
        if self.bin_weights.phonon_shares is not None:
            nf /= self.bin_weights.phonon_shares[:, :, None]
        return Blocks(ff, np.zeros((cells, bins, points)), nf, np.zeros((cells, points)))

    def diagonal(self) -> Pair:
        p, b = self._process, self._bin
        out = -self._rate * self._free + np.zeros_like(self.f)
        out[:, b] = -(self.bin_weights.number * self._rate * self.f).sum(axis=1) / p.states
        out[:, b] -= p.law.derivative(self._c)
        return Pair(out, np.zeros_like(self.n))


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
