"""Densities instead of distributions: the equations of Rothwarf and Taylor, and those without phonons.

    dn/dt = I_qp + (2/τ_B) N − R n² − (n − n_T)/τ_tr
    dN/dt = I_ph + ½ R n² − N/τ_B − (N − N_T)/τ_esc

n is the density of quasiparticles, N that of phonons that can break pairs (A. Rothwarf, B. N. Taylor,
Phys. Rev. Lett. 19, 27 (1967); theory: Rothwarf-Taylor). R counts both quasiparticles that an event removes.
Any consistent units will do; `RothwarfTaylor.from_material` gives SI.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from fvqp.errors import CaseError, ConvergenceError
from fvqp.materials import Material, pair_breaking_time, recombination_constant
from fvqp.models.coupling import gap_at, thermal_density
from fvqp.typing import Floats

Injection = float | Callable[[float], float]

_ATTEMPTS = 3  # each with a hundredth of the tolerance
_FINEST = 1e-12  # relative tolerance: rounding of the implicit stages
_FLOOR = 1e-16  # of the largest density: what is below need not be accurate


@dataclass(frozen=True)
class TrappingModel:
    """Recombination and constant trapping, ``dn/dt = G − R (n² − n_T²) − (n − n_T)/τ_tr``.

    Attributes:
        recombination: R ≥ 0, volume/time.
        trapping_time: τ_tr > 0; infinite without trapping.
        thermal_density: n_T ≥ 0, to which both lead.
    """

    recombination: float
    trapping_time: float = math.inf
    thermal_density: float = 0.0

    def __post_init__(self) -> None:
        _check(self, at_least_zero=("recombination", "thermal_density"), times=("trapping_time",))

    def steady(self, generation: float = 0.0) -> float:
        """Density under constant generation G ≥ 0 of quasiparticles per volume and time.

        Raises:
            CaseError: G < 0, or nothing removes quasiparticles.
        """
        _not_negative("generation", generation)
        linear = 2.0 * self.recombination * self.thermal_density + 1.0 / self.trapping_time
        root = math.sqrt(linear**2 + 4.0 * self.recombination * generation)
        if linear + root == 0.0 and generation > 0.0:
            raise CaseError(
                "no steady state: neither recombination with escape of phonons nor trapping removes "
                "what is generated"
            )
        excess = 2.0 * generation / (linear + root) if generation > 0.0 else 0.0
        return self.thermal_density + excess

    def relaxation_time(self, density: float) -> float:
        """Return the relaxation time of a small change at a density: ``1/(2 R n + 1/τ_tr)``; infinite if
        nothing removes it."""
        rate = 2.0 * self.recombination * density + 1.0 / self.trapping_time
        return 1.0 / rate if rate > 0.0 else math.inf

    def decay(self, start: float, times: ArrayLike, generation: float = 0.0) -> Floats:
        """n(t) from n(0) = ``start``, exactly; ``1/n − 1/n(0) = R t`` if nothing but R acts."""
        _not_negative("start", start)
        t = np.asarray(times, dtype=np.float64)
        if not np.all(t >= 0.0):
            raise CaseError("decay: times must not be negative")
        r = self.recombination
        if r == 0.0 and math.isinf(self.trapping_time):
            return start + generation * t
        rest = self.steady(generation)
        rate = 2.0 * r * rest + 1.0 / self.trapping_time
        excess = start - rest
        # (1 − e^{−Γt})/Γ, which is t where nothing but n² relaxes
        elapsed = -np.expm1(-rate * t) / rate if rate > 0.0 else t
        return np.asarray(rest + excess * np.exp(-rate * t) / (1.0 + r * excess * elapsed))


@dataclass(frozen=True)
class Ledger:
    """Gains and losses per volume since the start, counted in quasiparticles (a phonon is two).

    Attributes:
        injected: quasiparticles and phonons put in.
        escaped: phonons to the bath, more than came from it.
        trapped: quasiparticles.
        imbalance: of ``n + 2N`` with these three, at each time.
    """

    injected: Floats
    escaped: Floats
    trapped: Floats
    imbalance: Floats


@dataclass(frozen=True)
class Evolution:
    """Densities at ``times``.

    Attributes:
        times: as asked for, ``(n,)``.
        quasiparticles, phonons: n and N, ``(n,)``.
        ledger: of the run.
        evaluations: of the right-hand side.
    """

    times: Floats
    quasiparticles: Floats
    phonons: Floats
    ledger: Ledger
    evaluations: int


@dataclass(frozen=True)
class RothwarfTaylor:
    """Quasiparticles and pair-breaking phonons.

    Attributes:
        recombination: R > 0, volume/time.
        pair_breaking_time: τ_B > 0 of a phonon.
        escape_time: τ_esc > 0 of a phonon to the bath; infinite if none escapes.
        trapping_time: τ_tr > 0 of a quasiparticle; infinite without trapping.
        thermal_density: n_T ≥ 0 in equilibrium with the bath.
    """

    recombination: float
    pair_breaking_time: float
    escape_time: float = math.inf
    trapping_time: float = math.inf
    thermal_density: float = 0.0

    def __post_init__(self) -> None:
        _check(
            self,
            at_least_zero=("recombination", "thermal_density"),
            times=("pair_breaking_time", "escape_time", "trapping_time"),
        )
        if math.isinf(self.pair_breaking_time):
            raise CaseError(
                "Rothwarf-Taylor model: pair_breaking_time must be finite; phonons that break no pairs need "
                "no equation, take TrappingModel"
            )

    @classmethod
    def from_material(
        cls,
        material: Material,
        *,
        escape_time: float = math.inf,
        trapping_time: float = math.inf,
        temperature: float = 0.0,
    ) -> RothwarfTaylor:
        """Model of a material in SI units: m³/s, s, 1/m³.

        R is that of cold quasiparticles (relative corrections of order k_BT/Δ), τ_B that of phonons of energy
        2Δ and follows from the other numbers; both with the gap of the temperature.

        Args:
            material: with the numbers of electron-phonon kinetics.
            escape_time, trapping_time: seconds.
            temperature: of the bath, kelvin; below T_c.
        """
        recombination, breaking = recombination_constant(material), pair_breaking_time(material)
        reduced = gap_at(material, temperature) / material.gap
        # R ∝ Δ², and 1/τ_B(2Δ) = (1/τ0^pb) Δ/Δ0
        return cls(
            recombination=recombination * reduced**2,
            pair_breaking_time=breaking / reduced,
            escape_time=escape_time,
            trapping_time=trapping_time,
            thermal_density=thermal_density(material, temperature),
        )

    @property
    def thermal_phonons(self) -> float:
        """N_T, in detailed balance with n_T: ``2 N_T/τ_B = R n_T²``."""
        return 0.5 * self.recombination * self.thermal_density**2 * self.pair_breaking_time

    @property
    def breaking_probability(self) -> float:
        """That a phonon breaks a pair before it escapes, ``1/(1 + τ_B/τ_esc)``."""
        return 1.0 / (1.0 + self.pair_breaking_time / self.escape_time)

    @property
    def reduced(self) -> TrappingModel:
        """Without phonons, which follow at once if they are fast: ``R_eff = R/(1 + τ_esc/τ_B)``.

        Its steady states are exact with ``G = I_qp + 2 p I_ph``, p the `breaking_probability`; its decay
        holds if the quasiparticles in phonons are few, ``R n τ_B τ_esc/(τ_B + τ_esc) ≪ 1``.
        """
        trapping = 1.0 / (1.0 + self.escape_time / self.pair_breaking_time)
        return TrappingModel(self.recombination * trapping, self.trapping_time, self.thermal_density)

    def steady(self, quasiparticles: float = 0.0, phonons: float = 0.0) -> tuple[float, float]:
        """Densities (n, N) under constant injection of quasiparticles and phonons, in closed form.

        Raises:
            CaseError: negative injection, or nothing takes away what is injected.
        """
        _not_negative("injection of quasiparticles", quasiparticles)
        _not_negative("injection of phonons", phonons)
        n = self.reduced.steady(quasiparticles + 2.0 * self.breaking_probability * phonons)
        loss = 1.0 / self.pair_breaking_time + 1.0 / self.escape_time
        source = phonons + 0.5 * self.recombination * n**2 + self.thermal_phonons / self.escape_time
        return n, source / loss

    def rates(self, n: float, N: float, quasiparticles: float, phonons: float) -> tuple[float, float]:
        """``(dn/dt, dN/dt)`` with these injections."""
        pairs = 0.5 * self.recombination * n * n - N / self.pair_breaking_time
        trapped = (n - self.thermal_density) / self.trapping_time
        escaped = (N - self.thermal_phonons) / self.escape_time
        return quasiparticles - 2.0 * pairs - trapped, phonons + pairs - escaped

    def jacobian(self, n: float) -> Floats:
        """Return the derivative of `rates` by (n, N), ``(2, 2)``."""
        breaking = 1.0 / self.pair_breaking_time
        return np.array(
            [
                [-2.0 * self.recombination * n - 1.0 / self.trapping_time, 2.0 * breaking],
                [self.recombination * n, -breaking - 1.0 / self.escape_time],
            ]
        )

    def relaxation_times(self, n: float) -> tuple[float, float]:
        """Return the relaxation times of small changes at density n: the slow one (quasiparticles with
        their phonons), the fast one."""
        (a, _), (_, d) = self.jacobian(n)
        total = -(a + d)
        # Of positive terms only: the determinant as a difference would lose the slow rate to rounding.
        escape, trap = 1.0 / self.escape_time, 1.0 / self.trapping_time
        product = -a * escape + trap / self.pair_breaking_time
        difference = math.sqrt((a - d) ** 2 + 4.0 * self.recombination * n * 2.0 / self.pair_breaking_time)
        fast = 0.5 * (total + difference)
        slow = product / fast
        return (1.0 / slow if slow > 0.0 else math.inf), 1.0 / fast

    def run(
        self,
        times: ArrayLike,
        start: tuple[float, float] | None = None,
        *,
        quasiparticles: Injection = 0.0,
        phonons: Injection = 0.0,
        tolerance: float = 1e-8,
    ) -> Evolution:
        """Integrate in time, implicitly (Radau), with the analytic Jacobian, from each time to the next.

        Args:
            times: increasing, ≥ 0; the start is at 0.
            start: (n, N) ≥ 0; thermal by default.
            quasiparticles, phonons: injection ≥ 0 per volume and time, numbers or functions of time. Where a
                function jumps, and around its pulses, there should be times.
            tolerance: relative, of a step; a part of the run in which a density came out negative is
                repeated with a smaller one.

        Raises:
            CaseError: bad times, negative densities or injection.
            ConvergenceError: no step is small enough; says which process is stiff.
        """
        at = np.asarray(times, dtype=np.float64)
        if (
            at.ndim != 1
            or at.size == 0
            or not np.all(np.isfinite(at))
            or at[0] < 0.0
            or np.any(np.diff(at) <= 0)
        ):
            raise CaseError("Rothwarf-Taylor model: times must be finite, increase and not be negative")
        if not 0.0 < tolerance < 1.0:
            raise CaseError(f"Rothwarf-Taylor model: tolerance must be between 0 and 1, found {tolerance:g}")
        first = start if start is not None else (self.thermal_density, self.thermal_phonons)
        for name, value in zip(("quasiparticles", "phonons"), first, strict=True):
            _not_negative(f"start: density of {name}", value)
        sources = (_function(quasiparticles, "quasiparticles"), _function(phonons, "phonons"))
        y = np.empty((5, at.size))
        state, begin, evaluations = np.array([*first, 0.0, 0.0, 0.0]), 0.0, 0
        for i, end in enumerate(at.tolist()):
            if end > begin:
                state, count = self._advance(state, begin, end, sources, tolerance)
                evaluations += count
            y[:, i], begin = state, end
        injected, escaped, trapped = y[2], 2.0 * y[3], y[4]
        content = y[0] + 2.0 * y[1]
        imbalance = content - (first[0] + 2.0 * first[1]) - injected + escaped + trapped
        return Evolution(at, y[0], y[1], Ledger(injected, escaped, trapped, imbalance), evaluations)

    def _advance(
        self,
        state: Floats,
        begin: float,
        end: float,
        sources: tuple[Callable[[float], float], Callable[[float], float]],
        tolerance: float,
    ) -> tuple[Floats, int]:
        """n, N, injected, escaped (phonons) and trapped at ``end``, and the number of evaluations."""
        escape, trap = 1.0 / self.escape_time, 1.0 / self.trapping_time

        def rhs(t: float, y: Floats) -> Floats:
            qp, ph = sources[0](t), sources[1](t)
            dn, dN = self.rates(y[0], y[1], qp, ph)
            out_n, out_N = (y[0] - self.thermal_density) * trap, (y[1] - self.thermal_phonons) * escape
            return np.array([dn, dN, qp + 2.0 * ph, out_N, out_n])

        def jac(t: float, y: Floats) -> Floats:
            out = np.zeros((5, 5))
            out[:2, :2] = self.jacobian(y[0])
            out[3, 1], out[4, 0] = escape, trap
            return out

        supply = max(sources[0](t) + 2.0 * sources[1](t) for t in (begin, end)) * (end - begin)
        scale = max(float(np.max(np.abs(state))), supply, self.thermal_density)
        floor = np.array([_FLOOR, _FLOOR**2, 1.0, 1.0, 1.0]) * scale
        count, why = 0, ""
        for attempt in range(_ATTEMPTS):
            precision = tolerance * 0.01**attempt
            try:
                with np.errstate(over="ignore", invalid="ignore"):
                    solution = solve_ivp(
                        rhs,
                        (begin, end),
                        state,
                        method="Radau",
                        jac=jac,
                        t_eval=[end],
                        rtol=max(precision, _FINEST),
                        atol=np.maximum(precision * floor, sys.float_info.min),
                    )
            except ValueError:  # from the factorization of a matrix that is not finite
                why = "rates are no longer finite"
                continue
            count += int(solution.nfev)
            if solution.success and np.all(solution.y[:2, -1] >= 0.0):
                return np.asarray(solution.y[:, -1]), count
            why = "a density became negative" if solution.success else str(solution.message)
        raise ConvergenceError(
            f"Rothwarf-Taylor model: no step was small enough between {begin:g} and {end:g}: {why}; the "
            f"fastest process is {self._fastest(float(state[0]))}"
        )

    def _fastest(self, n: float) -> str:
        rates = {
            "recombination": 2.0 * self.recombination * n,
            "pair breaking": 1.0 / self.pair_breaking_time,
            "escape of phonons": 1.0 / self.escape_time,
            "trapping": 1.0 / self.trapping_time,
        }
        name = max(rates, key=lambda key: rates[key])
        return f"{name}, at a rate of {rates[name]:.3g}"


def _function(injection: Injection, name: str) -> Callable[[float], float]:
    if not callable(injection):
        _not_negative(f"injection of {name}", injection)
        constant = float(injection)
        return lambda t: constant

    def checked(t: float) -> float:
        value = float(injection(t))
        _not_negative(f"injection of {name} at time {t:g}", value)
        return value

    return checked


def _not_negative(name: str, value: float) -> None:
    if not (math.isfinite(value) and value >= 0.0):
        raise CaseError(f"{name}: must be a finite number ≥ 0, found {value:g}")


def _check(model: object, at_least_zero: tuple[str, ...], times: tuple[str, ...]) -> None:
    for name in at_least_zero:
        _not_negative(name, getattr(model, name))
    for name in times:
        if not getattr(model, name) > 0.0:
            raise CaseError(f"{name}: must be positive or infinite, found {getattr(model, name):g}")
