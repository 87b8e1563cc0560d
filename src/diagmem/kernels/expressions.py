"""Small, safe expressions over named values: shapes, sizes and scalars.

Integers, finite floats, truth values and strings; ``+ - * / // %``,
comparisons, ``and or not``, ``a if c else b`` and the functions of
`FUNCTIONS`.  There is no ``**`` and no shift, every integer is bounded and so
is the length of an expression, so that no file can make the evaluator slow.
"""

from __future__ import annotations

import ast
import math
import operator
import warnings
from collections.abc import Callable
from typing import cast

Value = int | float | bool | str
Lookup = Callable[[str], Value]

MAX_CHARACTERS = 500
MAX_DEPTH = 40
MAX_INTEGER = 2**63


class ExpressionError(ValueError):
    """What is wrong with an expression; the caller adds where it stands."""


def evaluate(text: str, lookup: Lookup) -> Value:
    """The value of one expression.

    Parameters
    ----------
    text : the expression.
    lookup : gives the value of a name, or raises.

    Raises
    ------
    ExpressionError
        Not an expression of this language, or without a value (a division by
        zero, a function outside of its domain, a number too large).
    """
    if len(text) > MAX_CHARACTERS:
        raise ExpressionError(f"{len(text)} characters, expected at most {MAX_CHARACTERS}")
    try:
        # The parser warns about odd spellings, such as "1if x", on its own account.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text.strip(), mode="eval")
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise ExpressionError("not an expression") from error
    return _value(tree.body, lookup, MAX_DEPTH)


def _value(node: ast.expr, lookup: Lookup, depth: int) -> Value:
    if depth == 0:
        raise ExpressionError(f"nested more than {MAX_DEPTH} deep")

    def inner(child: ast.expr) -> Value:
        return _value(child, lookup, depth - 1)

    match node:
        case ast.Constant(value=bool() | int() | float() | str() as constant):
            return _bounded(constant)
        case ast.Name(id=name):
            return lookup(name)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not inner(operand)
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            number = _number(inner(operand))
            return _bounded(-number if isinstance(sign, ast.USub) else number)
        case ast.BinOp(left=left, op=op, right=right):
            return _arithmetic(op, inner(left), inner(right))
        case ast.Compare():
            return _comparison(node, inner)
        case ast.BoolOp(op=ast.And(), values=values):
            return all(inner(v) for v in values)
        case ast.BoolOp(op=ast.Or(), values=values):
            return any(inner(v) for v in values)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return inner(body) if inner(test) else inner(orelse)
        case ast.Call(func=ast.Name(id=name), args=args, keywords=[]):
            return _call(name, [inner(a) for a in args])
    raise ExpressionError(f"{type(node).__name__} is not allowed in an expression")


_ARITHMETIC: dict[type[ast.operator], Callable[..., Value]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}

