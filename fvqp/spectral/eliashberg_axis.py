"""Right-hand sides of the Eliashberg equations on a uniform energy axis, by FFT.

Theory page Eliashberg: imaginary parts are convolutions of cell
integrals of ρ and ϕ with α²F, real parts Hilbert transforms of piecewise linear functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft

from fvqp.errors import CaseError
from fvqp.spectral.alpha2f import Alpha2F
from fvqp.typing import Complexes, Floats, Ints

Occupation = Callable[[Floats], ArrayLike]

_BROADENING = 1e-10  # of Ω_max: makes the retarded root unambiguous; larger than rounding of the convolutions
_REACH = 12.0  # Ω_max, and at least
_REACH_OF_DAMPING = 16.0  # times the damping Im εZ = π ∫α²F far above the phonons
_TINY = 1e-290
_STEEP = 1e9
_FLAT = 1e-7  # relative change of εZ in a cell below which first moments would be rounding


def retarded_root(X: Complexes, phi: Complexes) -> Complexes:
    """``√(X² − φ²)`` with the retarded sign; ``X ≠ 0``.

    The retarded root has both ``Im √ ≥ 0`` and ``Re X/√ ≥ 0`` (a positive density of states). Iterates may
    break one of them; its sign is therefore taken from the projection on the middle of both directions,
    ``X/|X| + i``.
    """
    root = X * np.sqrt(1.0 - (phi / X) ** 2)
    return np.where((root * (X.conj() / np.abs(X) - 1j)).real < 0.0, -root, root)


class CellIntegrals(NamedTuple):
    """Integrals over cells: ``∫ρ dε``, ``∫ϕ dε``; first moments ``∫ρ (ε − ε_centre) dε`` over the width."""

    rho: Floats
    pair: Floats
    rho_moment: Floats
    pair_moment: Floats


def cell_integrals(
    X1: Complexes, X2: Complexes, phi1: Complexes, phi2: Complexes, width: float | Floats
) -> CellIntegrals:
    """Integrals over cells in which εZ and φ go linearly from X1, φ1 to X2, φ2.

    X² − φ² does not change under ``X → γ(X − vφ), φ → γ(φ − vX), γ = (1−v²)^-½``; with v the ratio of the two
    slopes the new φ is constant, and the integrals are elementary (theory page Eliashberg). They are written
    as quotients of sums, which stay accurate for X1 → X2. Where the ratio is not small (far from the edge,
    where φ ≪ X and constant φ is as good to second order) it is led smoothly to zero. Near the edge the rule
    must be exact: a slightly different edge on the two sides of a node makes the iteration cycle.
    """
    slope_X, slope_phi = X2 - X1, phi2 - phi1
    square = np.abs(slope_X) ** 2 + _TINY
    limiter = 1.0 + np.minimum(2.0 * np.abs(slope_phi) ** 2 / square, _STEEP) ** 8
    v = slope_phi * slope_X.conj() / (square * limiter)
    gamma = 1.0 / np.sqrt(1.0 - v**2)
    Y1, Y2 = gamma * (X1 - v * phi1), gamma * (X2 - v * phi2)
    psi = 0.5 * gamma * (phi1 + phi2 - v * (X1 + X2))
    r1, r2 = retarded_root(Y1, psi), retarded_root(Y2, psi)
    step, middle = Y2 - Y1, 0.5 * (Y1 + Y2)
    a = 2.0 * middle / (r1 + r2)
    ratio = (1.0 + a) / (Y1 + r1)
    u = step * ratio
    small = np.abs(u) < 1e-4
    safe = np.where(small, 1.0, u)
    b = psi * ratio * np.where(small, 1.0 - u * (0.5 - u / 3.0), np.log(1.0 + safe) / safe)
    flat = np.abs(step) < _FLAT * np.abs(middle)
    inverse = np.where(flat, 0.0, 1.0 / np.where(flat, 1.0, step))
    a_moment = 0.5 * inverse * (0.5 * (r1 + r2) - middle * a + psi * b)
    b_moment = inverse * (psi * a - middle * b)
    back, mixed = gamma * width, gamma * v * width
    return CellIntegrals(
        (back * a + mixed * b).real,
        (back * b + mixed * a).real,
        (back * a_moment + mixed * b_moment).real,
        (back * b_moment + mixed * a_moment).real,
    )


class SelfEnergies:
    """Right-hand sides of the Eliashberg equations on a uniform axis of real energies."""

    def __init__(
        self, spectrum: Alpha2F, h: float, f: Occupation, n: Occupation, coulomb: float, cutoff: float
    ) -> None:
        per_phonon = round(spectrum.largest_energy / h)
        reach = max(_REACH * spectrum.largest_energy, _REACH_OF_DAMPING * np.pi * spectrum.area, 2.0 * cutoff)
        size = math.ceil(reach / h)
        self.h, self.size, self.phonons = h, size, per_phonon
        self.energy: Floats = h * np.arange(size + 1, dtype=np.float64)
        self.broadening = 1j * _BROADENING * spectrum.largest_energy
        self.coulomb, self.cutoff = coulomb, cutoff
        self.centre: Floats = h * (np.arange(size + per_phonon, dtype=np.float64) + 0.5)
        self.F_L: Floats = 1.0 - 2.0 * _checked(f, self.centre, "f", 1.0)
        self._F_L_step: Floats = np.gradient(self.F_L)
        omega = self.centre[:per_phonon]
        interaction = spectrum.cell_means(h, per_phonon)
        even = interaction * (_checked(n, omega, "n", math.inf) + 0.5)
        odd = 0.5 * interaction
        self._length = fft.next_fast_len(2 * (size + per_phonon) + 2 * per_phonon, real=True)
        self._even = fft.rfft(np.concatenate((even[::-1], even)), self._length)
        self._odd = fft.rfft(np.concatenate((-odd[::-1], odd)), self._length)
        self._hilbert_length = fft.next_fast_len(4 * size + 1, real=True)
        lags = np.arange(-2 * size, 2 * size + 1)
        self._hilbert = fft.rfft(hilbert_weights(lags)[::-1], self._hilbert_length)
        self.normal_imaginary: Floats = np.pi * h * (2.0 * np.sum(even) + self._convolve(None, self.F_L))
        self.normal: Complexes = self._with_real_part(self.normal_imaginary)
        last = float(self.energy[-1])
        x, w = np.polynomial.legendre.leggauss(24)
        t = 0.5 * (1.0 + x) / last
        self._beyond_cutoff: Floats = (2.0 / np.pi) * np.arctan(self.centre[:size] / cutoff)
        self._coulomb_tail = float((2.0 / np.pi) * np.sum(0.5 * w / last * np.arctan(cutoff * t) / t)) * last
        edge = last + 0.5 * h
        # Beyond the axis Im φ = C/ε + D/ε² + E/ε³, from three energies on it; their Hilbert transforms.
        self._tail_nodes = [size // 2, 3 * size // 4, size]
        powers = np.array([1.0, 2.0, 3.0])
        fit = np.linalg.inv((edge / self.energy[self._tail_nodes, None]) ** powers)
        self._phi_tail: Floats = (_tail_transforms(self.energy / edge).T @ fit).T

    def apply(self, X: Complexes, phi: Complexes) -> tuple[Complexes, Complexes, float]:
        """New εZ, φ and φ_C.

        Phonons act on the given φ, the Coulomb repulsion about on the new one, which is what it is for the
        solution; the iteration then converges whatever its strength.
        """
        cells = cell_integrals(X[:-1], X[1:], phi[:-1], phi[1:], self.h)
        excess = np.concatenate((cells.rho - self.h, np.zeros(self.phonons)))
        beyond = cells.pair[-1] * self.centre[self.size - 1] / self.centre[self.size :]
        pair = np.concatenate((cells.pair, beyond))
        nothing = np.zeros(self.phonons)
        excess_moment = np.concatenate((cells.rho_moment, nothing))
        pair_moment = np.concatenate((cells.pair_moment, nothing))
        driven_excess, driven_pair = (
            w * self.F_L + moment * self._F_L_step
            for w, moment in ((excess, excess_moment), (pair, pair_moment))
        )
        imag_X = self.normal_imaginary + np.pi * self._convolve(
            _centred(excess, excess_moment, -1.0), _centred(driven_excess, excess_moment * self.F_L, 1.0)
        )
        imag_phi = np.pi * self._convolve(
            _centred(pair, pair_moment, 1.0), _centred(driven_pair, pair_moment * self.F_L, -1.0), odd=True
        )
        real_phi = self._transform(np.concatenate((-imag_phi[:0:-1], imag_phi)))
        real_phi += imag_phi[self._tail_nodes] @ self._phi_tail
        pairs = float(
            np.sum(driven_pair[: self.size] - cells.pair * self._beyond_cutoff)
            + cells.pair[-1] / self.h * self._coulomb_tail
        )
        # About the derivative of ``pairs`` by a constant that is added to φ.
        inverse = self.h / np.hypot(np.abs(X[1:]), abs(phi[0]))
        slope = max(float(inverse @ (self.F_L[: self.size] - self._beyond_cutoff)), 0.0)
        slope += inverse[-1] / self.h * self._coulomb_tail
        change = float(real_phi[0] - phi[0].real)
        term = -self.coulomb * (pairs + slope * change) / (1.0 + self.coulomb * slope)
        real_phi += term
        return self._with_real_part(imag_X), real_phi + 1j * imag_phi, term

    def _with_real_part(self, imaginary: Floats) -> Complexes:
        deviation = imaginary - imaginary[-1]  # a constant has no Hilbert transform
        real = self.energy + self._transform(np.concatenate((deviation[:0:-1], deviation)))
        return real + 1j * imaginary + self.broadening

    def _convolve(self, plain: Floats | None, driven: Floats, odd: bool = False) -> Floats:
        """``Σ plain S + Σ driven A`` at ε ≥ 0; ``plain`` is even (odd if ``odd``), ``driven`` the other."""
        sign = 1.0 if odd else -1.0
        total = fft.rfft(np.concatenate((sign * driven[::-1], driven)), self._length) * self._odd
        if plain is not None:
            total += fft.rfft(np.concatenate((-sign * plain[::-1], plain)), self._length) * self._even
        # Node i sees cell c at the lag i − c − ½ = k + ½; node −N is index 2M − 1 of the full convolution.
        first = 2 * self.phonons - 1 + self.size
        return fft.irfft(total, self._length)[first : first + self.size + 1]

    def _transform(self, imaginary: Floats) -> Floats:
        """Hilbert transform ``(1/π) P∫ g(ε')/(ε'−ε) dε'`` of a piecewise linear function, at ε ≥ 0."""
        total = fft.irfft(fft.rfft(imaginary, self._hilbert_length) * self._hilbert, self._hilbert_length)
        # Linear convolution index i + 2N, i = 0…2N over both sides; wrapped parts lie outside N…2N.
        index = np.arange(3 * self.size, 4 * self.size + 1) % self._hilbert_length
        return total[index]


