"""Power that phonons exchange with a bath, to the rounding of which a steady state is balanced."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from fvqp.case import load_case
from fvqp.case.boltzmann.schema import TransportCase


def rounding(path: Path, found: xr.Dataset) -> float:
    """What is lost, W/m³, when an occupation with a thermal part is rounded: both ways of the exchange are
    many times the power that is injected where that is small."""
    case = load_case(path)
    assert isinstance(case, TransportCase)
    escape = case.phonons.escape
    if escape is None:
        return 0.0
    return float(np.finfo(float).eps * found["energy_ph"].max() / escape.time)