_COMPARISONS: dict[type[ast.cmpop], Callable[..., bool]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _arithmetic(op: ast.operator, left: Value, right: Value) -> Value:
    function = _ARITHMETIC.get(type(op))
    if function is None:
        raise ExpressionError(f"operator {type(op).__name__} is not allowed, only + - * / // %")
    try:
        return _bounded(function(_number(left), _number(right)))
    except ZeroDivisionError as error:
        raise ExpressionError("division by zero") from error
    except OverflowError as error:
        raise ExpressionError("number too large") from error


def _comparison(node: ast.Compare, inner: Callable[[ast.expr], Value]) -> bool:
    left = inner(node.left)
    for op, comparator in zip(node.ops, node.comparators, strict=True):
        right = inner(comparator)
        function = _COMPARISONS.get(type(op))
        if function is None:
            raise ExpressionError(f"operator {type(op).__name__} is not allowed")
        if isinstance(left, str) != isinstance(right, str):
            raise ExpressionError(f"cannot compare {left!r} with {right!r}")
        if not function(left, right):
            return False
        left = right
    return True


def _bounded(value: Value) -> Value:
    if isinstance(value, float) and not math.isfinite(value):
        raise ExpressionError("number too large or not a number")
    if isinstance(value, int) and abs(value) > MAX_INTEGER:
        raise ExpressionError("integer beyond 2**63")
    return value


def _number(value: Value) -> int | float:
    if isinstance(value, str):
        raise ExpressionError(f"{value[:40]!r} is not a number")
    return value


def _whole(value: Value, name: str, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ExpressionError(f"{name} is {value!r}, expected an integer of at least {least}")
    return value


def ceildiv(a: Value, b: Value) -> int:
    """The quotient of two integers, rounded up."""
    divisor = _whole(b, "divisor", 1)
    return -(-_whole(a, "dividend", -MAX_INTEGER) // divisor)


def out_size(
    padding: Value,
    in_size: Value,
    filter_size: Value,
    stride: Value,
    dilation: Value = 1,
    before: Value = 0,
    after: Value = 0,
) -> int:
    """Output size along one axis by TFLite's SAME and VALID rules, in elements.

    EXPLICIT padding is ``before`` and ``after``, which the others do not look at.
    """
    size = _whole(in_size, "input size", 1)
    step = _whole(stride, "stride", 1)
    reach = _reach(filter_size, dilation)
    if padding == "SAME":
        return ceildiv(size, step)
    if padding == "EXPLICIT":
        size += _whole(before, "padding", 0) + _whole(after, "padding", 0)
    elif padding != "VALID":
        raise ExpressionError(f"padding is {padding!r}, expected 'SAME', 'VALID' or 'EXPLICIT'")
    if reach > size:
        raise ExpressionError(f"{padding} leaves no output: filter reaches over {reach} of {size}")
    return ceildiv(size - reach + 1, step)


def pad_before(
    padding: Value,
    in_size: Value,
    filter_size: Value,
    stride: Value,
    dilation: Value = 1,
    before: Value = 0,
    after: Value = 0,
) -> int:
    """Padding in front of one axis as TFLite computes it, in elements."""
    out = out_size(padding, in_size, filter_size, stride, dilation, before, after)
    if padding == "EXPLICIT":
        return _whole(before, "padding", 0)
    needed = (out - 1) * cast(int, stride) + _reach(filter_size, dilation) - cast(int, in_size)
    return max(needed, 0) // 2 if padding == "SAME" else 0


def _reach(filter_size: Value, dilation: Value) -> int:
    return (_whole(filter_size, "filter size", 1) - 1) * _whole(dilation, "dilation", 1) + 1


def quantized_multiplier(scale: Value) -> int:
    """The 31-bit mantissa q of ``scale = q * 2**(shift - 31)``."""
    return _quantized(scale)[0]


def quantized_shift(scale: Value) -> int:
    """The exponent of ``scale = q * 2**(shift - 31)``; negative shifts right."""
    return _quantized(scale)[1]


def _quantized(scale: Value) -> tuple[int, int]:
    number = _number(scale)
    if not 2.0**-30 <= number < 2.0**30:
        raise ExpressionError(f"scale is {number!r}, expected 2**-30 <= scale < 2**30")
    mantissa, exponent = math.frexp(number)
    quantized = round(mantissa * 2**31)
    # A mantissa just below 1 rounds up to 2**31, which an int32 cannot hold.
    return (quantized, exponent) if quantized < 2**31 else (quantized // 2, exponent + 1)


def _smallest(*values: Value) -> Value:
    return min(_number(v) for v in values)


def _largest(*values: Value) -> Value:
    return max(_number(v) for v in values)


def _root(value: Value) -> float:
    number = _number(value)
    if number < 0:
        raise ExpressionError(f"sqrt of {number!r}")
    return math.sqrt(number)


FUNCTIONS: dict[str, tuple[Callable[..., Value], int, int]] = {
    "min": (_smallest, 1, 16),
    "max": (_largest, 1, 16),
    "abs": (lambda v: abs(_number(v)), 1, 1),
    "round": (lambda v: round(_number(v)), 1, 1),
    "floor": (lambda v: math.floor(_number(v)), 1, 1),
    "ceil": (lambda v: math.ceil(_number(v)), 1, 1),
    "sqrt": (_root, 1, 1),
    "ceildiv": (ceildiv, 2, 2),
    "out_size": (out_size, 4, 7),
    "pad_before": (pad_before, 4, 7),
    "quantized_multiplier": (quantized_multiplier, 1, 1),
    "quantized_shift": (quantized_shift, 1, 1),
}
"""Every function an expression may call: itself, fewest and most arguments."""


def _call(name: str, arguments: list[Value]) -> Value:
    if name not in FUNCTIONS:
        known = ", ".join(FUNCTIONS)
        raise ExpressionError(f"unknown function {name[:40]!r}, expected one of {known}")
    function, least, most = FUNCTIONS[name]
    if not least <= len(arguments) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        raise ExpressionError(f"{name}() takes {wanted} arguments, found {len(arguments)}")
    return _bounded(function(*arguments))