def _centred(weights: Floats, moments: Floats, mirror: float) -> Floats:
    """Cell contents that have the given first moments when each acts from its cell's centre.

    ``mirror``: the moment of cell −1 over that of cell 0.
    """
    before = np.concatenate(([mirror * moments[0]], moments[:-1]))
    after = np.concatenate((moments[1:], [0.0]))
    return weights + 0.5 * (before - after)


def hilbert_weights(lag: Ints) -> Floats:
    """``(1/π) P∫ Λ(x − u)/x dx`` of the unit hat function Λ, at integer u (theory page Eliashberg)."""
    u = np.abs(lag).astype(np.float64)
    near = np.minimum(u, 40.0)

    def xlogx(x: Floats) -> Floats:
        return x * np.log(np.where(x > 0.0, x, 1.0))

    exact = xlogx(near + 1.0) - 2.0 * xlogx(near) + np.where(near >= 1.0, xlogx(np.abs(near - 1.0)), 0.0)
    far = np.maximum(u, 1.0)
    series = (1.0 + (1.0 / 6.0 + (1.0 / 15.0 + 1.0 / 28.0 / far**2) / far**2) / far**2) / far
    return np.sign(lag) * np.where(u < 40.0, np.where(u > 0.0, exact, 0.0), series) / np.pi


