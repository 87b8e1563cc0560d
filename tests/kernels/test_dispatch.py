"""The table of docs/cortex-m.md, held against the descriptions: for which layers TensorFlow
Lite Micro calls which function of CMSIS-NN, and what scratch it requests."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.kernels.catalog import LIBRARIES, find
from diagmem.kernels.description import NotMeantError, load
from diagmem.kernels.expressions import evaluate
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.library import Library, NoKernel
from diagmem.kernels.toml_tables import read_toml
from diagmem.ops import find_operator

PAGE = Path(__file__).parents[2] / "docs" / "cortex-m.md"
CHECKOUT = Path(__file__).parent / "arm_interface"
DESCRIPTIONS = sorted(path.stem for path in LIBRARIES["cmsis-nn"].glob("*.toml"))
COLUMNS = {"": 0, "cortex-m3": 0, "cortex-m4": 1, "cortex-m7": 1, "cortex-m55": 2}
"""By target the column of its scratch: plain C, DSP, vectors."""
ROUNDS = 150


@dataclass(frozen=True)
class Row:
    operator: str
    description: str
    when: str
    function: str
    scratch: tuple[str, ...]


def rows(kind: str) -> Iterator[list[str]]:
    """The cells of one of the tables, without the head."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"<!-- the runtime's dispatch: {kind}")
    table, _, _ = rest.partition("<!-- end")
    lines = [line for line in table.splitlines() if line.startswith("|")]
    for line in lines[2:]:
        yield [cell.strip().strip("`") for cell in line.strip("|").split(" | ")]


TABLE = [
    Row(operator, description, when, function, tuple(scratch))
    for operator, description, when, function, *scratch in rows("described")
]


def words(operator: str, chance: random.Random) -> dict[str, str]:
    """A layer, and what else the runtime looks at."""
    found: dict[str, object] = {"batches": chance.choice([1, 1, 2])}
    if operator == "FULLY_CONNECTED":
        found |= {"output_rank": chance.randint(2, 4), "depth": chance.randint(1, 12)}
        found |= {"outputs": chance.randint(1, 9)}
        found |= {k: chance.choice(["true", "false"]) for k in ("per_channel", "constant_weights")}
        found |= {"optimized_for": chance.choice(["speed", "size"])}
    elif operator == "SOFTMAX":
        found = {"rows": chance.randint(1, 5), "depth": chance.randint(1, 9)}
    elif operator == "ADD":
        found = {f"{letter}{axis}": chance.choice([1, 2]) for letter in "ab" for axis in range(5)}
    else:
        found |= {"in_h": chance.choice([1, 6]), "in_w": chance.randint(5, 12)}
        found |= {"in_c": chance.choice([1, 3, 4, 8]), "filter_h": chance.choice([1, 1, 3])}
        found |= {"filter_w": chance.choice([1, 3, 4]), "stride_w": chance.choice([1, 2, 4])}
        found |= {"padding": "SAME"}
        if operator.endswith("CONV_2D"):
            found |= {"dilation_h": chance.choice([1, 2]), "dilation_w": chance.choice([1, 1, 2])}
        if operator == "DEPTHWISE_CONV_2D":
            found |= {"multiplier": chance.choice([1, 1, 2])}
    if operator in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        found |= {"weights_dtype": chance.choice(["int8", "int8", "int4"])}
        found |= {"bias_dtype": chance.choice(["int32", ""])}
    return {key: str(value) for key, value in found.items()}


def described(name: str, layer: dict[str, str], target: str = "") -> Kernel | None:
    """The kernel, unless it is not meant for the layer."""
    known = read_toml(find(name))["parameters"]
    given = {"checkout": str(CHECKOUT), "target": target, **layer}
    try:
        return load(find(name), {key: value for key, value in given.items() if key in known})
    except NotMeantError:
        return None


def test_every_description_has_its_row() -> None:
    assert sorted(row.description for row in TABLE) == DESCRIPTIONS


def test_what_has_no_description_is_listed_and_has_none() -> None:
    described = {row.operator for row in TABLE}
    others = {name.strip(" `") for cells in rows("not described") for name in cells[0].split(",")}
    assert others >= {*described, "MUL", "PAD", "BATCH_MATMUL", "TRANSPOSE_CONV", "SVDF", "any"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.description)
