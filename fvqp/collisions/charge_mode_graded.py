"""Collisions of f_L and f_T together on a graded energy axis, with electrons and with phonons of a bath.

Electrons collide on a uniform lattice, in which every bin takes part at the two points next to it, at its
temperature and its potential. A bath of phonons takes any energy: no lattice is needed there (theory:
charge_mode). Energies are in units of Δ0, rates in Δ0/ħ.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fvqp.collisions.charge_mode import Spectra, Sums, TransformedSums, bath_of
from fvqp.collisions.electron_electron import conserve
from fvqp.collisions.electron_electron_shared import EnergyKept, SharedElectronElectron
from fvqp.collisions.phonon_relaxation import PhononBath
from fvqp.energy import EnergyAxis
from fvqp.typing import Floats

#: States take part at another energy with their own temperature and potential where ``|μ|/2t`` is at most the
#: first of these, with their own occupation where it is more than the second: there electrons or holes alone
#: are left, of the other kind there is rounding only, and no temperature follows from both.
_SHIFTS = 2.0, 3.0

#: Largest number below 1.
_LAST = 1.0 - 2.0**-53


@dataclass(frozen=True)
class ElectronsOfBothModes:
    """Electron-electron collisions of both modes.

    Attributes:
        shared: those of f_L alone, with the lattice.
    """

    shared: SharedElectronElectron
    unkept_rate = 0.0

    @property
    def rounding(self) -> float:
        """See `fvqp.collisions.collision_sum.CollisionKind`."""
        return self.shared.rounding

    @property
    def largest_rate(self) -> float:
        """See `fvqp.collisions.collision_sum.CollisionKind`."""
        return self.shared.largest_rate

    def at(self, spectra: Spectra, f: Floats) -> ElectronRelaxation:
        """The integrals at distributions ``f[cell, (L, T), bin]``."""
        return ElectronRelaxation(self.shared, spectra, f)


class ElectronRelaxation:
    """`ElectronsOfBothModes` at given spectra and distributions.

    Attributes:
        rate: ``I_L`` and ``I_T``, ``(cells, 2, N)``.
        loss: coefficient of f_L and f_T in their own integrals, without what sharing corrects, like ``rate``.
    """

    def __init__(self, shared: SharedElectronElectron, spectra: Spectra, f: Floats) -> None:
        self._shared, self._spectra = shared, spectra
        self._states = [Shifted(f, ratio) for _, _, ratio in shared.sides]
        on_lattice = Spectra(*(shared.on_lattice(part, part) for part in spectra))
        nothing = np.zeros(1, np.complex128)
        self._met = TransformedSums(
            shared.lattice, nothing, on_lattice, self._products([state.f for state in self._states])
        )
        self._sums = self._of_bins(self._met.sums)
        self._own = []
        rate, loss, excess = np.zeros_like(f), np.zeros_like(f), np.zeros(len(f))
        for state, sums, beyond in zip(self._states, self._sums, shared.beyond, strict=True):
            part, own = sums.integrals(spectra, state.f)
            rate += part
            loss += own
            excess += part[:, 0] @ beyond
            self._own.append(own)
        self._kept = EnergyKept(shared, rate[:, 0].copy(), loss[:, 0], excess)
        rate[:, 0] = self._kept.rate
        conserve(rate[:, 1], loss[:, 1], shared.grid.widths)
        self.rate, self.loss = rate, loss

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, 2, N)``: the Jacobian's action."""
        steps = [state.change(step) for state in self._states]
        moved = self._of_bins(self._met.moved(self._products(steps)))
        out, excess = np.zeros_like(step), np.zeros(len(step))
        sides = zip(self._states, self._sums, self._own, steps, moved, self._shared.beyond, strict=True)
        for state, sums, own, here, met, beyond in sides:
            part = sums.changes(self._spectra, state.f, own, here, met)
            out += part
            excess += part[:, 0] @ beyond
        out[:, 0] = self._kept.change(out[:, 0].copy(), excess)
        return out

    def _products(self, f: list[Floats]) -> tuple[Floats, Floats, Floats, Floats]:
        """Sums over states at every lattice point of ``P h``, ``N h``, ``N t`` and ``R t``."""
        left, right = (self._spectra.products(side) for side in f)
        ph, nh, nt, rt = (self._shared.on_lattice(*pair) for pair in zip(left, right, strict=True))
        return ph, nh, nt, rt

    def _of_bins(self, sums: Sums) -> list[Sums]:
        """Return values of the lattice points on either side of the bins, times their shares."""
        return [Sums(*(share * part[:, point] for part in sums)) for point, share, _ in self._shared.sides]


