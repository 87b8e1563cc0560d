"""Make the networks of `diagmem.tflite.zoo` anew: build, convert, cut, compress.

    python scripts/make_zoo.py OUTPUT [NAME ...]

Needs TensorFlow (0.6 GB) and TFLM: ``pip install --editable '.[tflm,zoo]'``.  The networks
are written after the papers in Keras layers, with the heads that were usual when the
papers on memory used them (average pool, 1x1 convolution, 1001 classes).

What was checked: the shipped files come from an older form of this script, by TensorFlow
2.21; cutting one of them again gives the same graph.  What was not: that this form
converts to the same files, for it was rewritten where TensorFlow was not at hand.
Another release of the converter may fuse or order operators otherwise: compare
before replacing.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import zstandard
from tflite_micro.tensorflow.lite.micro.python import schema_py_generated as schema

KEPT_BYTES = 64
"""Larger constants are cut: axes, paddings and shapes are smaller."""
CUT = np.zeros(1, np.uint8)
"""What is left of them: one byte still says that it is a constant."""
ZSTD_LEVEL = 19


def main(output: str, *names: str) -> None:
    tensorflow = tensorflow_module()
    tensorflow.keras.utils.set_random_seed(1)
    networks = Networks(tensorflow.keras)
    for name in names or NETWORKS:
        build, arguments = NETWORKS[name]
        model = build(networks, *arguments)
        randomise(model)
        for short, quantised in (("f32", False), ("int8", True)):
            graph = cut(convert(tensorflow, model, quantised))
            packed = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True).compress(graph)
            Path(output, f"{name}_{short}.tflite.zst").write_bytes(packed)
            print(f"{name}_{short}: {len(graph):,} bytes, {len(packed):,} packed", file=sys.stderr)


def tensorflow_module() -> Any:
    """TensorFlow, imported by name: type checks and the other functions do without it."""
    try:
        return importlib.import_module("tensorflow")
    except ModuleNotFoundError as error:
        sys.exit(f"make_zoo: {error}; pip install --editable '.[tflm,zoo]'")


def cut(data: bytes) -> bytes:
    """The graph of a file: no large constants, no scales of channels, no metadata."""
    model: Any = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    for tensor in model.subgraphs[0].tensors:
        contents, quantisation = model.buffers[tensor.buffer].data, tensor.quantization
        constant = contents is not None and len(contents) > 0
        if constant and quantisation is not None and quantisation.scale is not None:
            tensor.quantization = quantisation if len(quantisation.scale) == 1 else None
    for buffer in model.buffers:
        if buffer.data is not None and len(buffer.data) > KEPT_BYTES:
            buffer.data = CUT
    model.metadata = model.metadataBuffer = None
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def randomise(model: Any) -> None:
    """Batch normalisations as if trained: the converter drops an addition of zeros."""
    random = np.random.default_rng(1)
    for layer in model.layers:
        if type(layer).__name__ == "BatchNormalization":
            layer.set_weights(
                [
                    random.uniform(0.5, 1.5, values.shape)
                    if number in (0, 3)  # gamma and variance; between them beta and mean
                    else random.normal(0, 0.5, values.shape)
                    for number, values in enumerate(layer.get_weights())
                ]
            )


def convert(tensorflow: Any, model: Any, quantised: bool) -> bytes:
    """The model as ``.tflite``, batch 1; int8 calibrated on random pictures."""
    shape = (1, *model.inputs[0].shape[1:])
    function = tensorflow.function(lambda x: model(x, training=False))
    concrete = function.get_concrete_function(tensorflow.TensorSpec(shape, tensorflow.float32))
    lite = tensorflow.lite
    converter = lite.TFLiteConverter.from_concrete_functions([concrete], model)
    if quantised:

        def pictures() -> Iterator[list[Any]]:
            random = np.random.default_rng(0)
            for _ in range(2):
                yield [random.uniform(-1, 1, shape).astype(np.float32)]

        converter.optimizations = [lite.Optimize.DEFAULT]
        converter.representative_dataset = pictures
        converter.target_spec.supported_ops = [lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tensorflow.int8
    return bytes(converter.convert())


class Networks:
    """The networks, in Keras layers."""

    def __init__(self, keras: Any) -> None:
        self.keras, self.layers = keras, keras.layers

    # ---- pieces ----

    def picture(self, size: int) -> Any:
        return self.layers.Input((size, size, 3))

    def norm(self, x: Any) -> Any:
        return self.layers.BatchNormalization()(x)

    def relu(self, x: Any) -> Any:
        return self.layers.Activation("relu")(x)

    def norm_relu(self, x: Any) -> Any:
        return self.relu(self.norm(x))

    def plain(self, x: Any, channels: int, size: int = 1, stride: int = 1) -> Any:
        """A convolution without bias."""
        convolution = self.layers.Conv2D(
            channels, size, strides=stride, padding="same", use_bias=False
        )
        return convolution(x)

    def conv(self, x: Any, channels: int, size: Any, stride: int = 1, padding: str = "same") -> Any:
        """Convolution, batch normalisation, RELU."""
        convolution = self.layers.Conv2D(
            channels, size, strides=stride, padding=padding, use_bias=False
        )
        return self.norm_relu(convolution(x))

    def row(self, x: Any, *convs: tuple[Any, ...]) -> Any:
        """One `conv` after the other, by their arguments."""
        for arguments in convs:
            x = self.conv(x, *arguments)
        return x

    def joined(self, *parts: Any) -> Any:
        return self.layers.Concatenate()(list(parts))

    def added(self, *parts: Any) -> Any:
        return self.layers.Add()(list(parts))

    def max_pool(self, x: Any, padding: str = "valid", stride: int = 2, size: int = 3) -> Any:
        return self.layers.MaxPooling2D(size, strides=stride, padding=padding)(x)

    def average_pool(self, x: Any, stride: int = 1) -> Any:
        return self.layers.AveragePooling2D(3, strides=stride, padding="same")(x)

    def classes(self, picture: Any, x: Any, count: int = 1001) -> Any:
        """A 1x1 convolution of what was pooled, and SOFTMAX."""
        x = self.layers.Reshape((count,))(self.layers.Conv2D(count, 1)(x))
        return self.keras.Model(picture, self.layers.Softmax()(x))

    def pooled_classes(self, picture: Any, x: Any) -> Any:
        pool = self.layers.AveragePooling2D(tuple(x.shape[1:3]), strides=(1, 1), padding="valid")
        return self.classes(picture, pool(x))

    def dense_classes(self, picture: Any, x: Any) -> Any:
        return self.keras.Model(picture, self.layers.Softmax()(self.layers.Dense(1001)(x)))

    # ---- MobileNets ----

    def relu6(self, x: Any) -> Any:
        return self.layers.ReLU(6.0)(self.norm(x))

    def depthwise(self, x: Any, stride: int) -> Any:
        convolution = self.layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)
        return self.relu6(convolution(x))

    def mobilenet_v1(self, width: float, size: int) -> Any:
        def scaled(channels: int) -> int:
            return max(int(channels * width), 8)

        picture = self.picture(size)
        x = self.relu6(self.plain(picture, scaled(32), 3, 2))
        blocks = [(1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512)]
        for stride, channels in [*blocks, *[(1, 512)] * 5, (2, 1024), (1, 1024)]:
            x = self.relu6(self.plain(self.depthwise(x, stride), scaled(channels)))
        return self.pooled_classes(picture, x)

    def mobilenet_v2(self, width: float, size: int) -> Any:
        def scaled(channels: float) -> int:
            """The next multiple of 8, but never a tenth less."""
            rounded = max(8, int(channels + 4) // 8 * 8)
            return rounded + 8 if rounded < 0.9 * channels else rounded

        picture = self.picture(size)
        x = self.relu6(self.plain(picture, scaled(32 * width), 3, 2))
        for expansion, channels, count, first_stride in (
            (1, 16, 1, 1),
            (6, 24, 2, 2),
            (6, 32, 3, 2),
            (6, 64, 4, 2),
            (6, 96, 3, 1),
            (6, 160, 3, 2),
            (6, 320, 1, 1),
        ):
            for number in range(count):
                stride, depth, y = 1 if number else first_stride, x.shape[-1], x
                if expansion > 1:
                    y = self.relu6(self.plain(y, depth * expansion))
                out = scaled(channels * width)
                y = self.norm(self.plain(self.depthwise(y, stride), out))
                x = self.added(x, y) if stride == 1 and depth == out else y
        x = self.relu6(self.plain(x, max(1280, scaled(1280 * width))))
        return self.pooled_classes(picture, x)

    # ---- Inceptions ----

    def inception_v4(self) -> Any:
        down = (2, "valid")
        picture = self.picture(299)
        x = self.row(picture, (32, 3, *down), (32, 3, 1, "valid"), (64, 3))
        x = self.joined(self.max_pool(x), self.conv(x, 96, 3, *down))
        x = self.joined(
            self.row(x, (64, 1), (96, 3, 1, "valid")),
            self.row(x, (64, 1), (64, (1, 7)), (64, (7, 1)), (96, 3, 1, "valid")),
        )
        x = self.joined(self.conv(x, 192, 3, *down), self.max_pool(x))
        for _ in range(4):
            x = self.joined(
                self.conv(x, 96, 1),
                self.row(x, (64, 1), (96, 3)),
                self.row(x, (64, 1), (96, 3), (96, 3)),
                self.conv(self.average_pool(x), 96, 1),
            )
        x = self.joined(
            self.conv(x, 384, 3, *down),
            self.row(x, (192, 1), (224, 3), (256, 3, *down)),
            self.max_pool(x),
        )
        for _ in range(7):
            long = (192, 1), (192, (7, 1)), (224, (1, 7)), (224, (7, 1)), (256, (1, 7))
            x = self.joined(
                self.conv(x, 384, 1),
                self.row(x, (192, 1), (224, (1, 7)), (256, (7, 1))),
                self.row(x, *long),
                self.conv(self.average_pool(x), 128, 1),
            )
        x = self.joined(
            self.row(x, (192, 1), (192, 3, *down)),
            self.row(x, (256, 1), (256, (1, 7)), (320, (7, 1)), (320, 3, *down)),
            self.max_pool(x),
        )
        for _ in range(3):
            short = self.conv(x, 384, 1)
            short = self.joined(self.conv(short, 256, (1, 3)), self.conv(short, 256, (3, 1)))
            tall = self.row(x, (384, 1), (448, (3, 1)), (512, (1, 3)))
            tall = self.joined(self.conv(tall, 256, (1, 3)), self.conv(tall, 256, (3, 1)))
            pooled = self.conv(self.average_pool(x), 256, 1)
            x = self.joined(self.conv(x, 256, 1), short, tall, pooled)
        x = self.layers.AveragePooling2D((8, 8), padding="valid")(x)
        return self.dense_classes(picture, self.layers.Flatten()(x))

    def inception_resnet_v2(self) -> Any:
        down = (2, "valid")

        def residual(x: Any, mixed: Any, scale: float, last: bool = False) -> Any:
            up = self.layers.Conv2D(x.shape[-1], 1)(mixed)
            x = self.added(x, self.layers.Rescaling(scale)(up))
            return x if last else self.relu(x)

        picture = self.picture(299)
        x = self.row(picture, (32, 3, *down), (32, 3, 1, "valid"), (64, 3))
        x = self.row(self.max_pool(x), (80, 1, 1, "valid"), (192, 3, 1, "valid"))
        x = self.max_pool(x)
        x = self.joined(
            self.conv(x, 96, 1),
            self.row(x, (48, 1), (64, 5)),
            self.row(x, (64, 1), (96, 3), (96, 3)),
            self.conv(self.average_pool(x), 64, 1),
        )
        for _ in range(10):
            long = self.row(x, (32, 1), (48, 3), (64, 3))
            mixed = self.joined(self.conv(x, 32, 1), self.row(x, (32, 1), (32, 3)), long)
            x = residual(x, mixed, 0.17)
        x = self.joined(
            self.conv(x, 384, 3, *down),
            self.row(x, (256, 1), (256, 3), (384, 3, *down)),
            self.max_pool(x),
        )
        for _ in range(20):
            long = self.row(x, (128, 1), (160, (1, 7)), (192, (7, 1)))
            x = residual(x, self.joined(self.conv(x, 192, 1), long), 0.1)
        x = self.joined(
            self.row(x, (256, 1), (384, 3, *down)),
            self.row(x, (256, 1), (288, 3, *down)),
            self.row(x, (256, 1), (288, 3), (320, 3, *down)),
            self.max_pool(x),
        )
        for number in range(10):
            long = self.row(x, (192, 1), (224, (1, 3)), (256, (3, 1)))
            mixed = self.joined(self.conv(x, 192, 1), long)
            x = residual(x, mixed, 0.2, last=number == 9)
        x = self.layers.AveragePooling2D((8, 8), padding="valid")(self.conv(x, 1536, 1))
        return self.dense_classes(picture, self.layers.Flatten()(x))

    # ---- ResNet and DenseNet ----

    def resnet50_v2(self) -> Any:
        layers, picture = self.layers, self.picture(224)
        x = layers.Conv2D(64, 7, strides=2, padding="valid")(layers.ZeroPadding2D(3)(picture))
        x = self.max_pool(x, "same")
        for depth, count, last_stride in ((64, 3, 2), (128, 4, 2), (256, 6, 2), (512, 3, 1)):
            for number in range(count):
                stride = last_stride if number == count - 1 else 1
                before = self.norm_relu(x)
                if x.shape[-1] != 4 * depth:
                    short = layers.Conv2D(4 * depth, 1, strides=stride)(before)
                else:
                    short = x if stride == 1 else self.max_pool(x, stride=stride, size=1)
                y = self.conv(before, depth, 1, 1)
                if stride > 1:
                    y = layers.ZeroPadding2D(1)(y)
                y = self.conv(y, depth, 3, stride, "valid" if stride > 1 else "same")
                x = self.added(short, layers.Conv2D(4 * depth, 1)(y))
        x = layers.GlobalAveragePooling2D(keepdims=True)(self.norm_relu(x))
        return self.classes(picture, x)

    def densenet121(self) -> Any:
        layers, picture = self.layers, self.picture(224)
        x = self.max_pool(self.conv(picture, 64, 7, 2), "same")
        for block, count in enumerate((6, 12, 24, 16)):
            for _ in range(count):
                y = self.norm_relu(self.plain(self.norm_relu(x), 128))
                x = self.joined(x, self.plain(y, 32, 3))
            if block < 3:
                x = self.plain(self.norm_relu(x), x.shape[-1] // 2)
                x = layers.AveragePooling2D(2)(x)
        x = layers.GlobalAveragePooling2D(keepdims=True)(self.norm_relu(x))
        return self.classes(picture, x, 1000)

    # ---- NASNet ----

    def separable(self, x: Any, channels: int, size: int, stride: int = 1) -> Any:
        """Twice RELU, separable convolution, batch normalisation."""
        for strides in (stride, 1):
            convolution = self.layers.SeparableConv2D(
                channels, size, strides=strides, padding="same", use_bias=False
            )
            x = self.norm(convolution(self.relu(x)))
        return x

    def halved(self, x: Any, channels: int) -> Any:
        """Every second pixel, and those one row and column further, side by side."""
        layers = self.layers
        shifted = layers.Cropping2D(((1, 0), (1, 0)))(layers.ZeroPadding2D(((0, 1), (0, 1)))(x))
        halves = [
            self.plain(layers.AveragePooling2D(1, strides=2)(part), channels // 2)
            for part in (x, shifted)
        ]
        return self.norm(self.joined(*halves))

    def fitted(self, x: Any, before: Any, channels: int) -> tuple[Any, Any]:
        """Both inputs of a cell with the cell's channels, and of the same size."""
        if before is None:
            before = x
        elif before.shape[1] != x.shape[1]:
            before = self.halved(self.relu(before), channels)
        elif before.shape[-1] != channels:
            before = self.norm(self.plain(self.relu(before), channels))
        return self.norm(self.plain(self.relu(x), channels)), before

    def nasnet_pool(self, kind: Any, x: Any, channels: int, stride: int = 1) -> Any:
        x = kind(3, strides=stride, padding="same")(x)
        return x if x.shape[-1] == channels else self.norm(self.plain(x, channels))

    def normal_cell(self, x: Any, before: Any, channels: int) -> Any:
        average = self.layers.AveragePooling2D
        here, before = self.fitted(x, before, channels)
        return self.joined(
            before,
            self.added(self.separable(here, channels, 5), self.separable(before, channels, 3)),
            self.added(self.separable(before, channels, 5), self.separable(before, channels, 3)),
            self.added(self.nasnet_pool(average, here, channels), before),
            self.added(*(self.nasnet_pool(average, before, channels) for _ in range(2))),
            self.added(self.separable(here, channels, 3), here),
        )

    def reduction_cell(self, x: Any, before: Any, channels: int) -> Any:
        average, largest = self.layers.AveragePooling2D, self.layers.MaxPooling2D
        here, before = self.fitted(x, before, channels)
        first = self.added(
            self.separable(here, channels, 5, 2), self.separable(before, channels, 7, 2)
        )
        second = self.added(
            self.nasnet_pool(largest, here, channels, 2), self.separable(before, channels, 7, 2)
        )
        third = self.added(
            self.nasnet_pool(average, here, channels, 2), self.separable(before, channels, 5, 2)
        )
        fourth = self.added(self.nasnet_pool(average, first, channels), second)
        fifth = self.added(
            self.separable(first, channels, 3), self.nasnet_pool(largest, here, channels, 2)
        )
        return self.joined(second, third, fourth, fifth)

    def nasnet_mobile(self) -> Any:
        picture, channels = self.picture(224), 44
        stem = self.layers.Conv2D(32, 3, strides=2, padding="valid", use_bias=False)
        before, x = None, self.norm(stem(picture))
        for part in (4, 2):
            before, x = x, self.reduction_cell(x, before, channels // part)
        for number in range(12):
            if number in (4, 8):
                channels *= 2
                before, x = x, self.reduction_cell(x, before, channels)
            before, x = x, self.normal_cell(x, before, channels)
        x = self.layers.GlobalAveragePooling2D()(self.relu(x))
        return self.dense_classes(picture, x)


NETWORKS: dict[str, tuple[Callable[..., Any], tuple[Any, ...]]] = {
    "mobilenet_v1_0.25_128": (Networks.mobilenet_v1, (0.25, 128)),
    "mobilenet_v1_0.25_224": (Networks.mobilenet_v1, (0.25, 224)),
    "mobilenet_v1_1.0_224": (Networks.mobilenet_v1, (1.0, 224)),
    "mobilenet_v2_0.35_224": (Networks.mobilenet_v2, (0.35, 224)),
    "mobilenet_v2_1.0_224": (Networks.mobilenet_v2, (1.0, 224)),
    "inception_v4": (Networks.inception_v4, ()),
    "inception_resnet_v2": (Networks.inception_resnet_v2, ()),
    "nasnet_mobile": (Networks.nasnet_mobile, ()),
    "densenet121": (Networks.densenet121, ()),
    "resnet50_v2": (Networks.resnet50_v2, ()),
}

if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(*sys.argv[1:])
