"""A kernel with its parameters put in: what to build, and what to call it with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from diagmem.kernels.dtypes import DType
from diagmem.kernels.expressions import Value
from diagmem.trace.window import Role

Number = int | float | bool


@dataclass(frozen=True, slots=True)
class Noise:
    """Seeded bytes without meaning, for memory the kernel must write first."""


@dataclass(frozen=True, slots=True)
class Uniform:
    """Seeded values, evenly spread over ``[low, high)``."""

    low: Number
    high: Number


@dataclass(frozen=True, slots=True)
class Iota:
    """``start + step * index``."""

    start: Number
    step: Number


@dataclass(frozen=True, slots=True)
class Repeat:
    """The given values, again and again."""

    values: tuple[Number, ...]


@dataclass(frozen=True, slots=True)
class Raw:
    """The buffer's very bytes."""

    data: bytes


Fill = Noise | Uniform | Iota | Repeat | Raw


@dataclass(frozen=True, slots=True)
class BufferSpec:
    """A buffer of the kernel; ``shape`` in elements, row-major.

    ``live_bytes``: so many from its start count, None: all.  What is behind them is
    memory that the kernel must not write; nothing that it holds is needed.
    """

    name: str
    role: Role
    dtype: DType
    shape: tuple[int, ...]
    fill: Fill
    live_bytes: int | None = None

    @property
    def elements(self) -> int:
        return prod(self.shape)

    @property
    def size_bytes(self) -> int:
        """The bytes that count."""
        return self.allocated_bytes if self.live_bytes is None else self.live_bytes

    @property
    def allocated_bytes(self) -> int:
        """All of them."""
        return self.elements * self.dtype.size_bytes


@dataclass(frozen=True, slots=True)
class Pointer:
    """The address of a buffer, or a null pointer where ``buffer`` is None."""

    name: str
    buffer: str | None
    c_type: str


@dataclass(frozen=True, slots=True)
class Scalars:
    """One value, or as a field of a structure also an array of them."""

    name: str
    dtype: DType
    values: tuple[Number, ...]
    array: bool


@dataclass(frozen=True, slots=True)
class Bytes:
    """An array of bytes inside a structure."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Struct:
    """A structure, laid out by the C compiler; ``by_pointer`` for arguments only."""

    name: str
    fields: tuple[Argument, ...]
    by_pointer: bool


Argument = Pointer | Scalars | Bytes | Struct


@dataclass(frozen=True, slots=True)
class Call:
    """A function and what it is called with.

    ``returns`` is its C type; ``success`` is the value that it must return, or None
    where any will do.
    """

    function: str
    returns: str
    success: int | None
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class Code:
    """Where the compiled kernel comes from; ``kind`` is source, object or library.

    Paths are absolute.  ``directory`` is the description's, where compiler and
    linker run, so that relative paths among the flags mean what they say.
    """

    kind: str
    files: tuple[Path, ...]
    directory: Path
    compiler: str
    flags: tuple[str, ...]
    include: tuple[Path, ...]
    link: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """The description as it was read, to put other parameters in."""

    file: str
    directory: Path
    items: Mapping[str, Any]
    overrides: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel of which every shape and value is known.

    ``file`` is the description's name as the user gave it, for messages;
    ``name`` its stem.  ``success`` is the value the function must return, or
    None where any will do.  ``before`` is called in front of every window.  ``requests``
    are the buffers of scratch memory, in bytes, that a runtime takes from its arena for
    the call.  ``other_compilers`` says which compilers make something else of the source;
    empty where none is known to.
    """

    file: str
    name: str
    description: str
    function: str
    code: Code
    returns: str
    success: int | None
    operator: str
    attributes: Mapping[str, Value]
    parameters: Mapping[str, Value]
    buffers: tuple[BufferSpec, ...]
    arguments: tuple[Argument, ...]
    requests: tuple[int, ...]
    other_compilers: str
    document: Document = field(repr=False, compare=False)
    before: tuple[Call, ...] = ()

    def buffer(self, name: str) -> BufferSpec | None:
        return next((b for b in self.buffers if b.name == name), None)

    def named(self, name: str) -> BufferSpec:
        """The buffer of that name, which must be there."""
        return next(b for b in self.buffers if b.name == name)

    @property
    def inputs(self) -> tuple[BufferSpec, ...]:
        """What an operator is given: inputs, and buffers that are output, too."""
        return tuple(b for b in self.buffers if b.role in (Role.INPUT, Role.INOUT))

    @property
    def outputs(self) -> tuple[BufferSpec, ...]:
        """What an operator makes: outputs, and buffers that are input, too."""
        return tuple(b for b in self.buffers if b.role in (Role.OUTPUT, Role.INOUT))

    @property
    def tensors(self) -> tuple[BufferSpec, ...]:
        """Both, each once."""
        return tuple(dict.fromkeys((*self.inputs, *self.outputs)))

    def with_role(self, role: Role) -> tuple[BufferSpec, ...]:
        return tuple(b for b in self.buffers if b.role is role)
