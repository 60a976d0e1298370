"""Text with units becomes numbers, and nothing else does."""

from __future__ import annotations

import math

import pint
import pytest
from scipy import constants

from fvqp.errors import CaseError
from fvqp.units import registry, to_float


@pytest.mark.parametrize(
    ("text", "unit", "number"),
    [
        ("265 ueV", "J", 265e-6 * constants.e),
        ("265 µeV", "eV", 265e-6),
        ("11 um", "m", 11e-6),
        ("24.6 uS", "S", 24.6e-6),
        ("1.45 kohm", "ohm", 1450.0),
        ("16.9 cm^2/s", "m^2/s", 16.9e-4),
        ("16.9cm**2/s", "m^2/s", 16.9e-4),
        ("61 mK", "K", 0.061),
        ("-0.4 mV", "V", -4e-4),
        ("1e-3 * V", "V", 1e-3),
        ("0.5", "1", 0.5),
    ],
)
def test_reads_text(text: str, unit: str, number: float) -> None:
    assert to_float(text, unit) == pytest.approx(number, rel=1e-14)


def test_reads_quantities_of_any_registry() -> None:
    assert to_float(registry.Quantity(2.0, "mm"), "m") == pytest.approx(2e-3)
    assert to_float(pint.UnitRegistry().Quantity(2.0, "mm"), "m") == pytest.approx(2e-3)


def test_wrong_dimension_names_both_and_an_example() -> None:
    with pytest.raises(CaseError) as caught:
        to_float("11 um", "J", what="energy")
    assert str(caught.value) == 'expected an energy such as "265 ueV", got "11 um", which is a length'


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("265", "number without a unit"),
        (265, "number without a unit"),
        ("3 furlongg", 'no unit "furlongg"'),
        ("3 @", "is no unit"),
        ("", "expected an energy"),
        ("eV", "expected an energy"),
        ("3*4 eV", "expected an energy"),
        ("nan eV", "expected an energy"),
        ("1e999 eV", "not finite"),
        (math.nan, "number without a unit"),
        (True, "got true"),
        (None, "got None"),
        (["1 eV"], "expected an energy"),
        ("1 eV; import os", "no unit"),
        ("1 " + "x" * 500, "..."),
    ],
)
def test_anything_else_is_one_clear_error(value: object, words: str) -> None:
    with pytest.raises(CaseError, match="expected an energy such as") as caught:
        to_float(value, "J")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)