def test_the_row_says_what_the_description_says(row: Row) -> None:
    items = read_toml(find(row.description))
    assert items["operator"] == row.operator
    assert items.get("when", "always") == row.when
    kernel = described(row.description, {})
    assert kernel is not None
    assert kernel.function == row.function
    assert {b.dtype.name for b in kernel.buffers if b.role.value in ("input", "output")} == {"int8"}


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.description)
def test_the_scratch_is_what_the_row_says(row: Row) -> None:
    chance, seen = random.Random(row.description), set()
    for _ in range(ROUNDS):
        layer, target = words(row.operator, chance), chance.choice(list(COLUMNS))
        kernel = described(row.description, layer, target)
        if kernel is not None:
            expected = evaluate(row.scratch[COLUMNS[target]], kernel.parameters.__getitem__)
            assert sum(kernel.requests) == expected, (layer, target)
            seen.add(expected)
    assert len(seen) > (len(set(row.scratch)) > 1)


@pytest.mark.parametrize("operator", sorted({row.operator for row in TABLE}))
def test_no_layer_has_two_functions(operator: str) -> None:
    names = [row.description for row in TABLE if row.operator == operator]
    chance, served = random.Random(operator), 0
    for _ in range(ROUNDS):
        layer, target = words(operator, chance), chance.choice(list(COLUMNS))
        meant = [name for name in names if described(name, layer, target)]
        assert len(meant) <= 1, layer
        assert not (meant and layer.get("weights_dtype") == "int4")
        served += len(meant)
    assert served > ROUNDS / 100


@pytest.mark.parametrize(
    ("shape", "facts", "function"),
    [
        ((1, 40, 32), {}, "arm_convolve_1x1_s8_fast"),
        ((1, 1, 40, 32), {"per_channel": "true"}, "arm_convolve_1x1_s8_fast"),
        ((40, 32), {}, "arm_fully_connected_wrapper_s8"),
        ((40, 32), {"per_channel": "true"}, "arm_fully_connected_wrapper_s8"),
        ((1, 40, 30), {}, "arm_fully_connected_wrapper_s8"),
        ((1, 40, 32), {"output_rank": "2"}, "arm_fully_connected_wrapper_s8"),
    ],
)
def test_a_fully_connected_layer_of_three_axes_is_a_convolution(
    shape: tuple[int, ...], facts: dict[str, str], function: str
) -> None:
    """As the operator's ranks say, and where nobody tells them the layer's."""
    layer = find_operator("FULLY_CONNECTED").of(
        {"dtype": "int8", "input": shape, "output_channels": 8}
    )
    kernel = Library("cmsis-nn", {"checkout": str(CHECKOUT)}).kernel(layer, facts)
    assert isinstance(kernel, Kernel)
    assert kernel.function == function
    per_channel = facts.get("per_channel") == "true"
    assert sum(kernel.requests) == (64 if "1x1" in function and not per_channel else 0)


def test_nobody_else_picks_the_function() -> None:
    """What is measured of a network is what the runtime calls."""
    words = {"checkout": str(CHECKOUT), "function": "arm_convolve_s8"}
    with pytest.raises(DiagmemError, match="for a network the runtime picks it"):
        Library("cmsis-nn", words)


def test_what_no_row_covers_has_no_kernel_and_a_reason() -> None:
    library = Library("cmsis-nn", {"checkout": str(CHECKOUT)})
    layer = find_operator("FULLY_CONNECTED").of(
        {"dtype": "int8", "input": (2, 8), "output_channels": 4}
    )
    found = library.kernel(layer, {"weights_dtype": "int4"})
    assert isinstance(found, NoKernel)
    assert "is for layers where weights_dtype == 'int8' and output_rank > 2" in found.reason
    single = find_operator("DEPTHWISE_CONV_2D").of(
        {"dtype": "int8", "input": (1, 1, 9, 1), "filter": (1, 3), "depth_multiplier": 4}
    )
    assert isinstance(library.kernel(single, {"target": "cortex-m4"}), Kernel)
    found = library.kernel(single, {"target": "cortex-m55"})
    assert isinstance(found, NoKernel)
    assert "not unset_stride" in found.reason
