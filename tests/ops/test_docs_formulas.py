"""``docs/formulas.md`` and ``docs/add-an-operator.md``: what they state holds.

The functions mirror the page's formulas, in elements (bytes where it says so), and
are held against the closed form on random layers.  Every console block is run.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import floor, prod
from pathlib import Path
from random import Random

import pytest

from diagmem.cli.main import main
from diagmem.ops import OPERATORS
from diagmem.ops.answer import answer
from diagmem.ops.draw import Draw
from diagmem.ops.elementwise import BINARY, CONVERSIONS, UNARY
from diagmem.ops.layer import Layer, Value
from diagmem.ops.moving import taken
from diagmem.ops.paper import bound, raw
from diagmem.ops.reducing import takes_pictures
from diagmem.ops.windows import geometry
from diagmem.record.tool import Tool

DOCS = Path(__file__).parents[2] / "docs"
PAGES = ("formulas.md", "add-an-operator.md")
SAMPLE = 200

Formula = Callable[[Layer], list[int] | None]
"""D of each input with each output, in elements; None where the page states nothing."""


# ---- windows ----


@dataclass(frozen=True, slots=True)
class Along:
    """One axis of a window: the first tap inside of the map for each output."""

    first: tuple[tuple[int, int], ...]
    """(output, first input read), of the windows that meet the map."""

    @classmethod
    def of(cls, layer: Layer, along: int) -> Along:
        given = layer.attributes
        outputs, before = geometry(layer.operator, given, along)
        extent = layer.inputs[0].shape[1 + along]
        stride, taps = number(given["stride"], along), number(given["filter"], along)
        dilation = number(given["dilation"], along) if "dilation" in given else 1
        found = []
        for x in range(outputs):
            start = x * stride - before
            inside = [p for p in range(start, start + taps * dilation, dilation) if p >= 0]
            if inside and inside[0] < extent:
                found.append((x, inside[0]))
        return cls(tuple(found))

    def most(self, written: int, read: int) -> int:
        """The largest of x * written - u(x) * read."""
        return max(x * written - u * read for x, u in self.first)


def number(value: Value, at: int) -> int:
    assert isinstance(value, tuple)
    found = value[at]
    assert isinstance(found, int)
    return found


def window(layer: Layer) -> list[int] | None:
    """Convolutions and pools: the constant, and the most of each axis."""
    batches, in_h, in_w, in_c = layer.inputs[0].shape
    _, out_h, out_w, out_c = layer.outputs[0].shape
    rows, columns = Along.of(layer, 0), Along.of(layer, 1)
    if not rows.first or not columns.first:
        return [0]
    constant = {"CONV_2D": out_c - 1, "DEPTHWISE_CONV_2D": out_c - in_c}.get(layer.operator, 0)
    return [
        max(
            0,
            constant
            + (batches - 1) * max(0, out_h * out_w * out_c - in_h * in_w * in_c)
            + rows.most(out_w * out_c, in_w * in_c)
            + columns.most(out_c, in_c),
        )
    ]


def three_places(layer: Layer, along: int, written: int, read: int) -> int:
    """`Along.most` without dilation: before the padding ends, where it does, at the end."""
    outputs, before = geometry(layer.operator, layer.attributes, along)
    extent, stride = layer.inputs[0].shape[1 + along], number(layer.attributes["stride"], along)
    taps = number(layer.attributes["filter"], along)
    front = max(0, -((taps - 1 - before) // stride))
    last = min(outputs - 1, (extent - 1 + before) // stride)
    whole = -(-before // stride)
    places = {min(max(x, front), last) for x in (whole - 1, whole, last)}
    return max(x * written - max(0, x * stride - before) * read for x in places)


def transpose_conv(layer: Layer) -> list[int]:
    return [layer.outputs[0].elements if layer.outputs[0].dtype == "float32" else 0]


# ---- all others ----


def in_place(layer: Layer) -> list[int]:
    return [0] * (len(layer.inputs) * len(layer.outputs))


def whole(layer: Layer) -> list[int]:
    return [layer.outputs[0].elements]


def broadcast(layer: Layer) -> list[int]:
    return [layer.outputs[0].elements - tensor.elements for tensor in layer.inputs]


def fully_connected(layer: Layer) -> list[int]:
    rows, depth = prod(layer.inputs[0].shape[:-1]), layer.inputs[0].shape[-1]
    channels = layer.outputs[0].shape[-1]
    return [channels - 1 + (rows - 1) * max(0, channels - depth)]


def batch_matmul(layer: Layer) -> list[int] | None:
    left, right = (tensor.shape for tensor in layer.inputs)
    if prod(left[:-2]) != prod(right[:-2]):
        return None
    batches = prod(left[:-2])
    m, n = layer.outputs[0].shape[-2:]
    turned = bool(layer.attributes["adj_x"])
    k = left[-2] if turned else left[-1]
    first = n - 1 + (batches * m - 1) * max(0, n - k)
    if turned:
        first = m * (n - 1) + (batches - 1) * m * max(0, n - k)
    second = (m - 1) * n + (batches - 1) * n * max(0, m - k)
    return [first, second]


def concatenation(layer: Layer) -> list[int]:
    at = layer.attributes["axis"]
    assert isinstance(at, int)
    outer, total = prod(layer.outputs[0].shape[:at]), prod(layer.outputs[0].shape[at:])
    found, start = [], 0
    for tensor in layer.inputs:
        part = prod(tensor.shape[at:])
        found.append(start + part + (outer - 1) * (total - part))
        start += part
    return found


def split_up(layer: Layer) -> tuple[int, int, int]:
    """Outer extent, number of parts, inner run."""
    at = layer.attributes["axis"]
    assert isinstance(at, int)
    part = (layer.inputs if layer.operator == "PACK" else layer.outputs)[0]
    count = max(len(layer.inputs), len(layer.outputs))
    return prod(part.shape[:at]), count, prod(part.shape[at:])


def pack(layer: Layer) -> list[int]:
    outer, count, inner = split_up(layer)
    first = max(0, (outer - (2 if inner == 1 else 1)) * inner * (count - 1))
    return [first] + [(outer - 1) * count * inner + i * inner for i in range(1, count)]


def unpack(layer: Layer) -> list[int]:
    outer, count, inner = split_up(layer)
    return [inner * max(0, outer - i - 1) if i < count - 1 else 0 for i in range(count)]


def pad(layer: Layer) -> list[int]:
    """The padding that lies before the last element of the input."""
    around = layer.attributes["paddings"]
    last = 0
    for i, (extent, size) in enumerate(
        zip(layer.inputs[0].shape, layer.outputs[0].shape, strict=True)
    ):
        last = last * size + number(around, 2 * i) + extent - 1
    return [last + 1 - layer.inputs[0].elements]


def strided_slice(layer: Layer) -> list[int] | None:
    ranges = [taken(layer.operator, layer.attributes, i) for i in range(len(layer.inputs[0].shape))]
    if any(r.step < 0 for r in ranges):
        return None
    if ranges[-1].step > 1:
        return [0]
    first = 0
    for extent, taking in zip(layer.inputs[0].shape, ranges, strict=True):
        first = first * extent + taking.start
    return [max(0, len(ranges[-1]) - first)]


def transpose(layer: Layer) -> list[int] | None:
    if layer.attributes["perm"] != (1, 0):
        return None
    height, width = layer.inputs[0].shape
    return [(height - 1) * (width - 1)]


def blocks(layer: Layer) -> list[int]:
    size = layer.attributes["block_size"]
    assert isinstance(size, int)
    deep = layer.operator == "SPACE_TO_DEPTH"
    flat = (layer.inputs if deep else layer.outputs)[0].shape
    return [size * (size - 1) * flat[3] * (flat[2] // size - 1)]


def mean(layer: Layer) -> list[int]:
    return [0] if takes_pictures(layer) else whole(layer)


FORMULAS: dict[str, Formula] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "AVERAGE_POOL_2D", "MAX_POOL_2D"), window),
    "TRANSPOSE_CONV": transpose_conv,
    **dict.fromkeys(UNARY, in_place),
    **dict.fromkeys(BINARY, broadcast),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX", "L2_NORMALIZATION"), in_place),
    "FULLY_CONNECTED": fully_connected,
    "BATCH_MATMUL": batch_matmul,
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), whole),
    "CONCATENATION": concatenation,
    "PACK": pack,
    "UNPACK": unpack,
    "SPLIT": in_place,
    "PAD": pad,
    "SLICE": in_place,
    "STRIDED_SLICE": strided_slice,
    "TRANSPOSE": transpose,
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), blocks),
    "MEAN": mean,
    **dict.fromkeys(("SUM", "REDUCE_MAX"), whole),
}
ELSEWHERE = {"MIRROR_PAD", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", *CONVERSIONS}
"""Two have no simple formula, the others one for some layers, or in bytes: see below."""


def layers(operator: str, cases: int) -> list[Layer]:
    """Random layers without empty tensors."""
    found = OPERATORS[operator]
    drawn = (found.of(found.draw(Draw(f"page/{operator}/{i}"))) for i in range(3 * cases))
    full = [layer for layer in drawn if all(t.elements for t in (*layer.inputs, *layer.outputs))]
    return full[:cases]


def displacements(layer: Layer) -> list[int]:
    """By the closed form, in bytes."""
    return [pair.min_displacement_bytes for pair in answer(layer).pairs]


def test_every_operator_is_spoken_of() -> None:
    assert set(FORMULAS) | ELSEWHERE == set(OPERATORS)
    page = (DOCS / "formulas.md").read_text(encoding="utf-8")
    assert [name for name in OPERATORS if f"`{name}`" not in page] == []


@pytest.mark.parametrize("operator", FORMULAS)
def test_formula(operator: str) -> None:
    tried = 0
    for layer in layers(operator, SAMPLE):
        stated = FORMULAS[operator](layer)
        if stated is None:
            continue
        tried += 1
        size = layer.outputs[0].element_bytes
        assert displacements(layer) == [elements * size for elements in stated], layer
    assert tried >= 10


def test_nearest_by_powers_of_two() -> None:
    operator = OPERATORS["RESIZE_NEAREST_NEIGHBOR"]
    for seed in range(SAMPLE):
        draw = Draw(f"nearest/{seed}")
        batches, height, width, channels = draw.picture()
        size = height * draw.one_of((1, 2, 4)), width * draw.one_of((1, 2, 8))
        picture = (batches, height, width, channels)
        layer = operator.of({"dtype": "int8", "input": picture, "size": size})
        more = layer.outputs[0].elements - layer.inputs[0].elements
        assert displacements(layer) == [more + channels]


@pytest.mark.parametrize("operator", CONVERSIONS)
def test_conversions_in_bytes(operator: str) -> None:
    for layer in layers(operator, SAMPLE):
        a, b = layer.inputs[0].element_bytes, layer.outputs[0].element_bytes
        assert displacements(layer) == [max(0, b - a) * (layer.inputs[0].elements - 1)]


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"])
def test_three_places_are_enough(operator: str) -> None:
    for layer in layers(operator, 400):
        if layer.attributes.get("dilation", (1, 1)) != (1, 1):
            continue
        for along in (0, 1):
            axis = Along.of(layer, along)
            if axis.first:
                for written, read in ((7, 3), (3, 7), (5, 5)):
                    assert three_places(layer, along, written, read) == axis.most(written, read)


def test_a_wrong_formula_is_seen() -> None:
    """That of a pool, for convolutions."""
    seen = [
        displacements(layer)
        == window(Layer("MAX_POOL_2D", layer.attributes, layer.inputs, layer.outputs))
        for layer in layers("CONV_2D", 100)
        if layer.outputs[0].element_bytes == 1
    ]
    assert 0 < seen.count(False) < len(seen), "it holds for one output channel"


# ---- the paper's bound ----


@dataclass(slots=True)
class Tally:
    """Layers inside and outside of the bound's region, and what it said of them."""

    inside: int = 0
    unsafe_inside: int = 0
    equal_inside: int = 0
    outside: int = 0
    unsafe_outside: int = 0
    given_away: Fraction = Fraction(0)
    """Overlap that it misses inside, each as a part of the output, summed up."""


