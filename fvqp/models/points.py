"""Operating points: what is prescribed, what is found, and its balance."""

from __future__ import annotations

from dataclasses import dataclass

from fvqp.models.kinetics import KineticState, SpectralState
from fvqp.models.phase import PhaseField
from fvqp.typing import Floats
from fvqp.units import InUnit


@dataclass(frozen=True)
class Point:
    """What is prescribed: biases in volt and the value of the supercurrent drive (0 without)."""

    V_inj: InUnit[float] = InUnit("V", 0.0)
    V_det: InUnit[float] = InUnit("V", 0.0)
    supercurrent: float = 0.0


@dataclass(frozen=True)
class Ledger:
    """Rates of particles (1/s), energy (W) and charge (A) at an operating point.

    Attributes:
        injected: through all junctions into the superconductor, by row.
        taken: out through the reservoirs.
        relaxed: charge passed to the condensate; quasiparticles that collisions destroy, less those they
            create; energy that phonons take, which is 0 but for rounding without them.
        scale: sum of absolute currents, by row: what a residual is to be compared with.
    """

    rows = ("particles", "energy", "charge")
    injected: Floats
    taken: Floats
    relaxed: Floats
    scale: Floats

    @property
    def residual(self) -> Floats:
        """What is left: injected − taken − relaxed."""
        return self.injected - self.taken - self.relaxed


@dataclass(frozen=True)
class Solution:
    """A solved operating point.

    Attributes:
        point: what was prescribed.
        spectral: gap, depairing and phase drops.
        kinetic: deviations of f_L and f_T, currents.
        phase: the phase field, None without supercurrent.
        evaluations: of the self-consistency map, or Newton steps where gap and distributions were found
            together; 0 if nothing had to be iterated.
        leads: ``(junctions,)`` temperatures of the electrons in all leads, kelvin, where they follow from
            balances of heat; None where they are prescribed.
        before: point and gap of the neighbour at another bias from which a self-consistent gap was found, by
            which the next one is predicted.
    """

    point: Point
    spectral: SpectralState
    kinetic: KineticState
    phase: PhaseField | None
    evaluations: int
    leads: Floats | None = None
    before: tuple[Point, Floats] | None = None

    def __repr__(self) -> str:
        low, high = float(self.spectral.gap.min()), float(self.spectral.gap.max())
        gap = f"{low:.4g}" if low == high else f"{low:.4g} to {high:.4g}"
        return f"Solution({self.point}: gap {gap} Delta0, {self.evaluations} evaluations)"


@dataclass(frozen=True)
class Guess:
    """What a solution can start from: a neighbour's point, spectra and phase; distributions where collisions
    act; temperatures of leads; what the neighbour itself started from (`Solution`)."""

    point: Point
    spectral: SpectralState
    phase: PhaseField | None
    kinetic: KineticState | None = None
    leads: Floats | None = None
    before: tuple[Point, Floats] | None = None
