"""The bound that the authors of diagonal memory optimisation published.

Blacker, Bridges and Hadfield, arXiv 2010.01668: for convolutions and pools the
frontier of reads is replaced by a straight line below it.  In elements, with O
for output, I for input, K for the filter's size, S for stride and D for dilation,
and for each axis ``P = floor((O S - S + K D - D - I + 1) / 2)``,

    O_s = O_h O_w O_c + min(b / a, a i + b - i)

    convolution   a = S_h I_w I_c / (O_w O_c)
                  b = (O_w S_w - P_h I_w - S_h I_w - S_w - P_w) I_c + 1
    depthwise     a = S_h I_w / (O_w M)      M: outputs per channel
                  b = (O_w S_w - P_h I_w - S_h I_w - S_w - P_w + 1) I_c
    pool          a = S_h I_w / O_w
                  b as for a convolution

and i the number of output elements.  They publish it for a batch of one and do not
round; here it is rounded down, kept between 0 and the input's size, and carried to
several batches, each of which adds what its output is larger than its input.

Where it is not below the staircase it stands for, it is not safe.  `bound` claims
no overlap there, and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from diagmem.analysis.safe import Safe
from diagmem.ops.layer import Layer, Value
from diagmem.ops.windows import geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class Published(Safe):
    """The published bound, mended: bytes of the first input and output.

    ``refused`` says why nothing is claimed; empty where the bound stands.
    """

    refused: str = ""


@dataclass(frozen=True, slots=True)
class _Sizes:
    """What the formulas are made of; pairs are height and width."""

    out: tuple[int, int]
    into: tuple[int, int]
    stride: tuple[int, int]
    pad: tuple[int, int]
    channels: int
    out_channels: int

    @property
    def outputs(self) -> int:
        return self.out[0] * self.out[1] * self.out_channels


Line = Callable[[_Sizes], tuple[Fraction, int]]
"""The line's slope a and intercept b."""


def _convolution(s: _Sizes) -> tuple[Fraction, int]:
    slope = Fraction(s.stride[0] * s.into[1] * s.channels, s.out[1] * s.out_channels)
    return slope, _common(s) * s.channels + 1


def _depthwise(s: _Sizes) -> tuple[Fraction, int]:
    per_channel = s.out_channels // s.channels
    slope = Fraction(s.stride[0] * s.into[1], s.out[1] * per_channel)
    return slope, (_common(s) + 1) * s.channels


def _pool(s: _Sizes) -> tuple[Fraction, int]:
    return Fraction(s.stride[0] * s.into[1], s.out[1]), _common(s) * s.channels + 1


def _common(s: _Sizes) -> int:
    return (
        s.out[1] * s.stride[1]
        - s.pad[0] * s.into[1]
        - s.stride[0] * s.into[1]
        - s.stride[1]
        - s.pad[1]
    )


LINES: dict[str, Line] = {
    "CONV_2D": _convolution,
    "DEPTHWISE_CONV_2D": _depthwise,
    "AVERAGE_POOL_2D": _pool,
    "MAX_POOL_2D": _pool,
}
"""The operators that the paper has a formula for."""


def bound(layer: Layer) -> Published | None:
    """The published bound of a layer; None for an operator that has none."""
    if layer.operator not in LINES:
        return None
    source, target = layer.inputs[0], layer.outputs[0]
    refused = _outside(layer)
    needed = target.size_bytes
    if not refused:
        sizes = _sizes(layer)
        a, b = LINES[layer.operator](sizes)
        gap = min(b / a, a * sizes.outputs + b - sizes.outputs)
        # Of one picture; a batch begins its own where the one before has ended.
        batches, inputs = source.shape[0], source.elements // source.shape[0]
        apart = min(max(-floor(gap), 0), sizes.outputs)
        apart += (batches - 1) * max(sizes.outputs - inputs, 0)
        needed = min(apart * target.element_bytes, target.size_bytes)
    sizes_bytes = source.size_bytes, target.size_bytes
    return Published(
        source.name, target.name, *sizes_bytes, needed, sizes_bytes[0], refused=refused
    )


def raw(layer: Layer) -> Fraction:
    """O_s of one picture in elements, as published: not rounded, not clamped.

    For layers of `LINES` that are not empty.
    """
    sizes = _sizes(layer)
    a, b = LINES[layer.operator](sizes)
    return sizes.outputs + min(b / a, a * sizes.outputs + b - sizes.outputs)


def _outside(layer: Layer) -> str:
    """Why the bound is not to be had; empty where it is."""
    if 0 in layer.inputs[0].shape or 0 in layer.outputs[0].shape:
        return "an empty tensor"
    sizes = _sizes(layer)
    if sizes.stride[1] * sizes.out[1] > sizes.stride[0] * sizes.into[1]:
        return (
            f"S_w O_w = {sizes.stride[1] * sizes.out[1]} is more than"
            f" S_h I_w = {sizes.stride[0] * sizes.into[1]}: the line is not below the reads there"
        )
    return ""


def _pair(value: Value) -> tuple[int, int]:
    assert isinstance(value, tuple)
    height, width = value
    assert isinstance(height, int)
    assert isinstance(width, int)
    return height, width


def _sizes(layer: Layer) -> _Sizes:
    _, in_h, in_w, channels = layer.inputs[0].shape
    _, out_h, out_w, out_channels = layer.outputs[0].shape
    given = layer.attributes
    stride = _pair(given["stride"])
    out, into = (out_h, out_w), (in_h, in_w)
    before = tuple(geometry(layer.operator, given, along)[1] for along in (0, 1))
    return _Sizes(out, into, stride, (before[0], before[1]), channels, out_channels)
