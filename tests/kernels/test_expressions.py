"""Expressions: what they give, what they refuse, and that nothing else escapes."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from diagmem.kernels.expressions import ExpressionError, Value, evaluate

NAMES: dict[str, Value] = {"a": 7, "b": 2, "x": 0.5, "padding": "SAME", "flag": True}


def look(name: str) -> Value:
    if name not in NAMES:
        raise ExpressionError(f"unknown name {name}")
    return NAMES[name]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a * b + 1", 15),
        ("a // b", 3),
        ("a / b", 3.5),
        ("-a % 4", 1),
        ("a if flag and a > b else b", 7),
        ("1 < a <= 7", True),
        ("not flag or padding == 'VALID'", False),
        ("min(a, b, 5)", 2),
        ("max(a, x)", 7),
        ("abs(b - a)", 5),
        ("ceildiv(a, b)", 4),
        ("round(x * 5)", 2),
        ("floor(3.9) + ceil(3.1)", 7),
        ("sqrt(a + b)", 3.0),
        ("padding", "SAME"),
    ],
)
def test_values(text: str, value: Value) -> None:
    assert evaluate(text, look) == value


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("2 ** 9", "operator Pow is not allowed"),
        ("1 << 9", "operator LShift is not allowed"),
        ("a // 0", "division by zero"),
        ("a +", "not an expression"),
        ("nosuch", "unknown name nosuch"),
        ("nosuch(1)", "unknown function 'nosuch'"),
        ("min(x=1)", "Call is not allowed"),
        ("a.b", "Attribute is not allowed"),
        ("[1]", "List is not allowed"),
        ("'ab' * 9", "'ab' is not a number"),
        ("padding < 1", "cannot compare 'SAME' with 1"),
        ("9223372036854775807 * 2", "integer beyond 2**63"),
        ("1e308 * 10", "too large"),
        ("sqrt(-1)", "sqrt of -1"),
        ("ceildiv(1)", "takes 2 arguments, found 1"),
        (
            "out_size('MAYBE', 5, 3, 1)",
            "padding is 'MAYBE', expected 'SAME', 'VALID' or 'EXPLICIT'",
        ),
        ("out_size('VALID', 3, 2, 1, 4)", "filter reaches over 5 of 3"),
        ("out_size('SAME', 3, 2, 0)", "stride is 0, expected an integer of at least 1"),
        ("quantized_shift(0)", "scale is 0"),
        ("(" * 41 + "1" + ")" * 41 + "+" + "-" * 45 + "1", "nested more than 40 deep"),
        ("1" * 501, "501 characters"),
    ],
)
def test_refusals(text: str, complaint: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(text, look)
    assert complaint in str(caught.value)


@given(
    st.sampled_from(["SAME", "VALID"]),
    st.integers(1, 40),
    st.integers(1, 7),
    st.integers(1, 5),
    st.integers(1, 4),
)
def test_geometry_covers_the_input(
    padding: str, size: int, filter_size: int, stride: int, dilation: int
) -> None:
    """SAME gives ceil(size / stride) outputs; VALID as many as fit, by counting."""
    reach = (filter_size - 1) * dilation + 1
    arguments = f"('{padding}', {size}, {filter_size}, {stride}, {dilation})"
    if padding == "VALID" and reach > size:
        with pytest.raises(ExpressionError):
            evaluate(f"out_size{arguments}", look)
        return
    out = evaluate(f"out_size{arguments}", look)
    before = evaluate(f"pad_before{arguments}", look)
    if padding == "VALID":
        assert out == len(range(0, size - reach + 1, stride))
        assert before == 0
    else:
        assert out == math.ceil(size / stride)
        missing = max((int(out) - 1) * stride + reach - size, 0)
        assert before == missing // 2


@given(st.floats(2.0**-29, 2.0**29))
@example(math.nextafter(1.0, 0.0))
def test_quantized_scale_is_near(scale: float) -> None:
    q = int(evaluate(f"quantized_multiplier({scale!r})", look))
    shift = int(evaluate(f"quantized_shift({scale!r})", look))
    assert 2**30 <= q < 2**31
    np.testing.assert_allclose(q * 2.0 ** (shift - 31), scale, rtol=2.0**-30)


PIECES = st.sampled_from(
    "a b x padding flag 1 0 9e99 'S' ( ) [ ] , + - * / // % ** << < == if else not and or in is "
    "min( max( sqrt( out_size( pad_before( ceildiv( round( quantized_shift( lambda : . \\ \0".split(
        " "
    )
)


@given(st.one_of(st.text(max_size=60), st.lists(PIECES, max_size=25).map(" ".join)))
@example("~" * 499)
@example("-" * 499 + "1")
@example("1if x else 2")
def test_any_text_gives_a_value_or_an_expression_error(text: str) -> None:
    value: Value = ""
    with contextlib.suppress(ExpressionError):
        value = evaluate(text, look)
    assert isinstance(value, int | float | str)
