"""What a child process that runs models is given, and what it gives back, pickled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Mask = npt.NDArray[np.bool_]
    """A flag for each byte of a tensor."""


class WatchedBuffer(NamedTuple):
    """A buffer of an operator's call: where it lies, from the start of the arena or
    of the model."""

    name: str
    role: str
    where: str
    offset: int
    size_bytes: int


class WatchedCall(NamedTuple):
    """An operator by the name that TFLM calls it, and what it works on."""

    name: str
    places: tuple[WatchedBuffer, ...]


class ComparedJob(NamedTuple):
    """Which tensors may be filled before their operator runs, what an element of each takes,
    and for each run the bytes that do not count."""

    filled: frozenset[int]
    element_bytes: dict[int, int]
    masks: list[dict[int, Mask]]


class Job(NamedTuple):
    """A model, its inputs, and what to watch.

    Attributes
    ----------
    model : a file, or what it holds.
    offsets : of the planned tensors, by number.
    inputs, outputs : of the model, tensor numbers.
    runs : for each run an array for each input.
    calls, profiler : the operators, and the library that tells their calls apart; none:
        they are not.
    kept : buffers to read after a run.
    layer : one of many, by whose windows they are counted: a refused one has an empty
        window.  Nobody asks for its arena.
    refused : why there is no such model.
    comparison : for `diagmem.tflm.child.compared` alone.
    """

    model: str | bytes
    arena_bytes: int
    offsets: dict[int, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    runs: list[list[npt.NDArray[Any]]]
    calls: list[WatchedCall]
    profiler: str
    kept: tuple[WatchedBuffer, ...] = ()
    layer: bool = False
    refused: str = ""
    comparison: ComparedJob | None = None


class Refused(NamedTuple):
    """Why a job goes no further."""

    why: str


class ArenaUse(NamedTuple):
    """Bytes of the arena that TFLM says it uses: head for tensors and scratch, tail
    for what the interpreter keeps."""

    total_bytes: int
    head_bytes: int
    tail_bytes: int


class NetworkRun(NamedTuple):
    """One inference, its outputs as they were in memory.

    Attributes
    ----------
    call_seconds : of each operator; empty where its calls were not told apart.
    kept : bytes of the buffers that were asked for, by name.
    """

    outputs: tuple[bytes, ...]
    seconds: float
    call_seconds: tuple[float, ...]
    kept: dict[str, bytes]


class ComparedRun(NamedTuple):
    """One inference; tensors by their numbers.

    Attributes
    ----------
    outputs : the model's, as they were in memory.
    hashes : of each watched tensor as its operator left it, without masked bytes.
    masks : bytes that the model does not determine: nobody wrote them, or they are copies
        of such bytes, or their element was computed from such.  Tensors that have none
        are left out.
    computed : of a mask, how many bytes of elements that were computed.
    """

    outputs: tuple[bytes, ...]
    hashes: dict[int, bytes]
    masks: dict[int, Mask]
    computed: dict[int, int]


Record = Refused | ArenaUse | NetworkRun | ComparedRun
