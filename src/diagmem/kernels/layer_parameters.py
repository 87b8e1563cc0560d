"""The parameters of the bundled descriptions that make a kernel compute a layer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod, sqrt
from typing import Any

from diagmem.ops import elementwise
from diagmem.ops.layer import Layer
from diagmem.ops.moving import copies_rows, taken
from diagmem.ops.reducing import takes_pictures
from diagmem.ops.windows import scatter_geometry

AXES = 5
"""Axes that the kernels with axes in general have."""
MAX_PARTS = 4
"""Tensors that are joined or split."""
Parameters = dict[str, Any]


def _typed(layer: Layer) -> str:
    """How a description's name says the type."""
    return "f32" if layer.inputs[0].dtype == "float32" else "int8"


def _integers(layer: Layer, *, clamped: bool = True) -> Parameters:
    """What the integer descriptions want for int16."""
    if layer.inputs[0].dtype != "int16":
        return {}
    ends = {"activation_low": -(1 << 15), "activation_high": (1 << 15) - 1}
    return {"dtype": "int16", **(ends if clamped else {})}


def _window(layer: Layer) -> Parameters:
    given = layer.attributes
    batches, height, width, channels = layer.inputs[0].shape
    parameters: Parameters = {"batches": batches, "in_h": height, "in_w": width, "in_c": channels}
    for key, attribute in (("filter", "filter"), ("stride", "stride"), ("dilation", "dilation")):
        if attribute in given:
            parameters[f"{key}_h"], parameters[f"{key}_w"] = _sequence(given[attribute])
    padding = given["padding"]
    if isinstance(padding, str):
        return {**parameters, "padding": padding}
    sides = zip(("top", "bottom", "left", "right"), _sequence(padding), strict=True)
    return {**parameters, "padding": "EXPLICIT", **{f"pad_{side}": size for side, size in sides}}


def _sequence(value: object) -> Sequence[int]:
    assert isinstance(value, tuple)
    return value


def _conv(layer: Layer) -> tuple[str, Parameters]:
    parameters = {"out_c": layer.outputs[0].shape[3], **_window(layer), **_integers(layer)}
    return f"conv_2d_{_typed(layer)}", parameters


def _depthwise(layer: Layer) -> tuple[str, Parameters]:
    multiplier = layer.attributes["depth_multiplier"]
    parameters = {"multiplier": multiplier, **_window(layer), **_integers(layer)}
    return f"depthwise_conv_2d_{_typed(layer)}", parameters


def _pool(layer: Layer) -> tuple[str, Parameters]:
    name = f"{layer.operator.lower()}_{_typed(layer)}"
    return name, {**_window(layer), **_integers(layer)}


def _transpose_conv(layer: Layer) -> tuple[str, Parameters]:
    parameters = {key: value for key, value in _window(layer).items() if key != "padding"}
    _, parameters["out_h"], parameters["out_w"], parameters["out_c"] = layer.outputs[0].shape
    for along, axis in enumerate("hw"):
        parameters[f"pad_{axis}"] = scatter_geometry(layer.attributes, along)[1]
    dtype = layer.inputs[0].dtype
    if dtype == "float32":
        return "transpose_conv_float32", parameters
    # Each output is a sum over the taps that meet it.
    terms = layer.inputs[0].shape[3] * max(
        1,
        prod(_sequence(layer.attributes["filter"])) // prod(_sequence(layer.attributes["stride"])),
    )
    scale = 0.003 / sqrt(terms)
    return "transpose_conv_integer", {**parameters, "dtype": dtype, "real_scale": scale}


def _connected(layer: Layer) -> tuple[str, Parameters]:
    *rows, depth = layer.inputs[0].shape
    parameters = {"batches": prod(rows), "depth": depth, "outputs": layer.outputs[0].shape[-1]}
    return f"fully_connected_{_typed(layer)}", {**parameters, **_integers(layer)}


def _matmul(layer: Layer) -> tuple[str, Parameters]:
    left, right = (tensor.shape for tensor in layer.inputs)
    rows, columns = layer.outputs[0].shape[-2:]
    turned = layer.attributes["adj_x"], layer.attributes["adj_y"]
    inner = left[-2] if turned[0] else left[-1]
    batches = {
        f"{letter}{i}": size
        for letter, shape in (("a", left), ("b", right))
        for i, size in enumerate((1, 1, *shape[:-2])[-2:])
    }
    scale = 1.0 / sqrt(inner)
    return "batch_matmul", {
        **batches,
        "dtype": layer.inputs[0].dtype,
        "rows": rows,
        "inner": inner,
        "columns": columns,
        "adj_x": int(bool(turned[0])),
        "adj_y": int(bool(turned[1])),
        "scale": scale,
    }


