"""Closed forms for quasiparticles that a microwave mode drives below 2Δ, in a cold film.

P. B. Fischer, G. Catelani, Phys. Rev. Applied 19, 054087 (2023); derived in theory: driven. Quasiparticles
absorb and emit photons ω0 at the rate c n̄, emit phonons and are few: ``f ≪ 1``. Energies and temperatures
are in units of Δ0, rates in units of 1/τ0.

Their distribution is known in three ways. `near_gap_envelope` is an Airy function; `envelope` a uniform
approximation for all energies and photon steps; `DrivenDistribution` solves the kinetic equation of cold
phonons on the photon ladders themselves, with all steps at Δ + kω0.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import airye, gamma, zeta

from fvqp.errors import CaseError, ConvergenceError
from fvqp.typing import Floats

#: Means of x/T_* and (x/T_*)², x = E − Δ, over ``f/√x`` near the gap without photon steps (Appendix E).
MOMENTS = (0.88 / 2.1, 0.77 / 2.1)

_ROOTS, _SHARES = np.polynomial.legendre.leggauss(48)
_NODES, _WEIGHTS = 0.5 * (_ROOTS + 1.0), 0.5 * _SHARES
#: Where the occupation is smaller by exp(-LOST), phonons that arrive from above do not count any more.
_LOST = 45.0
_LARGEST = 6000  # order of the matrix of phonons that arrive
_PASSES = 200
_SMALLEST = 1e-290  # below it numbers lose digits


def effective_temperature(
    kappa: float, coupling: ArrayLike, photon_energy: ArrayLike, photons: ArrayLike, gap: ArrayLike = 1.0
) -> Floats:
    """T_* in Δ0, above which f falls faster than exponentially (Eq. 35; theory, driven-temperature).

    Args:
        kappa: ``Δ0/k_BT_c``.
        coupling: c_phot in 1/τ0.
        photon_energy: ω0.
        photons: n̄.
        gap: Δ.
    """
    _check(kappa=kappa, photon_energy=photon_energy, gap=gap)
    _check(least=0.0, coupling=coupling, photons=photons)
    rate = np.multiply(coupling, photons)
    sixth = 105.0 / 64.0 * rate * np.square(photon_energy) * np.asarray(gap) / kappa**3
    return np.asarray(sixth ** (1.0 / 6.0))


def drive_rate(
    kappa: float, temperature: ArrayLike, photon_energy: ArrayLike, gap: ArrayLike = 1.0
) -> Floats:
    """c_phot n̄ in 1/τ0 that makes the effective temperature T_*: the inverse of `effective_temperature`."""
    _check(kappa=kappa, photon_energy=photon_energy, gap=gap)
    _check(least=0.0, temperature=temperature)
    sixth = np.asarray(temperature, dtype=np.float64) ** 6
    return np.asarray(64.0 / 105.0 * sixth * kappa**3 / (np.square(photon_energy) * np.asarray(gap)))


def emission_rate(kappa: float, energies: ArrayLike, gap: float = 1.0) -> Floats:
    """1/τ_s of emission of phonons at T = 0, in 1/τ0; 0 at the gap (theory, driven-emission).

    Near the gap ``(128/105) κ³ x^{7/2}/√(2Δ)``, x = E − Δ. Accurate at any energy; the closed form with its
    logarithm cancels near the gap.
    """
    _check(kappa=kappa, gap=gap)
    x = _above(energies, gap)
    return kappa**3 * gap**3 * _emission(x / gap)


def absorption_rate(kappa: float, temperature: ArrayLike, gap: float = 1.0) -> Floats:
    """Rate at which a quasiparticle at the gap absorbs phonons of a bath, in 1/τ0, to lowest order in k_BT/Δ.

    ``Γ(7/2) ζ(7/2) κ³ T^{7/2}/√(2Δ)``: Kaplan et al., Phys. Rev. B 14, 4854 (1976); ``temperature`` k_BT ≥ 0
    in Δ0.
    """
    _check(kappa=kappa, gap=gap)
    _check(least=0.0, temperature=temperature)
    power = np.asarray(temperature, dtype=np.float64) ** 3.5
    return np.asarray(gamma(3.5) * zeta(3.5) * kappa**3 * power / np.sqrt(2.0 * gap))


def near_gap_envelope(energies: ArrayLike, temperature: float, gap: float = 1.0) -> Floats:
    """``Ai(x²/(2^{2/3} T_*²)) ∝ x K_{1/3}(x³/3T_*³)``, x = E − Δ (theory, driven-airy). Not normalized.

    Valid for T_* ≲ x ≪ Δ and photon steps small against the decay length, ``ω0 x²/T_*³ ≪ 1``.
    """
    _check(temperature=temperature, gap=gap)
    zeta = _above(energies, gap) ** 2 / (2.0 ** (2.0 / 3.0) * temperature**2)
    return np.asarray(airye(zeta)[0] * np.exp(-2.0 / 3.0 * zeta**1.5))


def envelope(
    energies: ArrayLike,
    photon_energy: float,
    rate: float,
    kappa: float,
    *,
    matching: float,
    photons: float = np.inf,
    gap: float = 1.0,
    discrete: bool = True,
) -> Floats:
    """``f(E)/f(E_m)`` in one formula for all energies (theory, driven-uniform).

    Langer's uniform solution of the balance of diffusion in energy and loss to phonons, with the exact
    emission rate: the Airy function near the gap, the WKB form beyond. With ``discrete`` the decay is that of
    the difference equation of finite photon steps. What it leaves out is the sawtooth of period ω0: it
    follows f at energies of one phase ``(E − Δ) mod ω0``, best in the middle of the steps. There, from 2 T_*
    above the gap on, it is within 11 % over 29 decades at T_* = 0.9 ω0, 3 % at 1.8 ω0, 1 % at 3.6 ω0.

    Args:
        energies: above Δ, any shape.
        photon_energy: ω0.
        rate: c_phot n̄ in 1/τ0.
        kappa: ``Δ0/k_BT_c``.
        matching: E_m > Δ, some T_* above it.
        photons: n̄; spontaneous emission is right to first order in 1/n̄.
        gap: Δ.
        discrete: False for continuous diffusion, right only for ``ω0 ≪`` decay length.
    """
    _check(photon_energy=photon_energy, rate=rate, kappa=kappa, photons=photons, gap=gap)
    x = _above(energies, gap)
    start = _above(matching, gap)
    if not (np.all(x > 0.0) and start > 0.0):
        raise CaseError("envelope of a driven distribution: energies and matching must be above the gap")
    # f (1 + 1/n̄)^{k/2} on step k obeys a symmetric balance at the geometric mean of both rates
    ratio = rate * np.sqrt(1.0 + 1.0 / photons) / (kappa * gap) ** 3
    step = photon_energy / gap
    value = _log_envelope(x / gap, ratio, step, discrete) - _log_envelope(start / gap, ratio, step, discrete)
    emitted = 0.5 * np.log1p(1.0 / photons) * (x - start) / photon_energy
    return np.asarray(np.exp(value - emitted))


class DrivenDistribution:
    """Occupation of few quasiparticles in a microwave mode with cold phonons, resolved within photon steps.

    Energies Δ + φ + kω0 of one phase φ form a ladder, climbed by photons. Losses to phonons make the
    occupation on it a minimal solution of a three-term recurrence, found by its continued fraction, which
    keeps relative accuracy over hundreds of decades; phonons emitted above couple the ladders (theory,
    driven-ladder). No energy bins are involved. Exact for ``f ≪ 1``, cold phonons, and no quasiparticles
    made or lost; ``loss`` adds recombination, or absorption of phonons, at a constant rate.

    Without loss, quasiparticles of a cold film collect at the gap, ``f ∝ φ^{-1/2}``, and the integral of ρf
    over the first step diverges logarithmically. Nothing above the first step depends on it, but means and
    `steps[0]` need a loss to be defined.

    Attributes:
        photon_energy, gap: ω0, Δ.
        energies: quadrature nodes, ``(steps, nodes)``; a row is one photon step.
        weights: of ``∫ρ dE`` at the nodes, same shape.
        occupation: f at the nodes, scaled to one quasiparticle, ``∫ρ f dE = 1``.
        survival: eigenvalue of the balance; 1 without loss, up to the error of quadrature.
    """

    def __init__(
        self,
        photon_energy: float,
        rate: float,
        kappa: float,
        *,
        maximum: float,
        photons: float = np.inf,
        gap: float = 1.0,
        loss: float = 0.0,
        nodes: int = 24,
    ) -> None:
        """
        Args:
            photon_energy: ω0.
            rate: c_phot n̄ > 0 in 1/τ0.
            kappa: ``Δ0/k_BT_c``.
            maximum: highest energy of interest.
            photons: n̄.
            gap: Δ.
            loss: rate at which quasiparticles of any energy disappear, in 1/τ0; those that replace them have
                the spectrum of the ones that phonons bring back.
            nodes: energies a photon step; 24 for six digits.

        Raises:
            CaseError: bad numbers, or photons so small that `envelope` should be used.
        """
        _check(photon_energy=photon_energy, rate=rate, kappa=kappa, photons=photons, gap=gap)
        _check(least=0.0, loss=loss)
        if not photon_energy < 2.0 * gap:
            raise CaseError("driven distribution: photons of 2Δ or more break pairs; it is for smaller ones")
        if not gap < maximum < np.inf:
            raise CaseError(f"driven distribution: maximum {maximum:g} Δ0 must be above the gap {gap:g} Δ0")
        if not (isinstance(nodes, int) and nodes >= 4):
            raise CaseError(f"driven distribution: at least 4 nodes a photon step, found {nodes}")
        self.photon_energy, self.gap, self.kappa = float(photon_energy), float(gap), float(kappa)
        step, absorption = photon_energy / gap, rate / (kappa * gap) ** 3
        self._emission = 1.0 + 1.0 / photons
        # Two steps beyond what is asked for change f there by the square of the ratio of two steps, at most;
        # six make it negligible.
        steps = int(np.ceil((maximum - gap) / photon_energy)) + 6
        reach = min(steps, _reach(absorption, step, steps * step))
        if reach * nodes > _LARGEST:
            raise CaseError(
                f"driven distribution: {reach} photon steps matter, too many to resolve; photons of "
                f"{photon_energy:g} Δ0 are so small that the envelope serves as well"
            )
        v, w = np.polynomial.legendre.leggauss(nodes)
        # E = Δ + ω0(k + u²) takes the root from ρ at the gap; all of f is analytic in u. A loss ends f ∝ 1/u
        # at a very small u, down to which the nodes of v = u^(1/3) reach.
        self._power = 3.0 if loss > 0.0 else 1.0
        self._nodes = 0.5 * (v + 1.0)
        self._phase, w = self._nodes**self._power, 0.5 * w * self._power * self._nodes ** (self._power - 1.0)
        x = step * (np.arange(steps)[:, None] + self._phase**2)
        energy = 1.0 + x
        density = energy / np.sqrt(x * (x + 2.0))
        weight = density * 2.0 * step * self._phase * w
        lost = density * (_emission(x) + loss / (kappa * gap) ** 3)
        hops = absorption * density[:-1] * density[1:] * (1.0 + 1.0 / (energy[:-1] * energy[1:]))
        self._climb(lost, hops)
        near = energy[:reach].ravel()
        phonon = np.maximum(near[None, :] - near[:, None], 0.0)
        arriving = phonon**2 * (1.0 - 1.0 / (near[:, None] * near[None, :])) * weight[:reach].ravel()
        arriving *= density[:reach].ravel()[:, None]
        self.energies, self.weights = gap * energy, gap * weight
        self.occupation, self.survival = self._iterate(arriving, reach)

    def __call__(self, energies: ArrayLike) -> Floats:
        """f at energies above Δ up to ``maximum``, any shape. Without loss only ratios mean something.

        Below 1e-290 of the largest value it is 0.
        """
        x = (_above(energies, self.gap)) / self.photon_energy
        k = np.floor(x).astype(np.int64)
        if np.any(k >= len(self.occupation)) or np.any(x <= 0.0):
            raise CaseError(
                f"driven distribution: energies must be between {self.gap:g} and {self.energies[-1, -1]:g} Δ0"
            )
        u = np.sqrt(x - k)
        # f ∝ 1/u at small u, and its logarithm otherwise is as smooth as a polynomial of the nodes
        values = np.log(np.maximum(self.occupation * self._phase, _SMALLEST))
        logarithm = np.sum(values[k] * self._lagrange(u ** (1.0 / self._power)), axis=-1)
        f = np.exp(logarithm) / np.maximum(u, 1e-12)
        return np.asarray(np.where(self.occupation[k, -1] > _SMALLEST, f, 0.0))

    @property
    def steps(self) -> Floats:
        """``∫ρ f dE`` over every photon step, ``(steps,)``."""
        return np.sum(self.weights * self.occupation, axis=1)

    def mean(self, values: Floats) -> float:
        """Mean over quasiparticles of a quantity given at `energies`."""
        return float(np.sum(self.weights * self.occupation * values) / np.sum(self.weights * self.occupation))

    def pair_emission(self) -> float:
        """Rate per quasiparticle of emission of phonons above 2Δ, in 1/τ0. ``maximum`` must exceed 3Δ well.

        With the part ``p = 1/(1 + τ_pb/τ_l)`` of them that breaks pairs, the drive makes 2p times as many
        quasiparticles.
        """
        return self.mean(self.kappa**3 * self.gap**3 * _emission(self.energies / self.gap - 1.0, least=2.0))

    def _climb(self, lost: Floats, hops: Floats) -> None:
        """Continued fraction from the top: what all above a step takes from it, without any difference."""
        self._hops = hops
        self._through = np.empty_like(hops)
        above = np.zeros_like(lost)
        for k in range(len(hops) - 1, -1, -1):
            total = lost[k + 1] + above[k + 1]
            self._through[k] = total + self._emission * hops[k]
            above[k] = hops[k] * total / self._through[k]
        self._foot = lost[0] + above[0]

    def _respond(self, sources: Floats) -> Floats:
        """Occupation on all ladders with given sources, ``(steps, nodes)``; positive terms only."""
        gathered, f = sources.copy(), np.empty_like(sources)
        for k in range(len(self._hops) - 1, -1, -1):
            gathered[k] += self._emission * self._hops[k] / self._through[k] * gathered[k + 1]
        f[0] = gathered[0] / self._foot
        for k in range(len(self._hops)):
            f[k + 1] = (self._hops[k] * f[k] + gathered[k + 1]) / self._through[k]
        return f

    def _iterate(self, arriving: Floats, reach: int) -> tuple[Floats, float]:
        """Emission by emission to the stationary state; each takes nearly all quasiparticles to the gap."""
        sources = np.zeros_like(self.weights)
        f = np.ones_like(self.weights)
        f /= np.sum(self.weights * f)
        for _ in range(_PASSES):
            sources[:reach] = (arriving @ f[:reach].ravel()).reshape(reach, -1)
            new = self._respond(sources)
            eigenvalue = float(np.sum(self.weights * new))
            new /= eigenvalue
            change = float(np.max(np.abs(new - f) / (new + _SMALLEST)))
            f = new
            if change < 1e-12:
                return f, eigenvalue
        raise ConvergenceError(
            f"driven distribution: not stationary after {_PASSES} passes (change {change:.1e}): photons heat "
            "quasiparticles faster than phonons return them to the gap; raise maximum or lower the rate"
        )

    def _lagrange(self, v: Floats) -> Floats:
        """Values at v of the Lagrange polynomials of the nodes, ``(..., nodes)``, barycentric."""
        nodes = self._nodes
        gaps = nodes[:, None] - nodes[None, :] + np.eye(nodes.size)
        bary = 1.0 / np.prod(4.0 * gaps, axis=1)
        distance = v[..., None] - nodes
        distance = np.where(np.abs(distance) < 1e-15, 1e-15, distance)
        terms = bary / distance
        return np.asarray(terms / terms.sum(axis=-1, keepdims=True))


class DrivenDensity(NamedTuple):
    """Solution of ``R̄N² − G_drive N − G_thermal = 0``, N = n_qp/N0 in Δ0; arrays.

    Attributes:
        x_qp: ``N/2Δ0 = n_qp/2N0Δ0``.
        thermal: x_qp without drive.
        driven: x_qp without thermal phonons, ``G_drive/2Δ0R̄``; above `thermal` where the drive generates.
        recombination, drive, generation: R̄, G_drive and G_thermal in units of Δ0 and τ0.
    """

    x_qp: Floats
    thermal: Floats
    driven: Floats
    recombination: Floats
    drive: Floats
    generation: Floats


def density(
    kappa: float,
    temperature: ArrayLike,
    *,
    bath: ArrayLike = 0.0,
    trapping: ArrayLike = 0.0,
    pair_emission: ArrayLike | None = None,
    moments: tuple[float, float] | None = None,
) -> DrivenDensity:
    """Density of driven quasiparticles (Fischer and Catelani, Eqs. 47-51; theory, driven-density).

    The thermal term and R̄ at T_* → 0 are those of Rothwarf and Taylor: ``R̄/N0 = R/(1 + τ_l/τ_pb)``, and
    x_qp without drive is the thermal one up to relative corrections of order k_BT/Δ. The corrections of R̄
    follow from `MOMENTS`; neglected are T_*³ and, with phonons trapped, a part of T_*².

    G_drive of the paper is a fit (0.84, the power 9/2 and ``√(14/5)`` in the exponent) without a stated
    accuracy, for photon steps small against the decay length up to 3Δ. Compared with `DrivenDistribution`,
    it is within a factor of 2.5 for T_* from 0.4 to 0.8 at ω0 = Δ/40, and at ω0 = Δ/9 for T_* from 0.5 to
    0.8 only (at a loss of 1e-4/τ0, on which the number of quasiparticles at the gap depends); at smaller T_*
    it is too small, by any number of decades. `DrivenDistribution.pair_emission` has no such limit, nor have
    moments of its own, where `MOMENTS` are those of small photon steps.

    Args:
        kappa: ``Δ0/k_BT_c``.
        temperature: T_* ≥ 0, Δ0.
        bath: temperature of the bath, Δ0.
        trapping: ``τ_l/τ0^pb``.
        pair_emission: rate per quasiparticle of emission of phonons above 2Δ, 1/τ0; None for the fit.
        moments: means of x = E − Δ and x² of quasiparticles; None for those of `MOMENTS`.
    """
    _check(kappa=kappa)
    _check(least=0.0, temperature=temperature, bath=bath, trapping=trapping)
    t, tb, beta = (np.asarray(a, dtype=np.float64) for a in (temperature, bath, trapping))
    a = kappa**3 / (1.0 + beta)
    spread = (1.0 + 0.5 * beta) / (1.0 + beta)
    if moments is None:
        linear, second = MOMENTS
        faster = spread * linear * t + (1.25 * second - 0.75 * linear**2) * t**2
    else:
        _check(least=0.0, moments=moments)
        faster = spread * moments[0] + 0.5 * moments[1]
    recombination = 2.0 * a * (1.0 + faster)
    with np.errstate(divide="ignore"):
        generation = 16.0 * np.pi * a * tb * np.exp(-2.0 / tb)
        fit = 0.84 * a * beta * t**4.5 * np.exp(-np.sqrt(14.0 / 5.0) / t**3)
    if pair_emission is None:
        drive = fit
    else:
        _check(least=0.0, pair_emission=pair_emission)
        drive = 2.0 * beta / (1.0 + beta) * np.asarray(pair_emission, dtype=np.float64)
    root = np.sqrt(drive**2 + 4.0 * recombination * generation)
    n = (drive + root) / (2.0 * recombination)
    thermal = np.sqrt(generation / recombination)
    return DrivenDensity(
        *np.broadcast_arrays(
            0.5 * n, 0.5 * thermal, 0.5 * drive / recombination, recombination, drive, generation
        )
    )


def _emission(x: Floats, least: float = 0.0) -> Floats:
    """Emission of phonons above ``least`` by E = 1 + x, Δ = 1, in units of ``κ³Δ³/τ0``."""
    # E' = 1 + y t² with y = x − least: no root is left at the gap
    x = np.asarray(x, dtype=np.float64)[..., None]
    y = np.maximum(x - least, 0.0)
    final = y * _NODES**2
    integrand = (x - final) ** 2 * (final + x / (1.0 + x)) / np.sqrt(final + 2.0)
    return np.asarray(2.0 * np.sqrt(y[..., 0]) * (integrand @ _WEIGHTS))


def _log_envelope(x: Floats, ratio: float, step: float, discrete: bool) -> Floats:
    """Logarithm of the uniform approximation at E = 1 + x, Δ = 1; ``ratio = c n̄/κ³Δ³``."""
    x = np.asarray(x, dtype=np.float64)

    def decay(y: Floats) -> tuple[Floats, Floats]:
        """Rate of decay in energy, and diffusion over c n̄ ω0²."""
        energy = 1.0 + y
        diffusion = (energy**2 + 1.0) / (y * (y + 2.0))
        density = energy / np.sqrt(y * (y + 2.0))
        rate = np.sqrt(density * _emission(y) / (ratio * diffusion)) / step
        return (2.0 / step * np.arcsinh(0.5 * step * rate) if discrete else rate), diffusion

    rate, diffusion = decay(x)
    exponent = x * (decay(x[..., None] * _NODES)[0] @ _WEIGHTS)
    flux = diffusion * (np.sinh(step * rate) / step if discrete else rate)
    zeta = (1.5 * exponent) ** (2.0 / 3.0)
    return np.asarray(np.log(airye(zeta)[0]) - exponent + 0.25 * np.log(zeta) - 0.5 * np.log(flux))


def _reach(ratio: float, step: float, top: float) -> int:
    """Number of photon steps in which phonons emitted above still bring anything."""
    x = np.geomspace(0.5 * step, top, 300)
    value = _log_envelope(x, ratio, step, True)
    below = x[value > value[0] - _LOST]
    return int(np.ceil(below[-1] / step)) + 2


def _above(energies: ArrayLike, gap: float) -> Floats:
    x = np.asarray(energies, dtype=np.float64) - gap
    if not np.all(x >= 0.0):
        raise CaseError(f"driven distribution: energies must be numbers at or above the gap of {gap:g} Δ0")
    return x


def _check(*, least: float | None = None, **values: ArrayLike) -> None:
    for name, value in values.items():
        a = np.asarray(value, dtype=np.float64)
        if least is None and not np.all(a > 0.0):
            raise CaseError(f"driven distribution: {name} must be positive, found {np.min(a):g}")
        if least is not None and not np.all((a >= least) & np.isfinite(a)):
            raise CaseError(f"driven distribution: {name} must be finite and at least {least:g}")