def pictures(operator: str, cases: int) -> list[Layer]:
    """Windows over one picture, of 1 to 40 rows and columns."""
    random, found = Random(f"paper/{operator}"), OPERATORS[operator]
    made = []
    for _ in range(cases):
        height, width, channels, more = (random.randint(1, most) for most in (40, 40, 8, 8))
        taps = random.randint(1, min(7, height)), random.randint(1, min(7, width))
        given: dict[str, Value] = {
            "input": (1, height, width, channels),
            "filter": taps,
            "stride": (random.randint(1, 4), random.randint(1, 4)),
            "padding": random.choice(["SAME", "VALID"]),
            "dtype": "int8",
        }
        if operator == "CONV_2D":
            given["output_channels"] = more
        if operator == "DEPTHWISE_CONV_2D":
            given["depth_multiplier"] = random.randint(1, 2)
        made.append(found.of(given))
    return made


def tally(operator: str, cases: int) -> Tally:
    """The published O_s, rounded down and clamped, against the exact one."""
    found = Tally()
    for layer in pictures(operator, cases):
        source, target = layer.inputs[0].elements, layer.outputs[0].elements
        published = min(max(floor(raw(layer)), 0), source, target)
        (needed,) = window(layer) or [0]
        safe = min(max(target - needed, 0), source)
        mended = bound(layer)
        assert mended is not None
        if mended.refused:
            found.outside += 1
            found.unsafe_outside += published > safe
        else:
            found.inside += 1
            found.unsafe_inside += published > safe
            found.equal_inside += published == safe
            found.given_away += Fraction(safe - published, target)
    return found


