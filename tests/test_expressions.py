"""Functions written as text: values of numpy, units, and messages about everything else."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fvqp.errors import CaseError
from fvqp.expressions import MAX_DEPTH, MAX_LENGTH, Expression, amounts

X = np.linspace(-3.0, 3.0, 13)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("0.3*exp(-((x-1)/2)^2)", 0.3 * np.exp(-(((X - 1) / 2) ** 2))),
        ("-x^2", -(X**2)),
        ("2 ** -1 * x", 0.5 * X),
        ("where(x > 0, sqrt(x), 0)", np.sqrt(np.maximum(X, 0.0))),
        ("(-1 < x <= 1) + 0*x", ((X > -1) & (X <= 1)).astype(float)),
        ("min(x, 1, 2) + max(x, 0)", np.minimum(X, 1.0) + np.maximum(X, 0.0)),
        ("sin(pi*x) + cos(x) + tan(x) + tanh(x)", np.sin(np.pi * X) + np.cos(X) + np.tan(X) + np.tanh(X)),
        ("erf(x) - erf(x)", 0 * X),
        ("erf(1)", np.full(13, math.erf(1.0))),
        ("heaviside(x) + abs(x)", np.heaviside(X, 0.5) + np.abs(X)),
        ("log(exp(x))", X),
        ("x/(2 um) + 3um", X / 2e-6 + 3e-6),
        ("x*1e3 nm", X * 1e-6),
        ("x*(1 meV + 2ueV)", X * 1.002e-3),
        ("+1", np.ones(13)),
    ],
)
def test_values_are_those_of_numpy(text, wanted):
    np.testing.assert_allclose(Expression(text, ("x",))(x=X), wanted, rtol=1e-14, atol=1e-15)


def test_names_broadcast():
    found = Expression("x + y", ("x", "y"))(x=X[:, None], y=X)
    assert np.array_equal(found, X[:, None] + X)
    assert Expression("x", ("x", "y")).used == {"x"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("exp(-yy)", '"yy" is not known; did you mean "y"? (allowed: x, y, pi)'),
        ("ex(x)", 'there is no function "ex"; did you mean "exp"?'),
        ("__import__('os')", 'there is no function "__import__"'),
        ("x.real", '"x.real" is not understood'),
        ("x[0]", '"x[0]" is not understood'),
        ("(lambda: 1)()", "is not understood"),
        ("'a'*9", "is not understood"),
        ("True", "is not a number"),
        ("x if x else y", "is not understood"),
        ("x == 1", "is not understood; expected numbers, + - * / ^, comparisons"),
        ("x // 2", "is not understood"),
        ("exp", "exp is a function; write exp(...)"),
        ("exp(x, y)", "exp needs 1 argument(s), got 2"),
        ("min(x)", "min needs at least 2 argument(s), got 1"),
        ("exp(x=1)", "is not understood"),
        ("1e999", "is not a number"),
        ("x +", "is not an expression"),
        ("", "is not an expression"),
        ("(" * 300 + "x" + ")" * 300, "is not an expression"),
        ("x\n+1; import os", "is not an expression"),
        ("+".join(["x"] * MAX_LENGTH), f"at most {MAX_LENGTH} characters"),
        ("-" * (MAX_DEPTH + 1) + "x", f"more than {MAX_DEPTH} operations"),
        ("9" * 900, "is not"),
        ("3 kg*x", "is not an expression"),
        ("x/2 um^2", "a power of 2 um is not clear; write (2 um)^2 or 2*(1 um)^2"),
        ("x\0", "is not an expression"),
        ("\ud800", "is not an expression"),
    ],
)
def test_everything_else_is_refused(text, message):
    with pytest.raises(CaseError) as caught:
        Expression(text, ("x", "y"))
    assert message in str(caught.value)


def test_values_have_to_be_finite_and_not_negative():
    with pytest.raises(
        CaseError, match=r'^key: "1/x" is inf at x = 0 \(in m, s, eV\); it must be finite and not'
    ):
        amounts(Expression("1/x", ("x",)), "key", x=np.array([1.0, 0.0]))
    with pytest.raises(CaseError, match="is -1 at x = 2"):
        amounts(Expression("1 - x", ("x",)), "key", x=np.array([1.0, 2.0]))
    with pytest.raises(CaseError, match="is nan"):
        amounts(Expression("9^9^9 - 9^9^9", ("x",)), "key", x=X)
    with pytest.raises(CaseError, match="needs values of x"):
        Expression("x", ("x",))(y=X)
