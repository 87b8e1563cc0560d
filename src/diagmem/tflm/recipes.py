"""What each operator takes besides its activations: constants and options."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

from diagmem.base.errors import DiagmemError
from diagmem.ops.layer import Layer
from diagmem.tflm.inputs import generator
from diagmem.tflm.quantisation import (
    LEVELS,
    Quantisation,
    accumulator_spread,
    activation_quantisations,
    weight_scale,
)

LEAKY_SLOPE = 0.2

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Constant:
    """A tensor whose values are part of the model."""

    name: str
    values: Array
    quantisation: Quantisation | None = None


@dataclass(frozen=True, slots=True)
class Recipe:
    """An operator's operands in TFLite's order, activations by name, and its options."""

    operands: tuple[str | Constant, ...]
    options: Any


def recipe(layer: Layer, seed: int) -> Recipe:
    """How TFLite spells this layer; ``seed`` makes the weights.

    Raises
    ------
    DiagmemError
        TFLite has no such operator or no way to say this layer's attributes.
    """
    make = _RECIPES.get(layer.operator)
    if make is None:
        raise DiagmemError(f"{layer.operator}: no model of this operator can be made for TFLM")
    return make(layer, seed)


def _names(layer: Layer) -> tuple[str, ...]:
    return tuple(tensor.name for tensor in layer.inputs)


def _ints(layer: Layer, attribute: str) -> tuple[int, ...]:
    value = layer.attributes[attribute]
    assert isinstance(value, tuple)
    return tuple(int(number) for number in value if not isinstance(number, tuple))


def _int32(name: str, values: object) -> Constant:
    return Constant(name, np.array(values, np.int32))


def _set(options: Any, **values: Any) -> Any:
    for name, value in values.items():
        setattr(options, name, value)
    return options


def _padding(layer: Layer) -> int:
    padding = layer.attributes["padding"]
    if padding == "SAME":
        return int(schema.Padding.SAME)
    if padding == "VALID":
        return int(schema.Padding.VALID)
    raise DiagmemError(
        f"{layer.operator}: TFLite has no explicit padding, expected padding=SAME or VALID"
    )


def _strided(layer: Layer, options: Any) -> Any:
    down, right = _ints(layer, "stride")
    return _set(options, padding=_padding(layer), strideH=down, strideW=right)


def _dilated(layer: Layer, options: Any) -> Any:
    down, right = _ints(layer, "dilation")
    _set(options, dilationHFactor=down, dilationWFactor=right)
    return _strided(layer, options)


def _weights(
    layer: Layer, shape: tuple[int, ...], axis: int | None, channels: int, seed: int
) -> tuple[Constant, Constant]:
    """Filter and bias; a scale per slice along ``axis``, None: one for all."""
    random, name = generator("filter", seed), "filter"
    dtype = layer.inputs[0].dtype
    if dtype not in LEVELS:
        values = random.uniform(-1, 1, shape).astype(np.float32)
        bias = random.uniform(-1, 1, channels).astype(np.float32)
        return Constant(name, values), Constant("bias", bias)
    values = random.integers(-127, 128, shape).astype(np.int8)
    slices = [2] if axis is None else range(channels)
    scales = tuple(weight_scale(channel) for channel in slices)
    input_scale = activation_quantisations(layer)[layer.inputs[0].name].scale
    largest = accumulator_spread(layer) / 2
    wide = np.int64 if dtype == "int16" else np.int32
    sums = random.uniform(-largest, largest, channels).astype(wide)
    return (
        Constant(name, values, Quantisation(scales, axis=axis or 0)),
        Constant("bias", sums, Quantisation(tuple(input_scale * scale for scale in scales))),
    )


def _conv_2d(layer: Layer, seed: int) -> Recipe:
    channels = layer.outputs[0].shape[-1]
    shape = (channels, *_ints(layer, "filter"), layer.inputs[0].shape[-1])
    constants = _weights(layer, shape, 0, channels, seed)
    return Recipe((*_names(layer), *constants), _dilated(layer, schema.Conv2DOptionsT()))


def _depthwise_conv_2d(layer: Layer, seed: int) -> Recipe:
    channels = layer.outputs[0].shape[-1]
    constants = _weights(layer, (1, *_ints(layer, "filter"), channels), 3, channels, seed)
    options = _dilated(layer, schema.DepthwiseConv2DOptionsT())
    options.depthMultiplier = layer.attributes["depth_multiplier"]
    return Recipe((*_names(layer), *constants), options)


def _transpose_conv(layer: Layer, seed: int) -> Recipe:
    channels = layer.outputs[0].shape[-1]
    shape = (channels, *_ints(layer, "filter"), layer.inputs[0].shape[-1])
    filter_, bias = _weights(layer, shape, 0, channels, seed)
    size = _int32("output_shape", layer.outputs[0].shape)
    options = _strided(layer, schema.TransposeConvOptionsT())
    return Recipe((size, filter_, *_names(layer), bias), options)


def _pool_2d(layer: Layer, _: int) -> Recipe:
    height, width = _ints(layer, "filter")
    options = _strided(layer, schema.Pool2DOptionsT())
    return Recipe(_names(layer), _set(options, filterHeight=height, filterWidth=width))


def _fully_connected(layer: Layer, seed: int) -> Recipe:
    channels, depth = layer.outputs[0].shape[-1], layer.inputs[0].shape[-1]
    constants = _weights(layer, (channels, depth), None, channels, seed)
    options = schema.FullyConnectedOptionsT()
    options.keepNumDims = len(layer.outputs[0].shape) == len(layer.inputs[0].shape)
    return Recipe((*_names(layer), *constants), options)


def _reshape(layer: Layer, _: int) -> Recipe:
    shape = layer.outputs[0].shape
    options = _set(schema.ReshapeOptionsT(), newShape=list(shape))
    return Recipe((*_names(layer), _int32("shape", shape)), options)


def _squeeze(layer: Layer, _: int) -> Recipe:
    axes = [axis for axis, size in enumerate(layer.inputs[0].shape) if size == 1]
    return Recipe(_names(layer), _set(schema.SqueezeOptionsT(), squeezeDims=axes))


def _expand_dims(layer: Layer, _: int) -> Recipe:
    before, after = layer.inputs[0].shape, layer.outputs[0].shape
    axis = next(
        axis
        for axis, size in enumerate(after)
        if size == 1 and after[:axis] + after[axis + 1 :] == before
    )
    return Recipe((*_names(layer), _int32("axis", [axis])), schema.ExpandDimsOptionsT())


def _split(layer: Layer, _: int) -> Recipe:
    options = _set(schema.SplitOptionsT(), numSplits=len(layer.outputs))
    return Recipe((_int32("axis", layer.attributes["axis"]), *_names(layer)), options)


def _pad(layer: Layer, _: int) -> Recipe:
    paddings = _ints(layer, "paddings")
    if min(paddings, default=0) < 0:
        raise DiagmemError(f"{layer.operator}: paddings are {paddings}, expected none below 0")
    options = schema.PadOptionsT()
    if layer.operator == "MIRROR_PAD":
        mode = getattr(schema.MirrorPadMode, str(layer.attributes["mode"]))
        options = _set(schema.MirrorPadOptionsT(), mode=mode)
    return Recipe((*_names(layer), _int32("paddings", np.reshape(paddings, (-1, 2)))), options)


def _spelled(
    options_class: Any = None, *constants: str, **options: Any
) -> Callable[[Layer, int], Recipe]:
    """An operator with these attributes as further operands, and with these options: each
    is an attribute, by its name, or a function of the layer."""

    def make(layer: Layer, _: int) -> Recipe:
        values = {
            name: value(layer) if callable(value) else layer.attributes[value]
            for name, value in options.items()
        }
        more = (_int32(name, _ints(layer, name)) for name in constants)
        made = _set(options_class(), **values) if options_class else None
        return Recipe((*_names(layer), *more), made)

    return make


def tensor_type(dtype: str) -> int:
    """TFLite's number for a type of ours."""
    return int(getattr(schema.TensorType, dtype.upper()))


