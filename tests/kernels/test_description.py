"""Kernel descriptions: every fault is one line that names its place."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagmem.base.errors import DiagmemError
from diagmem.kernels.catalog import DIRECTORY, bundled, find
from diagmem.kernels.description import _resolve, load, with_parameters
from diagmem.kernels.driver import pack
from diagmem.kernels.fills import contents
from diagmem.kernels.kernel import Document, Iota, Repeat, Uniform
from diagmem.kernels.parameters import parse_overrides

GOOD = """\
function = "f"
source = "f.c"
flags = ["-O2"]

[parameters]
n = 6
gain = 0.5
padding = "SAME"

[derived]
twice = "2 * n"

[[argument]]
name = "x"
role = "input"
dtype = "float32"
shape = ["n", 2]

[[argument]]
name = "y"
role = "output"
dtype = "int8"
shape = ["twice"]

[[argument]]
name = "count"
dtype = "int32"
value = "n"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "f.c").write_text("void f(void) {}\n")
    return tmp_path


def loaded(folder: Path, text: str, *overrides: str) -> Any:
    (folder / "kernel.toml").write_text(text)
    return load(folder / "kernel.toml", parse_overrides(overrides))


def test_good(folder: Path) -> None:
    kernel = loaded(folder, GOOD)
    assert [(b.name, b.shape, b.size_bytes) for b in kernel.buffers] == [
        ("x", (6, 2), 48),
        ("y", (12,), 12),
    ]
    assert kernel.parameters == {"n": 6, "gain": 0.5, "padding": "SAME", "twice": 12}
    assert kernel.code.flags == ("-O2",)


def test_overrides_and_other_parameters(folder: Path) -> None:
    kernel = loaded(folder, GOOD, "n=4", "flags=-O3 -DX='a b'", "compiler=clang", "padding=VALID")
    assert kernel.buffers[0].shape == (4, 2)
    assert kernel.code.flags == ("-O3", "-DX=a b")
    assert kernel.code.compiler == "clang"
    other = with_parameters(kernel, n=5)
    assert other.buffers[1].shape == (10,)
    assert other.parameters["padding"] == "VALID"


def test_fills(folder: Path) -> None:
    text = GOOD + 'fill = "zeros"\n'
    with pytest.raises(DiagmemError, match='"count": unknown key "fill"'):
        loaded(folder, text)
    fills = {
        '"zeros"': Repeat((0,)),
        "{ constant = -3 }": Repeat((-3,)),
        '{ values = [1, "n"] }': Repeat((1, 6)),
        "{ uniform = [-128, 128] }": Uniform(-128, 128.0),
        '{ iota = [0, "n"] }': Iota(0.0, 6.0),
    }
    for fill, expected in fills.items():
        kernel = loaded(
            folder, GOOD.replace('dtype = "int8"\n', f'dtype = "int8"\nfill = {fill}\n')
        )
        assert kernel.buffers[1].fill == expected


