"""Models of what is rare, put together by hand."""

from __future__ import annotations

import numpy as np

from diagmem.tflite.graph import Model, read_model
from tests.tflite.build import Draft


def odd() -> bytes:
    """A scalar, three types in one model, an operator that nothing is known of (CUMSUM)
    and a chain of aliases of which the first is read again."""
    draft = Draft()
    source = draft.tensor((1, 3, 5, 2))
    summed, scalar, shifted = (draft.tensor(shape) for shape in ((1, 3, 5, 2), (), (1, 3, 5, 2)))
    axis = draft.tensor((), "int32", values=2)
    axes = draft.tensor((4,), "int32", values=[0, 1, 2, 3])
    draft.operator("CUMSUM", [source, axis], [summed], "Cumsum")
    draft.operator("MEAN", [summed, axes], [scalar], "Reducer", keepDims=False)
    draft.operator("SUB", [summed, scalar], [shifted], "Sub")
    small = draft.tensor((1, 3, 5, 2), "int8", scale=[0.05], zero_point=[3])
    draft.operator("QUANTIZE", [shifted], [small], "Quantize")
    aliases = [
        draft.tensor(shape, "int8", scale=[0.05], zero_point=[3])
        for shape in ((3, 10), (30,), (5, 6))
    ]
    for made, reads in zip(aliases, (small, *aliases), strict=False):
        shape = draft.graph.tensors[made].shape
        wanted = draft.tensor((len(shape),), "int32", values=np.array(shape, np.int32))
        draft.operator("RESHAPE", [reads, wanted], [made], "Reshape", newShape=shape)
    wide = draft.tensor((3, 10))
    draft.operator("DEQUANTIZE", [aliases[0]], [wide], "Dequantize")
    result = draft.tensor((5, 6), "int8", scale=[0.05], zero_point=[3])
    draft.operator("RELU", [aliases[2]], [result])
    return draft.io([source], [result, wide]).file()


def clip() -> Model:
    """x is read again after MINIMUM, which leaves values below 1000 as they are."""
    draft = Draft()
    x = draft.tensor((1, 64), name="x")
    high = draft.tensor((1, 1), values=[1000])
    y, z = draft.tensor((1, 64), name="y"), draft.tensor((1, 64), name="z")
    draft.operator("MINIMUM", [x, high], [y])
    draft.operator("SUB", [x, y], [z], "Sub")
    return read_model(draft.io([x], [z]).file(), "clip.tflite")