_RESIZE = {"alignCorners": "align_corners", "halfPixelCenters": "half_pixel_centers"}

_RECIPES: dict[str, Callable[[Layer, int], Recipe]] = {
    "CONV_2D": _conv_2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv_2d,
    "TRANSPOSE_CONV": _transpose_conv,
    "AVERAGE_POOL_2D": _pool_2d,
    "MAX_POOL_2D": _pool_2d,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _spelled(schema.BatchMatMulOptionsT, adjX="adj_x", adjY="adj_y"),
    "SOFTMAX": _spelled(schema.SoftmaxOptionsT, beta=lambda _: 1.0),
    "LOG_SOFTMAX": _spelled(schema.LogSoftmaxOptionsT),
    "L2_NORMALIZATION": _spelled(schema.L2NormOptionsT),
    **dict.fromkeys(("RELU", "RELU6", "LOGISTIC", "TANH", "SQRT", "RSQRT", "PRELU"), _spelled()),
    "HARD_SWISH": _spelled(schema.HardSwishOptionsT),
    "LEAKY_RELU": _spelled(schema.LeakyReluOptionsT, alpha=lambda _: LEAKY_SLOPE),
    "ABS": _spelled(schema.AbsOptionsT),
    "NEG": _spelled(schema.NegOptionsT),
    "EXP": _spelled(schema.ExpOptionsT),
    "QUANTIZE": _spelled(schema.QuantizeOptionsT),
    "DEQUANTIZE": _spelled(schema.DequantizeOptionsT),
    "CAST": _spelled(
        schema.CastOptionsT,
        inDataType=lambda layer: tensor_type(layer.inputs[0].dtype),
        outDataType=lambda layer: tensor_type(layer.outputs[0].dtype),
    ),
    "ADD": _spelled(schema.AddOptionsT),
    "SUB": _spelled(schema.SubOptionsT),
    "MUL": _spelled(schema.MulOptionsT),
    "DIV": _spelled(schema.DivOptionsT),
    **dict.fromkeys(("MAXIMUM", "MINIMUM"), _spelled(schema.MaximumMinimumOptionsT)),
    "SQUARED_DIFFERENCE": _spelled(schema.SquaredDifferenceOptionsT),
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "CONCATENATION": _spelled(schema.ConcatenationOptionsT, axis="axis"),
    "PACK": _spelled(schema.PackOptionsT, axis="axis", valuesCount=lambda layer: len(layer.inputs)),
    "UNPACK": _spelled(schema.UnpackOptionsT, axis="axis", num=lambda layer: len(layer.outputs)),
    "SPLIT": _split,
    "PAD": _pad,
    "MIRROR_PAD": _pad,
    "SLICE": _spelled(schema.SliceOptionsT, "begin", "size"),
    "STRIDED_SLICE": _spelled(schema.StridedSliceOptionsT, "begin", "end", "strides"),
    "TRANSPOSE": _spelled(schema.TransposeOptionsT, "perm"),
    **dict.fromkeys(
        ("MEAN", "SUM", "REDUCE_MAX"),
        _spelled(schema.ReducerOptionsT, "axes", keepDims="keep_dims"),
    ),
    "RESIZE_NEAREST_NEIGHBOR": _spelled(schema.ResizeNearestNeighborOptionsT, "size", **_RESIZE),
    "RESIZE_BILINEAR": _spelled(schema.ResizeBilinearOptionsT, "size", **_RESIZE),
    "SPACE_TO_DEPTH": _spelled(schema.SpaceToDepthOptionsT, blockSize="block_size"),
    "DEPTH_TO_SPACE": _spelled(schema.DepthToSpaceOptionsT, blockSize="block_size"),
}
