"""Descriptions that somebody mangled: one clear line, or a kernel."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagmem.base.errors import DiagmemError
from diagmem.kernels.catalog import DIRECTORY, bundled
from diagmem.kernels.description import load
from diagmem.kernels.expressions import FUNCTIONS

TEXTS = {name: (DIRECTORY / f"{name}.toml").read_bytes() for name in bundled()}
TOKENS = [
    *('"', "'", "[", "]", "[[", "{", "}", "=", "\n", ",", "-", "1e999", "nan", "inf", "true"),
    *("9" * 30, "0", "-1", '""', "2**99999", "**", "//0", "%0", "(" * 200, "\\u0000", "\ufeff"),
    *("shape", "role", "dtype", "value", "argument", "parameters", "derived", "function"),
    *FUNCTIONS,
]


def survive(path: Path) -> bool:
    """Load it; True if it is a kernel.  Errors are one line that names the file."""
    try:
        load(path)
    except DiagmemError as error:
        said = str(error)
    else:
        return True
    assert "\n" not in said
    assert path.name in said
    return False


def test_changed_bytes(tmp_path: Path) -> None:
    rng = random.Random(0)
    path = tmp_path / "k.toml"
    for source in DIRECTORY.glob("*.[ch]"):
        (tmp_path / source.name).write_bytes(source.read_bytes())
    outcomes = []
    for _ in range(1200):
        data = bytearray(rng.choice(list(TEXTS.values())))
        for _ in range(rng.randint(1, 4)):
            at = rng.randrange(len(data))
            match rng.randrange(4):
                case 0:
                    data[at] = rng.randrange(256)
                case 1:
                    del data[at : at + rng.randint(1, 40)]
                case 2:
                    data[at:at] = rng.choice(TOKENS).encode()
                case _:
                    start = rng.randrange(len(data))
                    data[at:at] = data[start : start + 60]
            if not data:
                break
        path.write_bytes(data)
        outcomes.append(survive(path))
    assert any(outcomes)
    assert not all(outcomes)


values = st.recursive(
    st.one_of(
        st.integers(-(1 << 70), 1 << 70),
        st.floats(),
        st.booleans(),
        st.sampled_from(TOKENS),
        st.text(max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)


def as_toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{as_toml(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, str):
        return (
            '"' + "".join(f"\\U{ord(c):08x}" for c in value if not 0xD800 <= ord(c) < 0xE000) + '"'
        )
    return repr(value)


@settings(max_examples=400)
@given(name=st.sampled_from(sorted(TEXTS)), line=st.integers(0, 60), value=values)
def test_other_values(
    name: str, line: int, value: object, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A line of a bundled description with something else behind its sign."""
    lines = TEXTS[name].decode().splitlines()
    line %= len(lines)
    key, sign, _ = lines[line].partition("=")
    if sign:
        lines[line] = f"{key}= {as_toml(value)}"
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    survive(path)
