"""Spectral functions of the local Usadel equation with Dynes broadening and depairing.

    Δ G + i z F − ζ F G = 0,   G² + F² = 1,   z = ε + iΓ        (theory, Usadel equation)

(Belzig et al., Superlattices Microstruct. 25, 1251 (1999); Ryan, Beckmann, Chandrasekhar (2026)). Retarded
branch: ``Re G ≥ 0``, ``G → 1`` far above the gap. The energies ε, Δ, ζ, Γ are in units of one reference gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError, ConvergenceError
from fvqp.kernel_cache import njit, read_only
from fvqp.spectral.branch import NO, SMALLEST_BROADENING, parts, retarded_root
from fvqp.threads import share
from fvqp.typing import Bools, Complexes, Floats


@dataclass(frozen=True)
class SpectralFunctions:
    """Spectral functions at given energies; all arrays have the shape the inputs broadcast to.

    Attributes:
        G, F: normal and anomalous retarded Green functions, ``cos θ`` and ``sin θ``.
        gap: Δ of every entry (broadcasts against ``G``).
    """

    G: Complexes
    F: Complexes
    gap: Floats

    @property
    def dos(self) -> Floats:
        """Density of states over that of the normal state, ``N = Re G``; even in energy, ≥ 0."""
        return self.G.real

    @property
    def pairing(self) -> Floats:
        """Pair spectrum ``P = Im F``, the weight of the gap equation; odd in energy."""
        return self.F.imag

    @property
    def diffusion_T(self) -> Floats:
        """Spectral diffusion of the charge mode, ``D_T = ½(1 + |G|² + |F|²) = (Re G)² + (Re F)² ≥ 1``."""
        return self.G.real**2 + self.F.real**2

    @property
    def diffusion_L(self) -> Floats:
        """Spectral diffusion of the energy mode, ``D_L = ½(1 + |G|² − |F|²)``, between 0 and 1.

        Evaluated as ``(Re G)²/D_T``, which is the same and keeps small values (~Γ² below the gap) accurate.
        """
        return self.G.real**2 / self.diffusion_T

    @property
    def relaxation_T(self) -> Floats:
        """Charge relaxation by Andreev reflection, ``R_T = 2Δ Re F``, in units of the reference gap; ≥ 0."""
        return 2.0 * self.gap * self.F.real

    @property
    def supercurrent(self) -> Floats:
        """Spectral supercurrent per phase gradient, ``j_ε = Im F²``; odd in energy."""
        return 2.0 * self.F.real * self.F.imag


@dataclass(frozen=True)
class BinnedSpectrum:
    """Averages of the spectral functions over energy bins, arrays ``(cells, bins)``.

    ``gap`` is ``(cells, 1)``. Every entry is the mean of the function over its bin, so products with a bin
    width are integrals; ``re_F`` is the mean of ``Re F``, ``im_G`` that of ``Im G``.
    """

    dos: Floats
    pairing: Floats
    diffusion_L: Floats
    diffusion_T: Floats
    supercurrent: Floats
    re_F: Floats
    im_G: Floats
    gap: Floats

    @property
    def relaxation_T(self) -> Floats:
        """Charge relaxation ``2Δ ⟨Re F⟩``."""
        return 2.0 * self.gap * self.re_F

    def at(self, bins: slice) -> BinnedSpectrum:
        """Return the spectra of some bins."""
        parts = {name: np.ascontiguousarray(a[:, bins]) for name, a in vars(self).items() if name != "gap"}
        return BinnedSpectrum(**parts, gap=self.gap)


def gap_edge(gap: ArrayLike, depairing: ArrayLike) -> Floats:
    """Edge of the spectrum, ``Ω_g = (Δ^{2/3} − ζ^{2/3})^{3/2}``; 0 where ζ ≥ Δ (Abrikosov and Gor'kov)."""
    difference = np.cbrt(np.asarray(gap, float)) ** 2 - np.cbrt(np.asarray(depairing, float)) ** 2
    return np.asarray(np.maximum(difference, 0.0) ** 1.5)


_SINGULAR = "broadening: 0 leaves a singular density of states at the gap; give a small one, such as 1e-4 Δ0"


def _divergent(gap: Floats, depairing: Floats, broadening: Floats) -> Bools:
    return (broadening == 0.0) & (depairing == 0.0) & (gap > 0.0)


def check_parameters(gap: Floats, depairing: Floats, broadening: Floats) -> None:
    """Raise `CaseError` unless all parameters are finite and not negative."""
    named = (("gap", gap), ("depairing", depairing), ("broadening", broadening))
    for name, values in named:
        if not np.all(np.isfinite(values)) or np.any(values < 0.0):
            raise CaseError(f"{name}: must be finite and not negative, found {np.min(values):g}")


def solve(
    energy: ArrayLike, gap: ArrayLike, depairing: ArrayLike, broadening: ArrayLike
) -> SpectralFunctions:
    """Spectral functions at single energies.

    Args:
        energy: ε of any sign; typically ``(1, NE)``.
        gap: Δ ≥ 0; typically ``(NC, 1)``. 0 is the normal state.
        depairing: ζ ≥ 0; with a phase gradient ``ζ = ½(ξ∇φ)²`` in units of the reference gap.
        broadening: Dynes' Γ ≥ 0. 0 means the limit from above.

    The four broadcast against each other. Units of one reference gap.

    Raises:
        CaseError: a negative or non-finite parameter, or Γ = ζ = 0 at ``|ε| = Δ``.
    """
    energies, gaps, depairings, broadenings = np.broadcast_arrays(
        *(np.asarray(a, dtype=np.float64) for a in (energy, gap, depairing, broadening))
    )
    check_parameters(gaps, depairings, broadenings)
    if not np.all(np.isfinite(energies)):
        raise CaseError("energy: must be finite")
    if np.any(_divergent(gaps, depairings, broadenings) & (np.abs(energies) == gaps)):
        raise CaseError(_SINGULAR)
    shape = energies.shape
    normal = np.empty(energies.size, dtype=np.complex128)
    anomalous = np.empty_like(normal)
    failed = _solve(
        energies.flatten(), gaps.flatten(), depairings.flatten(), broadenings.flatten(), normal, anomalous
    )
    if failed >= 0:
        raise ConvergenceError(
            f"Usadel equation: no root at energy {energies.flat[failed]:g}, gap {gaps.flat[failed]:g}, "
            f"depairing {depairings.flat[failed]:g}, broadening {broadenings.flat[failed]:g}"
        )
    return SpectralFunctions(G=normal.reshape(shape), F=anomalous.reshape(shape), gap=gaps)


def bin_averages(
    edges: ArrayLike, gap: ArrayLike, depairing: ArrayLike = 0.0, broadening: ArrayLike = 0.0
) -> BinnedSpectrum:
    """Means of the spectral functions over energy bins, exact to rounding wherever the gap edge lies.

    Gauss-Legendre panels in ``x``, ``ε = Ω_g + w sinh x`` with ``w`` the distance of the edge singularity
    from the real axis (Γ, more if gapless): the singular functions are smooth in x, so the number of nodes
    hardly grows with 1/Γ and the averages are smooth in Δ. All weights are positive, so
    ``0 ≤ D_L ≤ 1 ≤ D_T`` holds for the means too.

    Args:
        edges: increasing, not negative, ``(NE + 1,)``.
        gap, depairing, broadening: scalar, ``(NC,)`` or ``(NC, 1)``.

    Returns:
        `BinnedSpectrum` of shape ``(NC, NE)``.

    Raises:
        CaseError: bad parameters, or Γ = ζ = 0 with a gap edge inside the range (``D_T`` then has no mean).
    """
    bounds = np.ascontiguousarray(edges, dtype=np.float64)
    if bounds.ndim != 1 or bounds.size < 2 or not np.all(np.diff(bounds) > 0.0) or bounds[0] < 0.0:
        raise CaseError("energy bins: edges must be one increasing row of numbers that are not negative")
    gaps, depairings, broadenings = (
        a.copy()
        for a in np.broadcast_arrays(
            *(np.asarray(a, dtype=np.float64).reshape(-1) for a in (gap, depairing, broadening))
        )
    )
    check_parameters(gaps, depairings, broadenings)
    singular = _divergent(gaps, depairings, broadenings)
    if np.any(singular & (gaps >= bounds[0]) & (gaps <= bounds[-1])):
        raise CaseError(_SINGULAR)
    out = np.empty((7, gaps.size, bounds.size - 1))
    found = np.empty(gaps.size, np.bool_)
    state = read_only(bounds), gaps, depairings, broadenings, gap_edge(gaps, depairings)
    share(_averages, gaps.size, *state, out, found, least=_WORTH_A_THREAD // out.shape[2])
    if not found.all():
        failed = int(np.argmin(found))
        raise ConvergenceError(
            f"Usadel equation: no root for gap {gaps[failed]:g}, depairing {depairings[failed]:g}, "
            f"broadening {broadenings[failed]:g}"
        )
    dos, pairing, diffusion_l, diffusion_t, supercurrent, re_f, im_g = out
    return BinnedSpectrum(
        dos, pairing, diffusion_l, diffusion_t, supercurrent, re_f, im_g, gaps[:, None].copy()
    )


@njit(cache=True, nogil=True)
def _solve(
    energies: Floats,
    gaps: Floats,
    depairings: Floats,
    broadenings: Floats,
    normal: Complexes,
    anomalous: Complexes,
) -> int:
    """Fill G and F for flat arrays; returns the first entry without a root, or −1."""
    x, in_t, given = 0j, NO, NO
    for k in range(energies.size):
        energy = energies[k]
        s = complex(max(broadenings[k], SMALLEST_BROADENING), abs(energy))
        x, in_t, given = retarded_root(gaps[k], depairings[k], s, x, in_t, given)
        if not given:
            return k
        re_g, im_g, re_f, im_f, _, _ = parts(x, in_t)
        if energy < 0.0:
            im_g, im_f = -im_g, -im_f
        normal[k] = complex(re_g, im_g)
        anomalous[k] = complex(re_f, im_f)
    return -1


# Averages, about a microsecond each, that are worth a thread.
_WORTH_A_THREAD = 1_000

# Panels this short in x are integrated in ε itself; longer ones are cut to _PANEL. The nearest singularities
# lie at |Im x| = π/2 (the edge) and about 0.52 (its two companions when ζ > 0): 8 nodes err by some 1e-13.
_SHORT = 0.1
_PANEL = 0.3
_NODES_6, _WEIGHTS_6 = np.polynomial.legendre.leggauss(6)
_NODES_8, _WEIGHTS_8 = np.polynomial.legendre.leggauss(8)


@njit(cache=True, nogil=True)
def _cell_averages(
    bounds: Floats, gap: float, depairing: float, given_broadening: float, edge: float, out: Floats
) -> bool:
    """Fill ``out[quantity, bin]`` of one cell; False if there is no root."""
    broadening = max(given_broadening, SMALLEST_BROADENING)
    width = broadening
    if depairing > gap:
        width += (np.cbrt(depairing) ** 2 - np.cbrt(gap) ** 2) ** 1.5
    total = np.empty(7)
    x, in_t, given = 0j, NO, NO
    start = np.arcsinh((bounds[0] - edge) / width)
    for e in range(bounds.size - 1):
        low, high = bounds[e], bounds[e + 1]
        end = np.arcsinh((high - edge) / width)
        short = end - start < _SHORT
        panels = 1 if short else int(np.ceil((end - start) / _PANEL))
        nodes = _NODES_6 if short else _NODES_8
        weights = _WEIGHTS_6 if short else _WEIGHTS_8
        total[:] = 0.0
        measure = 0.0
        half = 0.5 * (end - start) / panels
        for panel in range(panels):
            middle = start + (2 * panel + 1) * half
            for n in range(nodes.size):
                if short:
                    energy = 0.5 * (low + high) + 0.5 * (high - low) * nodes[n]
                    weight = weights[n]
                else:
                    angle = middle + half * nodes[n]
                    energy = min(max(edge + width * np.sinh(angle), low), high)
                    weight = weights[n] * np.cosh(angle)
                s = complex(broadening, energy)
                x, in_t, given = retarded_root(gap, depairing, s, x, in_t, given)
                if not given:
                    return False
                re_g, im_g, re_f, im_f, d_l, d_t = parts(x, in_t)
                measure += weight
                total[0] += weight * re_g
                total[1] += weight * im_f
                total[2] += weight * d_l
                total[3] += weight * d_t
                total[4] += weight * 2.0 * re_f * im_f
                total[5] += weight * re_f
                total[6] += weight * im_g
        for q in range(7):
            out[q, e] = total[q] / measure
        start = end
    return True


@njit(cache=True, nogil=True)
def _averages(
    start: int,
    stop: int,
    bounds: Floats,
    gaps: Floats,
    depairings: Floats,
    broadenings: Floats,
    edges: Floats,
    out: Floats,
    found: Bools,
) -> None:
    """Fill ``out[quantity, cell, bin]`` and ``found[cell]``, a root at every node, of these cells."""
    for c in range(start, stop):
        found[c] = _cell_averages(bounds, gaps[c], depairings[c], broadenings[c], edges[c], out[:, c])
