"""Eliashberg equations on the real axis, in or out of equilibrium: Z(ε), φ(ε) and what follows from them.

    Im εZ = π ∫_{-∞}^{∞} dε' ρ(ε') [S(ε−ε') + F_L(ε') A(ε−ε')],   Re εZ = ε + H[Im εZ]
    Im φ  = π ∫_{-∞}^{∞} dε' ϕ(ε') [S(ε−ε') + F_L(ε') A(ε−ε')],   Re φ = H[Im φ] + φ_C
    S(x) = α²F(|x|)(n(|x|) + ½),  A(x) = ½ sgn(x) α²F(|x|),  F_L = 1 − 2f      (theory, Eq. (eli-imaginary))

with ``ρ + … = εZ/√((εZ)² − φ²)``, ``ϕ + … = φ/√((εZ)² − φ²)`` (real parts), the Hilbert transform H, and the Coulomb
term φ_C, whose cut-off is the one of the Matsubara axis. All energies (also k_B T) are in the unit of α²F.

The axis has one spacing. ρ and ϕ are integrated over cells in closed form with εZ and φ linear inside, so that the
edge may lie anywhere; imaginary parts are convolutions of cells, real parts those of hat functions, both
by FFT: O(N log N) an iteration.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft

from fvqp.errors import CaseError
from fvqp.spectral.alpha2f import Alpha2F
from fvqp.spectral.eliashberg_matsubara import critical_temperature, default_cutoff, solve_matsubara
from fvqp.spectral.eliashberg_mixing import fixed_point

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Occupation = Callable[[Floats], ArrayLike]

_BROADENING = 1e-10  # of Ω_max: makes the retarded root unambiguous; larger than rounding of the convolutions
_REACH = 12.0  # Ω_max, and at least
_REACH_OF_DAMPING = 16.0  # times the damping Im εZ = π ∫α²F far above the phonons
_CELLS_PER_PHONON = 300
_CELLS_PER_GAP = 10.0
_CELLS_PER_TEMPERATURE = 6.0
_MOST_CELLS_PER_GAP = 40.0
_NORMAL = 1e-5  # of the guess: a φ below is on its way to zero
_TINY = 1e-290
_FLAT = 1e-7  # relative change of εZ in a cell below which first moments would be rounding
_FERMI_RANGE = 700.0  # largest argument of an exponential


@dataclass(frozen=True, eq=False)
class BinnedEliashberg:
    """Bin measure of an Eliashberg spectrum; takes the place of the BCS one in collision integrals.

    With these, the weight of an event between bins i and j is ``s_i s_j ∓ p_i p_j ≥ 0`` (− scattering,
    + recombination), as ``s_i s_j ∓ Δ² q_i q_j`` is in BCS theory.

    Attributes:
        edges: ``(n + 1,)``.
        s: ``∫ ρ dε`` over the bins, ``(n,)``.
        p: ``∫ ϕ dε``; ``|p| ≤ s``. BCS: Δ q.
        renormalization: mean of ``∂_ε Re εZ − (ϕ/ρ) ∂_ε Re φ``, which multiplies ∂f/∂t in the kinetic equation,
            weighted with ρ; 1 + λ at low energy, 1 far above the phonons.
        gap: edge Δ0.
    """

    edges: Floats
    s: Floats
    p: Floats
    renormalization: Floats
    gap: float

    @property
    def q(self) -> Floats:
        """``∫ ϕ dε / Δ0``, for kernels written with Δ² q_i q_j; 0 in the normal state."""
        return self.p / self.gap if self.gap > 0.0 else np.zeros_like(self.p)

    @property
    def dos(self) -> Floats:
        """Mean of ρ over the bins."""
        return self.s / np.diff(self.edges)

    @property
    def pair_amplitude(self) -> Floats:
        """Mean of ϕ over the bins."""
        return self.p / np.diff(self.edges)


@dataclass(frozen=True, eq=False)
class EliashbergSpectrum:
    """Solution at ``ε = 0, h, 2h, …``; εZ is odd and φ even under ``ε → −ε`` with complex conjugation.

    Attributes:
        energy: ε ≥ 0, ``(n,)``, evenly spaced from 0.
        epsilon_Z: ``εZ(ε)``.
        phi: ``φ(ε)``.
        coulomb_term: φ_C.
        spectrum: α²F it belongs to.
        iterations, residual: of the solution.
    """

    energy: Floats
    epsilon_Z: Complexes
    phi: Complexes
    coulomb_term: float
    spectrum: Alpha2F
    iterations: int
    residual: float

    @property
    def spacing(self) -> float:
        return float(self.energy[1])

    @property
    def Z(self) -> Complexes:
        """``Z(ε)``; the entry at ε = 0 repeats that of the next energy (at T > 0, Im Z diverges at 0)."""
        out = np.empty_like(self.epsilon_Z)
        out[1:] = self.epsilon_Z[1:] / self.energy[1:]
        out[0] = out[1]
        return out

    @property
    def gap(self) -> Complexes:
        """Complex gap ``Δ(ε) = φ/Z``."""
        return self.energy * self.phi / self.epsilon_Z

    @property
    def dos(self) -> Floats:
        """``ρ = Re εZ/√((εZ)² − φ²)``, in units of the normal one (bare band density)."""
        return (self.epsilon_Z / retarded_root(self.epsilon_Z, self.phi)).real

    @property
    def pair_amplitude(self) -> Floats:
        """``ϕ = Re φ/√((εZ)² − φ²)``; BCS: ``Δ/√(ε² − Δ²)`` above the gap."""
        return (self.phi / retarded_root(self.epsilon_Z, self.phi)).real

    @cached_property
    def gap_edge(self) -> float:
        """Δ0, where ``Re Δ(ε) = ε``; 0 in the normal state, or if damping leaves no such energy."""
        excess = self.gap.real - self.energy
        down = np.flatnonzero((excess[:-1] > 0.0) & (excess[1:] <= 0.0))
        if down.size == 0:
            return 0.0
        k = int(down[-1])
        return float(self.energy[k] + self.spacing * excess[k] / (excess[k] - excess[k + 1]))

    def bins(self, edges: ArrayLike) -> BinnedEliashberg:
        """Integrals over the bins between ``edges ≥ 0``.

        Raises:
            CaseError: edges that do not increase or leave the range of the solution.
        """
        bounds = np.asarray(edges, dtype=np.float64)
        if bounds.ndim != 1 or bounds.size < 2 or not np.all(np.diff(bounds) > 0.0):
            raise CaseError("bins of an Eliashberg spectrum: edges must be one increasing row")
        if bounds[0] < 0.0 or bounds[-1] > self.energy[-1]:
            raise CaseError(
                f"bins of an Eliashberg spectrum: edges from {bounds[0]:g} to {bounds[-1]:g} leave the solved range, "
                f"0 to {self.energy[-1]:g}"
            )
        points = np.union1d(self.energy, bounds)
        points = points[(points >= bounds[0]) & (points <= bounds[-1])]
        left = np.minimum(np.searchsorted(self.energy, points[:-1], side="right") - 1, self.energy.size - 2)
        X = np.interp(points, self.energy, self.epsilon_Z)
        phi = np.interp(points, self.energy, self.phi)
        cells = cell_integrals(X[:-1], X[1:], phi[:-1], phi[1:], np.diff(points))
        rho, pair = cells.rho, cells.pair
        slope_X = (self.epsilon_Z[left + 1] - self.epsilon_Z[left]).real / self.spacing
        slope_phi = (self.phi[left + 1] - self.phi[left]).real / self.spacing
        first = np.searchsorted(points, bounds[:-1])
        s, p = np.add.reduceat(rho, first), np.add.reduceat(pair, first)
        factor = np.add.reduceat(rho * slope_X - pair * slope_phi, first) / s
        return BinnedEliashberg(bounds, s, p, factor, self.gap_edge)


def retarded_root(X: Complexes, phi: Complexes) -> Complexes:
    """``√(X² − φ²)`` with the sign for which the density of states ``Re X/√`` is positive; ``Im X > 0``."""
    return X * np.sqrt(1.0 - (phi / X) ** 2)


class CellIntegrals(NamedTuple):
    """Integrals over cells: ``∫ρ dε``, ``∫ϕ dε`` and first moments, ``∫ρ (ε − ε_centre) dε`` over the width."""

    rho: Floats
    pair: Floats
    rho_moment: Floats
    pair_moment: Floats


def cell_integrals(
    X1: Complexes, X2: Complexes, phi1: Complexes, phi2: Complexes, width: float | Floats
) -> CellIntegrals:
    """Integrals over cells in which εZ and φ go linearly from X1, φ1 to X2, φ2.

    X² − φ² does not change under ``X → γ(X − vφ), φ → γ(φ − vX), γ = (1−v²)^-½``; with v the ratio of the two slopes
    the new φ is constant, and the integrals are elementary (theory, Eq. (eli-cells)). They are written as
    quotients of sums, which stay accurate for X1 → X2. Where the ratio is not small (far from the edge, where φ ≪ X
    and constant φ is as good to second order) it is led back to zero.
    """
    slope_X, slope_phi = X2 - X1, phi2 - phi1
    square_X, square_phi = np.abs(slope_X) ** 2, np.abs(slope_phi) ** 2
    v = slope_phi * slope_X.conj() * square_X / (square_X**2 + 16.0 * square_phi**2 + _TINY)
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


def thermal_f(temperature: float) -> Occupation:
    """Fermi function of ``k_B T = temperature ≥ 0`` for ε > 0."""
    return _exponential(temperature, 1.0)


def thermal_n(temperature: float) -> Occupation:
    """Bose function of ``k_B T = temperature ≥ 0`` for Ω > 0."""
    return _exponential(temperature, -1.0)


def tabulated(energy: ArrayLike, values: ArrayLike) -> Occupation:
    """Occupation given at energies: linear in between, constant below the first, zero above the last.

    For ``f`` and ``n`` of `solve`; bin averages at bin centres are meant.
    """
    points, table = np.asarray(energy, dtype=np.float64), np.asarray(values, dtype=np.float64)
    if points.ndim != 1 or points.shape != table.shape or points.size < 2 or not np.all(np.diff(points) > 0.0):
        raise CaseError("tabulated occupation: needs increasing energies and as many values")

    def occupation(at: Floats) -> Floats:
        return np.interp(at, points, table, right=0.0)

    return occupation


def normal_state(spectrum: Alpha2F, *, spacing: float | None = None, temperature: float = 0.0) -> EliashbergSpectrum:
    """Spectrum with φ = 0; at T = 0, ``Z(0) = 1 + λ``."""
    h = _spacing(spectrum, math.inf, temperature) if spacing is None else _divided(spectrum, spacing)
    axis = _Axis(spectrum, h, thermal_f(temperature), thermal_n(temperature), 0.0, spectrum.largest_energy)
    return EliashbergSpectrum(axis.energy, axis.normal, np.zeros_like(axis.normal), 0.0, spectrum, 0, 0.0)


def solve(
    spectrum: Alpha2F,
    *,
    temperature: float = 0.0,
    coulomb: float = 0.0,
    cutoff: float | None = None,
    f: Occupation | None = None,
    n: Occupation | None = None,
    spacing: float | None = None,
    start: EliashbergSpectrum | None = None,
    tolerance: float = 1e-8,
    max_iterations: int = 400,
) -> EliashbergSpectrum:
    """Solve for Z(ε) and φ(ε).

    Args:
        spectrum: α²F.
        temperature: ``k_B T ≥ 0`` of the occupations that are not given.
        coulomb: Coulomb pseudopotential μ* ≥ 0.
        cutoff: its ω_c, with the meaning of a sharp cut-off of Matsubara frequencies; default 6 Ω_max.
        f: quasiparticle occupation at ``ε > 0`` (`tabulated`, or any function of an array); ``f(−ε) = 1 − f(ε)``.
        n: phonon occupation at ``Ω > 0``.
        spacing: of the energies, made a divisor of Ω_max. Default: Ω_max/300, a tenth of the gap and a sixth
            of the temperature (not below 1/40 of the gap), whichever is least. The error is of second order.
        start: solution to start from; needs the same spacing.
        tolerance: largest change of εZ and φ in the last iteration, relative to Ω_max and max |φ|.
        max_iterations: allowed.

    Returns:
        The solution; φ = 0 where the state is normal.

    Raises:
        CaseError: temperature < 0, f outside [0, 1], n < 0, μ* < 0, a cut-off below the phonons.
        ConvergenceError: no convergence.
    """
    if not temperature >= 0.0:
        raise CaseError(f"Eliashberg equations: k_BT = {temperature:g} must not be negative")
    omega_c = default_cutoff(spectrum, cutoff, coulomb)
    equilibrium = f is None and n is None
    guess = _guess(spectrum, coulomb, omega_c, temperature if equilibrium else 0.0) if start is None else start.phi
    scale_of_gap = abs(guess if isinstance(guess, float) else guess[0])
    if scale_of_gap == 0.0:
        return normal_state(spectrum, spacing=spacing, temperature=temperature)
    h = _spacing(spectrum, scale_of_gap, temperature) if spacing is None else _divided(spectrum, spacing)
    axis = _Axis(spectrum, h, f or thermal_f(temperature), n or thermal_n(temperature), coulomb, omega_c)
    if start is None:
        X0 = axis.normal
        shape = 1.0 / (1.0 + (axis.energy / spectrum.largest_energy) ** 2)
        phi0: Complexes = scale_of_gap * (1.0 + spectrum.coupling) * shape + 0j
    else:
        if start.energy.shape != axis.energy.shape or abs(start.spacing - h) > 1e-9 * h:
            raise CaseError("Eliashberg equations: the solution to start from has another spacing or range")
        X0, phi0 = start.epsilon_Z, start.phi
    size, smallest = axis.energy.size, _NORMAL * float(np.max(np.abs(phi0)))

    def update(x: Floats) -> Floats:
        X, phi = _unpack(x, size)
        X_new, phi_new, _ = axis.apply(X, phi)
        return _pack(X_new, phi_new)

    def scale(x: Floats) -> Floats:
        phi_scale = float(np.max(np.abs(x[2 * size :])))
        return np.concatenate((np.full(2 * size, spectrum.largest_energy), np.full(2 * size, phi_scale)))

    def vanished(x: Floats) -> bool:
        return float(np.max(np.abs(x[2 * size :]))) < smallest

    solution = fixed_point(update, _pack(X0, phi0), scale=scale, tolerance=tolerance, stop=vanished,
                           amplitude=lambda x: float(x[2 * size]), max_iterations=max_iterations, name="Eliashberg equations on the real axis")
    X, phi = _unpack(solution.x, size)
    if vanished(solution.x):
        return EliashbergSpectrum(axis.energy, axis.normal, np.zeros_like(phi), 0.0, spectrum,
                                  solution.iterations, solution.residual)
    X, phi, coulomb_term = axis.apply(X, phi)
    return EliashbergSpectrum(axis.energy, X, phi, coulomb_term, spectrum, solution.iterations, solution.residual)


class _Axis:
    """One evaluation of the right-hand sides on the uniform axis."""

    def __init__(self, spectrum: Alpha2F, h: float, f: Occupation, n: Occupation, coulomb: float,
                 cutoff: float) -> None:
        per_phonon = round(spectrum.largest_energy / h)
        reach = max(_REACH * spectrum.largest_energy, _REACH_OF_DAMPING * np.pi * spectrum.area, 2.0 * cutoff)
        size = math.ceil(reach / h)
        self.h, self.size, self.phonons = h, size, per_phonon
        self.energy: Floats = h * np.arange(size + 1)
        self.broadening = 1j * _BROADENING * spectrum.largest_energy
        self.coulomb, self.cutoff = coulomb, cutoff
        self.centre: Floats = h * (np.arange(size + per_phonon) + 0.5)
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
        self.normal_imaginary: Floats = np.pi * h * (
            2.0 * np.sum(even) + self._convolve(None, self.F_L)
        )
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
        """New εZ, φ and φ_C."""
        cells = cell_integrals(X[:-1], X[1:], phi[:-1], phi[1:], self.h)
        excess = np.concatenate((cells.rho - self.h, np.zeros(self.phonons)))
        beyond = cells.pair[-1] * self.centre[self.size - 1] / self.centre[self.size :]
        pair = np.concatenate((cells.pair, beyond))
        nothing = np.zeros(self.phonons)
        excess_moment = np.concatenate((cells.rho_moment, nothing))
        pair_moment = np.concatenate((cells.pair_moment, nothing))
        driven_excess, driven_pair = (
            w * self.F_L + moment * self._F_L_step for w, moment in ((excess, excess_moment), (pair, pair_moment))
        )
        imag_X = self.normal_imaginary + np.pi * self._convolve(
            _centred(excess, excess_moment, -1.0), _centred(driven_excess, excess_moment * self.F_L, 1.0)
        )
        imag_phi = np.pi * self._convolve(
            _centred(pair, pair_moment, 1.0), _centred(driven_pair, pair_moment * self.F_L, -1.0), odd=True
        )
        term = -self.coulomb * float(
            np.sum(driven_pair[: self.size] - cells.pair * self._beyond_cutoff)
            + cells.pair[-1] / self.h * self._coulomb_tail
        )
        real_phi = self._transform(np.concatenate((-imag_phi[:0:-1], imag_phi)))
        real_phi += imag_phi[self._tail_nodes] @ self._phi_tail + term
        return self._with_real_part(imag_X), real_phi + 1j * imag_phi, term

    def _with_real_part(self, imaginary: Floats) -> Complexes:
        deviation = imaginary - imaginary[-1]  # a constant has no Hilbert transform
        real = self.energy + self._transform(np.concatenate((deviation[:0:-1], deviation)))
        return real + 1j * imaginary + self.broadening

    def _convolve(self, plain: Floats | None, driven: Floats, odd: bool = False) -> Floats:
        """``Σ plain S + Σ driven A`` at ε ≥ 0; ``plain`` is even (odd if ``odd``), ``driven`` the opposite."""
        sign = 1.0 if odd else -1.0
        total = fft.rfft(np.concatenate((sign * driven[::-1], driven)), self._length) * self._odd
        if plain is not None:
            total += fft.rfft(np.concatenate((-sign * plain[::-1], plain)), self._length) * self._even
        # Node i sees cell c at the lag i − c − ½ = k + ½; node −N stands at index 2M − 1 of the full convolution.
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


def hilbert_weights(lag: NDArray[np.int64]) -> Floats:
    """``(1/π) P∫ Λ(x − u)/x dx`` of the unit hat function Λ, at integer u (theory, Eq. (eli-hat))."""
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


def _exponential(temperature: float, sign: float) -> Occupation:
    def occupation(energy: Floats) -> Floats:
        if temperature == 0.0:
            return np.zeros_like(energy)
        decay = np.exp(-np.minimum(energy / temperature, _FERMI_RANGE))
        return decay / (1.0 + sign * decay)

    return occupation


def _checked(occupation: Occupation, at: Floats, name: str, largest: float) -> Floats:
    values = np.asarray(occupation(at), dtype=np.float64)
    if values.shape != at.shape:
        raise CaseError(f"occupation {name}: must return one value an energy, {at.shape}, not {values.shape}")
    wrong = np.flatnonzero(~((values >= 0.0) & (values <= largest)))
    if wrong.size:
        allowed = "between 0 and 1" if largest == 1.0 else "finite and not negative"
        raise CaseError(f"occupation {name} = {values[wrong[0]]:g} at energy {at[wrong[0]]:g}: must be {allowed}")
    return values


def _guess(spectrum: Alpha2F, coulomb: float, cutoff: float, temperature: float) -> float:
    """Gap of the Matsubara axis; 0 in the normal state."""
    critical = critical_temperature(spectrum, coulomb=coulomb, cutoff=cutoff)
    if critical == 0.0 or temperature >= critical:
        return 0.0
    at = max(temperature, 0.2 * critical)
    return float(solve_matsubara(spectrum, temperature=at, coulomb=coulomb, cutoff=cutoff, tolerance=1e-4).gap[0])


def _spacing(spectrum: Alpha2F, gap: float, temperature: float) -> float:
    h = min(spectrum.largest_energy / _CELLS_PER_PHONON, gap / _CELLS_PER_GAP)
    if temperature > 0.0 and math.isfinite(gap):
        h = min(h, max(temperature / _CELLS_PER_TEMPERATURE, gap / _MOST_CELLS_PER_GAP))
    return _divided(spectrum, h)


def _divided(spectrum: Alpha2F, h: float) -> float:
    """The largest divisor of Ω_max that is not above ``h``."""
    if not h > 0.0:
        raise CaseError(f"Eliashberg equations: spacing {h:g} of the energies must be positive")
    return spectrum.largest_energy / math.ceil(spectrum.largest_energy / h - 1e-9)


def _pack(X: Complexes, phi: Complexes) -> Floats:
    return np.concatenate((X.real, X.imag, phi.real, phi.imag))


def _unpack(x: Floats, size: int) -> tuple[Complexes, Complexes]:
    a, b, c, d = x.reshape(4, size)
    return a + 1j * b, c + 1j * d
