"""``diagmem formula``: what it prints, and what it says of a mistake."""

from __future__ import annotations

import json
from functools import partial

import pytest

from diagmem.cli.main import main
from diagmem.ops import OPERATORS
from diagmem.ops.paper import LINES
from tests.cli.conftest import Capture, json_of, wrong_call

answered = partial(json_of, ["formula"])
fails = partial(wrong_call, ["formula"])

CONV = (
    "CONV_2D input=1x17x9x5 filter=3x4 stride=2x1 padding=SAME output_channels=16 dtype=int8"
).split()


def test_text(capsys: Capture) -> None:
    assert main(["formula", *CONV]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "CONV_2D dtype=int8 input=1x17x9x5 filter=3x4 stride=2x1 padding=SAME dilation=1x1"
        " output_channels=16",
        "  exact, loop order: reference",
        "  input 1x17x9x5 int8 (765 B) over output 1x9x9x16 int8 (1,296 B)",
        "    minimum displacement  D   = 585 B",
        "    safe overlap          O_s = 711 B (92.9 %)",
        "    limited by            output[1,294] written at b=0 y=8 x=8 o=14, before"
        " input[710] is read at b=0 y=8 x=8 o=15",
    ]
    assert err == "next: diagmem check --op CONV_2D   # the formula against compiled kernels\n"


def test_json_of_all_methods(capsys: Capture) -> None:
    exact, algorithmic, paper = (
        answered([*CONV, "--method", method], capsys)
        for method in ("exact", "algorithmic", "paper")
    )
    for data in (exact, algorithmic, paper):
        [pair] = data["pairs"]
        for key in ("min_displacement_bytes", "safe_overlap_bytes"):
            assert data[key] == pair[key]
        assert data["safe_overlap_bytes"] == 1296 - data["min_displacement_bytes"]
        assert data["inputs"] == [
            {"name": "input", "shape": [1, 17, 9, 5], "dtype": "int8", "bytes": 765}
        ]
        assert data["outputs"][0]["shape"] == [1, 9, 9, 16]
        assert data["attributes"]["stride"] == "2x1"
    assert exact["min_displacement_bytes"] == algorithmic["min_displacement_bytes"] == 585
    assert paper["min_displacement_bytes"] >= 585
    assert (exact["method"], exact["order"]) == ("exact", "reference")
    limit = exact["pairs"][0]["limit"]
    assert limit["output_offset_bytes"] + 1 - limit["input_offset_bytes"] == 585
    assert set(limit["written_at"]) == set(limit["read_at"]) == {"b", "y", "x", "o"}
    ticks = algorithmic["pairs"][0]["limit"]
    assert ticks["output_tick"] < ticks["input_tick"]
    assert paper["pairs"][0]["refused"] == ""


@pytest.mark.parametrize("operator", OPERATORS)
def test_every_example_runs(operator: str, capsys: Capture) -> None:
    words = [operator.lower(), *OPERATORS[operator].example.split()]
    exact = answered(words, capsys)
    algorithmic = answered([*words, "--method", "algorithmic"], capsys)
    for one, other in zip(exact["pairs"], algorithmic["pairs"], strict=True):
        assert one["min_displacement_bytes"] == other["min_displacement_bytes"]
    assert exact["operator"] == operator
    # The attributes it shows are those that it takes.
    again = [f"{name}={value}" for name, value in exact["attributes"].items()]
    assert answered([operator, *again], capsys) == exact
    for order in OPERATORS[operator].orders:
        assert answered([*words, "--order", order], capsys)["order"] == order
    if operator in LINES:
        paper = answered([*words, "--method", "paper"], capsys)
        assert paper["min_displacement_bytes"] >= exact["min_displacement_bytes"]
    assert main(["formula", *words]) == 0
    assert "minimum displacement" in capsys.readouterr().out