def _rows(layer: Layer) -> Parameters:
    *rows, depth = layer.inputs[0].shape
    return {"rows": prod(rows), "depth": depth}


def _softmax(layer: Layer) -> tuple[str, Parameters]:
    return f"softmax_{_typed(layer)}", {**_rows(layer), **_softmax_scale(layer)}


def _softmax_scale(layer: Layer) -> Parameters:
    if layer.inputs[0].dtype != "int16":
        return {}
    return {"dtype": "int16", "input_scale": 0.01 / 256}


def _log_softmax(layer: Layer) -> tuple[str, Parameters]:
    return "log_softmax", {**_rows(layer), "dtype": layer.inputs[0].dtype, "scale": 0.25}


def _l2(layer: Layer) -> tuple[str, Parameters]:
    return "l2_normalization", {**_rows(layer), "dtype": layer.inputs[0].dtype, "scale": 1.5}


SCALES = {"ABS": 0.9, "EXP": 0.25, "RSQRT": 0.2, "MUL": 0.45, "ADD": 0.5, "SUB": 0.5}


def _unary(layer: Layer) -> tuple[str, Parameters]:
    return "unary", {
        "operator": layer.operator,
        "dtype": layer.inputs[0].dtype,
        "elements": layer.inputs[0].elements,
        "scale": SCALES.get(layer.operator, 0.9),
    }


def _convert(layer: Layer) -> tuple[str, Parameters]:
    here, there = layer.inputs[0].dtype, layer.outputs[0].dtype
    ranges = {"float32": 1.0, "int8": 120.0, "int16": 30000.0}
    return "convert", {
        "operator": layer.operator,
        "dtype": here,
        "output_dtype": there,
        "elements": layer.inputs[0].elements,
        "scale": 0.9 * ranges[there] / ranges[here],
    }


def _axes(letter: str, shape: Sequence[int], filler: int = 1) -> Parameters:
    """A value for each of the kernel's axes: those in front are not there."""
    padded = [filler] * (AXES - len(shape)) + list(shape)
    return {f"{letter}{i}": size for i, size in enumerate(padded)}


def _binary(layer: Layer) -> tuple[str, Parameters]:
    return "binary", {
        "operator": layer.operator,
        "dtype": layer.inputs[0].dtype,
        **_axes("a", layer.inputs[0].shape),
        **_axes("b", layer.inputs[1].shape),
        "scale": SCALES.get(layer.operator, 0.9),
    }


def _reshape(layer: Layer) -> tuple[str, Parameters]:
    tensor = layer.inputs[0]
    return "reshape", {
        "operator": layer.operator,
        "dtype": tensor.dtype,
        "elements": tensor.elements,
        "bytes": tensor.size_bytes,
    }


def _concatenation(layer: Layer) -> tuple[str, Parameters]:
    at = layer.attributes["axis"]
    assert isinstance(at, int)
    inner = [prod(tensor.shape[at:]) for tensor in layer.inputs]
    inner += [0] * (MAX_PARTS - len(inner))
    return "concatenation", {
        "dtype": layer.inputs[0].dtype,
        "element_bytes": layer.inputs[0].element_bytes,
        "outer": prod(layer.outputs[0].shape[:at]),
        **{f"inner{i}": size for i, size in enumerate(inner, 1)},
    }


def _parts(layer: Layer) -> tuple[str, Parameters]:
    at = layer.attributes["axis"]
    assert isinstance(at, int)
    parts = layer.inputs if layer.operator == "PACK" else layer.outputs
    return layer.operator.lower(), {
        "dtype": parts[0].dtype,
        "count": len(parts),
        "outer": prod(parts[0].shape[:at]),
        "inner": prod(parts[0].shape[at:]),
    }


def _pad(layer: Layer) -> tuple[str, Parameters]:
    around = _sequence(layer.attributes["paddings"])
    parameters = {
        "dtype": layer.inputs[0].dtype,
        **_axes("a", layer.inputs[0].shape),
        **_axes("before", around[::2], 0),
        **_axes("after", around[1::2], 0),
    }
    if layer.operator == "MIRROR_PAD":
        parameters["edge"] = int(layer.attributes["mode"] == "REFLECT")
    return layer.operator.lower(), parameters


