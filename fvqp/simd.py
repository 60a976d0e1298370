"""Sixteen energies at once inside numba kernels: a vector as a numba value.

LLVM does not vectorise a loop of that length over arrays that may alias, so that kernels whose innermost
index is the energy stay scalar. `load`, `store`, `fnma` and the like state the vector operations directly;
LLVM splits them into whatever registers the machine has (AVX-512: two, AVX2: four, NEON: eight).

`load` and `store` address a flat float64 array in units of `LANES` values (block `i` is
`a[LANES * i : LANES * (i + 1)]`); `load_at` and `store_at` start at any element. Indices are not checked.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, models, register_model

from fvqp.typing import Floats

LANES = 16
"""Number of energies in one vector.

An index and a branch cost more than one register's arithmetic, so that two registers share them; the rows
that are worked on still fit into the cache.
"""

_VECTOR = ir.VectorType(ir.DoubleType(), LANES)


class _LanesType(types.Type):
    def __init__(self) -> None:
        super().__init__(name=f"Lanes{LANES}")


_lanes = _LanesType()


@register_model(_LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, _VECTOR)


def _pointer(context: Any, builder: Any, signature: Any, args: Any, scale: int) -> Any:
    data = cgutils.create_struct_proxy(signature.args[0])(context, builder, args[0]).data
    index = context.cast(builder, args[1], signature.args[1], types.int64)
    element = builder.mul(index, ir.Constant(index.type, scale))
    return builder.bitcast(builder.gep(data, [element]), _VECTOR.as_pointer())


def _load_codegen(scale: int) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.load(_pointer(context, builder, signature, args, scale), align=8)

    return codegen


def _store_codegen(scale: int) -> Any:
    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.store(args[2], _pointer(context, builder, signature, args, scale), align=8)
        return context.get_dummy_value()

    return codegen


@intrinsic
def load(typingctx, array, block):  # type: ignore[no-untyped-def]
    """Block `block` of a flat float64 array as a vector."""
    return _lanes(array, block), _load_codegen(LANES)


@intrinsic
def load_at(typingctx, array, start):  # type: ignore[no-untyped-def]
    """The vector that begins at element `start` of a flat float64 array."""
    return _lanes(array, start), _load_codegen(1)


@intrinsic
def store(typingctx, array, block, vector):  # type: ignore[no-untyped-def]
    """Write a vector to block `block` of a flat float64 array."""
    return types.void(array, block, vector), _store_codegen(LANES)


@intrinsic
def store_at(typingctx, array, start, vector):  # type: ignore[no-untyped-def]
    """Write a vector to a flat float64 array, beginning at element `start`."""
    return types.void(array, start, vector), _store_codegen(1)


@intrinsic
def prefetch_at(typingctx, array, start):  # type: ignore[no-untyped-def]
    """Ask memory for the vector that begins at element `start` of a flat float64 array, soon to be read."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        byte = ir.IntType(8).as_pointer()
        number = ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        first = builder.bitcast(_pointer(context, builder, signature, args, 1), byte)
        for line in range(0, 8 * LANES, 64):
            address = builder.gep(first, [number(line)])
            builder.call(function, [address, number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(array, start), codegen


@intrinsic
def fnma(typingctx, a, b, c):  # type: ignore[no-untyped-def]
    """`a - b * c`, rounded once where the machine can."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        product = builder.fmul(args[1], args[2], flags=("contract",))
        return builder.fsub(args[0], product, flags=("contract",))

    return a(a, b, c), codegen


@intrinsic
def mul(typingctx, a, b):  # type: ignore[no-untyped-def]
    """`a * b`."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.fmul(args[0], args[1])

    return a(a, b), codegen


@intrinsic
def add(typingctx, a, b):  # type: ignore[no-untyped-def]
    """`a + b`."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.fadd(args[0], args[1])

    return a(a, b), codegen


@intrinsic
def sub(typingctx, a, b):  # type: ignore[no-untyped-def]
    """`a - b`."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.fsub(args[0], args[1])

    return a(a, b), codegen


@intrinsic
def add_multiple(typingctx, a, number, b):  # type: ignore[no-untyped-def]
    """`a + number * b` of vectors a and b and a number, rounded once where the machine can."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        factor = context.cast(builder, args[1], signature.args[1], types.float64)
        one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), factor, ir.IntType(32)(0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        splat = builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), everywhere)
        product = builder.fmul(splat, args[2], flags=("contract",))
        return builder.fadd(args[0], product, flags=("contract",))

    return a(a, number, b), codegen


@intrinsic
def zeros(typingctx):  # type: ignore[no-untyped-def]
    """A vector of zeros."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return ir.Constant(_VECTOR, [0.0] * LANES)

    return _lanes(), codegen


def aligned_empty(blocks: int) -> Floats:
    """Flat float64 array of `blocks` vectors that starts on a cache line."""
    raw = np.empty(blocks * LANES + 8)
    skip = (-raw.ctypes.data // 8) % 8
    return raw[skip : skip + blocks * LANES]
