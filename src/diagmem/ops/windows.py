"""Operators that slide a window over a picture: convolutions and pools.

Pictures are [batches, height, width, channels].  The window of output (y, x)
begins at input (y * stride - before, x * stride - before), the padding in front;
what lies outside is skipped.
"""

from __future__ import annotations

from diagmem.base.errors import DiagmemError
from diagmem.ops.attributes import INPUT, TYPE, TYPES, Attribute
from diagmem.ops.draw import Draw
from diagmem.ops.layer import Layer, Value
from diagmem.ops.nest import (
    Access,
    Nest,
    Node,
    Piece,
    axis,
    axis_in_pieces,
    loop,
    loops,
    over_output,
    read,
    write,
)
from diagmem.ops.operator import Given, Operator, need_rank, one_to_one

_PICTURE = (
    TYPE,
    INPUT,
    Attribute("filter", "pair"),
    Attribute("stride", "pair", (1, 1)),
    Attribute("padding", "padding", "SAME"),
)
_DILATION = Attribute("dilation", "pair", (1, 1))


def geometry(name: str, given: Given, along: int) -> tuple[int, int]:
    """Output extent and padding in front, along height (0) or width (1)."""
    extent, stride = given["input"][1 + along], given["stride"][along]
    dilation = given.get("dilation", (1, 1))[along]
    reach = (given["filter"][along] - 1) * dilation + 1
    padding = given["padding"]
    if padding == "SAME":
        out = -(-extent // stride)
        return out, max((out - 1) * stride + reach - extent, 0) // 2
    before, after = (0, 0) if padding == "VALID" else padding[2 * along : 2 * along + 2]
    left = before + extent + after - reach
    if left < 0:
        side = ("height", "width")[along]
        raise DiagmemError(
            f"{name}: the filter reaches over {reach} of {before + extent + after} in {side},"
            f" expected an output with padding={padding}"
        )
    return left // stride + 1, before


def _picture(name: str, given: Given, channels: int) -> tuple[int, ...]:
    height, width = (geometry(name, given, along)[0] for along in (0, 1))
    return given["input"][0], height, width, channels


def _convolved(name: str, given: Given) -> tuple[int, ...]:
    need_rank(name, "input", given["input"], 4)
    return _picture(name, given, given["output_channels"])


def _in_depth(name: str, given: Given) -> tuple[int, ...]:
    need_rank(name, "input", given["input"], 4)
    return _picture(name, given, given["input"][3] * given["depth_multiplier"])


def _pooled(name: str, given: Given) -> tuple[int, ...]:
    need_rank(name, "input", given["input"], 4)
    return _picture(name, given, given["input"][3])


def _read_window(layer: Layer, first: str, *, start: int = 0, **moves: int) -> Access:
    """A read of input [b, window row, window column, channel].

    Loops y, fy and fx move it; ``moves`` are the loops over output columns and how
    many columns each step is, ``start`` the first of them.
    """
    given = layer.attributes
    batches, height, width, channels = layer.inputs[0].shape
    stride, dilation = _numbers(given["stride"]), _numbers(given.get("dilation", (1, 1)))
    top, left = (geometry(layer.operator, given, along)[1] for along in (0, 1))
    columns = {name: step * stride[1] for name, step in moves.items()}
    return read(
        "input",
        axis(batches, "b"),
        axis(height, start=-top, y=stride[0], fy=dilation[0]),
        axis(width, start=start * stride[1] - left, **columns, fx=dilation[1]),
        axis(channels, first),
    )


def _numbers(value: Value) -> tuple[int, ...]:
    assert isinstance(value, tuple)
    return tuple(number for number in value if isinstance(number, int))


def _taps(layer: Layer) -> dict[str, int]:
    height, width = _numbers(layer.attributes["filter"])
    return {"fy": height, "fx": width}


def conv_2d(layer: Layer) -> Nest:
    """b, y, x, output channel; then filter row, filter column, input channel."""
    shape = layer.outputs[0].shape
    depth = layer.inputs[0].shape[3]
    window = loops({**_taps(layer), "c": depth}, _read_window(layer, "c", x=1))
    return over_output(shape, "byxo", window)


def conv_2d_two_columns(layer: Layer) -> Nest:
    """Two columns at a time through a scratch row, as optimised int8 kernels work.

    For each pair of output columns both windows are copied to scratch memory, and
    then all output channels of both are computed from there; an odd last column
    goes alone.
    """
    batches, height, width, channels = layer.outputs[0].shape
    depth = layer.inputs[0].shape[3]
    inside = {**_taps(layer), "c": depth}
    out = axis(batches, "b"), axis(height, "y")
    body: list[Node] = [
        loop(
            "p",
            width // 2,
            loops({"j": 2, **inside}, _read_window(layer, "c", p=2, j=1)),
            loops(
                {"o": channels, "k": 2},
                write("output", *out, axis(width, p=2, k=1), axis(channels, "o")),
            ),
        )
    ]
    if width % 2:
        body += [
            loops(inside, _read_window(layer, "c", start=width - 1)),
            loop(
                "o",
                channels,
                write("output", *out, axis(width, start=width - 1), axis(channels, "o")),
            ),
        ]
    return (loop("b", batches, loop("y", height, *body)),)


def depthwise_conv_2d(layer: Layer) -> Nest:
    """b, y, x, input channel, multiplier; then the filter."""
    batches, height, width, _ = layer.outputs[0].shape
    depth = layer.inputs[0].shape[3]
    multiplier = layer.attributes["depth_multiplier"]
    assert isinstance(multiplier, int)
    shape = (batches, height, width, depth, multiplier)
    return over_output(shape, "byxcm", loops(_taps(layer), _read_window(layer, "c", x=1)))


def pool_2d(layer: Layer) -> Nest:
    """b, y, x, channel; then the filter."""
    shape = layer.outputs[0].shape
    return over_output(shape, "byxc", loops(_taps(layer), _read_window(layer, "c", x=1)))


# ---- transposed ----


def _scattered(name: str, given: Given) -> tuple[int, ...]:
    need_rank(name, "input", given["input"], 4)
    if given["padding"] not in ("SAME", "VALID"):
        raise DiagmemError(f"{name}: padding is explicit, expected SAME or VALID")
    height, width = (scatter_geometry(given, along)[0] for along in (0, 1))
    return given["input"][0], height, width, given["output_channels"]


def scatter_geometry(given: Given, along: int) -> tuple[int, int]:
    """Output extent and padding in front: those of the convolution it turns round."""
    extent, stride = given["input"][1 + along], given["stride"][along]
    taps = given["filter"][along]
    if given["padding"] == "VALID":
        return max(extent - 1, 0) * stride + taps if extent else 0, 0
    return extent * stride, max((extent - 1) * stride + taps - extent * stride, 0) // 2


def transpose_conv(layer: Layer) -> Nest:
    """float32: zeros to the whole output; then the input is scattered into it; then
    bias and activation.  int8 and int16 scatter into scratch memory, and write the
    output at the end.

    What the scatter stores in between lies in memory that is written already.
    """
    output = layer.outputs[0]
    batches, _, _, channels = layer.inputs[0].shape
    extents = {"b": batches, "y": 0, "x": 0, "c": channels}
    axes = [axis(batches, "b")]
    for along, name in enumerate(("y", "x")):
        extent = layer.inputs[0].shape[1 + along]
        stride, taps = (_numbers(layer.attributes[key])[along] for key in ("stride", "filter"))
        out, before = scatter_geometry(layer.attributes, along)
        # Read only where some tap falls inside of the output.
        first = max(0, -((taps - 1 - before) // stride))
        end = min(extent, -(-(out + before) // stride))
        extents[name] = extent
        axes.append(axis_in_pieces(extent, name, [Piece(first, max(first, end), first, 1)]))
    zeros = loop("z", output.elements, write("output", axis(output.elements, "z")))
    scatter = loops(extents, read("input", *axes, axis(channels, "c")))
    last = loop("i", output.elements, write("output", axis(output.elements, "i")))
    return (zeros, scatter, last) if output.dtype == "float32" else (scatter, last)


# ---- draws ----


def _draw(draw: Draw) -> dict[str, Value]:
    picture = draw.picture()
    filters = draw.pair(5)
    stride = draw.pair(4) if draw.chance(0.5) else (1, 1)
    padding: Value = draw.one_of(["SAME", "SAME", "VALID"])
    if padding == "VALID":
        filters = (min(filters[0], max(1, picture[1])), min(filters[1], max(1, picture[2])))
        if 0 in picture:
            padding = "SAME"
    if draw.chance(0.15):
        padding = tuple(draw.number(0, 3) for _ in range(4))
        filters = (
            min(filters[0], picture[1] + padding[0] + padding[1]) or 1,
            min(filters[1], picture[2] + padding[2] + padding[3]) or 1,
        )
        padding = padding if 0 not in picture else "SAME"
    return {
        "dtype": draw.one_of(TYPES),
        "input": picture,
        "filter": filters,
        "stride": stride,
        "padding": padding,
    }


def _dilated(draw: Draw) -> dict[str, Value]:
    drawn = _draw(draw)
    if drawn["stride"] == (1, 1) and drawn["padding"] == "SAME" and draw.chance(0.6):
        drawn["dilation"] = draw.pair(6)
    return drawn


def _draw_conv(draw: Draw) -> dict[str, Value]:
    return {**_dilated(draw), "output_channels": draw.extent(6)}


def _draw_depthwise(draw: Draw) -> dict[str, Value]:
    return {**_dilated(draw), "depth_multiplier": draw.one_of((1, 1, 2, 3))}


def _draw_scatter(draw: Draw) -> dict[str, Value]:
    drawn = {**_draw(draw), "output_channels": draw.extent(6)}
    if not isinstance(drawn["padding"], str):
        drawn["padding"] = "VALID"
    return drawn


_CONV = "input=1x17x9x5 filter=3x4 stride=2x1 dilation=1x1 padding=SAME dtype=int8"
_POOL = "input=1x17x9x5 filter=3x2 stride=2x1 padding=VALID dtype=int8"

OPERATORS = (
    Operator(
        "CONV_2D",
        f"{_CONV} output_channels=16",
        (*_PICTURE, _DILATION, Attribute("output_channels", "count")),
        one_to_one(_convolved),
        conv_2d,
        _draw_conv,
        {"two-columns": conv_2d_two_columns},
    ),
    Operator(
        "DEPTHWISE_CONV_2D",
        f"{_CONV} depth_multiplier=1",
        (*_PICTURE, _DILATION, Attribute("depth_multiplier", "count", 1)),
        one_to_one(_in_depth),
        depthwise_conv_2d,
        _draw_depthwise,
    ),
    Operator(
        "TRANSPOSE_CONV",
        "input=1x7x5x4 filter=3x4 stride=2x1 padding=SAME output_channels=6 dtype=float32",
        (*_PICTURE, Attribute("output_channels", "count")),
        one_to_one(_scattered),
        transpose_conv,
        _draw_scatter,
    ),
    *(
        Operator(name, _POOL, _PICTURE, one_to_one(_pooled), pool_2d, _draw)
        for name in ("AVERAGE_POOL_2D", "MAX_POOL_2D")
    ),
)