PAPER_CASES = 5000


@pytest.mark.parametrize("operator", ["CONV_2D", "DEPTHWISE_CONV_2D", "MAX_POOL_2D"])
def test_the_papers_bound_as_the_page_tells_it(operator: str) -> None:
    found = tally(operator, PAPER_CASES)
    assert found.unsafe_inside == 0
    mean = float(100 * found.given_away / found.inside)
    row = (
        f"| `{operator}` | {found.inside:,} | {found.unsafe_inside} | {found.equal_inside:,} |"
        f" {mean:.1f} % | {found.outside:,} | {found.unsafe_outside:,} |"
    )
    assert row in (DOCS / "formulas.md").read_text(encoding="utf-8")


def test_the_papers_bound_on_two_layers() -> None:
    beyond = OPERATORS["CONV_2D"].layer(
        {"input": "1x5x9x3", "filter": "4x1", "stride": "1x4", "padding": "VALID"}
        | {"output_channels": "3", "dtype": "int8"}
    )
    assert raw(beyond) == Fraction(52, 3)
    large = OPERATORS["DEPTHWISE_CONV_2D"].layer(
        {"input": "1x112x112x32", "filter": "3x3", "stride": "2x2"}
    )
    published = bound(large)
    assert published is not None
    assert published.min_displacement_bytes == 3616
    assert displacements(large) == [0]
    assert published.output_bytes == 401_408