FAULTS = [
    ("function", "funktion", 'unknown key "funktion", expected one of description, when, function'),
    ('"f"\n', '"two words"\n', '"function" is "two words", expected the name of a function'),
    ('"f"\n', '"while"\n', '"function" is "while"'),
    ('source = "f.c"\n', "", "expected one of source, object or library, found none"),
    ('source = "f.c"', 'source = "f.c"\nobject = "f.o"', "found source and object"),
    ('source = "f.c"', "source = []", '"source" is [], expected at least one file'),
    ('source = "f.c"', "source = 3", '"source" is 3, expected a list of strings'),
    ('source = "f.c"', 'source = "g.c"', '"source": there is no file "g.c"'),
    ('source = "f.c"', 'library = "f.c"', '"flags" goes with source, found library'),
    ("n = 6", "n = 6\nn = 7", "not valid TOML: Cannot overwrite a value (at line 7"),
    ("n = 6", "n = [6]", '[parameters]: "n" is [6], expected an integer'),
    ("n = 6", "n = nan", '[parameters]: "n" is nan'),
    ("n = 6", "n = 99999999999999999999", '[parameters]: "n" is 99999999999999999999'),
    ("n = 6", "flags = 6", '[parameters]: "flags" cannot be a name here'),
    ("n = 6", "twice = 6\nn = 6", '[derived]: "twice" cannot be a name here'),
    ('"2 * n"', '"2 * m"', '[derived]: "twice": expression "2 * m": unknown name "m"'),
    ('"2 * n"', '"n ** 9"', "operator Pow is not allowed"),
    (
        '"2 * n"',
        '"a"\na = "b"\nb = "twice"',
        "[derived]: goes in a circle: twice -> a -> b -> twice",
    ),
    (
        'dtype = "int8"',
        'dtpye = "int8"',
        '[[argument]] 2 "y": unknown key "dtpye", expected one of',
    ),
    ('dtype = "int8"', 'dtpye = "int8"', '(did you mean "dtype"?)'),
    ('dtype = "int8"\n', "", '[[argument]] 2 "y": "dtype" is missing'),
    ('dtype = "int8"', 'dtype = "int9"', '"dtype" is "int9", expected one of float16, float32'),
    (
        'role = "output"',
        'role = "out"',
        '[[argument]] 2 "y": "role" is "out", expected one of input',
    ),
    ('name = "y"', 'name = "x"', '[[argument]] 2 "x": the name is taken by [[argument]] 1 "x"'),
    ('name = "y"', 'name = "a b"', '[[argument]] 2: "name" is "a b", expected letters'),
    ('name = "y"\n', "", '[[argument]] 2: "name" is missing'),
    ('["twice"]', '"twice"', '"shape" is "twice", expected a list of 1 to 8 sizes'),
    ('["twice"]', '["n - 6"]', '"shape" is [0], 0 bytes, expected 1 to 1073741824 bytes'),
    ('["twice"]', '["n - 7"]', '"shape": "n - 7" is -1, expected an integer from 0'),
    ('["twice"]', '["n / 2"]', '"shape": "n / 2" is 3.0, expected an integer'),
    ('["twice"]', "[1000000, 1000000, 1000000]", "1000000000000000000 bytes, expected 1 to"),
    ('["twice"]', '["padding"]', '"shape": "padding" is "SAME", expected an integer'),
    ('["twice"]', '["n > 2"]', '"shape": "n > 2" is True, expected an integer'),
    ('value = "n"', 'value = "gain"', '"count": "value": "gain" is 0.5, expected a value of int32'),
    ('value = "n"', "value = 2147483648", '"value": found 2147483648, expected a value of int32'),
    ('value = "n"', "value = []", '"value" is [], expected a number or an expression'),
    ('value = "n"\n', "", '[[argument]] 3 "count": "value" is missing'),
    ('dtype = "int32"\nvalue = "n"', "", '3 "count": expected one of "role", "dtype", "fields"'),
    ('value = "n"', 'value = "n"\n[buffer]\n', '"buffer" is {}, expected an array of tables'),
    (
        'value = "n"',
        'value = "n"\n[[buffer]]\nname = "b"\nrole = "scratch"\ndtype = "int8"\nshape = [1]',
        '[[buffer]] 1 "b": no argument points to this buffer',
    ),
    ("[parameters]", "requests = 8\n[parameters]", '"requests" is 8, expected a list of sizes'),
    ("[parameters]", 'requests = ["-n"]\n[parameters]', "expected an integer from 0 to"),
    (
        "[parameters]",
        'other_compilers = "n"\n[parameters]',
        '"other_compilers" is "n", expected an expression for a text',
    ),
    (
        "[parameters]",
        "success = 0\n[parameters]",
        '"success" needs "returns" to be an integer type',
    ),
    ("[parameters]", 'operator = "conv"\n[parameters]', '"operator" is "conv", expected a TFLite'),
]


