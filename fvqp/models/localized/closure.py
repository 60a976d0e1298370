"""The law of annihilation 𝓡(c) that transport models can use: from mean field to the logarithmic regime.

``dc/dt = A − 𝓡(c)``. In units of r_c and r_c³/Γ̄ the steady state is c(α) = q(α) c_pair(α): the pair
approximation, exact when dense, times a factor of order one that the Monte Carlo simulation gives. 𝓡 is the
inverse of c(A): exact in the steady state, an approximation while c changes (theory, localized).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import PchipInterpolator

from fvqp.errors import CaseError
from fvqp.models.localized import pairs
from fvqp.models.localized.laws import TailAnnihilation
from fvqp.typing import Floats

PACKING = 0.605
"""C_p = (4π/3) c r³ of bursting bubbles without spin; the limit of 2 q at vanishing α is C_p/0.5."""

# log10 α, and c r_c³ of the steady state with its standard error, simulated in periodic boxes of
# 1e4 particles and more, 100 (α > 1e-5) to 500 lifetimes each.
MEASURED = np.array(
    [
        [-30.0, 9.44195e-07, 5.7e-10],
        [-24.0, 2.17751e-06, 8.5e-10],
        [-20.0, 4.4195e-06, 2.4e-09],
        [-18.0, 6.73893e-06, 2.6e-09],
        [-16.0, 1.09572e-05, 4.7e-09],
        [-15.0, 1.43342e-05, 5.1e-09],
        [-14.0, 1.92808e-05, 8.8e-09],
        [-13.0, 2.65807e-05, 1.4e-08],
        [-12.0, 3.79685e-05, 1.5e-08],
        [-11.0, 5.64713e-05, 2.6e-08],
        [-10.0, 8.82928e-05, 3.4e-08],
        [-9.0, 0.000147253, 5.7e-08],
        [-8.0, 0.000266801, 1e-07],
        [-7.0, 0.000540557, 2.3e-07],
        [-6.0, 0.00126556, 5.1e-07],
        [-5.0, 0.0034383, 1.2e-06],
        [-4.5, 0.00589606, 2e-06],
        [-4.0, 0.0102705, 8.1e-06],
        [-3.5, 0.0180639, 1.2e-05],
        [-3.0, 0.0318696, 2.5e-05],
        [-2.5, 0.0566222, 3.2e-05],
        [-2.0, 0.100256, 8.4e-05],
        [-1.5, 0.178042, 9.7e-05],
        [-1.0, 0.316266, 0.00028],
        [-0.5, 0.562917, 0.00039],
        [0.0, 1.00009, 0.00045],
    ]
)


@cache
def _law() -> PchipInterpolator:
    """ln α as a function of ln c, units of r_c and r_c³/Γ̄; beyond the ends, straight lines."""
    log_alpha, log_c = pairs.table()
    nodes, concentration = math.log(10.0) * MEASURED[:, 0], MEASURED[:, 1]
    factor = concentration / np.exp(pairs.curve()(nodes))
    # Corrections to bubbles fall off as r_c/r, and r grows as c^{-1/3}.
    sparse = log_alpha[log_alpha < nodes[0] - 1.0]
    limit = PACKING / 0.5
    shrink = np.exp((pairs.curve()(sparse) - pairs.curve()(nodes[0])) / 3.0)
    dense = log_alpha[log_alpha > nodes[-1] + 1.0]
    at = np.concatenate([sparse, nodes, dense])
    q = np.concatenate([limit - (limit - factor[0]) * shrink, factor, np.ones(len(dense))])
    return PchipInterpolator(log_c + np.log(PchipInterpolator(at, q)(log_alpha)), log_alpha)


def _log_rate(log_c: Floats) -> tuple[Floats, Floats]:
    """ln 𝓡 and its slope d ln 𝓡/d ln c."""
    law = _law()
    low, high = law.x[0], law.x[-1]
    inside = np.clip(log_c, low, high)
    slope = law(inside, 1)
    return law(inside) + slope * (log_c - inside), slope


class AnnihilationLaw:
    """𝓡(c), with its derivative, for arrays of concentrations (cells) in 1/m³.

    Parameters
    ----------
    annihilation : radius r_c and constant Γ̄, such as `TailStates.annihilation`.
    """

    def __init__(self, annihilation: TailAnnihilation) -> None:
        self.annihilation = annihilation
        self._density = annihilation.radius**-3
        self._rate = self._density / annihilation.time

    def rate(self, concentration: ArrayLike) -> Floats:
        """𝓡(c), 1/(m³ s): ``Γ̄ c²`` when dense, exponentially less when particles are far apart."""
        return self._evaluated(concentration)[0]

    def derivative(self, concentration: ArrayLike) -> Floats:
        """d𝓡/dc, 1/s, for Newton's method; not negative."""
        return self._evaluated(concentration)[1]

    def lifetime(self, concentration: ArrayLike) -> Floats:
        """c/𝓡(c), seconds: mean lifetime of a quasiparticle in the steady state; infinite at c = 0."""
        c = np.asarray(concentration, dtype=np.float64)
        rate = self.rate(c)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(rate > 0.0, c / rate, np.inf)

    def stationary(self, generation: ArrayLike) -> Floats:
        """c of the steady state, 1/m³, for a rate of generation A in 1/(m³ s)."""
        a = _not_negative(generation, "generation")
        law = _law()
        some = a > 0.0
        target = np.log(np.where(some, a / self._rate, 1.0))
        # The inverse of the monotone table, then Newton on the smooth curve.
        log_c = np.interp(target, law(law.x), law.x)
        low, high = law.x[0], law.x[-1]
        ends = np.where(target > law(high), high, low)
        outside = (target > law(high)) | (target < law(low))
        log_c = np.where(outside, ends + (target - law(ends)) / law(ends, 1), log_c)
        for _ in range(4):
            value, slope = _log_rate(log_c)
            log_c = log_c - (value - target) / slope
        return np.where(some, np.exp(log_c) * self._density, 0.0)

    def mean_field(self, generation: ArrayLike) -> Floats:
        """``(A/Γ̄)^{1/2}``, 1/m³, for comparison."""
        return np.sqrt(_not_negative(generation, "generation") / self.annihilation.constant)

    def distance(self, concentration: ArrayLike) -> Floats:
        """r of ``c = C_p/(4π r³/3)``, metres: the distance at which pairs annihilate; infinite at c = 0."""
        c = _not_negative(concentration, "concentration")
        with np.errstate(divide="ignore"):
            return np.cbrt(PACKING / (4.0 * math.pi / 3.0 * c))

    def _evaluated(self, concentration: ArrayLike) -> tuple[Floats, Floats]:
        c = _not_negative(concentration, "concentration")
        some = c > 0.0
        safe = np.where(some, c, self._density)
        log_rate, slope = _log_rate(np.log(safe / self._density))
        rate = np.where(some, np.exp(log_rate) * self._rate, 0.0)
        return rate, np.where(some, slope * rate / safe, 0.0)