def _slice(layer: Layer) -> tuple[str, Parameters]:
    shape = layer.inputs[0].shape
    if layer.operator == "SLICE":
        begin, steps = _sequence(layer.attributes["begin"]), [1] * len(shape)
    else:
        ranges = [taken(layer.operator, layer.attributes, i) for i in range(len(shape))]
        begin, steps = [r.start for r in ranges], [r.step for r in ranges]
    return "strided_slice", {
        "operator": layer.operator,
        "dtype": layer.inputs[0].dtype,
        **_axes("a", shape),
        **_axes("begin", begin, 0),
        **_axes("size", layer.outputs[0].shape),
        **_axes("stride", steps),
        "copies_rows": int(copies_rows(layer)),
    }


def _transpose(layer: Layer) -> tuple[str, Parameters]:
    perm = _sequence(layer.attributes["perm"])
    front = AXES - len(perm)
    order = [*range(front), *(front + p for p in perm)]
    return "transpose", {
        "dtype": layer.inputs[0].dtype,
        **_axes("a", layer.inputs[0].shape),
        **_axes("perm", order),
    }


def _blocks(layer: Layer) -> tuple[str, Parameters]:
    deep = layer.operator == "SPACE_TO_DEPTH"
    picture = (layer.inputs if deep else layer.outputs)[0].shape
    names = ("batches", "height", "width", "depth")
    return layer.operator.lower(), {
        "dtype": layer.inputs[0].dtype,
        **dict(zip(names, picture, strict=True)),
        "block_size": layer.attributes["block_size"],
    }


def _reduction(layer: Layer) -> Parameters:
    shape, axes = layer.inputs[0].shape, _sequence(layer.attributes["axes"])
    each = prod(shape[a] for a in axes)
    return {
        "each": each,
        **_axes("a", shape),
        **_axes("reduced", [int(i in axes) for i in range(len(shape))], 0),
    }


def _reduce(layer: Layer) -> tuple[str, Parameters]:
    dtype = layer.inputs[0].dtype
    shape = layer.inputs[0].shape
    if takes_pictures(layer):
        names = ("batches", "height", "width", "channels")
        parameters = dict(zip(names, shape, strict=True))
        # The mean of many is near 0.
        scale = min(sqrt(shape[1] * shape[2]), 20.0) * 0.5
        return "mean", {**parameters, "scale": scale}
    if layer.operator == "REDUCE_MAX":
        return "reduce_max", {**_reduction(layer), "dtype": dtype}
    if layer.operator == "SUM" and dtype == "float32":
        return "sum_float32", _reduction(layer)
    parameters = _reduction(layer)
    scale = min(sqrt(parameters["each"]), 20.0) * 0.125
    return "reduce_by_scratch", {
        **parameters,
        "operator": layer.operator,
        "dtype": dtype,
        "scale": scale,
    }


def _resize(layer: Layer) -> tuple[str, Parameters]:
    batches, in_h, in_w, depth = layer.inputs[0].shape
    name = "resize_nearest" if "NEAREST" in layer.operator else "resize_bilinear"
    return name, {
        "dtype": layer.inputs[0].dtype,
        "batches": batches,
        "in_h": in_h,
        "in_w": in_w,
        "depth": depth,
        "out_h": layer.outputs[0].shape[1],
        "out_w": layer.outputs[0].shape[2],
        "align_corners": int(bool(layer.attributes["align_corners"])),
        "half_pixel_centers": int(bool(layer.attributes["half_pixel_centers"])),
    }


FAMILIES: dict[str, Callable[[Layer], tuple[str, Parameters]]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _transpose_conv,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
    "FULLY_CONNECTED": _connected,
    "BATCH_MATMUL": _matmul,
    "SOFTMAX": _softmax,
    "LOG_SOFTMAX": _log_softmax,
    "L2_NORMALIZATION": _l2,
    **dict.fromkeys(elementwise.UNARY, _unary),
    **dict.fromkeys(elementwise.CONVERSIONS, _convert),
    **dict.fromkeys(elementwise.BINARY, _binary),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), _reshape),
    "CONCATENATION": _concatenation,
    **dict.fromkeys(("PACK", "UNPACK", "SPLIT"), _parts),
    **dict.fromkeys(("PAD", "MIRROR_PAD"), _pad),
    **dict.fromkeys(("SLICE", "STRIDED_SLICE"), _slice),
    "TRANSPOSE": _transpose,
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), _blocks),
    **dict.fromkeys(("MEAN", "SUM", "REDUCE_MAX"), _reduce),
    **dict.fromkeys(("RESIZE_NEAREST_NEIGHBOR", "RESIZE_BILINEAR"), _resize),
}
