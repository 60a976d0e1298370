"""Eliashberg equations in equilibrium on the Matsubara axis; T_c; continuation by Padé approximants.

    Z_n ω_n = ω_n + πT Σ_m λ(n−m) ω_m/√(ω_m² + Δ_m²),
    Z_n Δ_n = πT Σ_m [λ(n−m) − μ* θ(ω_c − |ω_m|)] Δ_m/√(ω_m² + Δ_m²)      (theory page Eliashberg)

Energies, temperatures (k_B T) and the cut-off are in the unit of the spectrum. The sharp cut-off counts the
last frequency by its part below ω_c, so that nothing jumps with temperature.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import fft
from scipy.optimize import brentq
from scipy.sparse.linalg import LinearOperator, eigs

from fvqp.errors import CaseError, ConvergenceError
from fvqp.spectral.alpha2f import Alpha2F, allen_dynes
from fvqp.spectral.eliashberg_mixing import fixed_point
from fvqp.typing import Complexes, Floats

CUTOFF = 6.0
"""Default ω_c/Ω_max."""

_REACH = 10.0  # frequencies summed up to, in Ω_max
_TAIL = 4  # frequencies beyond, of the tail, relative to those kept
_FEWEST = 64  # frequencies, at high temperature
#: Frequencies of the sums; each takes some 200 bytes.
MAX_FREQUENCIES = 4_000_000
_COLDEST = 1e-4  # in Ω_max: no critical temperature is looked for below
_PADE_POINTS = 40
_STRONGEST = 100.0  # μ*/λ that is tried


def default_cutoff(spectrum: Alpha2F, cutoff: float | None, coulomb: float) -> float:
    """ω_c, after checks of it and of μ*."""
    if not coulomb >= 0.0:
        raise CaseError(f"Coulomb pseudopotential μ* = {coulomb:g} must not be negative")
    if cutoff is None:
        return CUTOFF * spectrum.largest_energy
    if not cutoff >= spectrum.largest_energy:
        raise CaseError(
            f"cut-off ω_c = {cutoff:g} of the Coulomb pseudopotential must exceed the largest phonon energy "
            f"{spectrum.largest_energy:g}"
        )
    return float(cutoff)


def frequencies(spectrum: Alpha2F, cutoff: float, temperature: float) -> int:
    """Return the number of Matsubara frequencies that sums at a temperature take.

    Raises:
        CaseError: more than `MAX_FREQUENCIES`; the message names the lowest k_BT.
    """
    reach = max(_REACH * spectrum.largest_energy, cutoff)
    size = reach / (2.0 * math.pi * temperature)
    if not size <= MAX_FREQUENCIES:
        lowest = reach / (2.0 * math.pi * MAX_FREQUENCIES)
        raise CaseError(
            f"k_BT = {temperature:.3g} takes {size:.3g} Matsubara frequencies; expected at least {lowest:.3g}"
        )
    return max(_FEWEST, math.ceil(size))


class MatsubaraSums:
    """The sums over Matsubara frequencies at one temperature, in O(N log N).

    Attributes:
        omega: ``ω_n = (2n+1)πT > 0``, ``(N,)``.
        normal: ``Z_n ω_n`` of the normal state.
    """

    def __init__(self, spectrum: Alpha2F, coulomb: float, cutoff: float, temperature: float) -> None:
        step = 2.0 * math.pi * temperature
        size = frequencies(spectrum, cutoff, temperature)
        self.temperature = temperature
        self.omega: Floats = step * (np.arange(size, dtype=np.float64) + 0.5)
        interaction = spectrum.interaction(step * np.arange(2 * size))
        self.normal: Floats = self.omega + 0.5 * step * (
            interaction[0] + 2.0 * np.concatenate(([0.0], np.cumsum(interaction[1:size])))
        )
        self._coulomb: Floats = coulomb * np.clip(cutoff / step - np.arange(size), 0.0, 1.0)
        self._kernel, self._length = _even_kernel(interaction)
        # Beyond the last frequency φ is constant, the mass that of the normal state, and λ(ν) ∝ 1/ν².
        far = np.arange(2 * size, 2 * _TAIL * size)
        kernel, length = _even_kernel(
            np.concatenate((interaction, interaction[-1] * ((2.0 * size - 1.0) / far) ** 2))
        )
        beyond = 1.0 / (step * (np.arange(size, _TAIL * size) + 0.5) + self.normal[-1] - self.omega[-1])
        tail = np.concatenate((beyond[::-1], np.zeros(2 * size), beyond))
        self._tail: Floats = (
            self.normal[-1]
            * fft.irfft(fft.rfft(tail, length) * kernel, length)[_TAIL * size : (_TAIL + 1) * size]
        )

    def pairing(self, anomalous: Floats) -> Floats:
        """``φ_n`` from ``Δ_m/√(ω_m² + Δ_m²)``, even in frequency."""
        return self._attraction(anomalous) - self._repulsion(anomalous)

    def pairing_next(self, phi: Floats, root: Floats) -> Floats:
        """``φ_n`` of the next iterate from ``φ_m`` and ``√((Z_m ω_m)² + φ_m²)``.

        Phonons act on the last φ, the Coulomb repulsion on the new one: it is the same in every row, so that
        this is one division, and the iteration converges whatever its strength.
        """
        attraction = self._attraction(phi / root)
        return attraction - self._repulsion(attraction / root) / (1.0 + self._repulsion(1.0 / root))

    def _attraction(self, anomalous: Floats) -> Floats:
        total = self._convolve(np.concatenate((anomalous[::-1], anomalous)))
        return math.pi * self.temperature * (total + anomalous[-1] * self._tail)

    def _repulsion(self, anomalous: Floats) -> float:
        return 2.0 * math.pi * self.temperature * float(np.dot(self._coulomb, anomalous))

    def mass(self, deviation: Floats) -> Floats:
        """``Z_n ω_n`` from ``ω_m/√(ω_m² + Δ_m²) − 1``, odd in frequency."""
        return self.normal + math.pi * self.temperature * self._convolve(
            np.concatenate((-deviation[::-1], deviation))
        )

    def _convolve(self, both_sides: Floats) -> Floats:
        size = self.omega.size
        total = fft.irfft(fft.rfft(both_sides, self._length) * self._kernel, self._length)
        return total[size : 2 * size]


def _even_kernel(interaction: Floats) -> tuple[Complexes, int]:
    """Transform and length of λ(k), given at ``k = 0 … 2N−1`` and even, for sequences of 2N frequencies."""
    length = fft.next_fast_len(2 * interaction.size, real=True)
    kernel = np.zeros(length)
    kernel[: interaction.size] = interaction
    kernel[-(interaction.size - 1) :] = interaction[:0:-1]
    return fft.rfft(kernel), length


@dataclass(frozen=True, eq=False)
class MatsubaraSolution:
    """Solution at ``iω_n``.

    Attributes:
        omega: ``ω_n > 0``, ``(N,)``.
        gap: ``Δ(iω_n)``.
        Z: ``Z(iω_n)``.
        temperature: k_B T.
        largest_energy: Ω_max of the spectrum.
    """

    omega: Floats
    gap: Floats
    Z: Floats
    temperature: float
    largest_energy: float

    def gap_at(self, energy: ArrayLike, largest: float | None = None) -> Complexes:
        """``Δ(ε + i0)`` continued by a Padé approximant in ``(iω)²``.

        Reliable at energies small compared with the phonons' (below them Δ hardly varies).

        Args:
            energy: ε.
            largest: of the frequencies that it is continued from. Default: Ω_max; those far above tell low
                energies nothing and cost digits.
        """
        return self._continue(self.gap, energy, largest)

    def Z_at(self, energy: ArrayLike) -> Complexes:
        """``Z(ε + i0)`` likewise (at T > 0 above ``|Im εZ(0)|``, which is small well below T_c)."""
        return self._continue(self.Z, energy, None)

    def gap_edge(self, largest: float | None = None) -> float:
        """Δ0 with ``Re Δ(Δ0) = Δ0``; 0 in the normal state."""
        if self.gap[0] == 0.0:
            return 0.0

        def excess(energy: float) -> float:
            return float(self.gap_at(np.array([energy]), largest)[0].real) - energy

        try:
            return float(brentq(excess, 0.5 * self.gap[0], 2.0 * self.gap[0], xtol=1e-12 * self.gap[0]))
        except ValueError:
            raise ConvergenceError(
                f"Padé approximant: no gap edge between Δ(iπT)/2 and 2Δ(iπT) at k_BT = {self.temperature:g}"
            ) from None

    def _continue(self, values: Floats, energy: ArrayLike, largest: float | None) -> Complexes:
        top = self.largest_energy if largest is None else largest
        n = max(_PADE_POINTS, int(np.searchsorted(self.omega, top)))
        n = min(n, self.omega.size)
        chosen = np.unique(np.round(np.geomspace(1, n, _PADE_POINTS)).astype(int)) - 1
        return pade(-(self.omega[chosen] ** 2), values[chosen], np.asarray(energy, dtype=np.complex128) ** 2)


def pade(z: Floats, values: Floats, at: Complexes) -> Complexes:
    """Thiele's continued fraction through ``values`` at ``z``.

    Vidberg, Serene, J. Low Temp. Phys. 29, 179 (1977).
    Points whose coefficient is lost in rounding end the fraction.
    """
    g = np.array(values, dtype=np.float64)
    coefficients = [float(g[0])]
    for k in range(1, z.size):
        difference = g[k - 1] - g[k:]
        if np.min(np.abs(difference)) <= 1e-13 * np.max(np.abs(g)) or g[k] == 0.0:
            break
        g[k:] = difference / ((z[k:] - z[k - 1]) * g[k:])
        coefficients.append(float(g[k]))
    tail = np.ones_like(at)
    for k in range(len(coefficients) - 1, 0, -1):
        tail = 1.0 + coefficients[k] * (at - z[k - 1]) / tail
    return coefficients[0] / tail


def solve_matsubara(
    spectrum: Alpha2F,
    *,
    temperature: float,
    coulomb: float = 0.0,
    cutoff: float | None = None,
    tolerance: float = 1e-10,
    max_iterations: int = 500,
) -> MatsubaraSolution:
    """Solve at ``k_B T = temperature > 0``; Δ = 0 where there is no superconductivity.

    Args:
        spectrum: α²F.
        temperature: k_B T.
        coulomb: μ*.
        cutoff: ω_c of μ*; default 6 Ω_max.
        tolerance: relative change of Δ and Z in the last iteration.
        max_iterations: allowed.

    Raises:
        CaseError: ``temperature ≤ 0``, μ* < 0 or a cut-off below the phonons.
        ConvergenceError: no convergence.
    """
    if not temperature > 0.0:
        raise CaseError(f"Matsubara frequencies need a temperature above zero, not k_BT = {temperature:g}")
    sums = MatsubaraSums(spectrum, coulomb, default_cutoff(spectrum, cutoff, coulomb), temperature)
    omega, size = sums.omega, sums.omega.size
    if largest_eigenvalue(sums) <= 1.0:
        return MatsubaraSolution(
            omega, np.zeros(size), sums.normal / omega, temperature, spectrum.largest_energy
        )

    def update(x: Floats) -> Floats:
        phi, mass = x[:size], x[size:]
        root = np.hypot(mass, phi)
        deviation = -(phi**2) / (root * (root + np.abs(mass)))
        return np.concatenate((sums.pairing_next(phi, root), sums.mass(deviation)))

    def scale(x: Floats) -> Floats:
        return np.concatenate((np.full(size, np.max(np.abs(x[:size]))), x[size:]))

    guess = np.concatenate(
        (np.full(size, 0.1 * spectrum.omega_log) / (1.0 + (omega / spectrum.omega_log) ** 2), sums.normal)
    )
    solution = fixed_point(
        update,
        guess,
        scale=scale,
        tolerance=tolerance,
        max_iterations=max_iterations,
        amplitude=lambda x: float(x[0]),
        name="Eliashberg equations on the Matsubara axis",
    )
    phi, mass = solution.x[:size], solution.x[size:]
    return MatsubaraSolution(omega, phi * omega / mass, mass / omega, temperature, spectrum.largest_energy)


def largest_eigenvalue(sums: MatsubaraSums) -> float:
    """Largest eigenvalue of the linearized gap equation: above 1 the normal state is unstable."""

    def apply(x: Floats) -> Floats:
        return sums.pairing(np.ravel(x) / sums.normal)

    size = sums.omega.size
    operator = LinearOperator((size, size), matvec=apply, dtype=np.float64)
    start = 1.0 / (1.0 + (sums.omega / sums.omega[-1] * _REACH) ** 2)
    return float(eigs(operator, k=1, which="LR", v0=start, tol=1e-10, return_eigenvectors=False)[0].real)


def critical_temperature(spectrum: Alpha2F, *, coulomb: float = 0.0, cutoff: float | None = None) -> float:
    """``k_B T_c`` of the linearized equations (theory page Eliashberg); 0 if it is below 10⁻⁴ Ω_max."""
    omega_c = default_cutoff(spectrum, cutoff, coulomb)

    def excess(log_temperature: float) -> float:
        return largest_eigenvalue(MatsubaraSums(spectrum, coulomb, omega_c, math.exp(log_temperature))) - 1.0

    coldest = math.log(_COLDEST * spectrum.largest_energy)
    high = math.log(max(allen_dynes(spectrum, coulomb), 1e-3 * spectrum.omega_log))
    while excess(high) > 0.0:
        high += math.log(2.0)
    low = high - math.log(2.0)
    while excess(low) <= 0.0:
        if low <= coldest:
            return 0.0
        high, low = low, max(low - 1.0, coldest)
    return math.exp(brentq(excess, low, high, xtol=1e-7))


def coulomb_for(spectrum: Alpha2F, critical: float, cutoff: float | None = None) -> float:
    """μ* with which ``k_B T_c = critical``.

    Raises:
        CaseError: if T_c is not reached even with μ* = 0, or exceeded with any.
    """
    omega_c = default_cutoff(spectrum, cutoff, 0.0)

    def excess(coulomb: float) -> float:
        return largest_eigenvalue(MatsubaraSums(spectrum, coulomb, omega_c, critical)) - 1.0

    if excess(0.0) < 0.0:
        raise CaseError(
            f"{spectrum.name}: k_BT_c = {critical:g} is above that without Coulomb repulsion; λ is too small"
        )
    most = spectrum.coupling
    while excess(most) > 0.0:
        most *= 2.0
        if most > _STRONGEST * spectrum.coupling:
            raise CaseError(
                f"{spectrum.name}: k_BT_c = {critical:g} is exceeded whatever the Coulomb repulsion; λ is "
                "too large"
            )
    return float(brentq(excess, 0.0, most, xtol=1e-7))
