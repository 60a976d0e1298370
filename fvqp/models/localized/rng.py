"""Random numbers inside compiled loops: xoshiro256++, whose state is four 64-bit words that a restart keeps.

Algorithm: D. Blackman, S. Vigna, ACM Trans. Math. Softw. 47, 36 (2021). Seeds come from
`numpy.random.SeedSequence`, which keeps the streams of different runs apart. It becomes part of the loops,
at 1 ns a number; a `numpy.random.Generator` takes 6.6 ns in compiled code, and makes runs 20 to 30 % slower.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

import math

import numpy as np
from numba import uint64
from numpy.typing import NDArray

from fvqp.kernel_cache import njit
from fvqp.models.localized.compiled import loop
from fvqp.typing import Floats, Ints32

_TO_UNIT = 2.0**-53


def seeded(sequence: np.random.SeedSequence) -> NDArray[np.uint64]:
    """State for a stream of its own."""
    return np.asarray(sequence.generate_state(4, np.uint64), dtype=np.uint64)


@loop
def next_word(state):
    """64 random bits; ``state`` (4 words) moves on."""
    s0, s1, s2, s3 = state[0], state[1], state[2], state[3]
    mixed = s0 + s3
    word = ((mixed << uint64(23)) | (mixed >> uint64(41))) + s0
    shifted = s1 << uint64(17)
    s2 ^= s0
    s3 ^= s1
    s1 ^= s2
    s0 ^= s3
    s2 ^= shifted
    s3 = (s3 << uint64(45)) | (s3 >> uint64(19))
    state[0], state[1], state[2], state[3] = s0, s1, s2, s3
    return word


@loop
def uniform(state):
    """Uniform in [0, 1), 53 bits."""
    return (next_word(state) >> uint64(11)) * _TO_UNIT


@loop
def exponential(state):
    """Exponential variate of mean 1."""
    return -math.log(1.0 - uniform(state))


@loop
def below(state, n):
    """Integer from 0 to n − 1; the deviation from uniform is below n/2⁵³."""
    return min(int(uniform(state) * n), n - 1)


@njit(cache=True, nogil=True)
def _alias(weight, threshold, other):
    n = len(weight)
    small = np.empty(n, np.int64)
    large = np.empty(n, np.int64)
    n_small = n_large = 0
    total = 0.0
    for i in range(n):
        total += weight[i]
    for i in range(n):
        threshold[i] = weight[i] * n / total
        other[i] = i
        if threshold[i] < 1.0:
            small[n_small] = i
            n_small += 1
        else:
            large[n_large] = i
            n_large += 1
    while n_small > 0 and n_large > 0:
        i, j = small[n_small - 1], large[n_large - 1]
        n_small -= 1
        other[i] = j
        threshold[j] -= 1.0 - threshold[i]
        if threshold[j] < 1.0:
            n_large -= 1
            small[n_small] = j
            n_small += 1
    # What round-off left over has weight one.
    for i in range(n_small):
        threshold[small[i]] = 1.0
    for i in range(n_large):
        threshold[large[i]] = 1.0


def alias_table(weight: Floats) -> tuple[Floats, Ints32]:
    """Walker's alias table: an index drawn in proportion to ``weight`` costs two random numbers."""
    threshold, other = np.empty(len(weight)), np.empty(len(weight), np.int32)
    _alias(np.ascontiguousarray(weight, dtype=np.float64), threshold, other)
    return threshold, other


@loop
def draw(state, threshold, other):
    """An index, by an alias table."""
    i = below(state, len(threshold))
    return i if uniform(state) < threshold[i] else other[i]
