"""Compilation of the loops and of the functions that they call."""

# mypy: disable-error-code="untyped-decorator,no-untyped-def"

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from fvqp.kernel_cache import njit

loop = njit(cache=True, nogil=True, _nrt=False)
"""A function that makes no arrays: reference counts would cost more than an event."""

inner = njit(nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True)
"""A function of tuples of arrays that only compiled functions call, and that becomes part of them: handing
over such tuples would cost more than most of these functions do. Without what a call from Python needs (it
would crash) compiling takes half the time."""


@intrinsic
def fetch(typing_context, array, index):
    """Asks the processor to have a line of a contiguous array, by a number among all its elements (int64), in
    its cache soon; nobody waits for it."""

    def generate(context, builder, signature, arguments):
        start = context.make_array(array)(context, builder, arguments[0]).data
        byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        request = builder.module.declare_intrinsic(
            "llvm.prefetch", [byte], ir.FunctionType(ir.VoidType(), [byte, word, word, word])
        )
        # To read, into the second level, data.
        options = [ir.Constant(word, value) for value in (0, 2, 1)]
        builder.call(request, [builder.bitcast(builder.gep(start, [arguments[1]]), byte), *options])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate
