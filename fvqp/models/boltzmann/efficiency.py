"""Quasiparticles that drives make, at once and by the phonons that follow (theory: drives, efficiency).

In a steady state pairs break and recombine all the time. Which of them a drive has made is known from the
phonons that broke them: those that recombination emitted give back a pair that was there before, those that
relaxing quasiparticles emitted, or that were injected, make a new one.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from fvqp.collisions import ElectronPhonon, ExternalProcess
from fvqp.energy import BinWeights
from fvqp.typing import Floats


def generation(
    operator: ElectronPhonon,
    bin_weights: BinWeights,
    f: Floats,
    n: Floats,
    drives: Iterable[ExternalProcess] = (),
    exchanges: Iterable[ExternalProcess] = (),
) -> Floats:
    """Quasiparticles made in unit time, ``(cells,)``, in 4 N0 Δ0/τ0.

    Those that drives bring or make out of pairs, and two for every phonon that breaks a pair, times the part
    of the phonons of its energy that scattering or a drive has made (theory: drives, Eq. generation).

    Args:
        operator: electron-phonon collisions.
        bin_weights: spectrum.
        f, n: occupations of a steady state: phonons of an energy are made up as those that arise.
        drives: photons and injection.
        exchanges: everything else that makes phonons, such as the bath that they escape to.
    """
    made, new, total = np.zeros(f.shape[0]), np.zeros_like(n), np.zeros_like(n)
    for drive in drives:
        made = made + drive.at(bin_weights, f, n).number_flow().quasiparticles
        new += drive.at(bin_weights, f, n).gain_loss().in_n * (1.0 + n)
    new += operator.at(bin_weights, f, n).gain_loss("scattering").in_n * (1.0 + n)
    pairs = operator.at(bin_weights, f, n).gain_loss("pairs")
    total += new + pairs.in_n * (1.0 + n)
    for exchange in exchanges:
        total += exchange.at(bin_weights, f, n).gain_loss().in_n * (1.0 + n)
    part = np.divide(new, total, out=np.zeros_like(n), where=total > 0.0)
    return np.asarray(made + 2.0 * (operator.modes(bin_weights) * pairs.out_n * n * part).sum(axis=1))
