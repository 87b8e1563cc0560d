"""What is fuzzed: each takes bytes, writes a file and reads it as diagmem does.

Anything but a `DiagmemError` is a finding.
"""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from diagmem.base.errors import DiagmemError

if TYPE_CHECKING:
    from diagmem.tflite.graph import Model

ROOT = Path(__file__).resolve().parent.parent
MAX_BUFFER_BYTES = 1 << 20
_PLAIN = struct.Struct("<BBBI")
"""Type, first window, end of windows and bytes of a block in plain."""
_DIRECTORY = tempfile.mkdtemp(prefix="diagmem-fuzz-")


def _file(name: str, data: bytes) -> Path:
    path = Path(_DIRECTORY, name)
    path.write_bytes(data)
    return path


def trace(data: bytes) -> None:
    """The reader, and the validator, which shares little with it."""
    from diagmem.analysis.trace import open_trace
    from diagmem.trace.validate import validate

    path = _file("t.dmt", data)
    with suppress(DiagmemError):
        validate(path)
    with suppress(DiagmemError), open_trace(path) as opened:
        # Cells are allocated as the records say: what a real run of such a size takes.
        if sum(b.size_bytes for w in opened.windows for b in w.buffers) < MAX_BUFFER_BYTES:
            opened.overlaps()


def blocks(data: bytes) -> None:
    """What lies behind the checksums: blocks as `_plain` writes them, made whole."""
    import zstandard

    from diagmem.trace import format as fmt

    compress = zstandard.ZstdCompressor(level=1).compress
    file = [fmt.FILE_HEADER.pack(fmt.MAGIC, fmt.VERSION, 0)]
    at = 0
    while at + _PLAIN.size <= len(data):
        kind, start, end, size = _PLAIN.unpack_from(data, at)
        raw = data[at + _PLAIN.size : at + _PLAIN.size + size]
        at += _PLAIN.size + size
        stored = compress(raw)
        known = fmt.BlockType(1 + kind % 4)
        file += [fmt.pack_block_header(known, stored, len(raw), start, end), stored]
    trace(b"".join(file))


def _plain(data: bytes) -> bytes:
    """A trace file as the blocks in it, without compression and checksums."""
    import numpy as np
    import zstandard

    from diagmem.trace import format as fmt

    parts = []
    at = fmt.FILE_HEADER.size
    while at < len(data):
        head = np.frombuffer(data, fmt.BLOCK, 1, at)[0]
        at += fmt.BLOCK.itemsize
        raw = zstandard.decompress(data[at : at + int(head["stored_bytes"])])
        at += int(head["stored_bytes"])
        windows = int(head["window_start"]), int(head["window_end"])
        parts += [_PLAIN.pack(int(head["type"]) - 1, *windows, len(raw)), raw]
    return b"".join(parts)


def toml(data: bytes) -> None:
    """A kernel description."""
    from diagmem.kernels.description import load

    with suppress(DiagmemError):
        load(_file("k.toml", data))


def elf(data: bytes) -> None:
    """Symbols and debugging information of a program."""
    from diagmem.record.dwarf import inlined_into
    from diagmem.record.elf import aliases, find_data, is_elf, platform_of

    path = _file("p", data)
    for question in (
        lambda: is_elf(path),
        lambda: platform_of(path),
        lambda: find_data(path, "in", path),
        lambda: aliases(path, "layer"),
        lambda: inlined_into(path, "merged"),
    ):
        with suppress(DiagmemError):
            question()


def lackey(data: bytes) -> None:
    """A log of Valgrind's lackey."""
    from diagmem.trace.lackey import LackeyLog

    with suppress(DiagmemError):
        for _ in LackeyLog(_file("log", data)).read():
            pass


def model(data: bytes) -> None:
    """A ``.tflite``: its graph, its formulas, a plan, and the plan written and read."""
    from diagmem.arena import Options
    from diagmem.networks.planning import plan_network, write_plan
    from diagmem.tflite.graph import read_model

    with suppress(DiagmemError):
        plan = plan_network(
            read_model(_file("m.tflite", data)), solver="heuristic", options=Options(iterations=20)
        )
        planned = Path(_DIRECTORY, "p.tflite")
        write_plan(plan, planned)
        if read_model(planned).plan is None:
            raise RuntimeError("a plan that was written is not read")


def overlaps(data: bytes) -> None:
    """Measured overlaps of a network that is there."""
    from diagmem.networks.measured import read_overlaps
    from diagmem.networks.planning import plan_network

    with suppress(DiagmemError):
        plan_network(_network(), read_overlaps(_file("o.json", data), _network()))


def boards(data: bytes) -> None:
    """A table of boards."""
    from diagmem.boards.board import read_boards

    with suppress(DiagmemError):
        read_boards(_file("b.csv", data))


@cache
def _network() -> Model:
    from diagmem.tflite.zoo import open_zoo

    return open_zoo("mobilenet_v1_0.25_128_int8")


TARGETS: dict[str, Callable[[bytes], None]] = {
    "trace": trace,
    "blocks": blocks,
    "toml": toml,
    "elf": elf,
    "lackey": lackey,
    "model": model,
    "overlaps": overlaps,
    "boards": boards,
}


def seeds(target: str) -> list[bytes]:
    """Good files to begin with, small ones."""
    if target in ("trace", "blocks"):
        paths = sorted(ROOT.glob("traces/**/*.dmt"), key=lambda p: p.stat().st_size)[:12]
        files = [path.read_bytes() for path in paths]
        return files if target == "trace" else [_plain(file) for file in files]
    if target == "toml":
        return [p.read_bytes() for p in (ROOT / "src/diagmem/kernels/c").glob("*.toml")]
    if target == "elf":
        return [_small_program()]
    if target == "model":
        return [bytes(_network().data)]
    if target == "overlaps":
        return [_overlaps_of(_network())]
    if target == "boards":
        return [(ROOT / "src/diagmem/boards/boards.csv").read_bytes()]
    return [b"==1== x\nI  04001000,3\n L 1ffefffe70,8\n S 10,4\n M 0421c7cc,1\n"]


def _overlaps_of(network: Model) -> bytes:
    """Overlaps such as a measurement writes them: one operator with all it can have."""
    from diagmem.networks.measured import Measured, MeasuredOperator, MeasuredPair, identity

    operators = []
    for operator in network.operators:
        source, target = operator.inputs[0], operator.outputs[0]
        sizes = network.tensors[source].size_bytes, network.tensors[target].size_bytes
        pair = MeasuredPair(source, target, True, *sizes, 64, 64, True, 1, 64, "equal", (), (), ())
        pairs = (pair,) if not operator.index else ()
        operators.append(
            MeasuredOperator(operator.index, operator.name, 0.1, 9, 16, 4, 100, 90, pairs)
        )
    measured = Measured(identity(network), {"kernels": "k"}, {"inputs": "i"}, tuple(operators))
    return json.dumps(measured.as_json()).encode()


def _small_program() -> bytes:
    binary = Path(_DIRECTORY, "program")
    source = ROOT / "tests/record/programs/vanished.c"
    flags = "-O2 -g -nostdlib -nostartfiles -Wl,-e,main -Wl,--build-id=none"
    if os.system(f"cc {flags} -o '{binary}' '{source}'"):
        raise DiagmemError(f"{source}: does not compile")
    return binary.read_bytes()
