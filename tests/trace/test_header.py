"""What a header says of its run, whatever somebody wrote into it."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from diagmem.trace.header import Header

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)
FIELDS = st.sampled_from([f for f in Header.__dataclass_fields__ if f != "record"])


@given(st.dictionaries(FIELDS | st.text(), JSON))
def test_any_record_gives_texts_and_lists_of_texts(record: dict[str, Any]) -> None:
    header = Header.of(record)
    assert header.record == record
    for name, field in Header.__dataclass_fields__.items():
        value = getattr(header, name)
        if field.type == "str":
            assert isinstance(value, str)
        elif field.type == "tuple[str, ...]":
            assert all(isinstance(text, str) for text in value)
        elif field.type == "bool":
            assert value is bool(record.get(name))
    assert all(isinstance(text, str) for text in header.parameters.values())


def test_who_recorded_it() -> None:
    record = {"diagmem": "0.1.0", "valgrind": "3.19.0", "platform": "amd64-linux"}
    assert Header.of(record).recorded_by == ["diagmem 0.1.0", "valgrind 3.19.0", "amd64-linux"]
    assert Header().recorded_by == []
