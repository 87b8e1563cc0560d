"""Random small float models that TFLM runs, with residuals, branches and reshapes."""

from __future__ import annotations

import random
from math import prod

import numpy as np

from tests.model.build import Draft

Shape = tuple[int, ...]


class _Grower:
    """A model that grows operator by operator from tensors that are there."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.values = np.random.default_rng(seed)
        self.draft = Draft()
        self.shapes: dict[int, Shape] = {}

    def tensor(self, shape: Shape) -> int:
        number = self.draft.tensor(shape)
        self.shapes[number] = shape
        return number

    def weights(self, shape: Shape) -> int:
        return self.draft.tensor(shape, values=self.values.uniform(-1, 1, shape))

    def grow(self) -> None:
        """One more operator, mostly on what is newest."""
        newest = sorted(self.shapes)[-4:]
        source = self.random.choice([*newest, newest[-1], newest[-1]])
        step = self.random.choice(
            [self.conv, self.depthwise, self.pool, self.add, self.join, self.reshape, self.relu]
        )
        step(source)

    def conv(self, source: int) -> None:
        batches, height, width, depth = self.shapes[source]
        channels, tap = self.random.randint(1, 6), self.random.choice((1, 3))
        weights = self.weights((channels, tap, tap, depth))
        made = self.tensor((batches, height, width, channels))
        operands = [source, weights, self.weights((channels,))]
        self.draft.operator("CONV_2D", operands, [made], "Conv2D", strideH=1, strideW=1)

    def depthwise(self, source: int) -> None:
        batches, height, width, depth = self.shapes[source]
        stride = self.random.choice((1, 1, 2))
        made = self.tensor((batches, -(-height // stride), -(-width // stride), depth))
        operands = [source, self.weights((1, 3, 2, depth)), self.weights((depth,))]
        self.draft.operator(
            "DEPTHWISE_CONV_2D",
            operands,
            [made],
            "DepthwiseConv2D",
            strideH=stride,
            strideW=stride,
            depthMultiplier=1,
        )

    def pool(self, source: int) -> None:
        batches, height, width, depth = self.shapes[source]
        made = self.tensor((batches, -(-height // 2), -(-width // 2), depth))
        name = self.random.choice(("MAX_POOL_2D", "AVERAGE_POOL_2D"))
        fields = {"strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 3}
        self.draft.operator(name, [source], [made], "Pool2D", **fields)

    def add(self, source: int) -> None:
        """Two tensors of one shape: a residual, or the same one twice."""
        alike = [t for t, shape in self.shapes.items() if shape == self.shapes[source]]
        name, options = self.random.choice((("ADD", "Add"), ("MUL", "Mul"), ("SUB", "Sub")))
        made = self.tensor(self.shapes[source])
        self.draft.operator(name, [source, self.random.choice(alike)], [made], options)

    def join(self, source: int) -> None:
        shape = self.shapes[source]
        alike = [t for t, other in self.shapes.items() if other[:3] == shape[:3]]
        parts = [source, self.random.choice(alike)]
        depth = sum(self.shapes[part][3] for part in parts)
        made = self.tensor((*shape[:3], depth))
        self.draft.operator("CONCATENATION", parts, [made], "Concatenation", axis=3)

    def reshape(self, source: int) -> None:
        batches, height, width, depth = self.shapes[source]
        shape = (batches, width, height, depth)
        made = self.tensor(shape)
        wanted = self.draft.tensor((4,), "int32", values=np.array(shape, np.int32))
        self.draft.operator("RESHAPE", [source, wanted], [made], "Reshape", newShape=list(shape))

    def relu(self, source: int) -> None:
        self.draft.operator("RELU", [source], [self.tensor(self.shapes[source])])


def random_model(seed: int) -> bytes:
    """5 to 12 operators; what nobody reads is an output, now and then something that
    somebody does, too."""
    grower = _Grower(seed)
    choose = grower.random
    inputs = [grower.tensor((1, choose.randint(3, 9), choose.randint(3, 9), choose.randint(1, 5)))]
    if choose.random() < 0.4:
        inputs.append(grower.tensor(grower.shapes[inputs[0]]))
    for _ in range(choose.randint(5, 12)):
        grower.grow()
    read = {t for operator in grower.draft.graph.operators for t in operator.inputs}
    made = {t for operator in grower.draft.graph.operators for t in operator.outputs}
    outputs = [t for t in sorted(made) if t not in read]
    if choose.random() < 0.3:
        outputs.append(choose.choice(sorted(made & read) or outputs))
    if choose.random() < 0.15:
        outputs.append(inputs[0])
    assert all(prod(shape) for shape in grower.shapes.values())
    return grower.draft.io(inputs, list(dict.fromkeys(outputs))).file()
