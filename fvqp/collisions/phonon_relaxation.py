"""Collisions of f_L with phonons, of a bath or with an occupation of their own in every cell.

The sums are those of `fvqp.collisions.electron_phonon`: with occupations ``f = (1 − f_L)/2`` and the bin
measure of any spectrum's density of states and pairing, ``I_L = 2 γ_ep N ∂f/∂t`` (theory:
phonon_relaxation). Energies are in units of Δ0, rates in Δ0/ħ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fvqp.collisions.electron_phonon import FOURIER_FROM, Coupling, ElectronPhonon, Evaluation
from fvqp.collisions.process import GainLoss
from fvqp.collisions.quasistatic_phonons import SLOWEST, STEEPEST, QuasistaticPhonons, inverted
from fvqp.energy import BinWeights, EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats

#: Phonon energies of a bath on a graded axis begin at this part of the finest bin.
_SMALLEST = 1e-3

#: Of phonons of more than this times the temperature of a bath there are none.
_BEYOND = 600.0


@dataclass(frozen=True)
class PhononBath:
    """Phonons that quasiparticles collide with.

    Attributes:
        strength: γ_ep = ħ/(Δ0 τ0), with τ0 of the material.
        kappa: Δ0/k_BT_c of the material, to whose third power rates in 1/τ0 are proportional.
        temperature: of the bath, units of Δ0/k_B.
        escape_time: τ_esc/τ0 after which a phonon is in the bath; None for phonons that are always there.
        pair_breaking_time: τ0^pb/τ0, which says how many phonon modes there are; with ``escape_time`` only.
    """

    strength: float
    kappa: float
    temperature: float
    escape_time: float | None = None
    pair_breaking_time: float | None = None

    def __post_init__(self) -> None:
        for name in ("strength", "kappa", "temperature"):
            if not getattr(self, name) > 0.0:
                raise CaseError(f"phonons: {name} must be positive, found {getattr(self, name):g}")
        if (self.escape_time is None) != (self.pair_breaking_time is None):
            raise CaseError(
                "phonons: escape_time and pair_breaking_time belong together: phonons with an occupation of "
                "their own need both, those of a bath neither"
            )
        if self.escape_time is not None and not self.escape_time > 0.0:
            raise CaseError(f"phonons: escape_time must be positive, found {self.escape_time:g}")


class PhononCollisions:
    """The collision integral ``I_L`` of the energy mode with phonons, ``N ∂f_L/∂t = … − I_L``.

    Args:
        grid: energy bins; their centres are the energies of the quasiparticles.
        phonons: what they collide with.
    """

    rounding = 0.0

    def __init__(self, grid: EnergyAxis, phonons: PhononBath) -> None:
        self.grid, self.phonons = grid, phonons
        evaluation: Evaluation = "fourier" if grid.n >= FOURIER_FROM else "direct"
        own = phonons.escape_time is not None
        points = grid.with_phonons()
        if not grid.is_uniform:
            evaluation = "graded"
        if not (grid.is_uniform or own):
            # What a phonon of a bath does is interpolated in ln(1 + 1/n) = ω/t: two points are enough, and
            # one from which on n may be too small for a number.
            top = 2.0 * grid.maximum
            last = min(_BEYOND * phonons.temperature, top)
            ends = np.unique([_SMALLEST * grid.widths.min(), last, top])
            points = EnergyAxis(grid.edges, ends)
        self.operator = ElectronPhonon(
            points,
            Coupling(phonons.kappa, phonons.pair_breaking_time or 1.0),
            evaluation,
            split_shares=own,
        )
        x = points.phonon_energies / phonons.temperature
        self.bath = -np.exp(-x) / np.expm1(-x)
        self._quasistatic: QuasistaticPhonons | None = None
        if phonons.escape_time is not None and evaluation == "graded":
            self._quasistatic = QuasistaticPhonons(self.operator.events, self.bath, 1.0 / phonons.escape_time)

    @property
    def largest_rate(self) -> float:
        """Loss rate of an electron at the end of the axis, in a cold normal metal."""
        return self.phonons.strength * (self.phonons.kappa * self.grid.maximum) ** 3 / 3.0

    @property
    def unkept_rate(self) -> float:
        """The same: phonons take energy."""
        return self.largest_rate

    def at(self, dos: Floats, pairing: Floats, f_L: Floats) -> PhononRelaxation:
        """The integral and its derivative at distributions ``f_L[cell, bin]`` (the whole, not a deviation).

        Args:
            dos, pairing: bin averages of N and P = Im F, ``(cells, N)``, or ``(1, N)`` for all cells.
        """
        bin_weights = BinWeights(dos * self.grid.widths, pairing * self.grid.widths)
        f = 0.5 * (1.0 - f_L)
        bath = np.broadcast_to(self.bath, (len(f), self.bath.size))
        weight = self.phonons.strength * dos
        if self.phonons.escape_time is None:
            n, decay = np.ascontiguousarray(bath), None
        else:
            n, decay = self._steady_phonons(bin_weights, f_L, f, bath, 1.0 / self.phonons.escape_time)
        change, now = self._rates(bin_weights, f, n)
        rate = 2.0 * weight * change
        loss = weight * (now.in_f + now.out_f)
        return PhononRelaxation(self, bin_weights, f_L, f, n, decay, weight, rate, loss)

    def _rates(self, bin_weights: BinWeights, f: Floats, n: Floats) -> tuple[Floats, GainLoss]:
        """``∂f/∂t`` and its gain and loss; on graded axes these are cut where f is not between 0 and 1."""
        if self.operator.evaluation == "graded":
            rates, parts = self.operator.balance(bin_weights, f, n)
            return rates.f, parts()
        parts_only = self.operator.gain_loss(bin_weights, f, n)
        return parts_only.rates(f, n).f, parts_only

    def _steady_phonons(
        self, bin_weights: BinWeights, f_L: Floats, f: Floats, bath: Floats, leaves: float
    ) -> tuple[Floats, Floats]:
        """Phonons of which gain, loss and escape at the rate ``leaves`` balance, and the decay of a surplus.

        A step of Newton's method for f_L may invert quasiparticles such that phonons have no steady state;
        they then decay at the slowest rate.
        """
        if self._quasistatic is not None:
            states = bin_weights.dos_weights, bin_weights.pair_weights, bin_weights.dos_weights
            found = self._quasistatic.steady(states, np.stack([f_L, np.zeros_like(f_L)], axis=1))
            return found.n, found.decay
        # Energies of a point's phonons are one and the same, and gain and loss are linear in n.
        now = self.operator.gain_loss(bin_weights, f, bath)
        decay = np.maximum(now.out_n - now.in_n + leaves, SLOWEST * leaves)
        return (now.in_n + bath * leaves) / decay, decay


@dataclass(frozen=True, eq=False)
class PhononRelaxation:
    """`PhononCollisions` at given spectra and distributions: the integral, its loss rate, its derivative.

    Attributes:
        collisions: the operator.
        bin_weights: states and coherence of the bins.
        f_L, f: ``(cells, N)``, ``f = (1 − f_L)/2``.
        n: phonon occupation, ``(cells, K)``.
        decay: rate at which a surplus of phonons decays, ``(cells, K)``, 1/τ0; None in a bath.
        weight: ``γ_ep N``.
        rate: ``I_L``, ``(cells, N)``; positive where f_L is lost.
        loss: coefficient of f_L in its own ``I_L``, ``(cells, N)``.
    """

    collisions: PhononCollisions
    bin_weights: BinWeights
    f_L: Floats
    f: Floats
    n: Floats
    decay: Floats | None
    weight: Floats
    rate: Floats
    loss: Floats

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, N)``: the Jacobian's action."""
        operator = self.collisions.operator
        step_f, step_n, n = -0.5 * step, np.zeros_like(self.n), self.n
        if self.decay is not None and operator.evaluation == "graded":
            n = np.maximum(n, STEEPEST)
        moved = operator.jvp(self.bin_weights, self.f, n, step_f, step_n)
        if self.decay is not None:
            step_n = moved.n / self.decay
            moved = operator.jvp(self.bin_weights, self.f, n, step_f, step_n)
        return 2.0 * self.weight * moved.f

    @property
    def inverted(self) -> bool:
        """True if some phonons have no steady state, since quasiparticles emit more than they absorb."""
        escape = self.collisions.phonons.escape_time
        return self.decay is not None and escape is not None and inverted(self.decay, 1.0 / escape)

    def escaping(self) -> Floats:
        """Energy that leaves to the bath by phonons of every cell, units of ``∫ε I_L dε``.

        Phonons of a bath take all that quasiparticles give.
        """
        c = self.collisions
        if self.decay is None or c.phonons.escape_time is None:
            return -self.rate @ (c.grid.energies * c.grid.widths)
        surplus = (self.n - c.bath) * c.operator.phonon_modes * c.operator.grid.phonon_energies
        return 2.0 * c.phonons.strength * surplus.sum(axis=1) / c.phonons.escape_time
