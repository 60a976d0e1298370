"""Bose's function for compiled loops, several arguments at once.

A processor's vectors have no exponential function, and compilers do not vectorize calls of the one in the C
library. This one consists of products, sums and shifts.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from math import factorial

import numpy as np
from numba import types
from numba.extending import intrinsic
from numpy.polynomial import chebyshev

from fvqp.kernel_cache import njit

#: ln 2 as a sum whose first part times a small integer is exact, and its inverse.
LN2_HIGH, LN2_LOW, PER_LN2 = (
    float.fromhex("0x1.62e42feep-1"),
    float.fromhex("0x1.a39ef35793c76p-33"),
    1.0 / np.log(2.0),
)
#: Of the polynomial for ``(e^r − 1 − r)/r²``.
TERMS = 10
#: Exponent from which on e^−x is 0, whatever the rest makes of it.
LARGEST = 700.0
#: Of the exponent in the bits of a number, and where they begin.
BIAS, FRACTION = 1023, 52
#: Added to a number, rounds it to an integer, which its last bits then are, with the bias on top.
ROUND = 1.5 * 2.0**52 + BIAS


def _series() -> tuple[float, ...]:
    """Coefficients of ``(e^r − 1 − r)/r² = 1/2! + r/3! + …`` for |r| ≤ ln 2/2.

    Taylor's series, without those of its parts in Chebyshev's polynomials that change nothing: what is left
    out is less than 4e-17 of ``e^r − 1``.
    """
    half = 0.5 * np.log(2.0)
    taylor = [half**k / factorial(k + 2) for k in range(2 * TERMS)]
    kept = chebyshev.cheb2poly(chebyshev.poly2cheb(taylor)[:TERMS])
    return tuple(float(part) / half**k for k, part in enumerate(kept))


SERIES = _series()


@intrinsic
def _bits(typingctx, number):
    def code(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(types.int64))

    return types.int64(types.float64), code


@intrinsic
def _number(typingctx, bits):
    def code(context, builder, signature, args):
        return builder.bitcast(args[0], context.get_value_type(types.float64))

    return types.float64(types.int64), code


@njit(cache=True, inline="always")
def bose(x):
    """``1/(e^x − 1)`` for x ≥ 0 to 2 ulp, 0 from 700 on.

    ``e^x − 1 = 2^k (e^r − 1) + (2^k − 1)`` with ``r = x − k ln 2`` and a polynomial for ``e^r − 1``, whose
    even and odd powers do not wait for one another.
    """
    rounded = x * PER_LN2 + ROUND
    k = rounded - ROUND
    two = _number(_bits(rounded) << FRACTION)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    q = r * r
    even = SERIES[0] + q * (SERIES[2] + q * (SERIES[4] + q * (SERIES[6] + q * SERIES[8])))
    odd = SERIES[1] + q * (SERIES[3] + q * (SERIES[5] + q * (SERIES[7] + q * SERIES[9])))
    star = 1.0 / (two * (r + q * (even + r * odd)) + (two - 1.0))
    return star if x < LARGEST else 0.0
