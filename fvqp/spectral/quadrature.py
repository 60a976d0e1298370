"""Energies at which spectra that cells share are needed: nodes inside bins, and imaginary frequencies.

Spatially coupled spectra are known at energies that all cells share, not at nodes
around an edge of each cell's own. Energies and temperatures are in units of one reference gap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fvqp.typing import Floats, Ints

# In x (`BinRule.around`), in which the spectra are smooth on a scale of one: pieces shorter than _SHORT err
# by some 1e-11 with three nodes, longer ones are cut to _PANEL and err by 1e-13 with eight.
_SHORT = 0.1
_PANEL = 0.3

# Panels that a range of edges is cut into at least, where broadening does not ask for more.
_PANELS_OF_RANGE = 60.0

_BLOCK = 8  # frequencies summed one by one, and nodes of the blocks that follow
_HIGHEST = 1e4  # frequency from which on the sum is an integral in 1/ω

# Temperature at which colder ones are taken: frequencies enter as ω + Γ, and no Γ is below 1e-13.
_COLDEST = 1e-16


@dataclass(frozen=True)
class BinRule:
    """Nodes and weights of averages over bins.

    Attributes:
        nodes: increasing, ``(q,)``.
        weights: positive, those of a bin add up to one; ``(q,)``.
        starts: first node of every bin, ``(bins,)``.
    """

    nodes: Floats
    weights: Floats
    starts: Ints

    def average(self, values: Floats) -> Floats:
        """Bin averages ``(..., bins)`` of ``values[..., q]``."""
        return np.add.reduceat(values * self.weights, self.starts, axis=-1)

    @classmethod
    def around(
        cls, edges: Floats, features: Sequence[float], between: tuple[float, float], width: float
    ) -> BinRule:
        """Gauss-Legendre panels that are even in

            x = Σ_k arsinh[(ε − Ω_k)/w] + (part of the range between edges below ε)/w',

        so that nodes crowd at sharp edges of the spectra; with one feature and no range these are the nodes
        of `fvqp.spectral.bin_averages`.

        Args:
            edges: of the bins.
            features: energies Ω_k of sharp edges.
            between: a range in which edges lie that vary from cell to cell.
            width: w, of a sharp edge; ``w' ≥ w`` is a fraction of the range.
        """
        known: list[float] = []
        for feature in sorted(features):
            if not known or feature - known[-1] > 1e-3 * width + 1e-12:
                known.append(feature)
        low, high = between
        coarse = max(width, (high - low) / _PANELS_OF_RANGE / _PANEL)
        if high - low < 10.0 * width:
            low = high

        def to_x(energy: Floats) -> Floats:
            x = sum(np.arcsinh((energy - omega) / width) for omega in known)
            return np.asarray(x + np.clip(energy - low, 0.0, high - low) / coarse)

        def density(energy: Floats) -> Floats:
            slope = sum(1.0 / np.hypot(energy - omega, width) for omega in known)
            return np.asarray(slope + ((energy > low) & (energy < high)) / coarse)

        x = to_x(edges)
        spans = np.diff(x)
        short = spans < _SHORT
        panels = np.where(short, 1, np.ceil(spans / _PANEL)).astype(int)
        bins = np.repeat(np.arange(len(spans)), panels)
        number = np.arange(panels.sum()) - np.repeat(np.cumsum(panels) - panels, panels)
        # Borders of panels in energy; within one the rule is in ε if short, else in x.
        nodes, weights, owner = [], [], []
        for points, some in ((3, short[bins]), (8, ~short[bins])):
            at, weight = np.polynomial.legendre.leggauss(points)
            b = bins[some]
            if points == 3:
                middle, half = 0.5 * (edges[b] + edges[b + 1]), 0.5 * (edges[b + 1] - edges[b])
                energy = middle[:, None] + half[:, None] * at
                measure = np.broadcast_to(weight, energy.shape)
            else:
                half = 0.5 * spans[b] / panels[b]
                wanted = (x[b] + (2 * number[some] + 1) * half)[:, None] + half[:, None] * at
                low_edge, high_edge = edges[b][:, None], edges[b + 1][:, None]
                energy = _inverted(to_x, wanted, low_edge, high_edge)
                measure = half[:, None] * weight / density(energy)
            nodes.append(energy.ravel())
            weights.append(measure.ravel())
            owner.append(np.repeat(b, points))
        energy, measure, owned = np.concatenate(nodes), np.concatenate(weights), np.concatenate(owner)
        order = np.argsort(energy, kind="stable")
        energy, measure, owned = energy[order], measure[order], owned[order]
        total = np.bincount(owned, measure)
        starts = np.concatenate([[0], np.cumsum(np.bincount(owned))[:-1]])
        return cls(energy, measure / total[owned], starts)


def _inverted(function, wanted: Floats, low: Floats, high: Floats) -> Floats:  # type: ignore[no-untyped-def]
    """Arguments between ``low`` and ``high`` at which an increasing function has the values ``wanted``."""
    low, high = (np.broadcast_to(a, wanted.shape).copy() for a in (low, high))
    for _ in range(60):
        middle = 0.5 * (low + high)
        above = function(middle) > wanted
        high = np.where(above, middle, high)
        low = np.where(above, low, middle)
    return 0.5 * (low + high)


@dataclass(frozen=True)
class MatsubaraRule:
    """Sums ``2πt Σ_{n≥0} g(ω_n)`` over ``ω_n = (2n + 1)πt`` of functions that fall at least like 1/ω².

    Attributes:
        frequencies: ω, ``(q,)``.
        weights: ``(q,)``.
    """

    frequencies: Floats
    weights: Floats

    @classmethod
    def at(cls, temperature: float) -> MatsubaraRule:
        """Return the rule for a temperature t ≥ 0; below 1e-16 it is that of 1e-16.

        The first frequencies are summed one by one. Of blocks ``M ≤ n < 2M`` a few nodes stand for all: the
        Gauss rule of M equally spaced points, which is exact for polynomials of a degree below twice the
        number of nodes. What is beyond is an integral in ``1/ω``.
        """
        numbers, weights = [np.arange(_BLOCK, dtype=float)], [np.ones(_BLOCK)]
        size = _BLOCK
        step = 2.0 * np.pi * max(temperature, _COLDEST)
        while step * size < _HIGHEST:
            at, weight = _discrete_gauss(size, _BLOCK)
            numbers.append(size + at)
            weights.append(weight)
            size *= 2
        omega = (np.concatenate(numbers) + 0.5) * step
        y, weight = np.polynomial.legendre.leggauss(_BLOCK)
        last = 1.0 / (step * size)
        tail = 1.0 / (0.5 * last * (1.0 + y))
        return cls(
            np.concatenate([omega, tail]),
            np.concatenate([step * np.concatenate(weights), 0.5 * last * weight * tail**2]),
        )


def _discrete_gauss(size: int, nodes: int) -> tuple[Floats, Floats]:
    """Nodes and weights of the Gauss rule for the sum over ``0, 1, …, size − 1`` (Gram's polynomials)."""
    k = np.arange(1.0, min(nodes, size))
    off = 0.5 * k * np.sqrt((float(size) ** 2 - k**2) / (4.0 * k**2 - 1.0))
    matrix = np.diag(off, 1) + np.diag(off, -1)
    values, vectors = np.linalg.eigh(matrix)
    return values + 0.5 * (size - 1), size * vectors[0] ** 2
