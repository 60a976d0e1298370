"""Electron-phonon spectral function α²F(Ω), the input of the Eliashberg equations.

All energies of an `Alpha2F`, and those of what is computed from it, are in one unit; the functions here that
make one use meV. Temperatures are k_B T in the same unit (`K_B` converts kelvin). α²F has no unit.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy import constants

from fvqp.errors import CaseError, shown
from fvqp.typing import Floats
from fvqp.units import to_float

MEV = 1e-3 * constants.e
"""Joule per meV."""
K_B = constants.k / MEV
"""k_B in meV per kelvin."""

_QUADRATURE_PIECES = 300  # of the whole spectrum at least; three Gauss points each
_MODEL_POINTS = 600
_CHUNK = 512  # frequencies a block of the (frequency, quadrature point) array


@dataclass(frozen=True, eq=False)
class Alpha2F:
    """α²F(Ω), piecewise linear between the points of a table; zero outside it.

    Attributes:
        energy: Ω > 0, increasing, ``(n,)``. Below the first point α²F falls linearly to 0 at Ω = 0. A last
            value above zero is a step down to zero, as in Debye's model.
        values: α²F ≥ 0 there, ``(n,)``.
        name: for messages and provenance.

    Raises:
        CaseError: if the table is unsorted, negative, not finite or zero everywhere.
    """

    energy: Floats
    values: Floats
    name: str = "α²F"

    def __post_init__(self) -> None:
        energy = np.array(self.energy, dtype=np.float64)
        values = np.array(self.values, dtype=np.float64)
        if energy.ndim != 1 or energy.shape != values.shape or energy.size < 2:
            raise CaseError(f"{self.name}: needs two columns, energy and α²F, of at least two rows")
        for row, problem in enumerate(row_problems(energy, values)):
            if problem:
                raise CaseError(f"{self.name}, row {row + 1}: {problem}")
        if not np.any(values > 0.0):
            raise CaseError(f"{self.name}: α²F is zero everywhere, so there is nothing to solve for")
        if energy[0] > 0.0:
            energy, values = np.insert(energy, 0, 0.0), np.insert(values, 0, 0.0)
        object.__setattr__(self, "energy", energy)
        object.__setattr__(self, "values", values)

    @property
    def largest_energy(self) -> float:
        """Ω_max, the last energy of the table."""
        return float(self.energy[-1])

    @property
    def coupling(self) -> float:
        """Electron-phonon coupling constant ``λ = 2 ∫ α²F/Ω dΩ`` (theory page Eliashberg)."""
        omega, weight = self._quadrature()
        return float(2.0 * np.sum(weight / omega))

    @property
    def omega_log(self) -> float:
        """Logarithmic mean energy ``exp[(2/λ) ∫ α²F ln Ω /Ω dΩ]``."""
        omega, weight = self._quadrature()
        return float(np.exp(np.sum(weight * np.log(omega) / omega) / np.sum(weight / omega)))

    @property
    def omega_2(self) -> float:
        """Root-mean-square energy ``[(2/λ) ∫ α²F Ω dΩ]^½``."""
        omega, weight = self._quadrature()
        return float(np.sqrt(np.sum(weight * omega) / np.sum(weight / omega)))

    @property
    def area(self) -> float:
        """``∫ α²F dΩ``."""
        return float(self._integral_to(np.array([self.largest_energy]))[0])

    def __call__(self, omega: ArrayLike) -> Floats:
        """α²F at energies ``Ω ≥ 0``."""
        at = np.asarray(omega, dtype=np.float64)
        return np.interp(at, self.energy, self.values, left=0.0, right=0.0)

    def cell_means(self, spacing: float, n_cells: int) -> Floats:
        """Mean of α²F over the cells ``(k h, (k+1) h)``, exact for the piecewise linear function."""
        return np.diff(self._integral_to(spacing * np.arange(n_cells + 1, dtype=np.float64))) / spacing

    def interaction(self, frequency: ArrayLike) -> Floats:
        """``λ(ν) = 2 ∫ α²F Ω/(Ω² + ν²) dΩ`` at Matsubara frequencies ν of phonons."""
        nu = np.ravel(np.asarray(frequency, dtype=np.float64))
        omega, weight = self._quadrature()
        out = np.empty_like(nu)
        for start in range(0, nu.size, _CHUNK):
            part = slice(start, start + _CHUNK)
            out[part] = (2.0 * weight * omega / (omega**2 + nu[part, None] ** 2)).sum(axis=1)
        return out.reshape(np.shape(frequency))

    def scaled(self, coupling: float) -> Alpha2F:
        """The same shape with another λ."""
        return Alpha2F(self.energy, self.values * (coupling / self.coupling), self.name)

    def _quadrature(self) -> tuple[Floats, Floats]:
        """Points Ω and weights including α²F: three Gauss points a piece of the refined table."""
        target = self.largest_energy / _QUADRATURE_PIECES
        pieces = np.maximum(1, np.ceil(np.diff(self.energy) / target)).astype(int)
        within = np.arange(pieces.sum()) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        width = np.repeat(np.diff(self.energy) / pieces, pieces)
        left = np.repeat(self.energy[:-1], pieces) + within * width
        x, w = np.polynomial.legendre.leggauss(3)
        omega = (left[:, None] + width[:, None] * 0.5 * (1.0 + x)).ravel()
        return omega, (0.5 * width[:, None] * w).ravel() * self(omega)

    def _integral_to(self, omega: Floats) -> Floats:
        """``∫_0^Ω α²F``."""
        steps = np.diff(self.energy)
        slope = np.diff(self.values) / steps
        total = np.concatenate(([0.0], np.cumsum(0.5 * (self.values[1:] + self.values[:-1]) * steps)))
        inside = np.clip(omega, self.energy[0], self.energy[-1])
        i = np.clip(np.searchsorted(self.energy, inside, side="right") - 1, 0, steps.size - 1)
        d = inside - self.energy[i]
        return total[i] + d * (self.values[i] + 0.5 * slope[i] * d)


def row_problems(energy: Floats, values: Floats) -> list[str]:
    """Return the error of each row of a table of α²F; empty text where there is none."""
    problems = []
    before = -math.inf
    for e, v in zip(energy.tolist(), values.tolist(), strict=True):
        problem = ""
        if not (math.isfinite(e) and math.isfinite(v)):
            problem = "energy and α²F must be finite numbers"
        elif e < 0.0:
            problem = f"the energy {e:g} is negative; phonon energies start at 0"
        elif e <= before:
            problem = f"the energy {e:g} does not exceed the one before it, {before:g}; sort the table"
        elif v < 0.0:
            problem = f"α²F = {v:g} is negative; it is a density of states times a squared coupling, so ≥ 0"
        elif e == 0.0 and v > 0.0:
            problem = f"α²F = {v:g} at zero energy makes λ infinite; it must vanish there"
        before = e
        problems.append(problem)
    return problems


def debye(coupling: float, debye_energy: float) -> Alpha2F:
    """Debye-like spectrum ``α²F = λ (Ω/Ω_D)²`` up to Ω_D; ``ω_log = Ω_D e^{-1/2}``, area ``λ Ω_D/3``."""
    if not (coupling > 0.0 and debye_energy > 0.0):
        raise CaseError(f"Debye-like α²F: λ = {coupling:g} and Ω_D = {debye_energy:g} must be positive")
    omega = _model_energies(debye_energy)
    shape = Alpha2F(omega, (omega / debye_energy) ** 2, f"Debye-like α²F, λ = {coupling:g}")
    return shape.scaled(coupling)


def _model_energies(largest: float) -> Floats:
    """Energies of a table, closer at low ones, which a gap far below the phonons depends on."""
    return largest * np.linspace(0.0, 1.0, _MODEL_POINTS + 1)[1:] ** 2


def peaks(
    coupling: float,
    lines: Sequence[tuple[float, float, float]],
    largest_energy: float,
    name: str = "α²F of peaks",
) -> Alpha2F:
    """Spectrum of broadened phonon peaks, each of them ∝ Ω² at low energy.

        α²F_k ∝ exp[−(Ω − Ω_k)²/2w_k²] Ω²/(Ω² + Ω_k²/4)

    Args:
        coupling: λ of the sum.
        lines: ``(Ω_k, w_k, share)``; shares of λ, normalised to 1.
        largest_energy: Ω_max, above which α²F = 0.
    """
    omega = _model_energies(largest_energy)
    total = np.zeros_like(omega)
    for centre, width, share in lines:
        shape = np.exp(-0.5 * ((omega - centre) / width) ** 2) * omega**2 / (omega**2 + 0.25 * centre**2)
        total += share * Alpha2F(omega, shape, name).scaled(1.0).values[1:]
    return Alpha2F(omega, total, name).scaled(coupling)


def read(path: str | Path, unit: str = "meV") -> Alpha2F:
    """Read a table of two columns, energy and α²F; ``#`` starts a comment; commas or blanks separate.

    Args:
        path: text file.
        unit: of the energies in the file, such as ``"meV"`` or ``"Ry"`` (frequencies and temperatures are not
            converted). The result is in meV.

    Raises:
        CaseError: with file and line, if a row is not two numbers, energies do not increase, or α²F < 0.
    """
    factor = to_float(f"1 {unit}", "J") / MEV
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CaseError(f"α²F table {path}: cannot be read as text ({error})") from None
    lines: list[int] = []
    rows: list[tuple[float, float]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        words = [word for word in re.split(r"[,;\s]+", line.split("#", 1)[0].strip()) if word]
        if not words:
            continue
        try:
            energy, value = (float(word) for word in words)
        except ValueError:
            raise CaseError(
                f"{path}, line {number}: expected two numbers, energy in {unit} and α²F, not "
                f"{shown(line.strip())}"
            ) from None
        lines.append(number)
        rows.append((energy, value))
    if len(rows) < 2:
        raise CaseError(f"{path}: a table of α²F needs at least two rows of two numbers; found {len(rows)}")
    table = np.array(rows)
    for number, problem in zip(lines, row_problems(table[:, 0], table[:, 1]), strict=True):
        if problem:
            raise CaseError(f"{path}, line {number}: {problem}")
    return Alpha2F(factor * table[:, 0], table[:, 1], Path(path).name)


@dataclass(frozen=True)
class Metal:
    """A model spectrum and what is known of its metal; energies in meV.

    Attributes:
        spectrum: α²F with the published λ; its ω_log is that of ``omega_log`` within 1 %.
        coulomb: μ* that gives ``critical_temperature`` with the cut-off 6 Ω_max.
        critical_temperature: measured, kelvin.
        omega_log: published, meV.
        ratio: published ``2Δ0/k_BT_c`` of Eliashberg theory.
        source: of the numbers; the originals were not at hand, see the head of ``alpha2f_metals.toml``.
    """

    name: str
    spectrum: Alpha2F
    coulomb: float
    critical_temperature: float
    omega_log: float
    ratio: float
    source: str


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files("fvqp.spectral").joinpath("alpha2f_metals.toml").read_text("utf-8"))


def metal_names() -> list[str]:
    """Metals that `metal` knows."""
    return list(_table())


@cache
def metal(name: str) -> Metal:
    """Model α²F of Al, Sn, Pb or Nb: peaks at the published phonon energies, with the published λ and ω_log.

    The fine structure of a measured spectrum is not in it; use `read` for a measured one.
    """
    if name not in _table():
        raise CaseError(f"no model α²F of {name!r}; there are {', '.join(metal_names())}, or give a table")
    row = _table()[name]
    spectrum = peaks(
        row["coupling"], [tuple(line) for line in row["peaks"]], row["largest_energy"], f"model α²F of {name}"
    )
    return Metal(
        name,
        spectrum,
        row["coulomb"],
        row["critical_temperature"],
        K_B * row["omega_log_kelvin"],
        row["ratio"],
        row["source"],
    )


def allen_dynes(spectrum: Alpha2F, coulomb: float = 0.0) -> float:
    """k_B T_c by the formula of Allen and Dynes, with shape factors f1 and f2 (Phys. Rev. B 12, 905 (1975)).

    An estimate for comparison; 0 if ``λ ≤ μ*(1 + 0.62 λ)``. Here μ* means that of their fit, which is close
    to that of a cut-off of some six times Ω_max.
    """
    lam, log, rms = spectrum.coupling, spectrum.omega_log, spectrum.omega_2
    attraction = lam - coulomb * (1.0 + 0.62 * lam)
    if attraction <= 0.0:
        return 0.0
    f1 = (1.0 + (lam / (2.46 * (1.0 + 3.8 * coulomb))) ** 1.5) ** (1.0 / 3.0)
    edge = 1.82 * (1.0 + 6.3 * coulomb) * rms / log
    f2 = 1.0 + (rms / log - 1.0) * lam**2 / (lam**2 + edge**2)
    return f1 * f2 * log / 1.2 * math.exp(-1.04 * (1.0 + lam) / attraction)


def characteristic_time(quadratic: float, critical: float, renormalization: float) -> float:
    """``τ0 = ħ Z(0)/(2π b (k_BT_c)³)`` in seconds (Kaplan et al., Phys. Rev. B 14, 4854 (1976), Eq. 11).

    Args:
        quadratic: b of ``α²F = b Ω²`` at low energy, meV⁻².
        critical: k_B T_c, meV.
        renormalization: Z(0).
    """
    return constants.hbar / MEV * renormalization / (2.0 * math.pi * quadratic * critical**3)