def test_the_list_and_the_descriptions(capsys: Capture) -> None:
    assert main(["formula"]) == 0
    assert capsys.readouterr().out.split() == sorted(OPERATORS)
    assert main(["formula", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"operators": sorted(OPERATORS)}
    for name, operator in OPERATORS.items():
        assert main(["formula", name]) == 0
        out, err = capsys.readouterr()
        assert out.startswith(f"{name}: ")
        assert err == f"next: diagmem formula {name} {operator.example}\n"
        for attribute in operator.attributes:
            assert f"\n  {attribute.name} " in out
        assert main(["formula", name, "--json"]) == 0
        data = json.loads(capsys.readouterr().out)
        assert data["example"] == operator.example
        assert data["orders"] == ["reference", *operator.orders]


@pytest.mark.parametrize(
    ("words", "needed"),
    [
        # One element each.
        ("CONV_2D input=1x1x1x1 filter=1x1 output_channels=1", 0),
        ("RELU input=scalar", 0),
        ("ADD input1=scalar input2=scalar", 0),
        ("TRANSPOSE input=1x1 perm=1,0", 0),
        # memcpy makes no promise, and a sum is filled with zeros first.
        ("RESHAPE input=1x1 shape=1", 4),
        ("SUM input=1x1x1x1 axes=1,2", 4),
        # No elements.
        ("RELU input=0", 0),
        ("CONV_2D input=0x4x3x2 filter=3x2 output_channels=2", 0),
        ("CONV_2D input=1x4x3x2 filter=3x2 output_channels=0", 0),
        ("CONV_2D input=1x4x3x0 filter=3x2 output_channels=2", 0),
        ("SOFTMAX input=0x5", 0),
        ("BATCH_MATMUL input1=3x0 input2=0x2", 0),
        # A filter larger than the map reads all of it for every output.
        ("MAX_POOL_2D input=1x2x1x1 filter=9x7 padding=SAME dtype=int8", 1),
        ("DEPTHWISE_CONV_2D input=1x2x3x1 filter=9x11 padding=SAME dtype=int8", 5),
        # All taps but the middle one lie in the padding.
        ("CONV_2D input=1x2x1x3 filter=3x3 dilation=9x9 output_channels=3 dtype=int8", 2),
    ],
)
def test_small_layers_are_answered(words: str, needed: int, capsys: Capture) -> None:
    for method in ("exact", "algorithmic"):
        data = answered([*words.split(), "--method", method], capsys)
        assert data["min_displacement_bytes"] == needed
    assert main(["formula", *words.split()]) == 0
    assert f"D   = {needed} B" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("CONV_2", 'did you mean "CONV_2D"'),
        ("WHATEVER x=1", "WHATEVER"),
        ("CONV_2D input=1x17x9x5 output_channels=1", "filter is missing, expected filter=3x4"),
        ("RELU input=2x3 inptu=4", "no attribute 'inptu'"),
        ("RELU inptu=2x3", 'did you mean "input"'),
        ("RELU input=2x3 input=3x2", "input: given twice, 2x3 and 3x2"),
        ("RELU input", "expected key=value"),
        ("RELU input=2x-3", "input=2x-3 cannot be read, expected 1x17x9x5"),
        ("RELU input=2xx3", "cannot be read"),
        ("RELU input=", "cannot be read"),
        ("RELU input=1x1x1x1x1x1x1", "cannot be read"),
        ("RELU input=2x3 dtype=float64", "dtype=float64 cannot be read"),
        ("RELU input=99999999999", "cannot be read"),
        ("RELU input=2147483647x2147483647x2", "expected sizes up to"),
        ("CONV_2D input=1x5x9 filter=3 output_channels=1", "input has 3 axes, expected 4"),
        ("CONV_2D input=1x5x9x1 filter=0x1 output_channels=1", "filter=0x1 cannot be read"),
        ("CONV_2D input=1x5x9x1 filter=3 stride=0 output_channels=1", "stride=0 cannot be read"),
        ("CONV_2D input=1x5x9x1 filter=3 padding=FULL output_channels=1", "padding=FULL"),
        ("MAX_POOL_2D input=1x2x9x1 filter=3x2 padding=VALID", "the filter reaches over 3 of 2"),
        ("ADD input1=2x3 input2=2x4", "expected shapes that broadcast"),
        ("PRELU input1=1x3 input2=2x3", "which is alpha"),
        ("RESHAPE input=2x3 shape=7", "expected as many"),
        ("CONCATENATION inputs=2x3,3x3 axis=1", "alike but for axis 1"),
        ("CONCATENATION inputs=2x3 axis=2", "axis is 2, expected 0 to 1"),
        ("SPLIT input=2x3 axis=1 count=2", "does not go into 2 equal"),
        ("SPLIT input=2x3 axis=1 count=0", "equal parts"),
        ("PACK input=2x3 count=0", "count is 0"),
        ("UNPACK input=0x3", "axis 0 has 0 elements"),
        ("PAD input=2x3 paddings=1,1", "paddings has 2 numbers, expected 4"),
        ("PAD input=2x3 paddings=1,1,-1,0", "expected none below 0"),
        ("MIRROR_PAD input=2x3 paddings=2,0,0,0", "expected at most 1 with mode=REFLECT"),
        ("SLICE input=2x3 begin=1,1 size=2,1", "expected a part of it"),
        ("STRIDED_SLICE input=3 begin=0 end=3 strides=0", "stride of axis 0 is 0"),
        ("TRANSPOSE input=2x3 perm=0,0", "perm"),
        ("SPACE_TO_DEPTH input=1x3x4x1 block_size=2", "does not go into blocks of 2"),
        ("SPACE_TO_DEPTH input=1x3x4x1 block_size=0", "block"),
        ("DEPTH_TO_SPACE input=1x3x4x3 block_size=2", "do not go into blocks of 2x2"),
        ("MEAN input=2x3 axes=2", "expected axes from 0 to 1"),
        ("MEAN input=2x3 axes=1,0", "rising"),
        ("RESIZE_BILINEAR input=1x0x3x1 size=2x2", "0x3 to 2x2"),
        (
            "RESIZE_BILINEAR input=1x2x3x1 size=2x2 align_corners=1 half_pixel_centers=1",
            "expected one at most",
        ),
        ("FULLY_CONNECTED input=scalar output_channels=2", "input is a scalar"),
        ("BATCH_MATMUL input1=2x3 input2=2x3", "would sum over 3 and 2"),
        ("TRANSPOSE_CONV input=1x2x3x1 filter=3 padding=1,1,1,1 output_channels=1", "explicit"),
        ("TRANSPOSE_CONV input=1x2147483647x3x1 filter=9 stride=9 output_channels=1", "sizes up"),
        ("RELU input=2x3 --order sideways", "no loop order 'sideways', expected reference"),
        ("CONV_2D input=1x5x9x1 filter=3 output_channels=1 --order x", "reference, two-columns"),
        ("RELU input=2x3 --method paper", "the paper has no bound for it"),
        (
            "CONV_2D input=1x5x9x1 filter=3 output_channels=1 --order two-columns --method paper",
            "the paper's bound is for the order reference",
        ),
        ("RELU input=2x3 --method guess", "invalid choice: 'guess'"),
        ("RELU input=1000000x1000 --method algorithmic", "--method exact takes any"),
    ],
)
def test_mistakes(words: str, said: str, capsys: Capture) -> None:
    assert said in fails(words.split(), capsys)


@pytest.mark.parametrize("operator", OPERATORS)
def test_each_attribute_that_must_be_given_is_asked_for(operator: str, capsys: Capture) -> None:
    found = OPERATORS[operator]
    words = found.example.split()
    for attribute in found.attributes:
        left = [word for word in words if not word.startswith(f"{attribute.name}=")]
        if attribute.default is None and left:
            assert f"{attribute.name} is missing" in fails([operator, *left], capsys)
        bad = [*left, f"{attribute.name}=?"]
        assert f"{attribute.name}=? cannot be read" in fails([operator, *bad], capsys)
