"""The networks that memory papers plan, as graphs without weights.

They are ``.tflite`` files of the shapes, types, attributes, order and activation
scales that TensorFlow's converter writes; constants of more than 64 bytes are cut to
one byte, and the scales of weights for each channel are left out.  They plan as they
are; `diagmem.tflite.fill` makes weights so that they run.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from diagmem.base.errors import DiagmemError
from diagmem.base.files import replacing
from diagmem.base.installing import package_command
from diagmem.tflite.graph import Model, read_model

MAX_BYTES = 1 << 22
"""No graph here is larger; a damaged file may say so."""


@dataclass(frozen=True, slots=True)
class Network:
    """One file of the zoo.

    Attributes
    ----------
    architecture : the paper's name for it.
    input_size : rows and columns of the picture it takes.
    dtype : of its activations.
    """

    name: str
    architecture: str
    input_size: int
    dtype: str


_ARCHITECTURES = {
    "mobilenet_v1_0.25_128": ("MobileNet v1, width 0.25 (arXiv 1704.04861)", 128),
    "mobilenet_v1_0.25_224": ("MobileNet v1, width 0.25 (arXiv 1704.04861)", 224),
    "mobilenet_v1_1.0_224": ("MobileNet v1, width 1.0 (arXiv 1704.04861)", 224),
    "mobilenet_v2_0.35_224": ("MobileNet v2, width 0.35 (arXiv 1801.04381)", 224),
    "mobilenet_v2_1.0_224": ("MobileNet v2, width 1.0 (arXiv 1801.04381)", 224),
    "inception_v4": ("Inception v4 (arXiv 1602.07261)", 299),
    "inception_resnet_v2": ("Inception-ResNet v2 (arXiv 1602.07261)", 299),
    "nasnet_mobile": ("NASNet-A mobile (arXiv 1707.07012)", 224),
    "densenet121": ("DenseNet 121 (arXiv 1608.06993)", 224),
    "resnet50_v2": ("ResNet 50 v2 (arXiv 1603.05027)", 224),
}
_DTYPES = {"f32": "float32", "int8": "int8"}

NETWORKS = {
    f"{name}_{short}": Network(f"{name}_{short}", architecture, size, dtype)
    for name, (architecture, size) in _ARCHITECTURES.items()
    for short, dtype in _DTYPES.items()
}

PAPER = (
    "mobilenet_v1_1.0_224_f32",
    "mobilenet_v1_1.0_224_int8",
    "mobilenet_v1_0.25_224_f32",
    "mobilenet_v1_0.25_128_int8",
    "mobilenet_v2_0.35_224_f32",
    "mobilenet_v2_1.0_224_f32",
    "inception_v4_f32",
    "inception_resnet_v2_f32",
    "nasnet_mobile_f32",
    "densenet121_f32",
    "resnet50_v2_f32",
)
"""The eleven of the paper on diagonal memory optimisation (arXiv 2010.01668)."""


def names() -> tuple[str, ...]:
    """All networks, in the order of their architectures."""
    return tuple(NETWORKS)


def network_bytes(name: str) -> bytes:
    """A network's ``.tflite`` file.

    Raises
    ------
    DiagmemError
        There is none of that name.
    """
    import zstandard

    if name not in NETWORKS:
        raise DiagmemError(f"no network {name[:60]!r}, expected one of {', '.join(NETWORKS)}")
    packed = files("diagmem.tflite").joinpath("networks", f"{name}.tflite.zst").read_bytes()
    return zstandard.ZstdDecompressor().decompress(packed, max_output_size=MAX_BYTES)


def open_zoo(name: str) -> Model:
    """A network's graph.

    Raises
    ------
    DiagmemError
        There is none of that name.
    """
    return read_model(network_bytes(name), name)


def filled(name: str, seed: int = 0) -> bytes:
    """A network with seeded weights, to be run; needs the ``tflm`` extra.

    Raises
    ------
    DiagmemError
        There is none of that name, or the extra is missing.
    """
    graph = network_bytes(name)
    try:
        from diagmem.tflite.fill import fill
    except ImportError as error:
        raise DiagmemError(
            f"{name}: making weights needs {error.name}: {package_command('tflite-micro')}"
        ) from None
    return fill(graph, seed)


def write_filled(name: str, path: str | os.PathLike[str], seed: int = 0) -> None:
    """Write what `filled` makes.

    Raises
    ------
    DiagmemError
        As there, or the file cannot be written.
    """
    data = filled(name, seed)
    with replacing(Path(path)) as file:
        file.write(data)