class Shifted:
    """Distributions of both modes at another energy ``ratio ε``, with the temperature and the potential of ε.

    Those of ``h ± t = tanh((ε ∓ μ)/2t_e)``; see `_SHIFTS`. Values beyond ±1, which rounding makes, stay.

    Attributes:
        f: ``(cells, 2, N)``.
    """

    def __init__(self, f: Floats, ratio: Floats) -> None:
        s = _kinds(f)
        inside = np.abs(s) < 1.0
        reduced = np.where(inside, s, 0.0)
        # ε/2t ∓ μ/2t, ε/2t and, of both kinds, -μ/2t.
        turned = np.arctanh(np.where(inside, s, np.copysign(_LAST, s)))
        thermal, shift = 0.5 * (turned[:, 0] + turned[:, 1]), 0.5 * (turned[:, 0] - turned[:, 1])
        low, high = _SHIFTS
        x = np.clip((np.abs(shift) - low) / (high - low), 0.0, 1.0)
        weight = 1.0 - x * x * (3.0 - 2.0 * x)
        slope = -np.sign(shift) * 6.0 * x * (1.0 - x) / (high - low)
        beyond = ratio - 1.0
        at = turned + (beyond * thermal * weight)[:, None]
        moved = np.where(inside, np.tanh(at), s)
        self.f = _modes(moved)
        # Slopes: of tanh there and of artanh here, and what either kind does to the sum in between.
        self._inside = inside
        power, q = np.exp(-2.0 * np.abs(at)), (1.0 - np.abs(reduced)) / (1.0 + np.abs(reduced))
        self._there = 4.0 * power / (1.0 + power) ** 2
        self._here = np.where(inside, (1.0 + q) ** 2 / (4.0 * q), 0.0)
        self._by = 0.5 * beyond * np.stack([weight + thermal * slope, weight - thermal * slope])

    def change(self, step: Floats) -> Floats:
        """Change of `f` by a step of the distributions at ε."""
        s = _kinds(step)
        turned = self._here * s
        both = self._by[0] * turned[:, 0] + self._by[1] * turned[:, 1]
        return _modes(np.where(self._inside, self._there * (turned + both[:, None]), s))


def _kinds(f: Floats) -> Floats:
    """Return distributions of electrons and of holes, ``h ± t``."""
    return np.stack([f[:, 0] + f[:, 1], f[:, 0] - f[:, 1]], axis=1)


def _modes(s: Floats) -> Floats:
    """h and t of electrons and holes."""
    return 0.5 * np.stack([s[:, 0] + s[:, 1], s[:, 0] - s[:, 1]], axis=1)


class BathOfBothModes:
    """Collisions of both modes with phonons of a bath, as sums over pairs of bins.

    Args:
        grid: energy bins.
        phonons: of a bath.

    Raises:
        CaseError: phonons with an occupation of their own.
    """

    rounding = 0.0

    def __init__(self, grid: EnergyAxis, phonons: PhononBath) -> None:
        energies = grid.energies
        differences, sums = np.subtract.outer(energies, energies), np.add.outer(energies, energies)
        (A, C), (A_pair, C_pair) = bath_of(phonons, differences), bath_of(phonons, sums)
        #: A and C summed over both signs of the second energy, for even and odd sequences of it; columns are
        #: first energies.
        self.even_A, self.odd_A, self.even_C, self.odd_C = (
            np.ascontiguousarray((grid.widths * part).T)
            for part in (A + A_pair, A - A_pair, C + C_pair, C - C_pair)
        )
        self.largest_rate = self.unkept_rate = phonons.strength * (phonons.kappa * grid.maximum) ** 3 / 3.0
        self.widths = grid.widths

    def at(self, spectra: Spectra, f: Floats) -> BathRelaxation:
        """The integrals at distributions ``f[cell, (L, T), bin]``."""
        return BathRelaxation(self, spectra, f)

    def sums(
        self, spectra: Spectra, products: tuple[Floats, Floats, Floats, Floats], share: float = 1.0
    ) -> Sums:
        """The sums; spectra count ``share``: 0 for changes of the sums by those of the products."""
        ph, nh, nt, rt = products
        dos, pairing, anomalous = (share * part for part in spectra)
        return Sums(
            dos @ self.even_A - nh @ self.odd_C,
            pairing @ self.odd_A - ph @ self.even_C,
            dos @ self.even_C - nh @ self.odd_A,
            pairing @ self.odd_C - ph @ self.even_A,
            nt @ self.even_C,
            rt @ self.even_C,
            anomalous @ self.even_A,
            nt @ self.even_A,
            rt @ self.even_A,
        )


class BathRelaxation:
    """`BathOfBothModes` at given spectra and distributions.

    Attributes:
        rate, loss: see `fvqp.collisions.charge_mode.ChargeModeRelaxation`.
    """

    def __init__(self, bath: BathOfBothModes, spectra: Spectra, f: Floats) -> None:
        self._bath, self._spectra, self._f = bath, spectra, f
        self._sums = bath.sums(spectra, spectra.products(f))
        self.rate, self.loss = self._sums.integrals(spectra, f)
        conserve(self.rate[:, 1], self.loss[:, 1], bath.widths)

    def derivative(self, step: Floats) -> Floats:
        """Change of `rate` along ``step``, ``(cells, 2, N)``: the Jacobian's action."""
        moved = self._bath.sums(self._spectra, self._spectra.products(step), share=0.0)
        return self._sums.changes(self._spectra, self._f, self.loss, step, moved)