@dataclass(frozen=True)
class MeanField:
    """``𝓡 = Γ̄ c²`` at all concentrations, as of quasiparticles that move.

    Attributes:
        constant: Γ̄, m³/s.
    """

    constant: float

    def rate(self, concentration: ArrayLike) -> Floats:
        """𝓡(c), 1/(m³ s)."""
        return self.constant * _not_negative(concentration, "concentration") ** 2

    def derivative(self, concentration: ArrayLike) -> Floats:
        """d𝓡/dc, 1/s."""
        return 2.0 * self.constant * _not_negative(concentration, "concentration")


@dataclass(frozen=True)
class LawInUnits:
    """A law for concentrations and times in units of a transport model.

    Attributes:
        law: of concentrations in 1/m³.
        density, time: units, 1/m³ and seconds.
    """

    law: AnnihilationLaw | MeanField
    density: float
    time: float

    def rate(self, concentration: Floats) -> Floats:
        """𝓡(c) in these units."""
        return self.law.rate(concentration * self.density) * (self.time / self.density)

    def derivative(self, concentration: Floats) -> Floats:
        """d𝓡/dc in these units."""
        return self.law.derivative(concentration * self.density) * self.time


def _not_negative(value: ArrayLike, what: str) -> Floats:
    given = np.asarray(value, dtype=np.float64)
    if not np.all(np.isfinite(given)) or np.any(given < 0.0):
        raise CaseError(f"{what}: must be finite and not negative")
    return given