@pytest.mark.parametrize(("old", "new", "complaint"), FAULTS)
def test_faults(folder: Path, old: str, new: str, complaint: str) -> None:
    assert old in GOOD
    with pytest.raises(DiagmemError) as caught:
        loaded(folder, GOOD.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith(f"{folder}/kernel.toml: ")
    assert complaint in message
    assert "\n" not in message


FIELD_FAULTS = [
    ("fields = []", '"fields" is [], expected at least one field'),
    (
        'fields = [{ name = "a", buffer = "q" }]',
        'fields 1 "a": "buffer" is "q", expected one of x, y',
    ),
    (
        'fields = [{ name = "a", bytes = "zz" }]',
        'expected bytes in hexadecimal, such as "00 ff 1a"',
    ),
    ('fields = [{ name = "a", null = 1 }]', '"null" is 1, expected true'),
    ('fields = [{ name = "a" }]', 'fields 1 "a": expected one of "dtype", "buffer"'),
    (
        'fields = [{ name = "a", null = true }, { name = "a", null = true }]',
        'fields 2 "a": the name is taken by [[argument]] 4 "s" fields 1 "a"',
    ),
    ('fields = [{ names = [], dtype = "int8" }]', '"names" is [], expected at least one name'),
    (
        'fields = [{ names = ["n", "q"], dtype = "int8" }]',
        'fields 1 "q": "value": expression "q": unknown name "q"',
    ),
    ('fields = [{ names = ["n"], value = 1 }]', 'unknown key "value", expected one of names'),
    (
        'fields = [{ names = ["n", "n"], dtype = "int8" }]',
        'fields 1 "n": the name is taken by [[argument]] 4 "s" fields 1 "n"',
    ),
]


def test_several_names_are_scalars_of_these_values(folder: Path) -> None:
    short = GOOD + '[[argument]]\nnames = ["n", "twice"]\ndtype = "int32"\n'
    long = GOOD + "".join(
        f'[[argument]]\nname = "{name}"\ndtype = "int32"\nvalue = "{name}"\n'
        for name in ("n", "twice")
    )
    assert loaded(folder, short).arguments == loaded(folder, long).arguments


@pytest.mark.parametrize(("fields", "complaint"), FIELD_FAULTS)
def test_field_faults(folder: Path, fields: str, complaint: str) -> None:
    text = GOOD + f'[[argument]]\nname = "s"\npass = "value"\n{fields}\n'
    with pytest.raises(DiagmemError) as caught:
        loaded(folder, text)
    assert '[[argument]] 4 "s"' in str(caught.value)
    assert complaint in str(caught.value)


FILL_FAULTS = [
    ("{ uniform = [-129, 5] }", '"uniform": found -129, expected a value of int8'),
    ("{ uniform = [0, 129] }", "expected low < high <= 128 for int8"),
    ("{ uniform = [5, 5] }", "expected low < high"),
    ("{ uniform = 5 }", '"uniform" is 5, expected a list of two values'),
    ("{ iota = [0, 12] }", '"fill" runs from 0.0 to 132.0, expected values of int8'),
    ('{ bytes = "00 01" }', '"fill" has 2 bytes, expected 12 as "shape" says'),
    ("{ values = [] }", '"values" is [], expected a list of values'),
    ("{ }", "expected one of uniform, constant, iota, values or bytes"),
    ('"ones"', '"fill" is "ones", expected a table'),
]


@pytest.mark.parametrize(("fill", "complaint"), FILL_FAULTS)
def test_fill_faults(folder: Path, fill: str, complaint: str) -> None:
    with pytest.raises(DiagmemError) as caught:
        loaded(folder, GOOD.replace('dtype = "int8"\n', f'dtype = "int8"\nfill = {fill}\n'))
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("word", "complaint"),
    [
        ("n", '"n": expected key=value'),
        ("=3", '"=3": expected key=value'),
        ("m=3", 'm="3": unknown parameter, expected one of n, gain, padding, flags, compiler'),
        ("n=x", 'n="x": expected an integer, as in the file'),
        ("gain=x", 'gain="x": expected a number, as in the file'),
        ("gain=inf", 'gain="inf": out of range'),
        ("twice=3", "twice: worked out in [derived]"),
        ("flags='", 'flags="\'": No closing quotation'),
        ("compiler=", 'compiler is "", expected a command'),
    ],
)
def test_override_faults(folder: Path, word: str, complaint: str) -> None:
    with pytest.raises(DiagmemError) as caught:
        loaded(folder, GOOD, word)
    assert complaint in str(caught.value)


def test_unreadable(tmp_path: Path) -> None:
    with pytest.raises(DiagmemError, match="cannot read the kernel description: No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"description = '\xe9'\n")
    with pytest.raises(DiagmemError, match="not valid TOML: 'utf-8' codec"):
        load(tmp_path / "latin.toml")
    (tmp_path / "deep.toml").write_text("a = " + "[" * 5000)
    with pytest.raises(DiagmemError, match="nested too deeply"):
        load(tmp_path / "deep.toml")


def test_find() -> None:
    assert find("depthwise_conv_2d_f32").name == "depthwise_conv_2d_f32.toml"
    assert {"conv_2d_int8", "unary"} <= set(bundled())
    with pytest.raises(DiagmemError, match='did you mean "conv_2d_f32"'):
        find("conv_2d_f23")
    with pytest.raises(DiagmemError, match="there is no such kernel description"):
        find("somewhere/conv.toml")


JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.sampled_from(["n", "x", "y", "twice", "input", "int8", "float16", "pointer", "0 / 0"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["name", "role", "dtype", "shape", "fill", "value", "fields", "iota"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=8,
)


def _places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = data.keys() if isinstance(data, dict) else range(len(data))
    found = []
    for key in keys:
        found.append((*path, key))
        if isinstance(data[key], dict | list):
            found += _places(data[key], (*path, key))
    return found


@given(st.data())
def test_no_damage_gives_a_traceback(data: st.DataObject) -> None:
    """Up to three values of a good description replaced by anything."""
    items = tomllib.loads(GOOD.replace("f.c", "relu.c"))
    for _ in range(data.draw(st.integers(1, 3))):
        *path, last = data.draw(st.sampled_from(_places(items)))
        place = items
        for key in path:
            place = place[key]
        place[last] = data.draw(JUNK)
    complaint = ""
    try:
        kernel = _resolve(Document("kernel.toml", DIRECTORY, items, {}))
        assert pack(kernel)
        for buffer in kernel.buffers:
            if buffer.size_bytes < 10_000:
                assert len(contents(buffer, 0)) == buffer.size_bytes
    except DiagmemError as error:
        complaint = str(error)
    assert "\n" not in complaint
