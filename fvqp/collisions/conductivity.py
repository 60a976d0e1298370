"""Complex conductivity of Mattis and Bardeen for any occupation of quasiparticles.

f is linear between the bin centres, as in the linear bin weights, and every integral of it with the two
densities of states is then a sum over bins with weights that are exact to quadrature (theory: conductivity,
Eqs. mb-sigma1, mb-sigma2). Energies are in units of Δ0, conductivities in units of the normal-state σ_n.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ellipe, ellipkm1

from fvqp.energy import EnergyAxis
from fvqp.errors import CaseError
from fvqp.typing import Floats

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)
#: Scale of the substitution at two edges that nearly coincide, in units of the range: below it the
#: numerator, which vanishes with their distance, leaves nothing to resolve.
_COINCIDENCE = 1e-4
#: Bins whose weights are computed at a time; at 12 nodes each, an array of some MB.
_BLOCK = 2**16


class Conductivity(NamedTuple):
    """``σ1 − iσ2`` in units of σ_n, ``(cells,)`` each (time dependence ``exp(+iωt)``)."""

    sigma1: Floats
    """Dissipative part."""
    sigma2: Floats
    """Inductive part."""


class MattisBardeen:
    """Conductivity of a dirty superconductor, D. C. Mattis and J. Bardeen, Phys. Rev. 111, 412 (1958).

    Both parts are affine in f; their weights are computed once for a gap and a frequency.

    Attributes:
        frequency: ħω in units of Δ0.
        cold: conductivity at f = 0, ``(gaps,)``.
        by_f1, by_f2: derivatives of both parts by the occupation of the bins, ``(gaps, N)``.
    """

    def __init__(self, grid: EnergyAxis, gap: ArrayLike, frequency: float) -> None:
        """
        Args:
            grid: energies; f counts as zero above its last edge.
            gap: Δ ≥ 0, scalar or ``(cells,)``.
            frequency: ħω > 0, below or above 2Δ.

        Raises:
            CaseError: a gap that is negative or outside the grid, a frequency that is not positive.
        """
        gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))
        if gaps.ndim != 1 or not np.all(np.isfinite(gaps)) or np.any(gaps < 0.0):
            raise CaseError("conductivity: the gap must be one finite number ≥ 0 a cell")
        if np.any(gaps < grid.edges[0] * (1.0 - 1e-12)) or np.any(gaps > grid.edges[-2]):
            raise CaseError(
                f"conductivity: bins from {grid.edges[0]:g} to {grid.edges[-1]:g} Δ0 do not hold gaps from "
                f"{gaps.min():g} to {gaps.max():g} Δ0"
            )
        if not (np.isfinite(frequency) and frequency > 0.0):
            raise CaseError(f"conductivity: the photon energy must be positive, found {frequency:g} Δ0")
        self.grid, self.frequency = grid, float(frequency)
        self.cold = cold_conductivity(gaps, frequency)
        rows = max(1, _BLOCK // grid.n)
        blocks = [
            _weights(grid, gaps[start : start + rows, None], self.frequency)
            for start in range(0, max(gaps.size, 1), rows)
        ]
        self.by_f1, self.by_f2 = (np.concatenate(parts) for parts in zip(*blocks, strict=True))

    def __call__(self, f: Floats) -> Conductivity:
        """Conductivity for occupations ``(cells, N)``."""
        change = self.change(f)
        return Conductivity(self.cold.sigma1 + change.sigma1, self.cold.sigma2 + change.sigma2)

    def change(self, f: Floats) -> Conductivity:
        """Return the change of the `cold` conductivity by quasiparticles, however small."""
        f = np.asarray(f, dtype=np.float64)
        gaps, bins = self.by_f1.shape
        if f.ndim != 2 or f.shape[1] != bins or gaps not in (1, f.shape[0]):
            raise CaseError(
                f"conductivity: needs f of shape (cells, {bins}) for {gaps} gaps, found {f.shape}"
            )
        return Conductivity((self.by_f1 * f).sum(axis=1), (self.by_f2 * f).sum(axis=1))


def cold_conductivity(gap: ArrayLike, frequency: float) -> Conductivity:
    """Conductivity without quasiparticles, in elliptic integrals (theory: conductivity, Eq. mb-cold)."""
    gaps = np.atleast_1d(np.asarray(gap, dtype=np.float64))
    ratio = 2.0 * gaps / frequency
    # parameters k² and 1 − k² of k = |1 − ratio|/(1 + ratio)
    rest = 4.0 * ratio / (1.0 + ratio) ** 2
    m = ((1.0 - ratio) / (1.0 + ratio)) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        dissipative = (1.0 + ratio) * ellipe(m) - np.where(ratio > 0.0, 2.0 * ratio * ellipkm1(rest), 0.0)
        inductive = 0.5 * ((1.0 + ratio) * ellipe(rest) - (1.0 - ratio) * ellipkm1(m))
    # at 2Δ, m = 0 and K diverges as a logarithm, which its vanishing factor wins over
    inductive = np.where(m > 0.0, inductive, 1.0)
    return Conductivity(np.where(ratio < 1.0, dissipative, 0.0), np.where(ratio > 0.0, inductive, 0.0))


class _Hats:
    """Integrals of smooth kernels with the functions that are 1 at one bin centre and 0 at all others.

    Beyond the first and the last centre they go on as straight lines, as in the linear bin weights. Where
    bins repeat at photon steps, at which f jumps, the functions are 1 inside their bin and 0 outside.
    """

    def __init__(self, grid: EnergyAxis) -> None:
        centres = grid.energies
        self.bins, self._inside = grid.n, grid.step > 0.0
        if self._inside:
            self._bounds = grid.edges
            return
        self._bounds = np.concatenate([grid.edges[:1], centres, grid.edges[-1:]])
        self._left = np.clip(np.arange(grid.n + 1) - 1, 0, grid.n - 2)
        self._origin = centres[self._left]
        self._distance = np.diff(centres)[self._left]

    def __call__(
        self,
        start: Floats,
        length: Floats,
        to_x: Callable[[Floats], Floats],
        from_x: Callable[[Floats], Floats],
        kernel: Callable[[Floats], Floats],
        downwards: bool = False,
    ) -> Floats:
        """``∫ hat(start ± x) kernel(x) dt`` from x = 0 to ``length``, of every bin, ``(cells, N)``.

        Args:
            start, length: ``(cells, 1)``.
            to_x, from_x: the substitution x(t) and its inverse; ``kernel`` contains dx/dt.
            kernel: of x, ``(cells, N + 1, nodes)``.
            downwards: the hat is at start − x.
        """
        sign = -1.0 if downwards else 1.0
        ends = from_x(np.clip(sign * (self._bounds - start), 0.0, length))
        half = 0.5 * np.abs(np.diff(ends))[..., None]
        x = to_x(0.5 * (ends[:, 1:] + ends[:, :-1])[..., None] + half * _NODES)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.where(half > 0.0, kernel(x), 0.0) * (half * _WEIGHTS)
        if self._inside:
            return np.asarray(values.sum(axis=-1))
        position = (start[..., None] + sign * x - self._origin[:, None]) / self._distance[:, None]
        amount, right = values.sum(axis=-1), (values * position).sum(axis=-1)
        out = np.zeros((start.shape[0], self.bins))
        np.add.at(out.T, self._left, (amount - right).T)
        np.add.at(out.T, self._left + 1, right.T)
        return out


def _weights(grid: EnergyAxis, gap: Floats, omega: float) -> tuple[Floats, Floats]:
    """Derivatives of σ1/σn and σ2/σn by f of every bin."""
    sum_over = _Hats(grid)
    top = grid.edges[-1]
    # Absorption by quasiparticles, E = Δ + x → E + ω; x = ω sinh²u removes both square roots.

    def scattering(x: Floats) -> Floats:
        e = gap[..., None] + x
        u, d = e + omega, gap[..., None]
        return np.asarray(2.0 * (e * u + d * d) / np.sqrt((e + d) * (u + d)))

    def sinh(t: Floats) -> Floats:
        return omega * np.sinh(t) ** 2

    def arsinh(x: Floats) -> Floats:
        return np.arcsinh(np.sqrt(x / omega))

    length = np.maximum(top - gap, 0.0)
    lower = sum_over(gap, length, sinh, arsinh, scattering)
    upper = sum_over(gap + omega, np.maximum(top - gap - omega, 0.0), sinh, arsinh, scattering)
    by_f1 = 2.0 / omega * (lower - upper)
    if np.any(omega > 2.0 * gap):
        by_f1 -= 2.0 / omega * _pairs(sum_over, gap, omega)
    return by_f1, -2.0 / omega * _inductive(sum_over, gap, omega)


def _pairs(sum_over: _Hats, gap: Floats, omega: float) -> Floats:
    """Pairs of E = Δ + x and ω − E; x = L sin²v with L = ω − 2Δ removes both square roots."""
    span = np.maximum(omega - 2.0 * gap, 0.0)
    scale = np.where(span > 0.0, span, 1.0)

    def kernel(x: Floats) -> Floats:
        d = gap[..., None]
        e, u = d + x, omega - d - x
        return np.asarray(2.0 * (e * u - d * d) / np.sqrt((e + d) * (u + d)))

    return sum_over(
        gap,
        span,
        lambda t: scale[..., None] * np.sin(t) ** 2,
        lambda x: np.arcsin(np.sqrt(np.minimum(x / scale, 1.0))),
        kernel,
    )


def _inductive(sum_over: _Hats, gap: Floats, omega: float) -> Floats:
    """``∫f (E(E − ω) + Δ²)/(√(Δ² − (E − ω)²) ξ(E)) dE`` from max(Δ, ω − Δ) to Δ + ω.

    Of the four square roots two vanish at or near the lower end, at a distance δ = |ω − 2Δ|, and one at the
    upper: the lower half of the range takes x = δ sinh²u, the upper one z² from the end.
    """
    start = np.maximum(gap, omega - gap)
    span = np.minimum(omega, 2.0 * gap)
    if not np.any(span > 0.0):
        return np.zeros((gap.shape[0], sum_over.bins))
    delta = np.abs(omega - 2.0 * gap)
    scale = np.maximum(delta, _COINCIDENCE * np.where(span > 0.0, span, 1.0))
    d, near, far = gap[..., None], delta[..., None], span[..., None]

    def numerator(x: Floats) -> Floats:
        e = start[..., None] + x
        return np.asarray((e * (e - omega) + d * d) / np.sqrt(e + d))

    def below(x: Floats) -> Floats:
        jacobian = 2.0 * np.sqrt((x + scale[..., None]) / (x + near))
        return np.asarray(jacobian * numerator(x) / np.sqrt(np.maximum(far - x, 0.5 * far)))

    def above(y: Floats) -> Floats:
        x = np.maximum(far - y, 0.5 * far)
        return np.asarray(2.0 * numerator(x) / np.sqrt(x * (x + near)))

    low = sum_over(
        start,
        0.5 * span,
        lambda t: scale[..., None] * np.sinh(t) ** 2,
        lambda x: np.arcsinh(np.sqrt(x / scale)),
        below,
    )
    high = sum_over(start + span, 0.5 * span, np.square, np.sqrt, above, downwards=True)
    return np.where(gap > 0.0, low + high, 0.0)
