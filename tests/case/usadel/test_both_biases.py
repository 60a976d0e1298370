"""Sweeps of both biases: maps, how they are shared among ranks, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from case_keys import put
from matplotlib.image import imread
from usadel_cases import BASE, SELF_CONSISTENT

import fvqp
from fvqp.case.reading import case_from_dict
from fvqp.case.usadel.build import build_sweep
from fvqp.case.usadel.study import curves
from fvqp.errors import CaseError

BIASES = {
    "V_inj": {"from": "-1.4 Delta0", "to": "1.4 Delta0", "points": 5},
    "V_det": ["0 Delta0", "0.6 Delta0", "1.4 Delta0"],
}
MAP = {"kind": "map", "variable": "g_nl"}


def case(changes: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(BASE | {"sweep": BIASES} | SELF_CONSISTENT | changes)


@pytest.mark.slow
def test_both_signs_of_both_biases_are_images(tmp_path):
    """Reversing both biases reverses all currents: maps of one sign of V_det show the other too."""
    both = {
        "V_inj": BIASES["V_inj"],
        "V_det": ["-1.4 Delta0", "-0.6 Delta0", "0 V", "0.6 Delta0", "1.4 Delta0"],
    }
    whole = fvqp.run(case({"sweep": both})).dataset
    for name in ("g_nl", "G_inj"):
        values = whole[name].transpose("V_det", "V_inj").values
        np.testing.assert_allclose(values[::-1, ::-1], values, rtol=1e-6, atol=1e-9 * np.abs(values).max())
    figures = [MAP, MAP | {"limit": 1e-9, "file": "limited.png"}, {"kind": "surface", "variable": "g_nl"}]
    drawn = {}
    for name, sweep in (("half", BIASES), ("whole", both)):
        result = fvqp.run(case({"sweep": sweep, "figures": figures}), out=tmp_path / name)
        assert result.folder is not None
        drawn[name] = {path.stem: imread(path) for path in (result.folder / "figures").iterdir()}
    for kind in ("map", "limited"):
        assert drawn["half"][kind].shape == drawn["whole"][kind].shape
        # The values of both differ by what the self-consistency leaves.
        assert np.abs(drawn["half"][kind] - drawn["whole"][kind]).max() < 0.02
    one, other = drawn["half"]["map"], drawn["half"]["limited"]
    assert one.shape != other.shape or np.any(one != other)


@pytest.mark.slow
def test_probe_does_not_act_back():
    """The gap under the bias of a probe is that without it; its current that of a weak junction."""
    probed = put(case({}), "junctions.1.injects", False)
    result = fvqp.run(probed).dataset
    gap = result["gap"].isel(junction=0)
    np.testing.assert_allclose(gap - gap.isel(V_det=0), 0.0, atol=1e-8 * float(gap.max()))
    weak = put(case({}), "junctions.1.conductance", "31.4 pS")
    scaled = 1e6 * fvqp.run(weak).dataset["I_det"]
    np.testing.assert_allclose(result["I_det"], scaled, rtol=1e-5, atol=1e-6 * float(np.abs(scaled).max()))
    driven = fvqp.run(case({})).dataset["gap"].isel(junction=0)
    assert float((gap - driven).isel(V_det=-1).min()) > 1e-3 * float(gap.max())


@pytest.mark.parametrize(
    ("changes", "fields", "expected"),
    [
        # Two directions of three curves; one response for a curve; one list of the fields of a curve.
        (SELF_CONSISTENT, False, 6),
        ({}, False, 3),
        (SELF_CONSISTENT, True, 3),
    ],
)
def test_directions_of_a_curve_are_shared_singly(changes, fields, expected):
    read = loaded({"sweep": BIASES} | changes)
    lines = curves(read, build_sweep(read), fields_are_written=fields)
    assert len(lines) == expected
    points = [point for line in lines for point in line.points]
    assert sorted(points) == [((0, 0, d), v) for d in range(3) for v in range(5)]


def loaded(changes: dict[str, Any]) -> Any:
    return case_from_dict(copy.deepcopy(BASE | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"figures": [{"kind": "map"}]}, "variable: missing"),
        ({"figures": [{"kind": "map", "variable": "f_L"}]}, "expected one of g_nl"),
        ({"figures": [{"kind": "g_nl", "limit": 1e-9}]}, 'limit: belongs to kind = "map"'),
        ({"figures": [MAP], "sweep": BIASES | {"V_det": ["0 V"]}}, "several biases in sweep"),
        (
            {
                "figures": [MAP | {"variable": "g_sa"}],
                "sweep": BIASES | {"V_inj": ["0.1 mV", "0.2 mV"]},
            },
            "both signs",
        ),
        ({"junctions": [BASE["junctions"][0] | {"injects": False}]}, "an injector injects"),
    ],
)
def test_bad_input(changes, message):
    with pytest.raises(CaseError, match=message):
        fvqp.check(case(changes))
