"""Which description of a library computes a layer, and why another does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from diagmem.base.errors import DiagmemError
from diagmem.kernels.catalog import LIBRARIES
from diagmem.kernels.kernel import Kernel
from diagmem.kernels.library import Library, NoKernel
from diagmem.ops import OPERATORS, find_operator
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Value
from diagmem.trace.window import Role

TENSORS = (Role.INPUT, Role.OUTPUT)
CONV = """\
function = "conv"
source = "conv.c"
operator = "CONV_2D"
{when}
argument = [
  {{ name = "x", role = "input", dtype = "{dtype}", shape = ["in_h", "in_w", "in_c"] }},
  {{ name = "y", role = "output", dtype = "{dtype}", shape = ["{out_h}", "out_w", "out_c"] }},
]
[parameters]
in_h = 5
in_w = 6
in_c = 2
out_c = 3
filter_h = 1
filter_w = 1
padding = "VALID"
{more}
[derived]
out_h = "out_size(padding, in_h, filter_h, 1)"
out_w = "out_size(padding, in_w, filter_w, 1)"
"""


def write(
    folder: Path,
    name: str = "conv",
    *,
    when: str = "",
    dtype: str = "float32",
    out_h: str = "out_h",
    more: str = "",
) -> Path:
    text = CONV.format(when=when, dtype=dtype, out_h=out_h, more=more)
    (folder / f"{name}.toml").write_text(text)
    (folder / "conv.c").write_text("void conv(const void *x, void *y) {}\n")
    return folder


def layer(**attributes: Value) -> Layer:
    given: dict[str, Value] = {"input": (1, 7, 9, 4), "filter": (3, 2), "output_channels": 5}
    given["padding"] = "VALID"
    return find_operator("CONV_2D").of({**given, **attributes})


def test_the_layers_sizes_go_in(tmp_path: Path) -> None:
    kernel = Library(str(write(tmp_path))).kernel(layer())
    assert isinstance(kernel, Kernel)
    assert [buffer.shape for buffer in kernel.buffers] == [(7, 9, 4), (5, 8, 5)]
    assert (kernel.parameters["filter_h"], kernel.parameters["filter_w"]) == (3, 2)


@pytest.mark.parametrize(
    ("asked", "description", "expected"),
    [
        ({"stride": (2, 1)}, {}, "conv.toml has no parameter stride_h, which is 2 here"),
        ({"dtype": "int8"}, {}, "conv.toml has inputs 252 x float32, the layer 252 x int8"),
        ({}, {"out_h": "in_h"}, "conv.toml has outputs 280 x float32, the layer 200 x float32"),
        ({}, {"when": 'when = "filter_h == 1"'}, "conv.toml is for layers where filter_h == 1"),
        ({"input": (2, 7, 9, 4)}, {}, "conv.toml has no parameter batches, which is 2 here"),
    ],
)
def test_why_it_does_not_fit(
    tmp_path: Path, asked: dict[str, Value], description: dict[str, str], expected: str
) -> None:
    found = Library(str(write(tmp_path, **description))).kernel(layer(**asked))
    assert found == NoKernel(expected)


def test_the_first_by_name_that_fits(tmp_path: Path) -> None:
    write(tmp_path, "b")
    write(tmp_path, "a", when='when = "filter_h == 1"')
    library = Library(str(tmp_path))
    found = [library.kernel(layer(filter=size)) for size in ((3, 2), (1, 2))]
    assert [kernel.name for kernel in found if isinstance(kernel, Kernel)] == ["b", "a"]
    assert library.kernel(find_operator("RELU").of({"input": (2, 3)})) == NoKernel(
        f"{tmp_path.name} has no RELU"
    )


def test_words_of_the_command_line(tmp_path: Path) -> None:
    write(tmp_path, more='speed = "slow"')
    kernel = Library(str(tmp_path), {"speed": "fast", "flags": "-O3"}).kernel(layer())
    assert isinstance(kernel, Kernel)
    assert kernel.parameters["speed"] == "fast"
    assert kernel.code.flags == ("-O3",)
    with pytest.raises(DiagmemError, match=r"sped=: no description in .* has such a parameter"):
        Library(str(tmp_path), {"sped": "1"})
    with pytest.raises(DiagmemError, match="in_h=: no description in c has such a parameter"):
        Library("c", {"in_h": "1"})


def test_a_place_without_descriptions(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.toml").write_text('function = "a"\n')
    for name, found in (
        ("none", "no such folder"),
        ("empty", "holds no .toml file"),
        ("other", '1 without an "operator"'),
    ):
        with pytest.raises(
            DiagmemError, match=r"expected a folder of kernel .*, or c or cmsis-nn"
        ) as caught:
            Library(str(tmp_path / name))
        assert f"{name}: {found}, expected" in str(caught.value)


def test_a_broken_description_is_no_missing_kernel(tmp_path: Path) -> None:
    write(tmp_path, more="speed = [")
    with pytest.raises(DiagmemError, match=r"conv\.toml: not valid TOML"):
        Library(str(tmp_path))
    write(tmp_path, dtype="float33")
    with pytest.raises(DiagmemError, match="float33"):
        Library(str(tmp_path))


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_reference_kernels_as_a_folder_like_any_other(operator: str) -> None:
    """Their parameters' names are the words, so the folder serves what `c` serves."""
    folder = Library(str(LIBRARIES["c"]))
    bundled = Library("c")
    for number in range(3):
        found = find_operator(operator)
        one = found.of(found.draw(Draw(f"{operator}/{number}")))
        expected, kernel = bundled.kernel(one), folder.kernel(one)
        assert isinstance(kernel, Kernel) == isinstance(expected, Kernel), kernel
        if isinstance(kernel, Kernel) and isinstance(expected, Kernel):
            assert kernel.operator == operator
            assert [b.size_bytes for b in kernel.buffers if b.role in TENSORS] == [
                b.size_bytes for b in expected.buffers if b.role in TENSORS
            ]


def test_what_the_layer_says_is_not_the_command_lines(tmp_path: Path) -> None:
    library = Library(str(write(tmp_path)), {"filter_h": "1"})
    with pytest.raises(DiagmemError, match=r"filter_h=1: is for each layer to say, here CONV_2D"):
        library.kernel(layer())


@pytest.mark.parametrize("wrong", ["operator = 5", "operator = ['RELU']"])
def test_an_operator_that_is_no_word(tmp_path: Path, wrong: str) -> None:
    write(tmp_path)
    (tmp_path / "wrong.toml").write_text(f'function = "conv"\nsource = "conv.c"\n{wrong}\n')
    with pytest.raises(DiagmemError, match=r"wrong\.toml: .*operator"):
        Library(str(tmp_path))
