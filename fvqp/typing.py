"""Array types of signatures: numpy arrays by their dtype."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]
Integers = NDArray[np.integer]
Bools = NDArray[np.bool_]
