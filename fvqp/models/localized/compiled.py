"""How the compiled loops and what they call are compiled."""

from __future__ import annotations

from numba import njit

import fvqp.kernel_cache  # noqa: F401

loop = njit(cache=True, nogil=True, _nrt=False)
"""A function that makes no arrays: reference counts would cost more than an event."""

inner = njit(nogil=True, _nrt=False, forceinline=True, no_cpython_wrapper=True, no_cfunc_wrapper=True)
"""A function of tuples of arrays that only compiled functions call, and that becomes part of them: handing
over such tuples would cost more than most of these functions do. Without what a call from Python needs (it
would crash) compiling takes half the time."""
