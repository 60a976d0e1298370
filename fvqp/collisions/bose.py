"""Bose's function for compiled loops, several arguments at once.

A processor's vectors have no exponential function, and compilers do not vectorize calls of the one in the C
library. This one consists of products, sums and shifts.
"""

# mypy: disable-error-code="untyped-decorator,no-untyped-def,no-untyped-call"

from __future__ import annotations

from math import factorial

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

#: ln 2 as a sum whose first part times a small integer is exact, and its inverse.
LN2_HIGH, LN2_LOW, PER_LN2 = (
    float.fromhex("0x1.62e42feep-1"),
    float.fromhex("0x1.a39ef35793c76p-33"),
    1.0 / np.log(2.0),
)
#: 1/2!, 1/3!, … of the series of e^r − 1.
SERIES = tuple(1.0 / factorial(k) for k in range(2, 14))
#: Exponent from which on e^−x is 0.
LARGEST = 700.0
#: Added to a number, rounds it to an integer, which its last bits then are.
ROUND = 1.5 * 2.0**52
#: Of the exponent in the bits of a number, and where they begin.
BIAS, FRACTION = 1023, 52


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

    ``e^x − 1 = 2^k (e^r − 1) + (2^k − 1)`` with ``r = x − k ln 2`` and the series of ``e^r − 1``.
    """
    bounded = min(x, LARGEST)
    rounded = bounded * PER_LN2 + ROUND
    k = rounded - ROUND
    two = _number((_bits(rounded) + BIAS) << FRACTION)
    r = (bounded - k * LN2_HIGH) - k * LN2_LOW
    t = SERIES[11]
    t = SERIES[10] + r * t
    t = SERIES[9] + r * t
    t = SERIES[8] + r * t
    t = SERIES[7] + r * t
    t = SERIES[6] + r * t
    t = SERIES[5] + r * t
    t = SERIES[4] + r * t
    t = SERIES[3] + r * t
    t = SERIES[2] + r * t
    t = SERIES[1] + r * t
    t = SERIES[0] + r * t
    star = 1.0 / (two * (r + r * r * t) + (two - 1.0))
    return star if x < LARGEST else 0.0
