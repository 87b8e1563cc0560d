"""What a child process that runs whole models is given, pickled."""

from __future__ import annotations

from typing import Any, NamedTuple


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


class Job(NamedTuple):
    """A model, its inputs, and what to watch.

    Attributes
    ----------
    runtime, model, profiler : files; no profiler: calls are not told apart.
    offsets : of the planned tensors, by number.
    inputs, outputs : of the model, tensor numbers.
    runs : for each run an array for each input.
    filled, element_bytes, masks : of `diagmem.tflm.child.compared` alone.
    """

    runtime: str
    model: str
    arena_bytes: int
    offsets: dict[int, int]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    runs: list[list[Any]]
    calls: list[WatchedCall]
    profiler: str
    filled: frozenset[int]
    element_bytes: dict[int, int]
    masks: list[dict[int, Any]]
