"""Eliashberg equations on the real axis, in or out of equilibrium: Z(ε), φ(ε) and what follows from them.

    Im εZ = π ∫_{-∞}^{∞} dε' ρ(ε') [S(ε−ε') + F_L(ε') A(ε−ε')],   Re εZ = ε + H[Im εZ]
    Im φ  = π ∫_{-∞}^{∞} dε' ϕ(ε') [S(ε−ε') + F_L(ε') A(ε−ε')],   Re φ = H[Im φ] + φ_C
    S(x) = α²F(|x|)(n(|x|) + ½),  A(x) = ½ sgn(x) α²F(|x|),  F_L = 1 − 2f      (theory page Eliashberg)

with ``ρ = Re εZ/√((εZ)² − φ²)``, ``ϕ = Re φ/√((εZ)² − φ²)``, the Hilbert transform H, and the Coulomb
term φ_C, whose cut-off is the one of the Matsubara axis. All energies (also k_B T) are in the unit of α²F.

The axis has one spacing. ρ and ϕ are integrated over cells in closed form with εZ and φ linear inside, so
that the edge may lie anywhere; imaginary parts are convolutions of cells, real parts those of hat functions,
both by FFT: O(N log N) an iteration.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError
from fvqp.spectral.alpha2f import Alpha2F
from fvqp.spectral.eliashberg_axis import Occupation, SelfEnergies, cell_integrals, retarded_root
from fvqp.spectral.eliashberg_matsubara import critical_temperature, default_cutoff, solve_matsubara
from fvqp.spectral.eliashberg_mixing import fixed_point
from fvqp.typing import Complexes, Floats

_CELLS_PER_PHONON = 300
_CELLS_PER_GAP = 10.0
_CELLS_PER_TEMPERATURE = 6.0
_MAX_CELLS_PER_GAP = 40.0
_NORMAL = 1e-5  # of the guess: a φ below is on its way to zero
_FERMI_RANGE = 700.0  # largest argument of an exponential


@dataclass(frozen=True, eq=False)
class BinnedEliashberg:
    """Bin weights of an Eliashberg spectrum; takes the place of the BCS one in collision integrals.

    With these, the weight of an event between bins i and j is ``s_i s_j ∓ p_i p_j ≥ 0`` (− scattering,
    + recombination), as ``s_i s_j ∓ Δ² q_i q_j`` is in BCS theory.

    Attributes:
        edges: ``(n + 1,)``.
        s: ``∫ ρ dε`` over the bins, ``(n,)``.
        p: ``∫ ϕ dε``; ``|p| ≤ s``. BCS: Δ q.
        s_energy, p_energy: ``∫ ε ρ dε`` and ``∫ ε ϕ dε``.
        number: ``∫ (ρ ∂_ε Re εZ − ϕ ∂_ε Re φ) dε``, the momentum states ``∫dξ`` (theory page Eliashberg).
        number_energy: the same with ε.
        gap: edge Δ0.
    """

    edges: Floats
    s: Floats
    p: Floats
    s_energy: Floats
    p_energy: Floats
    number: Floats
    number_energy: Floats
    gap: float

    @property
    def renormalization(self) -> Floats:
        """Mean of ``∂_ε Re εZ − (ϕ/ρ) ∂_ε Re φ``, which multiplies ∂f/∂t in the kinetic equation, weighted
        with ρ; 1 + λ at low energy, 1 far above the phonons."""
        return self.number / self.s

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
                f"bins of an Eliashberg spectrum: edges from {bounds[0]:g} to {bounds[-1]:g} leave "
                f"the solved range, 0 to {self.energy[-1]:g}"
            )
        points = np.union1d(self.energy, bounds)
        points = points[(points >= bounds[0]) & (points <= bounds[-1])]
        left = np.minimum(np.searchsorted(self.energy, points[:-1], side="right") - 1, self.energy.size - 2)
        X = np.interp(points, self.energy, self.epsilon_Z)
        phi = np.interp(points, self.energy, self.phi)
        width, centre = np.diff(points), 0.5 * (points[1:] + points[:-1])
        cells = cell_integrals(X[:-1], X[1:], phi[:-1], phi[1:], width)
        rho, pair = cells.rho, cells.pair
        slope_X = (self.epsilon_Z[left + 1] - self.epsilon_Z[left]).real / self.spacing
        slope_phi = (self.phi[left + 1] - self.phi[left]).real / self.spacing
        first = np.searchsorted(points, bounds[:-1])
        s, p = np.add.reduceat(rho, first), np.add.reduceat(pair, first)
        rho_energy, pair_energy = (
            rho * centre + cells.rho_moment * width,
            pair * centre + cells.pair_moment * width,
        )
        number = np.add.reduceat(rho * slope_X - pair * slope_phi, first)
        number_energy = np.add.reduceat(rho_energy * slope_X - pair_energy * slope_phi, first)
        s_energy, p_energy = np.add.reduceat(rho_energy, first), np.add.reduceat(pair_energy, first)
        return BinnedEliashberg(bounds, s, p, s_energy, p_energy, number, number_energy, self.gap_edge)


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
    if (
        points.ndim != 1
        or points.shape != table.shape
        or points.size < 2
        or not np.all(np.diff(points) > 0.0)
    ):
        raise CaseError("tabulated occupation: needs increasing energies and as many values")

    def occupation(at: Floats) -> Floats:
        return np.interp(at, points, table, right=0.0)

    return occupation


def normal_state(
    spectrum: Alpha2F, *, spacing: float | None = None, temperature: float = 0.0
) -> EliashbergSpectrum:
    """Spectrum with φ = 0; at T = 0, ``Z(0) = 1 + λ``."""
    h = _spacing(spectrum, math.inf, temperature) if spacing is None else _divided(spectrum, spacing)
    axis = SelfEnergies(
        spectrum, h, thermal_f(temperature), thermal_n(temperature), 0.0, spectrum.largest_energy
    )
    return _normal(axis, spectrum, 0, 0.0)


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
        f: quasiparticle occupation at ``ε > 0`` (`tabulated`, or any function of an array);
            ``f(−ε) = 1 − f(ε)``.
        n: phonon occupation at ``Ω > 0``.
        spacing: of the energies, made a divisor of Ω_max. Default: Ω_max/300, a tenth of the gap and a sixth
            of the temperature (not below 1/40 of the gap), whichever is least. The error is of second order.
        start: solution to start from, whose spacing is then the default.
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
    if start is not None and not np.any(start.phi):
        start = None  # a normal state says nothing about φ
    if start is None:
        in_equilibrium = f is None and n is None
        gap = _guess(spectrum, coulomb, omega_c, temperature if in_equilibrium else 0.0)
        h = (
            _spacing(spectrum, gap or math.inf, temperature)
            if spacing is None
            else _divided(spectrum, spacing)
        )
    else:
        gap = start.gap_edge
        h = start.spacing if spacing is None else _divided(spectrum, spacing)
    axis = SelfEnergies(
        spectrum, h, f or thermal_f(temperature), n or thermal_n(temperature), coulomb, omega_c
    )
    if start is None:
        X0 = axis.normal
        shape = 1.0 / (1.0 + (axis.energy / spectrum.largest_energy) ** 2)
        phi0: Complexes = (gap * (1.0 + spectrum.coupling) * shape).astype(np.complex128)
    else:
        if start.energy.shape != axis.energy.shape or abs(start.spacing - h) > 1e-9 * h:
            raise CaseError("Eliashberg equations: the solution to start from has another spacing or range")
        X0, phi0 = start.epsilon_Z, start.phi
    if not np.any(phi0):
        return _normal(axis, spectrum, 0, 0.0)
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

    solution = fixed_point(
        update,
        _pack(X0, phi0),
        scale=scale,
        tolerance=tolerance,
        stop=vanished,
        amplitude=lambda x: float(x[2 * size]),
        max_iterations=max_iterations,
        name="Eliashberg equations on the real axis",
    )
    X, phi = _unpack(solution.x, size)
    if vanished(solution.x):
        return _normal(axis, spectrum, solution.iterations, solution.residual)
    X, phi, coulomb_term = axis.apply(X, phi)
    return EliashbergSpectrum(
        axis.energy, X, phi, coulomb_term, spectrum, solution.iterations, solution.residual
    )


def _normal(axis: SelfEnergies, spectrum: Alpha2F, iterations: int, residual: float) -> EliashbergSpectrum:
    phi = np.zeros_like(axis.normal)
    return EliashbergSpectrum(axis.energy, axis.normal, phi, 0.0, spectrum, iterations, residual)


def _exponential(temperature: float, sign: float) -> Occupation:
    def occupation(energy: Floats) -> Floats:
        if temperature == 0.0:
            return np.zeros_like(energy)
        decay = np.exp(-np.minimum(energy / temperature, _FERMI_RANGE))
        return decay / (1.0 + sign * decay)

    return occupation


def _guess(spectrum: Alpha2F, coulomb: float, cutoff: float, temperature: float) -> float:
    """Gap of the Matsubara axis; 0 in the normal state."""
    critical = critical_temperature(spectrum, coulomb=coulomb, cutoff=cutoff)
    if critical == 0.0 or temperature >= critical:
        return 0.0
    at = max(temperature, 0.2 * critical)
    return float(
        solve_matsubara(spectrum, temperature=at, coulomb=coulomb, cutoff=cutoff, tolerance=1e-4).gap[0]
    )


def _spacing(spectrum: Alpha2F, gap: float, temperature: float) -> float:
    h = min(spectrum.largest_energy / _CELLS_PER_PHONON, gap / _CELLS_PER_GAP)
    if temperature > 0.0 and math.isfinite(gap):
        h = min(h, max(temperature / _CELLS_PER_TEMPERATURE, gap / _MAX_CELLS_PER_GAP))
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
