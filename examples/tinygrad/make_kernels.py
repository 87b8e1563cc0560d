"""Kernels that tinygrad writes: portable C, each with the description diagmem needs.

tinygrad is a neural-network framework that generates the code of every kernel it runs.
Here it generates C for a few layers, and nothing is run.

    python examples/tinygrad/make_kernels.py -o build/tinygrad
    diagmem prove build/tinygrad/conv.toml

Every layer comes twice: as tinygrad's plain loop nest, and as NAME_opt, unrolled the way
tinygrad's optimiser thinks best.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NoReturn

# What `generate` calls is no stable interface, so it is for this one release, which
# pyproject.toml pins, too.
TINYGRAD = "0.14.0"


@dataclass(frozen=True)
class Operand:
    name: str
    role: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """`compute` takes the tensors of `operands`, in their order."""

    name: str
    about: str
    operands: tuple[Operand, ...]
    compute: Callable[..., Any]


LAYERS = (
    Layer(
        "conv",
        "3x3 convolution with bias, NCHW",
        (
            Operand("input", "input", (1, 3, 9, 7)),
            Operand("filter", "weights", (4, 3, 3, 3)),
            Operand("bias", "weights", (4,)),
        ),
        lambda x, weights, bias: x.conv2d(weights, bias, padding=1),
    ),
    Layer(
        "depthwise",
        "3x3 depthwise convolution with bias, NCHW",
        (
            Operand("input", "input", (1, 5, 9, 7)),
            Operand("filter", "weights", (5, 1, 3, 3)),
            Operand("bias", "weights", (5,)),
        ),
        lambda x, weights, bias: x.conv2d(weights, bias, groups=5, padding=1),
    ),
    Layer(
        "max_pool",
        "2x2 max pool, stride 2, NCHW",
        (Operand("input", "input", (1, 3, 10, 8)),),
        lambda x: x.max_pool2d((2, 2)),
    ),
    Layer(
        "matmul",
        "product of two matrices",
        (Operand("input", "input", (5, 7)), Operand("matrix", "weights", (7, 9))),
        lambda x, matrix: x @ matrix,
    ),
    Layer(
        "relu",
        "max(x, 0)",
        (Operand("input", "input", (1, 3, 9, 7)),),
        lambda x: x.relu(),
    ),
)


@dataclass(frozen=True)
class Generated:
    function: str
    source: str
    arguments: tuple[Operand, ...]


def generate(layer: Layer, *, optimised: bool) -> Generated:
    # Here and not above: where tinygrad is missing, that is to be said in one line.
    from tinygrad import Tensor
    from tinygrad.codegen import to_program
    from tinygrad.device import Compiler
    from tinygrad.helpers import Context, Target
    from tinygrad.renderer.cstyle import ClangRenderer
    from tinygrad.uop.ops import Ops

    renderer = ClangRenderer(Target("CPU", "CLANG", "x86_64,x86-64"))
    # One thread and no vector types: C that gcc takes, for any processor.
    renderer.has_threads = False
    renderer.supports_float4 = False
    # This one compiles nothing.  diagmem will.
    renderer.compiler = Compiler()

    # On the device NULL, tensors have shapes and no memory.
    with Context(DEV="NULL", NOOPT=int(not optimised), BEAM=0):
        tensors = [Tensor.empty(*operand.shape) for operand in layer.operands]
        result = layer.compute(*tensors)
        calls = result.schedule_linear().src
        if len(calls) != 1:
            refuse(f"tinygrad makes {len(calls)} kernels of {layer.name}, expected 1")
        program = to_program(calls[0].src[0], renderer)

    output = Operand("output", "output", result.shape)
    buffers = {
        tensor.uop.base: operand
        for tensor, operand in zip([*tensors, result], [*layer.operands, output], strict=True)
    }
    [source] = [part.arg for part in program.src if part.op is Ops.SOURCE]
    return Generated(
        function=program.arg.function_name,
        source=source.strip() + "\n",
        # The scheduler orders the arguments as it likes; each is the buffer of a tensor.
        arguments=tuple(buffers[calls[0].src[1 + i]] for i in program.arg.globals),
    )


def write(layer: Layer, folder: Path, *, optimised: bool) -> Path:
    """Write NAME.c and NAME.toml, and return the path of the latter."""
    generated = generate(layer, optimised=optimised)
    name = f"{layer.name}_opt" if optimised else layer.name
    (folder / f"{name}.c").write_text(generated.source, encoding="utf-8")
    description = [
        f'description = "{layer.about}, by tinygrad {TINYGRAD}"',
        f'function = "{generated.function}"',
        f'source = "{name}.c"',
        'flags = ["-O2"]',
        "argument = [",
        *(
            f'  {{ name = "{a.name}", role = "{a.role}", dtype = "float32",'
            f" shape = {list(a.shape)} }},"
            for a in generated.arguments
        ),
        "]",
    ]
    path = folder / f"{name}.toml"
    path.write_text("\n".join(description) + "\n", encoding="utf-8")
    return path


def check_tinygrad() -> None:
    mend = f"mend it with: {sys.executable} -m pip install tinygrad=={TINYGRAD}"
    try:
        found = version("tinygrad")
    except PackageNotFoundError:
        refuse(f"tinygrad is not installed; {mend}")
    if found != TINYGRAD:
        refuse(f"tinygrad {found} is installed, expected {TINYGRAD}; {mend}")


def refuse(why: str) -> NoReturn:
    print(f"make_kernels.py: {why}", file=sys.stderr)
    sys.exit(2)


def main() -> None:
    parser = argparse.ArgumentParser(description="Let tinygrad write kernels for diagmem.")
    parser.add_argument(
        "-o", dest="folder", type=Path, required=True, help="where to write NAME.c and NAME.toml"
    )
    folder = parser.parse_args().folder
    check_tinygrad()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for layer in LAYERS:
            for optimised in (False, True):
                print(write(layer, folder, optimised=optimised))
    except OSError as error:
        refuse(str(error))


if __name__ == "__main__":
    main()
