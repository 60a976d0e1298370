"""Averages of correlated series, with errors that know the correlation, and where the steady state begins."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fvqp.errors import CaseError, ConvergenceError
from fvqp.typing import Floats

# Sokal's window: sum the autocorrelation up to so many times its own integral.
_WINDOW = 6.0
_MIN_SAMPLES = 8
# A drift looks like a correlation that lasts as long as the series: about two independent samples.
_MIN_INDEPENDENT = 6.0
# Halves of a stationary series differ by more than so many errors once in 1e5.
_DRIFT = 5.0
# Below so many independent samples the error itself is a guess.
RELIABLE = 20.0
# Series that are transformed at once.
_BLOCK = 1024


@dataclass(frozen=True)
class Estimate:
    """A mean with its standard error.

    Attributes:
        mean, error: one standard deviation of the mean.
        time: integrated autocorrelation time in samples, ``1 + 2 Σ ρ(n)``; 1 for independent ones.
        independent: effective number of independent samples.
    """

    mean: float
    error: float
    time: float
    independent: float

    @property
    def reliable(self) -> bool:
        """True if there are enough independent samples for the error to mean something."""
        return self.independent >= RELIABLE


def autocorrelation_time(series: ArrayLike) -> float:
    """Integrated autocorrelation time in samples, with Sokal's self-consistent window; at least 1.

    The largest sum up to the window counts, so that noise in it errs to the safe side, and the bias that the
    subtraction of the sample mean leaves is corrected: A. D. Sokal, in *Functional Integration* (Plenum,
    1997), Sec. 3; U. Wolff, Comput. Phys. Commun. 156, 143 (2004), Eq. (49).
    """
    return float(_times(_series(series)[:, None])[0])


def _times(x: Floats) -> Floats:
    """(k,) integrated autocorrelation times of the columns of (n, k), see `autocorrelation_time`."""
    n = len(x)
    spectrum = np.fft.rfft(x - x.mean(axis=0), 1 << (2 * n - 1).bit_length(), axis=0)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, axis=0)[:n]
    steady = np.ptp(x, axis=0) <= 1e-14 * np.maximum(np.abs(x).max(axis=0), 1e-300)
    steady |= covariance[0] <= 0.0
    sums = 2.0 * np.cumsum(covariance / np.where(steady, 1.0, covariance[0]), axis=0) - 1.0
    enough = np.arange(n)[:, None] >= _WINDOW * sums
    window = np.where(enough.any(axis=0), np.argmax(enough, axis=0), n - 1)
    largest = np.maximum.accumulate(sums, axis=0)[window, np.arange(x.shape[1])]
    bias = 1.0 / np.maximum(1.0 - (2.0 * window + 1.0) / n, 0.5)
    return np.where(steady, 1.0, np.maximum(largest * bias, 1.0))


def estimate(series: ArrayLike, least_time: float = 1.0) -> Estimate:
    """Mean of a stationary series of equally long averages, and its error.

    ``least_time``: autocorrelation time in samples to take if that of the series seems to be shorter.
    """
    x = _series(series)
    time = max(autocorrelation_time(x), least_time)
    return Estimate(float(x.mean()), float(_error(np.var(x), len(x) / time)), time, len(x) / time)


def errors_of_columns(series: ArrayLike) -> Floats:
    """(k,) standard errors of the means of k series (n, k) side by side, as `estimate` gives them."""
    x = np.asarray(series, float)
    blocks = [x[:, first : first + _BLOCK] for first in range(0, x.shape[1], _BLOCK)]
    return np.concatenate([_error(block.var(axis=0), len(x) / _times(block)) for block in blocks])


def _error(variance: ArrayLike, independent: ArrayLike) -> Floats:
    """Standard error of a mean."""
    # The variance of correlated samples about their own mean is too small by this factor.
    count = np.asarray(independent, dtype=np.float64)
    short = np.maximum(1.0 - 1.0 / count, 0.5)
    return np.asarray(np.sqrt(np.asarray(variance, dtype=np.float64) / short / count))


def steady_from(series: ArrayLike) -> int:
    """Index from which the series is best taken as stationary: where most independent samples are left.

    J. D. Chodera, J. Chem. Theory Comput. 12, 1799 (2016), with at most half of the series dropped. Raises
    `ConvergenceError` if what is left still drifts: its halves differ by more than their errors allow, or it
    has too few independent samples to tell.
    """
    x = _series(series)
    starts = np.unique(np.linspace(0, len(x) // 2, 20).astype(int))
    starts = starts[len(x) - starts >= 2 * _MIN_SAMPLES] if len(x) >= 2 * _MIN_SAMPLES else starts[:1]
    left = [(len(x) - start) / autocorrelation_time(x[start:]) for start in starts]
    best = int(starts[int(np.argmax(left))])
    rest = x[best:]
    independent = max(left)
    if independent < _MIN_INDEPENDENT:
        raise ConvergenceError(
            f"the series is not stationary, or too short to tell: it has {independent:.2g} independent "
            "samples; run longer"
        )
    if len(rest) >= 2 * _MIN_SAMPLES:
        early, late = estimate(rest[: len(rest) // 2]), estimate(rest[len(rest) // 2 :])
        error = math.hypot(early.error, late.error)
        if abs(late.mean - early.mean) > _DRIFT * error:
            raise ConvergenceError(
                f"the series is not stationary: {early.mean:.6g} in the first half of what is kept, "
                f"{late.mean:.6g} in the second, with errors of {early.error:.2g} and {late.error:.2g}; "
                "run longer"
            )
    return best


def combined(estimates: Sequence[Estimate]) -> Estimate:
    """Mean of independent runs of equal length; its error is the larger of what the runs say of themselves
    and of what their scatter says, when there are enough of them to have one."""
    if not estimates:
        raise CaseError("combined: no estimates")
    n = len(estimates)
    means = np.array([one.mean for one in estimates])
    own = math.sqrt(float(np.sum([one.error**2 for one in estimates]))) / n
    scatter = float(means.std(ddof=1)) / math.sqrt(n) if n >= 4 else 0.0
    independent = float(np.sum([one.independent for one in estimates]))
    return Estimate(float(means.mean()), max(own, scatter), max(one.time for one in estimates), independent)


def _series(series: ArrayLike) -> Floats:
    x = np.asarray(series, dtype=np.float64)
    if x.ndim != 1 or len(x) < _MIN_SAMPLES:
        raise CaseError(f"series: at least {_MIN_SAMPLES} averages are needed, got shape {x.shape}")
    if not np.all(np.isfinite(x)):
        raise CaseError("series: must be finite")
    return x
