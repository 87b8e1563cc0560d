"""Attributes of operators as a command line writes them: ``stride=2x1 padding=SAME``."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from diagmem.base.errors import DiagmemError
from diagmem.ops.layer import ELEMENT_BYTES, Value

MAX_EXTENT = (1 << 31) - 1
"""TFLite keeps sizes in an int32."""
MAX_BYTES = 1 << 62
MAX_RANK = 6

_NUMBER = re.compile(r"-?\d{1,12}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A named attribute: how it is written, and what it is if not given.

    ``kind``: shape, shapes, pair, padding, numbers, count, switch or word;
    ``words`` are those that a word may be; ``default`` None: it must be given.
    """

    name: str
    kind: str
    default: Value | None = None
    words: tuple[str, ...] = ()

    @property
    def sample(self) -> str:
        """How it is written, for help and complaints."""
        return {
            "shape": "1x17x9x5",
            "shapes": "1x4x4x3,1x4x4x5",
            "pair": "3x4",
            "padding": "SAME, VALID or top,bottom,left,right",
            "numbers": "0,2,1",
            "count": "16",
            "switch": "true or false",
            "word": " or ".join(self.words),
        }[self.kind]


def show(value: Value, *, listed: bool = False) -> str:
    """A value as `parse` reads it; ``listed``: numbers with commas, no shape."""
    if isinstance(value, bool):
        return str(value).lower()
    if not isinstance(value, tuple):
        return str(value)
    if value and isinstance(value[0], tuple):
        return ",".join(map(show, value))
    return ",".join(map(str, value)) if listed else "x".join(map(str, value)) or "scalar"


def show_all(attributes: Mapping[str, Value], known: Sequence[Attribute]) -> dict[str, str]:
    """All attributes as `parse` reads them."""
    kinds = {attribute.name: attribute.kind for attribute in known}
    return {
        name: show(value, listed=kinds[name] in ("numbers", "padding"))
        for name, value in attributes.items()
    }


def parse_words(words: Sequence[str]) -> dict[str, str]:
    """``key=value`` words of a command line as a mapping.

    Raises
    ------
    DiagmemError
        A word is no such pair, or a key is given twice.
    """
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise DiagmemError(f"{word[:60]!r}: expected key=value, such as stride=2x1")
        if key in given:
            raise DiagmemError(f"{key}: given twice, {given[key][:60]} and {value[:60]}")
        given[key] = value
    return given


def parse(operator: str, known: Sequence[Attribute], given: Mapping[str, str]) -> dict[str, Value]:
    """Every attribute with its value.

    Raises
    ------
    DiagmemError
        One is unknown, missing, or cannot be read.
    """
    names = [attribute.name for attribute in known]
    for name in given:
        if name not in names:
            close = difflib.get_close_matches(name, names, 1)
            hint = f'; did you mean "{close[0]}"?' if close else ""
            raise DiagmemError(
                f"{operator}: no attribute {name!r}, expected {', '.join(names)}{hint}"
            )
    values = {}
    for attribute in known:
        if attribute.name in given:
            values[attribute.name] = _value(operator, attribute, given[attribute.name])
        elif attribute.default is not None:
            values[attribute.name] = attribute.default
        else:
            raise DiagmemError(
                f"{operator}: {attribute.name} is missing, expected"
                f" {attribute.name}={attribute.sample}"
            )
    return values


def _value(operator: str, attribute: Attribute, text: str) -> Value:
    value = _READERS[attribute.kind](text, attribute)
    if value is None:
        raise DiagmemError(
            f"{operator}: {attribute.name}={text[:60]} cannot be read, expected {attribute.sample}"
        )
    return value


def _shape(text: str, _: Attribute) -> tuple[int, ...] | None:
    if text == "scalar":
        return ()
    sizes = _numbers(text, "x")
    if sizes is None or len(sizes) > MAX_RANK or not all(0 <= s <= MAX_EXTENT for s in sizes):
        return None
    return sizes


def _shapes(text: str, attribute: Attribute) -> tuple[tuple[int, ...], ...] | None:
    shapes = [_shape(part, attribute) for part in text.split(",")]
    whole = tuple(shape for shape in shapes if shape is not None)
    return whole if len(whole) == len(shapes) else None


def _pair(text: str, _: Attribute) -> tuple[int, ...] | None:
    sizes = _numbers(text, "x")
    if sizes is None or len(sizes) > 2 or not all(1 <= s <= MAX_EXTENT for s in sizes):
        return None
    return sizes if len(sizes) == 2 else sizes * 2


def _padding(text: str, _: Attribute) -> Value | None:
    if text in ("SAME", "VALID"):
        return text
    sizes = _numbers(text, ",")
    if sizes is None or len(sizes) != 4 or not all(0 <= s <= MAX_EXTENT for s in sizes):
        return None
    return sizes


def _list(text: str, _: Attribute) -> tuple[int, ...] | None:
    return _numbers(text, ",") if text else ()


def _count(text: str, _: Attribute) -> int | None:
    numbers = _numbers(text, ",")
    if numbers is None or len(numbers) != 1 or not 0 <= numbers[0] <= MAX_EXTENT:
        return None
    return numbers[0]


def _switch(text: str, _: Attribute) -> bool | None:
    return {"true": True, "false": False, "1": True, "0": False}.get(text.lower())


def _word(text: str, attribute: Attribute) -> str | None:
    return text if text in attribute.words else None


def _numbers(text: str, between: str) -> tuple[int, ...] | None:
    parts = text.split(between)
    return tuple(map(int, parts)) if all(_NUMBER.fullmatch(part) for part in parts) else None


_READERS = {
    "shape": _shape,
    "shapes": _shapes,
    "pair": _pair,
    "padding": _padding,
    "numbers": _list,
    "count": _count,
    "switch": _switch,
    "word": _word,
}


def dtype(*names: str, default: str = "float32", name: str = "dtype") -> Attribute:
    return Attribute(name, "word", default, names or tuple(ELEMENT_BYTES))


TYPES = ("float32", "int8", "int16")
"""Of elements that the operators here know."""
TYPE = dtype(*TYPES)
INPUT = Attribute("input", "shape")


def check_size(operator: str, name: str, shape: Sequence[int], element_bytes: int) -> None:
    """Refuse a tensor that no address can reach."""
    if len(shape) > MAX_RANK:
        raise DiagmemError(f"{operator}: {name} has {len(shape)} axes, expected {MAX_RANK} at most")
    if prod(shape) * element_bytes > MAX_BYTES or any(size > MAX_EXTENT for size in shape):
        raise DiagmemError(
            f"{operator}: {name} would be {show(tuple(shape))}, expected sizes up to {MAX_EXTENT:,}"
            f" and {MAX_BYTES:,} bytes in all"
        )