# ---- console blocks ----


def sessions(page: str) -> list[tuple[str, str]]:
    """Commands and what the page says they print."""
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [
        (command, shown)
        for block in blocks
        for command, shown in re.findall(
            r"^\$ ([^\n]*)\n(.*?)(?=^\$ |\Z)", block, re.DOTALL | re.MULTILINE
        )
    ]


@pytest.mark.parametrize(("command", "shown"), [s for page in PAGES for s in sessions(page)])
def test_console_block(command: str, shown: str, valgrind_tool: Tool) -> None:
    """``check`` traces, so the tool is needed."""
    program, *words = shlex.split(command)
    assert program == "diagmem"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        assert main(words) == 0
    assert printed.getvalue() == shown


def test_two_columns_never_ask_for_more() -> None:
    for layer in layers("CONV_2D", SAMPLE):
        other = answer(layer, order="two-columns")
        assert other.min_displacement_bytes <= answer(layer).min_displacement_bytes


def test_the_example_operator(capsys: pytest.CaptureFixture[str]) -> None:
    page = (DOCS / "add-an-operator.md").read_text(encoding="utf-8")
    [block] = re.findall(r"^ *```python\n(.*?)^ *```$", page, re.DOTALL | re.MULTILINE)
    exec(compile(textwrap.dedent(block), "add-an-operator.md", "exec"), {})
    printed = capsys.readouterr().out.strip()
    assert printed.startswith("10 Limit(")
    assert f"`{printed}`" in page


def test_pages_have_console_blocks() -> None:
    assert all(len(sessions(page)) >= 3 for page in PAGES)
