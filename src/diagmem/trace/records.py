"""The JSON records of META and END blocks: their fields, and what they become.

`RECORDS` is the one definition of the fields; ``docs/trace-format.md`` shows
it, and a test compares the two.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from diagmem.base.files import JsonObject
from diagmem.base.text import printable
from diagmem.trace import format as fmt
from diagmem.trace.window import Buffer, Role, Site

MAX_NUMBER = 1 << 62
"""Numbers lie below this, so that the sum of two fits 64 bits."""
MAX_INDEX = 1 << 32

Record = JsonObject


class RecordError(ValueError):
    """A record lacks a field or holds something else there."""

    def __init__(self, found: str, expected: str) -> None:
        super().__init__(f"{found}, expected {expected}")
        self.found = found
        self.expected = expected


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: number, index (below 2^32), flag, text, list or object."""

    kind: str
    required: bool = True
    of: str = ""
    """What a list holds: the name of another entry of `RECORDS`."""


RECORDS: dict[str, dict[str, Field]] = {
    "header": {
        "units": Field("object"),
        "mode": Field("text"),
        "everything": Field("flag", required=False),
        "raw_copies": Field("flag", required=False),
        "overlapped": Field("flag", required=False),
        "diagmem": Field("text", required=False),
        "valgrind": Field("text", required=False),
        "platform": Field("text", required=False),
        "functions": Field("list", required=False),
        "asked": Field("list", required=False),
        "command": Field("list", required=False),
    },
    "window": {
        "index": Field("index"),
        "function": Field("text"),
        "thread": Field("index"),
        "buffers": Field("list", of="buffer"),
        "spans": Field("list", of="span"),
        "missing": Field("list", of="missing"),
    },
    "buffer": {
        "name": Field("text"),
        "role": Field("text"),
        "address": Field("number"),
        "size": Field("number"),
    },
    "missing": {"name": Field("text"), "reason": Field("text")},
    "window end": {
        "index": Field("index"),
        "end": Field("text"),
        "events": Field("number"),
        "loads": Field("number"),
        "stores": Field("number"),
        "several_threads": Field("flag", required=False),
    },
    "site": {
        "site": Field("index"),
        "kind": Field("text"),
        "size": Field("number"),
        "pc": Field("number"),
        "function": Field("text", required=False),
        "object": Field("text", required=False),
        "offset": Field("number", required=False),
        "file": Field("text", required=False),
        "line": Field("number", required=False),
    },
    "class": {"class": Field("index"), "site": Field("index"), "span": Field("index")},
    "copy": {"window": Field("index"), "site": Field("index")},
    "end": {
        "complete": Field("flag"),
        "reason": Field("text"),
        "events": Field("number"),
        "blocks": Field("number"),
    },
}
TOP_LEVEL = ("header", "window", "window end", "site", "class", "copy", "end")
"""Records of their own; the others lie inside a window's."""


def parse(raw: bytes) -> Iterator[Record]:
    """The records of a payload, one JSON object a line, each checked.

    Raises
    ------
    RecordError
        At the first line that is not what `RECORDS` says.  Records of other
        types and other fields are for newer readers and pass.
    """
    for line in _lines(raw):
        if len(line) > fmt.MAX_RECORD_BYTES:
            raise RecordError(f"a line of {len(line)} bytes", f"at most {fmt.MAX_RECORD_BYTES}")
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise RecordError(f"a line that is not JSON ({error})", "a JSON object") from None
        if not isinstance(record, dict) or not isinstance(record.get("type"), str):
            raise RecordError("a line that is no object with a type", "a record") from None
        if record["type"] in TOP_LEVEL:
            check_fields(record["type"], record)
        yield record


def _lines(raw: bytes) -> Iterator[bytes]:
    """One at a time: a list of millions would take far more room than they do."""
    at = 0
    while (end := raw.find(b"\n", at)) >= 0:
        yield raw[at:end]
        at = end + 1
    yield raw[at:]


def check_fields(name: str, record: Any) -> None:
    """Refuse a record without a required field, or with one of another kind."""
    if name == "span":
        if not (isinstance(record, list) and len(record) == 2 and all(map(_is_number, record))):
            raise RecordError(f"the span {record!r:.60}", "two numbers")
        return
    if not isinstance(record, dict):
        raise RecordError(f"the {name} {record!r:.60}", "a JSON object")
    for key, field in RECORDS[name].items():
        value = record.get(key, _ABSENT)
        if value is _ABSENT:
            if field.required:
                raise RecordError(f"a {name!r} record without {key!r}", f"a {field.kind}")
        elif not _KINDS[field.kind](value):
            raise RecordError(f"{key!r} of a {name!r} record is {value!r:.60}", f"a {field.kind}")
        elif field.of:
            for item in value:
                check_fields(field.of, item)
    if name == "window" and len(record["spans"]) > len(record["buffers"]) + 1:
        found = f"{len(record['spans'])} spans of {len(record['buffers'])} buffers"
        raise RecordError(found, "at most one each, or one for all addresses")
    if name == "buffer" and record["role"] not in _ROLES:
        raise RecordError(f"the role {record['role']!r:.60}", f"one of {', '.join(Role)}")
    if name == "site" and record["kind"] not in fmt.KINDS:
        raise RecordError(f"the kind {record['kind']!r:.60}", f"one of {', '.join(fmt.KINDS)}")


_ABSENT = object()
_ROLES = frozenset(map(str, Role))


def _is_number(value: object, end: int = MAX_NUMBER) -> bool:
    return type(value) is int and 0 <= value < end


_KINDS: dict[str, Callable[[object], bool]] = {
    "number": _is_number,
    "index": lambda value: _is_number(value, MAX_INDEX),
    "flag": lambda value: isinstance(value, bool) or _is_number(value, 2),
    "text": lambda value: isinstance(value, str),
    "list": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}


def site_of(record: Record) -> Site:
    return Site(
        kind=record["kind"],
        size_bytes=record["size"],
        pc=record["pc"],
        function=printable(record.get("function", "")),
        object=printable(record.get("object", "")),
        offset=record.get("offset", 0),
        file=printable(record.get("file", "")),
        line=record.get("line", 0),
    )


def buffer_of(record: Record) -> Buffer:
    return Buffer(
        name=printable(record["name"]),
        role=Role(record["role"]),
        address=record["address"],
        size_bytes=record["size"],
    )