def _tail_transforms(x: Floats) -> Floats:
    """``(2/π) P∫_1^∞ y g(y)/(y² − x²) dy`` for ``g = 1/y, 1/y², 1/y³`` and ``0 ≤ x < 1``."""
    safe = np.maximum(x, 1e-3)
    square = x**2
    log = np.where(x < 1e-3, 1.0 + square / 3.0, np.arctanh(safe) / safe)
    first = 2.0 * log
    second = np.where(x < 1e-3, 1.0 + 0.5 * square, -np.log1p(-(safe**2)) / safe**2)
    third = 2.0 * np.where(x < 1e-3, 1.0 / 3.0 + square / 5.0, (np.arctanh(safe) / safe - 1.0) / safe**2)
    return np.array((first, second, third)) / np.pi


def _checked(occupation: Occupation, at: Floats, name: str, largest: float) -> Floats:
    values = np.asarray(occupation(at), dtype=np.float64)
    if values.shape != at.shape:
        raise CaseError(f"occupation {name}: must return one value an energy, {at.shape}, not {values.shape}")
    wrong = np.flatnonzero(~((values >= 0.0) & (values <= largest)))
    if wrong.size:
        allowed = "between 0 and 1" if largest == 1.0 else "finite and not negative"
        raise CaseError(
            f"occupation {name} = {values[wrong[0]]:g} at energy {at[wrong[0]]:g}: must be {allowed}"
        )
    return values
